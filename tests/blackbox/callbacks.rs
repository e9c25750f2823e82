//! Callbacks: who may call, and what a notice does to an item.

use crate::support::broker::{Broker, Reply};
use crate::support::caller::Caller;
use crate::support::gateway::Gateway;
use crate::support::mappings::Mappings;
use crate::support::notice::{Notice, mrn};
use crate::support::setup::Setup;
use crate::support::{goods, lists, metrics, until};
use reqwest::Method;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// A delivered item and its local reference.
async fn delivered(gateway: &Gateway, broker: &Broker, serial: u32) -> (String, String) {
    let id = gateway.korea.accepted(&goods::parcel(serial)).await;
    gateway.korea.wait_delivered(&id).await;
    (id, broker.about(&goods::item_id(serial))[0].lrn())
}

async fn status(caller: &Caller, id: &str) -> String {
    caller.declaration(id).await["clearance"]["status"].as_str().unwrap_or_default().to_owned()
}

/// The road of an item: submitted, accepted, cleared; the authority's reference is bound; one event for each change.
#[tokio::test]
async fn notices_move_an_item_to_its_end() {
    let (gateway, broker) = Gateway::plain("road").await;
    let (id, lrn) = delivered(&gateway, &broker, 1).await;
    gateway.korea.wait_clearance(&id, "submitted").await;
    let voice = gateway.uk_broker();
    voice.notify(&Notice::new("01", &lrn).mrn(&mrn(1))).await;
    let declaration = gateway.korea.wait_clearance(&id, "accepted").await;
    assert_eq!(lists::references(&declaration, "mrn"), [mrn(1)]);
    assert_eq!(lists::references(&declaration, "lrn").join(","), lrn);
    // By the authority's reference alone.
    voice.notify(&Notice::new("09", &lrn).mrn(&mrn(1)).without_lrn().after(1)).await;
    gateway.korea.wait_clearance(&id, "cleared").await;
    let types = gateway.korea.event_types(&goods::item_id(1)).await;
    assert_eq!(types, ["clearance.submitted", "clearance.accepted", "clearance.cleared"]);
    let item = gateway.korea.get(&format!("/v1/items/{}", goods::item_id(1))).await.expect(200).json();
    assert_eq!(item["declaration_id"], id.as_str(), "the item is the declaration's object");
    assert_eq!(item["clearance"]["status"], "cleared");
}

/// P7: repeated and reordered notices are taken and never move a status backwards; they make no second event.
#[tokio::test]
async fn repeats_and_late_ones_never_step_back() {
    let (gateway, broker) = Gateway::plain("order-of-notices").await;
    let (id, lrn) = delivered(&gateway, &broker, 1).await;
    let voice = gateway.uk_broker();
    let about = |code: &str, seconds: i64| Notice::new(code, &lrn).mrn(&mrn(1)).after(seconds);
    let (accepted, held, cleared) = (about("01", 0), about("05", 1), about("09", 2));
    voice.notify(&cleared).await;
    gateway.korea.wait_clearance(&id, "cleared").await;
    for notice in [&accepted, &held, &cleared, &accepted, &cleared, &about("02", 1)] {
        voice.notify(notice).await;
        assert_eq!(status(&gateway.korea, &id).await, "cleared");
    }
    let (other, other_lrn) = delivered(&gateway, &broker, 2).await;
    voice.notify(&Notice::new("01", &other_lrn).mrn(&mrn(2))).await;
    gateway.korea.wait_clearance(&other, "accepted").await;
    until("all eight notices read", 20, async || {
        let read = metrics::value(&gateway.metrics().await, "preclear_notices_total", &[("broker", "uk-broker")]);
        (read == Some(8.0)).then_some(())
    })
    .await;
    assert_eq!(status(&gateway.korea, &id).await, "cleared");
    let types = gateway.korea.event_types(&goods::item_id(1)).await;
    assert_eq!(types, ["clearance.submitted", "clearance.cleared"], "no event for what changed nothing");
}

/// A callback can come before the answer to its own submission; the item is accepted and the message counts as delivered.
#[tokio::test]
async fn a_notice_may_come_before_the_answer_to_its_submission() {
    let permits = Arc::new(Semaphore::new(0));
    let held = permits.clone();
    let (gateway, broker) = Gateway::with_broker("early", move |_, _| Reply::AcceptWhen(held.clone())).await;
    let id = gateway.korea.accepted(&goods::parcel(1)).await;
    let lrn = broker.wait_for(1).await[0].lrn();
    gateway.uk_broker().notify(&Notice::new("01", &lrn).mrn(&mrn(1))).await;
    permits.add_permits(10);
    gateway.korea.wait_clearance(&id, "accepted").await;
    let declaration = gateway.korea.wait_delivered(&id).await;
    assert_eq!(declaration["clearance"]["status"], "accepted", "the later answer does not take it back");
    assert_eq!(broker.ledger().len(), 1);
}

/// A code that nobody told us of is recorded and counted, and is neither a failure nor a success.
#[tokio::test]
async fn an_unknown_code_is_recorded_and_changes_nothing() {
    let (gateway, broker) = Gateway::plain("unknown-code").await;
    let (id, lrn) = delivered(&gateway, &broker, 1).await;
    let voice = gateway.uk_broker();
    voice.notify(&Notice::new("01", &lrn).mrn(&mrn(1))).await;
    gateway.korea.wait_clearance(&id, "accepted").await;
    let count = async || {
        let messages = gateway.korea.json(&format!("/v1/declarations/{id}/messages")).await;
        messages.to_string().matches("\"sha256\"").count().max(messages.to_string().matches("received_at").count())
    };
    let before = count().await;
    voice.notify(&Notice::new("77", &lrn).mrn(&mrn(1)).after(1)).await;
    until("the notice in the declaration's messages", 20, async || (count().await > before).then_some(())).await;
    assert_eq!(status(&gateway.korea, &id).await, "accepted");
    // Counted once its commit was answered, a moment after it can be seen.
    let counted =
        async || metrics::value(&gateway.metrics().await, "preclear_notices_total", &[("broker", "uk-broker")]).unwrap_or_default();
    until("both notices in the metrics", 20, async || (counted().await >= 2.0).then_some(())).await;
}

/// A rejection tells why, and waits for a correction: a new original under a new local reference.
#[tokio::test]
async fn a_rejection_carries_its_reasons() {
    let (gateway, broker) = Gateway::plain("rejection").await;
    let (id, lrn) = delivered(&gateway, &broker, 1).await;
    gateway.uk_broker().notify(&Notice::new("03", &lrn).mrn(&mrn(1)).error("CDS12005")).await;
    gateway.korea.wait_clearance(&id, "rejected").await;
    let events = gateway.korea.events().await;
    let event = events.iter().find(|event| event["type"] == "clearance.rejected").expect("the post is told");
    let reasons = event["data"]["reasons"].as_array().expect("reasons");
    assert!(reasons.iter().any(|reason| reason["code"] == "CDS12005"), "{event}");
    assert_eq!(event["data"]["raw"]["code"], "03");
}

/// P5: the callback listener takes nobody without a certificate that belongs to the broker of the path.
#[tokio::test]
async fn only_the_brokers_own_certificate_may_call() {
    let mut setup = Setup::new("certificates");
    let broker = Broker::willing(&setup.pki).await;
    setup.broker("uk-broker", &broker.url(), "recipient.city == 'London'");
    setup.broker("other-broker", &broker.url(), "recipient.country == 'GB'");
    setup.line("callbacks", "max_body_bytes = 20000");
    let gateway = Gateway::start(setup).await;
    let (id, lrn) = delivered(&gateway, &broker, 1).await;
    let notice = Notice::new("01", &lrn).mrn(&mrn(1));

    let mut impostor = gateway.voice("other-broker");
    impostor.broker = "uk-broker".into();
    impostor.say(notice.xml()).await.expect(403);
    // Its own channel is open to it, but what it says there cannot touch another broker's item.
    gateway.voice("other-broker").notify(&notice).await;
    until("the crossed notice among the orphans", 20, async || {
        let orphans = gateway.ops.json("/v1/notices?state=orphan").await;
        (lists::rows(&orphans).len() == 1).then_some(())
    })
    .await;
    assert_eq!(status(&gateway.korea, &id).await, "submitted");

    for party in [None, Some(&gateway.setup.pki.stranger)] {
        let caller = gateway.caller_of(party);
        let request = caller.request(Method::POST, "/v1/brokers/uk-broker/notices").body(notice.xml());
        assert!(caller.try_finish(request).await.is_err(), "the handshake is refused");
    }
    let mut voice = gateway.uk_broker();
    voice.say(vec![b' '; 20_001]).await.expect(413);
    let picture = voice.caller.request(Method::POST, "/v1/brokers/uk-broker/notices").header("content-type", "image/png");
    voice.caller.finish(picture.body("x")).await.expect(415);
    voice.broker = "nobody".into();
    voice.say(notice.xml()).await.expect(404);
    voice.broker = "uk-broker".into();
    voice.notify(&notice).await;
    gateway.korea.wait_clearance(&id, "accepted").await;
}

/// What a repeat is known by, and what a broker is answered, are the mapping's to say: written anew, it is still the same notice.
#[tokio::test]
async fn a_mapping_says_what_a_repeat_is_known_by_and_how_it_is_answered() {
    let mut setup = Setup::new("inbox");
    let broker = Broker::willing(&setup.pki).await;
    setup.broker("uk-broker", &broker.url(), "recipient.country == 'GB'");
    let mappings = Mappings::own(&mut setup, &["hmrc-cds"]);
    let inbox =
        "[inbox]\nkey = \"//r:Response/r:FunctionalReferenceID\"\nstatus = 200\ncontent_type = \"text/plain\"\nanswer = \"taken\"\n\n";
    mappings.edit("hmrc-cds/notices.toml", "\n[namespaces]\n", &format!("\n{inbox}[namespaces]\n"));
    let gateway = Gateway::start(setup).await;
    let (id, lrn) = delivered(&gateway, &broker, 1).await;
    let voice = gateway.uk_broker();
    let notice = Notice::new("01", &lrn).mrn(&mrn(1)).xml();
    let again = notice.replace("<r:Response>", "<r:Response> ");
    for body in [&notice, &again, &notice] {
        let answer = voice.say(body.as_str()).await.expect(200);
        assert_eq!((answer.header("content-type"), answer.text().as_str()), (Some("text/plain"), "taken"));
    }
    gateway.korea.wait_clearance(&id, "accepted").await;
    let duplicates = metrics::value(&gateway.metrics().await, "preclear_notices_total", &[("result", "duplicate")]);
    assert_eq!(duplicates, Some(2.0));
}
