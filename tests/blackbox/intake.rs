//! The shape of what the intake answers: the 202, the preview, the document.

use crate::support::gateway::{Gateway, run};
use crate::support::goods;
use serde_json::Value;

/// The 202 and the GET have the members of the interfaces, and agree.
#[tokio::test]
async fn the_answer_has_its_members() {
    let (gateway, broker) = Gateway::plain("answer").await;
    let answer = gateway.korea.declare(&goods::parcel(1)).await.expect(202);
    let first = answer.json();
    let id = first["declaration_id"].as_str().unwrap().to_owned();
    let check = |declaration: &Value| {
        assert_eq!(declaration["declaration_id"], id.as_str());
        assert_eq!(declaration["item_id"], goods::item_id(1));
        assert_eq!(declaration["posted_on"], goods::day(0));
        assert_eq!((&declaration["version"], &declaration["broker"]), (&1.into(), &"uk-broker".into()));
        assert_eq!(declaration["route"]["rule"], 1);
        assert!(declaration["route"]["why"].is_string() && declaration["warnings"].is_array());
        assert!(declaration["clearance"]["since"].is_string() && declaration["clearance"]["open"].is_array());
        assert_eq!(declaration["security"]["status"], "none");
        let filing = &declaration["filings"][0];
        assert_eq!((&filing["track"], &filing["broker"]), (&"clearance".into(), &"uk-broker".into()), "{filing}");
        assert!(filing["filing_id"].is_string() && filing["references"].is_array() && filing["status"].is_string());
    };
    check(&first);
    assert_eq!(first["delivery"]["state"], "queued");
    assert_eq!(first["clearance"]["status"], "pending");
    assert_eq!(first["conversation_id"], answer.header("x-conversation-id").unwrap());
    let later = gateway.korea.wait_delivered(&id).await;
    check(&later);

    let messages = gateway.korea.get(&format!("/v1/declarations/{id}/messages?content=1")).await.expect(200).text();
    let post = &broker.ledger()[0];
    assert!(messages.contains(&crate::support::sha256_hex(&post.body)), "the evidence names the hash of the very bytes");
    gateway.korea.get("/v1/items/EE000000000KR").await.expect(404);
}

/// The preview maps and judges like the real thing, and stores and sends nothing.
#[tokio::test]
async fn a_preview_stores_nothing() {
    let (gateway, broker) = Gateway::plain("preview").await;
    let preview = gateway.korea.post("/v1/declarations/preview", &goods::parcel(1)).await.expect(200);
    let text = preview.text();
    assert!(text.contains("Ada Byron") && text.contains("uk-broker") && text.contains("FunctionalReferenceID"), "{text}");
    let mut faulty = goods::parcel(1);
    faulty["mail_class"] = "Z".into();
    let preview = gateway.korea.post("/v1/declarations/preview", &faulty).await.expect(200).text();
    assert!(preview.contains("/mail_class"), "{preview}");
    gateway.korea.get(&format!("/v1/items/{}", goods::item_id(1))).await.expect(404);
    let id = gateway.korea.accepted(&goods::parcel(1)).await;
    gateway.korea.wait_delivered(&id).await;
    assert_eq!(broker.ledger().len(), 1);
}

/// The document covers the three listeners by tag, is the same from the command line, and its page loads nothing from elsewhere.
#[tokio::test]
async fn the_document_covers_everything() {
    let (gateway, _broker) = Gateway::plain("openapi").await;
    let document = gateway.korea.json("/openapi.json").await;
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
    for (path, method, tag) in [
        ("/v1/declarations", "post", "intake"),
        ("/v1/declarations/batch", "post", "intake"),
        ("/v1/declarations/preview", "post", "intake"),
        ("/v1/declarations/{declaration_id}", "get", "intake"),
        ("/v1/declarations/{declaration_id}/messages", "get", "intake"),
        ("/v1/items/{item_id}", "get", "intake"),
        ("/v1/items/{item_id}/tracking", "post", "intake"),
        ("/v1/events", "get", "intake"),
        ("/v1/events/stream", "get", "intake"),
        ("/v1/subscriptions", "post", "intake"),
        ("/v1/brokers/{broker}/notices", "post", "callbacks"),
        ("/health/ready", "get", "ops"),
        ("/metrics", "get", "ops"),
        ("/v1/brokers", "get", "ops"),
        ("/v1/dead-letters", "get", "ops"),
        ("/v1/notices", "get", "ops"),
    ] {
        let operation = &document["paths"][path][method];
        assert!(operation["tags"].as_array().is_some_and(|tags| tags.contains(&tag.into())), "{method} {path}: {operation}");
    }
    let declared = document["paths"]["/v1/declarations"]["post"]["responses"].as_object().unwrap();
    for status in ["202", "200", "400", "401", "403", "409", "413", "415", "422", "429", "503"] {
        assert!(declared.contains_key(status), "POST /v1/declarations can answer {status}");
    }
    let printed = run(&gateway.setup, &["openapi"]);
    assert!(printed.status.success());
    assert_eq!(serde_json::from_slice::<Value>(&printed.stdout).expect("JSON on stdout"), document);

    let page = gateway.korea.get("/docs").await;
    let page = if page.status / 100 == 3 { gateway.korea.get("/docs/").await } else { page };
    let html = page.expect(200).text();
    for attribute in ["src=\"http", "href=\"http", "src=\"//", "href=\"//"] {
        assert!(!html.contains(attribute), "the page loads nothing from elsewhere");
    }
}

/// Trace context and conversation ids: honoured when good, replaced when not, never a failure.
#[tokio::test]
async fn conversations_are_carried_through() {
    let (gateway, broker) = Gateway::plain("conversation").await;
    let conversation = "0b8f3f52-6d0e-4b6e-8d1f-0f3f4f4b9a11";
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let traceparent = format!("00-{trace}-00f067aa0ba902b7-01");
    let headers = [("x-conversation-id", conversation), ("traceparent", traceparent.as_str())];
    let body = goods::parcel(1).to_string().into_bytes();
    let answer = gateway.korea.post_bytes("/v1/declarations", body, &headers).await.expect(202);
    assert_eq!(answer.header("x-conversation-id"), Some(conversation));
    assert_eq!(answer.json()["conversation_id"], conversation);
    let post = broker.wait_for(1).await.remove(0);
    assert_eq!(post.header("x-conversation-id"), conversation);
    assert!(post.header("traceparent").contains(trace), "{}", post.header("traceparent"));
    let headers = [("x-conversation-id", "not-a-uuid"), ("traceparent", "00-zz")];
    let body = goods::parcel(2).to_string().into_bytes();
    let answer = gateway.korea.post_bytes("/v1/declarations", body, &headers).await.expect(202);
    assert_ne!(answer.header("x-conversation-id"), Some("not-a-uuid"));
}
