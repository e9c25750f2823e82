//! What posts and operators are told: events, webhooks, backlog, lists, pauses.

use std::collections::{BTreeMap, HashSet};

use tokio::sync::watch;

use super::{
    Backend, BacklogRow, DeadLetter, DeadLetterFilter, DeliveryRow, DeliverySettlement, EventPage, NoticeResult, ParkedNotice, Pause,
    Store, StoreError, Subscription,
};
use crate::domain::ids::{EventId, SubscriptionId};
use crate::domain::time::Timestamp;

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
