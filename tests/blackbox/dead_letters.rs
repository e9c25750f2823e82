//! What an operator does with messages that were given up: again as they were, anew, as delivered, or never.

use crate::support::broker::{Broker, Reply};
use crate::support::gateway::{Gateway, run};
use crate::support::setup::Setup;
use crate::support::{goods, lists, until};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

async fn dead(gateway: &Gateway) -> Vec<Value> {
    lists::rows(&gateway.ops.json("/v1/dead-letters").await).to_vec()
}

/// The state of a declaration's first message.
async fn first_message(gateway: &Gateway, id: &str) -> Value {
    gateway.korea.json(&format!("/v1/declarations/{id}/messages")).await["messages"][0]["state"].clone()
}

/// A broker that refuses everything until it is told better, and five dead letters at it.
async fn refused(test: &str, count: u32) -> (Gateway, Broker, Arc<AtomicBool>, Vec<String>) {
    let mut setup = Setup::new(test);
    let willing = Arc::new(AtomicBool::new(false));
    let is_willing = willing.clone();
    let refuse =
        move |_: &_, _: &_| if is_willing.load(Ordering::SeqCst) { Reply::Accept } else { Reply::Text(422, "no such canary".into()) };
    let broker = Broker::start(&setup.pki, refuse).await;
    setup.broker("uk-broker", &broker.url(), "recipient.country == 'GB'");
    let gateway = Gateway::start(setup).await;
    let mut ids = Vec::new();
    for serial in 1..=count {
        ids.push(gateway.korea.accepted(&goods::parcel(serial)).await);
    }
    until("all of them dead", 20, async || (dead(&gateway).await.len() == count as usize).then_some(())).await;
    (gateway, broker, willing, ids)
}

/// Listed with all that a decision needs; counted without being touched; then each of the modes, and the purge.
#[tokio::test]
async fn dead_letters_are_listed_replayed_and_purged() {
    let (gateway, broker, willing, ids) = refused("dead-letters", 5).await;
    let list = dead(&gateway).await;
    let message_of =
        |id: &str| list.iter().find(|row| row["declaration_id"] == id).expect("listed")["message_id"].as_str().unwrap().to_owned();
    for row in &list {
        assert_eq!((&row["reason"], &row["last_status"], &row["attempts"]), (&json!("refused"), &json!(422), &json!(1)), "{row}");
        assert!(row["age_seconds"].is_u64() && !row.to_string().contains("canary"), "{row}");
    }
    let replay = async |body: Value| gateway.ops.post("/v1/dead-letters/replay", &body).await.expect(200).json();
    let of_broker = json!({ "broker": "uk-broker" });
    let counted = replay(json!({ "filter": of_broker, "mode": "same_bytes", "dry_run": true })).await;
    assert_eq!(counted, json!({ "mode": "same_bytes", "dry_run": true, "matched": 5, "done": 0 }));
    assert_eq!(dead(&gateway).await.len(), 5);

    willing.store(true, Ordering::SeqCst);
    let one = |id: &str| json!({ "message_id": message_of(id) });
    let answer = replay(json!({ "filter": one(&ids[0]), "mode": "settle_delivered", "reason": "by telephone" })).await;
    assert_eq!((&answer["matched"], &answer["done"]), (&json!(1), &json!(1)));
    gateway.korea.wait_clearance(&ids[0], "submitted").await;
    replay(json!({ "filter": one(&ids[1]), "mode": "remap" })).await;
    assert_eq!(first_message(&gateway, &ids[1]).await, "withdrawn");
    let purge = json!({ "filter": one(&ids[2]), "reason": "declared by hand" });
    assert_eq!(gateway.ops.post("/v1/dead-letters/purge", &purge).await.expect(200).json()["done"], 1);
    assert_eq!(first_message(&gateway, &ids[2]).await, "withdrawn");

    let answer = replay(json!({ "filter": { "reason": "refused", "post": "KRA" }, "mode": "same_bytes" })).await;
    assert_eq!((&answer["matched"], &answer["done"]), (&json!(2), &json!(2)));
    for (id, serial) in [(&ids[3], 4), (&ids[4], 5)] {
        gateway.korea.wait_delivered(id).await;
        let posts = broker.about(&goods::item_id(serial));
        assert_eq!(posts.len(), 2);
        assert_eq!((&posts[0].message_id, &posts[0].body), (&posts[1].message_id, &posts[1].body), "the same bytes under the same id");
        assert_eq!(posts[0].message_id, message_of(id));
    }
    for serial in [1, 3] {
        assert_eq!(broker.about(&goods::item_id(serial)).len(), 1, "what was settled or purged is not sent");
    }
    assert!(dead(&gateway).await.is_empty());
    gateway.ops.post("/v1/dead-letters/replay", &json!({ "filter": {}, "mode": "same_bytes" })).await.expect(422);
}

/// The command does what the interface does, and says how many.
#[tokio::test]
async fn the_command_lists_replays_and_purges() {
    let (gateway, broker, willing, ids) = refused("dead-letters-cli", 3).await;
    willing.store(true, Ordering::SeqCst);
    let url = gateway.ops.base();
    let preclear = |words: &[&str]| {
        let output = run(&gateway.setup, &[&["dead-letters"], words, &["--url", &url]].concat());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, list, said) = preclear(&["list", "--reason", "refused", "--json"]);
    assert_eq!((code, list.lines().count()), (Some(0), 3), "{said}");
    let message: Value = serde_json::from_str(list.lines().next().unwrap()).expect("JSON lines");
    let message = message["message_id"].as_str().unwrap();
    let (code, table, _) = preclear(&["list"]);
    assert!(code == Some(0) && table.contains(message) && table.contains("uk-broker"), "{table}");

    let (code, _, said) = preclear(&["replay", "--mode", "same_bytes"]);
    assert_eq!(code, Some(2), "whom it is about has to be said: {said}");
    let (code, out, said) = preclear(&["replay", "--broker", "uk-broker", "--mode", "same_bytes", "--dry-run"]);
    assert!(code == Some(0) && said.contains("3 would be changed") && out.contains("\"matched\":3"), "{said}");
    let (code, _, said) = preclear(&["purge", "--message", message, "--why", "declared by hand"]);
    assert!(code == Some(0) && said.contains("1 of 1 changed"), "{said}");
    let (code, _, said) = preclear(&["replay", "--broker", "uk-broker", "--mode", "same_bytes", "--why", "mended"]);
    assert!(code == Some(0) && said.contains("2 of 2 changed"), "{said}");
    let (code, _, said) = preclear(&["replay", "--message", "canary", "--mode", "remap"]);
    assert!(code == Some(1) && said.contains("/filter/message_id"), "{said}");
    until("the replayed ones at the broker", 20, async || (broker.ledger().len() == 5).then_some(())).await;
    let mut states = Vec::new();
    for id in &ids {
        states.push(gateway.korea.declaration(id).await["delivery"]["state"].as_str().unwrap_or_default().to_owned());
    }
    assert_eq!(states.iter().filter(|state| *state == "withdrawn").count(), 1, "{states:?}");
}
