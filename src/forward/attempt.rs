//! One attempt, from the durable beginning to the durable end.
//!
//! The permit was taken before; but making the attempt durable takes an uneven time (commits of many
//! messages end together), which would bunch what the limiter had spread out. So just before the wire a
//! second limiter of the same figures evens it out again; it hardly ever waits.
//!
//! What proves us to the broker is in hand before the attempt is begun: a token that is not to be had is the
//! channel's fault and leaves no trace at the message. A token that the broker refuses (401) is fetched anew
//! once in an attempt, and the same bytes go again under a permit of their own.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::headers::headers;
use super::ports::{Outbox, ReplyRules};
use super::reply::{self, Reading};
use crate::config::{Broker, HttpUrl};
use crate::domain::delivery::{DeliveryState, MessageKind, Outcome, ReplyVerdict, WireResult, classify};
use crate::domain::retry::{self, Case, Holds, Next, next};
use crate::domain::time::{SharedClock, Timestamp};
use crate::fault_points;
use crate::net::auth::Grant;
use crate::net::client::{BrokerClient, Exchange, Post};
use crate::net::line::Line;
use crate::store::{AttemptRecord, OutboxRow, Settlement, StoreError};

/// Delays between tries to make an outcome durable.
const FIRST_STORE_DELAY: Duration = Duration::from_millis(50);
const MAX_STORE_DELAY: Duration = Duration::from_secs(5);
/// Faults of ours after which an outcome is settled without what the reply told.
const MAX_STORE_FAULTS: u32 = 3;

/// What an attempt works with.
pub(super) struct Hand<O> {
    pub(super) name: String,
    pub(super) config: Arc<Broker>,
    pub(super) outbox: Arc<O>,
    pub(super) clock: SharedClock,
    pub(super) client: BrokerClient,
    pub(super) rules: Arc<dyn ReplyRules>,
    /// Evens out what the store bunched.
    pub(super) line: Arc<Line>,
    /// Closed when the lane stopped sending after this attempt got its permit.
    pub(super) door: Arc<AtomicBool>,
    pub(super) holds: Arc<Mutex<Holds>>,
}

/// How an attempt ended.
#[derive(Debug)]
pub(super) enum Finished {
    /// Nothing was sent and nothing recorded: withdrawn meanwhile, or the door was closed.
    NotSent,
    /// Nothing was sent, for it could not be made durable.
    StoreFailed,
    /// Sent, or tried to.
    Tried { outcome: Outcome, took: Duration },
}

/// What was seen and read.
struct Seen {
    outcome: Outcome,
    http_status: Option<u16>,
    reading: Reading,
    evidence: Option<(String, bytes::Bytes)>,
}

impl<O: Outbox> Hand<O> {
    /// Carries one message.
    pub(super) async fn carry(self, row: OutboxRow) -> Finished {
        let grant = match self.client.grant().await {
            Ok(grant) => grant,
            Err(fault) => {
                let outcome = classify(&WireResult::NotAuthorised(fault));
                self.count(outcome);
                return Finished::Tried { outcome, took: Duration::ZERO };
            }
        };
        let attempts = match self.outbox.begin_attempt(row.message_id, self.clock.now()).await {
            Ok(Some(attempts)) => attempts,
            Ok(None) => return Finished::NotSent,
            Err(_) => return Finished::StoreFailed,
        };
        fault_points::pass("forward.after_begin");
        self.line.wire().await;
        if !self.door.load(Ordering::SeqCst) {
            self.release(&row).await;
            return Finished::NotSent;
        }
        let started_at = self.clock.now();
        let (exchange, took) = self.exchange(&row, grant).await;
        fault_points::pass("forward.after_send");
        let finished_at = self.clock.now();
        let seen = see(exchange, self.rules.as_ref(), finished_at);
        self.measure(seen.outcome, took);
        let outcome = seen.outcome;
        let first = row.first_attempt_at.unwrap_or(started_at);
        let case = Case {
            was_in_doubt: row.state == DeliveryState::InDoubt,
            // A question may be asked twice, and ends with the doubt that it is about.
            idempotent: self.config.idempotent || row.kind == MessageKind::Query,
            asks: self.rules.asks(),
            attempts,
            age: if row.kind == MessageKind::Query { Duration::ZERO } else { self.age(first, finished_at, attempts) },
            random: fastrand::f64(),
        };
        match next(outcome, &case, &policy(&self.config)) {
            // Nothing left us, so there is nothing to keep but the breaker's reason.
            Next::Release if seen.http_status.is_none() => self.release(&row).await,
            next => {
                fault_points::pass("forward.before_settle");
                self.settle(&row, next, started_at, finished_at, seen).await;
                fault_points::pass("forward.after_settle");
            }
        }
        Finished::Tried { outcome, took }
    }

    /// Sends the message; once more when the broker refused a token and another can be had.
    async fn exchange(&self, row: &OutboxRow, grant: Grant) -> (Exchange, Duration) {
        let began = Instant::now();
        let exchange = self.client.post(self.post(row), &grant).await;
        let took = began.elapsed();
        // 401: the broker did not look at the message, so that sending it again repeats nothing.
        if !matches!(&exchange, Exchange::Answered(reply) if reply.code == 401) {
            return (exchange, took);
        }
        let Some(grant) = self.client.renew(&grant).await else { return (exchange, took) };
        self.line.wire().await;
        if !self.door.load(Ordering::SeqCst) {
            return (exchange, took);
        }
        let began = Instant::now();
        let exchange = self.client.post(self.post(row), &grant).await;
        (exchange, began.elapsed())
    }

    fn age(&self, first: Timestamp, now: Timestamp, attempts: u32) -> Duration {
        let age = self.holds.lock().unwrap_or_else(PoisonError::into_inner).age(first, now);
        retry::believed_age(age, attempts, &policy(&self.config), Duration::from_secs(self.config.timeout_s))
    }

    fn post(&self, row: &OutboxRow) -> Post {
        Post {
            url: url(&self.config, row.kind).0.clone(),
            content_type: row.content_type.clone(),
            body: row.body.clone(),
            headers: headers(row, self.rules.headers()),
        }
    }

    fn count(&self, outcome: Outcome) {
        metrics::counter!("preclear_send_attempts_total", "broker" => self.name.clone(), "outcome" => outcome.as_str()).increment(1);
    }

    fn measure(&self, outcome: Outcome, took: Duration) {
        self.count(outcome);
        metrics::histogram!("preclear_send_duration_seconds", "broker" => self.name.clone()).record(took.as_secs_f64());
    }

    /// Undoes the beginning. When the store stays away, the message is in doubt after the next start:
    /// more than is true, but safe.
    async fn release(&self, row: &OutboxRow) {
        let mut delay = FIRST_STORE_DELAY;
        while let Err(error) = self.outbox.release(row.message_id).await {
            if self.is_hopeless(&error, row) {
                return;
            }
            sleep(delay).await;
            delay = (delay * 2).min(MAX_STORE_DELAY);
        }
    }

    /// Makes the outcome durable, however long the store takes: until then the message stays `sending`.
    async fn settle(&self, row: &OutboxRow, next: Next, started_at: Timestamp, finished_at: Timestamp, seen: Seen) {
        let due_at = |after| finished_at.checked_add(after).unwrap_or(Timestamp::MAX);
        let record = AttemptRecord {
            held_until: seen.outcome.hold().map(due_at),
            started_at,
            finished_at,
            outcome: seen.outcome.detail(),
            http_status: seen.http_status,
            mapping_version: seen.evidence.is_some().then(|| self.rules.version().to_owned()),
            reply: seen.evidence,
        };
        let mut settlement = match next {
            Next::Delivered => Settlement::Delivered { references: seen.reading.references, facts: seen.reading.facts },
            Next::Dead(reason) => Settlement::Dead { reason, facts: seen.reading.facts },
            Next::Release => Settlement::Retry { due_at: finished_at, spent: false },
            Next::Retry { after, spent } => Settlement::Retry { due_at: due_at(after), spent },
            Next::Ask => Settlement::InDoubt { due_at: finished_at },
            Next::Resend { after } => Settlement::InDoubt { due_at: due_at(after) },
        };
        let (mut delay, mut faults) = (FIRST_STORE_DELAY, 0);
        while let Err(error) = self.outbox.settle(row.message_id, record.clone(), settlement.clone()).await {
            if let StoreError::Fault(_) = error {
                faults += 1;
                if faults == MAX_STORE_FAULTS {
                    tracing::error!(broker = %self.name, message_id = %row.message_id, "what the reply told cannot be applied; only the delivery is settled");
                    without_reply(&mut settlement);
                }
            }
            if faults > 2 * MAX_STORE_FAULTS || self.is_hopeless(&error, row) {
                return;
            }
            sleep(delay).await;
            delay = (delay * 2).min(MAX_STORE_DELAY);
        }
    }

    fn is_hopeless(&self, error: &StoreError, row: &OutboxRow) -> bool {
        let closing = matches!(error, StoreError::Closing);
        if closing {
            tracing::warn!(broker = %self.name, message_id = %row.message_id, "the store closed before an outcome was durable; the message will be in doubt");
        }
        closing
    }
}

/// Leaves the delivery, drops what a reply told about it: the reply itself is kept as evidence.
fn without_reply(settlement: &mut Settlement) {
    match settlement {
        Settlement::Delivered { references, facts } => {
            references.clear();
            facts.clear();
        }
        Settlement::Dead { facts, .. } => facts.clear(),
        Settlement::Retry { .. } | Settlement::InDoubt { .. } => {}
    }
}

fn see(exchange: Exchange, rules: &dyn ReplyRules, now: Timestamp) -> Seen {
    let nothing = || Reading { verdict: ReplyVerdict::Unreadable, references: Vec::new(), facts: Vec::new() };
    let without = |wire| Seen { outcome: classify(&wire), http_status: None, reading: nothing(), evidence: None };
    match exchange {
        Exchange::NotSent(fault) => without(WireResult::NotSent(fault)),
        Exchange::NotBegun => without(WireResult::NotBegun),
        Exchange::Cut => without(WireResult::Cut),
        Exchange::Silence => without(WireResult::Silence),
        Exchange::Answered(reply) => {
            let reading = reply::read(&reply, rules);
            let wire = WireResult::Answered { code: reply.code, retry_after: reply.retry_after(now), reply: reading.verdict };
            let evidence = (!reply.body.is_empty()).then(|| (reply.content_type().to_owned(), reply.body.clone()));
            Seen { outcome: classify(&wire), http_status: Some(reply.code), reading, evidence }
        }
    }
}

fn url(config: &Broker, kind: MessageKind) -> &HttpUrl {
    let own = match kind {
        MessageKind::Amendment => config.urls.amendment.as_ref(),
        MessageKind::Cancellation => config.urls.cancellation.as_ref(),
        MessageKind::Presentation => config.urls.presentation.as_ref(),
        MessageKind::Query => config.urls.query.as_ref(),
        MessageKind::Declaration | MessageKind::Answer => None,
    };
    own.unwrap_or(&config.url)
}

/// The retry policy of a broker.
pub(super) fn policy(config: &Broker) -> retry::Policy {
    retry::Policy {
        first: Duration::from_millis(config.retry.first_ms),
        max: Duration::from_millis(config.retry.max_ms),
        give_up_after: Duration::from_secs(config.retry.give_up_after_s),
    }
}
