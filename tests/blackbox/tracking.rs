//! What the events say to the tracking chain: proposals only, and none of the destination's before the item is there.

use crate::support::gateway::Gateway;
use crate::support::goods;
use crate::support::notice::{Notice, mrn};
use serde_json::{Value, json};

fn proposals(event: &Value) -> Vec<Value> {
    event["data"]["emsevt"].as_array().unwrap_or_else(|| panic!("emsevt in {event}")).clone()
}

/// Before the arrival (EMD) no destination-leg event is proposed as true; after it a hold is EME, with a reason.
#[tokio::test]
async fn destination_events_wait_for_the_arrival() {
    let (gateway, broker) = Gateway::plain("emsevt").await;
    let (korea, voice) = (&gateway.korea, gateway.uk_broker());
    let mut ids = Vec::new();
    for serial in [1, 2] {
        let id = korea.accepted(&goods::parcel(serial)).await;
        korea.wait_delivered(&id).await;
        let lrn = broker.about(&goods::item_id(serial))[0].lrn();
        voice.notify(&Notice::new("01", &lrn).mrn(&mrn(serial))).await;
        korea.wait_clearance(&id, "accepted").await;
        ids.push((id, lrn));
    }
    let arrived = json!({ "event": "EMD", "at": jiff::Timestamp::now().to_string(), "office": "GBLALA" });
    korea.post(&format!("/v1/items/{}/tracking", goods::item_id(2)), &arrived).await.expect(202);
    for (serial, (id, lrn)) in [1, 2].into_iter().zip(&ids) {
        voice.notify(&Notice::new("05", lrn).mrn(&mrn(serial)).after(1)).await;
        korea.wait_clearance(id, "held").await;
        voice.notify(&Notice::new("09", lrn).mrn(&mrn(serial)).after(2)).await;
        korea.wait_clearance(id, "cleared").await;
    }
    let events = korea.events().await;
    for event in events.iter().filter(|event| event["subject"] == goods::item_id(1)) {
        for proposal in proposals(event) {
            assert!(proposal["leg"] != "destination" || proposal["after"] == "EMD", "not there yet: {event}");
        }
    }
    let held = events.iter().find(|event| event["subject"] == goods::item_id(2) && event["type"] == "clearance.held").unwrap();
    let held = proposals(held);
    let eme = held.iter().find(|proposal| proposal["event"] == "EME").expect("a hold at the destination is EME");
    assert_eq!(eme["leg"], "destination");
    assert!(eme["after"].is_null(), "it is there: {eme}");
    assert_eq!(eme["retention_reason"], "inspection", "never null, and our own word where no UPU code is configured");
}

/// A message about an item nobody declared, or with an event that is none, is refused.
#[tokio::test]
async fn tracking_is_checked() {
    let (gateway, _broker) = Gateway::plain("tracking-faults").await;
    let item = goods::item_id(1);
    gateway.korea.accepted(&goods::parcel(1)).await;
    let good = json!({ "event": "EMD", "at": "2026-11-22T05:10:00Z", "office": "GBLALA" });
    gateway.korea.post(&format!("/v1/items/{}/tracking", goods::item_id(2)), &good).await.expect(404);
    for (member, value) in [("event", "XYZ"), ("at", "yesterday"), ("office", "London")] {
        let mut bad = good.clone();
        bad[member] = value.into();
        let answer = gateway.korea.post(&format!("/v1/items/{item}/tracking"), &bad).await.expect(422);
        assert!(answer.text().contains(&format!("\"/{member}\"")), "{}", answer.text());
    }
}
