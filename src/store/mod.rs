//! The store: one module of intentions; the only user of the database driver.
//!
//! Each method is one step of the road and one commit: it is durable when it returns `Ok`, and nothing
//! of it is when it returns an error. Callers see values and never a driver, a row or a transaction;
//! there is never a transaction over the network. SQLite stands behind it now; PostgreSQL follows as a
//! second variant of `Backend`, with the same decisions (`apply`) over other statements.
//!
//! Who waits for what is told by signals after the commit that concerned it, never before.

/// Hands a step to the database behind the store.
macro_rules! on {
    ($store:expr, $method:ident($($argument:expr),*)) => {
        match &$store.backend { Backend::Sqlite(sqlite) => sqlite.$method($($argument),*).await }
    };
}

mod apply;
mod audit;
mod intents;
mod mappings;
mod options;
mod orders;
mod road;
mod sqlite;
mod telling;
mod told;
mod types;
mod view;
mod wanted;

use std::sync::Arc;

pub use audit::{Act, ActRow, BadEvidence, Verified};
pub use intents::*;
pub use mappings::{KEPT_MAPPING_VERSIONS, KeptMapping, MappingVersion};
pub use options::{OpenError, RetentionReasons, StoreOptions};
pub use orders::{DeadSelection, Handled, Replay};
pub use told::*;
pub use types::*;
pub use view::*;

/// The store. Cheap to clone; the last clone that goes ends the writer, [`Store::close`] waits for it.
#[derive(Clone)]
pub struct Store {
    backend: Backend,
}

#[derive(Clone)]
enum Backend {
    Sqlite(Arc<sqlite::Sqlite>),
}

/// Opening and closing.
impl Store {
    /// Opens the store, brings its schema up to date and starts its writer.
    ///
    /// # Errors
    /// [`OpenError`] with what to do: in use, newer schema, not a store, no durable journal.
    pub async fn open(options: StoreOptions) -> Result<Self, OpenError> {
        let opened = tokio::task::spawn_blocking(move || sqlite::Sqlite::open(options)).await;
        let sqlite = opened.unwrap_or_else(|_| Err(OpenError::Database("opening it panicked".to_owned())))?;
        Ok(Self { backend: Backend::Sqlite(Arc::new(sqlite)) })
    }

    /// Takes nothing more, commits what waits, and ends. Later calls are [`StoreError::Closing`].
    pub async fn close(&self) {
        on!(self, close());
    }

    /// Whether the store can commit. Cheap: it asks the disk only after a failed commit.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while nothing can be made durable or the free space is below the limit.
    pub async fn check(&self) -> Result<(), StoreError> {
        on!(self, check())
    }
}
