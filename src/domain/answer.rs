//! The object that answers "what became of this declaration?": of the 202, of every GET.

use serde::Serialize;

use super::delivery::{DeliveryState, MessageKind};
use super::event::ReferenceJson;
use super::fact::{ReferenceKind, Requirement, Status, Track};
use super::fault::Fault;
use super::ids::{ConversationId, DeclarationId, FilingId, S10};
use super::merge::FilingState;
use super::time::{Date, rfc3339};

/// One filing, as known.
#[derive(Debug, Clone)]
pub struct FilingView {
    /// Id.
    pub filing_id: FilingId,
    /// Track.
    pub track: Track,
    /// Broker.
    pub broker: String,
    /// Routing rule; 0 when the sender chose.
    pub rule: u32,
    /// Why that broker.
    pub why: String,
    /// Delivery state of its newest message.
    pub delivery: DeliveryState,
    /// Reason of that state (`refused`, `transport`, …).
    pub reason: Option<String>,
    /// State of the track.
    pub state: FilingState,
    /// Known references.
    pub references: Vec<(ReferenceKind, String)>,
}

/// One step of the history.
#[derive(Debug, Clone, Serialize)]
pub struct HistoryEntry {
    /// Event id.
    pub event: String,
    /// Event type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Authority's time, else ours.
    pub occurred_at: String,
    /// When we learned it.
    pub received_at: String,
}

/// What was asked for after the declaration: an amendment, a cancellation, a presentation.
#[derive(Debug, Clone, Serialize)]
pub struct ChangeJson {
    /// Filing.
    pub filing_id: FilingId,
    /// What it asks for.
    pub kind: MessageKind,
    /// Version of the declaration that it speaks for.
    pub version: u32,
    /// `waiting`, `prepared` (it became messages), `refused`, `withdrawn`.
    pub state: String,
    /// What it waits for, or why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when it is in this state.
    pub since: String,
}

/// A declaration with its three states.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Id.
    pub declaration_id: DeclarationId,
    /// Item.
    pub item_id: S10,
    /// Posting date.
    pub posted_on: Date,
    /// Version.
    pub version: u32,
    /// Conversation of the request that made it.
    pub conversation_id: ConversationId,
    /// Its filings.
    pub filings: Vec<FilingView>,
    /// Warnings of intake.
    pub warnings: Vec<Fault>,
}

#[derive(Serialize)]
struct RouteJson<'a> {
    rule: u32,
    why: &'a str,
}

#[derive(Serialize)]
struct DeliveryJson<'a> {
    state: DeliveryState,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

#[derive(Serialize)]
struct ClearanceJson<'a> {
    status: Status,
    since: String,
    open: &'a [Requirement],
}

#[derive(Serialize)]
struct SecurityJson {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
}

#[derive(Serialize)]
struct FilingJson<'a> {
    filing_id: FilingId,
    track: Track,
    broker: &'a str,
    route: RouteJson<'a>,
    delivery: DeliveryJson<'a>,
    status: Status,
    since: String,
    open: &'a [Requirement],
    references: Vec<ReferenceJson<'a>>,
}

#[derive(Serialize)]
struct AnswerJson<'a> {
    declaration_id: DeclarationId,
    item_id: S10,
    posted_on: Date,
    version: u32,
    broker: Option<&'a str>,
    route: Option<RouteJson<'a>>,
    delivery: Option<DeliveryJson<'a>>,
    clearance: Option<ClearanceJson<'a>>,
    security: SecurityJson,
    filings: Vec<FilingJson<'a>>,
    conversation_id: ConversationId,
    warnings: &'a [Fault],
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<&'a [ChangeJson]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<&'a [HistoryEntry]>,
}

impl FilingView {
    fn route(&self) -> RouteJson<'_> {
        RouteJson { rule: self.rule, why: &self.why }
    }

    fn delivery(&self) -> DeliveryJson<'_> {
        DeliveryJson { state: self.delivery, reason: self.reason.as_deref() }
    }

    fn json(&self) -> FilingJson<'_> {
        FilingJson {
            filing_id: self.filing_id,
            track: self.track,
            broker: &self.broker,
            route: self.route(),
            delivery: self.delivery(),
            status: self.state.status,
            since: rfc3339(self.state.since),
            open: &self.state.open,
            references: self.references.iter().map(|(kind, value)| ReferenceJson { kind: *kind, value }).collect(),
        }
    }
}

impl Answer {
    /// The JSON of the 202 answer.
    pub fn to_json(&self) -> String {
        self.render(None, None)
    }

    /// The JSON of a GET, with what happened so far.
    pub fn to_json_with_history(&self, history: &[HistoryEntry], changes: &[ChangeJson]) -> String {
        self.render(Some(history), Some(changes))
    }

    fn render(&self, history: Option<&[HistoryEntry]>, changes: Option<&[ChangeJson]>) -> String {
        let of_track = |track: Track| self.filings.iter().find(|filing| filing.track == track);
        let main = of_track(Track::Clearance).or(self.filings.first());
        let security = of_track(Track::Security);
        let answer = AnswerJson {
            declaration_id: self.declaration_id,
            item_id: self.item_id,
            posted_on: self.posted_on,
            version: self.version,
            broker: main.map(|filing| filing.broker.as_str()),
            route: main.map(FilingView::route),
            delivery: main.map(FilingView::delivery),
            clearance: of_track(Track::Clearance).map(|filing| ClearanceJson {
                status: filing.state.status,
                since: rfc3339(filing.state.since),
                open: &filing.state.open,
            }),
            security: SecurityJson {
                status: security.map_or("none", |filing| filing.state.status.as_str()),
                since: security.map(|filing| rfc3339(filing.state.since)),
            },
            filings: self.filings.iter().map(FilingView::json).collect(),
            conversation_id: self.conversation_id,
            warnings: &self.warnings,
            changes,
            history,
        };
        serde_json::to_string(&answer).unwrap_or_default()
    }
}
