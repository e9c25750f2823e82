//! Decisions of the domain applied to rows: which state a fact leaves, which events it makes.
//!
//! Shared by every backend, and free of SQL: the statements around it carry rows in and out.

use std::borrow::Cow;

use super::options::RetentionReasons;
use crate::domain::clearance::ClearanceStatus;
use crate::domain::delivery::{DeadReason, MessageKind};
use crate::domain::event::{self, Event, Happening, Subject};
use crate::domain::fact::{AnswerResult, Answers, Fact, ReferenceKind, Status, Track};
use crate::domain::ids::{DeclarationId, EventId, FilingId, S10};
use crate::domain::merge::{self, Change, FilingState};
use crate::domain::security::SecurityStatus;
use crate::domain::time::{Date, Timestamp};

/// A filing with all that its events tell.
pub(super) struct FilingRow {
    pub(super) post: String,
    pub(super) declaration_id: DeclarationId,
    pub(super) item_id: String,
    pub(super) posted_on: Date,
    pub(super) version: u32,
    pub(super) arrived: bool,
    pub(super) filing_id: FilingId,
    pub(super) track: Track,
    pub(super) broker: String,
    pub(super) created_at: Timestamp,
    pub(super) state: FilingState,
    pub(super) references: Vec<(ReferenceKind, String)>,
}

impl FilingRow {
    pub(super) fn status_word(&self) -> &'static str {
        self.state.status.as_str()
    }

    /// Whether the broker has the filing and customs has not decided anything about it.
    pub(super) fn awaits_decision(&self) -> bool {
        matches!(
            self.state.status,
            Status::Clearance(ClearanceStatus::Submitted | ClearanceStatus::Registered)
                | Status::Security(SecurityStatus::Submitted | SecurityStatus::Registered)
        )
    }

    pub(super) fn is_rejected(&self) -> bool {
        matches!(self.state.status, Status::Clearance(ClearanceStatus::Rejected) | Status::Security(SecurityStatus::Rejected))
    }

    pub(super) fn is_cancelled(&self) -> bool {
        matches!(self.state.status, Status::Clearance(ClearanceStatus::Cancelled) | Status::Security(SecurityStatus::Cancelled))
    }

    fn draft(&self, happening: &Happening<'_>, at: Timestamp, reasons: &RetentionReasons) -> Option<Draft> {
        let subject = Subject {
            declaration_id: self.declaration_id,
            item_id: S10::parse(&self.item_id)?,
            posted_on: self.posted_on,
            version: self.version,
            filing_id: self.filing_id,
            broker: &self.broker,
            state: &self.state,
            references: &self.references,
            arrived: self.arrived,
            reasons,
        };
        let Event { id, kind, json } = event::build(&subject, happening, at)?;
        let (status, occurred_at, decided) = match happening {
            Happening::Fact { fact, change } => (Some(self.status_word()), fact.occurred_at, is_first_decision(change)),
            Happening::Dead(_) | Happening::Overdue => (None, None, false),
        };
        Some(Draft { event_id: id, event_type: kind, status, occurred_at, json, decided })
    }
}

/// Whether customs speaks for the first time: accepted or more, from less than that.
fn is_first_decision(change: &Change) -> bool {
    match change {
        Change::Status { previous: Status::Clearance(previous), new: Status::Clearance(new) } => {
            *previous < ClearanceStatus::Accepted && *new >= ClearanceStatus::Accepted
        }
        Change::Status { previous: Status::Security(previous), new: Status::Security(new) } => {
            *previous <= SecurityStatus::Registered && *new > SecurityStatus::Registered
        }
        _ => false,
    }
}

/// An event that has no position yet.
pub(super) struct Draft {
    pub(super) event_id: EventId,
    pub(super) event_type: String,
    pub(super) status: Option<&'static str>,
    pub(super) occurred_at: Option<Timestamp>,
    pub(super) json: String,
    pub(super) decided: bool,
}

/// What a fact did to a filing.
pub(super) struct Applied {
    /// The state has to be written.
    pub(super) changed: bool,
    /// Events, in order.
    pub(super) drafts: Vec<Draft>,
    /// The additional message that customs did not accept.
    pub(super) turned_down: Option<MessageKind>,
}

/// The fact of a delivery: the broker has the declaration.
pub(super) fn submitted(track: Track) -> Fact {
    let status = match track {
        Track::Security => Status::Security(SecurityStatus::Submitted),
        Track::Clearance | Track::Export => Status::Clearance(ClearanceStatus::Submitted),
    };
    Fact { track, status: Some(status), ..Fact::default() }
}

/// A fact about a message that it names by our reference: a rejection, or an answer to whichever is open, is that message's.
pub(super) fn about(kind: MessageKind, fact: &Fact) -> Cow<'_, Fact> {
    let named = match kind {
        MessageKind::Amendment => Answers::Amendment,
        MessageKind::Cancellation => Answers::Cancellation,
        MessageKind::Presentation => Answers::Presentation,
        MessageKind::Declaration | MessageKind::Answer | MessageKind::Query => return Cow::Borrowed(fact),
    };
    let open = fact.answers == Some(Answers::Any) || fact.answers.is_none() && fact.is_rejection();
    if fact.lrn.is_some() && open { Cow::Owned(Fact { answers: Some(named), ..fact.clone() }) } else { Cow::Borrowed(fact) }
}

/// Merges a fact into a filing.
pub(super) fn merge_fact(filing: &mut FilingRow, fact: &Fact, at: Timestamp, reasons: &RetentionReasons) -> Applied {
    let merged = merge::merge(&filing.state, fact, at);
    let changed = merged.state != filing.state;
    filing.state = merged.state;
    let drafts = merged.changes.iter().filter_map(|change| filing.draft(&Happening::Fact { fact, change }, at, reasons)).collect();
    let turned_down = merged.changes.iter().find_map(|change| match change {
        Change::Answered { kind, result: AnswerResult::Rejected } => Some(*kind),
        _ => None,
    });
    Applied { changed, drafts, turned_down }
}

/// The event of a change that was made without merging.
pub(super) fn told(filing: &FilingRow, fact: &Fact, change: &Change, at: Timestamp, reasons: &RetentionReasons) -> Option<Draft> {
    filing.draft(&Happening::Fact { fact, change }, at, reasons)
}

/// The event of a message that was given up or refused. Reasons of a refusal come with the facts.
pub(super) fn delivery_ended(
    filing: &FilingRow,
    reason: DeadReason,
    facts: &[Fact],
    at: Timestamp,
    reasons: &RetentionReasons,
) -> Option<Draft> {
    let refusal = facts.iter().find(|fact| reason == DeadReason::Refused && fact.track == filing.track);
    match refusal {
        Some(fact) => filing.draft(&Happening::Fact { fact, change: &Change::Refused }, at, reasons),
        None => filing.draft(&Happening::Dead(reason), at, reasons),
    }
}

/// The event of a filing that customs has not answered in time.
pub(super) fn overdue(filing: &FilingRow, at: Timestamp, reasons: &RetentionReasons) -> Option<Draft> {
    filing.draft(&Happening::Overdue, at, reasons)
}
