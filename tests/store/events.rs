//! Positions without gaps, webhooks in order per item, and a slow target that starves nobody.

use std::collections::HashSet;

use preclear::domain::clearance::ClearanceStatus as C;
use preclear::domain::fact::Fact;
use preclear::domain::ids::{EventId, SubscriptionId};
use preclear::domain::masked::Masked;
use preclear::store::{DeliveryRow, DeliverySettlement, NewDeclaration, Reading, Subscription, TrackingEvent};

use crate::rig::{POST, Rig, changed, declaration, fact, item, later, start};

fn subscription(types: &[&str]) -> Subscription {
    Subscription {
        subscription_id: SubscriptionId::new(),
        post: POST.to_owned(),
        url: "https://post.example/hook".to_owned(),
        types: types.iter().map(|t| (*t).to_owned()).collect(),
        secret: Masked::new(vec![1; 32]),
        created_at: start(),
        state: "active".to_owned(),
    }
}

async fn tell(rig: &Rig, new: &NewDeclaration, key: u8, status: C) {
    let notice = rig.notice(key, None).await;
    let fact = Fact { lrn: Some(new.filings[0].messages[0].lrn.clone()), ..fact(status, later(i64::from(key))) };
    rig.store.settle_notice(notice, Reading::Facts { mapping_version: "1".to_owned(), facts: vec![fact] }).await.expect("settle");
}

async fn due(rig: &Rig, at: i64) -> Vec<DeliveryRow> {
    rig.store.due_deliveries(later(at), HashSet::new(), 100).await.expect("due")
}

#[tokio::test]
async fn positions_have_no_gaps_under_load_and_readers_skip_none() {
    let rig = Rig::new("gaps").await;
    let declarations: Vec<_> = (1..=40).map(declaration).collect();
    for new in &declarations {
        rig.accept(new).await;
    }
    let store = rig.store.clone();
    let reader = tokio::spawn(async move {
        let (mut seen, mut signal) = (Vec::new(), store.subscribe_events());
        while seen.len() < 80 {
            let page = store.events_after(POST, seen.last().copied(), 7).await.expect("read");
            if page.events.is_empty() {
                changed(&mut signal).await;
            }
            seen.extend(page.events.iter().map(|(position, _)| *position));
        }
        seen
    });
    let tells = (1u8..).zip(&declarations).map(|(key, new)| {
        let rig = &rig;
        async move {
            tell(rig, new, key, C::Accepted).await;
            tell(rig, new, key + 100, C::Released).await;
        }
    });
    futures_util::future::join_all(tells).await;
    assert_eq!(reader.await.expect("reader"), (1..=80).collect::<Vec<i64>>());
    let page = rig.store.events_after(POST, Some(78), 10).await.expect("read");
    assert_eq!((page.events.len(), page.oldest, page.newest), (2, 1, 80));
    let other = rig.store.events_after("JPA", None, 10).await.expect("read");
    assert_eq!((other.events.len(), other.oldest, other.newest), (0, 0, 0));
    rig.end().await;
}

#[tokio::test]
async fn a_webhook_waits_for_the_earlier_event_of_its_item_and_for_no_other() {
    let rig = Rig::new("hooks").await;
    let (one, two) = (declaration(1), declaration(2));
    rig.accept(&one).await;
    rig.accept(&two).await;
    let (all, few) = (subscription(&[]), subscription(&["clearance.rel*"]));
    for new in [&all, &few] {
        assert!(rig.store.add_subscription(new.clone(), 10).await.expect("add"));
    }
    let mut signal = rig.store.subscribe_deliveries();
    tell(&rig, &one, 1, C::Accepted).await;
    tell(&rig, &one, 2, C::Released).await;
    tell(&rig, &two, 3, C::Accepted).await;
    changed(&mut signal).await;
    let at = |rows: &[DeliveryRow], id| rows.iter().filter(|r| r.subscription_id == id).map(|r| r.position).collect::<Vec<_>>();
    let rows = due(&rig, 99).await;
    assert_eq!((at(&rows, all.subscription_id), at(&rows, few.subscription_id)), (vec![1, 3], vec![2]));

    let settle = |id, position, settlement| rig.store.settle_delivery(id, position, settlement, later(99));
    settle(all.subscription_id, 1, DeliverySettlement::Retry { due_at: later(200) }).await.expect("settle");
    settle(all.subscription_id, 3, DeliverySettlement::Done).await.expect("settle");
    assert!(at(&due(&rig, 199).await, all.subscription_id).is_empty(), "the second event of an item waits for the first");
    let retried = due(&rig, 200).await.into_iter().find(|r| r.position == 1).expect("due again");
    assert_eq!((retried.attempts, retried.first_at), (1, Some(later(99))));
    settle(all.subscription_id, 1, DeliverySettlement::GiveUp).await.expect("settle");
    assert_eq!(at(&due(&rig, 199).await, all.subscription_id), [2]);

    let (event, json) = (EventId::new(), r#"{"type":"webhook.test"}"#.to_owned());
    assert!(rig.store.queue_test_event(POST, few.subscription_id, event, json.clone()).await.expect("test"));
    assert!(!rig.store.queue_test_event("JPA", few.subscription_id, event, json.clone()).await.expect("test"));
    assert!(!rig.store.add_subscription(subscription(&[]), 2).await.expect("add"), "a post has no more than it may");
    let test = due(&rig, 99).await.into_iter().find(|r| r.position < 0).expect("the test is due");
    assert_eq!((test.json, EventId::parse(&test.event_id)), (json, Some(event)));
    settle(few.subscription_id, test.position, DeliverySettlement::Done).await.expect("settle");
    settle(few.subscription_id, 2, DeliverySettlement::Gone).await.expect("settle");
    assert!(at(&due(&rig, 999).await, few.subscription_id).is_empty());
    assert_eq!(rig.store.subscriptions(POST).await.expect("read")[1].state, "gone");
    assert!(rig.store.remove_subscription(POST, all.subscription_id).await.expect("remove"));
    assert!(!rig.store.remove_subscription(POST, all.subscription_id).await.expect("remove"));
    assert_eq!(rig.store.purge_deliveries().await.expect("purge"), 2);
    assert_eq!(rig.store.next_delivery_due(start()).await.expect("read"), None);
    rig.end().await;
}

#[tokio::test]
async fn one_subscription_brings_only_its_share() {
    let rig = Rig::new("share").await;
    let first = subscription(&[]);
    rig.store.add_subscription(first.clone(), 10).await.expect("add");
    for number in 1..=40u8 {
        let new = declaration(u32::from(number));
        rig.accept(&new).await;
        tell(&rig, &new, number, C::Accepted).await;
    }
    let second = subscription(&[]);
    rig.store.add_subscription(second.clone(), 10).await.expect("add");
    let new = declaration(99);
    rig.accept(&new).await;
    tell(&rig, &new, 99, C::Accepted).await;
    let rows = due(&rig, 999).await;
    assert_eq!(rows.iter().filter(|r| r.subscription_id == first.subscription_id).count(), 16);
    assert_eq!(rows.iter().filter(|r| r.subscription_id == second.subscription_id).count(), 1);
    let busy: HashSet<_> = rows.iter().map(|r| (r.subscription_id, r.position)).collect();
    assert!(rig.store.due_deliveries(later(999), busy, 100).await.expect("due").is_empty(), "what is on its way counts");
    rig.end().await;
}

#[tokio::test]
async fn an_arrival_marks_the_newest_posting() {
    let rig = Rig::new("arrival").await;
    let new = declaration(1);
    rig.accept(&new).await;
    let event = |name: &str, at| TrackingEvent { event: name.to_owned(), at: later(at), office: Some("GBLALA".to_owned()) };
    assert!(!rig.store.tracking("JPA", item(1), event("EMD", 1), Vec::new()).await.expect("tell"));
    assert!(rig.store.tracking(POST, item(1), event("EMC", 1), Vec::new()).await.expect("tell"));
    let arrived = async || rig.store.item(POST, item(1)).await.expect("read").expect("there").arrived_at;
    assert_eq!(arrived().await, None);
    assert!(rig.store.tracking(POST, item(1), event("EMD", 5), Vec::new()).await.expect("tell"));
    assert!(rig.store.tracking(POST, item(1), event("EMD", 9), Vec::new()).await.expect("tell"));
    assert_eq!(arrived().await, Some(later(5)));
    rig.end().await;
}
