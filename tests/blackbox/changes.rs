//! Amendments, cancellations, presentations and consignments: what they become at the broker, in which order, and what the post is told.

use crate::support::broker::{Broker, Post, Reply, status};
use crate::support::caller::{Answer, Caller};
use crate::support::gateway::Gateway;
use crate::support::mappings::Mappings;
use crate::support::notice::{Notice, mrn};
use crate::support::setup::Setup;
use crate::support::{goods, until};
use reqwest::Method;
use serde_json::{Value, json};

async fn put(caller: &Caller, id: &str, declaration: &Value) -> Answer {
    let request = caller.request(Method::PUT, &format!("/v1/declarations/{id}"));
    caller.finish(request.header("content-type", "application/json").body(declaration.to_string())).await
}

async fn delete(caller: &Caller, id: &str, query: &str) -> Answer {
    caller.finish(caller.request(Method::DELETE, &format!("/v1/declarations/{id}{query}"))).await
}

/// The parcel with other contents: what customs is to know instead.
fn mended(serial: u32, description: &str) -> Value {
    let mut parcel = goods::parcel(serial);
    parcel["contents"][0]["description"] = description.into();
    parcel["reason"] = json!({ "code": "description", "text": "Said better" });
    parcel
}

fn text(post: &Post) -> String {
    String::from_utf8_lossy(&post.body).into_owned()
}

async fn pause(gateway: &Gateway, verb: &str) {
    gateway.ops.post(&format!("/v1/brokers/uk-broker/{verb}"), &json!({})).await.expect(200);
}

/// Declared and accepted by customs under [`mrn`].
async fn accepted(gateway: &Gateway, broker: &Broker, serial: u32) -> (String, String) {
    let id = gateway.korea.accepted(&goods::parcel(serial)).await;
    gateway.korea.wait_delivered(&id).await;
    let lrn = broker.about(&goods::item_id(serial))[0].lrn();
    gateway.uk_broker().notify(&Notice::new("01", &lrn).mrn(&mrn(serial)).after(-60)).await;
    gateway.korea.wait_clearance(&id, "accepted").await;
    (id, lrn)
}

async fn change_state(gateway: &Gateway, id: &str, index: usize, state: &str) -> Value {
    gateway.korea.wait_state(id, &format!("/changes/{index}/state"), state).await
}

/// Nothing sent yet: the queued message is withdrawn; an amendment queues a new declaration, a cancellation ends it by us.
#[tokio::test]
async fn before_anything_is_sent_the_queued_message_is_replaced_or_withdrawn() {
    let (mut gateway, broker) = Gateway::plain("change-before").await;
    pause(&gateway, "pause").await;
    let amended = gateway.korea.accepted(&goods::parcel(1)).await;
    let cancelled = gateway.korea.accepted(&goods::parcel(2)).await;
    let answer = put(&gateway.korea, &amended, &mended(1, "Linen shirt, men's")).await.expect(202);
    assert_eq!(answer.json()["version"], 2);
    let again = put(&gateway.korea, &amended, &mended(1, "Linen shirt, men's")).await.expect(200);
    assert_eq!((again.header("idempotency-replayed"), &again.body), (Some("true"), &answer.body), "the same answer, byte for byte");
    let first = delete(&gateway.korea, &cancelled, "?reason=not_posted&text=kept%20back").await.expect(202);
    let again = delete(&gateway.korea, &cancelled, "?reason=not_posted").await.expect(200);
    assert_eq!(again.body, first.body);
    gateway.korea.wait_clearance(&cancelled, "cancelled").await;
    change_state(&gateway, &amended, 0, "prepared").await;
    assert_eq!(put(&gateway.korea, &cancelled, &mended(2, "Linen shirt, men's")).await.expect(409).code(), "declaration_ended");
    pause(&gateway, "resume").await;
    gateway.korea.wait_delivered(&amended).await;
    gateway.stop().await;
    let ledger = broker.ledger();
    assert_eq!(ledger.len(), 1, "one message, that of the new version");
    assert!(text(&ledger[0]).contains("Linen shirt") && ledger[0].lrn().ends_with("02"), "a new declaration with a new LRN");
    gateway.launch().await;
    let events = gateway.korea.event_types(&goods::item_id(2)).await;
    assert_eq!(events, ["clearance.cancelled"]);
    // The S10 of a cancelled declaration is free again.
    let mut other_day = goods::parcel(2);
    other_day["posted_on"] = goods::day(-1).into();
    gateway.korea.accepted(&other_day).await;
}

/// Accepted: the format's amendment with the MRN; a rejection of it never changes the clearance, and the next one says what differs
/// from what customs has.
#[tokio::test]
async fn an_accepted_declaration_is_amended_and_a_refused_amendment_changes_nothing() {
    let (gateway, broker) = Gateway::plain("amend").await;
    let (id, _) = accepted(&gateway, &broker, 1).await;
    put(&gateway.korea, &id, &mended(1, "Linen shirt, men's")).await.expect(202);
    let amendment = broker.wait_for(2).await[1].clone();
    assert!(text(&amendment).contains(&mrn(1)) && text(&amendment).contains("Linen shirt"), "{}", text(&amendment));
    let shown = gateway.korea.declaration(&id).await;
    assert_eq!((&shown["version"], &shown["clearance"]["status"]), (&json!(2), &json!("accepted")));
    // The answer may come before the reply to the submission is settled; both orders are right.
    gateway.uk_broker().notify(&Notice::new("03", &amendment.lrn()).mrn(&mrn(1)).error("CDS40045")).await;
    let told = until("amendment.rejected", 10, async || {
        let types = gateway.korea.event_types(&goods::item_id(1)).await;
        types.iter().any(|kind| kind == "amendment.rejected").then_some(types)
    })
    .await;
    assert!(!told.iter().any(|kind| kind == "clearance.rejected"), "{told:?}");
    assert_eq!(gateway.korea.declaration(&id).await["clearance"]["status"], "accepted");
    let mut heavier = goods::parcel(1);
    heavier["contents"][0]["description"] = "Silk shirt, men's".into();
    put(&gateway.korea, &id, &heavier).await.expect(202);
    let second = broker.wait_for(3).await[2].clone();
    assert!(text(&second).contains("Silk shirt") && second.lrn() != amendment.lrn());
}

/// Accepted: customs is asked to cancel, and only its word ends the declaration.
#[tokio::test]
async fn a_cancellation_ends_by_the_word_of_customs_alone() {
    let (gateway, broker) = Gateway::plain("cancel").await;
    let (id, _) = accepted(&gateway, &broker, 1).await;
    let keyed = async |path: String| {
        let request = gateway.korea.request(Method::DELETE, &path).header("idempotency-key", "cancel-1");
        gateway.korea.finish(request).await
    };
    let first = keyed(format!("/v1/declarations/{id}?reason=duplicate")).await.expect(202);
    assert_eq!(keyed(format!("/v1/declarations/{id}?reason=duplicate")).await.expect(200).body, first.body, "its own answer again");
    assert_eq!(keyed(format!("/v1/declarations/{id}?reason=other")).await.expect(422).code(), "key_reused");
    let cancellation = broker.wait_for(2).await[1].clone();
    assert!(text(&cancellation).contains(&mrn(1)));
    change_state(&gateway, &id, 0, "prepared").await;
    delete(&gateway.korea, &id, "?reason=duplicate").await.expect(200);
    assert_eq!(gateway.korea.declaration(&id).await["clearance"]["status"], "accepted");
    gateway.uk_broker().notify(&Notice::new("10", &cancellation.lrn()).mrn(&mrn(1))).await;
    gateway.korea.wait_clearance(&id, "cancelled").await;
    delete(&gateway.korea, &id, "?reason=duplicate").await.expect(200);
    assert_eq!(broker.ledger().len(), 2);
    // Another post's declaration is an unknown one.
    delete(&gateway.japan, &id, "").await.expect(404);
    put(&gateway.japan, &id, &goods::parcel(1)).await.expect(404);
}

/// Sent and unanswered: it waits, visibly, and leaves in order when customs has spoken; after a rejection it is a new declaration.
#[tokio::test]
async fn what_is_unanswered_is_waited_for_and_a_rejection_makes_a_new_original() {
    let (mut gateway, broker) = Gateway::plain("change-waits").await;
    let id = gateway.korea.accepted(&goods::parcel(1)).await;
    gateway.korea.wait_delivered(&id).await;
    let lrn = broker.about(&goods::item_id(1))[0].lrn();
    put(&gateway.korea, &id, &mended(1, "Linen shirt, men's")).await.expect(202);
    let waiting = gateway.korea.wait_state(&id, "/changes/0/reason", "answer").await;
    assert_eq!(waiting["changes"][0]["state"], "waiting");
    gateway.kill();
    gateway.launch().await;
    let voice = gateway.uk_broker();
    let rejection = Notice::new("03", &lrn).mrn(&mrn(1)).error("CDS40045").after(-5);
    voice.notify(&rejection).await;
    let second = broker.wait_for(2).await[1].clone();
    assert!(second.lrn().ends_with("02") && text(&second).contains("Linen shirt") && !text(&second).contains(&mrn(1)));
    gateway.korea.wait_clearance(&id, "submitted").await;
    // The rejection once more, and once more in other bytes, is that of the cycle before.
    voice.notify(&rejection).await;
    voice.notify(&Notice::new("03", &lrn).mrn(&mrn(1)).error("CDS40001").after(-5)).await;
    voice.notify(&Notice::new("01", &second.lrn()).mrn(&mrn(2))).await;
    gateway.korea.wait_clearance(&id, "accepted").await;
    let types = gateway.korea.event_types(&goods::item_id(1)).await;
    assert_eq!(types, ["clearance.submitted", "clearance.rejected", "clearance.pending", "clearance.submitted", "clearance.accepted"]);
}

/// P3: whatever was asked for while nothing could leave, a filing's messages leave in order; other items do not wait for it.
#[tokio::test]
async fn a_filing_stays_in_order_and_a_refused_one_stops_nobody() {
    let (gateway, broker) = Gateway::with_broker("change-order", |post, _| {
        if String::from_utf8_lossy(&post.body).contains("Poison") { status(400) } else { Reply::Accept }
    })
    .await;
    let mut poison = goods::parcel(1);
    poison["contents"][0]["description"] = "Poison ivy cream".into();
    let dead = gateway.korea.accepted(&poison).await;
    gateway.korea.wait_state(&dead, "/delivery/state", "dead").await;
    let (id, lrn) = accepted(&gateway, &broker, 2).await;
    pause(&gateway, "pause").await;
    put(&gateway.korea, &id, &mended(2, "Linen shirt, men's")).await.expect(202);
    delete(&gateway.korea, &id, "?reason=other").await.expect(202);
    change_state(&gateway, &id, 0, "prepared").await;
    gateway.korea.wait_state(&id, "/changes/1/reason", "earlier_messages").await;
    pause(&gateway, "resume").await;
    let amendment = broker.wait_for(3).await[2].clone();
    // The cancellation waits for the answer to the amendment.
    gateway.korea.wait_state(&id, "/changes/1/reason", "answer").await;
    gateway.uk_broker().notify(&Notice::new("03", &amendment.lrn()).mrn(&mrn(2)).error("CDS40045")).await;
    let cancellation = broker.wait_for(4).await[3].clone();
    assert!(text(&cancellation).contains(&mrn(2)) && cancellation.lrn() != lrn);
    // Amending what was refused is how it leaves the list of the dead.
    put(&gateway.korea, &dead, &mended(1, "Hand cream")).await.expect(202);
    gateway.korea.wait_delivered(&dead).await;
    let letters = gateway.ops.json("/v1/dead-letters").await;
    assert_eq!(letters["dead_letters"].as_array().map(Vec::len), Some(0), "{letters}");
}

/// What customs says of the declaration while an amendment has not left us is about the declaration; what ended or was rejected is not
/// amended any more: the wish is decided anew.
#[tokio::test]
async fn an_amendment_that_never_left_answers_nothing_and_is_decided_anew() {
    let (gateway, broker) = Gateway::plain("change-anew").await;
    let (rejected, first) = accepted(&gateway, &broker, 1).await;
    let (cleared, second) = accepted(&gateway, &broker, 2).await;
    pause(&gateway, "pause").await;
    for (id, serial) in [(&rejected, 1), (&cleared, 2)] {
        put(&gateway.korea, id, &mended(serial, "Linen shirt, men's")).await.expect(202);
        change_state(&gateway, id, 0, "prepared").await;
    }
    let voice = gateway.uk_broker();
    voice.notify(&Notice::new("03", &first).mrn(&mrn(1)).error("CDS40045")).await;
    gateway.korea.wait_clearance(&rejected, "rejected").await;
    voice.notify(&Notice::new("09", &second).mrn(&mrn(2))).await;
    gateway.korea.wait_clearance(&cleared, "cleared").await;
    pause(&gateway, "resume").await;
    gateway.korea.wait_clearance(&rejected, "submitted").await;
    change_state(&gateway, &cleared, 1, "refused").await;
    let ledger = broker.ledger();
    assert_eq!(ledger.len(), 3, "two declarations and the corrected one");
    assert!(!text(&ledger[2]).contains(&mrn(1)), "a new declaration, not an amendment");
    let types = gateway.korea.event_types(&goods::item_id(2)).await;
    assert_eq!(types.last().map(String::as_str), Some("amendment.rejected"), "{types:?}");
}

/// After an arrival customs may still reject the declaration; its acceptance answers the presentation, so that an amendment goes on.
#[tokio::test]
async fn a_presentation_takes_no_rejection_from_the_declaration_and_holds_up_no_amendment() {
    let (gateway, broker) = Gateway::plain("present-then").await;
    let mut presented = Vec::new();
    for serial in [1, 2] {
        let mut early = goods::parcel(serial);
        early["transport"]["arrives_at"] = format!("{}T05:10:00Z", goods::day(2)).into();
        let id = gateway.korea.accepted(&early).await;
        gateway.korea.wait_delivered(&id).await;
        let lrn = broker.about(&goods::item_id(serial))[0].lrn();
        gateway.uk_broker().notify(&Notice::new("02", &lrn).mrn(&mrn(serial)).after(-60)).await;
        gateway.korea.wait_clearance(&id, "registered").await;
        let body = json!({ "event": "EMD", "at": "2026-11-22T08:00:00Z", "office": "GBLALA" });
        gateway.korea.post(&format!("/v1/items/{}/tracking", goods::item_id(serial)), &body).await.expect(202);
        change_state(&gateway, &id, 0, "prepared").await;
        presented.push((id, lrn));
    }
    broker.wait_for(4).await;
    let voice = gateway.uk_broker();
    voice.notify(&Notice::new("03", &presented[0].1).mrn(&mrn(1)).error("CDS40045")).await;
    gateway.korea.wait_clearance(&presented[0].0, "rejected").await;
    voice.notify(&Notice::new("01", &presented[1].1).mrn(&mrn(2))).await;
    gateway.korea.wait_clearance(&presented[1].0, "accepted").await;
    let mut better = mended(2, "Linen shirt, men's");
    better["transport"]["arrives_at"] = format!("{}T05:10:00Z", goods::day(2)).into();
    put(&gateway.korea, &presented[1].0, &better).await.expect(202);
    assert!(text(&broker.wait_for(5).await[4]).contains(&mrn(2)));
    let types = gateway.korea.event_types(&goods::item_id(1)).await;
    assert!(!types.iter().any(|kind| kind == "presentation.rejected"), "{types:?}");
}

/// Faults are told at once, all of them, and nothing is stored.
#[tokio::test]
async fn a_faulty_amendment_is_refused_with_every_pointer() {
    let (gateway, broker) = Gateway::plain("change-faults").await;
    let (id, _) = accepted(&gateway, &broker, 1).await;
    let mut bad = mended(7, "");
    bad["posted_on"] = goods::day(-2).into();
    bad["reason"]["code"] = "whim".into();
    let answer = put(&gateway.korea, &id, &bad).await.expect(422).json();
    let mut pointers: Vec<&str> = answer["errors"].as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap()).collect();
    pointers.sort_unstable();
    assert_eq!(pointers, ["/contents/0/description", "/reason/code"], "{answer}");
    bad["contents"][0]["description"] = "Shirt, men's".into();
    bad["reason"]["code"] = "value".into();
    let answer = put(&gateway.korea, &id, &bad).await.expect(422).json();
    let pointers: Vec<&str> = answer["errors"].as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap()).collect();
    assert_eq!(pointers, ["/item_id", "/posted_on"], "{answer}");
    let query = delete(&gateway.korea, &id, "?reason=whim").await.expect(400).json();
    assert_eq!(query["errors"][0]["pointer"], "/reason");
    let shown = gateway.korea.declaration(&id).await;
    assert_eq!((&shown["version"], shown["changes"].as_array().map(Vec::len)), (&json!(1), Some(0)));
}

/// The arrival releases the presentation of what is pre-lodged; what customs accepted already needs none.
#[tokio::test]
async fn an_arrival_presents_what_is_pre_lodged() {
    let (gateway, broker) = Gateway::plain("present").await;
    let mut early = goods::parcel(1);
    early["transport"]["arrives_at"] = format!("{}T05:10:00Z", goods::day(2)).into();
    let id = gateway.korea.accepted(&early).await;
    gateway.korea.wait_delivered(&id).await;
    let lrn = broker.about(&goods::item_id(1))[0].lrn();
    let (other, _) = accepted(&gateway, &broker, 2).await;
    let seen = |serial: u32| {
        (
            format!("/v1/items/{}/tracking", goods::item_id(serial)),
            json!({ "event": "EMD", "at": "2026-11-22T08:00:00Z", "office": "GBLALA" }),
        )
    };
    for serial in [1, 2] {
        let (path, body) = seen(serial);
        gateway.korea.post(&path, &body).await.expect(202);
    }
    change_state(&gateway, &other, 0, "withdrawn").await;
    gateway.korea.wait_state(&id, "/changes/0/reason", "answer").await;
    gateway.uk_broker().notify(&Notice::new("02", &lrn).mrn(&mrn(1))).await;
    let presentation = broker.wait_for(3).await[2].clone();
    assert!(text(&presentation).contains(&mrn(1)));
    change_state(&gateway, &id, 0, "prepared").await;
    let (path, body) = seen(1);
    gateway.korea.post(&path, &body).await.expect(202);
    assert_eq!(gateway.korea.declaration(&id).await["changes"].as_array().map(Vec::len), Some(1), "an arrival is told once");
}

/// A declaration whose mapping lists late fields waits for its consignment; closing that completes and sends it.
#[tokio::test]
async fn a_consignment_completes_what_waits_for_it() {
    let mut setup = Setup::new("consignment");
    let broker = Broker::willing(&setup.pki).await;
    setup.broker("uk-broker", &broker.url(), "recipient.country == 'GB'");
    let mappings = Mappings::own(&mut setup, &["hmrc-cds"]);
    mappings.edit("hmrc-cds/mapping.toml", "\nlate = []\n", "\nlate = [\"transport.to\"]\n");
    let gateway = Gateway::start(setup).await;
    let parcel = |serial: u32| {
        let mut parcel = goods::parcel(serial);
        parcel["transport"]["to"] = Value::Null;
        parcel
    };
    let answer = gateway.korea.declare(&parcel(1)).await.expect(202).json();
    assert_eq!(answer["delivery"], json!({ "state": "waiting", "reason": "transport" }));
    let id = answer["declaration_id"].as_str().unwrap().to_owned();
    gateway.korea.wait_state(&id, "/delivery/state", "waiting").await;
    let mut faulty = parcel(3);
    faulty["contents"][0]["tariff_codes"] = json!([]);
    assert_eq!(gateway.korea.declare(&faulty).await.expect(422).code(), "mapping_fault", "it is tried now all the same");
    let consignment = |closed: bool| {
        let items: Vec<Value> =
            [1, 2].iter().map(|n| json!({ "item_id": goods::item_id(*n), "posted_on": goods::day(0), "receptacle_id": "R1" })).collect();
        json!({ "type": "mawb", "transport": { "to": "GBMAN", "flight": "KE1" }, "items": items, "closed": closed })
    };
    let put_as = async |id: &str, body: Value| {
        let request = gateway.korea.request(Method::PUT, &format!("/v1/consignments/{id}")).header("content-type", "application/json");
        gateway.korea.finish(request.body(body.to_string())).await
    };
    let put = async |body: Value| put_as("D-26-0001", body).await;
    put(consignment(false)).await.expect(202);
    assert!(broker.ledger().is_empty(), "an open consignment completes nothing");
    put(consignment(true)).await.expect(202);
    put(consignment(true)).await.expect(202);
    let mut other = consignment(true);
    other["transport"]["to"] = "GBLHR".into();
    assert_eq!(put(other).await.expect(409).code(), "consignment_closed");
    let mut more = consignment(true);
    more["transport"]["carrier"] = "KE".into();
    put(more).await.expect(202);
    gateway.korea.wait_delivered(&id).await;
    let message = text(&broker.about(&goods::item_id(1))[0]);
    assert!(message.contains("<LocationID>GBMAN<"), "{message}");
    // Declared after the consignment closed: complete at once.
    let late = gateway.korea.accepted(&parcel(2)).await;
    gateway.korea.wait_delivered(&late).await;
    let shown = gateway.korea.json("/v1/consignments/D-26-0001").await;
    assert_eq!(shown["items"][0]["declaration_id"], id.as_str());
    gateway.korea.post("/v1/consignments/D-26-0001/arrived", &json!({ "at": "2026-11-22T08:00:00Z" })).await.expect(202);
    gateway.korea.post("/v1/consignments/D-26-0009/arrived", &json!({})).await.expect(404);
    gateway.japan.get("/v1/consignments/D-26-0001").await.expect(404);
    // Told after the arrival that an item travelled in it: it arrived too.
    let early = gateway.korea.accepted(&goods::parcel(5)).await;
    let said = |items: Value| json!({ "type": "bulk", "transport": {}, "items": items, "closed": false });
    put_as("D-26-0002", said(json!([]))).await.expect(202);
    gateway.korea.post("/v1/consignments/D-26-0002/arrived", &json!({})).await.expect(202);
    put_as("D-26-0002", said(json!([{ "item_id": goods::item_id(5), "posted_on": goods::day(0) }]))).await.expect(202);
    gateway.korea.wait_state(&early, "/changes/0/kind", "presentation").await;
}
