//! The loops against a store in memory. Everything is awaited by a signal; the time limit around a
//! test is only there so that a lost wake-up fails instead of hanging.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::dispatcher::{Dispatcher, Limits, Transport};
use super::feed::{Cursor, Feed, FeedError, FeedQuery};
use super::ports::{Deliveries, DeliveryKey, Events, Subscriptions};
use super::subscriptions::{MAX_PER_POST, SubscriptionService, event_types};
use crate::domain::event::is_known_type;
use crate::domain::ids::{EventId, SubscriptionId};
use crate::domain::masked::Masked;
use crate::domain::time::{Clock, FixedClock, Timestamp};
use crate::error::Code;
use crate::net::guard::Guard;
use crate::net::webhook_client::{WebhookAnswer, WebhookClient, WebhookFailure};
use crate::store::{DeliveryRow, DeliverySettlement, EventPage, StoreError, Subscription};

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("a wake-up was lost")
}

fn noon() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().expect("instant")
}

// ---- deliveries

/// Of one subscription at once.
const SHARE: usize = 2;

struct Waiting {
    row: DeliveryRow,
    item: &'static str,
    due_at: Timestamp,
}

#[derive(Default)]
struct Memory {
    rows: Mutex<Vec<Waiting>>,
    signal: watch::Sender<u64>,
    settled: watch::Sender<Vec<(String, &'static str)>>,
    failing_settlements: AtomicU32,
}

impl Memory {
    fn add(&self, subscription_id: SubscriptionId, item: &'static str, position: i64, url: &str) {
        let row = DeliveryRow {
            subscription_id,
            position,
            event_id: format!("{url}{position}"),
            json: format!("{{\"subject\":\"{item}\"}}"),
            url: url.to_owned(),
            secret: Masked::new(vec![7; 32]),
            attempts: 0,
            first_at: None,
        };
        self.rows.lock().expect("lock").push(Waiting { row, item, due_at: Timestamp::MIN });
        self.wake();
    }

    fn wake(&self) {
        self.signal.send_modify(|count| *count += 1);
    }

    async fn settled(&self, count: usize) -> Vec<(String, &'static str)> {
        let mut settled = self.settled.subscribe();
        soon(settled.wait_for(|list| list.len() >= count)).await.expect("open").clone()
    }
}

impl Deliveries for Memory {
    /// As the store promises: a share of each subscription, of each item only the oldest.
    async fn due_deliveries(&self, now: Timestamp, busy: HashSet<DeliveryKey>, limit: usize) -> Result<Vec<DeliveryRow>, StoreError> {
        let rows = self.rows.lock().expect("lock");
        let mut taken: HashMap<SubscriptionId, usize> = HashMap::new();
        busy.iter().for_each(|(id, _)| *taken.entry(*id).or_default() += 1);
        let mut due = Vec::new();
        for (index, waiting) in rows.iter().enumerate() {
            let id = waiting.row.subscription_id;
            let first = !rows[..index].iter().any(|other| other.row.subscription_id == id && other.item == waiting.item);
            let count = taken.entry(id).or_default();
            let free = !busy.contains(&(id, waiting.row.position));
            if first && free && waiting.due_at <= now && *count < SHARE && due.len() < limit {
                *count += 1;
                due.push(waiting.row.clone());
            }
        }
        Ok(due)
    }

    async fn next_delivery_due(&self, after: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.rows.lock().expect("lock").iter().map(|waiting| waiting.due_at).filter(|due| *due > after).min())
    }

    async fn settle_delivery(&self, row: &DeliveryRow, settlement: DeliverySettlement, _: Timestamp) -> Result<(), StoreError> {
        if self.failing_settlements.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
            return Err(StoreError::Unavailable("the disk is full"));
        }
        let mut rows = self.rows.lock().expect("lock");
        let key = (row.subscription_id, row.position);
        let at = rows.iter().position(|waiting| (waiting.row.subscription_id, waiting.row.position) == key).expect("a row");
        let event_id = rows[at].row.event_id.clone();
        let word = match settlement {
            DeliverySettlement::Retry { due_at } => {
                rows[at].row.attempts += 1;
                rows[at].due_at = due_at;
                "retry"
            }
            DeliverySettlement::Gone => {
                rows.retain(|waiting| waiting.row.subscription_id != key.0);
                "gone"
            }
            DeliverySettlement::Done => {
                rows.remove(at);
                "done"
            }
            DeliverySettlement::GiveUp => {
                rows.remove(at);
                "given up"
            }
        };
        drop(rows);
        self.wake();
        self.settled.send_modify(|list| list.push((event_id, word)));
        Ok(())
    }

    fn deliveries_signal(&self) -> watch::Receiver<u64> {
        self.signal.subscribe()
    }
}

/// Answers by the beginning of the URL; `hang` never does. Counts tries and those at once.
#[derive(Default)]
struct Targets {
    posts: watch::Sender<HashMap<String, u32>>,
}

impl Transport for Targets {
    async fn post(&self, url: &str, headers: Vec<(&'static str, String)>, body: Bytes) -> WebhookAnswer {
        assert!(headers.iter().any(|(name, value)| *name == "webhook-signature" && value.starts_with("v1,")) && !body.is_empty());
        self.posts.send_modify(|posts| *posts.entry(url.to_owned()).or_default() += 1);
        let code = match url {
            "hang" => std::future::pending().await,
            "cut" => return WebhookAnswer::Failed(WebhookFailure::Timeout),
            other => other.parse().expect("a status"),
        };
        WebhookAnswer::Status { code, retry_after: None }
    }
}

struct Rig {
    store: Arc<Memory>,
    targets: Arc<Targets>,
    clock: Arc<FixedClock>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

fn rig() -> Rig {
    let (store, targets) = (Arc::new(Memory::default()), Arc::new(Targets::default()));
    let clock = Arc::new(FixedClock::new(noon()));
    let limits = Limits { total: 8, drain: Duration::from_millis(10) };
    let dispatcher = Dispatcher::new(Arc::clone(&store), Arc::clone(&targets), clock.clone(), limits);
    let stop = CancellationToken::new();
    let task = tokio::spawn(dispatcher.run(stop.clone()));
    Rig { store, targets, clock, stop, task }
}

#[tokio::test]
async fn a_target_that_hangs_holds_its_places_and_no_others() {
    let rig = rig();
    let (slow, fast) = (SubscriptionId::new(), SubscriptionId::new());
    for position in 0..50 {
        rig.store.add(slow, ["a", "b", "c", "d", "e"][position as usize % 5], position, "hang");
    }
    for position in 0..50 {
        rig.store.add(fast, ["a", "b", "c", "d", "e"][position as usize % 5], position, "204");
    }
    let settled = rig.store.settled(50).await;
    assert!(settled.iter().all(|(id, word)| id.starts_with("204") && *word == "done"));
    assert_eq!(rig.targets.posts.borrow()["hang"], 2);
    // Per item in order: positions of one item are five apart.
    for item in 0..5 {
        let order: Vec<i64> = settled.iter().map(|(id, _)| id[3..].parse().expect("position")).filter(|p| p % 5 == item).collect();
        assert!(order.is_sorted(), "{order:?}");
    }
    rig.stop.cancel();
    soon(rig.task).await.expect("ends");
}

#[tokio::test]
async fn a_failure_waits_by_the_schedule_and_ends_in_the_feed_only() {
    let rig = rig();
    rig.store.add(SubscriptionId::new(), "a", 1, "500");
    for tries in 1..=10_u32 {
        let settled = rig.store.settled(tries as usize).await;
        assert_eq!(settled.last().expect("one").1, if tries < 10 { "retry" } else { "given up" });
        let next = rig.store.rows.lock().expect("lock").first().map(|waiting| waiting.due_at);
        if let Some(next) = next {
            let waited = next.duration_since(rig.clock.now()).as_secs_f64();
            let planned = super::retry::SCHEDULE_S[tries as usize] as f64;
            assert!((0.9 * planned - 0.1..=1.1 * planned + 0.1).contains(&waited), "try {tries}: {waited} s");
            // The clock shows whole milliseconds.
            rig.clock.set(next + Duration::from_millis(1));
            rig.store.wake();
        }
    }
    assert_eq!(rig.targets.posts.borrow()["500"], 10);
}

#[tokio::test]
async fn gone_ends_the_subscription_and_a_timeout_is_a_failure() {
    let rig = rig();
    let gone = SubscriptionId::new();
    rig.store.add(gone, "a", 1, "410");
    rig.store.add(gone, "a", 2, "410");
    rig.store.settled(1).await;
    rig.store.add(SubscriptionId::new(), "b", 3, "cut");
    let settled = rig.store.settled(2).await;
    assert_eq!(settled.iter().map(|(_, word)| *word).collect::<Vec<_>>(), ["gone", "retry"]);
    assert_eq!(rig.targets.posts.borrow()["410"], 1);
}

#[tokio::test]
async fn a_store_that_cannot_settle_does_not_make_us_send_again() {
    let rig = rig();
    rig.store.failing_settlements.store(1, Ordering::SeqCst);
    rig.store.add(SubscriptionId::new(), "a", 1, "200");
    rig.store.wake();
    assert_eq!(rig.store.settled(1).await[0].1, "done");
    assert_eq!(rig.targets.posts.borrow()["200"], 1);
}

// ---- feed and stream

#[derive(Default)]
struct Log {
    events: Mutex<Vec<(i64, String)>>,
    signal: watch::Sender<u64>,
    /// Written right after the next read saw nothing: the gap in which wake-ups get lost.
    in_the_gap: Mutex<Option<i64>>,
}

impl Log {
    fn write(&self, position: i64) {
        let json = format!("{{\"specversion\":\"1.0\",\"type\":\"clearance.released\",\"id\":\"{position}\"}}");
        self.events.lock().expect("lock").push((position, json));
        self.signal.send_modify(|count| *count += 1);
    }
}

impl Events for Log {
    async fn events_after(&self, post: &str, after: i64, limit: u32) -> Result<EventPage, StoreError> {
        assert_eq!(post, "KRA");
        let events = self.events.lock().expect("lock").clone();
        let page = EventPage {
            oldest: events.first().map_or(0, |(position, _)| *position),
            newest: events.last().map_or(0, |(position, _)| *position),
            events: events.into_iter().filter(|(position, _)| *position > after).take(limit as usize).collect(),
        };
        let gap = self.in_the_gap.lock().expect("lock").take();
        if let Some(position) = gap {
            self.write(position);
        }
        Ok(page)
    }

    fn events_signal(&self) -> watch::Receiver<u64> {
        self.signal.subscribe()
    }
}

fn feed() -> (Arc<Log>, Arc<Feed<Log>>, CancellationToken) {
    let (log, stop) = (Arc::new(Log::default()), CancellationToken::new());
    (Arc::clone(&log), Arc::new(Feed::new(log, stop.clone())), stop)
}

#[test]
fn a_cursor_is_taken_back_only_as_it_was_given() {
    for position in [0, 1, 77, i64::MAX] {
        let text = Cursor(position).encode("KRA");
        assert_eq!((text.len(), Cursor::decode("KRA", &text).expect("own")), (18, Cursor(position)));
        assert!(matches!(Cursor::decode("JPA", &text), Err(FeedError::BadCursor)));
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).expect("ASCII");
            assert!(Cursor::decode("KRA", &changed).is_err(), "{changed}");
        }
    }
    for bad in ["", "0", "1", "AAAAAAAAAAAAAAAAAA", "%00", "ü", "AQ==", &"A".repeat(10_000)] {
        assert!(matches!(Cursor::decode("KRA", bad), Err(FeedError::BadCursor)), "{bad}");
    }
}

#[tokio::test]
async fn pages_follow_one_another_without_gap_and_old_cursors_are_gone() {
    let (log, feed, _) = feed();
    let empty = feed.page("KRA", FeedQuery::default()).await.expect("page");
    assert_eq!(empty.to_json(), Bytes::from(format!("{{\"events\":[],\"next\":\"{}\"}}", empty.next)));
    (1..=5).for_each(|position| log.write(position));
    let (mut seen, mut next) = (Vec::new(), empty.next);
    loop {
        let page = feed.page("KRA", FeedQuery { after: Some(&next), limit: Some(2), wait_s: None }).await.expect("page");
        next = page.next.clone();
        if page.events.is_empty() {
            break;
        }
        let json: serde_json::Value = serde_json::from_slice(&page.to_json()).expect("JSON");
        seen.extend(json["events"].as_array().expect("events").iter().map(|event| event["id"].as_str().expect("id").to_owned()));
    }
    assert_eq!(seen, ["1", "2", "3", "4", "5"]);
    let at_two = Cursor(2).encode("KRA");
    log.events.lock().expect("lock").drain(..2);
    assert!(feed.page("KRA", FeedQuery { after: Some(&at_two), ..FeedQuery::default() }).await.is_ok(), "nothing was missed");
    log.events.lock().expect("lock").drain(..1);
    let gone = feed.page("KRA", FeedQuery { after: Some(&at_two), ..FeedQuery::default() }).await;
    assert!(matches!(gone, Err(FeedError::CursorGone)));
    let future = Cursor(6).encode("KRA");
    assert!(matches!(feed.page("KRA", FeedQuery { after: Some(&future), ..FeedQuery::default() }).await, Err(FeedError::BadCursor)));
    for query in [FeedQuery { limit: Some(0), ..FeedQuery::default() }, FeedQuery { wait_s: Some(61), ..FeedQuery::default() }] {
        assert!(matches!(feed.page("KRA", query).await, Err(FeedError::OutOfRange(_))));
    }
}

#[tokio::test]
async fn a_long_poll_wakes_for_what_was_written_between_looking_and_waiting() {
    let (log, feed, stop) = feed();
    *log.in_the_gap.lock().expect("lock") = Some(1);
    let query = FeedQuery { wait_s: Some(60), ..FeedQuery::default() };
    assert_eq!(soon(feed.page("KRA", query)).await.expect("page").events.len(), 1);
    // Stopping ends a wait at once, with an empty page and the same place.
    let at = Cursor(1).encode("KRA");
    let waits = {
        let (feed, at) = (Arc::clone(&feed), at.clone());
        tokio::spawn(async move { feed.page("KRA", FeedQuery { after: Some(&at), wait_s: Some(60), limit: None }).await })
    };
    stop.cancel();
    let page = soon(waits).await.expect("task").expect("page");
    assert_eq!((page.events.len(), page.next), (0, at));
}

#[tokio::test]
async fn a_stream_starts_now_and_goes_on_where_it_broke() {
    let (log, feed, stop) = feed();
    log.write(1);
    let mut stream = feed.stream("KRA", None).await.expect("stream");
    let greeting = soon(stream.next()).await.expect("greeting");
    assert_eq!(greeting, Bytes::from(format!("retry: 2000\nid: {}\n\n", Cursor(1).encode("KRA"))));
    *log.in_the_gap.lock().expect("lock") = Some(2);
    let event = soon(stream.next()).await.expect("event");
    let expected = format!(
        "id: {}\nevent: clearance.released\ndata: {{\"specversion\":\"1.0\",\"type\":\"clearance.released\",\"id\":\"2\"}}\n\n",
        Cursor(2).encode("KRA")
    );
    assert_eq!(event, Bytes::from(expected));
    drop(stream);
    (3..=123).for_each(|position| log.write(position));
    let mut stream = feed.stream("KRA", Some(&Cursor(2).encode("KRA"))).await.expect("stream");
    let (mut events, mut chunks) = (0, 0);
    while events < 121 {
        let chunk = soon(stream.next()).await.expect("chunk");
        let count = std::str::from_utf8(&chunk).expect("UTF-8").matches("\ndata: ").count();
        assert!(count <= 50, "one page at a time");
        (events, chunks) = (events + count, chunks + 1);
    }
    assert_eq!((events, chunks), (121, 4));
    stop.cancel();
    let goodbye = soon(stream.next()).await.expect("last words");
    let at = std::str::from_utf8(&goodbye).expect("text").strip_prefix("id: ").expect("an id").trim_end().to_owned();
    assert!(feed.page("KRA", FeedQuery { after: Some(&at), limit: None, wait_s: None }).await.expect("where to go on").events.is_empty());
    assert!(soon(stream.next()).await.is_none());
    assert!(matches!(feed.stream("KRA", Some("x")).await.err(), Some(FeedError::BadCursor)));
}

#[tokio::test]
async fn readers_that_wait_are_bounded_per_post() {
    let (_, feed, _) = feed();
    let mut held = Vec::new();
    for _ in 0..super::feed::MAX_WAITING {
        held.push(feed.stream("KRA", None).await.expect("a place"));
    }
    assert!(matches!(feed.stream("KRA", None).await.err(), Some(FeedError::TooMany)));
    held.pop();
    assert!(feed.stream("KRA", None).await.is_ok());
}

// ---- subscriptions

#[derive(Default)]
struct Kept(Mutex<Vec<Subscription>>);

impl Subscriptions for Kept {
    async fn add_subscription(&self, subscription: Subscription, max: u32) -> Result<bool, StoreError> {
        let mut kept = self.0.lock().expect("lock");
        let room = kept.iter().filter(|other| other.post == subscription.post).count() < max as usize;
        if room {
            kept.push(subscription);
        }
        Ok(room)
    }

    async fn subscriptions(&self, post: &str) -> Result<Vec<Subscription>, StoreError> {
        Ok(self.0.lock().expect("lock").iter().filter(|kept| kept.post == post).cloned().collect())
    }

    async fn delete_subscription(&self, post: &str, id: SubscriptionId) -> Result<bool, StoreError> {
        let mut kept = self.0.lock().expect("lock");
        let before = kept.len();
        kept.retain(|one| !(one.post == post && one.subscription_id == id));
        Ok(kept.len() < before)
    }

    async fn test_subscription(&self, post: &str, id: SubscriptionId, event: EventId, json: String) -> Result<bool, StoreError> {
        assert!(json.contains(&event.to_string()));
        Ok(self.0.lock().expect("lock").iter().any(|one| one.post == post && one.subscription_id == id))
    }
}

fn service() -> SubscriptionService<Kept> {
    let client = WebhookClient::new(Arc::new(Guard::default())).expect("client");
    SubscriptionService::new(Arc::new(Kept::default()), client, Arc::new(FixedClock::new(noon())), None)
}

#[tokio::test]
async fn a_secret_is_shown_once_and_another_post_sees_nothing() {
    let service = service();
    let body = br#"{"url":"https://hooks.post.example/token/hush","types":["clearance.*","delivery.dead"]}"#;
    let made = service.create("KRA", body).await.expect("made");
    let shown = serde_json::to_string(&made).expect("JSON");
    assert!(shown.contains("\"secret\":\"whsec_") && shown.contains("hush") && !format!("{made:?}").contains("hush"));
    let list = serde_json::to_string(&service.list("KRA").await.expect("list")).expect("JSON");
    assert!(list.contains("hooks.post.example") && !list.contains("secret") && !list.contains("whsec_"));
    let id = made.subscription_id.to_string();
    assert!(service.list("JPA").await.expect("list").is_empty());
    for id in [id.as_str(), "no-uuid"] {
        assert_eq!(service.delete("JPA", id).await.expect_err("not theirs").code, Code::NotFound);
        assert_eq!(service.test("JPA", id).await.expect_err("not theirs").code, Code::NotFound);
    }
    service.test("KRA", &id).await.expect("queued");
    service.delete("KRA", &id).await.expect("deleted");
    assert!(service.list("KRA").await.expect("list").is_empty());
}

#[tokio::test]
async fn all_faults_of_a_subscription_are_told_at_once_without_its_values() {
    let service = service();
    let body = br#"{"url":"https://127.1/hush","types":["clearance.released","hush","clearance*","clearance.hush*"],"hush":1}"#;
    let error = service.create("KRA", body).await.expect_err("faults");
    let mut pointers: Vec<_> = error.errors.iter().map(|fault| fault.pointer.as_str()).collect();
    pointers.sort_unstable();
    assert_eq!((error.code, pointers), (Code::InvalidRequest, vec!["/hush", "/types/1", "/types/3", "/url"]));
    assert!(error.errors.iter().all(|fault| !fault.detail.contains("hush")));
    assert_eq!(service.create("KRA", b"{").await.expect_err("malformed").code, Code::MalformedJson);
    for _ in 0..MAX_PER_POST {
        service.create("KRA", br#"{"url":"https://hooks.post.example/"}"#).await.expect("room");
    }
    assert_eq!(service.create("KRA", br#"{"url":"https://hooks.post.example/"}"#).await.expect_err("full").code, Code::InvalidRequest);
    assert!(service.create("JPA", br#"{"url":"https://hooks.post.example/"}"#).await.is_ok());
    assert!(event_types().any(|kind| kind == "security.do_not_load") && event_types().all(|kind| is_known_type(&kind)));
}
