//! The side of a lane that settles doubts at a broker that may not be sent repeats: it is asked, or a person is told.

use super::super::attempt::policy;
use super::super::ports::{Mappings, Outbox};
use super::{Lane, MAPPING_HOLD, Pace, STORE_HOLD};
use crate::domain::delivery::DeadReason;
use crate::domain::retry::ask_again;
use crate::domain::time::Timestamp;
use crate::store::{AttemptRecord, OutboxRow, Settlement};

impl<O: Outbox, M: Mappings> Lane<O, M> {
    /// Asks about a message in doubt as long as it is not given up, and looks again after a while. The question itself is a
    /// message of its own, rendered elsewhere.
    pub(super) async fn resolve(&mut self, row: &OutboxRow) -> Pace {
        let Some(rules) = self.mappings.rules(&row.mapping) else { return self.held("mapping", MAPPING_HOLD) };
        let now = self.clock.now();
        let (policy, age) = (policy(&self.config), self.age(row.first_attempt_at.unwrap_or(now), now));
        if !rules.asks() || age >= policy.give_up_after {
            return self.give_to_a_person(row, now).await;
        }
        let again_at = now.checked_add(ask_again(age, &policy, fastrand::f64())).unwrap_or(Timestamp::MAX);
        match self.outbox.ask(row.message_id, now, again_at).await {
            Ok(()) => Pace::Again,
            Err(_) => self.held("store", STORE_HOLD),
        }
    }

    fn age(&self, first: Timestamp, now: Timestamp) -> std::time::Duration {
        self.holds.lock().unwrap_or_else(std::sync::PoisonError::into_inner).age(first, now)
    }

    async fn give_to_a_person(&mut self, row: &OutboxRow, now: Timestamp) -> Pace {
        let record = AttemptRecord::ours(now, "unresolved");
        let settlement = Settlement::Dead { reason: DeadReason::Unresolved, facts: Vec::new() };
        match self.outbox.settle(row.message_id, record, settlement).await {
            Ok(()) => Pace::Again,
            Err(_) => self.held("store", STORE_HOLD),
        }
    }
}
