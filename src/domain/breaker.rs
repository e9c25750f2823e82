//! When a broker is left alone for a while.
//!
//! Why it exists: to hammer a broker that is down helps nobody, and each try puts a message in doubt.
//!
//! The machine: **closed** until, of at least `min_calls` within the window, the failed share reaches
//! `failure_share`, or until the channel itself is at fault (then at once, with the reason); **open**
//! for `open_for`; then **half-open**: one probe at a time, and it alone decides. Answers of calls that
//! began before it opened change nothing.
//!
//! Invariants: at most one probe in a half-open period; a successful probe closes it and forgets the
//! window; the reason stands until it closes.
//!
//! Must not: read a clock. Time is a duration since any fixed point that never runs backwards.

use std::collections::VecDeque;
use std::time::Duration;

use super::delivery::{ChannelFault, Outcome};

/// A call that used this share of its time or more counts as failed, whatever it brought: it is one
/// step from silence.
pub const SLOW_SHARE: f64 = 0.9;

/// Calls remembered at most; a full window judges by the newest.
const MAX_CALLS: usize = 10_000;

/// When it opens and for how long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Policy {
    /// Share of failed calls, above 0 and up to 1.
    pub failure_share: f64,
    /// Calls in the window before it judges.
    pub min_calls: usize,
    /// The window.
    pub window: Duration,
    /// Time before a probe.
    pub open_for: Duration,
}

/// Why it opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Too many calls failed.
    FailureShare,
    /// Too many calls failed, most of them by being nearly as slow as silence.
    Slow,
    /// The channel is at fault.
    Channel(ChannelFault),
}

impl Reason {
    /// A word for operators.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FailureShare => "failure_share",
            Self::Slow => "slow",
            Self::Channel(fault) => fault.as_str(),
        }
    }
}

/// How a call counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// The channel works.
    Good,
    /// It did not, this time.
    Failed,
    /// It answered, and took nearly all its time for it: counts as failed.
    Slow,
    /// It says nothing: the broker asked for a pause, or the call was not made after all.
    Neutral,
    /// The channel is at fault.
    Fault(ChannelFault),
}

/// How an outcome counts. A technical refusal is good: the channel works, the message does not.
pub fn judge(outcome: Outcome, took: Duration, timeout: Duration) -> Call {
    let slow = took >= timeout.mul_f64(SLOW_SHARE);
    match outcome {
        Outcome::ChannelFault(fault) => Call::Fault(fault),
        Outcome::InDoubt(_) | Outcome::NotTaken { hold: None, .. } => Call::Failed,
        Outcome::NotTaken { hold: Some(_), .. } => Call::Neutral,
        Outcome::Delivered | Outcome::Refused if slow => Call::Slow,
        Outcome::Delivered | Outcome::Refused => Call::Good,
    }
}

/// The breaker's state as operators and metrics see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Calls go through.
    Closed,
    /// One probe decides.
    HalfOpen(Reason),
    /// No calls.
    Open {
        /// Until when.
        until: Duration,
        /// Why.
        reason: Reason,
    },
}

impl State {
    /// The value of `preclear_breaker_state`: 0 closed, 1 half-open, 2 open.
    pub const fn gauge(self) -> f64 {
        match self {
            Self::Closed => 0.0,
            Self::HalfOpen(_) => 1.0,
            Self::Open { .. } => 2.0,
        }
    }
}

/// Leave to make a call. To be given back with [`Breaker::record`], exactly once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leave {
    /// The half-open period's only call.
    pub probe: bool,
    period: u64,
}

/// What the breaker says to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Make it.
    Go(Leave),
    /// Not before this time.
    WaitUntil(Duration),
    /// A probe is out: wait for it.
    WaitForProbe,
}

/// The breaker of one broker.
#[derive(Debug)]
pub struct Breaker {
    policy: Policy,
    state: State,
    probe_out: bool,
    /// Counts changes of state, so that an answer from another period is known.
    period: u64,
    calls: VecDeque<(Duration, Call)>,
    failed: usize,
    /// Of the failed.
    slow: usize,
}

impl Breaker {
    /// A closed breaker.
    pub fn new(policy: Policy) -> Self {
        Self { policy, state: State::Closed, probe_out: false, period: 0, calls: VecDeque::new(), failed: 0, slow: 0 }
    }

    /// The state.
    pub const fn state(&self) -> State {
        self.state
    }

    /// Asks for leave to make a call.
    pub fn admit(&mut self, now: Duration) -> Admission {
        if let State::Open { until, reason } = self.state {
            if now < until {
                return Admission::WaitUntil(until);
            }
            self.change(State::HalfOpen(reason));
        }
        match self.state {
            State::HalfOpen(_) if self.probe_out => Admission::WaitForProbe,
            State::HalfOpen(_) => {
                self.probe_out = true;
                Admission::Go(Leave { probe: true, period: self.period })
            }
            _ => Admission::Go(Leave { probe: false, period: self.period }),
        }
    }

    /// Takes the result of a call.
    pub fn record(&mut self, leave: Leave, call: Call, now: Duration) {
        if leave.period != self.period {
            return;
        }
        if leave.probe {
            self.probe_out = false;
        }
        match (call, leave.probe) {
            (Call::Neutral, _) => {}
            (Call::Fault(fault), _) => self.open(Reason::Channel(fault), now),
            (Call::Good, true) => self.change(State::Closed),
            (Call::Failed | Call::Slow, true) => self.open(self.reason().unwrap_or(Reason::FailureShare), now),
            (Call::Good | Call::Failed | Call::Slow, false) => self.count(call, now),
        }
    }

    fn reason(&self) -> Option<Reason> {
        match self.state {
            State::Closed => None,
            State::HalfOpen(reason) | State::Open { reason, .. } => Some(reason),
        }
    }

    fn count(&mut self, call: Call, now: Duration) {
        let is_bad = |call: Call| matches!(call, Call::Failed | Call::Slow);
        self.calls.push_back((now, call));
        self.failed += usize::from(is_bad(call));
        self.slow += usize::from(call == Call::Slow);
        let start = now.saturating_sub(self.policy.window);
        while let Some(&(at, old)) = self.calls.front() {
            if at >= start && self.calls.len() <= MAX_CALLS {
                break;
            }
            self.calls.pop_front();
            self.failed -= usize::from(is_bad(old));
            self.slow -= usize::from(old == Call::Slow);
        }
        let count = self.calls.len();
        #[allow(clippy::cast_precision_loss, reason = "at most 10,000 calls")]
        let share = self.failed as f64 / count as f64;
        if is_bad(call) && count >= self.policy.min_calls.min(MAX_CALLS) && share >= self.policy.failure_share {
            self.open(if self.slow * 2 > self.failed { Reason::Slow } else { Reason::FailureShare }, now);
        }
    }

    fn open(&mut self, reason: Reason, now: Duration) {
        self.change(State::Open { until: now + self.policy.open_for, reason });
    }

    fn change(&mut self, state: State) {
        self.state = state;
        self.period += 1;
        self.probe_out = false;
        self.calls.clear();
        (self.failed, self.slow) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::super::delivery::{ConnectFault, Doubt};
    use super::*;

    const POLICY: Policy = Policy { failure_share: 0.5, min_calls: 4, window: Duration::from_secs(30), open_for: Duration::from_secs(5) };
    const FAULT: ChannelFault = ChannelFault::Status(401);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn call(breaker: &mut Breaker, call: Call, now: u64) {
        let Admission::Go(leave) = breaker.admit(at(now)) else { panic!("not admitted at {now}: {breaker:?}") };
        breaker.record(leave, call, at(now));
    }

    #[test]
    fn it_opens_at_the_share_but_not_before_enough_calls() {
        let mut breaker = Breaker::new(POLICY);
        for now in 0..3 {
            call(&mut breaker, Call::Failed, now);
            assert_eq!(breaker.state(), State::Closed);
        }
        call(&mut breaker, Call::Failed, 3);
        assert_eq!(breaker.state(), State::Open { until: at(8), reason: Reason::FailureShare });
        assert_eq!(breaker.admit(at(7)), Admission::WaitUntil(at(8)));
    }

    #[test]
    fn calls_leave_the_window_and_good_ones_dilute_it() {
        let mut breaker = Breaker::new(POLICY);
        for now in [0, 1, 2, 40, 41] {
            call(&mut breaker, Call::Failed, now);
        }
        call(&mut breaker, Call::Good, 42);
        call(&mut breaker, Call::Good, 43);
        call(&mut breaker, Call::Good, 44);
        assert_eq!(breaker.state(), State::Closed, "two failed of five");
        call(&mut breaker, Call::Failed, 45);
        assert!(matches!(breaker.state(), State::Open { .. }), "three of six");
    }

    #[test]
    fn it_opens_on_slowness_and_says_so() {
        let mut breaker = Breaker::new(POLICY);
        for (now, kind) in [(0, Call::Slow), (1, Call::Good), (2, Call::Slow)] {
            call(&mut breaker, kind, now);
            assert_eq!(breaker.state(), State::Closed);
        }
        call(&mut breaker, Call::Slow, 3);
        assert_eq!(breaker.state(), State::Open { until: at(8), reason: Reason::Slow });
        call(&mut breaker, Call::Slow, 8);
        assert_eq!(breaker.state(), State::Open { until: at(13), reason: Reason::Slow }, "a slow probe keeps it open");
        call(&mut breaker, Call::Good, 13);
        // The window is forgotten, and what is slow counts beside what fails.
        for (now, kind) in [(14, Call::Failed), (15, Call::Slow), (16, Call::Failed), (17, Call::Failed)] {
            assert_eq!(breaker.state(), State::Closed);
            call(&mut breaker, kind, now);
        }
        assert_eq!(breaker.state(), State::Open { until: at(22), reason: Reason::FailureShare });
    }

    #[test]
    fn a_fault_of_the_channel_opens_at_once_with_its_reason() {
        let mut breaker = Breaker::new(POLICY);
        call(&mut breaker, Call::Fault(FAULT), 0);
        assert_eq!(breaker.state(), State::Open { until: at(5), reason: Reason::Channel(FAULT) });
    }

    #[test]
    fn one_probe_at_a_time_decides() {
        let mut breaker = Breaker::new(POLICY);
        call(&mut breaker, Call::Fault(FAULT), 0);
        let Admission::Go(probe) = breaker.admit(at(5)) else { panic!("no probe") };
        assert!(probe.probe);
        assert_eq!(breaker.state(), State::HalfOpen(Reason::Channel(FAULT)));
        for now in 5..100 {
            assert_eq!(breaker.admit(at(now)), Admission::WaitForProbe);
        }
        breaker.record(probe, Call::Failed, at(100));
        assert_eq!(breaker.state(), State::Open { until: at(105), reason: Reason::Channel(FAULT) });
        call(&mut breaker, Call::Good, 105);
        assert_eq!(breaker.state(), State::Closed);
    }

    #[test]
    fn a_neutral_probe_leaves_room_for_another() {
        let mut breaker = Breaker::new(POLICY);
        call(&mut breaker, Call::Fault(FAULT), 0);
        call(&mut breaker, Call::Neutral, 5);
        assert!(matches!(breaker.state(), State::HalfOpen(_)));
        call(&mut breaker, Call::Good, 6);
        assert_eq!(breaker.state(), State::Closed);
    }

    #[test]
    fn answers_from_an_earlier_period_change_nothing() {
        let mut breaker = Breaker::new(POLICY);
        let Admission::Go(early) = breaker.admit(at(0)) else { panic!() };
        let Admission::Go(late) = breaker.admit(at(0)) else { panic!() };
        call(&mut breaker, Call::Fault(FAULT), 0);
        breaker.record(early, Call::Good, at(1));
        assert!(matches!(breaker.state(), State::Open { .. }));
        call(&mut breaker, Call::Good, 5);
        breaker.record(late, Call::Fault(FAULT), at(6));
        assert_eq!(breaker.state(), State::Closed);
    }

    #[test]
    fn how_outcomes_count() {
        let timeout = at(10);
        for (outcome, took, expected) in [
            (Outcome::Delivered, 1, Call::Good),
            (Outcome::Delivered, 9, Call::Slow),
            (Outcome::Refused, 10, Call::Slow),
            (Outcome::Refused, 1, Call::Good),
            (Outcome::InDoubt(Doubt::Silence), 10, Call::Failed),
            (Outcome::NotTaken { hold: None, spent: true }, 1, Call::Failed),
            (Outcome::NotTaken { hold: Some(at(1)), spent: false }, 1, Call::Neutral),
            (Outcome::ChannelFault(FAULT), 1, Call::Fault(FAULT)),
            (
                Outcome::ChannelFault(ChannelFault::NotConnected(ConnectFault::Tls)),
                1,
                Call::Fault(ChannelFault::NotConnected(ConnectFault::Tls)),
            ),
        ] {
            assert_eq!(judge(outcome, at(took), timeout), expected, "{outcome:?}");
        }
    }
}
