//! Intents and consignments: what is wanted, what `prepare` makes of it.

use bytes::Bytes;
use tokio::sync::watch;

use super::{Backend, ConsignmentView, IntentResult, IntentRow, Means, NewConsignment, NewIntent, Prepared, Store, StoreError, Wanted};
use crate::domain::ids::{DeclarationId, IntentId};
use crate::domain::time::Timestamp;

impl Store {
    /// Keeps an amendment (with its new version) or a cancellation, one intent for each filing, with its answer and key.
    ///
    /// # Errors
    /// [`StoreError::Overloaded`] when too much waits, [`StoreError::Unavailable`] when nothing can be committed.
    pub async fn want(&self, new: NewIntent) -> Result<Wanted, StoreError> {
        on!(self, want(new))
    }

    /// The answer to an equal wish: to the newest version when its content has this hash, or, without one, to a
    /// cancellation that is open or came to pass.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn find_wanted(&self, declaration: DeclarationId, amended: Option<[u8; 32]>) -> Result<Option<Bytes>, StoreError> {
        on!(self, find_wanted(declaration, amended))
    }

    /// Intents that are to be looked at; without a row for one that cannot be read.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn intents_due(&self, now: Timestamp, limit: usize) -> Result<Vec<(IntentId, Option<IntentRow>)>, StoreError> {
        on!(self, intents_due(now, limit))
    }

    /// When the next intent is to be looked at; none when all wait for something of their filings.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn next_intent(&self) -> Result<Option<Timestamp>, StoreError> {
        on!(self, next_intent())
    }

    /// Carries out what was made of an intent, if nothing of its filing changed since it was read ([`IntentRow::looks`]) and the
    /// decision behind it still holds.
    ///
    /// # Errors
    /// When nothing can be committed; the intent still waits.
    pub async fn settle_intent(&self, intent: IntentId, looks: i64, means: Means, prepared: Prepared) -> Result<IntentResult, StoreError> {
        on!(self, settle_intent(intent, looks, means, prepared))
    }

    /// Puts an intent to rest that is a fault of ours, so that it stops nobody else.
    ///
    /// # Errors
    /// When nothing can be committed.
    pub async fn rest_intent(&self, intent: IntentId, until: Timestamp) -> Result<(), StoreError> {
        on!(self, rest_intent(intent, until))
    }

    /// Changes whenever an intent is to be looked at.
    pub fn subscribe_intents(&self) -> watch::Receiver<u64> {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.signals().intents.subscribe(),
        }
    }

    /// Keeps what a consignment says, in the place of what it said. False when it is closed and said otherwise before.
    ///
    /// # Errors
    /// [`StoreError::Overloaded`] when too much waits, [`StoreError::Unavailable`] when nothing can be committed.
    pub async fn put_consignment(&self, new: NewConsignment) -> Result<bool, StoreError> {
        on!(self, put_consignment(new))
    }

    /// A consignment of a post.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn consignment(&self, post: &str, id: &str) -> Result<Option<ConsignmentView>, StoreError> {
        on!(self, consignment(post.to_owned(), id.to_owned()))
    }

    /// All items of a consignment arrived; their filings at the brokers `presenting` are to tell so. False when it is unknown.
    ///
    /// # Errors
    /// When nothing can be committed.
    pub async fn consignment_arrived(&self, post: &str, id: &str, at: Timestamp, presenting: Vec<String>) -> Result<bool, StoreError> {
        on!(self, consignment_arrived(post.to_owned(), id.to_owned(), at, presenting))
    }
}
