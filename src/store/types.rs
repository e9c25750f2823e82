//! What goes into the store and what comes out: plain values, no driver in sight.
//!
//! Each intention of the road is one type, so that a second database can follow without touching a
//! caller. Times are instants; ids are typed; bodies are the exact bytes.

use bytes::Bytes;

use crate::domain::delivery::{DeadReason, DeliveryState, MessageKind};
use crate::domain::fact::{Fact, ReferenceKind, Track};
use crate::domain::ids::{ConversationId, DeclarationId, FilingId, MessageId, NoticeId, S10};
use crate::domain::time::{Date, Timestamp};
use crate::error::{ApiError, Code};

pub use crate::domain::message::Message as NewMessage;

/// Why the store did not do what was asked. Nothing was made durable.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The commit queue is full; come back in a second.
    #[error("the commit queue is full")]
    Overloaded,
    /// Nothing can be made durable (disk full, I/O error, free space below the limit).
    #[error("the store cannot commit: {0}")]
    Unavailable(&'static str),
    /// The store is closing.
    #[error("the store is closing")]
    Closing,
    /// A fault of ours (a broken constraint, an unreadable row).
    #[error("store fault: {0}")]
    Fault(String),
}

/// What a client is told when the store did not do what was asked: nothing was taken, come again.
impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Overloaded => Self::new(Code::Overloaded).retry_after(1),
            StoreError::Unavailable(_) => Self::new(Code::StoreUnavailable).retry_after(5),
            StoreError::Closing => Self::new(Code::Draining).retry_after(5),
            StoreError::Fault(reason) => {
                tracing::error!(error = %reason, "store fault");
                Code::Internal.into()
            }
        }
    }
}

/// A declaration with everything that its one commit makes durable.
#[derive(Debug, Clone)]
pub struct NewDeclaration {
    /// Tenant.
    pub post: String,
    /// Its id.
    pub declaration_id: DeclarationId,
    /// S10 of the item.
    pub item_id: S10,
    /// Posting date; with the S10 it names the item.
    pub posted_on: Date,
    /// Conversation of the request.
    pub conversation_id: ConversationId,
    /// W3C trace parent of the request.
    pub traceparent: Option<String>,
    /// The body as it came.
    pub body: Bytes,
    /// Hash of the content ([`crate::domain::declaration::Declaration::content_hash`]).
    pub content_hash: [u8; 32],
    /// Warnings as a JSON array.
    pub warnings_json: String,
    /// When it came.
    pub received_at: Timestamp,
    /// Returned goods may re-use an S10 within the re-use time.
    pub is_return: bool,
    /// Days within which another posting date of the same S10 is the same item.
    pub reuse_after_days: u32,
    /// Client's key, when given.
    pub key: Option<IdempotencyKey>,
    /// The exact bytes of the 202 answer.
    pub answer: Bytes,
    /// One filing per matching track.
    pub filings: Vec<NewFiling>,
}

/// A client's idempotency key. Lives 24 hours, per post and route.
#[derive(Debug, Clone)]
pub struct IdempotencyKey {
    /// Route that it was used on.
    pub route: &'static str,
    /// The key itself.
    pub key: String,
    /// SHA-256 of the body bytes.
    pub body_hash: [u8; 32],
}

/// A filing of a new declaration.
#[derive(Debug, Clone)]
pub struct NewFiling {
    /// Its id.
    pub filing_id: FilingId,
    /// Its track.
    pub track: Track,
    /// Its broker.
    pub broker: String,
    /// Number of the routing rule, from 1; 0 when the sender chose.
    pub rule: u32,
    /// Why that broker.
    pub why: String,
    /// Its messages in order; several formats need several. None when it waits.
    pub messages: Vec<NewMessage>,
    /// Whether it waits for its consignment: its messages are made when that closes.
    pub waits: bool,
}

/// How the commit of a declaration went.
#[derive(Debug, Clone)]
pub enum Accepted {
    /// Durable now.
    Stored,
    /// The same content or key was stored before: its answer, byte for byte.
    Replay(Bytes),
    /// The item is known with other content.
    ItemConflict,
    /// The S10 is known under another posting date within the re-use time.
    ItemKnown,
    /// The key was used for another body.
    KeyReused,
    /// A local reference number of it is in use (two posts declared one S10 at the same moment):
    /// render again with the next counter. Nothing was stored.
    LrnTaken,
}

/// A message that is due, as its lane sees it.
#[derive(Debug, Clone)]
pub struct OutboxRow {
    /// Its id.
    pub message_id: MessageId,
    /// What it asks.
    pub kind: MessageKind,
    /// `queued` or `in_doubt`.
    pub state: DeliveryState,
    /// The exact bytes.
    pub body: Bytes,
    /// Content type.
    pub content_type: String,
    /// Mapping that made it.
    pub mapping: String,
    /// Conversation of the request behind it.
    pub conversation_id: ConversationId,
    /// Trace parent of the request behind it.
    pub traceparent: Option<String>,
    /// Attempts spent so far.
    pub attempts: u32,
    /// When the first spent attempt began.
    pub first_attempt_at: Option<Timestamp>,
}

/// One attempt, for the record.
#[derive(Debug, Clone)]
pub struct AttemptRecord {
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
    /// The outcome's word.
    pub outcome: &'static str,
    /// HTTP status, when one was read.
    pub http_status: Option<u16>,
    /// The broker's answer (bounded), kept as evidence.
    pub reply: Option<(String, Bytes)>,
    /// Version of the mapping that read the answer.
    pub mapping_version: Option<String>,
    /// Until when the broker asked to be left alone; nothing is sent to it before, over restarts.
    pub held_until: Option<Timestamp>,
}

/// A broker's wish to be left alone for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrokerHold {
    /// When it was uttered, by our clock.
    pub at: Timestamp,
    /// When it ends.
    pub until: Timestamp,
}

impl AttemptRecord {
    /// An attempt that a decision or a fault of ours ended at this moment: nothing was answered.
    pub fn ours(at: Timestamp, outcome: &'static str) -> Self {
        Self { started_at: at, finished_at: at, outcome, http_status: None, reply: None, mapping_version: None, held_until: None }
    }
}

/// How an attempt leaves its message.
#[derive(Debug, Clone)]
pub enum Settlement {
    /// The broker has it. References and facts of the reply are applied in the same commit.
    Delivered {
        /// References that the reply gave (conversation, job, MRN).
        references: Vec<(ReferenceKind, String)>,
        /// Facts that the reply told.
        facts: Vec<Fact>,
    },
    /// Not taken; try again. `spent` says whether this attempt counts.
    Retry {
        /// When.
        due_at: Timestamp,
        /// Whether it counts as an attempt.
        spent: bool,
    },
    /// Unknown outcome; the same bytes go again under the same id when due.
    InDoubt {
        /// When.
        due_at: Timestamp,
    },
    /// Given up.
    Dead {
        /// Why.
        reason: DeadReason,
        /// Facts that tell more (a refusal's reasons), applied in the same commit.
        facts: Vec<Fact>,
    },
}

/// A notice as it came.
#[derive(Debug, Clone)]
pub struct NewNotice {
    /// Its id.
    pub notice_id: NoticeId,
    /// Broker whose channel it came by.
    pub broker: String,
    /// `callback`, `reply` or `poll`.
    pub via: &'static str,
    /// Repeats of one key are dropped (per broker).
    pub dedupe_key: [u8; 32],
    /// Content type.
    pub content_type: String,
    /// The exact bytes.
    pub body: Bytes,
    /// The broker's conversation id (header), when given.
    pub conversation: Option<String>,
    /// When it came.
    pub received_at: Timestamp,
}

/// A stored notice that is to be read.
#[derive(Debug, Clone)]
pub struct NoticeRow {
    /// Its id.
    pub notice_id: NoticeId,
    /// Broker.
    pub broker: String,
    /// Content type.
    pub content_type: String,
    /// The exact bytes.
    pub body: Bytes,
    /// The broker's conversation id (header), when given.
    pub conversation: Option<String>,
    /// When it came.
    pub received_at: Timestamp,
}

/// What reading a notice gave.
#[derive(Debug, Clone)]
pub enum Reading {
    /// Not the format; parked with a reason code and shown.
    Unreadable {
        /// Reason code.
        reason: &'static str,
        /// Version that could not read it; none when the fault was ours.
        mapping_version: Option<String>,
    },
    /// Facts, read by a mapping version.
    Facts {
        /// Version that read it.
        mapping_version: String,
        /// The facts.
        facts: Vec<Fact>,
    },
}

/// What became of a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoticeResult {
    /// At least one fact changed something.
    Applied,
    /// Known items, nothing changed (late, repeated, a note).
    Recorded,
    /// No item is known for it yet.
    Orphan,
    /// Could not be read.
    Unreadable,
    /// Nothing but unknown codes.
    UnknownCode,
}

impl NoticeResult {
    /// Every result.
    pub const ALL: [Self; 5] = [Self::Applied, Self::Recorded, Self::Orphan, Self::Unreadable, Self::UnknownCode];

    /// The word in tables, lists and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Recorded => "recorded",
            Self::Orphan => "orphan",
            Self::Unreadable => "unreadable",
            Self::UnknownCode => "unknown_code",
        }
    }

    /// The result of a word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|result| result.as_str() == word)
    }
}

/// How storing a notice went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// It was stored before; nothing was added.
    pub duplicate: bool,
}
