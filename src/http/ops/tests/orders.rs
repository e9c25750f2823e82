//! Orders about what is stuck: what they have to say, and what reaches the rest of the gateway.

use serde_json::json;

use super::*;
use crate::domain::operate::ReplayMode;
use crate::http::ops::source::DeadDeed;

const JSON: &str = "application/json";

#[actix_web::test]
async fn an_order_says_whom_it_is_about_and_what_is_to_become_of_them() {
    let bench = bench(StandIn::default(), "");
    let message = MessageId::new();
    let body = json!({
        "filter": { "message_id": message.to_string(), "broker": "uk-broker", "reason": "exhausted", "post": "KRA", "older_than_s": 3600 },
        "mode": "remap", "dry_run": true, "limit": 7, "reason": "new mapping"
    });
    let seen = post(&bench, "/v1/dead-letters/replay", JSON, &body.to_string()).await;
    assert_eq!((seen.status, seen.json()), (200, json!({ "mode": "remap", "dry_run": true, "matched": 3, "done": 0 })));
    let purge = r#"{"filter":{"broker":"uk-broker"},"reason":"declared by hand"}"#;
    let seen = post(&bench, "/v1/dead-letters/purge", JSON, purge).await;
    assert_eq!((seen.status, seen.json()), (200, json!({ "mode": "purge", "dry_run": false, "matched": 3, "done": 2 })));

    let ordered = bench.source.ordered.lock().expect("whole").clone();
    let [replay, purge] = &ordered[..] else { panic!("two orders: {ordered:?}") };
    let asked = &replay.selection;
    assert_eq!((asked.message_id, asked.broker.as_deref(), asked.post.as_deref()), (Some(message), Some("uk-broker"), Some("KRA")));
    assert_eq!((asked.reason, asked.limit), (Some(DeadReason::Exhausted), Some(7)));
    assert_eq!(asked.dead_before, Some(at("2026-11-22T11:00:00Z")));
    assert_eq!((replay.deed, replay.dry_run, replay.reason.as_deref()), (DeadDeed::Replay(ReplayMode::Remap), true, Some("new mapping")));
    assert_eq!((purge.deed, purge.reason.as_deref()), (DeadDeed::Purge, Some("declared by hand")));
}

#[actix_web::test]
async fn an_order_without_a_filter_or_with_faults_is_refused_whole() {
    let bench = bench(StandIn::default(), "");
    let table: [(&str, &str, &[&str]); 8] = [
        ("replay", r#"{"filter":{},"mode":"same_bytes"}"#, &["/filter"]),
        ("replay", r#"{"filter":{"broker":null},"mode":"same_bytes"}"#, &["/filter"]),
        ("replay", r#"{"mode":"same_bytes"}"#, &["/filter"]),
        ("replay", r#"{"filter":{"reason":"refused"}}"#, &["/mode"]),
        ("replay", r#"{"filter":{"reason":"tired"},"mode":"gently","limit":0}"#, &["/filter/reason", "/mode", "/limit"]),
        (
            "replay",
            r#"{"filter":{"message_id":"canary","older_than_s":1000000000001},"mode":"remap"}"#,
            &["/filter/older_than_s", "/filter/message_id"],
        ),
        ("purge", r#"{"filter":{"broker":"b"}}"#, &["/reason"]),
        ("purge", r#"{"filter":{"brokr":"b"},"reason":"r"}"#, &["/filter/brokr"]),
    ];
    for (route, body, pointers) in table {
        let seen = post(&bench, &format!("/v1/dead-letters/{route}"), JSON, body).await;
        assert_eq!((seen.status, seen.pointers()), (422, pointers.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>()), "{body}");
        assert!(!seen.text.contains("canary"));
    }
    let far = r#"{"filter":{"older_than_s":1000000000000},"mode":"same_bytes"}"#;
    assert_eq!(post(&bench, "/v1/dead-letters/replay", JSON, far).await.status, 200, "longer ago than any date is nobody and no fault");
    assert_eq!(post(&bench, "/v1/dead-letters/replay", "text/plain", far).await.status, 415);
    assert_eq!(post(&bench, "/v1/dead-letters/replay", JSON, "{").await.status, 400);
    assert_eq!(bench.source.ordered.lock().expect("whole").len(), 1, "what is refused reaches nobody");
}

#[actix_web::test]
async fn parked_notices_are_read_again_by_state() {
    let bench = bench(StandIn::default(), "");
    let order = r#"{"filter":{"state":"unknown_code","broker":"uk-broker"},"reason":"rows added"}"#;
    let seen = post(&bench, "/v1/notices/reread", JSON, order).await;
    assert_eq!((seen.status, seen.json()), (200, json!({ "mode": "reread", "dry_run": false, "matched": 4, "done": 4 })));
    let ordered = bench.source.reread.lock().expect("whole").clone();
    assert_eq!((ordered[0].state, ordered[0].broker.as_deref()), (ParkedState::UnknownCode, Some("uk-broker")));
    assert_eq!(ordered[0].reason.as_deref(), Some("rows added"));
    for (body, pointer) in
        [(r#"{"filter":{}}"#, "/filter/state"), ("{}", "/filter"), (r#"{"filter":{"state":"applied"}}"#, "/filter/state")]
    {
        let seen = post(&bench, "/v1/notices/reread", JSON, body).await;
        assert_eq!((seen.status, seen.pointers()), (422, vec![pointer.to_owned()]), "{body}");
    }
}
