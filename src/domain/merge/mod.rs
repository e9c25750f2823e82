//! One filing's state and how a fact changes it.
//!
//! Notices repeat, overtake one another and share a second, so a fact is ordered by (the
//! authority's issue time, rank as listed, arrival). The rules are those of the product
//! description's "Three state machines"; they hold whatever the mapping says, and no fact can move
//! a status backwards except a correction after a rejection, a marked revocation of a release, or
//! a new cycle under a new authority reference (promise P7).

use serde::{Deserialize, Serialize};

use super::clearance::ClearanceStatus as C;
use super::delivery::MessageKind;
use super::fact::{AnswerResult, Answers, Fact, Requirement, Status, Track};
use super::security::SecurityStatus as S;
use super::time::Timestamp;

/// The state of one filing, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilingState {
    /// Track.
    pub track: Track,
    /// Present status.
    pub status: Status,
    /// When the present status was reached, by our clock.
    pub since: Timestamp,
    /// The authority's issue time behind it; none when nobody gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority_at: Option<Timestamp>,
    /// Authority's reference of the present cycle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mrn: Option<String>,
    /// References of earlier cycles; their late notices change nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub past_mrns: Vec<String>,
    /// What customs waits for beside the status.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open: Vec<Requirement>,
    /// Amendments, cancellations and presentations that were sent and not answered yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unanswered: Vec<MessageKind>,
}

/// What a fact changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The status.
    Status {
        /// Before.
        previous: Status,
        /// Now.
        new: Status,
    },
    /// Requirements began or ended while the status stayed.
    Requirements,
    /// An additional message was answered.
    Answered {
        /// Which.
        kind: MessageKind,
        /// How.
        result: AnswerResult,
    },
    /// The broker refused a message technically; no customs decision.
    Refused,
}

/// Why a fact changed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Recorded {
    /// It carries no status.
    Note,
    /// Its code has no row in the mapping.
    UnknownCode,
    /// Its authority time is earlier than that of the present status.
    Late,
    /// It ranks no higher at the same time, or without a time.
    LowerRank,
    /// The filing has ended.
    Final,
    /// A release is taken back only by a marked revocation.
    NotARevocation,
    /// It belongs to an earlier authority reference.
    EarlierCycle,
    /// It says what is known.
    Repeated,
}

/// The outcome of a merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// The state to keep.
    pub state: FilingState,
    /// What changed, in order; each becomes an event.
    pub changes: Vec<Change>,
    /// Why the status did not change, when it did not.
    pub recorded: Option<Recorded>,
}

impl FilingState {
    /// The state of a filing that was just made.
    pub fn new(track: Track, now: Timestamp) -> Self {
        let status = match track {
            Track::Security => Status::Security(S::None),
            Track::Clearance | Track::Export => Status::Clearance(C::Pending),
        };
        Self { track, status, since: now, authority_at: None, mrn: None, past_mrns: Vec::new(), open: Vec::new(), unanswered: Vec::new() }
    }

    /// Whether nothing but an exception named in the rules can follow.
    pub fn is_final(&self) -> bool {
        is_final(self.status)
    }
}

/// Rank as listed in the status enums.
pub fn rank(status: Status) -> usize {
    match status {
        Status::Clearance(status) => status as usize,
        Status::Security(status) => status as usize,
    }
}

fn is_final(status: Status) -> bool {
    match status {
        Status::Clearance(status) => matches!(status, C::Cleared | C::Seized | C::Destroyed | C::Returned | C::Cancelled),
        // Loading stays stopped whatever follows, until the authority takes it back expressly.
        Status::Security(status) => matches!(status, S::DoNotLoad | S::Cancelled),
    }
}

/// Merges one fact into a filing's state. Pure; the caller keeps state, events and references.
pub fn merge(state: &FilingState, fact: &Fact, received_at: Timestamp) -> Merged {
    let mut next = state.clone();
    let mut changes = Vec::new();
    if fact.unknown_code {
        bind_mrn(&mut next, fact);
        return Merged { state: next, changes, recorded: Some(Recorded::UnknownCode) };
    }
    if fact.refused {
        return Merged { state: next, changes: vec![Change::Refused], recorded: None };
    }
    if let Some(kind) = answered(state, fact) {
        let result = fact.result.unwrap_or(if fact.is_rejection() { AnswerResult::Rejected } else { AnswerResult::Accepted });
        next.unanswered.retain(|open| *open != kind);
        changes.push(Change::Answered { kind, result });
        if fact.is_rejection() || fact.status.is_none() {
            bind_mrn(&mut next, fact);
            requirements(&mut next, fact, received_at, &mut changes);
            return Merged { state: next, changes, recorded: None };
        }
    }
    // The message that is named was answered before, or is not waited for: that says nothing of the declaration.
    if fact.is_rejection() && matches!(fact.answers, Some(Answers::Amendment | Answers::Cancellation | Answers::Presentation)) {
        return Merged { state: next, changes, recorded: Some(Recorded::Repeated) };
    }
    let recorded = match apply_status(&mut next, fact, received_at) {
        Ok(change) => {
            changes.extend(change);
            None
        }
        Err(recorded) => Some(recorded),
    };
    if recorded != Some(Recorded::EarlierCycle) {
        bind_mrn(&mut next, fact);
        requirements(&mut next, fact, received_at, &mut changes);
    }
    Merged { state: next, changes, recorded }
}

/// The additional message that a fact answers: the one it names, or, for a rejection that names none, the amendment or
/// cancellation that is unanswered; a rejection then never concerns the declaration itself. A presentation is answered only
/// where it is named: what customs rejects after an arrival is the declaration.
fn answered(state: &FilingState, fact: &Fact) -> Option<MessageKind> {
    let named = match fact.answers {
        Some(Answers::Amendment) => Some(MessageKind::Amendment),
        Some(Answers::Cancellation) => Some(MessageKind::Cancellation),
        Some(Answers::Presentation) => Some(MessageKind::Presentation),
        Some(Answers::Any) => None,
        None if fact.is_rejection() => None,
        None => return None,
    };
    match named {
        Some(kind) => state.unanswered.contains(&kind).then_some(kind),
        None => state.unanswered.iter().copied().find(|kind| *kind != MessageKind::Presentation),
    }
    // A word that only registers the additional message does not settle it.
    .filter(|_| fact.result.is_some() || fact.is_rejection())
}

/// The first notice that names an authority reference binds it.
fn bind_mrn(state: &mut FilingState, fact: &Fact) {
    if state.mrn.is_none() {
        state.mrn.clone_from(&fact.mrn);
    }
}

fn apply_status(state: &mut FilingState, fact: &Fact, received_at: Timestamp) -> Result<Option<Change>, Recorded> {
    let Some(new) = fact.status else { return Err(Recorded::Note) };
    if enters_new_cycle(state, fact)? {
        state.past_mrns.extend(state.mrn.take());
        state.mrn.clone_from(&fact.mrn);
        state.open.clear();
    } else {
        admit(state, fact, new)?;
    }
    state.authority_at = fact.occurred_at.or(if new == state.status { state.authority_at } else { None });
    if new == state.status {
        return Err(Recorded::Repeated);
    }
    let previous = std::mem::replace(&mut state.status, new);
    state.since = received_at;
    if closes_everything(new) {
        state.open.clear();
    }
    // Who accepts knows of the arrival.
    if customs_goes_on(new) {
        state.unanswered.retain(|kind| *kind != MessageKind::Presentation);
    }
    Ok(Some(Change::Status { previous, new }))
}

/// A new authority reference opens a new cycle; one of an earlier cycle, or one issued before the
/// present cycle's word, comes too late.
fn enters_new_cycle(state: &mut FilingState, fact: &Fact) -> Result<bool, Recorded> {
    if fact.mrn.as_ref().is_some_and(|mrn| state.past_mrns.contains(mrn)) {
        return Err(Recorded::EarlierCycle);
    }
    let (Some(mrn), Some(present)) = (&fact.mrn, &state.mrn) else { return Ok(false) };
    if mrn == present {
        return Ok(false);
    }
    let before = matches!((fact.occurred_at, state.authority_at), (Some(at), Some(present)) if at < present);
    if before {
        state.past_mrns.push(mrn.clone());
        return Err(Recorded::EarlierCycle);
    }
    Ok(true)
}

/// Whether a status may follow the present one within a cycle.
fn admit(state: &FilingState, fact: &Fact, new: Status) -> Result<(), Recorded> {
    in_order(state, fact, new)?;
    let revokes = fact.revocation && new != state.status;
    if is_final(state.status) && new != state.status {
        let cancelled_after_cleared = state.status == Status::Clearance(C::Cleared) && new == Status::Clearance(C::Cancelled);
        let loading_allowed_again = state.status == Status::Security(S::DoNotLoad) && revokes;
        return if cancelled_after_cleared || loading_allowed_again { Ok(()) } else { Err(Recorded::Final) };
    }
    match (state.status, new) {
        (Status::Clearance(C::Released), Status::Clearance(new)) if new != C::Released && !revokes => {
            let ends = matches!(new, C::Cleared | C::Returned | C::Seized | C::Destroyed | C::Cancelled);
            if ends { Ok(()) } else { Err(Recorded::NotARevocation) }
        }
        // A corrected declaration starts over; otherwise these two words apply below `accepted` only.
        (Status::Clearance(C::Rejected), Status::Clearance(_)) => Ok(()),
        (Status::Clearance(present), Status::Clearance(C::Submitted | C::Registered)) if present >= C::Accepted => Err(Recorded::LowerRank),
        (Status::Security(S::Rejected), Status::Security(_)) => Ok(()),
        (Status::Security(present), Status::Security(S::Submitted | S::Registered)) if present > S::Registered => Err(Recorded::LowerRank),
        _ => Ok(()),
    }
}

/// The order of facts: authority time, then rank. Without an authority time on either side only a
/// higher rank counts, unless the fact was issued after we learned of the present status.
fn in_order(state: &FilingState, fact: &Fact, new: Status) -> Result<(), Recorded> {
    let higher = rank(new) > rank(state.status);
    let later = match (fact.occurred_at, state.authority_at) {
        (Some(at), Some(present)) if at < present => return Err(Recorded::Late),
        (Some(at), Some(present)) => at > present || fact.revocation,
        (Some(at), None) => at > state.since,
        (None, _) => false,
    };
    if later || higher || new == state.status { Ok(()) } else { Err(Recorded::LowerRank) }
}

/// Whether customs has gone beyond having the declaration.
fn customs_goes_on(status: Status) -> bool {
    match status {
        Status::Clearance(status) => status >= C::Accepted && status != C::Rejected,
        Status::Security(status) => status > S::Registered && status != S::Rejected,
    }
}

/// Statuses after which customs waits for nothing any more.
fn closes_everything(status: Status) -> bool {
    matches!(status, Status::Clearance(C::Released | C::Rejected) | Status::Security(S::AssessmentComplete | S::Rejected))
        || is_final(status)
}

/// Opens and closes what customs waits for; told as a change of its own when the status stayed.
fn requirements(state: &mut FilingState, fact: &Fact, received_at: Timestamp, changes: &mut Vec<Change>) {
    let before = state.open.len();
    state.open.retain(|open| !fact.closes.contains(&open.kind));
    let mut changed = state.open.len() != before;
    if !closes_everything(state.status) {
        for wanted in &fact.open {
            let since = Some(fact.occurred_at.unwrap_or(received_at));
            match state.open.iter_mut().find(|open| open.kind == wanted.kind && open.code == wanted.code && open.lines == wanted.lines) {
                Some(open) => open.deadline = wanted.deadline.or(open.deadline),
                None => {
                    state.open.push(Requirement { since, ..wanted.clone() });
                    changed = true;
                }
            }
        }
    }
    if changed && !changes.iter().any(|change| matches!(change, Change::Status { .. })) {
        changes.push(Change::Requirements);
    }
}

#[cfg(test)]
mod tests;
