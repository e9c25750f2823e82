//! The same thing said twice is one thing.

use crate::support::gateway::Gateway;
use crate::support::goods;
use futures_util::future::join_all;

/// The natural key: post, item and posting date. Equal content is a replay of the first answer, other content a conflict.
#[tokio::test]
async fn the_natural_key_replays_or_conflicts() {
    let (gateway, broker) = Gateway::plain("natural-key").await;
    let korea = &gateway.korea;
    let parcel = goods::parcel(1);
    let first = korea.declare(&parcel).await.expect(202);
    assert!(first.header("idempotency-replayed").is_none());
    // The same content in another writing: key order and blanks mean nothing.
    let other_writing = serde_json::to_string_pretty(&parcel).unwrap();
    for body in [parcel.to_string(), other_writing] {
        let again = korea.post_bytes("/v1/declarations", body.into_bytes(), &[]).await.expect(200);
        assert_eq!(again.body, first.body, "byte for byte");
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        assert_ne!(again.header("x-conversation-id"), first.header("x-conversation-id"), "the header names the new request");
    }
    let mut changed = parcel.clone();
    changed["contents"][0]["quantity"] = 3.into();
    korea.declare(&changed).await.expect(409);
    // Within a year another posting date is the same item.
    let mut earlier = parcel.clone();
    earlier["posted_on"] = goods::day(-1).into();
    assert_eq!(korea.declare(&earlier).await.expect(409).code(), "item_known");
    korea.wait_delivered(first.json()["declaration_id"].as_str().unwrap()).await;
    assert_eq!(korea.declare(&parcel).await.expect(200).body, first.body, "also after it was delivered");
    assert_eq!(broker.ledger().len(), 1);
}

/// The key of the sender's: replay, conflict, shape, scope by post, and free again after a refusal.
#[tokio::test]
async fn a_senders_key_holds_for_its_post_and_body() {
    let (gateway, _broker) = Gateway::plain("sender-key").await;
    let (korea, japan) = (&gateway.korea, &gateway.japan);
    let first = korea.declare_with_key(&goods::parcel(1), "order-1").await.expect(202);
    let again = korea.declare_with_key(&goods::parcel(1), "order-1").await.expect(200);
    assert_eq!(again.body, first.body);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    korea.declare_with_key(&goods::parcel(2), "order-1").await.expect(422);
    korea.declare(&goods::parcel(2)).await.expect(202);
    // Under another key, and under none, the item is still known.
    assert_eq!(korea.declare_with_key(&goods::parcel(1), "order-2").await.expect(200).body, first.body);

    let mut from_japan = goods::parcel(1);
    from_japan["item_id"] = goods::s10("EE", 1, "JP").into();
    from_japan["sender"]["country"] = "JP".into();
    let other = japan.declare_with_key(&from_japan, "order-1").await.expect(202);
    assert_ne!(other.json()["declaration_id"], first.json()["declaration_id"], "a key is the post's own");

    let mut faulty = goods::parcel(3);
    faulty["mail_class"] = "Z".into();
    korea.declare_with_key(&faulty, "order-3").await.expect(422);
    korea.declare_with_key(&goods::parcel(3), "order-3").await.expect(202);

    let long = "k".repeat(256);
    for key in ["", "two words", "schl\u{fc}ssel", "tab\there", &long] {
        let body = goods::parcel(4).to_string().into_bytes();
        let answer = korea.post_bytes("/v1/declarations", body, &[("idempotency-key", key)]).await;
        assert_eq!(answer.status, 400, "key {key:?}");
    }
    korea.declare_with_key(&goods::parcel(4), &long[1..]).await.expect(202);
    let quoted = korea.declare_with_key(&goods::parcel(5), "\"quoted-1\"").await.expect(202);
    assert_eq!(korea.declare_with_key(&goods::parcel(5), "quoted-1").await.expect(200).body, quoted.body);
}

/// Twenty at once: one is stored, the others get its answer or are told to come back; never two messages.
#[tokio::test]
async fn twenty_at_once_are_one() {
    let (gateway, broker) = Gateway::plain("at-once").await;
    let korea = &gateway.korea;
    for (serial, key) in [(1, None), (2, Some("race-1"))] {
        let parcel = goods::parcel(serial);
        let send = || async {
            match key {
                Some(key) => korea.declare_with_key(&parcel, key).await,
                None => korea.declare(&parcel).await,
            }
        };
        let answers = join_all((0..20).map(|_| send())).await;
        let with = |status: u16| answers.iter().filter(|answer| answer.status == status).collect::<Vec<_>>();
        let stored = with(202);
        assert_eq!(stored.len(), 1, "one is stored: {:?}", answers.iter().map(|answer| answer.status).collect::<Vec<_>>());
        assert_eq!(1 + with(200).len() + with(409).len(), 20);
        assert!(with(200).iter().all(|answer| answer.body == stored[0].body));
        assert!(with(409).iter().all(|answer| answer.header("retry-after").is_some()), "in flight: come back");
        korea.wait_delivered(stored[0].json()["declaration_id"].as_str().unwrap()).await;
        assert_eq!(broker.about(&goods::item_id(serial)).len(), 1);
    }
}
