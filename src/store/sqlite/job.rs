//! Jobs and where they wait: what a job may do to a transaction, how it is answered, in which order
//! jobs are taken.
//!
//! Two queues: intake is refused when too much waits; everything else (attempts, notices, webhooks)
//! waits for its place instead, and the writer takes from both in turn, so that neither a flood of
//! declarations nor a flood of callbacks stops the other.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension, Params, Row};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::health::Health;
use super::pack::Packed;
use super::signals::Wake;
use crate::domain::audit::Entry;
use crate::domain::delivery::DeliveryState;
use crate::domain::fact::Track;
use crate::store::StoreError;

/// Bytes of bodies that may wait for their commit.
const MAX_WAITING_BYTES: usize = 256 * 1024 * 1024;

/// Why a job came to nothing.
#[derive(Debug)]
pub(super) enum Fail {
    /// The database.
    Sql(rusqlite::Error),
    /// A row that cannot be, or a row that is missing.
    Fault(&'static str),
}

impl From<rusqlite::Error> for Fail {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

/// The transaction as a job sees it.
pub(super) struct Tx<'a> {
    /// The writing connection, inside a transaction.
    pub(super) conn: &'a Connection,
    pub(super) wake: Cell<Wake>,
    pub(super) tally: RefCell<Vec<(String, DeliveryState, i64)>>,
    pub(super) told: RefCell<Vec<Told>>,
    /// The link that this commit will add: rows that are chained name it.
    pub(super) link_id: i64,
    pub(super) chained: RefCell<Vec<Entry>>,
}

impl<'a> Tx<'a> {
    pub(super) fn new(conn: &'a Connection, link_id: i64) -> Self {
        Self {
            conn,
            wake: Cell::new(Wake::default()),
            tally: RefCell::default(),
            told: RefCell::default(),
            link_id,
            chained: RefCell::default(),
        }
    }

    /// Runs one statement; the number of changed rows.
    pub(super) fn run(&self, sql: &'static str, params: impl Params) -> rusqlite::Result<usize> {
        self.conn.prepare_cached(sql)?.execute(params)
    }

    /// Reads at most one row.
    pub(super) fn row<T>(
        &self,
        sql: &'static str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Option<T>> {
        self.conn.prepare_cached(sql)?.query_row(params, read).optional()
    }

    /// Reads all rows; the statement bounds them.
    pub(super) fn rows<T>(
        &self,
        sql: &'static str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        self.conn.prepare_cached(sql)?.query_map(params, read)?.collect()
    }

    /// Keeps a body; its id.
    pub(super) fn keep(&self, body: &Packed) -> rusqlite::Result<i64> {
        let size = i64::try_from(body.size).unwrap_or(i64::MAX);
        self.run("INSERT INTO bodies (size, bytes) VALUES (?1, ?2)", rusqlite::params![size, &body.bytes[..]])?;
        Ok(self.conn.last_insert_rowid())
    }

    /// Wakes these after the commit.
    pub(super) fn wake(&self, wake: Wake) {
        self.wake.set(self.wake.get() | wake);
    }

    /// Adds to the evidence of this commit.
    pub(super) fn chain(&self, entry: Entry) {
        self.chained.borrow_mut().push(entry);
    }

    /// Counts an event, after the commit.
    pub(super) fn tell(&self, told: Told) {
        self.told.borrow_mut().push(told);
    }

    /// Counts a message from one state to another; `None` is before its first or after its last.
    pub(super) fn tally(&self, broker: &str, from: Option<DeliveryState>, to: Option<DeliveryState>) {
        let mut tally = self.tally.borrow_mut();
        for (state, by) in [(from, -1), (to, 1)] {
            if let Some(state) = state {
                tally.push((broker.to_owned(), state, by));
            }
        }
    }
}

/// An event that was written, for the metrics.
pub(super) struct Told {
    pub(super) track: Track,
    /// New status; `delivery` for what happened to a message.
    pub(super) status: &'static str,
    /// Broker, when customs decided for the first time.
    pub(super) broker: Option<String>,
    /// Seconds since the declaration came.
    pub(super) took: f64,
}

impl Told {
    pub(super) fn count(self) {
        metrics::counter!("preclear_events_total", "track" => self.track.as_str(), "status" => self.status).increment(1);
        if let Some(broker) = self.broker {
            metrics::histogram!("preclear_decision_seconds", "broker" => broker).record(self.took);
        }
    }
}

/// What a job does and whom it answers.
pub(super) trait Work: Send {
    /// Runs it; whether its changes are to stand. Run again, it does the same anew: it changes nothing
    /// outside its transaction.
    fn run(&mut self, tx: &Tx<'_>, health: &Health) -> bool;

    /// Answers what the last run gave, or the fault that all of its commit met.
    fn answer(self: Box<Self>, fault: Option<StoreError>);
}

/// A job on its way to the writer.
pub(super) struct Job {
    pub(super) work: Box<dyn Work>,
    pub(super) bytes: usize,
    _place: Option<OwnedSemaphorePermit>,
}

struct Asked<T, F> {
    work: F,
    result: Option<Result<T, StoreError>>,
    answer: oneshot::Sender<Result<T, StoreError>>,
}

impl<T: Send, F: Fn(&Tx<'_>) -> Result<T, Fail> + Send> Work for Asked<T, F> {
    fn run(&mut self, tx: &Tx<'_>, health: &Health) -> bool {
        let result = catch_unwind(AssertUnwindSafe(|| (self.work)(tx))).unwrap_or(Err(Fail::Fault("a job panicked")));
        let result = result.map_err(|fail| match fail {
            Fail::Sql(error) => health.judge(&error),
            Fail::Fault(what) => StoreError::Fault(what.to_owned()),
        });
        self.result.insert(result).is_ok()
    }

    fn answer(self: Box<Self>, fault: Option<StoreError>) {
        let Self { result, answer, .. } = *self;
        // Nobody waits any more when the request was given up; the job stands all the same.
        drop(answer.send(fault.map_or_else(|| result.unwrap_or(Err(StoreError::Closing)), Err)));
    }
}

impl Job {
    /// A job and where its answer comes.
    pub(super) fn new<T: Send + 'static>(
        bytes: usize,
        place: Option<OwnedSemaphorePermit>,
        work: impl Fn(&Tx<'_>) -> Result<T, Fail> + Send + 'static,
    ) -> (Self, oneshot::Receiver<Result<T, StoreError>>) {
        let (sender, answer) = oneshot::channel();
        (Self { work: Box::new(Asked { work, result: None, answer: sender }), bytes, _place: place }, answer)
    }
}

#[derive(Default)]
struct Waiting {
    intake: VecDeque<Job>,
    inner: VecDeque<Job>,
    bytes: usize,
    turn: bool,
    closing: bool,
}

/// What waits for the writer.
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    ready: Condvar,
    max_intake: usize,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Queue {
    pub(super) fn new(max_intake: usize) -> Self {
        Self { waiting: Mutex::default(), ready: Condvar::new(), max_intake }
    }

    /// Puts a job of intake in line, or refuses it when too much waits.
    pub(super) fn offer(&self, job: Job) -> Result<(), StoreError> {
        let mut waiting = lock(&self.waiting);
        if waiting.closing {
            return Err(StoreError::Closing);
        }
        if waiting.intake.len() >= self.max_intake || waiting.bytes.saturating_add(job.bytes) > MAX_WAITING_BYTES {
            return Err(StoreError::Overloaded);
        }
        waiting.bytes += job.bytes;
        waiting.intake.push_back(job);
        drop(waiting);
        self.ready.notify_one();
        Ok(())
    }

    /// Puts a job in line that already has its place.
    pub(super) fn push(&self, job: Job) -> Result<(), StoreError> {
        let mut waiting = lock(&self.waiting);
        if waiting.closing {
            return Err(StoreError::Closing);
        }
        waiting.bytes += job.bytes;
        waiting.inner.push_back(job);
        drop(waiting);
        self.ready.notify_one();
        Ok(())
    }

    /// Lets the writer finish what waits and end.
    pub(super) fn close(&self) {
        lock(&self.waiting).closing = true;
        self.ready.notify_all();
    }

    fn take_from(waiting: &mut Waiting) -> Option<Job> {
        waiting.turn = !waiting.turn;
        let job = if waiting.turn {
            waiting.inner.pop_front().or_else(|| waiting.intake.pop_front())
        } else {
            waiting.intake.pop_front().or_else(|| waiting.inner.pop_front())
        };
        if let Some(job) = &job {
            waiting.bytes = waiting.bytes.saturating_sub(job.bytes);
        }
        job
    }

    /// The next job; `None` when the queue is closed and empty.
    pub(super) fn wait(&self) -> Option<Job> {
        let mut waiting = lock(&self.waiting);
        loop {
            if let Some(job) = Self::take_from(&mut waiting) {
                return Some(job);
            }
            if waiting.closing {
                return None;
            }
            waiting = self.ready.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(super) fn try_take(&self) -> Option<Job> {
        Self::take_from(&mut lock(&self.waiting))
    }
}
