//! All lanes of a process, as the rest of the program sees them.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::lane::{Answer, Command, Lane};
use super::ports::{Mappings, Outbox};
use super::status::LaneStatus;
use crate::config::Broker;
use crate::domain::time::SharedClock;
use crate::net::line::Line;
use crate::net::tls::MaterialFault;
use crate::store::StoreError;

/// Longest reason of an operator that is kept.
const MAX_REASON_CHARS: usize = 200;

/// Time before a lane that failed by a fault of ours goes on.
const RESTART_DELAY: Duration = Duration::from_secs(1);

/// Why a lane did not do what an operator asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LaneError {
    /// No such broker is configured.
    #[error("no such broker")]
    UnknownBroker,
    /// The process is ending.
    #[error("the lane is stopping")]
    Stopping,
    /// It could not be made durable; nothing changed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The new certificate, key, CA or secret cannot be used; what was in use before still is.
    #[error(transparent)]
    Material(#[from] MaterialFault),
}

struct Handle {
    commands: mpsc::Sender<Command>,
    status: watch::Receiver<LaneStatus>,
    line: Arc<Line>,
}

/// The lanes, one per broker.
pub struct Lanes {
    handles: BTreeMap<String, Handle>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    stop: CancellationToken,
}

impl Lanes {
    /// Starts a lane for each broker. To be called on a tokio runtime, after the store has recovered
    /// what a crash left.
    pub fn start<O: Outbox, M: Mappings>(
        brokers: &BTreeMap<String, Broker>,
        outbox: &Arc<O>,
        mappings: &Arc<M>,
        clock: &SharedClock,
    ) -> Self {
        let stop = CancellationToken::new();
        let (mut handles, mut tasks) = (BTreeMap::new(), Vec::new());
        for (name, config) in brokers {
            let (commands, receiver) = mpsc::channel(16);
            let lane = Lane::new(
                name.clone(),
                Arc::new(config.clone()),
                Arc::clone(outbox),
                Arc::clone(mappings),
                Arc::clone(clock),
                receiver,
                stop.clone(),
            );
            handles.insert(name.clone(), Handle { commands, status: lane.subscribe(), line: lane.line() });
            tasks.push(tokio::spawn(supervise(lane, name.clone())));
        }
        Self { handles, tasks: Mutex::new(tasks), stop }
    }

    /// The status of every lane, by broker.
    pub fn status(&self) -> Vec<LaneStatus> {
        self.handles.values().map(|handle| handle.status.borrow().clone()).collect()
    }

    /// Follows the status of one lane.
    pub fn watch(&self, broker: &str) -> Option<watch::Receiver<LaneStatus>> {
        self.handles.get(broker).map(|handle| handle.status.clone())
    }

    /// The line of one broker, for those who ask it for notices.
    pub fn line(&self, broker: &str) -> Option<Arc<Line>> {
        self.handles.get(broker).map(|handle| Arc::clone(&handle.line))
    }

    /// Stops sending to a broker, over restarts, until [`Lanes::resume`]. What is in hand is finished.
    ///
    /// # Errors
    /// Unknown broker, or the pause could not be made durable.
    pub async fn pause(&self, broker: &str, reason: Option<&str>) -> Result<LaneStatus, LaneError> {
        let reason = reason.map(|reason| reason.chars().filter(|c| !c.is_control()).take(MAX_REASON_CHARS).collect());
        self.ask(broker, |answer| Command::Pause { reason, answer }).await
    }

    /// Sends again, beginning with no permit in hand.
    ///
    /// # Errors
    /// Unknown broker, or it could not be made durable.
    pub async fn resume(&self, broker: &str) -> Result<LaneStatus, LaneError> {
        self.ask(broker, |answer| Command::Resume { answer }).await
    }

    /// Reads certificate, key, CA and secrets again. New connections use them; what is in hand ends with the old.
    ///
    /// # Errors
    /// Unknown broker, or files that cannot be used: then the old ones stay in use.
    pub async fn reload_certificates(&self, broker: &str) -> Result<LaneStatus, LaneError> {
        self.ask(broker, |answer| Command::Reload { answer }).await
    }

    async fn ask(&self, broker: &str, command: impl FnOnce(oneshot::Sender<Answer>) -> Command) -> Result<LaneStatus, LaneError> {
        let handle = self.handles.get(broker).ok_or(LaneError::UnknownBroker)?;
        let (sender, answer) = oneshot::channel();
        handle.commands.send(command(sender)).await.map_err(|_| LaneError::Stopping)?;
        answer.await.unwrap_or(Err(LaneError::Stopping))
    }

    /// Takes nothing new and waits, at most `limit`, until what is in hand is finished and settled.
    /// Returns how many messages were cut off; they are in doubt after the next start.
    pub async fn shutdown(&self, limit: Duration) -> usize {
        self.stop.cancel();
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        let aborts: Vec<_> = tasks.iter().map(JoinHandle::abort_handle).collect();
        let all = futures_util::future::join_all(tasks);
        if tokio::time::timeout(limit, all).await.is_ok() {
            return 0;
        }
        let left = self.handles.values().map(|handle| handle.status.borrow().in_flight).sum();
        tracing::warn!(in_flight = left, "messages in hand were cut off by the end of the process; they will be in doubt");
        aborts.iter().for_each(tokio::task::AbortHandle::abort);
        left
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Runs a lane; a panic in it is a fault of ours that must not end the broker's service unseen.
async fn supervise<O: Outbox, M: Mappings>(mut lane: Lane<O, M>, name: String) {
    while AssertUnwindSafe(lane.run()).catch_unwind().await.is_err() {
        tracing::error!(broker = %name, "a lane failed by a fault of ours; it goes on");
        tokio::time::sleep(RESTART_DELAY).await;
    }
}
