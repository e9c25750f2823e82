//! What operators see and do: pause and resume, metrics, health, the page, and routes that exist on one listener only.

use crate::support::broker::Broker;
use crate::support::gateway::Gateway;
use crate::support::notice::{Notice, mrn};
use crate::support::setup::Setup;
use crate::support::sink::Sink;
use crate::support::{goods, lists, metrics, until};
use serde_json::json;

/// A paused broker gets nothing, says so, spends nothing; resumed, the backlog goes. Another broker is not touched.
#[tokio::test]
async fn a_paused_broker_waits_and_resumes() {
    let mut setup = Setup::new("pause");
    let paused = Broker::willing(&setup.pki).await;
    let running = Broker::willing(&setup.pki).await;
    setup.broker("uk-broker", &paused.url(), "recipient.city == 'London'");
    setup.broker("other-broker", &running.url(), "recipient.country == 'GB'");
    let gateway = Gateway::start(setup).await;
    let answer = gateway.ops.post("/v1/brokers/uk-broker/pause", &json!({ "reason": "maintenance" })).await.expect(200);
    assert!(answer.text().contains("paused"), "{}", answer.text());
    let mut ids = Vec::new();
    for serial in 1..=3 {
        ids.push(gateway.korea.accepted(&goods::parcel(serial)).await);
    }
    let fence = gateway.korea.accepted(&goods::parcel_to(4, "Leeds")).await;
    gateway.korea.wait_delivered(&fence).await;
    assert_eq!(paused.ledger().len(), 0);
    let brokers = gateway.ops.json("/v1/brokers").await;
    assert!(lists::row(&brokers, "uk-broker").expect("listed").to_string().contains("paused"), "{brokers}");
    until("the backlog with its age in the metrics", 20, async || {
        let page = gateway.metrics().await;
        let value = |name| metrics::value(&page, name, &[("broker", "uk-broker")]);
        (value("preclear_backlog") == Some(3.0) && value("preclear_backlog_oldest_age_seconds")? > 0.0).then_some(())
    })
    .await;
    gateway.ops.post("/v1/brokers/uk-broker/resume", &json!({})).await.expect(200);
    for id in &ids {
        gateway.korea.wait_delivered(id).await;
    }
    assert_eq!(paused.ledger().len(), 3);
    gateway.ops.post("/v1/brokers/nobody/pause", &json!({})).await.expect(404);
}

/// A pause holds over a restart: an operator's word is not forgotten by a crash.
#[tokio::test]
async fn a_pause_survives_a_kill() {
    let mut setup = Setup::new("pause-kill");
    let paused = Broker::willing(&setup.pki).await;
    let running = Broker::willing(&setup.pki).await;
    setup.broker("uk-broker", &paused.url(), "recipient.city == 'London'");
    setup.broker("other-broker", &running.url(), "recipient.country == 'GB'");
    let mut gateway = Gateway::start(setup).await;
    gateway.ops.finish(gateway.ops.request(reqwest::Method::POST, "/v1/brokers/uk-broker/pause")).await.expect(200);
    let id = gateway.korea.accepted(&goods::parcel(1)).await;
    gateway.kill();
    gateway.launch().await;
    let fence = gateway.korea.accepted(&goods::parcel_to(2, "Leeds")).await;
    gateway.korea.wait_delivered(&fence).await;
    assert_eq!(paused.ledger().len(), 0);
    gateway.ops.finish(gateway.ops.request(reqwest::Method::POST, "/v1/brokers/uk-broker/resume")).await.expect(200);
    gateway.korea.wait_delivered(&id).await;
}

/// Every metric of the interfaces is there after one item went the whole way, with its labels and without any item's id.
#[tokio::test]
async fn metrics_have_their_names() {
    let (gateway, broker) = Gateway::plain("metrics").await;
    let sink = Sink::start(|_, _| 200).await;
    gateway.korea.post("/v1/subscriptions", &json!({ "url": sink.url(), "types": ["clearance.accepted"] })).await;
    let id = gateway.korea.accepted(&goods::parcel(1)).await;
    gateway.korea.wait_delivered(&id).await;
    let lrn = broker.ledger()[0].lrn();
    gateway.uk_broker().notify(&Notice::new("01", &lrn).mrn(&mrn(1))).await;
    gateway.uk_broker().notify(&Notice::new("09", &lrn).mrn(&mrn(1)).after(1)).await;
    gateway.korea.wait_clearance(&id, "cleared").await;
    let names = [
        "preclear_declarations_total",
        "preclear_backlog",
        "preclear_backlog_oldest_age_seconds",
        "preclear_send_attempts_total",
        "preclear_send_duration_seconds",
        "preclear_breaker_state",
        "preclear_notices_total",
        "preclear_events_total",
        "preclear_webhook_deliveries_total",
        "preclear_certificate_expiry_timestamp_seconds",
        "preclear_decision_seconds",
        "preclear_commit_rows",
    ];
    let page = until("every metric", 20, async || {
        let page = gateway.metrics().await;
        let missing: Vec<_> = names.iter().filter(|name| !metrics::has_family(&page, name)).collect();
        let waiting = metrics::value(&page, "preclear_backlog", &[("broker", "uk-broker")]).unwrap_or(0.0);
        println!("missing {missing:?}, waiting {waiting}");
        (missing.is_empty() && waiting == 0.0).then_some(page)
    })
    .await;
    let value = |name: &str, labels: &[(&str, &str)]| metrics::value(&page, name, labels);
    assert_eq!(value("preclear_declarations_total", &[("post", "KRA")]), Some(1.0));
    assert_eq!(value("preclear_send_attempts_total", &[("broker", "uk-broker")]), Some(1.0));
    assert_eq!(value("preclear_notices_total", &[("broker", "uk-broker")]), Some(2.0));
    assert_eq!(value("preclear_events_total", &[("track", "clearance"), ("status", "cleared")]), Some(1.0));
    assert_eq!(value("preclear_breaker_state", &[("broker", "uk-broker")]), Some(0.0));
    assert!(value("preclear_webhook_deliveries_total", &[]).unwrap() >= 1.0);
    assert!(!page.contains(&goods::item_id(1)), "no label is an item's id");
}

/// Health, the page, and three routers: a route exists on one listener only.
#[tokio::test]
async fn routes_exist_on_one_listener_only() {
    let (gateway, _broker) = Gateway::plain("routers").await;
    gateway.ops.get("/health/live").await.expect(200);
    gateway.ops.get("/health/ready").await.expect(200);
    let page = gateway.ops.get("/").await.expect(200);
    assert!(page.header("content-type").is_some_and(|kind| kind.starts_with("text/html")));
    assert!(page.text().contains("uk-broker"), "the page lists the brokers");
    for path in ["/health/live", "/metrics", "/v1/brokers", "/v1/dead-letters", "/v1/notices"] {
        gateway.korea.get(path).await.expect(404);
    }
    for path in ["/v1/events", "/v1/subscriptions", "/openapi.json", "/docs"] {
        gateway.ops.get(path).await.expect(404);
    }
    gateway.ops.post("/v1/declarations", &goods::parcel(1)).await.expect(404);
    gateway.korea.post("/v1/brokers/uk-broker/notices", &json!({})).await.expect(404);
    let voice = gateway.uk_broker();
    for path in ["/metrics", "/v1/events", "/v1/brokers", "/health/ready"] {
        voice.caller.get(path).await.expect(404);
    }
}
