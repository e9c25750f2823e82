//! The evidence from outside: it holds, it is exported, it is checked without the gateway, and a changed store is told.

use crate::support::broker::Reply;
use crate::support::gateway::{Gateway, run};
use crate::support::notice::{Notice, mrn};
use crate::support::{goods, sha256_hex, until};
use serde_json::{Value, json};

/// The bytes of a hex text.
fn unhex(text: &Value) -> Vec<u8> {
    let text = text.as_str().expect("hex");
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).expect("hex")).collect()
}

/// The hash of a link, computed here from its description: SHA-256 over the hash before, number and milliseconds as eight
/// bytes each with the highest first, and of each entry its kind's number, its id and its digest.
fn sealed(link: &Value) -> String {
    let kinds = ["declaration", "message", "settlement", "notice", "act"];
    let at: jiff::Timestamp = link["at"].as_str().unwrap().parse().unwrap();
    let mut bytes = uuid::Uuid::parse_str(link["chain"].as_str().unwrap()).unwrap().as_bytes().to_vec();
    bytes.extend(unhex(&link["previous"]));
    bytes.extend(link["number"].as_u64().unwrap().to_be_bytes());
    bytes.extend(at.as_millisecond().to_be_bytes());
    for entry in link["entries"].as_array().unwrap() {
        bytes.push(kinds.iter().position(|kind| entry["kind"] == *kind).expect("a known kind") as u8 + 1);
        bytes.extend(uuid::Uuid::parse_str(entry["subject"].as_str().unwrap()).unwrap().as_bytes());
        bytes.extend(unhex(&entry["digest"]));
    }
    sha256_hex(&bytes)
}

/// An export is checked by the command and by this test's own arithmetic; one changed character is named by its line; after a
/// restart the chain goes on; a store that was changed behind the gateway's back is told with the row.
#[tokio::test]
async fn the_evidence_holds_and_tells_what_was_changed() {
    let (mut gateway, broker) = Gateway::with_broker("evidence", |post, _| {
        if String::from_utf8_lossy(&post.body).contains("Leeds") { Reply::Text(422, "no".into()) } else { Reply::Accept }
    })
    .await;
    let id = gateway.korea.accepted(&goods::parcel(1)).await;
    gateway.korea.wait_delivered(&id).await;
    gateway.uk_broker().notify(&Notice::new("01", &broker.ledger()[0].lrn()).mrn(&mrn(1)).after(1)).await;
    gateway.korea.wait_clearance(&id, "accepted").await;
    let dead = gateway.korea.accepted(&goods::parcel_to(2, "Leeds")).await;
    gateway.korea.wait_state(&dead, "/delivery/state", "dead").await;
    let why = "declared by hand, canary-reason";
    gateway.ops.post("/v1/dead-letters/purge", &json!({ "filter": { "broker": "uk-broker" }, "reason": why })).await.expect(200);
    gateway.ops.post("/v1/brokers/uk-broker/pause", &json!({ "reason": "maintenance" })).await.expect(200);
    gateway.ops.post("/v1/brokers/uk-broker/resume", &json!({})).await.expect(200);
    gateway.ops.post("/v1/mappings/reload", &json!({})).await.expect(200);

    let acts = gateway.ops.json("/v1/audit/acts").await["acts"].as_array().unwrap().clone();
    let told: Vec<_> = acts.iter().map(|act| act["act"].as_str().unwrap()).collect();
    assert_eq!(told, ["reload_mappings", "resume", "pause", "purge"]);
    assert_eq!((&acts[3]["reason"], &acts[3]["done"], &acts[3]["filter"]["broker"]), (&json!(why), &json!(1), &json!("uk-broker")));
    let found = gateway.ops.json("/v1/audit/verify").await;
    assert_eq!((&found["ok"], &found["bad"]), (&json!(true), &Value::Null), "{found}");

    let url = gateway.ops.base();
    let export = run(&gateway.setup, &["audit", "export", "--url", &url]);
    let text = String::from_utf8(export.stdout).unwrap();
    assert_eq!(export.status.code(), Some(0), "{}", String::from_utf8_lossy(&export.stderr));
    assert!(!text.contains("canary") && !text.contains("Ada"), "ids and digests, nothing else");
    let links: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("a JSON object a line")).collect();
    assert_eq!(found["chains"][0]["links"], json!(links.len()));
    for (at, link) in links.iter().enumerate() {
        assert_eq!((&link["number"], link["hash"].as_str().unwrap()), (&json!(at + 1), sealed(link).as_str()), "{link}");
        let before =
            at.checked_sub(1).map_or(sha256_hex(uuid::Uuid::parse_str(link["chain"].as_str().unwrap()).unwrap().as_bytes()), |at| {
                links[at]["hash"].as_str().unwrap().to_owned()
            });
        assert_eq!(link["previous"], json!(before));
    }
    offline(&gateway, &text);

    gateway.kill();
    gateway.launch().await;
    let third = gateway.korea.accepted(&goods::parcel(3)).await;
    gateway.korea.wait_delivered(&third).await;
    let grown = until("a longer chain", 10, async || {
        let grown = gateway.ops.json("/v1/audit/verify").await;
        (grown["chains"][0]["links"].as_u64() > Some(links.len() as u64)).then_some(grown)
    })
    .await;
    assert_eq!(
        (&grown["ok"], &grown["chains"][0]["chain"], grown["chains"].as_array().unwrap().len()),
        (&json!(true), &links[0]["chain"], 1)
    );
}

/// The command alone, on the file alone.
fn offline(gateway: &Gateway, text: &str) {
    let file = gateway.setup.folder.file("evidence.ndjson");
    let verify = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let output = run(&gateway.setup, &["audit", "verify", "evidence.ndjson"]);
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let count = text.lines().count();
    let (code, said) = verify(text);
    assert!(code == Some(0) && said.contains(&format!("links 1 to {count}")), "{said}");
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let digest = lines[2].find("\"digest\":\"").expect("an entry") + 10;
    let other = if lines[2].as_bytes()[digest] == b'0' { "1" } else { "0" };
    lines[2].replace_range(digest..=digest, other);
    let (code, said) = verify(&(lines.join("\n") + "\n"));
    assert!(code == Some(1) && said.contains("line 3: link 3") && said.contains("hash:"), "{said}");
    lines.remove(2);
    let (code, said) = verify(&(lines.join("\n") + "\n"));
    assert!(code == Some(1) && said.contains("line 3: link 4") && said.contains("gap:"), "{said}");
}
