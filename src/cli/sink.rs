//! A tracking sink: the post's end of the webhooks, which believes nothing that is not signed.
//!
//! Why it exists: the last arrow of the road has to be seen from the other side. The sink checks the signature by the
//! published scheme (Standard Webhooks: HMAC-SHA256 over `id.timestamp.body`, base64) in its own few lines and shares none
//! with the part that signs, so that a mistake on one side cannot hide on the other.
//!
//! Invariants: loopback only; head, body, connections and what is remembered are bounded; a delivery that does not verify is
//! refused and counted; a repeat of one id is counted once.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use crate::domain::time::{SharedClock, Timestamp};
use crate::sandbox::http1::{Http1, ReadFault, Request, Response};

const MAX_BODY_BYTES: usize = 1 << 20;
const MAX_CONNECTIONS: usize = 64;
/// Most event ids that are remembered.
const MAX_REMEMBERED: usize = 100_000;
/// How far a signature's time may be from now, by the scheme's own recommendation.
const TOLERANCE_S: i64 = 300;

/// What has arrived so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::cli) struct Received {
    /// Different events whose signature verified.
    pub verified: u64,
    /// Verified again under an id that was there before.
    pub repeats: u64,
    /// Deliveries that did not verify.
    pub refused: u64,
}

struct Shared {
    secrets: Mutex<HashMap<String, Vec<u8>>>,
    ids: Mutex<HashSet<String>>,
    received: watch::Sender<Received>,
    clock: SharedClock,
}

/// A running sink; ends when it is dropped.
pub(in crate::cli) struct Sink {
    address: SocketAddr,
    shared: Arc<Shared>,
    running: JoinHandle<()>,
}

impl Sink {
    /// Listens on a free port of the loopback.
    ///
    /// # Errors
    /// When there is none.
    pub async fn start(clock: SharedClock) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let shared =
            Arc::new(Shared { secrets: Mutex::default(), ids: Mutex::default(), received: watch::Sender::new(Received::default()), clock });
        let running = tokio::spawn(run(listener, shared.clone()));
        Ok(Self { address, shared, running })
    }

    /// Where the webhooks of a post go.
    pub fn url(&self, post: &str) -> String {
        format!("http://{}/hooks/{post}", self.address)
    }

    /// The secret that a post's subscription was given; `false` when it is none of the scheme.
    #[must_use]
    pub fn trust(&self, post: &str, secret: &str) -> bool {
        let Some(key) = secret.strip_prefix("whsec_").and_then(|text| STANDARD.decode(text).ok()) else { return false };
        self.shared.secrets.lock().unwrap_or_else(PoisonError::into_inner).insert(format!("/hooks/{post}"), key);
        true
    }

    /// What has arrived, as it grows.
    pub fn received(&self) -> watch::Receiver<Received> {
        self.shared.received.subscribe()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.running.abort();
    }
}

async fn run(listener: TcpListener, shared: Arc<Shared>) {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        // The semaphore is never closed.
        let Ok(permit) = permits.clone().acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else { continue };
        let shared = shared.clone();
        tokio::spawn(async move {
            serve(stream, &shared).await;
            drop(permit);
        });
    }
}

async fn serve(stream: TcpStream, shared: &Shared) {
    let mut http = Http1::new(stream, MAX_BODY_BYTES);
    loop {
        let (status, go_on) = match http.read().await {
            Err(ReadFault::Gone) => return,
            Err(ReadFault::Refuse(status)) => (status, false),
            Ok(request) => (shared.take(&request), request.keep_alive),
        };
        let response = Response { status, headers: Vec::new(), body: Vec::new() };
        if http.write(&response, !go_on).await.is_err() || !go_on {
            return;
        }
    }
}

impl Shared {
    /// Checks a delivery, counts it, and gives the status to answer.
    fn take(&self, request: &Request) -> u16 {
        let Some(key) = self.secrets.lock().unwrap_or_else(PoisonError::into_inner).get(&request.path).cloned() else { return 404 };
        let header = |name| request.header(name).unwrap_or_default();
        let signed = Signed { id: header("webhook-id"), timestamp: header("webhook-timestamp"), signatures: header("webhook-signature") };
        if request.method != "POST" || !verifies(&key, &signed, &request.body, self.clock.now()) {
            self.received.send_modify(|received| received.refused += 1);
            return 400;
        }
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        let new = ids.len() < MAX_REMEMBERED && ids.insert(signed.id.to_owned());
        drop(ids);
        self.received.send_modify(|received| if new { received.verified += 1 } else { received.repeats += 1 });
        204
    }
}

struct Signed<'a> {
    id: &'a str,
    timestamp: &'a str,
    /// One or more of `v1,<base64>`, divided by blanks.
    signatures: &'a str,
}

/// Whether one of the signatures is right and made lately.
fn verifies(key: &[u8], signed: &Signed<'_>, body: &[u8], now: Timestamp) -> bool {
    let lately = signed.timestamp.parse::<i64>().is_ok_and(|at| (now.as_second() - at).abs() <= TOLERANCE_S);
    let Ok(mut mac) = <Hmac<Sha256> as KeyInit>::new_from_slice(key) else { return false };
    for part in [signed.id.as_bytes(), b".", signed.timestamp.as_bytes(), b".", body] {
        mac.update(part);
    }
    let offered = signed.signatures.split(' ').filter_map(|one| one.strip_prefix("v1,")).filter_map(|text| STANDARD.decode(text).ok());
    // `verify_slice` compares in constant time.
    let genuine = offered.take(8).any(|signature| mac.clone().verify_slice(&signature).is_ok());
    lately && !signed.id.is_empty() && genuine
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by the published library, so that the two implementations are held against one another.
    #[test]
    fn what_the_published_library_signs_verifies_and_nothing_else() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let key = STANDARD.decode(&secret[6..]).expect("base64");
        let (id, at, body) = ("msg_1", 1_790_000_000, b"{\"a\":1}".as_slice());
        let signature = standardwebhooks::Webhook::new(secret).expect("a secret").sign(id, at, body).expect("signed");
        let timestamp = at.to_string();
        let signed = |id, timestamp, signatures| Signed { id, timestamp, signatures };
        let now = |seconds: i64| Timestamp::from_second(at + seconds).expect("in range");
        let both = format!("v1,AAAA {signature}");
        assert!(verifies(&key, &signed(id, &timestamp, &signature), body, now(0)));
        assert!(verifies(&key, &signed(id, &timestamp, &both), body, now(-300)));
        let table = [
            (verifies(&key, &signed(id, &timestamp, &signature), b"{\"a\":2}", now(0)), "body"),
            (verifies(&key, &signed("msg_2", &timestamp, &signature), body, now(0)), "id"),
            (verifies(&key, &signed(id, "1790000001", &signature), body, now(0)), "timestamp"),
            (verifies(&key, &signed(id, &timestamp, &signature), body, now(301)), "old"),
            (verifies(&key, &signed(id, &timestamp, "v1,"), body, now(0)), "empty"),
            (verifies(&key, &signed(id, &timestamp, &signature[3..]), body, now(0)), "no version"),
            (verifies(b"other", &signed(id, &timestamp, &signature), body, now(0)), "key"),
        ];
        for (verified, what) in table {
            assert!(!verified, "{what}");
        }
    }
}
