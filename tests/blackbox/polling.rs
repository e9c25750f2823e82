//! Brokers that do not call are asked: stored first, acknowledged second, within the permit, through kills and lost answers.

use crate::support::broker::{Broker, Post, Reply, Turn, status};
use crate::support::gateway::Gateway;
use crate::support::notice::{Notice, mrn};
use crate::support::setup::Setup;
use crate::support::{goods, lists, metrics, until};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const RULES: &str = r#"
[poll]
each = "/outcomes/outcome"
id = "@id"
fetch = "{url}/{id}"
[poll.acknowledge]
method = "DELETE"
url = "{url}/{id}"
"#;

/// What the broker has for us, and how the next acknowledgements are met.
#[derive(Default)]
struct Shelf {
    outcomes: BTreeMap<String, String>,
    acknowledgements: Vec<Reply>,
}

type Shared = Arc<Mutex<Shelf>>;

fn answer(shelf: &Shared, post: &Post, _: &Turn) -> Reply {
    let mut shelf = shelf.lock().unwrap();
    let path = post.path.split('?').next().unwrap_or_default();
    let id = path.trim_start_matches("/customs/declarations").trim_start_matches('/').to_owned();
    match (post.method.as_str(), id.as_str()) {
        ("GET", "") => {
            let rows: String = shelf.outcomes.keys().map(|id| format!("<outcome id='{id}'/>")).collect();
            Reply::Text(200, format!("<outcomes>{rows}</outcomes>"))
        }
        ("GET", id) => shelf.outcomes.get(id).map_or(status(404), |body| Reply::Text(200, body.clone())),
        ("DELETE", id) => match shelf.acknowledgements.pop() {
            Some(reply) => reply,
            None => {
                shelf.outcomes.remove(id);
                status(204)
            }
        },
        _ => status(405),
    }
}

/// A gateway whose only broker takes messages at one address and has notices at another.
async fn set_up(test: &str, tune: impl FnOnce(&mut Setup)) -> (Gateway, Broker, Broker, Shared) {
    let mut setup = Setup::new(test);
    setup.extend_mapping(RULES);
    let shelf = Shared::default();
    let kept = shelf.clone();
    let broker = Broker::willing(&setup.pki).await;
    let outcomes = Broker::start(&setup.pki, move |post, turn| answer(&kept, post, turn)).await;
    setup.broker("uk-broker", &broker.url(), "recipient.country == 'GB'");
    setup.tune("uk-broker", "urls", &format!("{{ poll = \"{}?state=new\" }}", outcomes.url()));
    setup.tune("uk-broker", "poll", "{ every_s = 1 }");
    tune(&mut setup);
    (Gateway::start(setup).await, broker, outcomes, shelf)
}

fn requests(outcomes: &Broker, method: &str, id: &str) -> usize {
    outcomes.ledger().iter().filter(|post| post.method == method && post.path.ends_with(&format!("/{id}"))).count()
}

/// P1, P2, P6 for notices that are fetched: an acknowledgement is lost, the process is killed between store and acknowledgement,
/// one notice cannot be read; each is acknowledged in the end, and each status is told once.
#[tokio::test]
async fn outcomes_are_stored_then_acknowledged_through_a_kill_and_a_lost_answer() {
    let (mut gateway, broker, outcomes, shelf) = set_up("poll", |_| {}).await;
    let (first, second) = (gateway.korea.accepted(&goods::parcel(1)).await, gateway.korea.accepted(&goods::parcel(2)).await);
    for id in [&first, &second] {
        gateway.korea.wait_delivered(id).await;
    }
    let lrn = |serial| broker.about(&goods::item_id(serial))[0].lrn();
    // The first acknowledgement is cut off, the second never answered: a kill comes instead.
    shelf.lock().unwrap().acknowledgements = vec![Reply::Hang, Reply::Cut];
    let notice = |serial| Notice::new("01", &lrn(serial)).mrn(&mrn(serial)).xml();
    let notices = [("o-1".to_owned(), notice(1)), ("o-2".to_owned(), notice(2))];
    shelf.lock().unwrap().outcomes.extend(notices);
    until("the acknowledgement that hangs", 20, async || (requests(&outcomes, "DELETE", "o-2") == 1).then_some(())).await;
    for id in [&first, &second] {
        gateway.korea.wait_clearance(id, "accepted").await;
    }
    gateway.kill();
    assert_eq!(shelf.lock().unwrap().outcomes.len(), 2, "void: nothing was acknowledged before the kill");
    shelf.lock().unwrap().outcomes.insert("o-3".to_owned(), "<html>no notice".to_owned());
    gateway.launch().await;
    until("an empty list", 20, async || shelf.lock().unwrap().outcomes.is_empty().then_some(())).await;
    let unreadable = gateway.ops.json("/v1/notices?state=unreadable").await;
    assert_eq!(lists::rows(&unreadable).len(), 1, "parked and shown, though acknowledged: {unreadable}");
    for (serial, id) in [(1, &first), (2, &second)] {
        let types = gateway.korea.event_types(&goods::item_id(serial)).await;
        assert_eq!(types, ["clearance.submitted", "clearance.accepted"], "told once");
        let declaration = gateway.korea.declaration(id).await;
        assert_eq!(lists::references(&declaration, "mrn"), [mrn(serial)]);
    }
    let page = gateway.metrics().await;
    assert_eq!(metrics::value(&page, "preclear_notices_total", &[("result", "duplicate")]), Some(2.0), "both were known again");
    assert!(metrics::value(&page, "preclear_polls_total", &[("broker", "uk-broker"), ("result", "taken")]) >= Some(1.0));
    assert!(metrics::value(&page, "preclear_poll_last_success_timestamp_seconds", &[("broker", "uk-broker")]) > Some(1.7e9));
    let certificate = &gateway.setup.pki.gateway_client.sha256;
    assert!(outcomes.ledger().iter().all(|post| &post.certificate == certificate && post.header("accept").starts_with("application/vnd")));
}

/// Operators: a paused broker is not asked, and a shutdown does not wait for an answer that never comes.
#[tokio::test]
async fn a_paused_broker_is_not_asked_and_a_shutdown_is_prompt() {
    let (mut gateway, _broker, outcomes, shelf) = set_up("poll-pause", |_| {}).await;
    outcomes.wait_for(2).await;
    gateway.ops.post("/v1/brokers/uk-broker/pause", &json!({})).await.expect(200);
    until("the question under way to end", 5, async || (outcomes.unanswered() == 0).then_some(())).await;
    let asked = outcomes.ledger().len();
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert!(outcomes.ledger().len() <= asked + 1, "asked while paused");
    gateway.ops.post("/v1/brokers/uk-broker/resume", &json!({})).await.expect(200);
    outcomes.wait_for(asked + 3).await;
    shelf.lock().unwrap().acknowledgements = vec![Reply::Hang];
    shelf.lock().unwrap().outcomes.insert("o-1".to_owned(), "<html>no notice".to_owned());
    until("an acknowledgement that hangs", 20, async || (requests(&outcomes, "DELETE", "o-1") == 1).then_some(())).await;
    let began = Instant::now();
    gateway.stop().await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

/// P4: messages, lists, fetches and acknowledgements together stay within one permit, and each gets its share.
#[tokio::test]
async fn questions_and_messages_share_one_permit() {
    const PER_SECOND: usize = 20;
    const BURST: usize = 5;
    let rate = format!("{{ per_second = {PER_SECOND}, burst = {BURST} }}");
    let (gateway, broker, outcomes, shelf) = set_up("poll-permit", |setup| setup.tune("uk-broker", "rate", &rate)).await;
    let listed = (0..40).map(|n| (format!("o-{n:02}"), "<html>no notice".to_owned()));
    shelf.lock().unwrap().outcomes.extend(listed.map(|(id, body)| (id.clone(), format!("{body} {id}"))));
    let mut ids = Vec::new();
    for serial in 1..=60 {
        ids.push(gateway.korea.accepted(&goods::parcel(serial)).await);
    }
    until("an empty list", 60, async || shelf.lock().unwrap().outcomes.is_empty().then_some(())).await;
    for id in &ids {
        gateway.korea.wait_delivered(id).await;
    }
    let mut times: Vec<Instant> = broker.ledger().iter().chain(&outcomes.ledger()).map(|post| post.at).collect();
    times.sort();
    assert!(times.len() >= 60 + 80);
    for (index, first) in times.iter().enumerate() {
        let within = times[index..].iter().take_while(|at| **at - *first < Duration::from_secs(1)).count();
        assert!(within <= PER_SECOND + BURST, "{within} requests within one second");
    }
    let both = |posts: Vec<Post>| (posts[0].at, posts[posts.len() - 1].at);
    let (sent, asked) = (both(broker.ledger()), both(outcomes.ledger()));
    assert!(sent.0 < asked.1 && asked.0 < sent.1, "void: they did not compete");
}
