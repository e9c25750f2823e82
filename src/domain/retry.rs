//! What becomes of a message after a try: when to try again, when to give up, and how long a broker asked to be left alone.
//!
//! Why it exists: many messages that failed together must not come back together (full jitter), a
//! broker that names a time is believed within reason, and an outage of the channel must not eat the
//! time that a message is given.
//!
//! Invariants: a delay is never above the policy's maximum; the give-up clock counts from the first
//! spent try and stands still while the broker is held; an unreadable `Retry-After` is no `Retry-After`.
//!
//! Must not: read a clock or make randomness; both come in as values.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::civil::DateTime;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;

use super::delivery::{DeadReason, Outcome};
use super::time::Timestamp;

/// Longest time that a broker can make us wait by `Retry-After`. A broker in maintenance says
/// minutes; days are a mistake that would stop a post's mail unseen.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// Shortest: a broker that asks for a pause of nothing gets one that it can notice.
pub const MIN_RETRY_AFTER: Duration = Duration::from_secs(1);

/// A wall clock that is this far from where it should be has leaped.
pub const LEAP: Duration = Duration::from_secs(2);

/// Holds remembered; when there are more, the two oldest become one.
const MAX_HOLDS: usize = 1024;

/// How a broker's messages are tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Upper bound of the first delay.
    pub first: Duration,
    /// Upper bound of every delay.
    pub max: Duration,
    /// Time from the first spent try, without holds, after which a message is given up.
    pub give_up_after: Duration,
}

/// The delay after a number of spent tries: capped exponential with full jitter, that is a random
/// share of `min(max, first × 2^(attempts − 1))`. `random` is from 0 to 1.
pub fn delay(attempts: u32, policy: &Policy, random: f64) -> Duration {
    let factor = 1u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX);
    let bound = policy.first.saturating_mul(factor).min(policy.max);
    bound.mul_f64(if random.is_finite() { random.clamp(0.0, 1.0) } else { 1.0 })
}

/// Reads `Retry-After` (RFC 9110, 10.2.3): seconds or a date. A date counts from the answer's own
/// `Date`, so that a clock that differs from ours does not matter, else from `now`. The result is
/// clamped to [`MIN_RETRY_AFTER`] … [`MAX_RETRY_AFTER`].
pub fn retry_after(value: &str, date: Option<&str>, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    let asked = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        let until = http_date(value)?;
        let from = date.and_then(|date| http_date(date.trim())).unwrap_or(now);
        span(from, until)
    };
    Some(asked.clamp(MIN_RETRY_AFTER, MAX_RETRY_AFTER))
}

/// An HTTP date in any of its three forms (RFC 9110, 5.6.7).
fn http_date(text: &str) -> Option<Timestamp> {
    const FORMS: [&str; 3] = ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];
    let read = |form: &&str| -> Option<DateTime> { strtime::parse(form, text).ok()?.to_datetime().ok() };
    FORMS.iter().find_map(read)?.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

/// From one instant to a later one; nothing when it is not later.
pub fn span(from: Timestamp, to: Timestamp) -> Duration {
    Duration::from_millis(u64::try_from(to.as_millisecond().saturating_sub(from.as_millisecond())).unwrap_or(0))
}

/// Time that is left of a hold which was noted at `at` and ends at `until`; none when it is over.
///
/// The wall clock may have been put back or forward since (a restart lies between, so there is no other): never longer than
/// the hold was, never longer than [`MAX_RETRY_AFTER`].
pub fn hold_left(at: Timestamp, until: Timestamp, now: Timestamp) -> Option<Duration> {
    let left = span(now, until).min(span(at, until)).min(MAX_RETRY_AFTER);
    (!left.is_zero()).then_some(left)
}

/// The longest time for which a message can be due later. What is due later than that was noted before the clock was put back.
pub fn farthest(policy: &Policy) -> Duration {
    policy.max.max(MAX_RETRY_AFTER)
}

/// The time until a broker is asked again about a message that has been in doubt for `age`: as long as the doubt has lasted, so
/// that questions become rare, within the policy's bounds; `random` from 0 to 1 takes up to half of it away.
pub fn ask_again(age: Duration, policy: &Policy, random: f64) -> Duration {
    let bound = age.clamp(policy.first.min(policy.max), policy.max);
    bound.mul_f64(1.0 - 0.5 * if random.is_finite() { random.clamp(0.0, 1.0) } else { 0.0 })
}

/// How far the wall clock leaped while `elapsed` went by on a clock that does not leap: the instant that it should have
/// shown. None when it went as it should, within [`LEAP`]: a clock that is steered gently does not leap.
pub fn leaped(before: Timestamp, elapsed: Duration, now: Timestamp) -> Option<Timestamp> {
    let expected = before.checked_add(elapsed).unwrap_or(Timestamp::MAX);
    (span(expected, now) > LEAP || span(now, expected) > LEAP).then_some(expected)
}

/// When a broker was held (breaker, pause, its own wish, no certificate): the give-up clock of its
/// messages stood still then. Kept for the life of the process.
#[derive(Debug, Default)]
pub struct Holds {
    over: VecDeque<(Timestamp, Timestamp)>,
    since: Option<Timestamp>,
}

impl Holds {
    /// Notes whether the broker is held now; to be called at every change.
    pub fn note(&mut self, held: bool, now: Timestamp) {
        match (self.since, held) {
            (None, true) => self.since = Some(now),
            (Some(since), false) => {
                self.since = None;
                if since < now {
                    self.over.push_back((since, now));
                }
                self.bound();
            }
            _ => {}
        }
    }

    /// Notes that the wall clock was put forward: nobody tried anything in the time that it left out.
    pub fn leap(&mut self, from: Timestamp, to: Timestamp) {
        // A hold that goes on now covers it.
        if self.since.is_none() && from < to {
            self.over.push_back((from, to));
            self.bound();
        }
    }

    /// Joins the oldest two; the time between them then counts as held, which gives a message more
    /// time and never less.
    fn bound(&mut self) {
        if self.over.len() > MAX_HOLDS
            && let (Some((from, _)), Some((_, to))) = (self.over.pop_front(), self.over.pop_front())
        {
            self.over.push_front((from, to));
        }
    }

    /// The age of a message whose first spent try began at `first`, without the time held.
    pub fn age(&self, first: Timestamp, now: Timestamp) -> Duration {
        let running = self.since.map(|since| (since, now));
        let held = self.over.iter().copied().chain(running).map(|(from, to)| span(from.max(first), to.min(now))).sum();
        span(first, now).saturating_sub(held)
    }
}

/// The age of a message as far as it can be believed: each try accounts for one delay and one exchange at most. The rest was
/// waiting for a permit, a process that did not run, or a clock that was put forward, and gives up nothing.
pub fn believed_age(age: Duration, attempts: u32, policy: &Policy, timeout: Duration) -> Duration {
    age.min((policy.max + timeout).saturating_mul(attempts))
}

/// What a lane knows of a message beside the outcome of its newest try.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// Whether an earlier try left it in doubt.
    pub was_in_doubt: bool,
    /// Whether the broker drops repeats of one message id.
    pub idempotent: bool,
    /// Whether the broker can be asked whether it has a message.
    pub asks: bool,
    /// Tries spent, this one included; from 1.
    pub attempts: u32,
    /// Time since the first spent try, without the time that breaker or pause held.
    pub age: Duration,
    /// A random share from 0 to 1 for the jitter.
    pub random: f64,
}

/// What becomes of a message after a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The broker has it.
    Delivered,
    /// A person has to act.
    Dead(DeadReason),
    /// Back to where it was before the try, due as before; the try does not count.
    Release,
    /// This try was not taken: again. A message that an earlier try left in doubt stays in doubt.
    Retry {
        /// From now.
        after: Duration,
        /// Whether the try counts.
        spent: bool,
    },
    /// The broker is asked whether it has the message: repeats are not dropped there.
    Ask,
    /// The same bytes again under the same id, because the outcome is unknown.
    Resend {
        /// From now.
        after: Duration,
    },
}

/// Decides what becomes of a message.
pub fn next(outcome: Outcome, case: &Case, policy: &Policy) -> Next {
    let delay = delay(case.attempts, policy, case.random);
    let over = case.age >= policy.give_up_after;
    match outcome {
        Outcome::Delivered => Next::Delivered,
        Outcome::Refused => Next::Dead(DeadReason::Refused),
        Outcome::ChannelFault(_) => Next::Release,
        Outcome::InDoubt(_) if over || !(case.idempotent || case.asks) => Next::Dead(DeadReason::Unresolved),
        Outcome::InDoubt(_) if case.idempotent => Next::Resend { after: delay },
        Outcome::InDoubt(_) => Next::Ask,
        Outcome::NotTaken { spent: true, .. } if over && case.was_in_doubt => Next::Dead(DeadReason::Unresolved),
        Outcome::NotTaken { spent: true, .. } if over => Next::Dead(DeadReason::Exhausted),
        Outcome::NotTaken { hold, spent } => Next::Retry { after: hold.unwrap_or(delay), spent },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::delivery::{ChannelFault, Doubt};
    use crate::domain::time::from_millis;

    const MINUTE: Option<Duration> = Some(Duration::from_secs(60));
    const POLICY: Policy =
        Policy { first: Duration::from_secs(1), max: Duration::from_secs(300), give_up_after: Duration::from_secs(172_800) };

    #[test]
    fn the_bound_doubles_up_to_the_maximum() {
        for (attempts, seconds) in [(0, 1), (1, 1), (2, 2), (3, 4), (9, 256), (10, 300), (32, 300), (33, 300), (u32::MAX, 300)] {
            assert_eq!(delay(attempts, &POLICY, 1.0), Duration::from_secs(seconds), "{attempts}");
        }
        assert_eq!(delay(3, &POLICY, 0.25), Duration::from_secs(1));
        assert_eq!(delay(3, &POLICY, 0.0), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn no_delay_is_above_the_maximum(attempts in any::<u32>(), random in any::<f64>()) {
            prop_assert!(delay(attempts, &POLICY, random) <= POLICY.max);
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_is_clamped() {
        let now = from_millis(784_111_777_000); // Sun, 06 Nov 1994 08:49:37 GMT
        for (value, date, seconds) in [
            ("120", None, Some(120)),
            (" 7 ", None, Some(7)),
            ("0", None, Some(1)),
            ("999999999999999999999999", None, Some(3600)),
            ("Sun, 06 Nov 1994 08:50:07 GMT", None, Some(30)),
            ("Sunday, 06-Nov-94 08:50:07 GMT", None, Some(30)),
            ("Sun Nov  6 08:50:07 1994", None, Some(30)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", None, Some(1)),
            ("Mon, 07 Nov 1994 08:49:00 GMT", None, Some(3600)),
            // The broker's clock is a year ahead: its own Date counts.
            ("Mon, 06 Nov 1995 08:50:07 GMT", Some("Mon, 06 Nov 1995 08:49:57 GMT"), Some(10)),
            ("-5", None, None),
            ("1.5", None, None),
            ("", None, None),
            ("soon", None, None),
        ] {
            assert_eq!(retry_after(value, date, now), seconds.map(Duration::from_secs), "{value:?}");
        }
    }

    #[test]
    fn the_age_of_a_message_stands_still_while_its_broker_is_held() {
        let at = |seconds: i64| from_millis(seconds * 1000);
        let mut holds = Holds::default();
        holds.note(false, at(0));
        holds.note(true, at(10));
        holds.note(true, at(15)); // open, then half-open: one hold
        holds.note(false, at(20));
        holds.note(true, at(30));
        for (first, now, seconds) in [(0, 30, 20), (0, 40, 20), (12, 30, 10), (25, 40, 5), (35, 40, 0), (40, 35, 0)] {
            assert_eq!(holds.age(at(first), at(now)), Duration::from_secs(seconds), "{first} {now}");
        }
        // The clock was put back during a hold.
        holds.note(false, at(25));
        assert_eq!(holds.age(at(0), at(30)), Duration::from_secs(20));
    }

    #[test]
    fn a_hold_outlives_a_restart_and_no_leap_of_the_clock_makes_it_longer() {
        let at = |seconds: i64| from_millis(seconds * 1000);
        let day = 86_400;
        // noted at, until, now → seconds left
        for (noted, until, now, left) in [
            (100, 160, 100, Some(60)),
            (100, 160, 130, Some(30)),
            (100, 160, 160, None),
            (100, 160, 100 + 400 * day, None),
            (2 * day, 2 * day + 60, day, Some(60)),
            (0, 10 * day, 0, Some(3600)),
            (160, 100, 90, None),
        ] {
            assert_eq!(hold_left(at(noted), at(until), at(now)), left.map(Duration::from_secs), "{noted} {until} {now}");
        }
    }

    #[test]
    fn a_leap_of_the_clock_is_seen_and_ages_no_message() {
        let at = |seconds: i64| from_millis(seconds * 1000);
        let day = 86_400;
        for (before, elapsed, now, expected) in
            [(100, 5, 105, None), (100, 5, 106, None), (100, 5, 100 + 400 * day, Some(105)), (day, 5, 10, Some(day + 5))]
        {
            assert_eq!(leaped(at(before), Duration::from_secs(elapsed), at(now)), expected.map(at), "{before} {elapsed} {now}");
        }
        let mut holds = Holds::default();
        holds.leap(at(10), at(10 + 400 * day));
        holds.leap(at(20), at(5));
        assert_eq!(holds.age(at(0), at(20 + 400 * day)), Duration::from_secs(20));
        // After a restart nobody knows of the leap; the tries do.
        let timeout = Duration::from_secs(10);
        for (age, attempts, believed) in [(400 * day as u64, 1, 310), (400 * day as u64, 4, 1240), (200, 1, 200)] {
            assert_eq!(believed_age(Duration::from_secs(age), attempts, &POLICY, timeout), Duration::from_secs(believed));
        }
        assert!(believed_age(Duration::MAX, 1000, &POLICY, timeout) > POLICY.give_up_after, "in the end it is given up");
    }

    #[test]
    fn questions_about_a_doubt_become_rare() {
        for (age, random, seconds) in [(0, 0.0, 1), (1, 0.0, 1), (40, 0.0, 40), (40, 1.0, 20), (100_000, 0.0, 300), (100_000, 1.0, 150)] {
            assert_eq!(ask_again(Duration::from_secs(age), &POLICY, random), Duration::from_secs(seconds), "{age} {random}");
        }
    }

    #[test]
    fn many_holds_take_bounded_room_and_never_less_time() {
        let mut holds = Holds::default();
        for index in 0..5000i64 {
            holds.note(true, from_millis(index * 10));
            holds.note(false, from_millis(index * 10 + 4));
        }
        assert_eq!(holds.over.len(), MAX_HOLDS);
        assert!(holds.age(from_millis(0), from_millis(50_000)) <= Duration::from_millis(30_000));
        assert_eq!(holds.age(from_millis(49_900), from_millis(50_000)), Duration::from_millis(60));
    }

    #[test]
    fn what_becomes_of_a_message() {
        let policy = Policy { first: Duration::from_secs(4), max: Duration::from_secs(60), give_up_after: Duration::from_secs(1000) };
        let doubt = Outcome::InDoubt(Doubt::Silence);
        let taken = |hold, spent| Outcome::NotTaken { hold, spent };
        let channel = Outcome::ChannelFault(ChannelFault::Status(401));
        let second = Duration::from_secs(2); // half of the first delay
        let minute = Duration::from_secs(60);
        // outcome, was in doubt, idempotent, give-up time over → next
        for (outcome, was_in_doubt, idempotent, over, expected) in [
            (Outcome::Delivered, true, false, true, Next::Delivered),
            (Outcome::Refused, false, true, false, Next::Dead(DeadReason::Refused)),
            (channel, false, false, true, Next::Release),
            (channel, true, false, true, Next::Release),
            (doubt, false, true, false, Next::Resend { after: second }),
            (doubt, false, true, true, Next::Dead(DeadReason::Unresolved)),
            (doubt, false, false, false, Next::Dead(DeadReason::Unresolved)),
            (taken(None, true), false, false, false, Next::Retry { after: second, spent: true }),
            (taken(None, true), false, false, true, Next::Dead(DeadReason::Exhausted)),
            (taken(None, true), true, true, false, Next::Retry { after: second, spent: true }),
            (taken(None, true), true, true, true, Next::Dead(DeadReason::Unresolved)),
            (taken(MINUTE, false), false, true, true, Next::Retry { after: minute, spent: false }),
            (taken(MINUTE, false), true, true, true, Next::Retry { after: minute, spent: false }),
            (taken(None, false), false, true, true, Next::Retry { after: second, spent: false }),
        ] {
            let age = Duration::from_secs(if over { 1000 } else { 999 });
            let case = Case { was_in_doubt, idempotent, asks: false, attempts: 1, age, random: 0.5 };
            assert_eq!(next(outcome, &case, &policy), expected, "{outcome:?} {case:?}");
            // That it can be asked changes one thing: a doubt where repeats are not dropped.
            let asked = if outcome == doubt && !idempotent && !over { Next::Ask } else { expected };
            assert_eq!(next(outcome, &Case { asks: true, ..case }, &policy), asked, "{outcome:?} {case:?}");
        }
    }
}
