//! The one writer: many jobs, one transaction, one fsync.
//!
//! A single thread owns the writing connection. It takes what waits, runs the jobs in one transaction,
//! commits, and only then answers all of them. While the disk syncs, the next jobs gather: load makes
//! the groups larger, not the queue slower. What a job wakes (lanes, feeds) is told after the commit,
//! never before.
//!
//! A job that fails takes nothing but itself back. Most find their fault before they write; for the rare
//! one that does not, the transaction is rolled back and the others are run again without it. A savepoint
//! around each job would do the same and cost every good job half as much again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::audit::Head;
use super::checkpoint::{self, Checkpointer};
use super::health::Health;
use super::job::{Job, Queue, Told, Tx};
use super::signals::{Signals, Wake};
use crate::domain::delivery::DeliveryState;
use crate::domain::time::SharedClock;
use crate::fault_points;
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
    head: Head,
    clock: SharedClock,
    queue: Arc<Queue>,
    health: Arc<Health>,
    signals: Arc<Signals>,
    checkpointer: Checkpointer,
    since_checkpoint: usize,
}

/// What one transaction gathered.
#[derive(Default)]
struct Batch {
    jobs: Vec<Job>,
    wake: Wake,
    tally: HashMap<(String, DeliveryState), i64>,
    told: Vec<Told>,
    /// What the link of this commit will hold.
    entries: Vec<u8>,
    bytes: usize,
    stood: bool,
    rows_before: u64,
}

/// What a job left.
enum Ran {
    /// Its changes, or none.
    Clean,
    /// Changes of a job that failed; it is answered, and they have to go.
    Dirty,
    /// The database took the whole transaction back by itself: a full disk, an I/O error.
    Lost,
}

impl Writer {
    pub(super) fn new(
        conn: Connection,
        head: Head,
        clock: SharedClock,
        checkpointer: Checkpointer,
        queue: Arc<Queue>,
        health: Arc<Health>,
        signals: Arc<Signals>,
    ) -> Self {
        Self { conn, head, clock, queue, health, signals, checkpointer, since_checkpoint: 0 }
    }

    /// Works until the queue is closed and empty, then copies the log into the file.
    pub(super) fn run(mut self) {
        // Should this thread ever panic, nobody may wait for it for ever.
        let guard = Guard { queue: Arc::clone(&self.queue), health: Arc::clone(&self.health) };
        while let Some(job) = self.queue.wait() {
            if self.health.is_broken() {
                job.work.answer(Some(StoreError::Unavailable("the disk failed")));
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
        let batch = match self.gather(first) {
            Ok(batch) => batch,
            Err((jobs, error)) => return self.give_up(jobs, error),
        };
        let linked = self.write_tally(&batch).and_then(|()| self.write_link(&batch));
        fault_points::pass("store.before_commit");
        match linked.and_then(|head| self.step("COMMIT").map(|()| head)) {
            Ok(head) => self.head = head,
            Err(error) => return self.give_up(batch.jobs, Some(error)),
        }
        fault_points::pass("store.after_commit");
        if batch.stood {
            self.health.set_failing(false);
        }
        metrics::histogram!("preclear_commit_rows").record((self.conn.total_changes() - batch.rows_before) as f64);
        self.since_checkpoint += batch.bytes + COMMIT_OVERHEAD_BYTES;
        batch.jobs.into_iter().for_each(|job| job.work.answer(None));
        batch.told.into_iter().for_each(Told::count);
        self.signals.send(batch.wake);
    }

    /// Opens a transaction and runs in it what waits, up to the bounds of a commit.
    fn gather(&self, first: Job) -> Result<Batch, (Vec<Job>, Option<rusqlite::Error>)> {
        if let Err(error) = self.step("BEGIN IMMEDIATE") {
            return Err((vec![first], Some(error)));
        }
        let began = Instant::now();
        let mut batch = Batch { rows_before: self.conn.total_changes(), ..Batch::default() };
        let mut next = Some(first);
        while let Some(job) = next {
            match self.run_job(job, &mut batch) {
                Ran::Clean => {}
                Ran::Dirty => batch = self.run_again(batch.jobs)?,
                Ran::Lost => return Err((batch.jobs, None)),
            }
            let full = batch.jobs.len() >= MAX_JOBS || batch.bytes >= MAX_BYTES || began.elapsed() >= MAX_GATHERING;
            next = if full { None } else { self.queue.try_take() };
        }
        Ok(batch)
    }

    fn run_job(&self, mut job: Job, batch: &mut Batch) -> Ran {
        let rows_before = self.conn.total_changes();
        let tx = Tx::new(&self.conn, self.head.next_link());
        let stands = job.work.run(&tx, &self.health);
        let lost = self.conn.is_autocommit();
        if !stands && !lost && self.conn.total_changes() != rows_before {
            job.work.answer(None);
            return Ran::Dirty;
        }
        if stands {
            batch.stood = true;
            batch.bytes += job.bytes;
            batch.wake = batch.wake | tx.wake.get();
            batch.told.append(&mut tx.told.borrow_mut());
            tx.chained.borrow().iter().for_each(|entry| entry.write(&mut batch.entries));
            for (broker, state, by) in tx.tally.take() {
                *batch.tally.entry((broker, state)).or_default() += by;
            }
        }
        batch.jobs.push(job);
        if lost { Ran::Lost } else { Ran::Clean }
    }

    /// Runs jobs again in a new transaction, after one that failed among them has left its changes.
    fn run_again(&self, mut jobs: Vec<Job>) -> Result<Batch, (Vec<Job>, Option<rusqlite::Error>)> {
        // Each round that fails has one job less.
        loop {
            if let Err(error) = self.step("ROLLBACK").and_then(|()| self.step("BEGIN IMMEDIATE")) {
                return Err((jobs, Some(error)));
            }
            let mut batch = Batch { rows_before: self.conn.total_changes(), ..Batch::default() };
            let mut rest = jobs.into_iter();
            let ran = rest.by_ref().map(|job| self.run_job(job, &mut batch)).find(|ran| !matches!(ran, Ran::Clean));
            match ran {
                None => return Ok(batch),
                Some(ran) => {
                    batch.jobs.extend(rest);
                    if matches!(ran, Ran::Lost) {
                        return Err((batch.jobs, None));
                    }
                    jobs = batch.jobs;
                }
            }
        }
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

    /// Seals what this commit proves; the head of the chain after it.
    fn write_link(&self, batch: &Batch) -> rusqlite::Result<Head> {
        if batch.entries.is_empty() { Ok(self.head) } else { self.head.append(&self.conn, self.clock.now(), &batch.entries) }
    }

    /// Takes the transaction back and tells everybody that nothing was made durable.
    fn give_up(&mut self, jobs: Vec<Job>, error: Option<rusqlite::Error>) {
        let fault = error.map_or(StoreError::Unavailable("the disk is full"), |error| unavailable(self.health.judge(&error)));
        if !self.conn.is_autocommit() && self.step("ROLLBACK").is_err() {
            self.health.set_broken();
        }
        // Whatever became of that commit, the next link follows the one that is there.
        match Head::load(&self.conn) {
            Ok(head) => self.head = head,
            Err(_) => self.health.set_broken(),
        }
        self.health.set_failing(true);
        jobs.into_iter().for_each(|job| job.work.answer(Some(fault.clone())));
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
            job.work.answer(None);
        }
    }
}
