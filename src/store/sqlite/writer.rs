//! The one writer: many jobs, one transaction, one fsync.
//!
//! A single thread owns the writing connection. It takes what waits, runs each job inside a savepoint
//! of one transaction (a failing job takes only itself back), commits, and only then answers all of
//! them. While the disk syncs, the next jobs gather: load makes the groups larger, not the queue
//! slower. What a job wakes (lanes, feeds) is told after the commit, never before.
//!
//! Two queues: intake is refused when too much waits; everything else (attempts, notices, webhooks)
//! waits for its place instead, and the writer takes from both in turn, so that neither a flood of
//! declarations nor a flood of callbacks stops the other.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, Params, Row};
use tokio::sync::OwnedSemaphorePermit;

use super::health::Health;
use super::signals::{Signals, Wake};
use crate::domain::delivery::DeliveryState;
use crate::domain::fact::Track;
use crate::store::StoreError;

/// A commit takes at most this many jobs,
const MAX_JOBS: usize = 512;
/// this many bytes of bodies (one larger job is taken alone),
const MAX_BYTES: usize = 8 * 1024 * 1024;
/// and gathers for at most this long.
const MAX_GATHERING: Duration = Duration::from_millis(5);
/// Bytes of bodies that may wait for their commit.
const MAX_WAITING_BYTES: usize = 256 * 1024 * 1024;
/// The log is copied into the file each time about this much was written.
const CHECKPOINT_BYTES: usize = 16 * 1024 * 1024;
/// What a commit writes beside the bodies, roughly.
const COMMIT_OVERHEAD_BYTES: usize = 64 * 1024;

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
    /// The writing connection, inside a savepoint.
    pub(super) conn: &'a Connection,
    wake: Cell<Wake>,
    tally: RefCell<Vec<(String, DeliveryState, i64)>>,
    told: RefCell<Vec<Told>>,
}

impl<'a> Tx<'a> {
    fn new(conn: &'a Connection) -> Self {
        Self { conn, wake: Cell::new(Wake::default()), tally: RefCell::default(), told: RefCell::default() }
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

    /// Keeps bytes; their id.
    pub(super) fn keep(&self, bytes: &[u8]) -> rusqlite::Result<i64> {
        self.run("INSERT INTO bodies (bytes) VALUES (?1)", [bytes])?;
        Ok(self.conn.last_insert_rowid())
    }

    /// Wakes these after the commit.
    pub(super) fn wake(&self, wake: Wake) {
        self.wake.set(self.wake.get() | wake);
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
    fn count(self) {
        metrics::counter!("preclear_events_total", "track" => self.track.as_str(), "status" => self.status).increment(1);
        if let Some(broker) = self.broker {
            metrics::histogram!("preclear_decision_seconds", "broker" => broker).record(self.took);
        }
    }
}

/// Tells the one who asked, after the commit; the fault, when the commit came to nothing.
type Finish = Box<dyn FnOnce(Option<StoreError>) + Send>;
/// Runs the job: how to answer it, and whether its changes stand.
type Run = Box<dyn FnOnce(&Tx<'_>, &Health) -> (Finish, bool) + Send>;

/// A job on its way to the writer.
pub(super) struct Job {
    run: Run,
    refuse: Finish,
    bytes: usize,
    _place: Option<OwnedSemaphorePermit>,
}

impl Job {
    /// A job and where its answer goes.
    pub(super) fn new<T: Send + 'static>(
        bytes: usize,
        place: Option<OwnedSemaphorePermit>,
        work: impl FnOnce(&Tx<'_>) -> Result<T, Fail> + Send + 'static,
    ) -> (Self, tokio::sync::oneshot::Receiver<Result<T, StoreError>>) {
        let (sender, answer) = tokio::sync::oneshot::channel();
        let sender = Arc::new(Mutex::new(Some(sender)));
        let send = move |result: Result<T, StoreError>| {
            if let Some(sender) = lock(&sender).take() {
                // Nobody waits any more when the request was given up; the job stands all the same.
                drop(sender.send(result));
            }
        };
        let refuse = send.clone();
        let run = move |tx: &Tx<'_>, health: &Health| -> (Finish, bool) {
            let result = catch_unwind(AssertUnwindSafe(|| work(tx))).unwrap_or(Err(Fail::Fault("a job panicked")));
            let stands = result.is_ok();
            let result = result.map_err(|fail| match fail {
                Fail::Sql(error) => health.judge(&error),
                Fail::Fault(what) => StoreError::Fault(what.to_owned()),
            });
            (Box::new(move |fault| send(fault.map_or(result, Err))), stands)
        };
        let refuse: Finish = Box::new(move |fault| refuse(Err(fault.unwrap_or(StoreError::Closing))));
        (Self { run: Box::new(run), refuse, bytes, _place: place }, answer)
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
    fn wait(&self) -> Option<Job> {
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

    fn try_take(&self) -> Option<Job> {
        Self::take_from(&mut lock(&self.waiting))
    }
}

/// The writer's thread.
pub(super) struct Writer {
    conn: Connection,
    queue: Arc<Queue>,
    health: Arc<Health>,
    signals: Arc<Signals>,
    since_checkpoint: usize,
}

/// What one transaction gathered.
#[derive(Default)]
struct Batch {
    finish: Vec<Finish>,
    wake: Wake,
    tally: HashMap<(String, DeliveryState), i64>,
    told: Vec<Told>,
    bytes: usize,
    stood: bool,
}

impl Writer {
    pub(super) fn new(conn: Connection, queue: Arc<Queue>, health: Arc<Health>, signals: Arc<Signals>) -> Self {
        Self { conn, queue, health, signals, since_checkpoint: 0 }
    }

    /// Works until the queue is closed and empty, then copies the log into the file.
    pub(super) fn run(mut self) {
        // Should this thread ever panic, nobody may wait for it for ever.
        let guard = Guard { queue: Arc::clone(&self.queue), health: Arc::clone(&self.health) };
        while let Some(job) = self.queue.wait() {
            if self.health.is_broken() {
                (job.refuse)(Some(StoreError::Unavailable("the disk failed")));
                continue;
            }
            self.commit_group(job);
            if self.since_checkpoint >= CHECKPOINT_BYTES {
                self.since_checkpoint = 0;
                self.checkpoint("PRAGMA wal_checkpoint(PASSIVE)");
            }
        }
        if !self.health.is_broken() {
            self.checkpoint("PRAGMA wal_checkpoint(TRUNCATE)");
        }
        drop(guard);
    }

    fn commit_group(&mut self, first: Job) {
        if let Err(error) = self.conn.prepare_cached("BEGIN IMMEDIATE").and_then(|mut s| s.execute([])) {
            let fault = unavailable(self.health.judge(&error));
            self.health.set_failing(true);
            return (first.refuse)(Some(fault));
        }
        let (began, rows_before) = (Instant::now(), self.conn.total_changes());
        let mut batch = Batch::default();
        let mut next = Some(first);
        while let Some(job) = next {
            batch.bytes += job.bytes;
            let kept = self.run_job(job, &mut batch);
            if kept.is_err() || self.conn.is_autocommit() {
                // The database took the whole transaction back by itself: a full disk, an I/O error.
                return self.give_up(batch, kept.err());
            }
            let full = batch.finish.len() >= MAX_JOBS || batch.bytes >= MAX_BYTES || began.elapsed() >= MAX_GATHERING;
            next = if full { None } else { self.queue.try_take() };
        }
        let committed = self.write_tally(&batch).and_then(|()| self.conn.prepare_cached("COMMIT")?.execute([]));
        if let Err(error) = committed {
            return self.give_up(batch, Some(error));
        }
        if batch.stood {
            self.health.set_failing(false);
        }
        metrics::histogram!("preclear_commit_rows").record((self.conn.total_changes() - rows_before) as f64);
        self.since_checkpoint += batch.bytes + COMMIT_OVERHEAD_BYTES;
        batch.finish.into_iter().for_each(|finish| finish(None));
        batch.told.into_iter().for_each(Told::count);
        self.signals.send(batch.wake);
    }

    /// Runs one job in a savepoint. An error is one of the savepoint itself: the transaction is lost.
    fn run_job(&self, job: Job, batch: &mut Batch) -> rusqlite::Result<()> {
        if let Err(error) = self.step("SAVEPOINT job") {
            batch.finish.push(job.refuse);
            return Err(error);
        }
        let tx = Tx::new(&self.conn);
        let (finish, stands) = (job.run)(&tx, &self.health);
        batch.finish.push(finish);
        if self.conn.is_autocommit() {
            return Ok(());
        }
        if !stands {
            self.step("ROLLBACK TO job")?;
            return self.step("RELEASE job");
        }
        batch.stood = true;
        batch.wake = batch.wake | tx.wake.get();
        batch.told.append(&mut tx.told.borrow_mut());
        for (broker, state, by) in tx.tally.take() {
            *batch.tally.entry((broker, state)).or_default() += by;
        }
        self.step("RELEASE job")
    }

    fn step(&self, sql: &'static str) -> rusqlite::Result<()> {
        self.conn.prepare_cached(sql)?.execute([]).map(|_| ())
    }

    fn write_tally(&self, batch: &Batch) -> rusqlite::Result<()> {
        for ((broker, state), by) in batch.tally.iter().filter(|(_, by)| **by != 0) {
            self.conn
                .prepare_cached(
                    "INSERT INTO tallies (broker, state, count) VALUES (?1, ?2, ?3)
                     ON CONFLICT (broker, state) DO UPDATE SET count = count + excluded.count",
                )?
                .execute(rusqlite::params![broker, state.as_str(), by])?;
        }
        Ok(())
    }

    /// Takes the transaction back and tells everybody that nothing was made durable.
    fn give_up(&self, batch: Batch, error: Option<rusqlite::Error>) {
        let fault = error.map_or(StoreError::Unavailable("the disk is full"), |error| unavailable(self.health.judge(&error)));
        if !self.conn.is_autocommit() && self.step("ROLLBACK").is_err() {
            self.health.set_broken();
        }
        self.health.set_failing(true);
        batch.finish.into_iter().for_each(|finish| finish(Some(fault.clone())));
    }

    fn checkpoint(&self, sql: &'static str) {
        if let Err(error) = self.conn.prepare_cached(sql).and_then(|mut s| s.query_row([], |_| Ok(()))) {
            // Nothing is lost: what was not copied stays in the log and is copied anew the next time.
            if !matches!(self.health.judge(&error), StoreError::Unavailable("the database is locked")) {
                tracing::warn!("the log could not be copied into the store's file");
            }
        }
    }
}

/// A transaction that came to nothing is never the fault of one job.
fn unavailable(error: StoreError) -> StoreError {
    match error {
        StoreError::Fault(_) => StoreError::Unavailable("the commit failed"),
        other => other,
    }
}

struct Guard {
    queue: Arc<Queue>,
    health: Arc<Health>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.health.set_broken();
        }
        self.queue.close();
        while let Some(job) = self.queue.try_take() {
            (job.refuse)(None);
        }
    }
}
