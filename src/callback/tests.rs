//! The station and the reader against a store in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::reader::NoticeReader;
use super::{Notices, Readers, Station, TakenAnswer, dedupe_key};
use crate::domain::fact::Fact;
use crate::domain::ids::NoticeId;
use crate::domain::time::{FixedClock, Timestamp};
use crate::store::{NewNotice, NoticeResult, NoticeRow, Reading, StoreError};

#[derive(Default)]
struct Memory {
    rows: Mutex<Vec<(NewNotice, bool)>>,
    signal: watch::Sender<u64>,
    settled: watch::Sender<Vec<(String, String)>>,
}

impl Memory {
    /// Waits until so many notices are read: what they were and how they were read, in order.
    async fn settled(&self, count: usize) -> Vec<(String, String)> {
        let mut settled = self.settled.subscribe();
        let wait = settled.wait_for(|list| list.len() >= count);
        tokio::time::timeout(Duration::from_secs(20), wait).await.expect("a wake-up was lost").expect("open").clone()
    }
}

impl Notices for Memory {
    async fn take_notice(&self, notice: NewNotice) -> Result<bool, StoreError> {
        let mut rows = self.rows.lock().expect("lock");
        let repeated = rows.iter().any(|(other, _)| other.broker == notice.broker && other.dedupe_key == notice.dedupe_key);
        if !repeated {
            rows.push((notice, false));
            self.signal.send_modify(|count| *count += 1);
        }
        Ok(repeated)
    }

    async fn notices_to_read(&self, except: Vec<String>, limit: u32) -> Result<Vec<NoticeRow>, StoreError> {
        let rows = self.rows.lock().expect("lock");
        let new = rows.iter().filter(|(notice, read)| !read && !except.contains(&notice.broker)).map(|(notice, _)| NoticeRow {
            notice_id: notice.notice_id,
            broker: notice.broker.clone(),
            content_type: notice.content_type.clone(),
            body: notice.body.clone(),
            conversation: notice.conversation.clone(),
            received_at: notice.received_at,
        });
        Ok(new.take(limit as usize).collect())
    }

    async fn settle_notice(&self, id: NoticeId, reading: Reading) -> Result<NoticeResult, StoreError> {
        let (result, how) = match reading {
            Reading::Unreadable { reason, .. } => (NoticeResult::Unreadable, reason.to_owned()),
            Reading::Facts { mapping_version, .. } => (NoticeResult::Applied, mapping_version),
        };
        let mut rows = self.rows.lock().expect("lock");
        let row = rows.iter_mut().find(|(notice, _)| notice.notice_id == id).expect("a row");
        assert!(!row.1, "read twice");
        row.1 = true;
        let what = String::from_utf8_lossy(&row.0.body[..row.0.body.len().min(9)]).into_owned();
        self.settled.send_modify(|list| list.push((what, how)));
        Ok(result)
    }

    async fn hold(&self, _: &str, _: crate::store::BrokerHold) -> Result<(), StoreError> {
        Ok(())
    }

    fn notices_signal(&self) -> watch::Receiver<u64> {
        self.signal.subscribe()
    }
}

/// Mappings by broker; the version is all that they tell.
#[derive(Default)]
struct Mappings {
    loaded: Mutex<BTreeMap<&'static str, &'static str>>,
    reloads: watch::Sender<u64>,
}

impl Mappings {
    fn load(&self, broker: &'static str, version: &'static str) {
        self.loaded.lock().expect("lock").insert(broker, version);
        self.reloads.send_modify(|count| *count += 1);
    }
}

impl Readers for Mappings {
    fn read(&self, broker: &str, _: &str, body: &[u8]) -> Option<Reading> {
        let version = self.loaded.lock().expect("lock").get(broker).copied()?;
        match body {
            b"bad" => Some(Reading::Unreadable { reason: "not_the_format", mapping_version: None }),
            b"panic" => panic!("a fault of ours"),
            _ => Some(Reading::Facts { mapping_version: version.to_owned(), facts: vec![Fact::default()] }),
        }
    }

    fn has_key(&self, broker: &str) -> bool {
        broker == "es-broker"
    }

    fn key(&self, _: &str, body: &[u8]) -> Option<String> {
        body.strip_prefix(b"id:").map(|rest| String::from_utf8_lossy(&rest[..1]).into_owned())
    }

    fn answer(&self, _: &str) -> TakenAnswer {
        TakenAnswer::default()
    }

    fn reloads(&self) -> watch::Receiver<u64> {
        self.reloads.subscribe()
    }
}

struct Rig {
    store: Arc<Memory>,
    mappings: Arc<Mappings>,
    station: Station<Memory, Mappings>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

fn rig() -> Rig {
    let (store, mappings) = (Arc::new(Memory::default()), Arc::new(Mappings::default()));
    let clock = Arc::new(FixedClock::new(Timestamp::UNIX_EPOCH));
    let station = Station::new(Arc::clone(&store), Arc::clone(&mappings), clock);
    let stop = CancellationToken::new();
    let task = tokio::spawn(NoticeReader::new(Arc::clone(&store), Arc::clone(&mappings)).run(stop.clone()));
    Rig { store, mappings, station, stop, task }
}

impl Rig {
    async fn take(&self, broker: &str, body: impl Into<Bytes>) {
        let answer = self.station.take(broker, "application/xml", None, body.into()).await.expect("stored");
        assert_eq!((answer.status, answer.body.len()), (202, 0));
    }
}

#[tokio::test]
async fn notices_are_read_in_order_and_unreadable_ones_are_parked() {
    let rig = rig();
    rig.mappings.load("uk-broker", "1");
    for number in 0..100 {
        rig.take("uk-broker", format!("{number:03}")).await;
    }
    rig.take("uk-broker", "bad").await;
    rig.take("uk-broker", "panic").await;
    rig.take("uk-broker", vec![b'x'; 100_000]).await;
    let settled = rig.store.settled(103).await;
    for (number, (what, how)) in settled.iter().take(100).enumerate() {
        assert_eq!((what.as_str(), how.as_str()), (format!("{number:03}").as_str(), "1"));
    }
    let last: Vec<_> = settled[100..].iter().map(|(what, how)| (what.as_str(), how.as_str())).collect();
    assert_eq!(last, [("bad", "not_the_format"), ("panic", "reader_failed"), ("xxxxxxxxx", "1")]);
    rig.stop.cancel();
    rig.task.await.expect("ends");
}

#[tokio::test]
async fn a_broker_without_mapping_waits_and_holds_up_nobody() {
    let rig = rig();
    rig.mappings.load("uk-broker", "1");
    for number in 0..100 {
        rig.take("nl-broker", format!("nl {number}")).await;
    }
    rig.take("uk-broker", "uk").await;
    assert_eq!(rig.store.settled(1).await, [("uk".to_owned(), "1".to_owned())]);
    rig.mappings.load("nl-broker", "2");
    let settled = rig.store.settled(101).await;
    assert!(settled[1..].iter().all(|(what, how)| what.starts_with("nl") && how == "2"));
}

#[tokio::test]
async fn a_repeat_is_answered_and_dropped() {
    let rig = rig();
    for conversation in [None, None, Some("a"), Some("a"), Some("b")] {
        rig.station.take("uk-broker", "application/xml", conversation, Bytes::from_static(b"<x/>")).await.expect("stored");
    }
    rig.take("nl-broker", "<x/>").await;
    // One id, other bytes: the same notice.
    for body in ["id:7 first", "id:7 again", "id:8"] {
        rig.take("es-broker", body).await;
    }
    let rows = rig.store.rows.lock().expect("lock");
    let kept: Vec<_> = rows.iter().map(|(notice, _)| (notice.broker.as_str(), notice.conversation.as_deref())).collect();
    assert_eq!(
        kept,
        [
            ("uk-broker", None),
            ("uk-broker", Some("a")),
            ("uk-broker", Some("b")),
            ("nl-broker", None),
            ("es-broker", None),
            ("es-broker", None)
        ]
    );
    assert_ne!(dedupe_key(Some("ab"), b"c"), dedupe_key(Some("a"), b"bc"));
}
