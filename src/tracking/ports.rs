//! What tracking asks of the store: three small sets of intentions, so that the loops can be tested
//! against a store in memory, and so that a reader sees at once which rows they live on.

use std::collections::HashSet;
use std::future::Future;

use tokio::sync::watch;

use crate::domain::ids::{EventId, SubscriptionId};
use crate::domain::time::Timestamp;
use crate::store::{DeliveryRow, DeliverySettlement, EventPage, StoreError, Subscription};

/// A delivery by its subscription and position.
pub type DeliveryKey = (SubscriptionId, i64);

/// The event log.
pub trait Events: Send + Sync + 'static {
    /// Up to `limit` events of a post after a position, in order.
    fn events_after(&self, post: &str, after: i64, limit: u32) -> impl Future<Output = Result<EventPage, StoreError>> + Send;
    /// Changes after events became readable.
    fn events_signal(&self) -> watch::Receiver<u64>;
}

/// Events that targets have not taken yet.
pub trait Deliveries: Send + Sync + 'static {
    /// What is due and not in hand: a share of each subscription (what is in hand counts), of each item only the oldest.
    fn due_deliveries(
        &self,
        now: Timestamp,
        busy: HashSet<DeliveryKey>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<DeliveryRow>, StoreError>> + Send;
    /// When the next becomes due after an instant, if any waits.
    fn next_delivery_due(&self, after: Timestamp) -> impl Future<Output = Result<Option<Timestamp>, StoreError>> + Send;
    /// Writes down how a try went.
    fn settle_delivery(
        &self,
        row: &DeliveryRow,
        settlement: DeliverySettlement,
        now: Timestamp,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
    /// Changes after deliveries were added or became due.
    fn deliveries_signal(&self) -> watch::Receiver<u64>;
}

/// Targets of posts.
pub trait Subscriptions: Send + Sync + 'static {
    /// Adds one, unless the post has `max` already; says whether it did.
    fn add_subscription(&self, subscription: Subscription, max: u32) -> impl Future<Output = Result<bool, StoreError>> + Send;
    /// Those of a post.
    fn subscriptions(&self, post: &str) -> impl Future<Output = Result<Vec<Subscription>, StoreError>> + Send;
    /// Ends one of a post's; says whether there was one.
    fn delete_subscription(&self, post: &str, id: SubscriptionId) -> impl Future<Output = Result<bool, StoreError>> + Send;
    /// Queues an event of its own for one; says whether the post has it.
    fn test_subscription(
        &self,
        post: &str,
        id: SubscriptionId,
        event_id: EventId,
        json: String,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;
}
