//! A broker that keeps repeats and can be asked: what is in doubt is asked about, and sent again only when it is not there.

use crate::support::broker::{Broker, Post, Reply};
use crate::support::gateway::Gateway;
use crate::support::setup::Setup;
use crate::support::{goods, lists, until};

const QUERY: &str = r#"<Query xmlns="urn:test:query"><Reference>{message.lrn}</Reference></Query>"#;
const RULES: &str = r#"
[[notice]]
name = "answer to a query"
each = "/Answer"
code = "Code"
lrn = "Reference"

[[notice.status]]
code = "HERE"
status = "submitted"

[[notice.status]]
code = "TAKEN"
known = true

[[notice.status]]
code = "UNKNOWN"
known = false
"#;

fn is_query(post: &Post) -> bool {
    String::from_utf8_lossy(&post.body).contains("<Query")
}

fn answer(code: &str) -> Reply {
    Reply::Text(200, format!("<Answer><Code>{code}</Code></Answer>"))
}

async fn gateway(test: &str, script: impl Fn(&Post, usize) -> Reply + Send + Sync + 'static) -> (Gateway, Broker) {
    let mut setup = Setup::new(test);
    setup.extend_mapping(RULES);
    std::fs::write(setup.mappings.join("hmrc-cds/query.xml"), QUERY).unwrap();
    let queries = std::sync::atomic::AtomicUsize::new(0);
    let broker = Broker::start(&setup.pki, move |post, _| {
        let before = if is_query(post) { queries.fetch_add(1, std::sync::atomic::Ordering::SeqCst) } else { 0 };
        script(post, before)
    })
    .await;
    setup.broker("uk-broker", &broker.url(), "true");
    setup.tune("uk-broker", "idempotent", "false");
    setup.tune("uk-broker", "timeout_s", "2");
    (Gateway::start(setup).await, broker)
}

fn split(broker: &Broker) -> (Vec<Post>, Vec<Post>) {
    broker.ledger().into_iter().partition(is_query)
}

/// The broker has it, says so at the third question (the first is not answered, the second in no format that is read): delivered
/// and not sent again. The questions name the message, and nobody is told of them.
#[tokio::test]
async fn what_the_broker_has_is_delivered_and_not_repeated() {
    let (gateway, broker) = gateway("doubt-known", |post, queries| match (is_query(post), queries) {
        (false, _) => Reply::Cut,
        (true, 0) => Reply::Hang,
        (true, 1) => Reply::Text(200, "<junk/>".into()),
        (true, _) => answer("TAKEN"),
    })
    .await;
    let id = gateway.korea.accepted(&goods::parcel(1)).await;
    let declaration = gateway.korea.wait_delivered(&id).await;
    let (queries, messages) = split(&broker);
    assert_eq!(messages.len(), 1, "never sent again");
    assert!(queries.len() >= 3);
    assert!(queries.iter().all(|query| reference(query) == messages[0].lrn()), "the question names what it is about");
    assert!(queries.iter().all(|query| query.message_id != messages[0].message_id), "under an id of its own");
    assert_eq!(gateway.korea.event_types(&goods::item_id(1)).await, ["clearance.submitted"]);
    assert!(!declaration["filings"][0]["references"].to_string().contains(&queries[0].message_id), "{declaration}");
    assert!(lists::row(&gateway.ops.json("/v1/dead-letters").await, &id).is_none());
}

/// The broker does not have it: the same bytes go again under the same id, also when the doubt was left by a kill. What comes
/// after it is not held up by the question.
#[tokio::test]
async fn what_the_broker_does_not_have_goes_again() {
    let sent = std::sync::atomic::AtomicUsize::new(0);
    let (mut gateway, broker) = gateway("doubt-unknown", move |post, _| match is_query(post) {
        true => answer("UNKNOWN"),
        false if sent.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 => Reply::Hang,
        false => Reply::Accept,
    })
    .await;
    let id = gateway.korea.accepted(&goods::parcel(1)).await;
    broker.wait_for(1).await;
    gateway.kill();
    gateway.launch().await;
    gateway.korea.wait_delivered(&id).await;
    let (queries, messages) = split(&broker);
    assert_eq!((queries.len(), messages.len()), (1, 2));
    assert_eq!((&messages[0].message_id, &messages[0].body), (&messages[1].message_id, &messages[1].body), "same id, same bytes");
    let backlog = gateway.metrics().await;
    for state in ["waiting", "queued", "sending", "in_doubt"] {
        let count = crate::support::metrics::value(&backlog, "preclear_backlog", &[("broker", "uk-broker"), ("state", state)]);
        assert_eq!(count.unwrap_or(0.0), 0.0, "{state}");
    }
    gateway.stop().await;
}

/// Nobody answers until the give-up time: a person has to look, and no question is left over.
#[tokio::test]
async fn what_nobody_answers_is_unresolved_in_the_end() {
    let mut setup = Setup::new("doubt-silent");
    setup.extend_mapping(RULES);
    std::fs::write(setup.mappings.join("hmrc-cds/query.xml"), QUERY).unwrap();
    let broker = Broker::start(&setup.pki, |_, _| Reply::Cut).await;
    setup.broker("uk-broker", &broker.url(), "true");
    setup.tune("uk-broker", "idempotent", "false");
    setup.tune("uk-broker", "retry", "{ first_ms = 50, max_ms = 200, give_up_after_s = 2 }");
    setup.tune("uk-broker", "breaker", "{ failure_share = 1.0, min_calls = 1000, window_s = 1, open_ms = 100 }");
    let gateway = Gateway::start(setup).await;
    let id = gateway.korea.accepted(&goods::parcel(1)).await;
    let declaration = gateway.korea.wait_state(&id, "/delivery/state", "dead").await;
    assert_eq!(declaration["delivery"]["reason"], "unresolved", "{declaration}");
    let (queries, messages) = split(&broker);
    assert_eq!(messages.len(), 1, "not sent on a guess");
    assert!(!queries.is_empty());
    until("no question left", 10, async || {
        let metrics = gateway.metrics().await;
        let left = |state| {
            crate::support::metrics::value(&metrics, "preclear_backlog", &[("broker", "uk-broker"), ("state", state)]).unwrap_or(0.0)
        };
        (["waiting", "queued", "sending", "in_doubt"].into_iter().map(left).sum::<f64>() == 0.0).then_some(())
    })
    .await;
}

/// What a question asks about.
fn reference(query: &Post) -> String {
    let text = String::from_utf8_lossy(&query.body).into_owned();
    let (_, rest) = text.split_once("<Reference>").expect("a reference");
    rest.split_once('<').expect("its end").0.to_owned()
}
