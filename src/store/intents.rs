//! Intents as values: what a post wants, what `prepare` sees of it, and what it made of it (ADR 0006).

use bytes::Bytes;

use super::types::{IdempotencyKey, NewMessage};
use crate::domain::delivery::MessageKind;
use crate::domain::fact::{Reason, Track};
use crate::domain::ids::{ConversationId, DeclarationId, FilingId, IntentId, S10};
use crate::domain::intent::{Becomes, ReasonCode, Refusal, Standing, Waits};
use crate::domain::time::{Date, Timestamp};

/// Why a post amends or cancels.
#[derive(Debug, Clone)]
pub struct WantedReason {
    /// Code.
    pub code: ReasonCode,
    /// In the post's words; for the broker, never for a log.
    pub text: Option<String>,
}

/// An amendment or cancellation of a declaration, one intent for each filing.
#[derive(Debug, Clone)]
pub struct NewIntent {
    /// Tenant.
    pub post: String,
    /// Declaration.
    pub declaration_id: DeclarationId,
    /// Amendment or cancellation.
    pub kind: MessageKind,
    /// Newest version of the declaration when this was made; another in between means to look again.
    pub version: u32,
    /// The new version, of an amendment.
    pub amended: Option<Amended>,
    /// Why.
    pub reason: WantedReason,
    /// Conversation of the request.
    pub conversation_id: ConversationId,
    /// W3C trace parent of the request.
    pub traceparent: Option<String>,
    /// When it came.
    pub received_at: Timestamp,
    /// Client's key, when given.
    pub key: Option<IdempotencyKey>,
    /// The exact bytes of the 202 answer.
    pub answer: Bytes,
    /// The filings that are to follow, with their brokers.
    pub filings: Vec<(FilingId, String)>,
}

/// A new version of a declaration.
#[derive(Debug, Clone)]
pub struct Amended {
    /// The body as it came.
    pub body: Bytes,
    /// Hash of the content.
    pub content_hash: [u8; 32],
    /// Warnings as a JSON array.
    pub warnings_json: String,
}

/// How the commit of an amendment or cancellation went.
#[derive(Debug, Clone)]
pub enum Wanted {
    /// Durable now.
    Stored,
    /// It was asked for before: its answer, byte for byte.
    Replay(Bytes),
    /// The key was used for another body.
    KeyReused,
    /// The declaration changed meanwhile: look again.
    Changed,
}

/// An intent that is to be looked at, with all that its message is made of.
#[derive(Debug, Clone)]
pub struct IntentRow {
    /// Its id.
    pub intent_id: IntentId,
    /// Kind of the message that it becomes.
    pub kind: MessageKind,
    /// Tenant.
    pub post: String,
    /// Declaration.
    pub declaration_id: DeclarationId,
    /// Filing.
    pub filing_id: FilingId,
    /// Track.
    pub track: Track,
    /// Broker.
    pub broker: String,
    /// S10 of the item.
    pub item_id: S10,
    /// Posting date.
    pub posted_on: Date,
    /// Version that it speaks for.
    pub version: u32,
    /// Body of that version, as it came.
    pub body: Bytes,
    /// Body of the version that the broker has.
    pub previous: Option<Bytes>,
    /// What the closed consignment says of the transport, as JSON.
    pub transport: Option<String>,
    /// Why.
    pub reason: Option<(String, Option<String>)>,
    /// Authority's reference, when known.
    pub mrn: Option<String>,
    /// LRN of the message that a query is about.
    pub about: Option<String>,
    /// Where its filing stands.
    pub standing: Standing,
    /// Whether an earlier intent of the filing waits.
    pub is_behind: bool,
    /// Counter of the next LRN.
    pub next_lrn: u16,
    /// Conversation of the request.
    pub conversation_id: ConversationId,
    /// Trace parent of the request.
    pub traceparent: Option<String>,
    /// Grows whenever something of its filing changes.
    pub looks: i64,
}

/// What `prepare` made of an intent.
#[derive(Debug, Clone)]
pub enum Prepared {
    /// It waits; looked at again when its filing changes, and at that time.
    Waits {
        /// For what.
        why: Waits,
        /// When too.
        look_at: Option<Timestamp>,
    },
    /// Messages, for a decision that has to hold still.
    Made {
        /// [`Becomes::Original`] or [`Becomes::Message`].
        becomes: Becomes,
        /// In the order in which they are sent.
        messages: Vec<NewMessage>,
        /// Whether an arrival that is known already has to be told after it.
        presents: bool,
    },
    /// Cancelled by us.
    Cancelled,
    /// Refused; the post is told with these reasons.
    Refused {
        /// Why.
        why: Refusal,
        /// Faults.
        reasons: Vec<Reason>,
    },
    /// Not needed any more.
    Dropped,
}

/// How an intent's commit went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntentResult {
    /// Durable now.
    Done,
    /// Its filing changed meanwhile, or an LRN is taken: look at it again.
    Changed,
}

/// How the message of an intent would be judged by the store: what [`crate::domain::intent::decide`] needs beside the rows.
#[derive(Debug, Clone, Copy)]
pub struct Means {
    /// Whether the mapping has a message of the intent's kind.
    pub makes: bool,
    /// How long an answer to an earlier follow-up is waited for.
    pub patience: std::time::Duration,
}

/// What a consignment says.
#[derive(Debug, Clone)]
pub struct NewConsignment {
    /// Tenant.
    pub post: String,
    /// Its id.
    pub consignment_id: String,
    /// `dispatch`, `mawb` or `bulk`.
    pub kind: String,
    /// Transport as JSON.
    pub transport: String,
    /// Items that travel in it.
    pub items: Vec<ConsignmentItem>,
    /// Nothing is added any more: messages can be completed.
    pub closed: bool,
    /// Brokers that are to be told of an arrival, should it have arrived already.
    pub presenting: Vec<String>,
    /// When it came.
    pub received_at: Timestamp,
}

/// An item of a consignment.
#[derive(Debug, Clone)]
pub struct ConsignmentItem {
    /// S10.
    pub item_id: S10,
    /// Posting date.
    pub posted_on: Date,
    /// Receptacle.
    pub receptacle_id: Option<String>,
}

/// A consignment as it stands.
#[derive(Debug, Clone)]
pub struct ConsignmentView {
    /// `dispatch`, `mawb` or `bulk`.
    pub kind: String,
    /// Transport as JSON.
    pub transport: String,
    /// Whether it is closed.
    pub closed: bool,
    /// When it arrived.
    pub arrived_at: Option<Timestamp>,
    /// Items with their declaration, where there is one.
    pub items: Vec<(ConsignmentItem, Option<DeclarationId>)>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it changed last.
    pub changed_at: Timestamp,
}

/// An intent as a post sees it.
#[derive(Debug, Clone)]
pub struct IntentView {
    /// Filing.
    pub filing_id: FilingId,
    /// Kind of the message that it becomes.
    pub kind: MessageKind,
    /// Version that it speaks for.
    pub version: u32,
    /// `waiting`, `prepared`, `refused`, `withdrawn`.
    pub state: String,
    /// What it waits for, or why it was refused.
    pub why: Option<String>,
    /// When it came.
    pub created_at: Timestamp,
    /// When it ended.
    pub settled_at: Option<Timestamp>,
}
