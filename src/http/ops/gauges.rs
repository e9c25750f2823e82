//! The gauges that are set when they are asked for: what they show lies in the store, the lanes and the files.
//!
//! Every configured broker has all its series at all times, at 0 where nothing waits: an alert can tell "nothing" from
//! "not there", and a series that was once there goes back to 0.

use metrics::gauge;

use super::certificates::CertificateStatus;
use super::source::{Lane, LoadedMapping};
use super::views::{BACKLOG_STATES, oldest_due_age};
use crate::catalog::MappingState;
use crate::domain::time::Timestamp;
use crate::metrics::{BROKER_USABLE, MAPPING_STATE};
use crate::store::BacklogRow;

/// Sets what the lanes know.
pub fn set_lanes(lanes: &[Lane]) {
    for lane in lanes {
        gauge!("preclear_breaker_state", "broker" => lane.broker.clone()).set(lane.breaker.gauge());
        gauge!(BROKER_USABLE, "broker" => lane.broker.clone()).set(if lane.faults.is_empty() { 1.0 } else { 0.0 });
    }
}

/// Sets where each mapping that a broker names comes from.
pub fn set_mappings<'n>(names: impl Iterator<Item = &'n String>, mappings: &[LoadedMapping]) {
    for name in names {
        let state = mappings.iter().find(|mapping| mapping.name == *name).map_or(MappingState::Broken, |mapping| mapping.state);
        let value = match state {
            MappingState::Loaded => 0.0,
            MappingState::Stored => 1.0,
            MappingState::Broken => 2.0,
        };
        gauge!(MAPPING_STATE, "mapping" => name.clone()).set(value);
    }
}

/// Sets what the store knows.
#[allow(clippy::cast_precision_loss, reason = "counts and ages are far below 2^53")]
pub fn set_backlog(lanes: &[Lane], backlog: &[BacklogRow], now: Timestamp) {
    for lane in lanes {
        let own = || backlog.iter().filter(|row| row.broker == lane.broker);
        for state in BACKLOG_STATES {
            let count: u64 = own().filter(|row| row.state == *state).map(|row| row.count).sum();
            gauge!("preclear_backlog", "broker" => lane.broker.clone(), "state" => state.as_str()).set(count as f64);
        }
        let age = oldest_due_age(own(), now);
        gauge!("preclear_backlog_oldest_age_seconds", "broker" => lane.broker.clone()).set(age as f64);
    }
}

/// Sets when certificates end. A file that cannot be read has ended: 0.
#[allow(clippy::cast_precision_loss, reason = "seconds of this age are far below 2^53")]
pub fn set_certificates(files: &[CertificateStatus]) {
    for file in files {
        let end = file.not_after.map_or(0.0, |end| end.as_second() as f64);
        gauge!("preclear_certificate_expiry_timestamp_seconds", "name" => file.view.name.clone()).set(end);
    }
}
