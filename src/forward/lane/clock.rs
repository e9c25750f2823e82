//! The side of a lane that knows of clocks: what was kept over a restart, and a wall clock that leaps.
//!
//! Due times and holds are kept by the wall clock, for no other outlives the process. It may be put back by a day or forward
//! by a year: then a message must neither wait until that day comes again nor be given up for its seeming age. A running lane
//! sees a leap by a clock that has none; what happened while no lane ran is seen by what cannot be.

use std::sync::PoisonError;

use tokio::time::Instant;

use super::super::attempt::policy;
use super::super::ports::{Mappings, Outbox};
use super::{Lane, Pace, STORE_HOLD};
use crate::domain::retry::{farthest, hold_left, leaped};
use crate::domain::time::Timestamp;
use crate::store::StoreError;

impl<O: Outbox, M: Mappings> Lane<O, M> {
    /// Takes up what the process before left: a pause, a time before which the broker wants nothing.
    pub(super) async fn take_up(&mut self) -> Pace {
        if let Some(hold) = &self.hold
            && Instant::now() < hold.until
        {
            return Pace::Wait(Some(hold.until));
        }
        match self.kept().await {
            Ok((paused, left)) => {
                if let Some(left) = left {
                    self.held("retry_after", left);
                }
                self.paused = Some(paused);
            }
            Err(_) => {
                self.held("store", STORE_HOLD);
            }
        }
        Pace::Again
    }

    async fn kept(&self) -> Result<(Option<Option<String>>, Option<std::time::Duration>), StoreError> {
        let now = self.clock.now();
        self.rein_in(now).await?;
        let left = self.outbox.held(&self.name).await?.and_then(|hold| hold_left(hold.at, hold.until, now));
        Ok((self.outbox.paused(&self.name).await?, left))
    }

    /// Notes a leap of the wall clock since the last look, and mends what it would do to messages.
    pub(super) async fn watch_clock(&mut self) -> Result<(), StoreError> {
        let (now, instant) = (self.clock.now(), Instant::now());
        let (before, at) = self.clocks;
        if let Some(expected) = leaped(before, instant - at, now) {
            let forward = expected < now;
            tracing::warn!(broker = %self.name, forward, "the wall clock leaped; due times are mended");
            self.holds.lock().unwrap_or_else(PoisonError::into_inner).leap(expected, now);
            if !forward {
                // Nothing was due later than that when it was noted, so that what is due later now is due by a clock that is gone.
                self.outbox.hasten(&self.name, now).await?;
            }
        }
        self.clocks = (now, instant);
        Ok(())
    }

    async fn rein_in(&self, now: Timestamp) -> Result<(), StoreError> {
        let farthest = now.checked_add(farthest(&policy(&self.config))).unwrap_or(Timestamp::MAX);
        if self.outbox.rein_in(&self.name, farthest, now).await? > 0 {
            tracing::warn!(broker = %self.name, "messages were due later than any delay reaches; they are due now");
        }
        Ok(())
    }
}
