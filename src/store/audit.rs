//! Evidence as operators and auditors see it: links, checks over everything stored, and the acts of operators.

use super::{Backend, Store, StoreError};
use crate::domain::audit::{Bad, ChainSum, EntryKind, Link, Why};
use crate::domain::operate::ActKind;
use crate::domain::time::Timestamp;
use uuid::Uuid;

/// What an operator did that no other row tells of.
#[derive(Debug, Clone)]
pub struct Act {
    /// What.
    pub kind: ActKind,
    /// To which broker, when it is about one.
    pub broker: Option<String>,
    /// Why, in the operator's words.
    pub reason: Option<String>,
}

/// An operator's act as it is kept.
#[derive(Debug, Clone)]
pub struct ActRow {
    /// Its id.
    pub act_id: Uuid,
    /// When it began.
    pub at: Timestamp,
    /// What.
    pub kind: ActKind,
    /// To which broker.
    pub broker: Option<String>,
    /// What it was about, as JSON of ours.
    pub filter: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// Rows that it changed; none where it is not about rows.
    pub done: Option<u64>,
}

/// The first thing that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadEvidence {
    /// A link.
    Link(Bad),
    /// Something stored that its link does not prove.
    Row {
        /// What it is.
        kind: EntryKind,
        /// Its id.
        subject: Uuid,
        /// What is wrong with it.
        why: Why,
    },
}

/// What a check of all evidence found.
#[derive(Debug, Clone, Default)]
pub struct Verified {
    /// Every chain.
    pub chains: Vec<ChainSum>,
    /// Stored rows that were held against their links.
    pub rows: u64,
    /// The first thing that is wrong.
    pub bad: Option<BadEvidence>,
}

/// Evidence.
impl Store {
    /// Checks every link, and every version, message, notice and act that is still stored with its salt. Reads in short
    /// steps, so that nobody waits for it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn verify_audit(&self) -> Result<Verified, StoreError> {
        on!(self, verify_audit())
    }

    /// Links after one of a chain, in the order of chains and numbers; none when there are no more.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn audit_links(&self, after: Option<(Uuid, u64)>, limit: usize) -> Result<Vec<Link>, StoreError> {
        on!(self, audit_links(after, limit))
    }

    /// Acts of operators, newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn acts(&self, limit: u32) -> Result<Vec<ActRow>, StoreError> {
        on!(self, acts(limit))
    }

    /// Keeps an act that changed no row of its own.
    ///
    /// # Errors
    /// When nothing can be committed.
    pub async fn record_act(&self, act: Act) -> Result<(), StoreError> {
        on!(self, record_act(act))
    }
}
