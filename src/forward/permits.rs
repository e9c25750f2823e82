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
pub(super) struct Permits {
    limiter: DefaultDirectRateLimiter,
    clock: DefaultClock,
}

impl Permits {
    /// An empty limiter.
    pub(super) fn empty(rate: &Rate) -> Self {
        let quota = permit::quota(rate.per_second, rate.burst);
        let permits = Self { limiter: RateLimiter::direct(quota), clock: DefaultClock::default() };
        // A whole burst is always within the capacity; taking it empties the limiter.
        let _ = permits.limiter.check_n(quota.burst_size());
        permits
    }

    /// Takes a permit, or says how long there is none.
    pub(super) fn take(&self) -> Result<(), Duration> {
        self.limiter.check().map_err(|until| until.wait_time_from(self.clock.now()))
    }

    /// Takes a permit when there is one.
    pub(super) async fn wait(&self) {
        while let Err(wait) = self.take() {
            tokio::time::sleep(wait).await;
        }
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
