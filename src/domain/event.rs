//! What a post is told: one CloudEvents 1.0 JSON per change, the same in feed, stream and webhook.

use serde::Serialize;

use super::delivery::{DeadReason, MessageKind};
use super::emsevt::{self, Proposal, RetentionReasons};
use super::fact::{AnswerResult, Charge, DocumentRequest, Fact, Reason, ReferenceKind, Status, Track};
use super::ids::{DeclarationId, EventId, FilingId, S10};
use super::merge::{Change, FilingState};
use super::time::{Date, Timestamp, rfc3339};

/// What happened to a filing, from which an event is made.
#[derive(Debug, Clone)]
pub enum Happening<'a> {
    /// A fact changed something.
    Fact {
        /// The fact.
        fact: &'a Fact,
        /// What it changed.
        change: &'a Change,
    },
    /// A message was given up.
    Dead(DeadReason),
    /// No answer within the expected time.
    Overdue,
}

/// The filing an event is about.
#[derive(Debug, Clone)]
pub struct Subject<'a> {
    /// Declaration.
    pub declaration_id: DeclarationId,
    /// Item.
    pub item_id: S10,
    /// Posting date.
    pub posted_on: Date,
    /// Version of the declaration.
    pub version: u32,
    /// Filing.
    pub filing_id: FilingId,
    /// Broker.
    pub broker: &'a str,
    /// State after the change.
    pub state: &'a FilingState,
    /// Known references.
    pub references: &'a [(ReferenceKind, String)],
    /// Whether the item's arrival (EMD) was told to us.
    pub arrived: bool,
    /// The post's retention reasons.
    pub reasons: &'a RetentionReasons,
}

/// An event, ready to be kept.
#[derive(Debug, Clone)]
pub struct Event {
    /// Its id; `webhook-id` too.
    pub id: EventId,
    /// Its type, for example `clearance.released`.
    pub kind: String,
    /// The CloudEvents JSON.
    pub json: String,
}

#[derive(Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: EventId,
    source: String,
    #[serde(rename = "type")]
    kind: &'a str,
    subject: S10,
    time: String,
    datacontenttype: &'static str,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    declaration_id: DeclarationId,
    item_id: S10,
    posted_on: Date,
    version: u32,
    filing_id: FilingId,
    track: Track,
    status: Status,
    previous: Status,
    occurred_at: String,
    received_at: String,
    broker: &'a str,
    references: Vec<ReferenceJson<'a>>,
    reasons: &'a [Reason],
    charges: &'a [Charge],
    documents: &'a [DocumentRequest],
    deadline: Option<Timestamp>,
    open: &'a [super::fact::Requirement],
    raw: Raw<'a>,
    emsevt: Vec<Proposal>,
}

/// A reference as answers and events show it.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ReferenceJson<'a> {
    /// Kind.
    #[serde(rename = "type")]
    pub kind: ReferenceKind,
    /// Value.
    pub value: &'a str,
}

#[derive(Serialize)]
struct Raw<'a> {
    code: Option<&'a str>,
}

/// The event of a happening; `None` when it is none (a cancellation that was taken is told by the status `cancelled`).
pub fn build(subject: &Subject<'_>, happening: &Happening<'_>, received_at: Timestamp) -> Option<Event> {
    let kind = kind_of(subject.state, happening)?;
    let id = EventId::new();
    let empty = Fact::default();
    let (fact, previous) = match happening {
        Happening::Fact { fact, change: Change::Status { previous, .. } } => (*fact, *previous),
        Happening::Fact { fact, .. } => (*fact, subject.state.status),
        Happening::Dead(_) | Happening::Overdue => (&empty, subject.state.status),
    };
    let tells_tracking = matches!(happening, Happening::Fact { change: Change::Status { .. } | Change::Requirements, .. });
    let emsevt = if tells_tracking {
        emsevt::propose(subject.state.track, subject.state.status, subject.arrived, subject.reasons)
    } else {
        Vec::new()
    };
    let event = CloudEvent {
        specversion: "1.0",
        id,
        source: format!("/brokers/{}", subject.broker),
        kind: &kind,
        subject: subject.item_id,
        time: rfc3339(received_at),
        datacontenttype: "application/json",
        data: Data {
            declaration_id: subject.declaration_id,
            item_id: subject.item_id,
            posted_on: subject.posted_on,
            version: subject.version,
            filing_id: subject.filing_id,
            track: subject.state.track,
            status: subject.state.status,
            previous,
            occurred_at: rfc3339(fact.occurred_at.unwrap_or(received_at)),
            received_at: rfc3339(received_at),
            broker: subject.broker,
            references: subject.references.iter().map(|(kind, value)| ReferenceJson { kind: *kind, value }).collect(),
            reasons: &fact.reasons,
            charges: &fact.charges,
            documents: &fact.documents,
            deadline: fact.deadline,
            open: &subject.state.open,
            raw: Raw { code: fact.code.as_deref() },
            emsevt,
        },
    };
    let json = serde_json::to_string(&event).ok()?;
    Some(Event { id, kind, json })
}

fn kind_of(state: &FilingState, happening: &Happening<'_>) -> Option<String> {
    let status = || format!("{}.{}", state.track, state.status.as_str());
    Some(match happening {
        Happening::Fact { change: Change::Status { .. } | Change::Requirements, .. } => status(),
        Happening::Fact { change: Change::Refused, .. } | Happening::Dead(DeadReason::Refused) => "delivery.refused".to_owned(),
        Happening::Fact { change: Change::Answered { kind, result }, .. } => match (kind, result) {
            (MessageKind::Amendment, AnswerResult::Accepted) => "amendment.accepted".to_owned(),
            (MessageKind::Amendment, AnswerResult::Rejected) => "amendment.rejected".to_owned(),
            (MessageKind::Cancellation, AnswerResult::Rejected) => "cancellation.rejected".to_owned(),
            (MessageKind::Presentation, AnswerResult::Rejected) => "presentation.rejected".to_owned(),
            _ => return None,
        },
        Happening::Dead(DeadReason::Exhausted | DeadReason::Unresolved) => "delivery.dead".to_owned(),
        Happening::Overdue => format!("{}.overdue", state.track),
    })
}

/// Every event type, for subscriptions to be checked against.
pub fn is_known_type(kind: &str) -> bool {
    const FIXED: &[&str] = &[
        "amendment.accepted",
        "amendment.rejected",
        "cancellation.rejected",
        "presentation.rejected",
        "delivery.refused",
        "delivery.dead",
        "webhook.test",
    ];
    let of_track = |track: Track, rest: &str| rest == "overdue" || Status::parse(track, rest).is_some();
    FIXED.contains(&kind)
        || kind.split_once('.').is_some_and(|(track, rest)| Track::parse(track).is_some_and(|track| of_track(track, rest)))
}
