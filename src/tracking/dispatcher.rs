//! The dispatcher: carries due events to their targets and writes down how each try went.
//!
//! It holds nothing that matters: what is due stands in the store, so a crash at any moment only
//! means that a try is made again (at least once, under the same `webhook-id`). A row that is on
//! its way is remembered here, so that it is not started twice by one process.
//!
//! Bounds: [`Limits::total`] tries at once over all targets and [`Limits::per_subscription`] to one,
//! so a target that hangs for the whole of its time limit holds a few places and harms no other.
//! Order per item is the store's: it hands out only the first event of an item that is not settled.
//! Waking: by the store's signal, by the next due time, and by a try that ends while others waited
//! for its place. The signal is marked as seen before the store is read, so none is lost.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::ports::Deliveries;
use super::retry::{self, Verdict};
use super::signature;
use crate::domain::ids::SubscriptionId;
use crate::domain::time::{SharedClock, Timestamp};
use crate::metrics::WEBHOOK_DELIVERIES;
use crate::net::webhook_client::{WebhookAnswer, WebhookClient};
use crate::store::{DeliveryRow, DeliverySettlement};

/// How long tries in hand may go on after the stop signal; what is cut off is tried again later.
const DRAIN: Duration = Duration::from_secs(5);
/// How long to leave the store alone after it failed.
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// The longest sleep: a look without a reason, so that no fault of a signal can park an event for good.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// How much goes on at once.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Tries at once.
    pub total: u32,
    /// Tries at once to one subscription.
    pub per_subscription: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { total: 256, per_subscription: 4 }
    }
}

/// How an event leaves the house.
pub trait Transport: Send + Sync + 'static {
    /// Posts a signed body to a target; bounded in time and bytes.
    fn post(&self, url: &str, headers: Vec<(&'static str, String)>, body: Bytes) -> impl Future<Output = WebhookAnswer> + Send;
}

impl Transport for WebhookClient {
    async fn post(&self, url: &str, headers: Vec<(&'static str, String)>, body: Bytes) -> WebhookAnswer {
        Self::post(self, url, &headers, body).await
    }
}

/// The dispatcher of one process.
pub struct Dispatcher<S, T> {
    store: Arc<S>,
    transport: Arc<T>,
    clock: SharedClock,
    limits: Limits,
}

type Key = (SubscriptionId, i64);

/// What is on its way.
#[derive(Default)]
struct InFlight {
    tasks: JoinSet<()>,
    keys: HashMap<Id, Key>,
    /// Tries that the row had when it was started: a row that has more was settled since.
    rows: HashMap<Key, u32>,
    per_subscription: HashMap<SubscriptionId, u32>,
}

impl InFlight {
    fn forget(&mut self, ended: &Result<(Id, ()), JoinError>) {
        let id = match ended {
            Ok((id, ())) => *id,
            Err(error) => error.id(),
        };
        let Some(key) = self.keys.remove(&id) else { return };
        self.rows.remove(&key);
        if let Some(count) = self.per_subscription.get_mut(&key.0) {
            *count -= 1;
            if *count == 0 {
                self.per_subscription.remove(&key.0);
            }
        }
    }

    fn count(&self) -> u32 {
        u32::try_from(self.rows.len()).unwrap_or(u32::MAX)
    }
}

impl<S: Deliveries, T: Transport> Dispatcher<S, T> {
    /// A dispatcher that has not started.
    pub fn new(store: Arc<S>, transport: Arc<T>, clock: SharedClock, limits: Limits) -> Self {
        Self { store, transport, clock, limits }
    }

    /// Works until the stop signal, then lets tries in hand end, for a short time.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut signal = self.store.deliveries_signal();
        let mut flight = InFlight::default();
        let mut look = true;
        let mut crowded = false;
        let mut wake_in = LONGEST_SLEEP;
        while !shutdown.is_cancelled() {
            if look {
                signal.borrow_and_update();
                (crowded, wake_in) = self.fill(&mut flight, &shutdown).await;
            }
            look = tokio::select! {
                () = shutdown.cancelled() => break,
                changed = signal.changed() => {
                    if changed.is_err() { break }
                    true
                }
                Some(ended) = flight.tasks.join_next_with_id() => {
                    flight.forget(&ended);
                    while let Some(ended) = flight.tasks.try_join_next_with_id() {
                        flight.forget(&ended);
                    }
                    crowded
                }
                () = tokio::time::sleep(wake_in) => true,
            };
        }
        let drained = async { while flight.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN, drained).await.is_err() {
            flight.tasks.abort_all();
        }
    }

    /// Starts what is due and has a place. Says whether something had none, and when to look again.
    async fn fill(&self, flight: &mut InFlight, shutdown: &CancellationToken) -> (bool, Duration) {
        let now = self.clock.now();
        // Rows on their way are still due in the store: ask for so many more.
        let wanted = self.limits.total.saturating_add(flight.count());
        let rows = match self.store.due_deliveries(now, self.limits.per_subscription, wanted).await {
            Ok(rows) => rows,
            Err(error) => {
                tracing::warn!(%error, "webhooks wait: the store gives no due deliveries");
                return (true, STORE_PAUSE);
            }
        };
        let mut crowded = false;
        for row in rows {
            let key = (row.subscription_id, row.position);
            if let Some(tries) = flight.rows.get(&key) {
                // Settled and due again before we saw its task end: look again when it has.
                crowded |= *tries != row.attempts;
                continue;
            }
            let busy = flight.per_subscription.get(&row.subscription_id).copied().unwrap_or(0);
            if flight.count() >= self.limits.total || busy >= self.limits.per_subscription {
                crowded = true;
                continue;
            }
            flight.rows.insert(key, row.attempts);
            *flight.per_subscription.entry(row.subscription_id).or_default() += 1;
            let task = flight.tasks.spawn(self.attempt(row, shutdown.clone()));
            flight.keys.insert(task.id(), key);
        }
        // A subscription at its limit can have more rows than were handed out.
        crowded |= flight.per_subscription.values().any(|count| *count >= self.limits.per_subscription);
        (crowded, self.until_next(now).await)
    }

    async fn until_next(&self, now: Timestamp) -> Duration {
        match self.store.next_delivery_due(now).await {
            Ok(Some(due)) => {
                Duration::try_from(due.duration_since(now)).unwrap_or_default().clamp(Duration::from_millis(10), LONGEST_SLEEP)
            }
            Ok(None) => LONGEST_SLEEP,
            Err(_) => STORE_PAUSE,
        }
    }

    /// One try, from signing to the settled row.
    fn attempt(&self, row: DeliveryRow, shutdown: CancellationToken) -> impl Future<Output = ()> + Send + use<S, T> {
        let (store, transport, clock) = (Arc::clone(&self.store), Arc::clone(&self.transport), Arc::clone(&self.clock));
        async move {
            let body = Bytes::from(row.json.clone());
            let headers = signature::headers(&row.secret, &row.event_id, clock.now(), &body);
            let answer = transport.post(&row.url, headers, body).await;
            let tries = row.attempts.saturating_add(1);
            let now = clock.now();
            let verdict = retry::judge(&answer, tries, now, fastrand::f64());
            let (result, settlement) = settlement_of(verdict, now);
            metrics::counter!(WEBHOOK_DELIVERIES, "result" => result).increment(1);
            if !matches!(settlement, DeliverySettlement::Done) {
                let outcome = retry::word_of(&answer);
                tracing::info!(webhook.subscription = %row.subscription_id, webhook.event = %row.event_id, webhook.tries = tries,
                    webhook.outcome = outcome, webhook.result = result, "a webhook target did not take an event");
            }
            // The row is held until it is settled: sending again because our own disk is full would be our fault.
            while let Err(error) = store.settle_delivery(&row, settlement.clone(), now).await {
                tracing::warn!(%error, webhook.event = %row.event_id, "a webhook delivery cannot be settled yet");
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = tokio::time::sleep(STORE_PAUSE) => {}
                }
            }
        }
    }
}

fn settlement_of(verdict: Verdict, now: Timestamp) -> (&'static str, DeliverySettlement) {
    match verdict {
        Verdict::Done => ("delivered", DeliverySettlement::Done),
        Verdict::Again(wait) => ("retry", DeliverySettlement::Retry { due_at: now.checked_add(wait).unwrap_or(Timestamp::MAX) }),
        Verdict::GiveUp => ("given_up", DeliverySettlement::GiveUp),
        Verdict::Gone => ("gone", DeliverySettlement::Gone),
    }
}
