//! Copies the log into the file beside the writer, so that no commit waits for it.
//!
//! A passive checkpoint takes no lock that a commit needs. It cannot start the log anew while commits go
//! on, though; so the log grows, and only when it has grown beyond a bound the writer itself copies the
//! short rest that is left, after which the next commit begins at the log's front again.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::Connection;

use super::health::Health;
use crate::store::StoreError;
use crate::store::options::OpenError;

/// Pages in the log (4 KiB each: 64 MiB) beyond which it is to start anew.
const MAX_LOG_PAGES: i64 = 16 * 1024;

/// The thread that copies, as the writer sees it.
pub(super) struct Checkpointer {
    wanted: Option<SyncSender<()>>,
    log_pages: Arc<AtomicI64>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    pub(super) fn start(path: &Path, health: Arc<Health>) -> Result<Self, OpenError> {
        let conn = super::connect(path)?;
        let (wanted, wishes) = sync_channel(1);
        let log_pages = Arc::new(AtomicI64::new(0));
        let seen = Arc::clone(&log_pages);
        let thread = std::thread::Builder::new().name("store-checkpoint".to_owned()).spawn(move || copy(&conn, &wishes, &seen, &health))?;
        Ok(Self { wanted: Some(wanted), log_pages, thread: Some(thread) })
    }

    /// Asks for a copy, unless one is asked for already.
    pub(super) fn want(&self) {
        if let Some(wanted) = &self.wanted {
            // Full: the next copy takes along what this one was wanted for.
            let _ = wanted.try_send(());
        }
    }

    /// Whether the log has grown so long that the writer has to let it start anew.
    pub(super) fn log_is_long(&self) -> bool {
        self.log_pages.load(Ordering::Relaxed) >= MAX_LOG_PAGES
    }

    /// The writer has copied the rest.
    pub(super) fn log_starts_anew(&self) {
        self.log_pages.store(0, Ordering::Relaxed);
    }

    /// Waits for a copy under way and ends.
    pub(super) fn end(&mut self) {
        self.wanted = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("copying the log into the store's file ended by a fault");
        }
    }
}

fn copy(conn: &Connection, wishes: &Receiver<()>, log_pages: &AtomicI64, health: &Health) {
    while wishes.recv().is_ok() {
        if let Some(pages) = passive(conn, health) {
            log_pages.store(pages, Ordering::Relaxed);
        }
    }
}

/// Copies what can be copied now; pages in the log, or none when it could not.
pub(super) fn passive(conn: &Connection, health: &Health) -> Option<i64> {
    run(conn, health, "PRAGMA wal_checkpoint(PASSIVE)")
}

/// Copies all and empties the log; at the end, when nobody writes or reads.
pub(super) fn truncate(conn: &Connection, health: &Health) {
    run(conn, health, "PRAGMA wal_checkpoint(TRUNCATE)");
}

fn run(conn: &Connection, health: &Health, sql: &'static str) -> Option<i64> {
    match conn.prepare_cached(sql).and_then(|mut statement| statement.query_row([], |row| row.get(1))) {
        Ok(pages) => Some(pages),
        Err(error) => {
            // Nothing is lost: what was not copied stays in the log and is copied anew the next time.
            if !matches!(health.judge(&error), StoreError::Unavailable("the database is locked")) {
                tracing::warn!("the log could not be copied into the store's file");
            }
            None
        }
    }
}
