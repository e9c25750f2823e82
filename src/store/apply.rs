//! PROVISIONAL seam until domain::merge lands.
use serde::{Deserialize, Serialize};
use crate::domain::clearance::ClearanceStatus;
use crate::domain::delivery::DeadReason;
use crate::domain::fact::{Fact, ReferenceKind, Status, Track};
use crate::domain::ids::{DeclarationId, EventId, FilingId};
use crate::domain::security::SecurityStatus;
use crate::domain::time::{Date, Timestamp};
use super::options::RetentionReasons;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FilingState { pub status: Option<Status>, pub at: Option<Timestamp> }

pub(super) struct FilingRow {
    pub(super) post: String, pub(super) declaration_id: DeclarationId, pub(super) item_id: String, pub(super) posted_on: Date, pub(super) version: u32,
    pub(super) arrived: bool, pub(super) filing_id: FilingId, pub(super) track: Track, pub(super) broker: String, pub(super) state: FilingState,
    pub(super) references: Vec<(ReferenceKind, String)>,
}
impl FilingRow {
    pub(super) fn status_word(&self) -> Option<&'static str> { self.state.status.map(Status::as_str) }
    pub(super) fn is_cancelled(&self) -> bool { self.status_word() == Some("cancelled") }
}
pub(super) struct Draft { pub(super) event_id: EventId, pub(super) event_type: String, pub(super) status: Option<String>, pub(super) occurred_at: Option<Timestamp>, pub(super) json: String }
pub(super) struct Change { pub(super) changed: bool, pub(super) drafts: Vec<Draft> }
pub(super) fn submitted(track: Track) -> Fact {
    let status = match track { Track::Security => Status::Security(SecurityStatus::Submitted), _ => Status::Clearance(ClearanceStatus::Submitted) };
    Fact { track, status: Some(status), ..Fact::default() }
}
fn rank(s: Option<Status>) -> i32 { match s { None => -1, Some(Status::Clearance(c)) => ClearanceStatus::ALL.iter().position(|x| *x == c).unwrap_or(0) as i32, Some(Status::Security(c)) => SecurityStatus::ALL.iter().position(|x| *x == c).unwrap_or(0) as i32 } }
pub(super) fn merge_fact(filing: &mut FilingRow, fact: &Fact, _at: Timestamp, _r: &RetentionReasons) -> Change {
    let up = fact.status.is_some() && rank(fact.status) > rank(filing.state.status);
    if !up { return Change { changed: false, drafts: vec![] } }
    filing.state.status = fact.status;
    let id = EventId::new();
    let t = format!("{}.{}", filing.track.as_str(), filing.status_word().unwrap_or(""));
    Change { changed: true, drafts: vec![Draft { event_id: id, json: format!("{{\"id\":\"{id}\",\"type\":\"{t}\"}}"), event_type: t, status: filing.status_word().map(str::to_owned), occurred_at: fact.occurred_at }] }
}
pub(super) fn delivery_ended(_f: &FilingRow, reason: DeadReason, _facts: &[Fact], _at: Timestamp, _r: &RetentionReasons) -> Draft {
    let id = EventId::new();
    let t = if reason == DeadReason::Refused { "delivery.refused" } else { "delivery.dead" };
    Draft { event_id: id, event_type: t.into(), status: None, occurred_at: None, json: format!("{{\"id\":\"{id}\",\"type\":\"{t}\"}}") }
}
