//! Webhooks by the Standard Webhooks scheme, judged by its published library.

use crate::support::caller::Caller;
use crate::support::gateway::Gateway;
use crate::support::goods;
use crate::support::lists;
use crate::support::notice::{Notice, mrn};
use crate::support::sink::{Hook, Sink};
use crate::support::until;
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use std::sync::atomic::{AtomicBool, Ordering};

const TYPES: [&str; 4] = ["clearance.submitted", "clearance.accepted", "clearance.released", "clearance.cleared"];

/// Subscribes and gives the subscription, in which the secret stands this once.
async fn subscribe(caller: &Caller, sink: &Sink) -> Value {
    let answer = caller.post("/v1/subscriptions", &json!({ "url": sink.url(), "types": TYPES })).await;
    assert!(matches!(answer.status, 200 | 201), "{}", answer.text());
    answer.json()
}

fn verifier(subscription: &Value) -> Webhook {
    let secret = subscription["secret"].as_str().expect("the secret is shown once");
    assert!(secret.starts_with("whsec_"));
    Webhook::new(secret).expect("a secret of the scheme")
}

/// Issue: the webhook verifies with the published library, no flipped byte does; the secret is never shown again.
#[tokio::test]
async fn a_webhook_verifies_and_no_flipped_byte_does() {
    let (gateway, _broker) = Gateway::plain("signature").await;
    let sink = Sink::start(|_, _| 204).await;
    let subscription = subscribe(&gateway.korea, &sink).await;
    let verifier = verifier(&subscription);
    let id = gateway.korea.accepted(&goods::parcel(1)).await;
    let hooks = until("a webhook", 20, async || Some(sink.hooks()).filter(|hooks| !hooks.is_empty())).await;
    let hook = &hooks[0];
    let headers = hook.header_map();
    verifier.verify(&hook.body, &headers).expect("the signature verifies");
    for position in 0..hook.body.len() {
        let mut forged = hook.body.clone();
        forged[position] ^= 1;
        assert!(verifier.verify(&forged, &headers).is_err(), "byte {position} is not covered");
    }
    for name in ["webhook-id", "webhook-timestamp"] {
        let mut forged = headers.clone();
        let value = forged[name].to_str().unwrap().to_owned();
        let last = if value.ends_with('1') { '2' } else { '1' };
        forged.insert(name, format!("{}{last}", &value[..value.len() - 1]).parse().unwrap());
        assert!(verifier.verify(&hook.body, &forged).is_err(), "{name} is not covered");
    }
    let event = hook.event();
    assert_eq!((&event["type"], &event["subject"]), (&json!("clearance.submitted"), &json!(goods::item_id(1))));
    assert_eq!((&event["source"], &event["specversion"]), (&json!("/brokers/uk-broker"), &json!("1.0")));
    assert_eq!(event["data"]["declaration_id"], id.as_str());
    let feed = gateway.korea.events().await;
    assert!(feed.contains(&event), "the webhook's event is the feed's");

    let listed = gateway.korea.get("/v1/subscriptions").await.expect(200).text();
    assert!(listed.contains(&sink.url()) && !listed.contains("whsec_"), "{listed}");
    assert!(!gateway.log().contains("whsec_"), "no secret in the log");
}

/// P8: what the sink refused comes again under the same id, and nothing of that item overtakes it; another item is not held up.
#[tokio::test]
async fn a_refused_webhook_comes_again_in_order() {
    let (gateway, broker) = Gateway::plain("order").await;
    let first = goods::item_id(1);
    let refuse = AtomicBool::new(true);
    let sink = Sink::start(move |hook: &Hook, _| {
        let now = hook.event()["subject"] == first.as_str() && refuse.swap(false, Ordering::SeqCst);
        if now { 500 } else { 200 }
    })
    .await;
    let subscription = subscribe(&gateway.korea, &sink).await;
    let verifier = verifier(&subscription);
    let mut ids = Vec::new();
    for serial in [1, 2] {
        ids.push(gateway.korea.accepted(&goods::parcel(serial)).await);
        gateway.korea.wait_delivered(&ids[ids.len() - 1]).await;
    }
    let voice = gateway.uk_broker();
    for (serial, id) in [1, 2].into_iter().zip(&ids) {
        let lrn = broker.about(&goods::item_id(serial))[0].lrn();
        for (code, status) in [("01", "accepted"), ("08", "released"), ("09", "cleared")] {
            voice.notify(&Notice::new(code, &lrn).mrn(&mrn(serial)).after(i64::from(status == "cleared"))).await;
            gateway.korea.wait_clearance(id, status).await;
        }
    }
    for serial in [1, 2] {
        let item = goods::item_id(serial);
        let taken = until(&format!("all webhooks of item {serial}"), 60, async || {
            Some(sink.taken(&item)).filter(|taken| taken.len() >= TYPES.len())
        })
        .await;
        let types: Vec<&str> = taken.iter().map(|event| event["type"].as_str().unwrap()).collect();
        assert_eq!(types, TYPES, "in order, item {serial}");
    }
    let hooks = sink.hooks();
    let failed: Vec<&Hook> = hooks.iter().filter(|hook| hook.answered == 500).collect();
    assert!(!failed.is_empty(), "void: nothing was refused");
    for hook in failed {
        assert_eq!(hook.event()["type"], TYPES[0], "nothing overtakes the refused event");
        let again = |other: &&Hook| other.answered == 200 && other.header("webhook-id") == hook.header("webhook-id");
        let again = hooks.iter().find(again).expect("the refused event comes again under its id");
        assert_eq!(again.body, hook.body);
        verifier.verify(&again.body, &again.header_map()).expect("a repeat verifies too");
    }
}

/// 410 ends a subscription; the others go on. A redirect is a failure and is not followed.
#[tokio::test]
async fn gone_ends_a_subscription() {
    let (gateway, broker) = Gateway::plain("gone").await;
    let gone = Sink::start(|_, _| 410).await;
    let alive = Sink::start(|_, _| 200).await;
    let subscription = subscribe(&gateway.korea, &gone).await;
    subscribe(&gateway.korea, &alive).await;
    let id = gateway.korea.accepted(&goods::parcel(1)).await;
    gateway.korea.wait_delivered(&id).await;
    until("the first event at the one that is gone", 20, async || (!gone.hooks().is_empty()).then_some(())).await;
    let ended = subscription["id"].as_str().expect("a subscription has an id").to_owned();
    until("the end of the subscription", 20, async || {
        let list = gateway.korea.json("/v1/subscriptions").await;
        let row = lists::row(&list, &ended).cloned();
        row.is_none_or(|row| row["state"] != "active" && row["active"] != true).then_some(())
    })
    .await;
    gateway.uk_broker().notify(&Notice::new("01", &broker.ledger()[0].lrn()).mrn(&mrn(1))).await;
    until("the second event at the other", 20, async || (alive.hooks().len() >= 2).then_some(())).await;
    assert_eq!(gone.hooks().len(), 1, "nothing more is sent there");
}

/// A target on a private address is refused unless it is allowed; a test delivery goes at once; DELETE ends it.
#[tokio::test]
async fn subscriptions_are_guarded_and_can_be_tried_and_removed() {
    let (gateway, _broker) = Gateway::plain("subscriptions").await;
    for url in ["http://10.0.0.1/x", "http://localhost:1/x", "http://[::1]/x", "file:///etc/passwd", "https://169.254.169.254/", "nonsense"]
    {
        let answer = gateway.korea.post("/v1/subscriptions", &json!({ "url": url, "types": TYPES })).await;
        assert!(matches!(answer.status, 400 | 422), "{url}: {}", answer.status);
    }
    let sink = Sink::start(|_, _| 200).await;
    let subscription = subscribe(&gateway.korea, &sink).await;
    let path = format!("/v1/subscriptions/{}", subscription["id"].as_str().unwrap());
    let answer = gateway.korea.post(&format!("{path}/test"), &json!({})).await;
    assert!(matches!(answer.status, 200 | 202 | 204), "{}", answer.text());
    let hooks = until("the test delivery", 20, async || Some(sink.hooks()).filter(|hooks| !hooks.is_empty())).await;
    verifier(&subscription).verify(&hooks[0].body, &hooks[0].header_map()).expect("a test delivery verifies");
    let request = gateway.korea.request(reqwest::Method::DELETE, &path);
    let answer = gateway.korea.finish(request).await;
    assert!(matches!(answer.status, 200 | 204), "{}", answer.text());
    assert!(!gateway.korea.get("/v1/subscriptions").await.expect(200).text().contains(&sink.url()));
}
