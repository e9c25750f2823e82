//! A broker's permits: a limiter that starts empty.
//!
//! Full at the start, it would let a burst go after each restart, resume or take-over, on top of what
//! was sent just before: the broker would count both in one second.

use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, RateLimiter};

use crate::config::Rate;
use crate::domain::permit;

/// The permits of one broker. Queries and polls take from it too.
#[derive(Debug)]
pub struct Permits {
    limiter: DefaultDirectRateLimiter,
    period: Duration,
    clock: DefaultClock,
}

impl Permits {
    /// An empty limiter.
    pub fn empty(rate: &Rate) -> Self {
        let quota = permit::quota(rate.per_second, rate.burst);
        let permits = Self { limiter: RateLimiter::direct(quota), period: quota.replenish_interval(), clock: DefaultClock::default() };
        // A whole burst is always within the capacity; taking it empties the limiter.
        let _ = permits.limiter.check_n(quota.burst_size());
        permits
    }

    /// The time in which one permit grows.
    pub(super) fn period(&self) -> Duration {
        self.period
    }

    /// Takes a permit, or says how long there is none.
    ///
    /// # Errors
    /// The time to wait.
    pub fn take(&self) -> Result<(), Duration> {
        self.limiter.check().map_err(|until| until.wait_time_from(self.clock.now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limiter_starts_empty() {
        let permits = Permits::empty(&Rate { per_second: 1, burst: 100 });
        assert!(permits.take().is_err_and(|wait| wait > Duration::from_millis(900)));
    }
}
