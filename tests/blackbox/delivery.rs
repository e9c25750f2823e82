//! What goes to the broker: every declaration once, as itself, with our certificate; and nothing at all without it.

use crate::support::broker::Broker;
use crate::support::gateway::{Gateway, run};
use crate::support::lists;
use crate::support::metrics;
use crate::support::schema;
use crate::support::setup::Setup;
use crate::support::{goods, until};
use futures_util::{StreamExt, stream};
use std::collections::BTreeSet;

/// Issue: N declarations are exactly N POSTs, each with the client certificate and a message id of its own (P2).
#[tokio::test]
async fn fifty_declarations_are_fifty_posts() {
    let (mut gateway, broker) = Gateway::plain("fifty").await;
    let caller = &gateway.korea;
    let ids: Vec<String> =
        stream::iter(1..=50).map(|n| async move { caller.accepted(&goods::parcel(n)).await }).buffer_unordered(8).collect().await;
    for id in &ids {
        caller.wait_delivered(id).await;
    }
    gateway.stop().await;

    let ledger = broker.ledger();
    assert_eq!(ledger.len(), 50, "one POST for each declaration, and none more until the end of the process");
    let distinct = |values: Vec<String>| values.into_iter().collect::<BTreeSet<_>>().len();
    assert_eq!(distinct(ledger.iter().map(|post| post.message_id.clone()).collect()), 50, "message ids");
    assert_eq!(distinct(ledger.iter().map(|post| post.lrn()).collect()), 50, "local references");
    assert_eq!(distinct(ids), 50, "declaration ids");
    for post in &ledger {
        assert_eq!((post.method.as_str(), post.path.as_str()), ("POST", "/customs/declarations"));
        assert_eq!(post.certificate, gateway.setup.pki.gateway_client.sha256, "our client certificate");
        assert!(!post.message_id.is_empty(), "the message id is the Idempotency-Key");
        assert!(uuid::Uuid::parse_str(post.header("x-conversation-id")).is_ok());
        assert_eq!(post.header("traceparent").len(), 55);
        assert!(post.header("content-type").contains("xml"));
    }
    for serial in 1..=50 {
        let posts = broker.about(&goods::item_id(serial));
        assert_eq!(posts.len(), 1, "item {serial}");
        if serial == 1 {
            schema::declaration(&posts[0].body);
        }
        let lrn = posts[0].lrn();
        assert!(lrn.len() == 21 && lrn[13..19].bytes().all(|byte| byte.is_ascii_digit()), "S10, YYMMDD, counter: {lrn}");
        let text = String::from_utf8_lossy(&posts[0].body).into_owned();
        for value in ["Hanok Goods", "Ada Byron", "1 Park Lane", "W1K 1AA"] {
            assert!(text.contains(value), "ASCII names and addresses appear unchanged");
        }
    }
}

/// P5, and one broken broker harms nobody: without its client certificate a broker gets nothing, `check` says so with exit 1,
/// `serve` runs, the declarations wait, and they go out when the certificate is there.
#[tokio::test]
async fn nothing_leaves_without_the_client_certificate() {
    let mut setup = Setup::new("no-certificate");
    let bare = Broker::willing(&setup.pki).await;
    let sound = Broker::willing(&setup.pki).await;
    setup.broker("uk-broker", &bare.url(), "recipient.city == 'London'");
    setup.broker("other-broker", &sound.url(), "recipient.country == 'GB'");
    let missing = setup.folder.file("not-there.pem");
    setup.tune("uk-broker", "certificate", &format!("{:?}", missing.display().to_string()));

    let config = setup.config_path().display().to_string();
    let check = run(&setup, &["check", "--config", &config]);
    let said = String::from_utf8_lossy(&[check.stdout, check.stderr].concat()).into_owned();
    assert_eq!(check.status.code(), Some(1), "{said}");
    assert!(said.contains("uk-broker") && said.contains("certificate"), "{said}");

    let mut gateway = Gateway::start(setup).await;
    let mut waiting = Vec::new();
    for serial in 1..=5 {
        let answer = gateway.korea.declare(&goods::parcel(serial)).await.expect(202).json();
        assert_eq!(answer["broker"], "uk-broker");
        waiting.push(answer["declaration_id"].as_str().unwrap().to_owned());
    }
    let brokers = gateway.ops.json("/v1/brokers").await;
    let row = lists::row(&brokers, "uk-broker").expect("the broker is listed");
    assert!(row.to_string().contains("disabled"), "{row}");
    let reason = row["reason"].as_str().unwrap_or_default().to_lowercase();
    assert!(reason.contains("certificate"), "{row}");

    // What was accepted later by the sound broker has gone: the others had every chance to.
    let fence = gateway.korea.accepted(&goods::parcel_to(6, "Leeds")).await;
    gateway.korea.wait_delivered(&fence).await;
    until("the backlog in the metrics", 20, async || {
        let backlog = metrics::value(&gateway.metrics().await, "preclear_backlog", &[("broker", "uk-broker")]);
        (backlog == Some(5.0)).then_some(())
    })
    .await;
    for id in &waiting {
        assert_ne!(gateway.korea.declaration(id).await["delivery"]["state"], "delivered");
    }
    gateway.stop().await;
    assert_eq!((bare.connections(), bare.ledger().len()), (0, 0), "not even a connection");

    let certificate = format!("{:?}", gateway.setup.folder.file("gateway-client.pem").display().to_string());
    gateway.setup.tune("uk-broker", "certificate", &certificate);
    let check = run(&gateway.setup, &["check", "--config", &config]);
    assert_eq!(check.status.code(), Some(0), "{}", String::from_utf8_lossy(&check.stderr));
    gateway.launch().await;
    for id in &waiting {
        gateway.korea.wait_delivered(id).await;
    }
    assert_eq!(bare.ledger().len(), 5);
}

/// Routing: the first rule that matches chooses, the answer says which; without any rule it is the sender's fault.
#[tokio::test]
async fn the_first_matching_route_chooses() {
    let mut setup = Setup::new("routes");
    let first = Broker::willing(&setup.pki).await;
    let second = Broker::willing(&setup.pki).await;
    setup.broker("uk-broker", &first.url(), "recipient.city == 'London'");
    setup.broker("other-broker", &second.url(), "recipient.country == 'GB'");
    let gateway = Gateway::start(setup).await;
    for (serial, city, broker, rule) in [(1, "London", "uk-broker", 1), (2, "Leeds", "other-broker", 2)] {
        let answer = gateway.korea.declare(&goods::parcel_to(serial, city)).await.expect(202).json();
        assert_eq!(answer["broker"], broker);
        assert_eq!(answer["route"]["rule"], rule, "{answer}");
        gateway.korea.wait_delivered(answer["declaration_id"].as_str().unwrap()).await;
    }
    let posts = until("one message at each", 10, async || {
        let posts = (first.ledger(), second.ledger());
        (posts.0.len() == 1 && posts.1.len() == 1).then_some(posts)
    })
    .await;
    assert!(posts.0[0].lrn().starts_with(&goods::item_id(1)) && posts.1[0].lrn().starts_with(&goods::item_id(2)));

    let mut elsewhere = goods::parcel(3);
    elsewhere["recipient"]["country"] = "FR".into();
    elsewhere["recipient"]["postcode"] = "75001".into();
    gateway.korea.declare(&elsewhere).await.expect(422);
}
