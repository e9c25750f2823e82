//! What posts and operators are told, as values: events, webhooks, tracking, backlog, lists.

use crate::domain::delivery::{DeadReason, DeliveryState, MessageKind};
use crate::domain::ids::{DeclarationId, MessageId, NoticeId, SubscriptionId};
use crate::domain::masked::Masked;
use crate::domain::time::Timestamp;

/// One page of a post's event log.
#[derive(Debug, Clone)]
pub struct EventPage {
    /// Positions and CloudEvents JSON, in order.
    pub events: Vec<(i64, String)>,
    /// The oldest position still kept; 0 when none was ever written.
    pub oldest: i64,
    /// The newest position.
    pub newest: i64,
}

/// A webhook subscription.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// Its id.
    pub subscription_id: SubscriptionId,
    /// Tenant.
    pub post: String,
    /// Target.
    pub url: String,
    /// Event types wanted; none means all. A trailing `*` stands for any rest.
    pub types: Vec<String>,
    /// Signing secret (raw bytes).
    pub secret: Masked<Vec<u8>>,
    /// When it was made.
    pub created_at: Timestamp,
    /// `active`, or why it ended (`gone`, `failing`).
    pub state: String,
}

/// An event that is due at a subscription.
#[derive(Debug, Clone)]
pub struct DeliveryRow {
    /// Subscription.
    pub subscription_id: SubscriptionId,
    /// Position in the post's log.
    pub position: i64,
    /// Event id, sent as `webhook-id`.
    pub event_id: String,
    /// The CloudEvents JSON.
    pub json: String,
    /// Target.
    pub url: String,
    /// Signing secret.
    pub secret: Masked<Vec<u8>>,
    /// Tries so far.
    pub attempts: u32,
    /// When the first try was.
    pub first_at: Option<Timestamp>,
}

/// How a webhook delivery went.
#[derive(Debug, Clone)]
pub enum DeliverySettlement {
    /// Taken (2xx).
    Done,
    /// Try again.
    Retry {
        /// When.
        due_at: Timestamp,
    },
    /// This event is given up; the feed still has it.
    GiveUp,
    /// The target said 410: the subscription ends.
    Gone,
}

/// What a post saw physically.
#[derive(Debug, Clone)]
pub struct TrackingEvent {
    /// EMSEVT code, for example `EMD`.
    pub event: String,
    /// When.
    pub at: Timestamp,
    /// IMPC code of the office.
    pub office: Option<String>,
}

/// A message in the backlog, dead or delivered, counted.
#[derive(Debug, Clone)]
pub struct BacklogRow {
    /// Broker.
    pub broker: String,
    /// State.
    pub state: DeliveryState,
    /// Messages.
    pub count: u64,
    /// When the oldest of them was made.
    pub oldest_at: Option<Timestamp>,
}

/// A dead letter as operators see it: no free text, no values of a declaration.
#[derive(Debug, Clone, serde::Serialize)]
pub struct DeadLetter {
    /// Message.
    pub message_id: MessageId,
    /// Broker.
    pub broker: String,
    /// Tenant.
    pub post: String,
    /// Declaration.
    pub declaration_id: DeclarationId,
    /// Item.
    pub item_id: String,
    /// What it asked.
    pub kind: MessageKind,
    /// Mapping that made it.
    pub mapping: String,
    /// Version of the mapping.
    pub mapping_version: String,
    /// Why it is dead.
    pub reason: DeadReason,
    /// When it died.
    pub since: Timestamp,
    /// Attempts spent.
    pub attempts: u32,
    /// Last HTTP status.
    pub last_status: Option<u16>,
    /// Last outcome's word.
    pub last_outcome: Option<String>,
}

/// A parked notice as operators see it.
#[derive(Debug, Clone, serde::Serialize)]
pub struct ParkedNotice {
    /// Its id.
    pub notice_id: NoticeId,
    /// Broker.
    pub broker: String,
    /// `unreadable`, `orphan` or `unknown_code`.
    pub state: String,
    /// Reason code.
    pub reason: Option<String>,
    /// Version of the mapping that read it, or could not.
    pub mapping_version: Option<String>,
    /// When it came (RFC 3339).
    pub received_at: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256, hex.
    pub sha256: String,
}

/// Which dead letters to list.
#[derive(Debug, Clone, Default)]
pub struct DeadLetterFilter {
    /// Only of this broker.
    pub broker: Option<String>,
    /// Only with this reason.
    pub reason: Option<DeadReason>,
    /// Only of this post.
    pub post: Option<String>,
    /// At most so many, newest first.
    pub limit: u32,
}

/// Why and since when a broker is paused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// The operator's words.
    pub reason: Option<String>,
    /// Since when.
    pub since: Timestamp,
}
