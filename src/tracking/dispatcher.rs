//! The dispatcher: carries due events to their targets and writes down how each try went.
//!
//! It holds nothing that matters: what is due stands in the store, so a crash at any moment only
//! means that a try is made again (at least once, under the same `webhook-id`). A row that is on
//! its way is remembered here, so that it is not started twice by one process.
//!
//! Bounds: [`Limits::total`] tries at once; of them the store hands out only a share to one target
//! (those in hand counted), so a target that hangs for the whole of its time limit harms no other.
//! Order per item is the store's too: only the oldest event of an item that is not settled is due.
//! Waking: by the store's signal, by the next due time, and by every try that ends (it gave a place
//! back). The signal is marked as seen before the store is read, so none is lost.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::ports::{Deliveries, DeliveryKey};
use super::retry::{self, Verdict};
use super::signature;
use crate::domain::time::{SharedClock, Timestamp};
use crate::fault_points;
use crate::metrics::WEBHOOK_DELIVERIES;
use crate::net::webhook_client::{WebhookAnswer, WebhookClient};
use crate::store::{DeliveryRow, DeliverySettlement};

/// How long to leave the store alone after it failed.
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// The shortest sleep before a due time: the store keeps whole milliseconds.
const SHORTEST_SLEEP: Duration = Duration::from_millis(5);
/// The longest sleep: a look without a reason, so that no fault of a signal can park an event for good.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// How much goes on at once.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Tries at once over all targets.
    pub total: usize,
    /// How long tries in hand may go on after the stop signal; what is cut off is tried again later.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { total: 512, drain: Duration::from_secs(5) }
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

/// What is on its way.
#[derive(Default)]
struct InFlight {
    tasks: JoinSet<()>,
    keys: HashMap<Id, DeliveryKey>,
    rows: HashSet<DeliveryKey>,
}

impl InFlight {
    fn forget(&mut self, ended: &Result<(Id, ()), JoinError>) {
        let id = match ended {
            Ok((id, ())) => *id,
            Err(error) => error.id(),
        };
        if let Some(key) = self.keys.remove(&id) {
            self.rows.remove(&key);
        }
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
        while !shutdown.is_cancelled() {
            // Seen first, read second: what is committed in between wakes us again.
            signal.borrow_and_update();
            let wake_in = self.fill(&mut flight, &shutdown).await;
            tokio::select! {
                () = shutdown.cancelled() => break,
                changed = signal.changed() => if changed.is_err() { break },
                Some(ended) = flight.tasks.join_next_with_id() => {
                    flight.forget(&ended);
                    while let Some(ended) = flight.tasks.try_join_next_with_id() {
                        flight.forget(&ended);
                    }
                }
                () = tokio::time::sleep(wake_in) => {}
            }
        }
        let drained = async { while flight.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(self.limits.drain, drained).await.is_err() {
            flight.tasks.abort_all();
        }
    }

    /// Starts what is due and has a place; says when to look again without a reason.
    async fn fill(&self, flight: &mut InFlight, shutdown: &CancellationToken) -> Duration {
        let places = self.limits.total.saturating_sub(flight.rows.len());
        if places == 0 {
            return LONGEST_SLEEP;
        }
        let now = self.clock.now();
        let rows = match self.store.due_deliveries(now, flight.rows.clone(), places).await {
            Ok(rows) => rows,
            Err(error) => {
                tracing::warn!(%error, "webhooks wait: the store gives no due deliveries");
                return STORE_PAUSE;
            }
        };
        for row in rows {
            let key = (row.subscription_id, row.position);
            if flight.rows.insert(key) {
                let task = flight.tasks.spawn(self.attempt(row, shutdown.clone()));
                flight.keys.insert(task.id(), key);
            }
        }
        // What is due already is in hand, or waits for a place: the end of a try wakes us for that.
        match self.store.next_delivery_due(now).await {
            Ok(None) => LONGEST_SLEEP,
            Ok(Some(due)) => Duration::try_from(due.duration_since(now)).unwrap_or_default().clamp(SHORTEST_SLEEP, LONGEST_SLEEP),
            Err(_) => STORE_PAUSE,
        }
    }

    /// One try, from signing to the settled row.
    fn attempt(&self, row: DeliveryRow, shutdown: CancellationToken) -> impl Future<Output = ()> + Send + use<S, T> {
        let (store, transport, clock) = (Arc::clone(&self.store), Arc::clone(&self.transport), Arc::clone(&self.clock));
        async move {
            let body = Bytes::from(row.json.clone());
            let headers = signature::headers(&row.secret, &row.event_id, clock.now(), &body);
            fault_points::pass("tracking.before_post");
            let answer = transport.post(&row.url, headers, body).await;
            fault_points::pass("tracking.after_post");
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
