//! Faults: all of them at once, each with its pointer; what is malformed and what is merely wrong are kept apart.

use crate::support::gateway::Gateway;
use crate::support::{goods, lists};
use reqwest::Method;
use serde_json::{Value, json};

/// Sets a member by JSON pointer.
fn with(pointer: &str, value: Value) -> Value {
    let mut parcel = goods::parcel(1);
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    parcel.pointer_mut(parent).unwrap()[name] = value;
    parcel
}

/// Issue: every fault of a declaration stands in one answer, wrong types and unknown fields together with the rules' own.
#[tokio::test]
async fn all_faults_come_at_once_with_pointers() {
    let (gateway, _broker) = Gateway::plain("all-faults").await;
    let mut parcel = goods::parcel(1);
    parcel["item_id"] = "EE000000010KR".into();
    parcel["posted_on"] = "2026-02-30".into();
    parcel["mail_class"] = "Z".into();
    parcel["colour"] = "red".into();
    parcel["gross_weight_g"] = "heavy".into();
    parcel["recipient"]["country"] = Value::Null;
    parcel["recipient"]["nickname"] = "x".into();
    parcel["sender"]["country"] = "QQ".into();
    parcel["contents"][0]["quantity"] = "two".into();
    parcel["contents"][0]["hs_code"] = "61A9".into();
    parcel["contents"][0]["value"]["amount"] = "24.0.0".into();
    parcel["contents"][0]["value"]["currency"] = "ZZZ".into();
    let answer = gateway.korea.declare(&parcel).await.expect(422);
    let found = lists::pointers(&answer.json());
    for pointer in [
        "/item_id",
        "/posted_on",
        "/mail_class",
        "/colour",
        "/gross_weight_g",
        "/recipient/country",
        "/recipient/nickname",
        "/sender/country",
        "/contents/0/quantity",
        "/contents/0/hs_code",
        "/contents/0/value/amount",
        "/contents/0/value/currency",
    ] {
        assert!(found.iter().any(|known| known == pointer), "{pointer} is missing from {found:?}");
    }
    // An empty object misses everything that is always required.
    let found = lists::pointers(&gateway.korea.declare(&json!({})).await.expect(422).json());
    for name in ["item_id", "posted_on", "mail_class", "channel", "category", "sender", "recipient", "gross_weight_g", "contents"] {
        assert!(found.contains(&format!("/{name}")), "/{name} is missing from {found:?}");
    }
}

/// One rule at a time: each is refused with the pointer of the field that must change.
#[tokio::test]
async fn each_rule_points_to_its_field() {
    let (gateway, broker) = Gateway::plain("rules").await;
    let cases = [
        (with("/item_id", goods::s10("EE", 1, "JP").into()), "/item_id"),
        (with("/item_id", "EE12345678KR".into()), "/item_id"),
        (with("/category", "other".into()), "/category_explanation"),
        (with("/category", "returned_goods".into()), "/return_of"),
        (with("/contents/0/hs_code", Value::Null), "/contents/0/hs_code"),
        (with("/contents/0/origin_country", Value::Null), "/contents/0/origin_country"),
        (with("/contents/0/description", "".into()), "/contents/0/description"),
        (with("/contents/0/quantity", 0.into()), "/contents/0/quantity"),
        (with("/contents/0/value/amount", "-1.00".into()), "/contents/0/value/amount"),
        (with("/contents/0/value/amount", json!(24.0)), "/contents/0/value/amount"),
        (with("/contents", json!([])), "/contents"),
        (with("/recipient/street", json!([])), "/recipient/street"),
        (with("/recipient/email", "nobody".into()), "/recipient/email"),
        (with("/recipient/name", "n".repeat(71).into()), "/recipient/name"),
        (with("/transport/flight", json!(907)), "/transport/flight"),
        (with("/broker", "no-such-broker".into()), "/broker"),
    ];
    for (parcel, pointer) in cases {
        let answer = gateway.korea.declare(&parcel).await;
        assert_eq!(answer.status, 422, "{pointer}: {}", answer.text());
        let found = lists::pointers(&answer.json());
        assert!(found.iter().any(|known| known == pointer), "{pointer} is missing from {found:?}");
    }
    // Lines that weigh more than the whole: the fault names the weight of one or of the other.
    let answer = gateway.korea.declare(&with("/contents/0/net_weight_g", 841.into())).await.expect(422);
    assert!(lists::pointers(&answer.json()).iter().any(|pointer| pointer.ends_with("_weight_g")));
    gateway.korea.declare(&with("/contents/0/hs_code", "6109.10 00".into())).await.expect(202);
    assert_eq!(broker.wait_for(1).await.len(), 1, "only the faultless one goes out");
}

/// Malformed is 400, whatever would be wrong besides; the boundary of nesting is exact.
#[tokio::test]
async fn malformed_bodies_are_400() {
    let (gateway, _broker) = Gateway::plain("malformed").await;
    let parcel = goods::parcel(1).to_string();
    let nested = |depth: usize| format!(r#"{{"x":{}{}}}"#, "[".repeat(depth - 1), "]".repeat(depth - 1)).into_bytes();
    let invalid_utf8 = {
        let mut bytes = parcel.clone().into_bytes();
        let at = parcel.find("Ada").unwrap();
        bytes[at] = 0xff;
        bytes
    };
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("empty", Vec::new()),
        ("cut off", parcel.as_bytes()[..parcel.len() / 2].to_vec()),
        ("two documents", format!("{parcel}{parcel}").into_bytes()),
        ("NaN", parcel.replace(":840", ":NaN").into_bytes()),
        ("duplicate key", parcel.replacen('{', r#"{"mail_class":"E","#, 1).into_bytes()),
        ("nested duplicate key", parcel.replacen(r#""city":"London""#, r#""city":"London","city":"Leeds""#, 1).into_bytes()),
        ("duplicate key by escape", parcel.replacen('{', r#"{"mail\u005fclass":"E","#, 1).into_bytes()),
        ("bad UTF-8", invalid_utf8),
        ("lone surrogate", parcel.replace("Ada", r"\ud800").into_bytes()),
        ("depth 65", nested(65)),
        ("depth 5000", nested(5000)),
    ];
    for (name, body) in cases {
        let answer = gateway.korea.post_bytes("/v1/declarations", body, &[]).await;
        assert_eq!(answer.status, 400, "{name}: {}", answer.text());
    }
    // At the limit it is a well-formed object that is no declaration.
    gateway.korea.post_bytes("/v1/declarations", nested(64), &[]).await.expect(422);
    for body in ["[]", "null", "7", r#""text""#] {
        gateway.korea.post_bytes("/v1/declarations", body.into(), &[]).await.expect(422);
    }
}

/// The other answers of the intake: no key, wrong key, wrong type, too large, no such route, wrong method.
#[tokio::test]
async fn the_other_refusals() {
    let (gateway, _broker) = Gateway::plain("refusals").await;
    let korea = &gateway.korea;
    let mut nobody = korea.clone();
    for key in [None, Some("wrong"), Some("")] {
        nobody.key = key.map(str::to_owned);
        nobody.declare(&goods::parcel(1)).await.expect(401);
        nobody.get("/v1/events").await.expect(401);
        nobody.get("/v1/declarations/00000000-0000-7000-8000-000000000000").await.expect(401);
    }
    let request = korea.request(Method::POST, "/v1/declarations").header("content-type", "text/csv").body("a,b");
    korea.finish(request).await.expect(415);
    let mut large = goods::parcel(1);
    large["contents"][0]["description"] = "d".repeat(1024 * 1024).into();
    korea.declare(&large).await.expect(413);
    korea.get("/v1/nothing").await.expect(404);
    let answer = korea.finish(korea.request(Method::PATCH, "/v1/declarations")).await;
    assert!(matches!(answer.status, 404 | 405), "{}", answer.status);
}
