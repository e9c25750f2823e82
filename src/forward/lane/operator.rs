//! The side of a lane that operators see and act on: pause, resume, new certificates, and the state shown.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::Instant;

use super::super::lanes::LaneError;
use super::super::ports::{Mappings, Outbox};
use super::super::status::LaneState;
use super::{Command, FILES_EVERY, Lane};
use crate::domain::breaker::State;
use crate::net::client::BrokerClient;
use crate::net::line::Standing;
use crate::net::tls::{MaterialFault, Part, Why};

impl<O: Outbox, M: Mappings> Lane<O, M> {
    /// Reads the files of the broker. What is in use stays so when the new ones cannot be used.
    pub(super) async fn load(&mut self) -> Result<(), MaterialFault> {
        self.files_at = Instant::now() + FILES_EVERY;
        let (config, now) = (Arc::clone(&self.config), self.clock.now());
        let unusable = MaterialFault { part: Part::Certificate, why: Why::Unusable };
        let loaded = tokio::task::spawn_blocking(move || BrokerClient::new(&config, now)).await.unwrap_or(Err(unusable));
        match loaded {
            Ok(client) => self.client = Ok(client),
            Err(fault) => {
                if self.client.is_err() {
                    self.client = Err(fault);
                }
                return Err(fault);
            }
        }
        Ok(())
    }

    pub(super) async fn obey(&mut self, command: Command) {
        let (result, answer) = match command {
            Command::Pause { reason, answer } => {
                let result = self.outbox.pause(&self.name, reason.clone()).await.map_err(LaneError::Store);
                if result.is_ok() {
                    self.paused = Some(Some(reason));
                    self.ready.clear();
                }
                (result, answer)
            }
            Command::Resume { answer } => {
                let result = self.outbox.resume(&self.name).await.map_err(LaneError::Store);
                if result.is_ok() {
                    self.paused = Some(None);
                    self.line.empty();
                }
                (result, answer)
            }
            Command::Reload { answer } => {
                let result = self.load().await;
                if let Err(fault) = result {
                    tracing::error!(broker = %self.name, reason = fault.as_str(), "new certificate files cannot be used; those in use stay");
                }
                (result.map_err(LaneError::Material), answer)
            }
        };
        self.show();
        // An operator who went away gets no answer.
        let _ = answer.send(result.map(|()| self.sign.status()));
    }

    /// Shows what the lane does now, and closes or opens the door for what is in hand.
    pub(super) fn show(&mut self) {
        let (state, reason, until) = self.state();
        self.door.store(matches!(state, LaneState::Ready | LaneState::HalfOpen), Ordering::SeqCst);
        self.line.publish(self.standing(state, until));
        let gauge = metrics::gauge!("preclear_breaker_state", "broker" => self.name.clone());
        gauge.set(self.breaker.state().gauge());
        self.sign.show(state, reason, until, self.tasks.len(), self.clock.now());
    }

    /// How the line stands for those who ask for notices: they may go when a message might, and need not wait
    /// for a message that tries out whether the breaker may close.
    fn standing(&self, state: LaneState, until: Option<Instant>) -> Standing {
        let Ok(client) = &self.client else { return Standing::Shut };
        let from = match (state, until) {
            (LaneState::Ready, _) => None,
            (LaneState::HalfOpen, _) if self.tasks.is_empty() => None,
            (LaneState::Open | LaneState::Held, Some(until)) => Some(until),
            _ => return Standing::Shut,
        };
        Standing::Open { client: Box::new(client.clone()), from }
    }

    fn state(&self) -> (LaneState, Option<String>, Option<Instant>) {
        if self.stop.is_cancelled() {
            return (LaneState::Stopping, None, None);
        }
        match (&self.paused, &self.client) {
            (Some(Some(reason)), _) => return (LaneState::Paused, reason.clone(), None),
            (Some(None), Err(fault)) => return (LaneState::Disabled, Some(fault.as_str().to_owned()), None),
            _ => {}
        }
        if let State::Open { until, reason } = self.breaker.state() {
            return (LaneState::Open, Some(reason.as_str().to_owned()), Some(self.began + until));
        }
        if let Some(hold) = &self.hold {
            return (LaneState::Held, Some(hold.reason.to_owned()), Some(hold.until));
        }
        match (self.breaker.state(), &self.paused) {
            (_, None) => (LaneState::Held, Some("starting".to_owned()), None),
            (State::HalfOpen(reason), _) => (LaneState::HalfOpen, Some(reason.as_str().to_owned()), None),
            _ => (LaneState::Ready, None, None),
        }
    }
}
