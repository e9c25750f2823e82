//! The one writer: many jobs, one transaction, one fsync.
//!
//! A single thread owns the writing connection. It takes what waits, runs each job inside a savepoint
//! of one transaction (a failing job takes only itself back), commits, and only then answers all of
//! them. While the disk syncs, the next jobs gather: load makes the groups larger, not the queue
//! slower. What a job wakes (lanes, feeds) is told after the commit, never before.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::checkpoint::{self, Checkpointer};
use super::health::Health;
use super::job::{Finish, Job, Queue, Told, Tx};
use super::signals::{Signals, Wake};
use crate::domain::delivery::DeliveryState;
use crate::store::StoreError;

/// A commit takes at most this many jobs,
const MAX_JOBS: usize = 512;
/// this many bytes of bodies (one larger job is taken alone),
const MAX_BYTES: usize = 8 * 1024 * 1024;
/// and gathers for at most this long.
const MAX_GATHERING: Duration = Duration::from_millis(5);
/// The log is copied into the file each time about this much was written.
const CHECKPOINT_BYTES: usize = 4 * 1024 * 1024;
/// What a commit writes beside the bodies, roughly.
const COMMIT_OVERHEAD_BYTES: usize = 32 * 1024;

/// The writer's thread.
pub(super) struct Writer {
    conn: Connection,
    queue: Arc<Queue>,
    health: Arc<Health>,
    signals: Arc<Signals>,
    checkpointer: Checkpointer,
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
    pub(super) fn new(conn: Connection, checkpointer: Checkpointer, queue: Arc<Queue>, health: Arc<Health>, signals: Arc<Signals>) -> Self {
        Self { conn, queue, health, signals, checkpointer, since_checkpoint: 0 }
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
            self.checkpoint_in_time();
        }
        self.checkpointer.end();
        if !self.health.is_broken() {
            checkpoint::truncate(&self.conn, &self.health);
        }
        drop(guard);
    }

    fn checkpoint_in_time(&mut self) {
        if self.since_checkpoint < CHECKPOINT_BYTES {
            return;
        }
        self.since_checkpoint = 0;
        if self.checkpointer.log_is_long() {
            checkpoint::passive(&self.conn, &self.health);
            self.checkpointer.log_starts_anew();
        }
        self.checkpointer.want();
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
