//! The steps of the road: intake, what a post sees of its own, the lanes, the notices.

use std::collections::{BTreeMap, HashSet};

use tokio::sync::watch;

use super::{
    Accepted, AttemptRecord, Backend, BrokerHold, DeclarationView, IdempotencyKey, MessagesView, NewDeclaration, NewNotice, NoticeResult,
    NoticeRow, OutboxRow, Reading, Settlement, Store, StoreError, Taken, TrackingEvent,
};
use crate::domain::ids::{DeclarationId, MessageId, NoticeId, S10};
use crate::domain::time::{Date, Timestamp};

/// Intake.
impl Store {
    /// Makes a declaration durable with its messages, its answer and its key, or tells what is known of it.
    /// In this order: a known key, the same item and posting date, another posting within the re-use time.
    ///
    /// # Errors
    /// [`StoreError::Overloaded`] when too much waits, [`StoreError::Unavailable`] when nothing can be committed.
    pub async fn accept(&self, new: NewDeclaration) -> Result<Accepted, StoreError> {
        on!(self, accept(new))
    }

    /// What an earlier request left: [`Accepted::Replay`] for a known key or equal content,
    /// [`Accepted::KeyReused`] for a key of another body, else none. For requests that validation would
    /// refuse now, though they were taken before.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn find_replay(
        &self,
        post: &str,
        key: Option<IdempotencyKey>,
        item_id: S10,
        posted_on: Date,
        content_hash: [u8; 32],
    ) -> Result<Option<Accepted>, StoreError> {
        on!(self, find_replay(post.to_owned(), key, item_id, posted_on, content_hash))
    }

    /// What a client's key was answered; [`Accepted::KeyReused`] for one of another body.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn find_key(&self, post: &str, key: IdempotencyKey) -> Result<Option<Accepted>, StoreError> {
        on!(self, find_key(post.to_owned(), key))
    }

    /// The highest LRN counter used for an item so far, over all posts; 0 for a new one. The next message
    /// takes the next.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn lrn_counter(&self, item_id: S10, posted_on: Date) -> Result<u16, StoreError> {
        on!(self, lrn_counter(item_id, posted_on))
    }

    /// Removes some expired idempotency keys; how many. Call again while it is not 0.
    ///
    /// # Errors
    /// When nothing can be committed.
    pub async fn purge_keys(&self) -> Result<usize, StoreError> {
        on!(self, purge_keys())
    }
}

/// What a post sees of its own; another post's id is none.
impl Store {
    /// A declaration.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn declaration(&self, post: &str, id: DeclarationId) -> Result<Option<DeclarationView>, StoreError> {
        on!(self, declaration(post.to_owned(), id))
    }

    /// The newest posting of an item.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn item(&self, post: &str, item_id: S10) -> Result<Option<DeclarationView>, StoreError> {
        on!(self, item(post.to_owned(), item_id))
    }

    /// Messages and notices of a declaration, with their bytes when asked for.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn messages(&self, post: &str, id: DeclarationId, with_content: bool) -> Result<Option<MessagesView>, StoreError> {
        on!(self, messages(post.to_owned(), id, with_content))
    }

    /// Keeps what the post saw of the newest posting of an item; `EMD` marks it as arrived, and its filings at
    /// the brokers `presenting` are to tell so. False when the item is unknown.
    ///
    /// # Errors
    /// When nothing can be committed.
    pub async fn tracking(&self, post: &str, item_id: S10, event: TrackingEvent, presenting: Vec<String>) -> Result<bool, StoreError> {
        on!(self, tracking(post.to_owned(), item_id, event, presenting))
    }
}

/// The lane of a broker.
impl Store {
    /// Messages of a broker that are due, oldest first, without those that the lane has in hand. Only the
    /// first unsettled message of each filing is ever due; a dead one at the head blocks its filing alone.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn due(&self, broker: &str, now: Timestamp, busy: HashSet<MessageId>, limit: usize) -> Result<Vec<OutboxRow>, StoreError> {
        on!(self, due(broker.to_owned(), now, busy, limit))
    }

    /// When the next message of a broker is due; past when one is already.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn next_due(&self, broker: &str) -> Result<Option<Timestamp>, StoreError> {
        on!(self, next_due(broker.to_owned()))
    }

    /// Says durably that a message is being sent, before its first byte is. The number of this attempt
    /// among those that count; none when it is no longer due (a verdict settled it): do not send.
    ///
    /// # Errors
    /// When nothing can be committed: do not send.
    pub async fn begin_attempt(&self, message: MessageId, now: Timestamp) -> Result<Option<u32>, StoreError> {
        on!(self, begin_attempt(message, now))
    }

    /// Makes everything of a broker that waits for its next try due now: its channel is whole again.
    ///
    /// # Errors
    /// When nothing can be committed.
    pub async fn hasten(&self, broker: &str, now: Timestamp) -> Result<(), StoreError> {
        on!(self, hasten(broker.to_owned(), now))
    }

    /// Undoes a begin: nothing was sent, and it was no attempt.
    ///
    /// # Errors
    /// When nothing can be committed.
    pub async fn release(&self, message: MessageId) -> Result<(), StoreError> {
        on!(self, release(message))
    }

    /// Keeps an attempt and what follows from it. When a verdict settled the message meanwhile, the
    /// attempt, its references and its facts are kept, and the state stays.
    ///
    /// # Errors
    /// When nothing can be committed; the message stays `sending`.
    pub async fn settle(&self, message: MessageId, attempt: AttemptRecord, settlement: Settlement) -> Result<(), StoreError> {
        on!(self, settle(message, attempt, settlement))
    }

    /// Keeps that a broker wants to be left alone. Of two wishes the later end counts.
    ///
    /// # Errors
    /// When nothing can be committed.
    pub async fn hold(&self, broker: &str, hold: BrokerHold) -> Result<(), StoreError> {
        on!(self, hold(broker.to_owned(), hold))
    }

    /// The last wish of a broker to be left alone, also when it is over.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn held(&self, broker: &str) -> Result<Option<BrokerHold>, StoreError> {
        on!(self, held(broker.to_owned()))
    }

    /// Makes due now what is due later than `farthest`: no delay reaches so far, so the clock was put back. How many.
    ///
    /// # Errors
    /// When nothing can be committed.
    pub async fn rein_in(&self, broker: &str, farthest: Timestamp, now: Timestamp) -> Result<usize, StoreError> {
        on!(self, rein_in(broker.to_owned(), farthest, now))
    }

    /// Has the broker asked whether it has a message in doubt, unless a question is under way. The message is due again at
    /// `again_at`, should no answer settle it before.
    ///
    /// # Errors
    /// When nothing can be committed.
    pub async fn ask(&self, message: MessageId, now: Timestamp, again_at: Timestamp) -> Result<(), StoreError> {
        on!(self, ask(message, now, again_at))
    }

    /// At start, before any lane runs: what was being sent is in doubt, due at once. How many.
    ///
    /// # Errors
    /// When nothing can be committed.
    pub async fn recover(&self, now: Timestamp) -> Result<usize, StoreError> {
        on!(self, recover(now))
    }

    /// Changes whenever a message becomes due or a broker is paused or resumed.
    pub fn subscribe_outbox(&self) -> watch::Receiver<u64> {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.signals().outbox.subscribe(),
        }
    }
}

/// Notices.
impl Store {
    /// Stores a notice, unless its key is known.
    ///
    /// # Errors
    /// When nothing can be committed.
    pub async fn take_notice(&self, new: NewNotice) -> Result<Taken, StoreError> {
        on!(self, take_notice(new))
    }

    /// Notices that wait to be read, oldest first, without those of some brokers.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn notices_to_read(&self, except: Vec<String>, limit: usize) -> Result<Vec<NoticeRow>, StoreError> {
        on!(self, notices_to_read(except, limit))
    }

    /// Correlates and merges what reading gave, in one commit with the events and webhooks that follow. A
    /// notice that is settled already answers what it was.
    ///
    /// # Errors
    /// When nothing can be committed; the notice is still to be read.
    pub async fn settle_notice(&self, notice: NoticeId, reading: Reading) -> Result<NoticeResult, StoreError> {
        on!(self, settle_notice(notice, reading))
    }

    /// Changes whenever a notice waits to be read.
    pub fn subscribe_notices(&self) -> watch::Receiver<u64> {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.signals().notices.subscribe(),
        }
    }
}

/// Answers that customs owes.
impl Store {
    /// Since when the longest-waiting filing of a broker waits for customs' first decision. Those that the post was told of do
    /// not count.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn awaited_since(&self, broker: &str) -> Result<Option<Timestamp>, StoreError> {
        on!(self, awaited_since(broker.to_owned()))
    }

    /// Tells the post, once, of filings of a broker that wait since `since` or longer: at most `limit` of them in one commit. How
    /// many.
    ///
    /// # Errors
    /// When nothing can be committed.
    pub async fn tell_overdue(&self, broker: &str, since: Timestamp, limit: u32, now: Timestamp) -> Result<usize, StoreError> {
        on!(self, tell_overdue(broker.to_owned(), since, limit, now))
    }

    /// Filings per broker that were told to be overdue and still wait; brokers without any are left out.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn overdue(&self) -> Result<BTreeMap<String, u64>, StoreError> {
        on!(self, overdue())
    }
}
