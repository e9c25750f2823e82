//! The reader: from stored notices to facts.
//!
//! One task per broker at a time, so that notices of a broker are applied in the order they came
//! and a broker with large or many notices delays no other. A broker whose mapping is not loaded
//! keeps its notices `new`; it is asked again when mappings are loaded. What cannot be read is
//! parked with a reason code and shown, never tried in a circle; a reader that panics parks the
//! notice too. A crash at any point leaves the row `new`, and reading it again changes nothing twice.
//!
//! Reading is processor work: small bodies are read where we stand, large ones on a thread for that.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

use super::{Notices, Readers};
use crate::fault_points;
use crate::metrics::NOTICES;
use crate::store::{NoticeRow, Reading};

/// Notices that are held in memory at once per broker (each is bounded by `[callbacks] max_body_bytes`).
const BATCH: u32 = 32;
/// Above this many bytes a notice is read on a thread of its own.
const LARGE_BYTES: usize = 64 * 1024;
/// How long to leave the store alone after it failed.
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// The longest sleep: a look without a reason, so that no fault of a signal can park a notice for good.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// How a batch of one broker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Batch {
    Read,
    NoMapping,
}

/// The reader of one process.
pub struct NoticeReader<S, M> {
    store: Arc<S>,
    readers: Arc<M>,
}

impl<S: Notices, M: Readers> NoticeReader<S, M> {
    /// A reader that has not started.
    pub fn new(store: Arc<S>, readers: Arc<M>) -> Self {
        Self { store, readers }
    }

    /// Works until the stop signal. Batches in hand are cut off: their rows stay `new`.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut signal = self.store.notices_signal();
        let mut reloads = self.readers.reloads();
        let mut tasks: JoinSet<Batch> = JoinSet::new();
        let mut busy: HashMap<Id, String> = HashMap::new();
        let mut unmapped: BTreeSet<String> = BTreeSet::new();
        loop {
            // Seen first, read second: what comes in between wakes us again.
            signal.borrow_and_update();
            if reloads.has_changed().unwrap_or(false) {
                reloads.borrow_and_update();
                unmapped.clear();
            }
            let pause = self.start(&mut tasks, &mut busy, &unmapped).await;
            tokio::select! {
                () = shutdown.cancelled() => return,
                changed = signal.changed() => if changed.is_err() { return },
                Ok(()) = reloads.changed() => unmapped.clear(),
                Some(ended) = tasks.join_next_with_id() => {
                    let (id, batch) = match ended {
                        Ok((id, batch)) => (id, Some(batch)),
                        Err(error) => (error.id(), None),
                    };
                    if let Some(broker) = busy.remove(&id).filter(|_| batch == Some(Batch::NoMapping)) {
                        tracing::warn!(broker, "notices wait: no mapping is loaded for their broker");
                        unmapped.insert(broker);
                    }
                }
                // A reload may have come while a batch that found no mapping was still under way.
                () = tokio::time::sleep(pause) => unmapped.clear(),
            }
        }
    }

    /// Starts a batch for every broker that has notices and none in hand.
    async fn start(&self, tasks: &mut JoinSet<Batch>, busy: &mut HashMap<Id, String>, unmapped: &BTreeSet<String>) -> Duration {
        loop {
            let except = busy.values().chain(unmapped).cloned().collect();
            let rows = match self.store.notices_to_read(except, BATCH).await {
                Ok(rows) => rows,
                Err(error) => {
                    tracing::warn!(%error, "notices wait: the store cannot be read");
                    return STORE_PAUSE;
                }
            };
            if rows.is_empty() {
                return LONGEST_SLEEP;
            }
            let mut brokers: BTreeMap<String, Vec<NoticeRow>> = BTreeMap::new();
            for row in rows {
                brokers.entry(row.broker.clone()).or_default().push(row);
            }
            for (broker, rows) in brokers {
                let task = tasks.spawn(batch(Arc::clone(&self.store), Arc::clone(&self.readers), broker.clone(), rows));
                busy.insert(task.id(), broker);
            }
        }
    }
}

async fn batch<S: Notices, M: Readers>(store: Arc<S>, readers: Arc<M>, broker: String, rows: Vec<NoticeRow>) -> Batch {
    let mut readings = Vec::with_capacity(rows.len());
    for row in rows {
        let id = row.notice_id;
        let Some(reading) = read(&readers, row).await else { return Batch::NoMapping };
        readings.push((id, reading));
        tokio::task::yield_now().await;
    }
    // All at once and in order: the store's writer makes them durable with few commits.
    fault_points::pass("callback.before_merge");
    let settled = join_all(readings.into_iter().map(|(id, reading)| store.settle_notice(id, reading))).await;
    fault_points::pass("callback.after_merge");
    let mut failed = false;
    for result in settled {
        match result {
            Ok(result) => metrics::counter!(NOTICES, "broker" => broker.clone(), "result" => result.as_str()).increment(1),
            Err(error) => {
                tracing::warn!(broker, %error, "a notice cannot be settled yet");
                failed = true;
            }
        }
    }
    if failed {
        tokio::time::sleep(STORE_PAUSE).await;
    }
    Batch::Read
}

async fn read<M: Readers>(readers: &Arc<M>, row: NoticeRow) -> Option<Reading> {
    if row.body.len() <= LARGE_BYTES {
        return guarded(&**readers, &row);
    }
    let readers = Arc::clone(readers);
    tokio::task::spawn_blocking(move || guarded(&*readers, &row))
        .await
        .unwrap_or(Some(Reading::Unreadable { reason: "reader_failed", mapping_version: None }))
}

fn guarded<M: Readers>(readers: &M, row: &NoticeRow) -> Option<Reading> {
    // A mapping is only read from, so nothing can be left half done behind a panic.
    catch_unwind(AssertUnwindSafe(|| readers.read(&row.broker, &row.content_type, &row.body))).unwrap_or_else(|_| {
        tracing::error!(broker = row.broker, notice = %row.notice_id, "reading a notice failed by a fault of ours; it is parked");
        Some(Reading::Unreadable { reason: "reader_failed", mapping_version: None })
    })
}
