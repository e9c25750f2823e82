//! What a lane needs of the store and of the mappings: narrow, so that it can be tested without them.

use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;

use tokio::sync::watch;

use crate::domain::fact::Fact;
use crate::domain::ids::MessageId;
use crate::domain::time::Timestamp;
use crate::store::{AttemptRecord, BrokerHold, OutboxRow, Settlement, StoreError};

/// The outbox of the store. Every change is durable when its future is done.
pub trait Outbox: Send + Sync + 'static {
    /// Messages that may be sent now, without those that are `busy`; oldest first, at most one of a
    /// filing (promise P3).
    fn due(
        &self,
        broker: &str,
        now: Timestamp,
        busy: HashSet<MessageId>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<OutboxRow>, StoreError>> + Send;

    /// When the next message is due, if there is one.
    fn next_due(&self, broker: &str) -> impl Future<Output = Result<Option<Timestamp>, StoreError>> + Send;

    /// Marks a message as being sent; the number of this attempt, from 1. `None` when it may not be
    /// sent any more (withdrawn, or settled by a verdict).
    fn begin_attempt(&self, message: MessageId, now: Timestamp) -> impl Future<Output = Result<Option<u32>, StoreError>> + Send;

    /// Records an attempt and what became of the message.
    fn settle(
        &self,
        message: MessageId,
        attempt: AttemptRecord,
        settlement: Settlement,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Undoes [`Outbox::begin_attempt`]: nothing was sent, nothing is recorded.
    fn release(&self, message: MessageId) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Makes everything that waits for its next try due now.
    fn hasten(&self, broker: &str, now: Timestamp) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Keeps that an operator paused a broker, over restarts.
    fn pause(&self, broker: &str, reason: Option<String>) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Ends a pause.
    fn resume(&self, broker: &str) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Whether a broker is paused, and the operator's reason.
    fn paused(&self, broker: &str) -> impl Future<Output = Result<Option<Option<String>>, StoreError>> + Send;

    /// Keeps over restarts that a broker wants to be left alone.
    fn hold(&self, broker: &str, hold: BrokerHold) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The last wish of a broker to be left alone.
    fn held(&self, broker: &str) -> impl Future<Output = Result<Option<BrokerHold>, StoreError>> + Send;

    /// Makes due now what is due later than `farthest`, which no delay reaches.
    fn rein_in(&self, broker: &str, farthest: Timestamp, now: Timestamp) -> impl Future<Output = Result<usize, StoreError>> + Send;

    /// Has the broker asked about a message in doubt, unless a question is under way; the lane looks at it again at `again_at`.
    fn ask(&self, message: MessageId, now: Timestamp, again_at: Timestamp) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Changes whenever there may be new work.
    fn changes(&self) -> watch::Receiver<u64>;
}

/// How messages of one mapping travel, and how the reply is read.
pub trait ReplyRules: Send + Sync {
    /// Version of the mapping, kept with what it read.
    fn version(&self) -> &str;

    /// The mapping's own headers.
    fn headers(&self) -> &[(String, String)];

    /// The reply's header that names the broker's conversation.
    fn conversation_header(&self) -> Option<&str>;

    /// Whether a 2xx without a body means that the broker has the message.
    fn empty_reply_is_delivered(&self) -> bool;

    /// Whether the broker can be asked whether it has a message.
    fn asks(&self) -> bool;

    /// The facts of a reply; `None` when it is not what the mapping reads.
    fn read(&self, body: &[u8]) -> Option<Vec<Fact>>;
}

/// The mappings that are loaded now; a reload shows at the next message.
pub trait Mappings: Send + Sync + 'static {
    /// The rules of a mapping, be it that only a stored version of it is there; `None` when there is none.
    fn rules(&self, mapping: &str) -> Option<Arc<dyn ReplyRules>>;
}
