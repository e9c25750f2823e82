//! What operators order: dead letters live again or are purged.
//!
//! An order is carried out in steps of bounded size, each one commit together with its part of the act, so that a mass order holds up nobody; a crash in
//! the middle leaves what was done and what was not, and the same order again does the rest.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Backend, Store, StoreError};
use crate::domain::delivery::DeadReason;
use crate::domain::ids::MessageId;
use crate::domain::operate::ReplayMode;
use crate::domain::time::{Timestamp, rfc3339};

/// Which dead letters an order is about. What is not named is not asked for.
#[derive(Debug, Clone, Default)]
pub struct DeadSelection {
    /// This message.
    pub message_id: Option<MessageId>,
    /// Of this broker.
    pub broker: Option<String>,
    /// With this reason.
    pub reason: Option<DeadReason>,
    /// Of this post.
    pub post: Option<String>,
    /// Dead at this instant or before.
    pub dead_before: Option<Timestamp>,
    /// At most so many, by broker and the longest dead first; all when left out.
    pub limit: Option<u64>,
}

impl DeadSelection {
    /// As an act keeps it: what was asked for, with the mode of a replay.
    pub(super) fn described(&self, mode: Option<ReplayMode>) -> String {
        let mut told = serde_json::Map::new();
        let mut tell = |name: &str, value: Option<serde_json::Value>| {
            if let Some(value) = value {
                told.insert(name.to_owned(), value);
            }
        };
        tell("mode", mode.map(|mode| mode.as_str().into()));
        tell("message_id", self.message_id.map(|id| id.to_string().into()));
        tell("broker", self.broker.clone().map(Into::into));
        tell("reason", self.reason.map(|reason| reason.as_str().into()));
        tell("post", self.post.clone().map(Into::into));
        tell("dead_before", self.dead_before.map(|at| rfc3339(at).into()));
        tell("limit", self.limit.map(Into::into));
        serde_json::Value::Object(told).to_string()
    }
}

/// How dead letters are replayed.
#[derive(Debug, Clone)]
pub struct Replay {
    /// Mode.
    pub mode: ReplayMode,
    /// Time between two messages of one broker, so that a mass replay leaves room for what is new; none for a broker
    /// that is not named.
    pub spacing: BTreeMap<String, Duration>,
}

/// What an order came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Handled {
    /// Rows that the order is about.
    pub matched: u64,
    /// Rows that were changed; 0 for a dry run.
    pub done: u64,
}

/// Orders of operators.
impl Store {
    /// How many dead letters an order would be about, its limit not counted.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn count_dead(&self, selection: DeadSelection) -> Result<u64, StoreError> {
        on!(self, count_dead(selection))
    }

    /// Replays dead letters that were dead when it began.
    ///
    /// With [`ReplayMode::SameBytes`] a message waits for those before it in its filings, and those behind it wait again.
    /// With [`ReplayMode::Remap`] each filing gets one intent, which the station that renders carries out.
    ///
    /// # Errors
    /// When nothing can be committed; what was done before stays done.
    pub async fn replay_dead(&self, selection: DeadSelection, replay: Replay, reason: Option<String>) -> Result<Handled, StoreError> {
        on!(self, replay_dead(selection, replay, reason))
    }

    /// Takes dead letters back for good; bytes and attempts stay. What waited behind them goes on.
    ///
    /// # Errors
    /// When nothing can be committed; what was done before stays done.
    pub async fn purge_dead(&self, selection: DeadSelection, reason: String) -> Result<Handled, StoreError> {
        on!(self, purge_dead(selection, reason))
    }
}
