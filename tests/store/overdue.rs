//! Answers that customs owes: told once, and no more once it has decided.

use preclear::domain::clearance::ClearanceStatus as C;
use preclear::store::{Reading, Settlement};

use crate::rig::{BROKER, POST, Rig, attempt, declaration, delivered, fact, later, message_of, start};

async fn types(rig: &Rig) -> Vec<String> {
    let page = rig.store.events_after(POST, Some(0), 100).await.expect("read");
    let kind =
        |(_, json): (i64, String)| serde_json::from_str::<serde_json::Value>(&json).expect("JSON")["type"].as_str().map(str::to_owned);
    page.events.into_iter().filter_map(kind).collect()
}

async fn decide(rig: &Rig, key: u8, new: &preclear::store::NewDeclaration, status: C, seconds: i64) {
    let notice = rig.notice(key, None).await;
    let lrn = Some(new.filings[0].messages[0].lrn.clone());
    let facts = vec![preclear::domain::fact::Fact { lrn, ..fact(status, later(seconds)) }];
    rig.store.settle_notice(notice, Reading::Facts { mapping_version: "1.0.0+0".to_owned(), facts }).await.expect("settle");
}

#[tokio::test]
async fn an_overdue_answer_is_told_once_and_a_decision_ends_it() {
    let mut rig = Rig::new("overdue").await;
    let (silent, decided) = (declaration(1), declaration(2));
    for new in [&silent, &decided] {
        rig.accept(new).await;
    }
    assert_eq!(rig.store.awaited_since(BROKER).await.expect("read"), None, "the broker has nothing yet");
    for new in [&silent, &decided] {
        rig.send(message_of(new), delivered()).await;
    }
    let since = attempt().finished_at;
    assert_eq!(rig.store.awaited_since(BROKER).await.expect("read"), Some(since));
    assert_eq!(rig.store.awaited_since("other-broker").await.expect("read"), None);
    decide(&rig, 1, &decided, C::Accepted, 50).await;
    decide(&rig, 2, &silent, C::Registered, 51).await;

    rig.restart().await;
    assert_eq!(rig.store.tell_overdue(BROKER, later(-1), 10, later(100)).await.expect("tell"), 0, "not yet");
    assert_eq!(rig.store.tell_overdue(BROKER, since, 10, later(100)).await.expect("tell"), 1, "registered is no decision");
    assert_eq!(rig.store.tell_overdue(BROKER, since, 10, later(101)).await.expect("tell"), 0, "once");
    assert_eq!(rig.store.overdue().await.expect("read")[BROKER], 1);
    let told = types(&rig).await;
    assert_eq!(told.iter().filter(|kind| *kind == "clearance.overdue").count(), 1, "{told:?}");

    decide(&rig, 3, &silent, C::Accepted, 120).await;
    assert!(rig.store.overdue().await.expect("read").is_empty());
    assert_eq!(rig.store.awaited_since(BROKER).await.expect("read"), None);
    rig.end().await;
}

#[tokio::test]
async fn what_never_reached_the_broker_is_not_awaited() {
    let rig = Rig::new("not-awaited").await;
    let new = declaration(1);
    rig.accept(&new).await;
    let reason = preclear::domain::delivery::DeadReason::Exhausted;
    rig.send(message_of(&new), Settlement::Dead { reason, facts: Vec::new() }).await;
    assert_eq!(rig.store.tell_overdue(BROKER, later(9999), 10, start()).await.expect("tell"), 0);
    rig.end().await;
}
