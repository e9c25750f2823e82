//! The store on SQLite: embedded, write-ahead log, every commit synced to the disk.
//!
//! One writer thread, a few readers, one process per file (an advisory lock says so). What a job does
//! is a function of a transaction in one of the modules below; this one opens, carries and closes.
//! Policy (what a fact changes, which event it makes) is in [`super::apply`] and the domain; here is
//! only how it is kept.

mod accept;
mod audit;
mod checkpoint;
mod col;
mod consignments;
mod events;
mod evidence;
mod health;
mod holds;
mod intents;
mod job;
mod mappings;
mod migrate;
mod notices;
mod ops;
mod outbox;
mod overdue;
mod pack;
mod prepared;
mod reader;
mod refs;
mod replay;
mod settle;
mod signals;
#[cfg(test)]
mod tests;
mod tracking;
mod views;
mod webhooks;
mod writer;

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use tokio::sync::Semaphore;

use self::checkpoint::Checkpointer;
use self::health::Health;
use self::job::{Fail, Job, Queue, Tx};
pub(super) use self::mappings::peek_newest_mappings;
use self::migrate::database;
use self::reader::Readers;
use self::signals::Signals;
use self::writer::Writer;
use super::StoreError;
use super::options::{OpenError, RetentionReasons, StoreOptions};
use crate::domain::time::{SharedClock, Timestamp};
use crate::fault_points;

/// Jobs beside intake that may wait for the writer; more wait for a place.
const INNER_PLACES: usize = 4096;

/// An open store.
pub(super) struct Sqlite {
    queue: Arc<Queue>,
    places: Arc<Semaphore>,
    readers: Arc<Readers>,
    health: Arc<Health>,
    signals: Arc<Signals>,
    clock: SharedClock,
    policy: Arc<Policy>,
    turn: AtomicUsize,
    paces: Mutex<replay::Paces>,
    writer: Mutex<Option<JoinHandle<()>>>,
    // Held as long as the store is open; the system gives it back even when the process is killed.
    _lock: File,
}

/// What the making of events needs beside rows.
#[derive(Debug, Default)]
struct Policy {
    retention_reasons: HashMap<String, RetentionReasons>,
    none: RetentionReasons,
}

impl Policy {
    fn retention_reasons(&self, post: &str) -> &RetentionReasons {
        self.retention_reasons.get(post).unwrap_or(&self.none)
    }
}

impl Sqlite {
    /// Opens, checks and migrates the file, and starts the writer. Blocks.
    pub(super) fn open(options: StoreOptions) -> Result<Self, OpenError> {
        let lock = lock_file(&options.path)?;
        // It holds personal data: readable by its owner only, and so are the log and the index that SQLite puts beside it.
        private().write(true).create(true).truncate(false).open(&options.path)?;
        let mut conn = connect(&options.path)?;
        migrate::migrate(&mut conn)?;
        // What a crash or a failed disk left in the log is written anew and synced before anything is taken.
        conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(database)?;
        let health = Arc::new(Health::new(&options.path, options.min_free_mb));
        let signals = Arc::new(Signals::default());
        let queue = Arc::new(Queue::new(options.max_waiting));
        let checkpointer = Checkpointer::start(&options.path, Arc::clone(&health))?;
        let head = audit::Head::load(&conn).map_err(database)?;
        let writer = Writer::new(
            conn,
            head,
            Arc::clone(&options.clock),
            checkpointer,
            Arc::clone(&queue),
            Arc::clone(&health),
            Arc::clone(&signals),
        );
        let writer = std::thread::Builder::new().name("store-writer".to_owned()).spawn(move || writer.run())?;
        Ok(Self {
            queue,
            places: Arc::new(Semaphore::new(INNER_PLACES)),
            readers: Arc::new(Readers::new(options.path, options.readers, Arc::clone(&health))),
            health,
            signals,
            clock: options.clock,
            policy: Arc::new(Policy { retention_reasons: options.retention_reasons, none: RetentionReasons::new() }),
            turn: AtomicUsize::new(0),
            paces: Mutex::default(),
            writer: Mutex::new(Some(writer)),
            _lock: lock,
        })
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A job of intake: refused when too much waits or the disk runs short.
    async fn take_in<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl Fn(&Tx<'_>) -> Result<T, Fail> + Send + 'static,
    ) -> Result<T, StoreError> {
        if self.health.is_broken() {
            return Err(StoreError::Unavailable("the disk failed"));
        }
        if !self.health.has_space() {
            return Err(StoreError::Unavailable("the disk is nearly full"));
        }
        let (job, answer) = Job::new(bytes, None, work);
        self.queue.offer(job)?;
        answer.await.unwrap_or(Err(StoreError::Unavailable("the writer ended")))
    }

    /// Any other job: waits for its place.
    async fn write<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl Fn(&Tx<'_>) -> Result<T, Fail> + Send + 'static,
    ) -> Result<T, StoreError> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| StoreError::Closing)?;
        let (job, answer) = Job::new(bytes, Some(place), work);
        self.queue.push(job)?;
        answer.await.unwrap_or(Err(StoreError::Unavailable("the writer ended")))
    }

    async fn read<T: Send + 'static>(&self, work: impl FnOnce(&Connection) -> Result<T, Fail> + Send + 'static) -> Result<T, StoreError> {
        self.readers.read(work).await
    }

    pub(super) fn signals(&self) -> &Signals {
        &self.signals
    }

    /// Finishes what waits, copies the log into the file and ends the writer.
    pub(super) async fn close(&self) {
        self.queue.close();
        self.readers.close().await;
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer
            && tokio::task::spawn_blocking(move || writer.join()).await.is_ok_and(|joined| joined.is_err())
        {
            tracing::error!("the store's writer ended by a fault");
        }
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// How files are made that nobody else may read.
fn private() -> std::fs::OpenOptions {
    let mut options = File::options();
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Two processes on one file would each run every lane and send everything twice.
fn lock_file(path: &Path) -> Result<File, OpenError> {
    let mut name = path.as_os_str().to_owned();
    name.push("-lock");
    let file = private().create(true).truncate(false).write(true).open(name)?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(OpenError::InUse),
        Err(errno) => Err(OpenError::File(errno.into())),
    }
}

fn connect(path: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).map_err(database)?;
    conn.busy_timeout(Duration::from_secs(5)).map_err(database)?;
    let journal: String = conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)).map_err(database)?;
    if !journal.eq_ignore_ascii_case("wal") {
        return Err(OpenError::NoWal(journal));
    }
    // The log is copied by a thread of its own; the automatic copy is only for the case that it fails.
    // FULL: a commit is on the disk before it is answered. Foreign keys are off: every row is written by
    // the jobs here, and a check of each on the way in would cost more than it could find.
    let synchronous = if fault_points::dangerous_no_fsync() { "OFF" } else { "FULL" };
    let pragmas: [(&str, &str); 6] = [
        ("synchronous", synchronous),
        ("foreign_keys", "OFF"),
        ("temp_store", "MEMORY"),
        ("cache_size", "-65536"),
        ("wal_autocheckpoint", "131072"),
        // Above what the log reaches: a log that is cut has to be grown again, block by block.
        ("journal_size_limit", "268435456"),
    ];
    for (name, value) in pragmas {
        conn.execute_batch(&format!("PRAGMA {name} = {value}")).map_err(database)?;
    }
    let synchronous: i64 = conn.pragma_query_value(None, "synchronous", |row| row.get(0)).map_err(database)?;
    if synchronous < 2 && !fault_points::dangerous_no_fsync() {
        return Err(OpenError::NotDurable(synchronous));
    }
    conn.set_prepared_statement_cache_capacity(256);
    Ok(conn)
}
