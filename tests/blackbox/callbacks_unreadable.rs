//! Callbacks that cannot be read are taken all the same, parked, and shown.

use crate::support::broker::Broker;
use crate::support::gateway::Gateway;
use crate::support::mappings::Mappings;
use crate::support::notice::{Notice, mrn};
use crate::support::setup::Setup;
use crate::support::{goods, lists, metrics, until};
use serde_json::{Value, json};

/// Everything that is not a notice of this format, each different from the others.
fn unreadable(lrn: &str) -> Vec<Vec<u8>> {
    let whole = Notice::new("09", lrn).mrn(&mrn(1)).after(5).xml();
    let mut bodies: Vec<Vec<u8>> =
        [1, 7, 60, whole.len() / 3, whole.len() / 2, whole.len() - 20, whole.len() - 3].map(|at| whole.as_bytes()[..at].to_vec()).into();
    let doctype = |text: &str| whole.replacen("?>", &format!("?>{text}"), 1).into_bytes();
    bodies.push(doctype("<!DOCTYPE x>"));
    bodies.push(doctype(r#"<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>"#));
    bodies.push(doctype(r#"<!DOCTYPE x SYSTEM "file:///etc/passwd">"#));
    bodies.push(whole.replace("urn:wco:datamodel:WCO:RES-DMS:2", "urn:example:unknown:1").into_bytes());
    bodies.push(whole.replace("</r:Response>", "</r:Request>").into_bytes());
    bodies.push(b"junk".to_vec());
    bodies.push(br#"{"status":"cleared"}"#.to_vec());
    bodies.push(vec![0xff, 0xfe, 0x00, 0x80, 0xc3]);
    bodies.push("<a>".repeat(5000).into_bytes());
    bodies
}

/// P6, P7: cut off at several places, with a DOCTYPE, of an unknown namespace, junk: answered 202, listed as unreadable, no
/// item moved, and the readable one that comes after is read.
#[tokio::test]
async fn unreadable_notices_are_taken_parked_and_shown() {
    let (gateway, broker) = Gateway::plain("unreadable").await;
    let id = gateway.korea.accepted(&goods::parcel(1)).await;
    gateway.korea.wait_clearance(&id, "submitted").await;
    let lrn = broker.ledger()[0].lrn();
    let voice = gateway.uk_broker();
    let bodies = unreadable(&lrn);
    for body in &bodies {
        voice.say(body.clone()).await.expect(202);
    }
    until("all of them in the list", 20, async || {
        let list = gateway.ops.json("/v1/notices?state=unreadable").await;
        (lists::rows(&list).len() == bodies.len()).then_some(())
    })
    .await;
    let page = gateway.metrics().await;
    let parked = metrics::value(&page, "preclear_notices_total", &[("broker", "uk-broker"), ("result", "unreadable")]);
    assert_eq!(parked, Some(bodies.len() as f64));
    assert_eq!(gateway.korea.declaration(&id).await["clearance"]["status"], "submitted");
    voice.notify(&Notice::new("01", &lrn).mrn(&mrn(1))).await;
    gateway.korea.wait_clearance(&id, "accepted").await;
}

/// A notice for a reference that nobody knows is an orphan, and finds its item when that exists.
#[tokio::test]
async fn an_orphan_is_shown() {
    let (gateway, _broker) = Gateway::plain("orphan").await;
    gateway.uk_broker().notify(&Notice::new("01", "EE000000000KR260101A1").mrn(&mrn(9))).await;
    let list = until("the orphan in the list", 20, async || {
        let list = gateway.ops.json("/v1/notices?state=orphan").await;
        (lists::rows(&list).len() == 1).then_some(list)
    })
    .await;
    assert!(list.to_string().contains("uk-broker"), "{list}");
    assert!(lists::rows(&gateway.ops.json("/v1/notices?state=unreadable").await).is_empty());
}

async fn parked(gateway: &Gateway, state: &str) -> Vec<Value> {
    lists::rows(&gateway.ops.json(&format!("/v1/notices?state={state}")).await).to_vec()
}

/// A mapping that has no row for a code, mended: what it could not read is read again by itself, after a reload and after a
/// start; what nobody mended is read again by order and parked again.
#[tokio::test]
async fn a_mended_mapping_reads_again_what_was_parked() {
    let mut setup = Setup::new("reread");
    let mappings = Mappings::own(&mut setup, &["hmrc-cds"]);
    let codes = "hmrc-cds/notices.toml";
    mappings.edit(codes, "code = \"01\"", "code = \"X01\"");
    mappings.edit(codes, "code = \"09\"", "code = \"X09\"");
    let broker = Broker::willing(&setup.pki).await;
    setup.broker("uk-broker", &broker.url(), "recipient.country == 'GB'");
    let mut gateway = Gateway::start(setup).await;
    let id = gateway.korea.accepted(&goods::parcel(1)).await;
    gateway.korea.wait_delivered(&id).await;
    let lrn = broker.ledger()[0].lrn();
    let accepted = Notice::new("01", &lrn).mrn(&mrn(1)).after(1);
    gateway.uk_broker().notify(&accepted).await;
    gateway.uk_broker().notify(&Notice::new("09", &lrn).mrn(&mrn(1)).after(2)).await;
    gateway.uk_broker().say(b"junk".to_vec()).await.expect(202);
    until("two of unknown codes and one unreadable", 20, async || {
        (parked(&gateway, "unknown_code").await.len() == 2 && parked(&gateway, "unreadable").await.len() == 1).then_some(())
    })
    .await;

    mappings.edit(codes, "code = \"X01\"", "code = \"01\"");
    gateway.ops.post("/v1/mappings/reload", &json!({})).await.expect(200);
    gateway.korea.wait_clearance(&id, "accepted").await;
    mappings.edit(codes, "code = \"X09\"", "code = \"09\"");
    gateway.kill();
    gateway.launch().await;
    gateway.korea.wait_clearance(&id, "cleared").await;
    until("the unreadable one parked by the newest version", 20, async || {
        let newest = gateway.ops.json("/v1/mappings").await["mappings"][0]["version"].clone();
        let left = parked(&gateway, "unreadable").await;
        (parked(&gateway, "unknown_code").await.is_empty() && left.len() == 1 && left[0]["mapping_version"] == newest).then_some(())
    })
    .await;

    let order = |dry_run: bool| json!({ "filter": { "state": "unreadable", "broker": "uk-broker" }, "dry_run": dry_run });
    let counted = gateway.ops.post("/v1/notices/reread", &order(true)).await.expect(200).json();
    assert_eq!((&counted["matched"], &counted["done"]), (&json!(1), &json!(0)));
    let done = gateway.ops.post("/v1/notices/reread", &order(false)).await.expect(200).json();
    assert_eq!((&done["matched"], &done["done"]), (&json!(1), &json!(1)));
    until("the unreadable one parked again", 20, async || (parked(&gateway, "unreadable").await.len() == 1).then_some(())).await;
    let types = gateway.korea.event_types(&goods::item_id(1)).await;
    assert_eq!(types.iter().filter(|kind| *kind == "clearance.accepted").count(), 1, "told once: {types:?}");
    assert_eq!(gateway.ops.json("/v1/audit/verify").await["ok"], true);
}
