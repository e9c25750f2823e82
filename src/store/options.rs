//! How a store is opened, and why it may refuse to.
//!
//! A store that cannot keep its promises does not open: a journal that is not a write-ahead log, a
//! commit that does not reach the disk, a schema that is newer than the program, or a second
//! process on the same file are each told in words that say what to do.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use crate::domain::time::SharedClock;

/// Retention reasons of one post: our word → the UPU's code (`[posts.X.retention_reasons]`).
pub type RetentionReasons = BTreeMap<String, String>;

/// What a store needs to know.
#[derive(Clone)]
pub struct StoreOptions {
    /// File of the SQLite database; made when absent.
    pub path: PathBuf,
    /// Declarations that may wait for their commit; more are [`super::StoreError::Overloaded`].
    pub max_waiting: usize,
    /// Below this much free space (MiB) intake is [`super::StoreError::Unavailable`]; 0 does not look.
    pub min_free_mb: u64,
    /// The clock.
    pub clock: SharedClock,
    /// Retention reasons per post; they are written into the proposals of each event.
    pub retention_reasons: HashMap<String, RetentionReasons>,
    /// Threads that read beside the writer.
    pub readers: usize,
}

impl StoreOptions {
    /// A store in a file with the limits of the default configuration.
    pub fn new(path: impl Into<PathBuf>, clock: SharedClock) -> Self {
        Self { path: path.into(), max_waiting: 4096, min_free_mb: 512, clock, retention_reasons: HashMap::new(), readers: 4 }
    }
}

/// Why a store did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Two processes on one file would send everything twice.
    #[error("another process uses this store; only one may")]
    InUse,
    /// The file was written by a newer program.
    #[error("the store has schema {found}, this program knows up to {known}: use the newer program, or restore a copy")]
    Newer {
        /// Version in the file.
        found: i64,
        /// Newest version that this program knows.
        known: i64,
    },
    /// The file is an SQLite database of something else.
    #[error("the file is not a Preclear store")]
    NotOurs,
    /// The file system cannot hold a write-ahead log (often a network file system).
    #[error("the journal is {0}, not wal: keep the store on a local disk")]
    NoWal(String),
    /// Commits would not reach the disk before they are acknowledged.
    #[error("synchronous is {0}, not FULL: acknowledged declarations could be lost")]
    NotDurable(i64),
    /// The file or its folder cannot be used.
    #[error("the store's file cannot be used: {0}")]
    File(#[from] std::io::Error),
    /// The database refused.
    #[error("the store cannot be opened: {0}")]
    Database(String),
}
