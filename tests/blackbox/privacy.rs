//! Personal data stays inside: canaries go in everywhere and may come out nowhere but in the message and the post's own answers.

use crate::support::broker::{Broker, Reply, Turn};
use crate::support::gateway::Gateway;
use crate::support::goods;
use crate::support::notice::{Notice, mrn};
use crate::support::setup::{JAPAN_KEY, KOREA_KEY, Setup};
use crate::support::until;
use serde_json::{Value, json};

/// Personal values of a faultless declaration, each to be recognised wherever it turns up.
const CANARIES: [&str; 12] = [
    "Zebulon Canarysend",
    "Canary Company Ltd",
    "17 Canarysender Street",
    "Canarysenderville",
    "+82 2 999 7531",
    "Quillon Canaryrecv",
    "23 Canaryrecv Road",
    "Canaryrecvton",
    "+44 20 7999 8642",
    "canary@mail.example",
    "CANARY-ORDER-5531",
    "CANARY-INV-9917",
];

fn with_canaries(serial: u32) -> Value {
    let mut parcel = goods::parcel(serial);
    parcel["sender"]["name"] = CANARIES[0].into();
    parcel["sender"]["company"] = CANARIES[1].into();
    parcel["sender"]["street"] = json!([CANARIES[2]]);
    parcel["sender"]["city"] = CANARIES[3].into();
    parcel["sender"]["phone"] = CANARIES[4].into();
    parcel["recipient"]["name"] = CANARIES[5].into();
    parcel["recipient"]["street"] = json!([CANARIES[6]]);
    parcel["recipient"]["city"] = CANARIES[7].into();
    parcel["recipient"]["phone"] = CANARIES[8].into();
    parcel["recipient"]["email"] = CANARIES[9].into();
    parcel["references"][0]["value"] = CANARIES[10].into();
    parcel["documents"][0]["number"] = CANARIES[11].into();
    parcel
}

/// Nothing that went in may stand in this text; what stood there is not printed either.
fn clean(place: &str, text: &str) {
    let lower = text.to_lowercase();
    for value in CANARIES.iter().chain(&["canary", KOREA_KEY, JAPAN_KEY, "begin private key"]) {
        assert!(!lower.contains(&value.to_lowercase()), "{place} repeats a personal value or a secret");
    }
}

/// P10: items that go well, are refused, are dead, and notices with free text, unreadable ones too; the log at its most
/// talkative, the metrics, the lists and the page say nothing of anybody. The message and the post's own answer do.
#[tokio::test]
async fn personal_data_never_comes_out() {
    let mut setup = Setup::new("privacy");
    setup.log = "info,preclear=trace".into();
    let broker = Broker::start(&setup.pki, |_, turn: &Turn| match turn.of_all {
        0 => Reply::Text(400, "refused: canary@mail.example, Quillon Canaryrecv".into()),
        1 => Reply::Text(503, "busy with Zebulon Canarysend".into()),
        _ => Reply::Accept,
    })
    .await;
    setup.broker("uk-broker", &broker.url(), "true");
    let mut gateway = Gateway::start(setup).await;
    let korea = &gateway.korea;
    let dead = korea.accepted(&with_canaries(1)).await;
    korea.wait_state(&dead, "/delivery/state", "dead").await;
    let alive = korea.accepted(&with_canaries(2)).await;
    korea.wait_delivered(&alive).await;
    let message = broker.about(&goods::item_id(2)).remove(0);
    assert!(String::from_utf8_lossy(&message.body).contains(CANARIES[5]), "void: the canaries must be in the message");

    let voice = gateway.uk_broker();
    voice.notify(&Notice::new("01", &message.lrn()).mrn(&mrn(2)).text("asks for canary@mail.example")).await;
    voice.notify(&Notice::new("77", &message.lrn()).mrn(&mrn(2)).text("Quillon Canaryrecv").after(1)).await;
    voice.notify(&Notice::new("01", "EE000000000KR260101A1").text("Zebulon Canarysend")).await;
    voice.say("<broken><name>Quillon Canaryrecv</name>").await.expect(202);
    korea.wait_clearance(&alive, "accepted").await;
    until("both parked notices", 20, async || {
        let lists = [gateway.ops.get("/v1/notices?state=unreadable").await, gateway.ops.get("/v1/notices?state=orphan").await];
        lists.iter().all(|list| list.text().contains("uk-broker")).then_some(())
    })
    .await;

    for path in ["/metrics", "/", "/v1/brokers", "/v1/dead-letters", "/v1/notices?state=unreadable", "/v1/notices?state=orphan"] {
        clean(path, &gateway.ops.get(path).await.expect(200).text());
    }
    gateway.stop().await;
    let log = gateway.log();
    assert!(!log.is_empty(), "void: there must be a log");
    clean("the log", &log);
}

/// Puts a canary into every scalar of a declaration, one at a time, in every wrong way, and reads the refusals.
#[tokio::test]
async fn no_fault_repeats_a_value() {
    let (mut gateway, _broker) = Gateway::plain("fault-values").await;
    let whole = with_canaries(1);
    let mut places = Vec::new();
    scalars(&whole, String::new(), &mut places);
    assert!(places.len() > 40, "void: {} places", places.len());
    let mut refused = 0;
    for place in &places {
        for bad in [json!("canary\u{1}value"), json!({ "canary": "canary" }), json!(["canary"]), json!("canary".repeat(200))] {
            let mut parcel = whole.clone();
            *parcel.pointer_mut(place).unwrap() = bad;
            let answer = gateway.korea.post("/v1/declarations/preview", &parcel).await;
            // The preview may show the post its own message, never a value in a fault.
            let faults: Vec<Value> = ["errors", "faults", "warnings"].iter().map(|name| answer.json()[*name].clone()).collect();
            let text = Value::from(faults).to_string().replace(place, "");
            clean(&format!("a fault of {place}"), &without_pointers(&text));
            refused += 1;
        }
    }
    assert_eq!(refused, places.len() * 4);
    let malformed = format!("{}canary", with_canaries(1));
    for body in [malformed.clone(), malformed.replace("\"mail_class\"", "\"canary"), "canary".to_owned()] {
        let answer = gateway.korea.post_bytes("/v1/declarations", body.into_bytes(), &[]).await.expect(400);
        clean("a malformed body", &answer.text());
    }
    for path in ["/v1/declarations/canary", "/v1/items/canary", "/v1/events?after=canary", "/canary"] {
        clean(path, &gateway.korea.get(path).await.text());
    }
    gateway.stop().await;
    clean("the log", &gateway.log());
}

/// A pointer may name an unknown member; that is the place, not the value.
fn without_pointers(text: &str) -> String {
    text.replace("/canary", "")
}

fn scalars(value: &Value, at: String, places: &mut Vec<String>) {
    match value {
        Value::Object(object) => object.iter().for_each(|(name, value)| scalars(value, format!("{at}/{name}"), places)),
        Value::Array(array) => array.iter().enumerate().for_each(|(n, value)| scalars(value, format!("{at}/{n}"), places)),
        _ => places.push(at),
    }
}
