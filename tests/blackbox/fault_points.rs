//! A kill at each named step of the road: what was acknowledged arrives once, and the post is told.

use crate::support::gateway::{Gateway, run};
use crate::support::notice::{Notice, mrn};
use crate::support::setup::Setup;
use crate::support::sink::Sink;
use crate::support::{goods, until};
use serde_json::json;

/// Every point but those of `prepare` is met by this one road, kills, and leaves nothing lost and nothing twice. What `prepare` renders
/// needs a change of mind: its points are met by the judge's scenario `points` (tests/rig).
#[tokio::test]
async fn a_kill_at_each_point_loses_nothing() {
    let listed = run(&Setup::new("points"), &["fault-points"]);
    let names: Vec<String> = String::from_utf8(listed.stdout).unwrap().lines().map(str::to_owned).collect();
    assert!(names.len() > 10, "{names:?}");
    for point in names.iter().filter(|name| !name.starts_with("prepare.")) {
        one(point).await;
    }
}

async fn one(point: &str) {
    let (mut gateway, broker) = Gateway::plain(&point.replace(['.', '_'], "-")).await;
    let sink = Sink::start(|_, _| 204).await;
    gateway.korea.post("/v1/subscriptions", &json!({ "url": sink.url(), "types": ["clearance.accepted"] })).await.expect(201);
    gateway.kill();
    // The start commits too; one message makes several commits after it.
    let pass = if point.starts_with("store.") { 4 } else { 1 };
    gateway.setup.environment.push(("PRECLEAR_FAULT_POINT".into(), format!("{point}:{pass}")));
    gateway.launch().await;
    gateway.setup.environment.clear();

    let declare = gateway.korea.request(reqwest::Method::POST, "/v1/declarations").header("content-type", "application/json");
    let taken = gateway.korea.try_finish(declare.body(goods::parcel(1).to_string())).await;
    if taken.is_ok() && !point.starts_with("forward.") && !point.starts_with("store.") {
        let posts = broker.wait_for(1).await;
        let notice = Notice::new("01", &posts[0].lrn()).mrn(&mrn(1));
        drop(gateway.uk_broker().caller.try_finish(voice(&gateway, &notice)).await);
    }
    let status = gateway.wait_exit(20).await;
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "{point}: {status}\n{}", gateway.log());

    gateway.launch().await;
    let again = gateway.korea.declare(&goods::parcel(1)).await;
    assert!(matches!(again.status, 200 | 202) && (again.status == 200 || taken.is_err()), "{point}: {}", again.text());
    let id = again.json()["declaration_id"].as_str().unwrap().to_owned();
    gateway.korea.wait_delivered(&id).await;
    let post = broker.ledger().remove(0);
    gateway.uk_broker().notify(&Notice::new("01", &post.lrn()).mrn(&mrn(1))).await;
    gateway.korea.wait_clearance(&id, "accepted").await;
    until("the webhook", 20, async || (!sink.hooks().is_empty()).then_some(())).await;
    let ids: std::collections::BTreeSet<String> = sink.hooks().iter().map(|hook| hook.event()["id"].to_string()).collect();
    assert_eq!((broker.by_message().len(), ids.len()), (1, 1), "{point}: one message, one event");
    gateway.stop().await;
}

fn voice(gateway: &Gateway, notice: &Notice) -> reqwest::RequestBuilder {
    let caller = gateway.uk_broker().caller;
    let request = caller.request(reqwest::Method::POST, "/v1/brokers/uk-broker/notices");
    request.header("content-type", "application/xml").body(notice.xml().into_bytes())
}
