//! The post's side: declarations at a fixed rate, each under a key of its own until it is answered, with a ledger.

use crate::client::{Ask, Client, Failure};
use crate::goods::{self, Content};
use crate::wire::Response;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Requests on the wire at once; a gateway that is away must not make the sender open sockets without end.
const MOST_AT_ONCE: usize = 256;
/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the sender knows of one declaration.
#[derive(Debug, Clone, Default)]
pub struct Sent {
    /// The item.
    pub item: String,
    /// What the broker has to get.
    pub content: Content,
    /// What it may get instead: the contents of later versions, where nothing had been sent before them.
    pub later: Vec<Content>,
    /// Of the answer that acknowledged it.
    pub declaration_id: String,
    /// 202, or 200 after a cut; another status when it was refused; 0 when it was given up.
    pub status: u16,
    /// SHA-256 of the acknowledging body.
    pub body: String,
    /// When it was first sent.
    pub first: Option<Instant>,
    /// When it was acknowledged.
    pub acknowledged: Option<Instant>,
    /// Tries.
    pub tries: u32,
    /// Tries that were begun and got no answer.
    pub cut: u32,
    /// Answers that asked to come again (409 in flight, 429, 503).
    pub busy: u32,
    /// 5xx answers that are no problem document.
    pub ill_formed: u32,
    /// Busy answers without `Retry-After`.
    pub without_time: u32,
}

/// The sender.
pub struct Load {
    client: Client,
    nonce: String,
    posted_on: String,
    rate: f64,
    next: AtomicU32,
    stop: AtomicBool,
    give_up: AtomicBool,
    outstanding: AtomicUsize,
    ledger: Mutex<BTreeMap<u32, Sent>>,
}

impl Load {
    /// A sender that begins at a serial number.
    pub fn new(client: Client, nonce: &str, first: u32, rate: f64) -> Arc<Load> {
        Load::on(client, nonce, first, rate, 0)
    }

    /// The same on a day relative to today, for a gateway whose clock is set to it.
    pub fn on(client: Client, nonce: &str, first: u32, rate: f64, day: i64) -> Arc<Load> {
        Arc::new(Load {
            client,
            nonce: nonce.to_owned(),
            posted_on: crate::clock::date(crate::clock::seconds() + day * 86_400),
            rate,
            next: AtomicU32::new(first),
            stop: AtomicBool::new(false),
            give_up: AtomicBool::new(false),
            outstanding: AtomicUsize::new(0),
            ledger: Mutex::default(),
        })
    }

    /// Requests without an answer at this moment.
    pub fn outstanding(&self) -> usize {
        self.outstanding.load(SeqCst)
    }

    /// No new declarations from now on.
    pub fn stop(&self) {
        self.stop.store(true, SeqCst);
    }

    /// No new tries either.
    pub fn give_up(&self) {
        self.stop();
        self.give_up.store(true, SeqCst);
    }

    /// What is known, by serial number.
    pub fn ledger(&self) -> BTreeMap<u32, Sent> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The declaration of a serial number.
    pub fn declaration(&self, serial: u32) -> Value {
        goods::parcel(serial, &self.nonce, &self.posted_on)
    }

    /// The key of a serial number.
    pub fn key(&self, serial: u32) -> String {
        format!("rig-{}-{serial}", self.nonce)
    }

    /// Sends `count` declarations, or until it is stopped, and waits for all answers.
    pub async fn run(self: Arc<Load>, count: Option<u32>) {
        let (began, places, mut tasks) = (Instant::now(), Arc::new(Semaphore::new(MOST_AT_ONCE)), JoinSet::new());
        for turn in 0..count.unwrap_or(u32::MAX) {
            let due = began + Duration::from_secs_f64(f64::from(turn) / self.rate);
            tokio::time::sleep_until(due.into()).await;
            if self.stop.load(SeqCst) {
                break;
            }
            let Ok(place) = places.clone().acquire_owned().await else { break };
            let (load, serial) = (self.clone(), self.next.fetch_add(1, SeqCst));
            tasks.spawn(async move {
                let _place = place;
                load.send(serial).await;
            });
            while tasks.try_join_next().is_some() {}
        }
        tasks.join_all().await;
    }

    /// One try under the declaration's key.
    pub async fn try_once(&self, serial: u32, body: &[u8]) -> Result<Response, Failure> {
        let key = self.key(serial);
        let headers = [("content-type", "application/json"), ("idempotency-key", key.as_str())];
        let ask = Ask { method: "POST", path: "/v1/declarations", headers: &headers, body };
        self.client.ask(ask, PATIENCE).await
    }

    /// A page of the ledger for a declaration that is about to be sent.
    pub fn fresh(&self, serial: u32) -> Sent {
        let content = goods::content_of_declaration(&self.declaration(serial));
        Sent { item: goods::item_id(serial), content, first: Some(Instant::now()), ..Sent::default() }
    }

    /// The same sender with connections that it shares with nobody.
    pub fn alone(&self) -> Load {
        Load {
            client: self.client.alone(),
            nonce: self.nonce.clone(),
            posted_on: self.posted_on.clone(),
            rate: self.rate,
            next: AtomicU32::default(),
            stop: AtomicBool::default(),
            give_up: AtomicBool::default(),
            outstanding: AtomicUsize::default(),
            ledger: Mutex::default(),
        }
    }

    async fn send(&self, serial: u32) {
        let body = self.declaration(serial).to_string().into_bytes();
        let mut sent = self.fresh(serial);
        self.note(serial, &sent);
        while !self.give_up.load(SeqCst) {
            sent.tries += 1;
            self.outstanding.fetch_add(1, SeqCst);
            let answer = self.try_once(serial, &body).await;
            self.outstanding.fetch_sub(1, SeqCst);
            match answer {
                Ok(answer) if sent.take(&answer) => break,
                Ok(_) => {}
                Err(failure) => sent.cut += u32::from(failure.begun),
            }
            self.note(serial, &sent);
            tokio::time::sleep(Duration::from_millis(fastrand::u64(20..200))).await;
        }
        self.note(serial, &sent);
    }

    fn note(&self, serial: u32, sent: &Sent) {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner).insert(serial, sent.clone());
    }
}

impl Sent {
    /// Writes an answer down; tells whether it is the last word.
    pub fn take(&mut self, answer: &Response) -> bool {
        let json = answer.json();
        self.ill_formed += u32::from(answer.status >= 500 && !answer.is_problem());
        match answer.status {
            200 | 202 => {
                self.acknowledged = Some(Instant::now());
                self.declaration_id = json["declaration_id"].as_str().unwrap_or_default().to_owned();
                self.body = goods::sha256(&answer.body);
            }
            409 if json["code"] == "key_in_flight" => {
                self.busy += 1;
                return false;
            }
            429 | 500..=599 => {
                self.busy += 1;
                let told = crate::wire::header(&answer.headers, "retry-after").is_some();
                self.without_time += u32::from(!told && matches!(answer.status, 429 | 503));
                return false;
            }
            _ => {}
        }
        self.status = answer.status;
        true
    }
}
