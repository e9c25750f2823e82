//! The store: one module of intentions; the only user of the database driver.
//!
//! Each method is one step of the road and one commit: it is durable when it returns `Ok`, and nothing
//! of it is when it returns an error. Callers see values and never a driver, a row or a transaction;
//! there is never a transaction over the network. SQLite stands behind it now; PostgreSQL follows as a
//! second variant of [`Backend`], with the same decisions ([`apply`]) over other statements.
//!
//! Who waits for what is told by signals after the commit that concerned it, never before.

mod apply;
mod options;
mod sqlite;
mod told;
mod types;
mod view;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use tokio::sync::watch;

pub use options::{OpenError, RetentionReasons, StoreOptions};
pub use told::*;
pub use types::*;
pub use view::*;

use crate::domain::ids::{DeclarationId, EventId, MessageId, NoticeId, S10, SubscriptionId};
use crate::domain::time::{Date, Timestamp};

/// The store. Cheap to clone; the last clone that goes ends the writer, [`Store::close`] waits for it.
#[derive(Clone)]
pub struct Store {
    backend: Backend,
}

#[derive(Clone)]
enum Backend {
    Sqlite(Arc<sqlite::Sqlite>),
}

macro_rules! on {
    ($store:expr, $method:ident($($argument:expr),*)) => {
        match &$store.backend { Backend::Sqlite(sqlite) => sqlite.$method($($argument),*).await }
    };
}

/// Opening and closing.
impl Store {
    /// Opens the store, brings its schema up to date and starts its writer.
    ///
    /// # Errors
    /// [`OpenError`] with what to do: in use, newer schema, not a store, no durable journal.
    pub async fn open(options: StoreOptions) -> Result<Self, OpenError> {
        let opened = tokio::task::spawn_blocking(move || sqlite::Sqlite::open(options)).await;
        let sqlite = opened.unwrap_or_else(|_| Err(OpenError::Database("opening it panicked".to_owned())))?;
        Ok(Self { backend: Backend::Sqlite(Arc::new(sqlite)) })
    }

    /// Takes nothing more, commits what waits, and ends. Later calls are [`StoreError::Closing`].
    pub async fn close(&self) {
        on!(self, close());
    }

    /// Whether the store can commit. Cheap: it asks the disk only after a failed commit.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while nothing can be made durable or the free space is below the limit.
    pub async fn check(&self) -> Result<(), StoreError> {
        on!(self, check())
    }
}

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

    /// Keeps what the post saw of the newest posting of an item; `EMD` marks it as arrived. False when the
    /// item is unknown.
    ///
    /// # Errors
    /// When nothing can be committed.
    pub async fn tracking(&self, post: &str, item_id: S10, event: TrackingEvent) -> Result<bool, StoreError> {
        on!(self, tracking(post.to_owned(), item_id, event))
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

/// Events.
impl Store {
    /// Events of a post after a position, from the oldest kept when none is given.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn events_after(&self, post: &str, after: Option<i64>, limit: usize) -> Result<EventPage, StoreError> {
        on!(self, events_after(post.to_owned(), after, limit))
    }

    /// Changes whenever any post has a new event.
    pub fn subscribe_events(&self) -> watch::Receiver<u64> {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.signals().events.subscribe(),
        }
    }
}

/// Webhooks.
impl Store {
    /// Adds a subscription; false when the post has `max` already.
    ///
    /// # Errors
    /// When nothing can be committed.
    pub async fn add_subscription(&self, new: Subscription, max: u32) -> Result<bool, StoreError> {
        on!(self, add_subscription(new, max))
    }

    /// Subscriptions of a post, ended ones too.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn subscriptions(&self, post: &str) -> Result<Vec<Subscription>, StoreError> {
        on!(self, subscriptions(post.to_owned()))
    }

    /// Removes a subscription of a post; false when it has none such.
    ///
    /// # Errors
    /// When nothing can be committed.
    pub async fn remove_subscription(&self, post: &str, id: SubscriptionId) -> Result<bool, StoreError> {
        on!(self, remove_subscription(post.to_owned(), id))
    }

    /// Ends an active subscription with a word that is shown, for example `failing`.
    ///
    /// # Errors
    /// When nothing can be committed.
    pub async fn end_subscription(&self, id: SubscriptionId, state: &'static str) -> Result<(), StoreError> {
        on!(self, end_subscription(id, state))
    }

    /// Queues an event at one subscription, to test it; it is in no feed. False when there is none such.
    ///
    /// # Errors
    /// When nothing can be committed.
    pub async fn queue_test_event(&self, post: &str, id: SubscriptionId, event: EventId, json: String) -> Result<bool, StoreError> {
        on!(self, queue_test_event(post.to_owned(), id, event, json))
    }

    /// Deliveries that are due, without those in hand: of each subscription at most 16 (those in hand
    /// counted), of each item only the oldest.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn due_deliveries(
        &self,
        now: Timestamp,
        busy: HashSet<(SubscriptionId, i64)>,
        limit: usize,
    ) -> Result<Vec<DeliveryRow>, StoreError> {
        on!(self, due_deliveries(now, busy, limit))
    }

    /// When the next delivery becomes due after an instant.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn next_delivery_due(&self, after: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        on!(self, next_delivery_due(after))
    }

    /// Keeps how a delivery went; the next of its item is due when this one is done or given up.
    ///
    /// # Errors
    /// When nothing can be committed; it will be delivered again.
    pub async fn settle_delivery(
        &self,
        id: SubscriptionId,
        position: i64,
        settlement: DeliverySettlement,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        on!(self, settle_delivery(id, position, settlement, now))
    }

    /// Removes some of what waits at ended subscriptions; how many. Call again while it is not 0.
    ///
    /// # Errors
    /// When nothing can be committed.
    pub async fn purge_deliveries(&self) -> Result<usize, StoreError> {
        on!(self, purge_deliveries())
    }

    /// Changes whenever a delivery becomes due.
    pub fn subscribe_deliveries(&self) -> watch::Receiver<u64> {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.signals().deliveries.subscribe(),
        }
    }
}

/// Operators.
impl Store {
    /// Messages per broker and state with the age of the oldest; cheap at any size.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn backlog(&self) -> Result<Vec<BacklogRow>, StoreError> {
        on!(self, backlog())
    }

    /// Dead letters, newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn dead_letters(&self, filter: DeadLetterFilter) -> Result<Vec<DeadLetter>, StoreError> {
        on!(self, dead_letters(filter))
    }

    /// Notices that could not be read, have no item, or hold only unknown codes; newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn parked_notices(&self, state: Option<NoticeResult>, limit: u32) -> Result<Vec<ParkedNotice>, StoreError> {
        on!(self, parked_notices(state, limit))
    }

    /// Pauses a broker; a second pause changes the reason and not the time.
    ///
    /// # Errors
    /// When nothing can be committed.
    pub async fn pause(&self, broker: &str, reason: Option<String>) -> Result<(), StoreError> {
        on!(self, pause(broker.to_owned(), reason))
    }

    /// Resumes a broker.
    ///
    /// # Errors
    /// When nothing can be committed.
    pub async fn resume(&self, broker: &str) -> Result<(), StoreError> {
        on!(self, resume(broker.to_owned()))
    }

    /// Paused brokers.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn paused(&self) -> Result<BTreeMap<String, Pause>, StoreError> {
        on!(self, paused())
    }
}
