//! The evidence as the interface shows it.

use serde_json::json;

use super::*;
use crate::domain::audit::{Bad, Entry, EntryKind, Why, from_line, genesis, seal};
use crate::store::BadEvidence;

fn link() -> Link {
    let chain = uuid::Uuid::from_u128(7);
    let mut entries = Vec::new();
    Entry { kind: EntryKind::Message, subject: chain, digest: [3; 32] }.write(&mut entries);
    let (previous, at) = (genesis(chain), at(NOW));
    let hash = seal(chain, &previous, 1, at, &entries);
    Link { chain, number: 1, at, previous, entries, hash }
}

#[actix_web::test]
async fn an_export_is_lines_that_can_be_read_back() {
    let bench = bench(StandIn { links: vec![link()], ..StandIn::default() }, "");
    let seen = get(&bench, "/v1/audit").await;
    assert_eq!((seen.status, seen.header("content-type")), (200, "application/x-ndjson"));
    assert_eq!(seen.text.lines().map(from_line).collect::<Vec<_>>(), [Some(link())]);
    let end = get(&bench, &format!("/v1/audit?after={}:1", link().chain)).await;
    assert_eq!((end.status, end.text.as_str()), (200, ""));
    for bad in ["canary", "1:1", "00000000-0000-0000-0000-000000000007", "00000000-0000-0000-0000-000000000007:-1"] {
        let seen = get(&bench, &format!("/v1/audit?after={bad}")).await;
        assert_eq!((seen.status, seen.pointers()), (400, vec!["/after".to_owned()]), "{bad}");
    }
}

#[actix_web::test]
async fn what_is_wrong_is_named() {
    let verified = |bad| Verified { bad, rows: 5, ..Verified::default() };
    let sound = bench(StandIn { verified: verified(None), ..StandIn::default() }, "");
    let seen = get(&sound, "/v1/audit/verify").await;
    assert_eq!(seen.json(), json!({ "ok": true, "chains": [], "rows": 5, "bad": null }));
    let (chain, number, why) = (uuid::Uuid::from_u128(7), 9, Why::Previous);
    let broken = bench(StandIn { verified: verified(Some(BadEvidence::Link(Bad { chain, number, why }))), ..StandIn::default() }, "");
    let seen = get(&broken, "/v1/audit/verify").await.json();
    assert_eq!((&seen["ok"], &seen["bad"]["number"], &seen["bad"]["why"]), (&json!(false), &json!(9), &json!("previous")));
    let row = BadEvidence::Row { kind: EntryKind::Notice, subject: chain, why: Why::Differs };
    let changed = bench(StandIn { verified: verified(Some(row)), ..StandIn::default() }, "");
    let seen = get(&changed, "/v1/audit/verify").await.json();
    assert_eq!((&seen["bad"]["kind"], &seen["bad"]["subject"]), (&json!("notice"), &json!(chain.to_string())));
}

#[actix_web::test]
async fn acts_are_readable() {
    let bench = bench(StandIn::default(), "");
    let act = &get(&bench, "/v1/audit/acts?limit=1").await.json()["acts"][0];
    assert_eq!((&act["who"], &act["act"], &act["broker"], &act["done"]), (&json!("ops"), &json!("replay"), &json!("uk-broker"), &json!(3)));
    assert_eq!((&act["filter"]["mode"], &act["reason"]), (&json!("remap"), &json!("mended")));
}
