//! What is shown of a declaration and its messages: plain records, read in one snapshot.
//!
//! How they become the JSON of an answer is for the domain; here is what is known, times and all.

use bytes::Bytes;

use super::intents::IntentView;
use super::types::NoticeResult;
use crate::domain::answer::FilingView;
use crate::domain::delivery::{DeadReason, DeliveryState, MessageKind};
use crate::domain::fact::{ReferenceKind, Track};
use crate::domain::ids::{ConversationId, DeclarationId, EventId, FilingId, MessageId, NoticeId, S10};
use crate::domain::intent::Sent;
use crate::domain::time::{Date, Timestamp};

use crate::domain::merge::FilingState;

/// A declaration with everything that its `GET` tells.
#[derive(Debug, Clone)]
pub struct DeclarationView {
    /// Tenant.
    pub post: String,
    /// Its id.
    pub declaration_id: DeclarationId,
    /// S10 of the item.
    pub item_id: S10,
    /// Posting date.
    pub posted_on: Date,
    /// Newest version.
    pub version: u32,
    /// Body of the newest version, as it came.
    pub body: Bytes,
    /// Warnings of the newest version as a JSON array.
    pub warnings_json: String,
    /// Conversation of the newest version's request.
    pub conversation_id: ConversationId,
    /// When the newest version came.
    pub received_at: Timestamp,
    /// When the item arrived (EMD), if it was told.
    pub arrived_at: Option<Timestamp>,
    /// Its filings.
    pub filings: Vec<FilingRecord>,
    /// Its events so far, oldest first.
    pub history: Vec<HistoryEntry>,
    /// What was asked for since, oldest first.
    pub intents: Vec<IntentView>,
    /// What its closed consignment says of the transport, as JSON.
    pub transport: Option<String>,
}

/// A filing as it stands.
#[derive(Debug, Clone)]
pub struct FilingRecord {
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
    /// When it was made.
    pub created_at: Timestamp,
    /// What the notices added up to.
    pub state: FilingState,
    /// State of its first unsettled message, else of its last.
    pub delivery: DeliveryState,
    /// Why that message is dead.
    pub dead_reason: Option<DeadReason>,
    /// What a filing without messages waits for.
    pub waits_for: Option<String>,
    /// Its messages in order, without status queries.
    pub messages: Vec<Sent>,
    /// References, ours first.
    pub references: Vec<(ReferenceKind, String)>,
}

impl FilingRecord {
    /// The filing as answers show it.
    pub fn view(&self) -> FilingView {
        FilingView {
            filing_id: self.filing_id,
            track: self.track,
            broker: self.broker.clone(),
            rule: self.rule,
            why: self.why.clone(),
            delivery: self.delivery,
            reason: self
                .waits_for
                .clone()
                .or_else(|| self.dead_reason.filter(|_| self.delivery == DeliveryState::Dead).map(|reason| reason.as_str().to_owned())),
            state: self.state.clone(),
            references: self.references.clone(),
        }
    }
}

/// An event of a declaration, in short.
#[derive(Debug, Clone)]
pub struct HistoryEntry {
    /// Position in the post's log.
    pub position: i64,
    /// Its id.
    pub event_id: EventId,
    /// Its type.
    pub event_type: String,
    /// The filing it is about.
    pub filing_id: FilingId,
    /// The track of that filing.
    pub track: Track,
    /// Status that it told.
    pub status: Option<String>,
    /// The authority's time.
    pub occurred_at: Option<Timestamp>,
    /// When we got to know.
    pub received_at: Timestamp,
}

/// What was sent and what came back for a declaration.
#[derive(Debug, Clone, Default)]
pub struct MessagesView {
    /// Messages, oldest first.
    pub messages: Vec<MessageView>,
    /// Notices, oldest first.
    pub notices: Vec<NoticeView>,
}

/// A message, with its attempts.
#[derive(Debug, Clone)]
pub struct MessageView {
    /// Its id.
    pub message_id: MessageId,
    /// Filings of this declaration that it covers.
    pub filing_ids: Vec<FilingId>,
    /// Its broker.
    pub broker: String,
    /// What it asks.
    pub kind: MessageKind,
    /// Its state.
    pub state: DeliveryState,
    /// Why it is dead.
    pub dead_reason: Option<DeadReason>,
    /// Content type.
    pub content_type: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256 of the bytes, hex.
    pub sha256: String,
    /// Mapping that made it.
    pub mapping: String,
    /// Version of the mapping.
    pub mapping_version: String,
    /// Our reference in it.
    pub lrn: String,
    /// The rates that its amounts were converted by, as JSON; `None` when none were.
    pub conversions: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was settled.
    pub settled_at: Option<Timestamp>,
    /// Attempts.
    pub attempts: Vec<AttemptView>,
    /// The bytes, when asked for.
    pub content: Option<Bytes>,
}

/// An attempt.
#[derive(Debug, Clone)]
pub struct AttemptView {
    /// From 1.
    pub number: u32,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
    /// The outcome's word.
    pub outcome: String,
    /// HTTP status, when one was read.
    pub http_status: Option<u16>,
    /// Whether it counts towards giving up.
    pub spent: bool,
    /// The broker's answer among the notices.
    pub notice_id: Option<NoticeId>,
}

/// A notice.
#[derive(Debug, Clone)]
pub struct NoticeView {
    /// Its id.
    pub notice_id: NoticeId,
    /// The message that it was known by.
    pub message_id: MessageId,
    /// Broker whose channel it came by.
    pub broker: String,
    /// `callback`, `reply` or `poll`.
    pub via: String,
    /// Content type.
    pub content_type: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256 of the bytes, hex.
    pub sha256: String,
    /// When it came.
    pub received_at: Timestamp,
    /// What became of it; none while it waits to be read.
    pub result: Option<NoticeResult>,
    /// Reason code, when it could not be read.
    pub reason: Option<String>,
    /// Version of the mapping that read it.
    pub mapping_version: Option<String>,
    /// The bytes, when asked for.
    pub content: Option<Bytes>,
}
