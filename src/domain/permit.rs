//! How much of a broker's permit we use: always a little less than we may.
//!
//! Why it exists: promise P4 is counted at the broker, not at us. A generic cell rate limiter with
//! rate *r* and burst *b* lets at most *b* + *r* × *w* messages go in any window *w*. On the way they
//! are delayed unevenly: what arrives within one second left us within one second and the spread *j* of
//! the delays, so up to *b* + *r* × (1 + *j*) messages. A limiter set to the very figures of the
//! contract would therefore break it with the first uneven delay.
//!
//! So we keep back 4 % of the rate and a fifth of the burst; [`jitter_tolerance`] says what spread
//! that pays for: 83 ms at 50 per second with a burst of 10, and never less than 41 ms. More than 90 %
//! of the rate stays in use, which is the other half of P4.
//!
//! Invariants: never above the configured rate or burst; never zero.
//!
//! Must not: hold state or read a clock. A limiter made from this starts *empty*: see `forward`.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::Quota;

/// Share of the rate that is used.
const RATE_SHARE: f64 = 0.96;

/// The quota for a permit of `per_second` in the long run and `burst` at once (both at least 1).
pub fn quota(per_second: u64, burst: u64) -> Quota {
    let period = Duration::from_secs_f64(1.0 / (rate(per_second) * RATE_SHARE));
    let burst = NonZeroU32::new(used_burst(burst)).unwrap_or(NonZeroU32::MIN);
    // No period is zero: the rate is at most a thousand million per second, so it is 1 ns or more.
    Quota::with_period(period.max(Duration::from_nanos(1))).unwrap_or(Quota::per_hour(NonZeroU32::MIN)).allow_burst(burst)
}

/// The spread of delays on the way that cannot make a second at the broker exceed the permit.
pub fn jitter_tolerance(per_second: u64, burst: u64) -> Duration {
    let used = rate(per_second) * RATE_SHARE;
    let burst = burst.clamp(1, MAX);
    let spare = rate(per_second) - used + f64::from(u32::try_from(burst).unwrap_or(u32::MAX) - used_burst(burst));
    Duration::from_secs_f64(spare / used)
}

/// The greatest figure that the configuration allows.
const MAX: u64 = 1_000_000_000;

#[allow(clippy::cast_precision_loss, reason = "at most a thousand million")]
fn rate(per_second: u64) -> f64 {
    per_second.clamp(1, MAX) as f64
}

fn used_burst(burst: u64) -> u32 {
    let burst = burst.clamp(1, MAX);
    u32::try_from((burst - burst / 5).max(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use governor::clock::{Clock, FakeRelativeClock, Reference};
    use governor::{NotUntil, RateLimiter};
    use proptest::prelude::*;

    use super::*;

    /// Takes permits as fast as they come for `seconds`; times in nanoseconds.
    fn take_all(per_second: u64, burst: u64, seconds: u64, idle_at: Option<u64>) -> Vec<u64> {
        let clock = FakeRelativeClock::default();
        let limiter = RateLimiter::direct_with_clock(quota(per_second, burst), clock.clone());
        let start = clock.now();
        let mut taken = Vec::new();
        let mut idle_at = idle_at;
        loop {
            let now = clock.now().duration_since(start).as_u64();
            if now > seconds * 1_000_000_000 {
                return taken;
            }
            if idle_at.is_some_and(|at| now > at * 1_000_000_000) {
                idle_at = None;
                clock.advance(Duration::from_secs(2)); // the bucket fills
                continue;
            }
            match limiter.check() {
                Ok(()) => taken.push(now),
                Err(until) => clock.advance(NotUntil::wait_time_from(&until, clock.now()).max(Duration::from_nanos(1))),
            }
        }
    }

    /// The most that any window of one second holds.
    fn fullest_second(mut times: Vec<u64>) -> usize {
        times.sort_unstable();
        let mut start = 0;
        (0..times.len())
            .map(|end| {
                while times[end] - times[start] >= 1_000_000_000 {
                    start += 1;
                }
                end - start + 1
            })
            .max()
            .unwrap_or(0)
    }

    #[test]
    fn no_second_at_the_broker_exceeds_the_permit_and_most_of_it_is_used() {
        for (per_second, burst) in [(1, 1), (2, 1), (10, 1), (50, 10), (50, 1), (100, 100), (500, 20), (3, 7)] {
            let times = take_all(per_second, burst, 40, Some(20));
            let limit = (per_second + burst) as usize;
            assert!(fullest_second(times.clone()) <= limit);
            let used = times.len() as f64 / (38 * per_second) as f64;
            assert!(used >= 0.9, "{per_second} {burst}: {used}");
        }
    }

    proptest! {
        #[test]
        fn uneven_delays_within_the_tolerance_do_not_break_it(seed in any::<u64>(), index in 0usize..5) {
            let (per_second, burst) = [(10, 1), (50, 10), (50, 1), (100, 100), (200, 5)][index];
            let spread = jitter_tolerance(per_second, burst).as_nanos() as u64;
            let mut random = fastrand::Rng::with_seed(seed);
            let arrived = take_all(per_second, burst, 10, Some(4)).into_iter().map(|at| at + random.u64(0..spread)).collect();
            prop_assert!(fullest_second(arrived) <= (per_second + burst) as usize);
        }
    }

    #[test]
    fn the_tolerance_is_what_the_text_says() {
        assert_eq!(jitter_tolerance(50, 10).as_millis(), 83);
        assert_eq!(jitter_tolerance(1, 1).as_millis(), 41);
        assert!(jitter_tolerance(1_000_000_000, 1_000_000_000) > Duration::from_millis(41));
    }
}
