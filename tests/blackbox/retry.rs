//! What the broker's answer means for the message: again, never again, later, or not its fault.

use crate::support::broker::{Broker, Post, Reply, Turn, busy, status};
use crate::support::gateway::Gateway;
use crate::support::setup::Setup;
use crate::support::{goods, lists, metrics, until};
use std::time::Duration;

/// Two repeats of one message: the same id, the same bytes.
fn same_message(posts: &[Post]) {
    for post in posts {
        assert_eq!(post.message_id, posts[0].message_id, "one id");
        assert_eq!(post.body, posts[0].body, "one set of bytes");
    }
}

/// 429 with `Retry-After` holds the whole broker; the message and its neighbour go out afterwards.
#[tokio::test]
async fn retry_after_holds_the_whole_broker() {
    let (gateway, broker) = Gateway::with_broker("retry-after", |_, turn: &Turn| match turn.of_all {
        0 => busy(429, 2),
        _ => Reply::Accept,
    })
    .await;
    let first = gateway.korea.accepted(&goods::parcel(1)).await;
    broker.wait_for(1).await;
    // Once the refusal has been read, the neighbour may not be sent earlier than told either.
    let told = broker.ledger()[0].at;
    until("the attempt on record", 10, async || {
        metrics::value(&gateway.metrics().await, "preclear_send_attempts_total", &[("broker", "uk-broker")])
    })
    .await;
    let second = gateway.korea.accepted(&goods::parcel(2)).await;
    gateway.korea.wait_delivered(&first).await;
    gateway.korea.wait_delivered(&second).await;
    let ledger = broker.ledger();
    assert_eq!(ledger.len(), 3);
    for post in &ledger[1..] {
        assert!(post.at - told >= Duration::from_millis(1950), "sent {:?} after the refusal", post.at - told);
    }
    same_message(&broker.about(&goods::item_id(1)));
}

/// The wish outlives a kill: a process that starts within it sends nothing, neither the message nor its neighbour.
#[tokio::test]
async fn retry_after_survives_a_kill() {
    let (mut gateway, broker) = Gateway::with_broker("retry-after-kill", |_, turn: &Turn| match turn.of_all {
        0 => busy(503, 4),
        _ => Reply::Accept,
    })
    .await;
    let first = gateway.korea.accepted(&goods::parcel(1)).await;
    broker.wait_for(1).await;
    let told = broker.ledger()[0].at;
    until("the attempt on record", 10, async || {
        let shown = gateway.korea.json(&format!("/v1/declarations/{first}/messages")).await;
        shown.pointer("/messages/0/attempts/0").cloned()
    })
    .await;
    gateway.kill();
    gateway.launch().await;
    let second = gateway.korea.accepted(&goods::parcel(2)).await;
    let held = gateway.ops.json("/v1/brokers").await.to_string();
    assert!(held.contains("retry_after") || told.elapsed() > Duration::from_secs(4), "{held}");
    gateway.korea.wait_delivered(&first).await;
    gateway.korea.wait_delivered(&second).await;
    for post in &broker.ledger()[1..] {
        assert!(post.at - told >= Duration::from_millis(3950), "sent {:?} after the refusal", post.at - told);
    }
}

/// Everything that may be tried again is, under the same id with the same bytes, to a broker that drops repeats.
#[tokio::test]
async fn passing_faults_are_tried_again() {
    let mut setup = Setup::new("passing-faults");
    let broker = Broker::start(&setup.pki, |post: &Post, turn: &Turn| {
        let city = ["Bath", "Cardiff", "Derby", "Exeter", "Falmouth", "Glasgow"];
        let text = String::from_utf8_lossy(&post.body).into_owned();
        let case = city.iter().position(|city| text.contains(city)).expect("the city tells the case");
        match (turn.of_message, case) {
            (0, 0) => status(503),
            (0, 1) => Reply::Cut,
            (0, 2) => status(500),
            (0, 3) => Reply::Hang,
            (0, 4) => status(408),
            (0, 5) => status(502),
            _ => Reply::Accept,
        }
    })
    .await;
    setup.broker("uk-broker", &broker.url(), "true");
    setup.tune("uk-broker", "timeout_s", "1");
    let gateway = Gateway::start(setup).await;
    let mut ids = Vec::new();
    for (serial, city) in (1..).zip(["Bath", "Cardiff", "Derby", "Exeter", "Falmouth", "Glasgow"]) {
        ids.push(gateway.korea.accepted(&goods::parcel_to(serial, city)).await);
    }
    for (serial, id) in (1..).zip(&ids) {
        gateway.korea.wait_delivered(id).await;
        let posts = broker.about(&goods::item_id(serial));
        assert_eq!(posts.len(), 2, "case {serial}: once refused, once taken");
        same_message(&posts);
    }
    assert!(lists::rows(&gateway.ops.json("/v1/dead-letters").await).is_empty());
}

/// A technical refusal is final for the message: dead, listed, told to the post, and never sent again.
#[tokio::test]
async fn a_refused_message_is_dead_and_shown() {
    let refusals = [400, 409, 413, 415, 422];
    let (gateway, broker) =
        Gateway::with_broker("refused", move |_, turn: &Turn| refusals.get(turn.of_all).map_or(Reply::Accept, |&code| status(code))).await;
    let mut ids = Vec::new();
    for serial in 1..=5 {
        ids.push(gateway.korea.accepted(&goods::parcel(serial)).await);
        let declaration = gateway.korea.wait_state(&ids[ids.len() - 1], "/delivery/state", "dead").await;
        assert_eq!(declaration["delivery"]["reason"], "refused");
        assert_ne!(declaration["clearance"]["status"], "rejected", "a technical refusal is not customs' rejection");
        assert_eq!(gateway.korea.event_types(&goods::item_id(serial)).await, ["delivery.refused"]);
    }
    let fence = gateway.korea.accepted(&goods::parcel(6)).await;
    gateway.korea.wait_delivered(&fence).await;
    assert_eq!(broker.ledger().len(), 6, "none is sent again");
    let dead = gateway.ops.json("/v1/dead-letters").await;
    assert_eq!(lists::rows(&dead).len(), 5);
    for id in &ids {
        let row = lists::row(&dead, id).unwrap_or_else(|| panic!("{id} is not in {dead}"));
        assert!(row.to_string().contains("refused"), "{row}");
    }
    let events = gateway.korea.events().await;
    let told = events.iter().find(|event| event["type"] == "delivery.refused").unwrap();
    assert_eq!(told["data"]["emsevt"].as_array().map(Vec::len), Some(0), "tracking is never told");
}

/// The channel's own faults (403, a broker that is down) spend no attempt and kill no letter; the backlog goes when they end (P11).
#[tokio::test]
async fn a_faulty_channel_kills_no_letter() {
    let (gateway, broker) = Gateway::with_broker("channel", |_, turn: &Turn| match turn.of_all {
        0 => status(403),
        1 => status(401),
        2 => status(404),
        _ => Reply::Accept,
    })
    .await;
    let mut ids = Vec::new();
    for serial in 1..=10 {
        ids.push(gateway.korea.accepted(&goods::parcel(serial)).await);
    }
    for id in &ids {
        gateway.korea.wait_delivered(id).await;
    }
    assert_eq!(broker.by_message().len(), 10);
    assert!(lists::rows(&gateway.ops.json("/v1/dead-letters").await).is_empty());
    let page = gateway.metrics().await;
    assert_eq!(metrics::value(&page, "preclear_breaker_state", &[("broker", "uk-broker")]), Some(0.0), "closed again");
    for broker in lists::rows(&gateway.ops.json("/v1/brokers").await) {
        assert!(!broker.to_string().contains("disabled"), "{broker}");
    }
}

/// P4: the permit is never exceeded in any one-second window, from the first message on.
#[tokio::test]
async fn the_rate_is_never_exceeded() {
    let mut setup = Setup::new("rate");
    let broker = Broker::willing(&setup.pki).await;
    setup.broker("uk-broker", &broker.url(), "true");
    setup.tune("uk-broker", "rate", "{ per_second = 20, burst = 5 }");
    let gateway = Gateway::start(setup).await;
    let mut ids = Vec::new();
    for serial in 1..=70 {
        ids.push(gateway.korea.accepted(&goods::parcel(serial)).await);
    }
    for id in &ids {
        gateway.korea.wait_delivered(id).await;
    }
    let times: Vec<_> = broker.ledger().iter().map(|post| post.at).collect();
    for (n, start) in times.iter().enumerate() {
        let window = times[n..].iter().filter(|at| **at - *start < Duration::from_secs(1)).count();
        // 20 and the burst of 5; as much again for a machine that holds up messages on their way and lets them arrive together.
        assert!(window <= 30, "{window} messages within a second");
    }
}
