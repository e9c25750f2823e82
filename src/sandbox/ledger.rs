//! What the simulated broker has seen, kept apart from everything the gateway says about itself.
//!
//! Why it exists: "nothing lost, nothing twice" can only be judged by the other side. The ledger is that witness: tests
//! and the demo read it through the library, a person reads its file of JSON lines.
//!
//! Invariants: an arrival is written before it is answered; what is kept in memory is bounded, the counters are not
//! affected by what falls out; no body and no personal data is in it: hashes, references and outcomes only.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::watch;
use uuid::Uuid;

use super::scenario::Scenario;

/// Most arrivals and most callbacks that are kept in memory; the oldest go first.
const KEPT: usize = 100_000;

/// What became of an arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Taken as a new message.
    Taken,
    /// A repeat of a message that was taken: dropped, answered as before.
    Repeat,
    /// Refused: not a valid message.
    Refused,
    /// The message id was used before with other bytes: refused.
    Conflict,
    /// Answered with a passing fault (429, 5xx, junk); nothing was taken.
    Faulted,
    /// The connection was cut; nothing was taken.
    Cut,
    /// The connection was cut instead of the answer, but the message was taken.
    TakenUnanswered,
}

/// One arrival of a message.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    /// When it had been read whole.
    pub time: Timestamp,
    /// The path that it was posted to.
    pub path: String,
    /// The sender's message id.
    pub idempotency_key: Option<String>,
    /// SHA-256 of the body, lower-case hex.
    pub body_sha256: String,
    /// Length of the body in bytes.
    pub bytes: usize,
    /// The message's own reference, where it could be read.
    pub lrn: Option<String>,
    /// `TypeCode` of the message.
    pub type_code: Option<String>,
    /// SHA-256 of the client certificate, lower-case hex.
    pub client_sha256: String,
    /// Subject alternative names of the client certificate.
    pub client_sans: Vec<String>,
    /// The part that was played.
    pub scenario: Option<Scenario>,
    /// The conversation id that was answered.
    pub conversation_id: Option<Uuid>,
    /// The status that was answered; none where the connection was cut.
    pub answer: Option<u16>,
    /// What became of it.
    pub outcome: Outcome,
    /// The how-many-eth arrival of this message id it is, from 1; 0 where it was refused before that was looked at.
    pub arrival: u32,
    /// Whether this message id had arrived before.
    pub repeat: bool,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused_for: Option<&'static str>,
}

/// One callback that was delivered, or given up.
#[derive(Debug, Clone, Serialize)]
pub struct Callback {
    /// When it was delivered or given up.
    pub time: Timestamp,
    /// The conversation of the message that it was sent under.
    pub conversation_id: Uuid,
    /// The reference that it is about.
    pub lrn: String,
    /// The authority's reference.
    pub mrn: Option<String>,
    /// `FunctionCode` of the notice, or the name of the notice case.
    pub code: String,
    /// Attempts that were made.
    pub attempts: u32,
    /// The last status that was answered; none where nothing was.
    pub status: Option<u16>,
    /// Whether it was answered with 2xx.
    pub delivered: bool,
}

/// Counters since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Posts that were read whole.
    pub arrivals: u64,
    /// Messages taken as new.
    pub taken: u64,
    /// Repeats dropped.
    pub repeats: u64,
    /// Messages refused as invalid.
    pub refused: u64,
    /// Message ids used again with other bytes.
    pub conflicts: u64,
    /// Arrivals met with a passing fault or a cut connection, nothing taken.
    pub faulted: u64,
    /// Callbacks answered with 2xx.
    pub callbacks_delivered: u64,
    /// Callbacks given up.
    pub callbacks_failed: u64,
    /// Arrivals above the permitted rate, if one was set.
    pub over_rate: u64,
    /// Most arrivals within one second.
    pub peak_per_second: u64,
}

#[derive(Default)]
struct Book {
    summary: Summary,
    entries: VecDeque<Entry>,
    callbacks: VecDeque<Callback>,
    recent: VecDeque<Timestamp>,
    file: Option<File>,
    file_failed: bool,
}

struct Inner {
    book: Mutex<Book>,
    rate: Option<u32>,
    changed: watch::Sender<Summary>,
}

/// A handle to the ledger; clones see the same book.
#[derive(Clone)]
pub struct Ledger(Arc<Inner>);

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Ledger").field(&self.summary()).finish()
    }
}

impl Ledger {
    /// An empty ledger; with `file` each arrival is also appended there as a line of JSON. `rate` is the permitted number
    /// of arrivals per second, for counting only.
    ///
    /// # Errors
    /// When the file cannot be opened for appending.
    pub(super) fn open(file: Option<&Path>, rate: Option<u32>) -> io::Result<Self> {
        let file = file.map(|path| File::options().create(true).append(true).open(path)).transpose()?;
        let book = Mutex::new(Book { file, ..Book::default() });
        Ok(Self(Arc::new(Inner { book, rate, changed: watch::Sender::new(Summary::default()) })))
    }

    /// The counters.
    pub fn summary(&self) -> Summary {
        self.book().summary
    }

    /// The arrivals that are kept, oldest first.
    pub fn entries(&self) -> Vec<Entry> {
        self.book().entries.iter().cloned().collect()
    }

    /// The callbacks that are kept, in the order of their end.
    pub fn callbacks(&self) -> Vec<Callback> {
        self.book().callbacks.iter().cloned().collect()
    }

    /// Waits until the counters fulfil `wanted`, and returns them.
    pub async fn wait_for(&self, mut wanted: impl FnMut(&Summary) -> bool) -> Summary {
        let mut changes = self.0.changed.subscribe();
        loop {
            let summary = self.summary();
            // The sender lives in `self`, so a change can always still come.
            if wanted(&summary) || changes.changed().await.is_err() {
                return summary;
            }
        }
    }

    /// Records an arrival. Call it before the answer is written.
    pub(super) fn record(&self, entry: Entry) {
        let mut book = self.book();
        let summary = &mut book.summary;
        summary.arrivals += 1;
        match entry.outcome {
            Outcome::Taken | Outcome::TakenUnanswered => summary.taken += 1,
            Outcome::Repeat => summary.repeats += 1,
            Outcome::Refused => summary.refused += 1,
            Outcome::Conflict => summary.conflicts += 1,
            Outcome::Faulted | Outcome::Cut => summary.faulted += 1,
        }
        book.count_rate(entry.time, self.0.rate);
        book.write_line(&entry);
        push_bounded(&mut book.entries, entry);
        let summary = book.summary;
        drop(book);
        self.0.changed.send_replace(summary);
    }

    /// Records the end of a callback.
    pub(super) fn record_callback(&self, callback: Callback) {
        let mut book = self.book();
        if callback.delivered {
            book.summary.callbacks_delivered += 1;
        } else {
            book.summary.callbacks_failed += 1;
        }
        push_bounded(&mut book.callbacks, callback);
        let summary = book.summary;
        drop(book);
        self.0.changed.send_replace(summary);
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // Nothing below leaves the book half-written, so a panic elsewhere does not spoil it.
        self.0.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    /// Counts arrivals in the second that ends at `now`.
    fn count_rate(&mut self, now: Timestamp, rate: Option<u32>) {
        while self.recent.front().is_some_and(|first| now.duration_since(*first).as_millis() >= 1000) {
            self.recent.pop_front();
        }
        push_bounded(&mut self.recent, now);
        let within = self.recent.len() as u64;
        self.summary.peak_per_second = self.summary.peak_per_second.max(within);
        if rate.is_some_and(|rate| within > u64::from(rate)) {
            self.summary.over_rate += 1;
            tracing::warn!(sandbox.per_second = within, "more messages in one second than permitted");
        }
    }

    /// One `write` per line on a file opened for appending: lines of several processes do not mix.
    fn write_line(&mut self, entry: &Entry) {
        let Some(file) = &mut self.file else { return };
        let written = serde_json::to_vec(entry).map_err(io::Error::other).and_then(|mut line| {
            line.push(b'\n');
            file.write_all(&line)
        });
        if let Err(fault) = written
            && !std::mem::replace(&mut self.file_failed, true)
        {
            tracing::error!(%fault, "the ledger file cannot be written; the ledger in memory goes on");
        }
    }
}

fn push_bounded<T>(queue: &mut VecDeque<T>, item: T) {
    if queue.len() == KEPT {
        queue.pop_front();
    }
    queue.push_back(item);
}
