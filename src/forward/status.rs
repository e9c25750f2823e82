//! What a lane does, as operators see it: a word, a reason and a time for every state in which nothing
//! is sent (promise P12).

use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::choice;
use crate::domain::retry::Holds;
use crate::domain::time::{Timestamp, rfc3339};

choice! {
    /// What a lane does.
    pub enum LaneState {
        /// Sends what is due.
        Ready = "ready",
        /// An operator stopped it.
        Paused = "paused",
        /// Its certificate, key or CA cannot be used: nothing is sent.
        Disabled = "disabled",
        /// The breaker is open.
        Open = "open",
        /// One probe decides whether the breaker closes.
        HalfOpen = "half_open",
        /// Held: the broker asked for a pause, or something of ours is not available.
        Held = "held",
        /// The process is ending.
        Stopping = "stopping",
    }
}

/// The status of a lane. Holds no text of a broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LaneStatus {
    /// Broker.
    pub broker: String,
    /// What it does.
    pub state: LaneState,
    /// Why, when it does not send: a word of ours, or the operator's reason of a pause.
    pub reason: Option<String>,
    /// Since when (RFC 3339).
    pub since: String,
    /// Until when it is held or open, when that is known (RFC 3339).
    pub held_until: Option<String>,
    /// Messages in hand.
    pub in_flight: usize,
    /// When a message was delivered last, in this process (RFC 3339).
    pub last_success_at: Option<String>,
}

/// Keeps the status, tells whoever watches it, writes one line per change, and notes when the give-up
/// clock stands still.
pub(super) struct Sign {
    status: watch::Sender<LaneStatus>,
    holds: Arc<Mutex<Holds>>,
    until: Option<Instant>,
}

impl Sign {
    pub(super) fn new(broker: &str, holds: Arc<Mutex<Holds>>, now: Timestamp) -> Self {
        let status = LaneStatus {
            broker: broker.to_owned(),
            state: LaneState::Held,
            reason: Some("starting".to_owned()),
            since: rfc3339(now),
            held_until: None,
            in_flight: 0,
            last_success_at: None,
        };
        Self { status: watch::Sender::new(status), holds, until: None }
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<LaneStatus> {
        self.status.subscribe()
    }

    pub(super) fn status(&self) -> LaneStatus {
        self.status.borrow().clone()
    }

    /// A message was delivered; shown with the next change.
    pub(super) fn delivered(&self, now: Timestamp) {
        self.status.send_if_modified(|status| {
            status.last_success_at = Some(rfc3339(now));
            false
        });
    }

    pub(super) fn show(&mut self, state: LaneState, reason: Option<String>, until: Option<Instant>, in_flight: usize, now: Timestamp) {
        let held = !matches!(state, LaneState::Ready | LaneState::Stopping);
        self.holds.lock().unwrap_or_else(PoisonError::into_inner).note(held, now);
        let moved = std::mem::replace(&mut self.until, until) != until;
        self.status.send_if_modified(|status| {
            let turned = status.state != state || status.reason != reason;
            if turned {
                tell(&status.broker, state, reason.as_deref());
                // A probe that fails is the same trouble, not a new one.
                let probing = |state| matches!(state, LaneState::Open | LaneState::HalfOpen);
                if !(probing(status.state) && probing(state)) {
                    status.since = rfc3339(now);
                }
            }
            if moved {
                let wait = |until: Instant| until.saturating_duration_since(Instant::now());
                status.held_until = until.map(|until| rfc3339(now.checked_add(wait(until)).unwrap_or(Timestamp::MAX)));
            }
            let changed = turned || moved || status.in_flight != in_flight;
            (status.state, status.reason, status.in_flight) = (state, reason, in_flight);
            changed
        });
    }
}

/// One line per change of state. An operator's words stay out of the log.
fn tell(broker: &str, state: LaneState, reason: Option<&str>) {
    let reason = if state == LaneState::Paused { None } else { reason };
    match state {
        LaneState::Disabled => {
            tracing::error!(broker, state = state.as_str(), reason, "nothing is sent to the broker: its files cannot be used")
        }
        LaneState::Open | LaneState::Held => {
            tracing::warn!(broker, state = state.as_str(), reason, "nothing is sent to the broker for a while")
        }
        _ => tracing::info!(broker, state = state.as_str(), reason, "the lane changed its state"),
    }
}
