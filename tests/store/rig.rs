//! A store in a folder of its own, a clock that stands still, and declarations to put into it.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use preclear::domain::clearance::ClearanceStatus;
use preclear::domain::delivery::MessageKind;
use preclear::domain::fact::{Fact, Status, Track};
use preclear::domain::ids::{ConversationId, DeclarationId, FilingId, MessageId, NoticeId, S10, lrn};
use preclear::domain::time::{Date, FixedClock, Timestamp, from_millis};
use preclear::store::{
    Accepted, AttemptRecord, IdempotencyKey, NewDeclaration, NewFiling, NewMessage, NewNotice, OutboxRow, Settlement, Store, StoreOptions,
};
use sha2::{Digest, Sha256};

pub const BROKER: &str = "uk-broker";
pub const POST: &str = "KRA";

pub struct Rig {
    pub store: Store,
    pub clock: Arc<FixedClock>,
    folder: PathBuf,
}

pub fn start() -> Timestamp {
    from_millis(1_795_000_000_000)
}

pub fn later(seconds: i64) -> Timestamp {
    from_millis(1_795_000_000_000 + seconds * 1000)
}

pub fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("preclear-{name}-{}", MessageId::new()));
    std::fs::create_dir_all(&folder).expect("folder");
    folder
}

impl Rig {
    pub async fn new(name: &str) -> Self {
        let (folder, clock) = (folder(name), Arc::new(FixedClock::new(start())));
        let store = open(&folder, &clock).await;
        Self { store, clock, folder }
    }

    /// The database.
    pub fn file(&self) -> PathBuf {
        self.folder.join("store.db")
    }

    /// Closes the store and opens it again, as a restart does.
    pub async fn restart(&mut self) {
        self.store.close().await;
        // The lock goes with the last clone of the old store, so another takes its place meanwhile.
        let between = folder("between");
        self.store = open(&between, &self.clock).await;
        self.store = open(&self.folder, &self.clock).await;
        std::fs::remove_dir_all(between).expect("clean");
    }

    pub async fn end(self) {
        self.store.close().await;
        std::fs::remove_dir_all(self.folder).expect("clean");
    }

    pub async fn accept(&self, new: &NewDeclaration) -> Accepted {
        self.store.accept(new.clone()).await.expect("commit")
    }

    pub async fn due(&self, at: Timestamp) -> Vec<OutboxRow> {
        self.store.due(BROKER, at, HashSet::new(), 100).await.expect("due")
    }

    pub async fn due_ids(&self, at: Timestamp) -> Vec<MessageId> {
        self.due(at).await.into_iter().map(|row| row.message_id).collect()
    }

    /// Sends a message to its end, as a lane does.
    pub async fn send(&self, message: MessageId, settlement: Settlement) {
        self.store.begin_attempt(message, start()).await.expect("begin").expect("due");
        self.store.settle(message, attempt(), settlement).await.expect("settle");
    }

    pub async fn notice(&self, key: u8, conversation: Option<&str>) -> NoticeId {
        let notice_id = NoticeId::new();
        let new = NewNotice {
            notice_id,
            broker: BROKER.to_owned(),
            via: "callback",
            dedupe_key: [key; 32],
            content_type: "application/xml".to_owned(),
            body: Bytes::from(format!("<notice>{key}</notice>")),
            conversation: conversation.map(str::to_owned),
            received_at: later(60),
        };
        self.store.take_notice(new).await.expect("stored");
        notice_id
    }
}

pub async fn open(folder: &std::path::Path, clock: &Arc<FixedClock>) -> Store {
    let mut options = StoreOptions::new(folder.join("store.db"), Arc::clone(clock) as _);
    options.min_free_mb = 0;
    Store::open(options).await.expect("open")
}

pub fn attempt() -> AttemptRecord {
    AttemptRecord {
        started_at: start(),
        finished_at: later(1),
        outcome: "delivered",
        http_status: Some(202),
        reply: None,
        held_until: None,
        mapping_version: None,
    }
}

pub fn delivered() -> Settlement {
    Settlement::Delivered { references: Vec::new(), facts: Vec::new() }
}

pub fn item(number: u32) -> S10 {
    S10::parse(&format!("EE{number:08}5KR")).expect("structure")
}

pub fn day() -> Date {
    "2026-11-20".parse().expect("date")
}

pub fn declaration(number: u32) -> NewDeclaration {
    declaration_on(number, day(), &["declaration"])
}

/// A declaration with one filing of as many messages as names.
pub fn declaration_on(number: u32, posted_on: Date, messages: &[&str]) -> NewDeclaration {
    let declaration_id = DeclarationId::new();
    let filing_id = FilingId::new();
    let message = |(counter, name): (u16, &&str)| NewMessage {
        message_id: MessageId::new(),
        kind: MessageKind::Declaration,
        content_type: "application/xml".to_owned(),
        body: Bytes::from(format!("<{name}/>")),
        body_hash: Sha256::digest(format!("<{name}/>")).into(),
        mapping: "hmrc-cds".to_owned(),
        mapping_version: "1.0.0+0".to_owned(),
        lrn: lrn(item(number), posted_on, counter).expect("counter"),
        conversions: None,
    };
    NewDeclaration {
        post: POST.to_owned(),
        declaration_id,
        item_id: item(number),
        posted_on,
        conversation_id: ConversationId::new(),
        traceparent: None,
        body: Bytes::from(format!("{{\"number\":{number}}}")),
        content_hash: [number as u8; 32],
        warnings_json: "[]".to_owned(),
        received_at: start(),
        is_return: false,
        reuse_after_days: 365,
        key: None,
        answer: Bytes::from(format!("{{\"declaration_id\":\"{declaration_id}\"}}")),
        filings: vec![NewFiling {
            waits: false,
            filing_id,
            track: Track::Clearance,
            broker: BROKER.to_owned(),
            rule: 1,
            why: "recipient.country == 'GB'".to_owned(),
            messages: (1u16..).zip(messages).map(message).collect(),
        }],
    }
}

pub fn message_of(new: &NewDeclaration) -> MessageId {
    new.filings[0].messages[0].message_id
}

pub fn key(text: &str, body: u8) -> IdempotencyKey {
    IdempotencyKey { route: "/v1/declarations", key: text.to_owned(), body_hash: [body; 32] }
}

pub fn fact(status: ClearanceStatus, at: Timestamp) -> Fact {
    Fact { status: Some(Status::Clearance(status)), occurred_at: Some(at), ..Fact::default() }
}

/// Awaits a change that has to come.
pub async fn changed(signal: &mut tokio::sync::watch::Receiver<u64>) {
    tokio::time::timeout(Duration::from_secs(20), signal.changed()).await.expect("a signal").expect("open");
}
