//! The poller against a broker and a store in memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use tokio::sync::watch;

use super::*;
use crate::domain::ids::NoticeId;
use crate::domain::time::{FixedClock, Timestamp};
use crate::mapping::Files;
use crate::net::client::Reply;
use crate::store::{NewNotice, NoticeResult, NoticeRow, Reading, StoreError};

/// Between two rounds.
const EVERY: Duration = Duration::from_millis(40);
const RULES: &str = "[[notice]]\nname = 'n'\neach = '/n'\n[[notice.status]]\nnote = 'x'\n";
const LIST: &str = "[poll]\neach = '/list/id'\nid = '.'\n[poll.acknowledge]\nurl = '{url}/{id}'\n";

fn mapping(poll: &str) -> Arc<Mapping> {
    let manifest = "title = 't'\nversion = '1.0.0'\nsource = 's'\n[transport]\ncontent_type = 'application/xml'\n\
        conversation_header = 'x-about'\n[transport.headers]\nAccept = 'application/test'\n";
    let notices = format!("{poll}{RULES}");
    let files = [("mapping.toml", manifest), ("declaration.xml", "<d>{item_id}</d>"), ("notices.toml", notices.as_str())];
    let files = files.into_iter().map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec())).collect();
    Arc::new(Mapping::load(&Files { name: "m".to_owned(), files }).expect("a mapping"))
}

/// What the broker has listed; every request is kept, and some fail as told.
#[derive(Default)]
struct World {
    listed: BTreeMap<String, String>,
    kept: Vec<(String, Option<String>)>,
    requests: Vec<String>,
    fail: VecDeque<(&'static str, u16)>,
    held: Option<Duration>,
    store_fails: u32,
    /// What the poller did to notices, in order.
    story: Vec<String>,
}

#[derive(Default)]
struct Rig {
    world: Mutex<World>,
    changes: watch::Sender<u64>,
    poll: Mutex<Option<Arc<Mapping>>>,
}

impl Rig {
    fn with<T>(&self, work: impl FnOnce(&mut World) -> T) -> T {
        let result = work(&mut self.world.lock().expect("the world"));
        self.changes.send_modify(|count| *count += 1);
        result
    }

    async fn until(&self, holds: impl Fn(&World) -> bool) {
        let mut changes = self.changes.subscribe();
        let wait = async {
            while !holds(&self.world.lock().expect("the world")) {
                changes.changed().await.expect("open");
            }
        };
        tokio::time::timeout(Duration::from_secs(30), wait).await.expect("never came");
    }
}

impl Questions for Rig {
    async fn ask(&self, ask: Ask) -> Result<Exchange, TokenFault> {
        assert_eq!(ask.headers, [("Accept".to_owned(), "application/test".to_owned())]);
        let line = format!("{} {}", ask.method, ask.url.path());
        Ok(Exchange::Answered(self.with(|world| {
            world.requests.push(line.clone());
            if world.fail.front().is_some_and(|(start, _)| line.starts_with(start)) {
                let (_, status) = world.fail.pop_front().expect("a failure");
                return Reply::of(status, &[("retry-after", "2")], b"never to be kept");
            }
            let id = ask.url.path().trim_start_matches("/out").trim_start_matches('/').to_owned();
            match (ask.method.as_str(), id.as_str()) {
                ("GET", "") => {
                    let ids: String = world.listed.keys().map(|id| format!("<id>{id}</id>")).collect();
                    Reply::of(200, &[], format!("<list>{ids}</list>").as_bytes())
                }
                ("GET", id) => match world.listed.get(id) {
                    Some(body) => Reply::of(200, &[("content-type", "application/xml"), ("x-about", "c-1")], body.as_bytes()),
                    None => Reply::of(404, &[], b""),
                },
                _ => {
                    world.story.push(format!("acknowledged {id}"));
                    world.listed.remove(&id);
                    Reply::of(204, &[], b"")
                }
            }
        })))
    }

    fn hold(&self, time: Duration) {
        self.with(|world| world.held = Some(time));
    }
}

impl Notices for Rig {
    async fn take_notice(&self, notice: NewNotice) -> Result<bool, StoreError> {
        self.with(|world| {
            if world.store_fails > 0 {
                world.store_fails -= 1;
                return Err(StoreError::Unavailable("a test"));
            }
            assert_eq!(notice.via, "poll");
            let body = String::from_utf8(notice.body.to_vec()).expect("text");
            world.story.push(format!("stored {body}"));
            let kept = (body, notice.conversation);
            let known = world.kept.contains(&kept);
            if !known {
                world.kept.push(kept);
            }
            Ok(known)
        })
    }

    async fn notices_to_read(&self, _: Vec<String>, _: u32) -> Result<Vec<NoticeRow>, StoreError> {
        Ok(Vec::new())
    }

    async fn settle_notice(&self, _: NoticeId, _: Reading) -> Result<NoticeResult, StoreError> {
        Err(StoreError::Closing)
    }

    async fn hold(&self, _: &str, _: crate::store::BrokerHold) -> Result<(), StoreError> {
        Ok(())
    }

    fn notices_signal(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

impl PollRules for Rig {
    fn mapping(&self, _: &str) -> Option<Arc<Mapping>> {
        self.poll.lock().expect("the mapping").clone()
    }
}

struct Running {
    rig: Arc<Rig>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

fn start(poll: &str, listed: &[(&str, &str)], prepare: impl FnOnce(&mut World)) -> Running {
    let rig = Arc::new(Rig { poll: Mutex::new(Some(mapping(poll))), ..Rig::default() });
    rig.with(|world| {
        world.listed = listed.iter().map(|(id, body)| ((*id).to_owned(), (*body).to_owned())).collect();
        prepare(world);
    });
    let poller = Poller {
        broker: "b".to_owned(),
        url: "https://broker.example/out?state=new".parse().expect("a URL"),
        every: EVERY,
        longest: 4 * EVERY,
        store: Arc::clone(&rig),
        rules: Arc::clone(&rig),
        line: Arc::clone(&rig),
        clock: Arc::new(FixedClock::new(Timestamp::UNIX_EPOCH)),
    };
    let stop = CancellationToken::new();
    let task = tokio::spawn(poller.run(stop.clone()));
    Running { rig, stop, task }
}

impl Running {
    /// Ends the poller and gives what was seen.
    async fn end(self) -> World {
        self.stop.cancel();
        tokio::time::timeout(Duration::from_secs(1), self.task).await.expect("it stops at once").expect("without a panic");
        std::mem::take(&mut self.rig.world.lock().expect("the world"))
    }
}

#[tokio::test]
async fn each_entry_is_stored_before_it_is_acknowledged_and_an_unreadable_one_too() {
    let running = start(LIST, &[("a", "<n>1</n>"), ("b", "not xml at all")], |_| {});
    running.rig.until(|world| world.listed.is_empty()).await;
    // A round that took something is followed by another at once; then there is a pause.
    running.rig.until(|world| world.requests.len() >= 6).await;
    let world = running.end().await;
    assert_eq!(world.story, ["stored <n>1</n>", "acknowledged a", "stored not xml at all", "acknowledged b"]);
    assert_eq!(world.requests[..6], ["GET /out", "GET /out/a", "DELETE /out/a", "GET /out/b", "DELETE /out/b", "GET /out"]);
    assert_eq!(world.kept[0].1.as_deref(), Some("c-1"), "what the mapping names as the conversation");
}

#[tokio::test]
async fn a_lost_acknowledgement_is_repeated_and_the_notice_known() {
    let began = tokio::time::Instant::now();
    let running = start(LIST, &[("a", "<n>1</n>")], |world| world.fail = [("DELETE", 500)].into());
    running.rig.until(|world| world.listed.is_empty()).await;
    assert!(began.elapsed() >= EVERY, "at the next poll");
    let world = running.end().await;
    assert_eq!(world.story, ["stored <n>1</n>", "stored <n>1</n>", "acknowledged a"]);
    assert_eq!(world.kept.len(), 1);
}

#[tokio::test]
async fn nothing_is_acknowledged_that_is_not_stored() {
    let running = start(LIST, &[("a", "<n>1</n>")], |world| world.store_fails = 2);
    running.rig.until(|world| world.listed.is_empty()).await;
    let world = running.end().await;
    assert_eq!(world.story, ["stored <n>1</n>", "acknowledged a"]);
    assert_eq!(world.requests.iter().filter(|line| line.starts_with("DELETE")).count(), 1);
}

#[tokio::test]
async fn a_bad_entry_keeps_nobody_else_back() {
    for status in [500, 422] {
        let running = start(LIST, &[("a", "<n>1</n>"), ("b", "<n>2</n>")], |world| world.fail = [("GET /out/a", status)].into());
        running.rig.until(|world| !world.listed.contains_key("b")).await;
        assert!(running.rig.with(|world| world.listed.contains_key("a")));
        running.rig.until(|world| world.listed.is_empty()).await;
        let world = running.end().await;
        assert_eq!(world.story, ["stored <n>2</n>", "acknowledged b", "stored <n>1</n>", "acknowledged a"], "{status}");
    }
}

#[tokio::test]
async fn failures_are_spaced_out_and_a_pause_is_the_whole_brokers() {
    let began = tokio::time::Instant::now();
    let running = start(LIST, &[("a", "<n>1</n>")], |world| world.fail = [("GET", 401), ("GET", 302), ("GET", 404), ("GET", 429)].into());
    running.rig.until(|world| world.listed.is_empty()).await;
    // Once, twice, four times as long, and then as long as the broker asked for.
    assert!(began.elapsed() >= 7 * EVERY + Duration::from_secs(2), "{:?}", began.elapsed());
    let world = running.end().await;
    assert_eq!(world.held, Some(Duration::from_secs(2)));
    assert_eq!(world.requests[..7], ["GET /out", "GET /out", "GET /out", "GET /out", "GET /out", "GET /out/a", "DELETE /out/a"]);
}

#[tokio::test]
async fn without_each_the_answer_is_the_notice() {
    let running = start("[poll]\n", &[], |_| {});
    running.rig.until(|world| world.requests.len() >= 3).await;
    let world = running.end().await;
    assert_eq!(world.requests[..3], ["GET /out"; 3]);
    assert_eq!(world.kept, [("<list></list>".to_owned(), None)]);
}

#[tokio::test]
async fn without_rules_nothing_is_asked_until_they_are_there() {
    let running = start("", &[("a", "<n>1</n>")], |_| {});
    tokio::time::sleep(3 * EVERY).await;
    running.rig.with(|world| assert_eq!(world.requests, [""; 0]));
    *running.rig.poll.lock().expect("the mapping") = Some(mapping(LIST));
    running.rig.until(|world| world.listed.is_empty()).await;
    running.end().await;
}

#[test]
fn pauses_double_up_to_the_longest() {
    let seconds = |every, failures| pause(Duration::from_secs(every), Duration::from_secs(300), failures).as_secs();
    assert_eq!([1, 2, 3, 9, 10, 4_000_000].map(|failures| seconds(1, failures)), [1, 2, 4, 256, 300, 300]);
    assert_eq!(seconds(600, 5), 600);
}
