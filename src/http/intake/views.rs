//! What the store knows of a declaration, as the JSON that its post is shown.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Serialize;

use crate::domain::answer::{Answer, ChangeJson, HistoryEntry};
use crate::domain::delivery::{DeadReason, DeliveryState, MessageKind};
use crate::domain::fault::Fault;
use crate::domain::ids::{FilingId, MessageId, NoticeId};
use crate::domain::time::rfc3339;
use crate::store::{self, DeclarationView, MessagesView};

/// The JSON of `GET /v1/declarations/{id}` and `GET /v1/items/{id}`.
pub fn declaration(view: DeclarationView) -> String {
    let history: Vec<HistoryEntry> = view.history.iter().map(history_entry).collect();
    let warnings: Vec<WarningText> = serde_json::from_str(&view.warnings_json).unwrap_or_default();
    let answer = Answer {
        declaration_id: view.declaration_id,
        item_id: view.item_id,
        posted_on: view.posted_on,
        version: view.version,
        conversation_id: view.conversation_id,
        filings: view.filings.iter().map(store::FilingRecord::view).collect(),
        warnings: warnings.into_iter().map(|w| Fault::new(w.pointer, w.code, w.detail)).collect(),
    };
    let changes: Vec<ChangeJson> = view.intents.iter().map(change).collect();
    answer.to_json_with_history(&history, &changes)
}

#[derive(serde::Deserialize)]
struct WarningText {
    pointer: String,
    code: String,
    detail: String,
}

fn history_entry(entry: &store::HistoryEntry) -> HistoryEntry {
    HistoryEntry {
        event: entry.event_id.to_string(),
        kind: entry.event_type.clone(),
        occurred_at: rfc3339(entry.occurred_at.unwrap_or(entry.received_at)),
        received_at: rfc3339(entry.received_at),
    }
}

fn change(view: &store::IntentView) -> ChangeJson {
    ChangeJson {
        filing_id: view.filing_id,
        kind: view.kind,
        version: view.version,
        state: view.state.clone(),
        reason: view.why.clone(),
        since: rfc3339(view.settled_at.unwrap_or(view.created_at)),
    }
}

#[derive(Serialize)]
struct MessagesJson {
    messages: Vec<MessageJson>,
    notices: Vec<NoticeJson>,
}

#[derive(Serialize)]
struct MessageJson {
    message_id: MessageId,
    filings: Vec<FilingId>,
    broker: String,
    kind: MessageKind,
    state: DeliveryState,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<DeadReason>,
    content_type: String,
    size: u64,
    sha256: String,
    mapping: String,
    mapping_version: String,
    lrn: String,
    /// The rates that amounts were converted by.
    #[serde(skip_serializing_if = "Option::is_none")]
    conversions: Option<serde_json::Value>,
    created_at: String,
    settled_at: Option<String>,
    attempts: Vec<AttemptJson>,
    #[serde(flatten)]
    content: ContentJson,
}

#[derive(Serialize)]
struct AttemptJson {
    number: u32,
    started_at: String,
    finished_at: String,
    outcome: String,
    http_status: Option<u16>,
    spent: bool,
    notice_id: Option<NoticeId>,
}

#[derive(Serialize)]
struct NoticeJson {
    notice_id: NoticeId,
    message_id: MessageId,
    broker: String,
    via: String,
    content_type: String,
    size: u64,
    sha256: String,
    received_at: String,
    result: Option<&'static str>,
    reason: Option<String>,
    mapping_version: Option<String>,
    #[serde(flatten)]
    content: ContentJson,
}

/// The bytes: as text when they are UTF-8, else in base64.
#[derive(Default, Serialize)]
struct ContentJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_base64: Option<String>,
}

impl From<Option<Bytes>> for ContentJson {
    fn from(bytes: Option<Bytes>) -> Self {
        match bytes.map(|bytes| String::from_utf8(bytes.into())) {
            None => Self::default(),
            Some(Ok(text)) => Self { content: Some(text), content_base64: None },
            Some(Err(error)) => Self { content: None, content_base64: Some(STANDARD.encode(error.as_bytes())) },
        }
    }
}

/// The JSON of `GET /v1/declarations/{id}/messages`.
pub fn messages(view: MessagesView) -> impl Serialize {
    MessagesJson { messages: view.messages.into_iter().map(message).collect(), notices: view.notices.into_iter().map(notice).collect() }
}

fn message(view: store::MessageView) -> MessageJson {
    MessageJson {
        message_id: view.message_id,
        filings: view.filing_ids,
        broker: view.broker,
        kind: view.kind,
        state: view.state,
        reason: view.dead_reason,
        content_type: view.content_type,
        size: view.size,
        sha256: view.sha256,
        mapping: view.mapping,
        mapping_version: view.mapping_version,
        lrn: view.lrn,
        conversions: view.conversions.and_then(|json| serde_json::from_str(&json).ok()),
        created_at: rfc3339(view.created_at),
        settled_at: view.settled_at.map(rfc3339),
        attempts: view.attempts.into_iter().map(attempt).collect(),
        content: view.content.into(),
    }
}

fn attempt(view: store::AttemptView) -> AttemptJson {
    AttemptJson {
        number: view.number,
        started_at: rfc3339(view.started_at),
        finished_at: rfc3339(view.finished_at),
        outcome: view.outcome,
        http_status: view.http_status,
        spent: view.spent,
        notice_id: view.notice_id,
    }
}

fn notice(view: store::NoticeView) -> NoticeJson {
    NoticeJson {
        notice_id: view.notice_id,
        message_id: view.message_id,
        broker: view.broker,
        via: view.via,
        content_type: view.content_type,
        size: view.size,
        sha256: view.sha256,
        received_at: rfc3339(view.received_at),
        result: view.result.map(store::NoticeResult::as_str),
        reason: view.reason,
        mapping_version: view.mapping_version,
        content: view.content.into(),
    }
}
