//! Tenants never meet: what belongs to another post looks exactly like what does not exist.

use crate::support::caller::{Answer, Caller};
use crate::support::gateway::Gateway;
use crate::support::goods;
use crate::support::notice::{Notice, mrn};
use reqwest::Method;
use serde_json::json;

const CONVERSATION: &str = "6f1b6a52-3a55-4a5c-9d51-0d3c5b2f6a10";

/// Asks under a fixed conversation id, so that two answers can be compared byte by byte.
async fn ask(caller: &Caller, method: Method, path: &str, body: Option<String>) -> Answer {
    let mut request = caller.request(method, path).header("x-conversation-id", CONVERSATION);
    if let Some(body) = body {
        request = request.header("content-type", "application/json").body(body);
    }
    let answer = caller.finish(request).await;
    assert_eq!(answer.header("x-conversation-id"), Some(CONVERSATION), "an incoming id is kept");
    answer
}

/// An id of the same shape that nobody has.
fn unknown(id: &str) -> String {
    let last = if id.ends_with('0') { '1' } else { '0' };
    format!("{}{last}", &id[..id.len() - 1])
}

/// P9: on every route another post's id is answered like an unknown one, byte for byte and header by header.
#[tokio::test]
async fn another_posts_id_is_an_unknown_id() {
    let (gateway, broker) = Gateway::plain("tenants").await;
    let (korea, japan) = (&gateway.korea, &gateway.japan);
    let id = korea.accepted(&goods::parcel(1)).await;
    korea.wait_delivered(&id).await;
    gateway.uk_broker().notify(&Notice::new("01", &broker.ledger()[0].lrn()).mrn(&mrn(1))).await;
    korea.wait_clearance(&id, "accepted").await;
    let subscription =
        korea.post("/v1/subscriptions", &json!({ "url": "http://127.0.0.1:9/hook", "types": ["clearance.cleared"] })).await.json();
    let subscription = subscription["id"].as_str().unwrap().to_owned();

    let mut amended = goods::parcel(1);
    amended["reason"] = json!({ "code": "value", "text": "corrected" });
    let amended = amended.to_string();
    let tracking = json!({ "event": "EMD", "at": "2026-11-22T05:10:00Z", "office": "GBLALA" }).to_string();
    let (mine, none) = (goods::item_id(1), goods::item_id(99));
    let pairs = [
        (Method::GET, format!("/v1/declarations/{id}"), format!("/v1/declarations/{}", unknown(&id)), None),
        (Method::GET, format!("/v1/declarations/{id}/messages"), format!("/v1/declarations/{}/messages", unknown(&id)), None),
        (
            Method::GET,
            format!("/v1/declarations/{id}/messages?content=1"),
            format!("/v1/declarations/{}/messages?content=1", unknown(&id)),
            None,
        ),
        (Method::GET, format!("/v1/items/{mine}"), format!("/v1/items/{none}"), None),
        (Method::PUT, format!("/v1/declarations/{id}"), format!("/v1/declarations/{}", unknown(&id)), Some(amended)),
        (
            Method::DELETE,
            format!("/v1/declarations/{id}?reason=not_posted&text=x"),
            format!("/v1/declarations/{}?reason=not_posted&text=x", unknown(&id)),
            None,
        ),
        (Method::POST, format!("/v1/items/{mine}/tracking"), format!("/v1/items/{none}/tracking"), Some(tracking)),
        (Method::DELETE, format!("/v1/subscriptions/{subscription}"), format!("/v1/subscriptions/{}", unknown(&subscription)), None),
        (
            Method::POST,
            format!("/v1/subscriptions/{subscription}/test"),
            format!("/v1/subscriptions/{}/test", unknown(&subscription)),
            Some("{}".to_owned()),
        ),
    ];
    for (method, theirs, nobodys, body) in pairs {
        let theirs_answer = ask(japan, method.clone(), &theirs, body.clone()).await;
        let unknown_answer = ask(japan, method.clone(), &nobodys, body).await;
        // 405 only while the method itself is not served there.
        assert!(matches!(unknown_answer.status, 404 | 405), "{method} {nobodys}: {}", unknown_answer.text());
        assert_eq!(theirs_answer.status, unknown_answer.status, "{method} {theirs}");
        assert_eq!(theirs_answer.text(), unknown_answer.text(), "{method} {theirs}");
        let headers = |answer: &Answer| {
            let mut headers = answer.headers.clone();
            headers.remove("date");
            headers
        };
        assert_eq!(headers(&theirs_answer), headers(&unknown_answer), "{method} {theirs}");
    }
    // Nothing of it has happened.
    assert_eq!(korea.declaration(&id).await["version"], 1);
    assert!(korea.get("/v1/subscriptions").await.text().contains(&subscription));
}

/// P9: feeds and subscriptions are each post's own.
#[tokio::test]
async fn feeds_are_separate() {
    let (gateway, _broker) = Gateway::plain("feeds").await;
    let (korea, japan) = (&gateway.korea, &gateway.japan);
    let mut from_japan = goods::parcel(1);
    from_japan["item_id"] = goods::s10("EE", 1, "JP").into();
    from_japan["sender"]["country"] = "JP".into();
    let ids = [korea.accepted(&goods::parcel(1)).await, japan.accepted(&from_japan).await];
    korea.wait_clearance(&ids[0], "submitted").await;
    japan.wait_clearance(&ids[1], "submitted").await;
    for (caller, item) in [(korea, goods::item_id(1)), (japan, goods::s10("EE", 1, "JP"))] {
        let events = caller.events().await;
        assert_eq!(events.len(), 1);
        assert_eq!(events[0]["subject"], item);
    }
    // A cursor carried over to the other post shows it nothing of ours.
    let cursor = korea.json("/v1/events?limit=1").await["next"].as_str().unwrap().to_owned();
    let answer = japan.get(&format!("/v1/events?after={cursor}")).await;
    assert!(!answer.text().contains(&goods::item_id(1)));
    // Nobody may declare an item of another issuing country.
    japan.declare(&goods::parcel(2)).await.expect(422);
}
