//! Whether anything can be made durable: the broken flag, the last commit's fate, the free space.
//!
//! After a failed write or fsync the kernel may have dropped what it could not write and report
//! success the next time. So nothing is tried again on that connection: the store is broken until
//! the process starts anew, when the log is copied into the file before anything is taken.
//! A full disk is another matter: the transaction is rolled back whole and the next may succeed.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rusqlite::ffi;

use crate::store::StoreError;

/// How long a look at the free space holds.
const FREE_SPACE_HOLDS: Duration = Duration::from_secs(1);

/// Health of one store.
#[derive(Debug)]
pub(super) struct Health {
    broken: AtomicBool,
    failing: AtomicBool,
    folder: PathBuf,
    min_free_bytes: u64,
    space: Mutex<Option<(Instant, bool)>>,
}

impl Health {
    pub(super) fn new(file: &Path, min_free_mb: u64) -> Self {
        let folder = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or_else(|| Path::new(".")).to_owned();
        Self {
            broken: AtomicBool::new(false),
            failing: AtomicBool::new(false),
            folder,
            min_free_bytes: min_free_mb.saturating_mul(1024 * 1024),
            space: Mutex::new(None),
        }
    }

    /// Nothing is written any more until the process starts anew.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    pub(super) fn set_broken(&self) {
        if !self.broken.swap(true, Ordering::AcqRel) {
            tracing::error!("the store failed to write to its disk; nothing is taken until the process is started again");
        }
    }

    /// The last commit failed; the next may succeed.
    pub(super) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Acquire)
    }

    pub(super) fn set_failing(&self, failing: bool) {
        if self.failing.swap(failing, Ordering::AcqRel) != failing {
            if failing {
                tracing::error!("the store cannot commit");
            } else {
                tracing::info!("the store commits again");
            }
        }
    }

    /// Whether intake may take more: enough free space beside the file. Looks at most once a second.
    pub(super) fn has_space(&self) -> bool {
        if self.min_free_bytes == 0 {
            return true;
        }
        let mut space = self.space.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match *space {
            Some((seen, enough)) if seen.elapsed() < FREE_SPACE_HOLDS => enough,
            _ => {
                let enough = rustix::fs::statvfs(&self.folder).is_ok_and(|s| s.f_bavail.saturating_mul(s.f_frsize) >= self.min_free_bytes);
                let was_enough = space.is_none_or(|(_, enough)| enough);
                *space = Some((Instant::now(), enough));
                // Told when it changes, not once a second.
                if was_enough && !enough {
                    tracing::error!("free space beside the store is below store.min_free_mb: intake answers 503 until there is more");
                } else if enough && !was_enough {
                    tracing::info!("free space beside the store is enough again");
                }
                enough
            }
        }
    }

    /// What a failure of the database means for the store, and for whoever asked.
    pub(super) fn judge(&self, error: &rusqlite::Error) -> StoreError {
        let rusqlite::Error::SqliteFailure(code, _) = error else {
            return StoreError::Fault(error.to_string());
        };
        match (code.extended_code, code.extended_code & 0xff) {
            (ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC | ffi::SQLITE_IOERR_WRITE, _)
            | (_, ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB) => {
                self.set_broken();
                StoreError::Unavailable("the disk failed")
            }
            (_, ffi::SQLITE_FULL) => {
                self.set_failing(true);
                StoreError::Unavailable("the disk is full")
            }
            (_, ffi::SQLITE_IOERR) => StoreError::Unavailable("the disk failed"),
            (_, ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED) => StoreError::Unavailable("the database is locked"),
            (_, ffi::SQLITE_READONLY | ffi::SQLITE_CANTOPEN | ffi::SQLITE_PERM) => StoreError::Unavailable("the file cannot be written"),
            _ => StoreError::Fault(error.to_string()),
        }
    }
}
