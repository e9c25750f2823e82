//! Callbacks: what brokers tell us is stored first and thought about second.
//!
//! [`Station::take`] stands behind `POST /v1/brokers/{broker}/notices`: it makes the bytes durable
//! and answers, whatever they are; a repeat is dropped by the hash of its body (promise P6). The
//! [`reader`] then reads stored notices by the newest good mapping of their broker and hands the
//! facts to the store, which correlates and merges them (P7). Where a broker does not call, [`poll`] asks it.
//!
//! Who may call for which broker is settled before (the certificate is pinned to the broker). What
//! must not happen here: judging a notice before it is stored, refusing one because of its content,
//! or letting any of its bytes reach a log.

pub mod poll;
pub mod reader;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use crate::domain::ids::NoticeId;
use crate::domain::time::{SharedClock, Timestamp};
use crate::fault_points;
use crate::metrics::NOTICES;
use crate::store::{BrokerHold, NewNotice, NoticeResult, NoticeRow, Reading, StoreError};

/// Longest conversation id and content type that are kept; longer ones are dropped, the notice is not.
const MAX_HEADER_BYTES: usize = 255;

/// What the station asks of the store.
pub trait Notices: Send + Sync + 'static {
    /// Makes a notice durable unless the same was taken before; says whether it was.
    fn take_notice(&self, notice: NewNotice) -> impl Future<Output = Result<bool, StoreError>> + Send;
    /// Notices that nobody has read, oldest first, not those of some brokers.
    fn notices_to_read(&self, except: Vec<String>, limit: u32) -> impl Future<Output = Result<Vec<NoticeRow>, StoreError>> + Send;
    /// Applies what was read: correlates, merges, writes events, all in one commit.
    fn settle_notice(&self, notice: NoticeId, reading: Reading) -> impl Future<Output = Result<NoticeResult, StoreError>> + Send;
    /// Keeps over restarts that a broker wants to be left alone.
    fn hold(&self, broker: &str, hold: BrokerHold) -> impl Future<Output = Result<(), StoreError>> + Send;
    /// Changes after notices were taken.
    fn notices_signal(&self) -> watch::Receiver<u64>;
}

/// What the station asks of the mappings.
pub trait Readers: Send + Sync + 'static {
    /// Reads a notice by its broker's newest good mapping; none when no mapping is loaded for it.
    fn read(&self, broker: &str, content_type: &str, body: &[u8]) -> Option<Reading>;
    /// Whether the broker's mapping knows notices by an id of their own.
    fn has_key(&self, broker: &str) -> bool;
    /// The notice's own id by its broker's mapping, by which a repeat is known; none to know it by its bytes.
    fn key(&self, broker: &str, body: &[u8]) -> Option<String>;
    /// What a broker is answered once its notice is stored.
    fn answer(&self, broker: &str) -> TakenAnswer;
    /// Changes when mappings were loaded anew.
    fn reloads(&self) -> watch::Receiver<u64>;
}

/// The answer to a broker whose notice is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenAnswer {
    /// HTTP status, always 2xx.
    pub status: u16,
    /// Content type of the body, when there is one.
    pub content_type: Option<String>,
    /// Body, mostly empty.
    pub body: Bytes,
}

impl Default for TakenAnswer {
    fn default() -> Self {
        Self { status: 202, content_type: None, body: Bytes::new() }
    }
}

/// The station that takes notices.
pub struct Station<S, M> {
    store: Arc<S>,
    readers: Arc<M>,
    clock: SharedClock,
}

impl<S: Notices, M: Readers> Station<S, M> {
    /// The station.
    pub fn new(store: Arc<S>, readers: Arc<M>, clock: SharedClock) -> Self {
        Self { store, readers, clock }
    }

    /// Stores a notice and says what the broker is answered. A repeat gets the same answer.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was stored, the broker has to come again (503).
    pub async fn take(&self, broker: &str, content_type: &str, conversation: Option<&str>, body: Bytes) -> Result<TakenAnswer, StoreError> {
        let key = self.own_id(broker, &body).await;
        keep(&*self.store, broker, "callback", (content_type, conversation, body), key.as_deref(), self.clock.now()).await?;
        Ok(self.readers.answer(broker))
    }

    /// The notice's own id. Looking for it must neither hold up other requests nor, should it fail by a fault of ours, keep the
    /// notice from being stored.
    async fn own_id(&self, broker: &str, body: &Bytes) -> Option<String> {
        if !self.readers.has_key(broker) {
            return None;
        }
        let (readers, broker, body) = (Arc::clone(&self.readers), broker.to_owned(), body.clone());
        tokio::task::spawn_blocking(move || readers.key(&broker, &body)).await.ok().flatten()
    }
}

/// Makes a notice (content type, conversation, body) durable, however it came; says whether it was there already.
async fn keep<S: Notices>(
    store: &S,
    broker: &str,
    via: &'static str,
    (content_type, conversation, body): (&str, Option<&str>, Bytes),
    key: Option<&str>,
    received_at: Timestamp,
) -> Result<bool, StoreError> {
    let conversation = conversation.and_then(kept_header);
    let notice = NewNotice {
        notice_id: NoticeId::new(),
        broker: broker.to_owned(),
        via,
        dedupe_key: key.map_or_else(|| dedupe_key(conversation.as_deref(), &body), own_key),
        content_type: kept_header(content_type).unwrap_or_default(),
        body,
        conversation,
        received_at,
    };
    fault_points::pass("callback.before_store");
    let repeated = store.take_notice(notice).await?;
    fault_points::pass("callback.after_store");
    if repeated {
        metrics::counter!(NOTICES, "broker" => broker.to_owned(), "result" => "duplicate").increment(1);
    }
    Ok(repeated)
}

/// What a repeat is known by where the notice has an id of its own.
fn own_key(key: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    // No conversation is that long, so that no id is taken for another notice's bytes.
    hash.update(u64::MAX.to_be_bytes());
    hash.update(key.as_bytes());
    hash.finalize().into()
}

/// What a repeat is known by. The conversation counts: two messages can be answered in the same words.
pub fn dedupe_key(conversation: Option<&str>, body: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    let conversation = conversation.unwrap_or_default();
    hash.update((conversation.len() as u64).to_be_bytes());
    hash.update(conversation.as_bytes());
    hash.update(body);
    hash.finalize().into()
}

fn kept_header(text: &str) -> Option<String> {
    let text = text.trim();
    let plain = !text.is_empty() && text.len() <= MAX_HEADER_BYTES && text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    plain.then(|| text.to_owned())
}
