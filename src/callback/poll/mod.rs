//! The poller: asks a broker for notices where it does not call.
//!
//! A round: ask the poll address; where it answers a list, fetch each entry; store first, then
//! acknowledge. What is stored is read by [`super::reader`] like every other notice, so that what cannot be
//! read is parked and shown, and acknowledged all the same: it is safe with us.
//!
//! Invariants: nothing is acknowledged that is not stored; an acknowledgement that failed or was cut off is
//! repeated in the next round, where the notice is known by its hash; every request, acknowledgements too,
//! goes through the broker's [`Line`] (breaker, then permit); no lock and no transaction is held meanwhile;
//! every answer is bounded.
//!
//! Must not: read a notice, judge the breaker, or log anything that a broker sent.

mod answer;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;

use self::answer::{Failure, Seen, acknowledged, judge};
use super::{Notices, keep};
use crate::config::Broker;
use crate::domain::delivery::TokenFault;
use crate::domain::time::{SharedClock, Timestamp};
use crate::mapping::{MAX_NOTICE_BYTES, Mapping, Poll};
use crate::metrics::{POLL_LAST_SUCCESS, POLLS};
use crate::net::client::{Ask, Exchange, Method};
use crate::net::line::Line;
use crate::store::BrokerHold;

/// Most bytes that are read of the answer to an acknowledgement.
const MAX_ACKNOWLEDGED_BYTES: usize = 64 * 1024;
/// Above this many bytes a list is read on a thread of its own.
const LARGE_BYTES: usize = 64 * 1024;

/// Entries that may fail, each by itself, before a round is given up.
const MOST_LEFT: u32 = 16;

/// What the poller asks of the broker's line.
pub trait Questions: Send + Sync + 'static {
    /// Asks once, when breaker and permit allow it; may wait long.
    fn ask(&self, ask: Ask) -> impl Future<Output = Result<Exchange, TokenFault>> + Send;
    /// The broker asked to be left alone.
    fn hold(&self, time: Duration);
}

impl Questions for Line {
    async fn ask(&self, ask: Ask) -> Result<Exchange, TokenFault> {
        Self::ask(self, ask).await
    }

    fn hold(&self, time: Duration) {
        Self::hold(self, time);
    }
}

/// What the poller asks of the mappings.
pub trait PollRules: Send + Sync + 'static {
    /// A broker's newest good mapping.
    fn mapping(&self, broker: &str) -> Option<Arc<Mapping>>;
}

/// What a round came to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Round {
    /// Notices that we did not have.
    new: u32,
    /// Entries that could not be fetched or acknowledged, by a fault of their own.
    left: u32,
    /// Whether the list is shorter by what was taken.
    acknowledges: bool,
}

impl Round {
    /// Whether there may be more at once: what was new is taken off the list, so that the next round shows the rest.
    const fn goes_on(self) -> bool {
        self.acknowledges && self.new > 0 && self.left == 0
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self { left: 1.., .. } => "incomplete",
            Self { new: 0, .. } => "empty",
            _ => "taken",
        }
    }
}

/// The poller of one broker.
pub struct Poller<S, M, L> {
    broker: String,
    url: url::Url,
    every: Duration,
    longest: Duration,
    store: Arc<S>,
    rules: Arc<M>,
    line: Arc<L>,
    clock: SharedClock,
}

impl<S: Notices, M: PollRules, L: Questions> Poller<S, M, L> {
    /// A poller that has not started; none when the broker is not to be polled.
    pub fn new(broker: &str, config: &Broker, store: Arc<S>, rules: Arc<M>, line: Arc<L>, clock: SharedClock) -> Option<Self> {
        Some(Self {
            broker: broker.to_owned(),
            url: config.urls.poll.as_ref()?.0.clone(),
            every: Duration::from_secs(config.poll.as_ref()?.every_s),
            longest: Duration::from_millis(config.retry.max_ms),
            store,
            rules,
            line,
            clock,
        })
    }

    /// Works until the stop signal. A round in hand is cut off: what was not acknowledged comes again.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut failures = 0;
        let mut shown = None;
        loop {
            let round = tokio::select! {
                () = shutdown.cancelled() => return,
                round = AssertUnwindSafe(self.round()).catch_unwind() => round.unwrap_or_else(|_| Err(Failure::new("fault_of_ours"))),
            };
            self.tell(&round, &mut shown);
            let pause = match round {
                Ok(round) if round.goes_on() => Duration::ZERO,
                Ok(_) => {
                    failures = 0;
                    self.every
                }
                Err(failure) => {
                    failures += 1;
                    if let Some(time) = failure.retry_after {
                        self.line.hold(time);
                        self.keep_hold(time).await;
                    }
                    pause(self.every, self.longest, failures).max(failure.retry_after.unwrap_or_default())
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Keeps over a restart what the line only knows. Without it the broker is asked too early once.
    async fn keep_hold(&self, time: Duration) {
        let at = self.clock.now();
        let hold = BrokerHold { at, until: at.checked_add(time).unwrap_or(Timestamp::MAX) };
        if self.store.hold(&self.broker, hold).await.is_err() {
            tracing::warn!(broker = %self.broker, "the broker's wish to be left alone could not be kept");
        }
    }

    /// Counts a round, and writes one line per change.
    fn tell(&self, round: &Result<Round, Failure>, shown: &mut Option<&'static str>) {
        let broker = self.broker.as_str();
        let (result, fault) = match round {
            Ok(round) => (round.as_str(), (round.left > 0).then_some("entries_left")),
            Err(failure) => ("failed", Some(failure.reason)),
        };
        metrics::counter!(POLLS, "broker" => self.broker.clone(), "result" => result).increment(1);
        if round.is_ok() {
            #[allow(clippy::cast_precision_loss, reason = "milliseconds since 1970 are exact far beyond our time")]
            metrics::gauge!(POLL_LAST_SUCCESS, "broker" => self.broker.clone()).set(self.clock.now().as_millisecond() as f64 / 1000.0);
        }
        match (fault, std::mem::replace(shown, fault)) {
            (Some(reason), before) if before != Some(reason) => {
                tracing::warn!(broker, reason, "asking the broker for notices does not work; it is asked again");
            }
            (None, Some(_)) => tracing::info!(broker, "asking the broker for notices works again"),
            _ => {}
        }
    }

    async fn round(&self) -> Result<Round, Failure> {
        let mapping = self.rules.mapping(&self.broker).ok_or(Failure::new("mapping_unavailable"))?;
        let poll = mapping.poll().ok_or(Failure::new("no_poll_rules"))?;
        let mut round = Round { acknowledges: poll.acknowledges(), ..Round::default() };
        let body = match self.get(&mapping, self.url.clone()).await? {
            Seen::Nothing => return Ok(round),
            Seen::Gone => return Err(Failure::new("not_found")),
            Seen::Refused => return Err(Failure::new("refused")),
            Seen::Body(answer) => answer,
        };
        if !poll.lists() {
            self.take(&mapping, poll, None, body, &mut round).await?;
            return Ok(round);
        }
        for id in entries(&mapping, body.body).await? {
            match self.entry(&mapping, poll, &id, &mut round).await {
                Ok(()) => {}
                // One bad entry does not keep the others from us for ever.
                Err(failure) if failure.alone && round.left < MOST_LEFT => round.left += 1,
                Err(failure) => return Err(failure),
            }
        }
        Ok(round)
    }

    async fn entry(&self, mapping: &Mapping, poll: &Poll, id: &str, round: &mut Round) -> Result<(), Failure> {
        let Some(url) = poll.fetch(&self.url, id) else { return Ok(()) };
        match self.get(mapping, url).await? {
            Seen::Body(answer) => self.take(mapping, poll, Some(id), answer, round).await?,
            // Listed, and not there any more: somebody took it.
            Seen::Gone => {}
            Seen::Nothing | Seen::Refused => round.left += 1,
        }
        Ok(())
    }

    async fn get(&self, mapping: &Mapping, url: url::Url) -> Result<Seen, Failure> {
        self.ask(mapping, Method::GET, url, MAX_NOTICE_BYTES).await.map(|(seen, _)| seen)
    }

    async fn ask(&self, mapping: &Mapping, method: Method, url: url::Url, max_bytes: usize) -> Result<(Seen, u16), Failure> {
        let transport = &mapping.manifest.transport;
        let ask = Ask { method, url, headers: transport.headers.clone(), max_bytes };
        let exchange = self.line.ask(ask).await;
        judge(exchange, transport.conversation_header.as_deref(), self.clock.now())
    }

    /// Stores a notice, then acknowledges it.
    async fn take(&self, mapping: &Mapping, poll: &Poll, id: Option<&str>, answer: answer::Body, round: &mut Round) -> Result<(), Failure> {
        let key = mapping.notice_key(&answer.body);
        let notice = (answer.content_type.as_str(), answer.conversation.as_deref(), answer.body);
        let repeated =
            keep(&*self.store, &self.broker, "poll", notice, key.as_deref(), self.clock.now()).await.map_err(|_| Failure::new("store"))?;
        round.new += u32::from(!repeated);
        let Some((method, url)) = poll.acknowledge(&self.url, id) else { return Ok(()) };
        let method = match method {
            crate::mapping::AcknowledgeMethod::Delete => Method::DELETE,
            crate::mapping::AcknowledgeMethod::Post => Method::POST,
            crate::mapping::AcknowledgeMethod::Put => Method::PUT,
        };
        let (_, code) = self.ask(mapping, method, url, MAX_ACKNOWLEDGED_BYTES).await?;
        round.left += u32::from(!acknowledged(code));
        Ok(())
    }
}

async fn entries(mapping: &Arc<Mapping>, body: Bytes) -> Result<Vec<String>, Failure> {
    if body.len() <= LARGE_BYTES {
        return mapping.poll_entries(&body).map_err(|unreadable| Failure::new(unreadable.reason.as_str()));
    }
    let mapping = Arc::clone(mapping);
    let read = tokio::task::spawn_blocking(move || mapping.poll_entries(&body)).await;
    read.map_err(|_| Failure::new("fault_of_ours"))?.map_err(|unreadable| Failure::new(unreadable.reason.as_str()))
}

/// How long to leave the broker alone after so many failures in a row: twice as long each time, up to
/// `longest`, and never shorter than between two rounds.
fn pause(every: Duration, longest: Duration, failures: u32) -> Duration {
    let factor = 1u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    every.saturating_mul(factor).min(longest.max(every))
}
