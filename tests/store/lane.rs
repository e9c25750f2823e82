//! Order within a filing, none between filings; what a crash leaves; what the backlog says.

use std::collections::HashSet;

use preclear::domain::delivery::{DeadReason, DeliveryState};
use preclear::store::{AttemptRecord, BacklogRow, BrokerHold, DeadLetterFilter, NewMessage, Settlement};

use crate::rig::{BROKER, Rig, attempt, day, declaration, declaration_on, delivered, later, message_of, start};

#[tokio::test]
async fn messages_of_one_filing_leave_in_order_and_a_dead_one_blocks_its_filing_alone() {
    let rig = Rig::new("order").await;
    let chain = declaration_on(1, day(), &["first", "second", "third"]);
    let poison = declaration_on(2, day(), &["poison", "behind"]);
    let other = declaration(3);
    for new in [&chain, &poison, &other] {
        rig.accept(new).await;
    }
    let ids =
        |new: &preclear::store::NewDeclaration| -> Vec<_> { new.filings[0].messages.iter().map(|m: &NewMessage| m.message_id).collect() };
    let (chain_ids, poison_ids) = (ids(&chain), ids(&poison));
    assert_eq!(rig.due_ids(start()).await, [chain_ids[0], poison_ids[0], message_of(&other)]);

    rig.send(poison_ids[0], Settlement::Dead { reason: DeadReason::Refused, facts: Vec::new() }).await;
    rig.send(chain_ids[0], Settlement::Retry { due_at: later(30), spent: true }).await;
    assert_eq!(rig.due_ids(later(29)).await, [message_of(&other)], "what is retried holds back its own filing alone");
    assert_eq!(rig.store.next_due(BROKER).await.expect("read"), Some(start()));
    rig.send(message_of(&other), delivered()).await;
    assert_eq!(rig.store.next_due(BROKER).await.expect("read"), Some(later(30)));
    rig.send(chain_ids[0], Settlement::InDoubt { due_at: later(40) }).await;
    assert_eq!(rig.due_ids(later(39)).await, []);
    rig.send(chain_ids[0], delivered()).await;
    assert_eq!(rig.due_ids(later(60)).await, [chain_ids[1]]);
    rig.send(chain_ids[1], delivered()).await;
    assert_eq!(rig.due_ids(later(60)).await, [chain_ids[2]]);
    let busy = HashSet::from([chain_ids[2]]);
    assert!(rig.store.due(BROKER, later(60), busy, 10).await.expect("read").is_empty(), "what the lane has in hand is not due again");

    let dead = rig
        .store
        .dead_letters(DeadLetterFilter { broker: Some(BROKER.to_owned()), limit: 10, ..DeadLetterFilter::default() })
        .await
        .expect("read");
    assert_eq!((dead.len(), dead[0].message_id, dead[0].last_status), (1, poison_ids[0], Some(202)));
    assert_eq!((dead[0].mapping.as_str(), dead[0].mapping_version.as_str()), ("hmrc-cds", "1.0.0+0"));
    let exhausted = DeadLetterFilter { reason: Some(DeadReason::Exhausted), limit: 10, ..DeadLetterFilter::default() };
    assert!(rig.store.dead_letters(exhausted).await.expect("read").is_empty());
    rig.end().await;
}

#[tokio::test]
async fn attempts_are_counted_when_they_count() {
    let rig = Rig::new("attempts").await;
    let new = declaration(1);
    rig.accept(&new).await;
    let message = message_of(&new);
    assert_eq!(rig.store.begin_attempt(message, start()).await.expect("begin"), Some(1));
    assert_eq!(rig.store.begin_attempt(message, start()).await.expect("begin"), None, "nothing is begun twice");
    rig.store.release(message).await.expect("release");
    rig.send(message, Settlement::Retry { due_at: later(1), spent: false }).await;
    let row = rig.due(later(1)).await.remove(0);
    assert_eq!((row.attempts, row.first_attempt_at, row.state), (0, None, DeliveryState::Queued));
    rig.send(message, Settlement::InDoubt { due_at: later(2) }).await;
    // A try that was not taken says nothing of the one before: it stays in doubt.
    rig.send(message, Settlement::Retry { due_at: later(3), spent: false }).await;
    let row = rig.due(later(3)).await.remove(0);
    assert_eq!((row.attempts, row.first_attempt_at, row.state), (1, Some(start()), DeliveryState::InDoubt));
    rig.send(message, delivered()).await;
    let view = rig.store.messages("KRA", new.declaration_id, true).await.expect("read").expect("there");
    let spent: Vec<bool> = view.messages[0].attempts.iter().map(|a| a.spent).collect();
    assert_eq!(spent, [false, true, false, true]);
    assert_eq!(view.messages[0].content.as_deref(), Some(&b"<declaration/>"[..]));
    rig.end().await;
}

#[tokio::test]
async fn what_was_being_sent_at_a_crash_is_in_doubt_and_the_tally_holds() {
    let mut rig = Rig::new("recover").await;
    let declarations: Vec<_> = (1..=5).map(declaration).collect();
    for new in &declarations {
        rig.accept(new).await;
    }
    let sent = message_of(&declarations[0]);
    rig.store.begin_attempt(sent, start()).await.expect("begin");
    rig.send(message_of(&declarations[1]), delivered()).await;
    rig.send(message_of(&declarations[2]), Settlement::Dead { reason: DeadReason::Exhausted, facts: Vec::new() }).await;
    let tally = |rows: Vec<BacklogRow>| rows.into_iter().map(|r| (r.state.as_str(), r.count, r.oldest_at)).collect::<Vec<_>>();
    let before = [("dead", 1, Some(start())), ("delivered", 1, None), ("queued", 2, Some(start())), ("sending", 1, Some(start()))];
    assert_eq!(tally(rig.store.backlog().await.expect("read")), before);

    rig.restart().await;
    assert_eq!(rig.store.recover(later(9)).await.expect("recover"), 1);
    let row = rig.due(later(9)).await.into_iter().find(|row| row.message_id == sent).expect("due at once");
    assert_eq!((row.state, row.attempts, row.first_attempt_at), (DeliveryState::InDoubt, 1, Some(start())));
    let after = [("dead", 1, Some(start())), ("delivered", 1, None), ("in_doubt", 1, Some(start())), ("queued", 2, Some(start()))];
    assert_eq!(tally(rig.store.backlog().await.expect("read")), after);
    // The lane of the dead process cannot settle it twice over: its attempt is kept, the state stays.
    rig.store.settle(sent, attempt(), Settlement::Retry { due_at: later(99), spent: true }).await.expect("settle");
    rig.end().await;
}

#[tokio::test]
async fn a_pause_keeps_its_first_time_and_its_last_reason() {
    let rig = Rig::new("pause").await;
    rig.store.pause(BROKER, None).await.expect("pause");
    rig.clock.set(later(50));
    rig.store.pause(BROKER, Some("maintenance".to_owned())).await.expect("pause");
    let paused = rig.store.paused().await.expect("read");
    assert_eq!((paused[BROKER].since, paused[BROKER].reason.as_deref()), (start(), Some("maintenance")));
    rig.store.resume(BROKER).await.expect("resume");
    assert!(rig.store.paused().await.expect("read").is_empty());
    rig.end().await;
}

/// The attempt and the wish are one commit: no restart can have the one without the other.
#[tokio::test]
async fn a_brokers_wish_to_be_left_alone_outlives_a_restart() {
    let mut rig = Rig::new("hold").await;
    let new = declaration(1);
    rig.accept(&new).await;
    assert_eq!(rig.store.held(BROKER).await.expect("read"), None);
    rig.store.begin_attempt(message_of(&new), start()).await.expect("begin");
    let told = AttemptRecord { held_until: Some(later(90)), ..attempt() };
    let at = told.finished_at;
    rig.store.settle(message_of(&new), told, Settlement::Retry { due_at: later(90), spent: false }).await.expect("settle");
    rig.restart().await;
    assert_eq!(rig.store.held(BROKER).await.expect("read"), Some(BrokerHold { at, until: later(90) }));
    assert_eq!(rig.store.held("other-broker").await.expect("read"), None);
    // Of two wishes the later end counts; after the clock was put back, the new one.
    rig.store.hold(BROKER, BrokerHold { at: later(10), until: later(20) }).await.expect("hold");
    assert_eq!(rig.store.held(BROKER).await.expect("read").map(|hold| hold.until), Some(later(90)));
    let back = BrokerHold { at: later(-86_400), until: later(-86_340) };
    rig.store.hold(BROKER, back).await.expect("hold");
    assert_eq!(rig.store.held(BROKER).await.expect("read"), Some(back));
    rig.end().await;
}

#[tokio::test]
async fn what_is_due_beyond_every_delay_is_due_now() {
    let rig = Rig::new("rein-in").await;
    let (near, far) = (declaration(1), declaration(2));
    for (new, seconds) in [(&near, 3000), (&far, 86_400)] {
        rig.accept(new).await;
        rig.send(message_of(new), Settlement::Retry { due_at: later(seconds), spent: true }).await;
    }
    assert_eq!(rig.store.rein_in(BROKER, later(3600), start()).await.expect("rein in"), 1);
    assert_eq!(rig.due_ids(start()).await, [message_of(&far)]);
    assert_eq!(rig.due_ids(later(3000)).await.len(), 2);
    rig.end().await;
}
