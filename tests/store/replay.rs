//! Dead letters live again by an operator's order: as they were, made anew, or as what the broker has; or they are purged.

use std::collections::BTreeMap;
use std::time::Duration;

use preclear::domain::clearance::ClearanceStatus;
use preclear::domain::delivery::{DeadReason, DeliveryState};
use preclear::domain::fact::Fact;
use preclear::domain::ids::MessageId;
use preclear::domain::operate::ReplayMode;
use preclear::store::{DeadLetterFilter, DeadSelection, Handled, NewDeclaration, Reading, Replay, Settlement};
use rusqlite::Connection;

use crate::rig::{BROKER, POST, Rig, day, declaration, declaration_on, delivered, fact, later, message_of, start};

fn dead(reason: DeadReason) -> Settlement {
    Settlement::Dead { reason, facts: Vec::new() }
}

fn of_broker() -> DeadSelection {
    DeadSelection { broker: Some(BROKER.to_owned()), ..DeadSelection::default() }
}

fn one(message: MessageId) -> DeadSelection {
    DeadSelection { message_id: Some(message), ..DeadSelection::default() }
}

fn mode(mode: ReplayMode) -> Replay {
    Replay { mode, spacing: BTreeMap::from([(BROKER.to_owned(), Duration::from_millis(40))]) }
}

fn handled(matched: u64, done: u64) -> Handled {
    Handled { matched, done }
}

fn ids(new: &NewDeclaration) -> Vec<MessageId> {
    new.filings[0].messages.iter().map(|message| message.message_id).collect()
}

impl Rig {
    /// A declaration of so many messages whose first ended dead.
    async fn dead(&self, number: u32, messages: &[&str], reason: DeadReason) -> NewDeclaration {
        let new = declaration_on(number, day(), messages);
        self.accept(&new).await;
        self.send(message_of(&new), dead(reason)).await;
        new
    }

    async fn replay(&self, selection: DeadSelection, how: ReplayMode) -> Handled {
        self.store.replay_dead(selection, mode(how), None).await.expect("replayed")
    }

    /// Messages by state, those that are none left out.
    async fn tally(&self) -> Vec<(&'static str, u64)> {
        self.store.backlog().await.expect("read").into_iter().map(|row| (row.state.as_str(), row.count)).collect()
    }

    async fn state(&self, new: &NewDeclaration, index: usize) -> &'static str {
        let view = self.store.messages(POST, new.declaration_id, false).await.expect("read").expect("there");
        view.messages[index].state.as_str()
    }
}

#[tokio::test]
async fn each_member_of_a_selection_narrows_it() {
    let rig = Rig::new("dead-selection").await;
    let refused = rig.dead(1, &["a"], DeadReason::Refused).await;
    rig.dead(2, &["a"], DeadReason::Exhausted).await;
    let table = [
        (of_broker(), 2),
        (DeadSelection { broker: Some("other".to_owned()), ..DeadSelection::default() }, 0),
        (DeadSelection { reason: Some(DeadReason::Refused), ..of_broker() }, 1),
        (DeadSelection { reason: Some(DeadReason::Unresolved), ..of_broker() }, 0),
        (DeadSelection { post: Some(POST.to_owned()), ..DeadSelection::default() }, 2),
        (DeadSelection { post: Some("JPX".to_owned()), ..DeadSelection::default() }, 0),
        (one(message_of(&refused)), 1),
        (DeadSelection { reason: Some(DeadReason::Exhausted), ..one(message_of(&refused)) }, 0),
        (one(MessageId::new()), 0),
        (DeadSelection { dead_before: Some(later(1)), ..of_broker() }, 2),
        (DeadSelection { dead_before: Some(start()), ..of_broker() }, 0),
    ];
    for (selection, expected) in table {
        assert_eq!(rig.store.count_dead(selection.clone()).await.expect("read"), expected, "{selection:?}");
        let listed = DeadLetterFilter { broker: selection.broker, reason: selection.reason, post: selection.post, limit: 9 };
        if selection.message_id.is_none() && selection.dead_before.is_none() {
            assert_eq!(rig.store.dead_letters(listed).await.expect("read").len() as u64, expected);
        }
    }
    assert_eq!(rig.tally().await, [("dead", 2)], "counting changes nothing");
    rig.end().await;
}

#[tokio::test]
async fn the_same_bytes_go_again_under_the_same_id_counted_anew_and_paced() {
    let rig = Rig::new("same-bytes").await;
    let mut dead_ones = Vec::new();
    for number in 1..=4 {
        dead_ones.push(message_of(&rig.dead(number, &["a"], DeadReason::Exhausted).await));
    }
    rig.clock.set(later(100));
    let first = DeadSelection { limit: Some(2), ..of_broker() };
    assert_eq!(rig.replay(first, ReplayMode::SameBytes).await, handled(4, 2));
    assert_eq!(rig.tally().await, [("dead", 2), ("queued", 2)]);
    assert_eq!(rig.due_ids(later(100)).await, [dead_ones[0]], "one at a time");
    assert_eq!(rig.replay(of_broker(), ReplayMode::SameBytes).await, handled(2, 2));
    let paced: Vec<_> = rig.due(later(101)).await.into_iter().map(|row| row.message_id).collect();
    assert_eq!(paced, dead_ones, "a second order queues behind the first");
    let after = |ms| preclear::domain::time::from_millis(later(100).as_millisecond() + ms);
    assert_eq!((rig.due_ids(after(119)).await.len(), rig.due_ids(after(120)).await.len()), (3, 4), "40 ms apart");

    let row = rig.due(later(101)).await.remove(0);
    assert_eq!((row.attempts, row.first_attempt_at, row.state), (0, None, DeliveryState::Queued));
    assert_eq!(&row.body[..], b"<a/>");
    rig.send(dead_ones[0], delivered()).await;
    assert_eq!(rig.tally().await, [("delivered", 1), ("queued", 3)]);
    assert_eq!(rig.replay(of_broker(), ReplayMode::SameBytes).await, handled(0, 0), "nothing lives twice");
    rig.end().await;
}

#[tokio::test]
async fn a_filing_keeps_its_order_over_a_replay() {
    let rig = Rig::new("replay-order").await;
    let chain = rig.dead(1, &["a", "b", "c"], DeadReason::Refused).await;
    let [a, b, c] = ids(&chain)[..] else { panic!("three") };
    assert_eq!(rig.due_ids(later(500)).await, [], "a dead one at the head blocks its filing");
    assert_eq!(rig.replay(one(a), ReplayMode::SameBytes).await, handled(1, 1));
    assert_eq!(rig.due_ids(later(500)).await, [a]);
    rig.send(a, delivered()).await;
    // Refused later, while the next was already due.
    assert_eq!(rig.due_ids(later(500)).await, [b]);
    let notice = rig.notice(1, None).await;
    let lrn = chain.filings[0].messages[0].lrn.clone();
    let refusal = Fact { refused: true, lrn: Some(lrn), ..Fact::default() };
    rig.store.settle_notice(notice, Reading::Facts { mapping_version: "1".to_owned(), facts: vec![refusal] }).await.expect("settled");
    assert_eq!(rig.state(&chain, 0).await, "dead");
    assert_eq!(rig.replay(one(a), ReplayMode::SameBytes).await, handled(1, 1));
    assert_eq!(rig.due_ids(later(500)).await, [a], "what was due behind it waits again");
    assert_eq!(rig.store.begin_attempt(b, later(1)).await.expect("begin"), None, "a lane that looked before cannot send it now");
    for message in [a, b, c] {
        assert_eq!(rig.due_ids(later(900)).await, [message]);
        rig.send(message, delivered()).await;
    }
    rig.end().await;
}

#[tokio::test]
async fn a_person_says_that_the_broker_has_it() {
    let rig = Rig::new("settle-delivered").await;
    let refused = rig.dead(1, &["a"], DeadReason::Refused).await;
    let chain = rig.dead(2, &["a", "b"], DeadReason::Unresolved).await;
    assert_eq!(rig.replay(of_broker(), ReplayMode::SettleDelivered).await, handled(2, 2));
    assert_eq!(rig.due_ids(later(500)).await, [ids(&chain)[1]], "what waited behind it goes on");
    let status = |view: preclear::store::DeclarationView| view.filings[0].state.status.as_str();
    let shown = rig.store.declaration(POST, refused.declaration_id).await.expect("read").expect("there");
    assert_eq!((rig.state(&refused, 0).await, status(shown)), ("delivered", "submitted"));
    let shown = rig.store.declaration(POST, chain.declaration_id).await.expect("read").expect("there");
    assert_eq!(status(shown), "pending", "submitted when all of it is");
    assert_eq!(rig.tally().await, [("delivered", 2), ("queued", 1)]);
    rig.end().await;
}

/// A row of `intents`: kind, broker, version, state.
fn intents(rig: &Rig) -> Vec<(String, String, u32, String)> {
    let conn = Connection::open(rig.file()).expect("open");
    let mut statement = conn.prepare("SELECT kind, broker, version, state FROM intents ORDER BY intent_id").expect("sql");
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))).expect("query");
    rows.collect::<Result<_, _>>().expect("rows")
}

#[tokio::test]
async fn remap_takes_the_message_back_and_asks_for_another_once_per_filing() {
    let rig = Rig::new("remap").await;
    let single = rig.dead(1, &["a"], DeadReason::Refused).await;
    let chain = rig.dead(2, &["a", "b"], DeadReason::Refused).await;
    assert_eq!(rig.replay(of_broker(), ReplayMode::Remap).await, handled(2, 2));
    assert_eq!((rig.state(&single, 0).await, rig.state(&chain, 0).await), ("withdrawn", "withdrawn"));
    let waiting = ("declaration".to_owned(), BROKER.to_owned(), 1, "waiting".to_owned());
    assert_eq!(intents(&rig), [waiting.clone(), waiting.clone()]);
    assert_eq!(rig.due_ids(later(500)).await, [], "the second of the old messages must not go before the first of the new ones");
    // A second part of the same filing, dead too, asks for nothing more.
    let conn = Connection::open(rig.file()).expect("open");
    let (second, sql) = (ids(&chain)[1], "UPDATE messages SET state = 'dead', reason = 'refused', settled_at = 1 WHERE message_id = ?1");
    conn.execute(sql, [second.0.as_bytes()]).expect("changed");
    conn.execute("DELETE FROM outbox WHERE message_id = ?1", [second.0.as_bytes()]).expect("changed");
    assert_eq!(rig.replay(one(second), ReplayMode::Remap).await, handled(1, 1));
    assert_eq!(intents(&rig).len(), 2);
    rig.end().await;
}

#[tokio::test]
async fn what_is_purged_is_withdrawn_and_no_longer_in_the_way() {
    let rig = Rig::new("purge").await;
    let chain = rig.dead(1, &["a", "b"], DeadReason::Refused).await;
    rig.dead(2, &["a"], DeadReason::Exhausted).await;
    let refused = DeadSelection { reason: Some(DeadReason::Refused), ..of_broker() };
    assert_eq!(rig.store.purge_dead(refused.clone(), "by hand".to_owned()).await.expect("purged"), handled(1, 1));
    assert_eq!(rig.store.purge_dead(refused, "by hand".to_owned()).await.expect("purged"), handled(0, 0));
    assert_eq!((rig.state(&chain, 0).await, rig.due_ids(later(500)).await), ("withdrawn", vec![ids(&chain)[1]]));
    let view = rig.store.messages(POST, chain.declaration_id, true).await.expect("read").expect("there");
    assert_eq!((view.messages[0].content.as_deref(), view.messages[0].attempts.len()), (Some(&b"<a/>"[..]), 1), "evidence stays");
    assert_eq!(rig.tally().await, [("dead", 1), ("queued", 1), ("withdrawn", 1)]);
    rig.end().await;
}

/// A mass order goes in steps; each message once, even when the clock was set back since they died.
#[tokio::test]
async fn a_mass_replay_takes_every_dead_letter_once() {
    let rig = Rig::new("mass").await;
    for number in 1..=450 {
        let new = declaration(number);
        rig.accept(&new).await;
        rig.send(message_of(&new), dead(DeadReason::Exhausted)).await;
    }
    rig.clock.set(start());
    assert_eq!(rig.replay(of_broker(), ReplayMode::SameBytes).await, handled(450, 450));
    assert_eq!(rig.tally().await, [("queued", 450)]);
    let last = rig.store.due(BROKER, later(60), std::collections::HashSet::new(), 1000).await.expect("due");
    assert_eq!(last.len(), 450);
    assert_eq!(rig.store.due(BROKER, later(17), std::collections::HashSet::new(), 1000).await.expect("due").len(), 426, "25 a second");
    // Customs spoke meanwhile: the verdict settles it as ever.
    let notice = rig.notice(9, None).await;
    let lrn = preclear::domain::ids::lrn(crate::rig::item(7), day(), 1).expect("counter");
    let verdict = Fact { lrn: Some(lrn), ..fact(ClearanceStatus::Accepted, later(1)) };
    rig.store.settle_notice(notice, Reading::Facts { mapping_version: "1".to_owned(), facts: vec![verdict] }).await.expect("settled");
    assert_eq!(rig.tally().await, [("delivered", 1), ("queued", 449)]);
    rig.end().await;
}
