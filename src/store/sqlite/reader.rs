//! Reading beside the writer: a few read-only connections, never more readers than connections.
//!
//! In write-ahead mode a reader sees the last commit when it begins and blocks nobody. Reads are
//! short and bounded, for a long one would keep the log from being cleared.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use tokio::sync::Semaphore;

use super::health::Health;
use super::job::Fail;
use crate::store::StoreError;

/// Read-only connections of one store.
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    places: Arc<Semaphore>,
    count: usize,
    health: Arc<Health>,
}

impl Readers {
    pub(super) fn new(path: PathBuf, count: usize, health: Arc<Health>) -> Self {
        let count = count.max(1);
        Self { path, idle: Mutex::default(), places: Arc::new(Semaphore::new(count)), count, health }
    }

    /// Reads on a thread that may block. Waits for a free connection.
    pub(super) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Connection) -> Result<T, Fail> + Send + 'static,
    ) -> Result<T, StoreError> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| StoreError::Closing)?;
        let readers = Arc::clone(self);
        let task = tokio::task::spawn_blocking(move || {
            let idle = readers.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let conn = idle.map_or_else(|| open(&readers.path), Ok).map_err(|error| readers.health.judge(&error))?;
            let result = snapshot(&conn, work).map_err(|fail| match fail {
                Fail::Sql(error) => readers.health.judge(&error),
                Fail::Fault(what) => StoreError::Fault(what.to_owned()),
            });
            readers.idle.lock().unwrap_or_else(PoisonError::into_inner).push(conn);
            // Only now may the next one come, even if nobody waits for this one any more.
            drop(place);
            result
        });
        // A panic loses the connection with it; the next reader opens another.
        task.await.unwrap_or_else(|_| Err(StoreError::Fault("a read panicked".to_owned())))
    }

    /// Ends the connections, once nobody reads.
    pub(super) async fn close(&self) {
        let all = self.places.acquire_many(u32::try_from(self.count).unwrap_or(u32::MAX)).await;
        self.places.close();
        drop(all);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// All statements of one read see the same commit.
fn snapshot<T>(conn: &Connection, work: impl FnOnce(&Connection) -> Result<T, Fail>) -> Result<T, Fail> {
    let transaction = conn.unchecked_transaction()?;
    let result = work(&transaction);
    transaction.finish()?;
    result
}

fn open(path: &std::path::Path) -> rusqlite::Result<Connection> {
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.busy_timeout(Duration::from_secs(5))?;
    conn.pragma_update(None, "query_only", true)?;
    conn.pragma_update(None, "cache_size", -8192)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.set_prepared_statement_cache_capacity(64);
    Ok(conn)
}
