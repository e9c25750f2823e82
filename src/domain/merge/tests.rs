//! The merge rules as tables of whole histories, and what holds for every history.

use proptest::prelude::*;

use super::*;
use crate::domain::fact::{RequirementKind, Track};
use crate::domain::time::from_millis;

const RECEIVED: i64 = 1_790_000_000_000;

/// `accepted@5` is a fact with authority time 5 s; `held` one without; a leading `!` marks a revocation,
/// a trailing `#X` names the authority reference X.
fn fact(text: &str) -> Fact {
    let (text, revocation) = text.strip_prefix('!').map_or((text, false), |rest| (rest, true));
    let (text, mrn) = text.split_once('#').map_or((text, None), |(text, mrn)| (text, Some(mrn.to_owned())));
    let (word, at) = text.split_once('@').map_or((text, None), |(word, at)| (word, Some(at.parse::<i64>().expect("seconds"))));
    let track = if S::parse(word).is_some() && C::parse(word).is_none() { Track::Security } else { Track::Clearance };
    let occurred_at = at.map(|seconds| from_millis(RECEIVED - 100_000 + seconds * 1000));
    Fact { track, status: Status::parse(track, word), occurred_at, mrn, revocation, ..Fact::default() }
}

fn run(track: Track, history: &str) -> (FilingState, Vec<Change>, Vec<Option<Recorded>>) {
    let mut state = FilingState::new(track, from_millis(RECEIVED - 200_000));
    let (mut changes, mut recorded) = (Vec::new(), Vec::new());
    for (index, text) in history.split_whitespace().enumerate() {
        let mut fact = fact(text);
        if track == Track::Security {
            fact.track = track;
            fact.status = fact.status.and_then(|status| Status::parse(track, status.as_str()));
        }
        let merged = merge(&state, &fact, from_millis(RECEIVED + index as i64));
        state = merged.state;
        changes.extend(merged.changes);
        recorded.push(merged.recorded);
    }
    (state, changes, recorded)
}

#[test]
fn clearance_histories_end_where_the_rules_say() {
    for (history, end) in [
        ("submitted accepted@1 released@2 cleared@3", "cleared"),
        // Three notices in one second, in any order (HMRC TT_IM077a).
        ("submitted registered@5 accepted@5 cleared@5", "cleared"),
        ("submitted cleared@5 accepted@5 registered@5", "cleared"),
        ("submitted accepted@5 cleared@5 registered@5", "cleared"),
        // A registration later than the acceptance answers something else.
        ("submitted accepted@1 registered@9", "accepted"),
        ("accepted@5 submitted", "accepted"),
        // An earlier notice changes nothing.
        ("accepted@5 held@9 documents_required@7", "held"),
        // A later notice of lower rank is news while nothing was released.
        ("held@5 accepted@9", "accepted"),
        ("documents_required@5 accepted@5", "documents_required"),
        // A release is taken back only by a marked revocation.
        ("released@5 held@9", "released"),
        ("released@5 detained@9", "released"),
        ("released@5 rejected@9", "released"),
        ("released@5 !held@9", "held"),
        ("released@5 !held@5", "held"),
        ("released@5 !held@3", "released"),
        ("released@5 seized@9", "seized"),
        // Final is final, but for an invalidation.
        ("cleared@5 held@9 accepted@9 released@9 rejected@9", "cleared"),
        ("cleared@5 !held@9", "cleared"),
        ("cleared@5 cancelled@9", "cancelled"),
        ("cancelled@5 cleared@9", "cancelled"),
        ("seized@5 cancelled@9", "seized"),
        // A rejection waits for a correction.
        ("rejected@5 accepted@9", "accepted"),
        ("rejected@5 accepted@5", "rejected"),
        ("rejected@5 registered@9", "registered"),
        // Without an authority time a fact may only raise the rank.
        ("held@5 accepted", "held"),
        ("accepted@5 held", "held"),
        ("submitted accepted held@1", "held"),
        ("held accepted@1", "held"),
        // A new authority reference opens a new cycle; late words of the old one change nothing.
        ("cleared@5#A accepted@9#B", "accepted"),
        ("cleared@5#A accepted@9#B cleared@8#A", "accepted"),
        ("accepted@9#B cleared@5#A", "accepted"),
        ("rejected@5#A accepted@9#B released@10#B", "released"),
    ] {
        assert_eq!(run(Track::Clearance, history).0.status.as_str(), end, "{history}");
    }
}

#[test]
fn security_histories_end_where_the_rules_say() {
    for (history, end) in [
        ("submitted registered@1 assessment_complete@2", "assessment_complete"),
        ("registered@1 information_requested@2 registered@3", "information_requested"),
        ("assessment_complete@2 do_not_load@2", "do_not_load"),
        ("do_not_load@2 assessment_complete@3", "do_not_load"),
        ("do_not_load@2 cancelled@3", "do_not_load"),
        ("do_not_load@2 !assessment_complete@3", "assessment_complete"),
        ("rejected@2 registered@3", "registered"),
    ] {
        assert_eq!(run(Track::Security, history).0.status.as_str(), end, "{history}");
    }
}

fn state_with(unanswered: &[MessageKind]) -> FilingState {
    let mut state = run(Track::Clearance, "accepted@1#A").0;
    state.unanswered = unanswered.to_vec();
    state
}

#[test]
fn a_rejection_answers_what_is_unanswered_and_leaves_the_declaration_alone() {
    let state = state_with(&[MessageKind::Amendment]);
    let merged = merge(&state, &fact("rejected@9#A"), from_millis(RECEIVED));
    assert_eq!(merged.changes, [Change::Answered { kind: MessageKind::Amendment, result: AnswerResult::Rejected }]);
    assert_eq!(merged.state.status, state.status);
    assert!(merged.state.unanswered.is_empty());
    let again = merge(&merged.state, &fact("rejected@9#A"), from_millis(RECEIVED));
    assert_eq!(again.state.status, Status::Clearance(C::Rejected), "nothing is unanswered any more");
}

#[test]
fn answers_are_told_once_and_only_for_what_was_asked() {
    let granted = |answers| Fact { answers: Some(answers), result: Some(AnswerResult::Accepted), ..Fact::default() };
    let state = state_with(&[MessageKind::Amendment, MessageKind::Cancellation]);
    let merged = merge(&state, &granted(Answers::Cancellation), from_millis(RECEIVED));
    assert_eq!(merged.changes, [Change::Answered { kind: MessageKind::Cancellation, result: AnswerResult::Accepted }]);
    let again = merge(&merged.state, &granted(Answers::Cancellation), from_millis(RECEIVED));
    assert!(again.changes.is_empty(), "{again:?}");
    assert_eq!(again.recorded, Some(Recorded::Note));
}

#[test]
fn requirements_stand_beside_the_status_until_they_end() {
    let wants = |kind| Requirement { kind, ..Requirement::default() };
    let now = from_millis(RECEIVED);
    let mut documents = fact("documents_required@5");
    documents.open = vec![wants(RequirementKind::Documents)];
    let mut control = fact("held@5");
    control.open = vec![wants(RequirementKind::Examination)];
    let first = merge(&run(Track::Clearance, "accepted@1").0, &documents, now);
    let both = merge(&first.state, &control, now);
    assert_eq!(both.state.open.len(), 2, "two in one second (HMRC TT_IM017a)");
    assert_eq!(both.state.status.as_str(), "held");
    let late = Fact { occurred_at: fact("held@2").occurred_at, open: vec![wants(RequirementKind::Payment)], ..fact("accepted@2") };
    let three = merge(&both.state, &late, now);
    assert_eq!((three.state.open.len(), three.changes.clone()), (3, vec![Change::Requirements]), "an older fact still adds");
    let closing = Fact { closes: vec![RequirementKind::Documents], ..Fact::default() };
    assert_eq!(merge(&three.state, &closing, now).state.open.len(), 2);
    let released = merge(&three.state, &fact("released@9"), now);
    assert!(released.state.open.is_empty());
    assert!(merge(&released.state, &documents, now).state.open.is_empty(), "nothing opens after a release");
}

#[test]
fn refusals_and_unknown_codes_are_never_customs_decisions() {
    let state = run(Track::Clearance, "submitted").0;
    let refused = merge(&state, &Fact { refused: true, ..fact("rejected@9") }, from_millis(RECEIVED));
    assert_eq!((refused.state.status, refused.changes), (state.status, vec![Change::Refused]));
    let unknown = merge(&state, &Fact { unknown_code: true, ..fact("cleared@9") }, from_millis(RECEIVED));
    assert_eq!((unknown.state.status, unknown.recorded), (state.status, Some(Recorded::UnknownCode)));
}

fn any_fact() -> impl Strategy<Value = Fact> {
    let words = prop::sample::select(C::ALL.to_vec());
    (words, prop::option::of(0i64..6), prop::bool::weighted(0.1)).prop_map(|(word, at, revocation)| Fact {
        status: Some(Status::Clearance(word)),
        occurred_at: at.map(|seconds| from_millis(RECEIVED - 100_000 + seconds * 1000)),
        revocation,
        ..Fact::default()
    })
}

proptest! {
    #[test]
    fn nothing_ever_steps_back(facts in prop::collection::vec(any_fact(), 1..12)) {
        let mut state = FilingState::new(Track::Clearance, from_millis(RECEIVED - 200_000));
        for (index, fact) in facts.iter().enumerate() {
            let before = state.clone();
            let merged = merge(&before, fact, from_millis(RECEIVED + index as i64));
            state = merged.state;
            let (Status::Clearance(old), Status::Clearance(new)) = (before.status, state.status) else { unreachable!() };
            if before.is_final() {
                prop_assert!(new == old || (old == C::Cleared && new == C::Cancelled));
            }
            if old == C::Released && new < old {
                prop_assert!(fact.revocation);
            }
            if let (Some(earlier), Some(later)) = (before.authority_at, state.authority_at) {
                prop_assert!(later >= earlier);
                prop_assert!(later > earlier || new >= old || fact.revocation, "same time, lower rank");
            }
            let again = merge(&state, fact, from_millis(RECEIVED + 1000));
            prop_assert_eq!(again.state.status, state.status);
            prop_assert!(again.changes.is_empty());
        }
    }

    #[test]
    fn among_open_statuses_arrival_order_does_not_matter(
        facts in prop::collection::vec((prop::sample::select(vec![C::Accepted, C::DocumentsRequired, C::DutiesDue, C::Held, C::Detained]), 0i64..5), 1..8)
            .prop_flat_map(|facts| (Just(facts.clone()), Just(facts).prop_shuffle())),
    ) {
        let end = |facts: &[(C, i64)]| {
            let text: Vec<String> = facts.iter().map(|(status, at)| format!("{status}@{at}")).collect();
            run(Track::Clearance, &text.join(" ")).0.status.as_str()
        };
        let latest = facts.0.iter().max_by_key(|(status, at)| (*at, *status)).expect("one").0;
        prop_assert_eq!(end(&facts.0), latest.as_str());
        prop_assert_eq!(end(&facts.1), latest.as_str());
    }
}
