//! Callbacks that cannot be read are taken all the same, parked, and shown.

use crate::support::gateway::Gateway;
use crate::support::notice::{Notice, mrn};
use crate::support::{goods, lists, metrics, until};

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
