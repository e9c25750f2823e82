//! What the operators' routes ask of the rest of the gateway, as one trait.
//!
//! The stations, the store and the mapping registry each own a part of the answer; here they meet, so that every route
//! can be tested against a stand-in. Nothing that comes through here may hold free text of a broker or a value of a
//! declaration (P10): reasons are our own words, an operator's reason is the operator's own.

use futures_util::future::BoxFuture;
use uuid::Uuid;

use crate::catalog::MappingState;
use crate::choice;
use crate::domain::audit::Link;
use crate::domain::delivery::DeadReason;
use crate::domain::operate::ReplayMode;
use crate::domain::time::Timestamp;
use crate::store::{ActRow, BacklogRow, DeadLetter, DeadSelection, Handled, KeptMapping, ParkedNotice, StoreError, Verified};

choice! {
    /// What a broker's lane does.
    pub enum LaneState {
        /// Sends what is due.
        Running = "running",
        /// An operator holds it.
        Paused = "paused",
        /// Its channel fails; the breaker holds it.
        BreakerOpen = "breaker_open",
        /// Its configuration or certificates cannot be used; nothing is sent.
        Disabled = "disabled",
        /// Held for a while: the broker asked for it, or something of ours is not available.
        Held = "held",
        /// The process is ending.
        Stopping = "stopping",
    }
}
choice! {
    /// Where a broker's breaker stands.
    pub enum BreakerState {
        /// Calls go through.
        Closed = "closed",
        /// One call probes.
        HalfOpen = "half_open",
        /// No call goes out.
        Open = "open",
    }
}

impl BreakerState {
    /// As the metric `preclear_breaker_state` shows it.
    pub fn gauge(self) -> f64 {
        match self {
            Self::Closed => 0.0,
            Self::HalfOpen => 1.0,
            Self::Open => 2.0,
        }
    }
}

choice! {
    /// Why a notice is parked.
    pub enum ParkedState {
        /// It could not be read.
        Unreadable = "unreadable",
        /// No item is known for it yet.
        Orphan = "orphan",
        /// It holds nothing but codes that the mapping has no row for.
        UnknownCode = "unknown_code",
    }
}

/// A broker's lane as it stands.
#[derive(Debug, Clone)]
pub struct Lane {
    /// Broker.
    pub broker: String,
    /// What it does.
    pub state: LaneState,
    /// Why, where it does not run.
    pub reason: Option<String>,
    /// Since when it is in this state, where known.
    pub since: Option<Timestamp>,
    /// Its breaker.
    pub breaker: BreakerState,
    /// Messages on the wire.
    pub in_flight: u64,
    /// Why no message can be made for it, whatever the lane does: key of the configuration, and what is wrong.
    pub faults: Vec<(String, String)>,
}

/// Which dead letters.
#[derive(Debug, Clone, Default)]
pub struct DeadFilter {
    /// Of one broker only.
    pub broker: Option<String>,
    /// Of one reason only.
    pub reason: Option<DeadReason>,
    /// Of one post only.
    pub post: Option<String>,
    /// At most so many, newest first.
    pub limit: u32,
}

/// What is to become of dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadDeed {
    /// They live again.
    Replay(ReplayMode),
    /// They are taken back for good.
    Purge,
}

/// An order about dead letters.
#[derive(Debug, Clone)]
pub struct DeadOrder {
    /// Which.
    pub selection: DeadSelection,
    /// What is to become of them.
    pub deed: DeadDeed,
    /// Only count them.
    pub dry_run: bool,
    /// Why, in the operator's words.
    pub reason: Option<String>,
}

/// An order to read parked notices again.
#[derive(Debug, Clone)]
pub struct RereadOrder {
    /// Which.
    pub state: ParkedState,
    /// Of this broker only.
    pub broker: Option<String>,
    /// Only count them.
    pub dry_run: bool,
    /// Why, in the operator's words.
    pub reason: Option<String>,
}

/// A mapping that ought to be there.
#[derive(Debug, Clone)]
pub struct LoadedMapping {
    /// Name of its folder.
    pub name: String,
    /// Title; none when nothing serves.
    pub title: Option<String>,
    /// Declared version and hash of the files that serve.
    pub version: Option<String>,
    /// Where they come from.
    pub state: MappingState,
    /// What is wrong with its files: where (`file:line:column`), and what. For a mapping's author: nothing of a declaration.
    pub faults: Vec<(String, String)>,
}

/// What an operator asked for and was not done: nothing has changed.
#[derive(Debug)]
pub enum OpsFault {
    /// The store failed.
    Store(StoreError),
    /// What was to be loaded has faults (file or key, and what is wrong); what was in use stays in use.
    Refused(Vec<(String, String)>),
}

impl From<StoreError> for OpsFault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// The gateway as operators see it.
pub trait OpsSource: Send + Sync + 'static {
    /// Whether the store can commit at this moment.
    fn check(&self) -> BoxFuture<'_, Result<(), StoreError>>;
    /// Messages by broker and state.
    fn backlog(&self) -> BoxFuture<'_, Result<Vec<BacklogRow>, StoreError>>;
    /// Dead letters, newest first.
    fn dead_letters(&self, filter: DeadFilter) -> BoxFuture<'_, Result<Vec<DeadLetter>, StoreError>>;
    /// Carries out an order about dead letters, or counts whom it is about.
    fn settle_dead(&self, order: DeadOrder) -> BoxFuture<'_, Result<Handled, StoreError>>;
    /// Checks all evidence.
    fn verify_audit(&self) -> BoxFuture<'_, Result<Verified, StoreError>>;
    /// Links of the chains of evidence after one of them.
    fn audit_links(&self, after: Option<(Uuid, u64)>, limit: usize) -> BoxFuture<'_, Result<Vec<Link>, StoreError>>;
    /// Acts of operators, newest first.
    fn acts(&self, limit: u32) -> BoxFuture<'_, Result<Vec<ActRow>, StoreError>>;
    /// Parked notices, newest first.
    fn parked_notices(&self, state: ParkedState, limit: u32) -> BoxFuture<'_, Result<Vec<ParkedNotice>, StoreError>>;
    /// Has parked notices read again, or counts them.
    fn reread(&self, order: RereadOrder) -> BoxFuture<'_, Result<Handled, StoreError>>;
    /// Every configured broker's lane.
    fn lanes(&self) -> Vec<Lane>;
    /// Holds a configured broker, durably.
    fn pause(&self, broker: String, reason: Option<String>) -> BoxFuture<'_, Result<(), OpsFault>>;
    /// Lets a configured broker go on, durably.
    fn resume(&self, broker: String, reason: Option<String>) -> BoxFuture<'_, Result<(), OpsFault>>;
    /// Reads a configured broker's certificates anew; keeps the old ones when the new ones cannot be used.
    fn reload_certificates(&self, broker: String) -> BoxFuture<'_, Result<(), OpsFault>>;
    /// Every mapping that ought to be there, by name.
    fn mappings(&self) -> Vec<LoadedMapping>;
    /// Versions of mappings in the store, by name and newest first.
    fn kept_mappings(&self) -> BoxFuture<'_, Result<Vec<KeptMapping>, StoreError>>;
    /// Loads all mappings anew; keeps the old ones when one has faults.
    fn reload_mappings(&self) -> BoxFuture<'_, Result<(), OpsFault>>;
}
