//! What an intent becomes: a pure function of where its filing stands (ADR 0006).
//!
//! Why it exists: an amendment, a cancellation or a presentation is asked for at one moment and means different
//! things to a broker at another. The station that renders and the transaction that commits both ask [`decide`],
//! so that what was rendered is only committed while it is still right.
//!
//! Must not: read a clock, know a mapping, hold a text.

use super::clearance::ClearanceStatus as C;
use super::delivery::{DeadReason, DeliveryState, MessageKind};
use super::fact::Status;
use super::merge::FilingState;
use super::security::SecurityStatus as S;
use super::time::Timestamp;
use crate::choice;

choice! {
    /// State of an intent.
    pub enum IntentState {
        /// Not decided yet.
        Waiting = "waiting",
        /// It became messages, or was carried out without one.
        Prepared = "prepared",
        /// It cannot be carried out; the post was told.
        Refused = "refused",
        /// Not needed any more.
        Withdrawn = "withdrawn",
    }
}
choice! {
    /// Why a post amends or cancels.
    pub enum ReasonCode {
        /// Declared twice.
        Duplicate = "duplicate",
        /// The item was not posted.
        NotPosted = "not_posted",
        /// A value was wrong.
        Value = "value",
        /// A description was wrong.
        Description = "description",
        /// A weight was wrong.
        Weight = "weight",
        /// A party was wrong.
        Party = "party",
        /// Anything else.
        Other = "other",
    }
}
choice! {
    /// What an intent waits for.
    pub enum Waits {
        /// Transport data that come with the consignment.
        Transport = "transport",
        /// The filing's earlier messages.
        EarlierMessages = "earlier_messages",
        /// The word of customs.
        Answer = "answer",
        /// A person: whether the broker has the message is unknown.
        Person = "person",
        /// The broker's mapping or its schemas.
        Mapping = "mapping",
    }
}
choice! {
    /// Why an intent is refused by us.
    pub enum Refusal {
        /// The declaration has ended.
        Ended = "ended",
        /// The broker's format has no such message.
        Unsupported = "unsupported",
        /// The message cannot be made; the faults are the event's reasons.
        Faults = "faults",
    }
}

/// One message of a filing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// What it asked.
    pub kind: MessageKind,
    /// Where it is.
    pub state: DeliveryState,
    /// Why it is dead.
    pub reason: Option<DeadReason>,
    /// When it was settled.
    pub settled_at: Option<Timestamp>,
}

/// Where a filing stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Messages of its present cycle in order, without status queries.
    pub messages: Vec<Sent>,
    /// What the notices added up to.
    pub state: FilingState,
}

/// What an intent becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Becomes {
    /// Nothing yet; looked at again at that time too, if one is given.
    Wait(Waits, Option<Timestamp>),
    /// A new declaration with a new LRN; what of the filing is queued or dead ends `withdrawn`.
    Original,
    /// The format's own message of the intent's kind.
    Message,
    /// Cancelled by us: the broker has nothing. What is queued or dead ends `withdrawn`.
    Cancelled,
    /// Refused; the post is told.
    Refused(Refusal),
    /// Not needed any more.
    Dropped,
}

/// Decides. `makes`: whether the broker's mapping has a message of this kind; `patience`: how long the answer to an
/// earlier amendment, cancellation or presentation is waited for.
pub fn decide(kind: MessageKind, standing: &Standing, makes: bool, patience: std::time::Duration, now: Timestamp) -> Becomes {
    match kind {
        MessageKind::Declaration => declaration(standing),
        MessageKind::Query => {
            if makes {
                Becomes::Message
            } else {
                Becomes::Refused(Refusal::Unsupported)
            }
        }
        MessageKind::Presentation => presentation(standing, makes),
        MessageKind::Amendment | MessageKind::Cancellation | MessageKind::Answer => follow_up(kind, standing, makes, patience, now),
    }
}

/// A declaration that waited for its consignment, or is made anew. Customs may have got the one before after all.
fn declaration(standing: &Standing) -> Becomes {
    let under_way = |message: &Sent| matches!(message.state, DeliveryState::Sending | DeliveryState::InDoubt);
    if standing.messages.iter().any(under_way) {
        Becomes::Wait(Waits::EarlierMessages, None)
    } else if standing.state.is_final() || customs_has_it(&standing.state) && !is_rejected(standing.state.status) {
        Becomes::Dropped
    } else {
        Becomes::Original
    }
}

fn follow_up(kind: MessageKind, standing: &Standing, makes: bool, patience: std::time::Duration, now: Timestamp) -> Becomes {
    let any = |wanted: &[DeliveryState]| standing.messages.iter().any(|message| wanted.contains(&message.state));
    if standing.state.is_final() {
        return Becomes::Refused(Refusal::Ended);
    }
    if any(&[DeliveryState::Sending, DeliveryState::InDoubt]) {
        return Becomes::Wait(Waits::EarlierMessages, None);
    }
    // A verdict may come for a message that was given up: then customs has it, whatever became of the message.
    if !any(&[DeliveryState::Delivered]) && !customs_has_it(&standing.state) {
        return nothing_taken(kind, standing);
    }
    if any(&[DeliveryState::Queued, DeliveryState::Waiting]) {
        return Becomes::Wait(Waits::EarlierMessages, None);
    }
    if let Some(until) = unanswered_until(standing, patience)
        && until > now
    {
        return Becomes::Wait(Waits::Answer, Some(until));
    }
    if is_rejected(standing.state.status) {
        return if kind == MessageKind::Cancellation { Becomes::Cancelled } else { Becomes::Original };
    }
    if !customs_has_it(&standing.state) {
        return Becomes::Wait(Waits::Answer, None);
    }
    if makes { Becomes::Message } else { Becomes::Refused(Refusal::Unsupported) }
}

/// The broker has nothing of this filing: queued, refused, given up, or of unknown outcome.
fn nothing_taken(kind: MessageKind, standing: &Standing) -> Becomes {
    let unknown = |message: &Sent| message.reason == Some(DeadReason::Unresolved) && message.state != DeliveryState::Withdrawn;
    let unresolved = standing.messages.iter().any(unknown);
    match kind {
        MessageKind::Cancellation if unresolved => Becomes::Wait(Waits::Person, None),
        MessageKind::Cancellation => Becomes::Cancelled,
        _ => Becomes::Original,
    }
}

fn presentation(standing: &Standing, makes: bool) -> Becomes {
    let taken = standing.messages.iter().any(|message| message.state == DeliveryState::Delivered);
    let unsettled = standing
        .messages
        .iter()
        .any(|message| !matches!(message.state, DeliveryState::Delivered | DeliveryState::Dead | DeliveryState::Withdrawn));
    let pre_lodged = matches!(standing.state.status, Status::Clearance(C::Registered) | Status::Security(S::Registered));
    if standing.state.is_final() || !makes {
        return Becomes::Dropped;
    }
    if unsettled {
        return Becomes::Wait(Waits::EarlierMessages, None);
    }
    if !taken || is_rejected(standing.state.status) || !customs_has_it(&standing.state) {
        return Becomes::Wait(Waits::Answer, None);
    }
    // Customs accepted it meanwhile: it knows of the arrival, or needs no word of it.
    if pre_lodged { Becomes::Message } else { Becomes::Dropped }
}

/// Until when the answer to the last follow-up that the broker took is waited for.
fn unanswered_until(standing: &Standing, patience: std::time::Duration) -> Option<Timestamp> {
    // An arrival is answered by what customs does next; nothing has to wait for that.
    let waited = |message: &&Sent| message.kind != MessageKind::Presentation && standing.state.unanswered.contains(&message.kind);
    let follow_ups = standing.messages.iter().filter(waited);
    let sent = follow_ups.filter_map(|message| message.settled_at).max()?;
    Some(sent.checked_add(patience).unwrap_or(Timestamp::MAX))
}

fn is_rejected(status: Status) -> bool {
    matches!(status, Status::Clearance(C::Rejected) | Status::Security(S::Rejected))
}

/// Whether customs, not only the broker, has the declaration.
fn customs_has_it(state: &FilingState) -> bool {
    state.mrn.is_some()
        || match state.status {
            Status::Clearance(status) => status >= C::Registered,
            Status::Security(status) => status >= S::Registered,
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fact::Track;
    use crate::domain::time::from_millis;

    const HOUR: std::time::Duration = std::time::Duration::from_secs(3600);

    fn at(seconds: i64) -> Timestamp {
        from_millis(1_795_000_000_000 + seconds * 1000)
    }

    fn message(kind: MessageKind, state: DeliveryState, reason: Option<DeadReason>) -> Sent {
        Sent { kind, state, reason, settled_at: Some(at(0)) }
    }

    fn standing(messages: &[(MessageKind, DeliveryState, Option<DeadReason>)], status: C, unanswered: &[MessageKind]) -> Standing {
        let mut state = FilingState::new(Track::Clearance, at(0));
        state.status = Status::Clearance(status);
        state.unanswered = unanswered.to_vec();
        Standing { messages: messages.iter().map(|(kind, state, reason)| message(*kind, *state, *reason)).collect(), state }
    }

    #[test]
    fn the_table_of_adr_0006_holds() {
        use DeliveryState as D;
        use MessageKind::{Amendment as A, Cancellation as X, Declaration, Presentation as P};
        let declared = |state, reason| vec![(Declaration, state, reason)];
        let wait = |waits| Becomes::Wait(waits, None);
        let refused = Some(DeadReason::Refused);
        let table = [
            ("queued", declared(D::Queued, None), C::Pending, Becomes::Original, Becomes::Cancelled, wait(Waits::EarlierMessages)),
            (
                "sending",
                declared(D::Sending, None),
                C::Pending,
                wait(Waits::EarlierMessages),
                wait(Waits::EarlierMessages),
                wait(Waits::EarlierMessages),
            ),
            (
                "in doubt",
                declared(D::InDoubt, None),
                C::Pending,
                wait(Waits::EarlierMessages),
                wait(Waits::EarlierMessages),
                wait(Waits::EarlierMessages),
            ),
            ("refused", declared(D::Dead, refused), C::Pending, Becomes::Original, Becomes::Cancelled, wait(Waits::Answer)),
            (
                "unresolved",
                declared(D::Dead, Some(DeadReason::Unresolved)),
                C::Pending,
                Becomes::Original,
                wait(Waits::Person),
                wait(Waits::Answer),
            ),
            ("withdrawn", declared(D::Withdrawn, None), C::Pending, Becomes::Original, Becomes::Cancelled, wait(Waits::Answer)),
            ("submitted", declared(D::Delivered, None), C::Submitted, wait(Waits::Answer), wait(Waits::Answer), wait(Waits::Answer)),
            ("registered", declared(D::Delivered, None), C::Registered, Becomes::Message, Becomes::Message, Becomes::Message),
            ("accepted", declared(D::Delivered, None), C::Accepted, Becomes::Message, Becomes::Message, Becomes::Dropped),
            ("held", declared(D::Delivered, None), C::Held, Becomes::Message, Becomes::Message, Becomes::Dropped),
            ("rejected", declared(D::Delivered, None), C::Rejected, Becomes::Original, Becomes::Cancelled, wait(Waits::Answer)),
            (
                "cleared",
                declared(D::Delivered, None),
                C::Cleared,
                Becomes::Refused(Refusal::Ended),
                Becomes::Refused(Refusal::Ended),
                Becomes::Dropped,
            ),
            (
                "first of two delivered",
                vec![(Declaration, D::Delivered, None), (Declaration, D::Queued, None)],
                C::Pending,
                wait(Waits::EarlierMessages),
                wait(Waits::EarlierMessages),
                wait(Waits::EarlierMessages),
            ),
            (
                "a dead amendment stops nothing",
                vec![(Declaration, D::Delivered, None), (A, D::Dead, refused)],
                C::Accepted,
                Becomes::Message,
                Becomes::Message,
                Becomes::Dropped,
            ),
        ];
        for (name, messages, status, amendment, cancellation, presentation) in table {
            let standing = standing(&messages, status, &[]);
            for (kind, expected) in [(A, amendment), (X, cancellation), (P, presentation)] {
                assert_eq!(decide(kind, &standing, true, HOUR, at(10)), expected, "{name}: {kind}");
            }
        }
    }

    #[test]
    fn a_verdict_for_what_was_given_up_counts_more_than_the_giving_up() {
        use DeliveryState as D;
        let withdrawn = standing(&[(MessageKind::Declaration, D::Withdrawn, Some(DeadReason::Unresolved))], C::Accepted, &[]);
        for (kind, expected) in [
            (MessageKind::Declaration, Becomes::Dropped),
            (MessageKind::Amendment, Becomes::Message),
            (MessageKind::Cancellation, Becomes::Message),
        ] {
            assert_eq!(decide(kind, &withdrawn, true, HOUR, at(0)), expected, "{kind}");
        }
        let doubt = standing(&[(MessageKind::Declaration, D::InDoubt, None)], C::Pending, &[]);
        assert_eq!(decide(MessageKind::Declaration, &doubt, true, HOUR, at(0)), Becomes::Wait(Waits::EarlierMessages, None));
        // Queued again by a person, though it may have arrived: still nobody knows.
        let replayed = standing(&[(MessageKind::Declaration, D::Queued, Some(DeadReason::Unresolved))], C::Pending, &[]);
        assert_eq!(decide(MessageKind::Cancellation, &replayed, true, HOUR, at(0)), Becomes::Wait(Waits::Person, None));
    }

    #[test]
    fn an_unanswered_follow_up_is_waited_for_but_not_for_ever() {
        let messages =
            [(MessageKind::Declaration, DeliveryState::Delivered, None), (MessageKind::Amendment, DeliveryState::Delivered, None)];
        let standing = standing(&messages, C::Accepted, &[MessageKind::Amendment]);
        let becomes = |now| decide(MessageKind::Cancellation, &standing, true, HOUR, now);
        assert_eq!(becomes(at(10)), Becomes::Wait(Waits::Answer, Some(at(3600))));
        assert_eq!(becomes(at(3600)), Becomes::Message);
    }

    #[test]
    fn what_the_format_does_not_have_is_refused_and_an_unneeded_presentation_dropped() {
        let standing = standing(&[(MessageKind::Declaration, DeliveryState::Delivered, None)], C::Registered, &[]);
        for (kind, expected) in [
            (MessageKind::Amendment, Becomes::Refused(Refusal::Unsupported)),
            (MessageKind::Cancellation, Becomes::Refused(Refusal::Unsupported)),
            (MessageKind::Presentation, Becomes::Dropped),
        ] {
            assert_eq!(decide(kind, &standing, false, HOUR, at(0)), expected, "{kind}");
        }
    }
}
