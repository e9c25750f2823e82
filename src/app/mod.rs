//! The whole gateway: build → bind → spawn → drain.
//!
//! [`start`] gives a running gateway inside the caller's runtime; [`Running::stop`] drains it. Order
//! matters at both ends: the store is recovered before a lane looks at it, the listeners open last;
//! at the end readiness falls first, the listeners stay open while what is in hand is finished, and
//! the store closes last.

mod check;
mod desks;
mod listeners;
mod mappings;
mod ports;
mod reread;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use serde::Serialize;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use check::{Finding, check};
pub use mappings::source_of;

use crate::callback::poll::Poller;
use crate::catalog::SharedCatalog;
use crate::config::Config;
use crate::domain::time::SharedClock;
use crate::forward::Lanes;
use crate::http::common::Draining;
use crate::intake::{Intake, Router};
use crate::net::line::Line;
use crate::net::tls;
use crate::net::webhook_client::WebhookClient;
use crate::store::{Store, StoreOptions};
use crate::tracking::dispatcher::{Dispatcher, Limits};
use crate::tracking::overdue::Overdue;

/// Time between two looks for what may be forgotten.
const TIDY_EVERY: Duration = Duration::from_secs(60);
/// Longest time for what is in hand (messages, webhooks) to be settled after the stop signal. With
/// [`listeners::CLOSE_TIMEOUT_S`] and [`STORE_CLOSE`] the end comes within 25 s, whoever hangs.
const DRAIN: Duration = Duration::from_secs(15);
/// Time between readiness falling and the listeners closing, for load balancers to look away.
const LOOK_AWAY: Duration = Duration::from_millis(500);
/// Longest time for the store to copy its log into its file. What is cut off is copied by the next start.
const STORE_CLOSE: Duration = Duration::from_secs(3);

/// Where the listeners are.
#[derive(Debug, Clone, Serialize)]
pub struct Addresses {
    /// For posts.
    pub intake: String,
    /// For brokers.
    pub callbacks: String,
    /// For operators.
    pub ops: String,
}

/// Why the gateway did not start.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StartError(String);

impl StartError {
    fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// A running gateway.
pub struct Running {
    addresses: Addresses,
    draining: Draining,
    shutdown: CancellationToken,
    closing: CancellationToken,
    lanes: Arc<Lanes>,
    servers: listeners::Servers,
    stations: Vec<JoinHandle<()>>,
    store: Store,
}

/// Worker threads of each listener.
pub fn workers() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZero::get).clamp(2, 16)
}

/// The one recorder of metrics of this process.
fn recorder() -> Result<PrometheusHandle, StartError> {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    if let Some(handle) = HANDLE.get() {
        return Ok(handle.clone());
    }
    let fault = |_| StartError::new("the metrics recorder cannot be installed");
    let mut builder = PrometheusBuilder::new();
    for (name, bounds) in crate::metrics::buckets() {
        builder = builder.set_buckets_for_metric(Matcher::Full(name.to_owned()), bounds).map_err(fault)?;
    }
    let handle = builder.install_recorder().map_err(fault)?;
    crate::metrics::describe();
    Ok(HANDLE.get_or_init(|| handle).clone())
}

/// Starts the gateway inside the present runtime.
///
/// # Errors
/// What makes a start pointless: the store, a listener, a routing rule. A broken broker or mapping
/// is an alarm instead: it harms only itself.
pub async fn start(config: Config, clock: SharedClock) -> Result<Running, StartError> {
    tls::install_crypto_provider();
    let metrics = recorder()?;
    let config = Arc::new(config);
    let router = Router::compile(&config).map_err(|faults| {
        let told: Vec<String> = faults.iter().map(|fault| format!("routes.{}.when: {}", fault.rule - 1, fault.detail)).collect();
        StartError::new(told.join("; "))
    })?;
    let store = Store::open(store_options(&config, &clock)?).await.map_err(|error| StartError::new(error.to_string()))?;
    store.recover(clock.now()).await.map_err(|error| StartError::new(error.to_string()))?;
    // After the store: what the files cannot give is there.
    let catalogs = ports::Catalogs::new(mappings::start(&config, &store).await.map_err(|error| StartError::new(error.to_string()))?);

    let (shutdown, closing) = (CancellationToken::new(), CancellationToken::new());
    let draining = Draining::default();
    let shared = Shared { config, clock, store, catalogs, metrics, draining, shutdown, closing };
    shared.run(router).await
}

fn store_options(config: &Config, clock: &SharedClock) -> Result<StoreOptions, StartError> {
    let path = config.store.url.as_str().strip_prefix("sqlite:").ok_or_else(|| StartError::new("store.url: `sqlite:FILE`"))?;
    let reasons = |post: &crate::config::Post| post.retention_reasons.iter().map(|(word, code)| (word.clone(), code.to_string())).collect();
    Ok(StoreOptions {
        max_waiting: usize::try_from(config.intake.max_waiting).unwrap_or(usize::MAX),
        min_free_mb: config.store.min_free_mb,
        retention_reasons: config.posts.iter().map(|(code, post)| (code.clone(), reasons(post))).collect(),
        ..StoreOptions::new(path, Arc::clone(clock))
    })
}

/// What the parts of one gateway share.
#[derive(Clone)]
struct Shared {
    config: Arc<Config>,
    clock: SharedClock,
    store: Store,
    catalogs: ports::Catalogs,
    metrics: PrometheusHandle,
    draining: Draining,
    /// Stations begin nothing new.
    shutdown: CancellationToken,
    /// Streams and long polls end: what the drain settled has been told by then.
    closing: CancellationToken,
}

impl Shared {
    fn catalog(&self) -> SharedCatalog {
        self.catalogs.shared()
    }

    /// Spawns the stations and opens the listeners.
    async fn run(self, router: Router) -> Result<Running, StartError> {
        let webhooks = self.webhook_client()?;
        let intake = Arc::new(Intake::new(&self.config, self.store.clone(), self.catalog(), router, Arc::clone(&self.clock)));
        // Listeners first: an address in use must not leave lanes running.
        let bound = listeners::bind(&self.config, self.clock.now())?;
        let lanes =
            Arc::new(Lanes::start(&self.config.brokers, &Arc::new(self.store.clone()), &Arc::new(self.catalogs.clone()), &self.clock));
        let stations = self.spawn_stations(&webhooks, &lanes);
        let addresses = bound.addresses();
        let servers = bound.serve(&self, intake, webhooks, Arc::clone(&lanes))?;
        tracing::info!(intake = %addresses.intake, callbacks = %addresses.callbacks, ops = %addresses.ops, "listening");
        Ok(Running {
            addresses,
            draining: self.draining,
            shutdown: self.shutdown,
            closing: self.closing,
            lanes,
            servers,
            stations,
            store: self.store,
        })
    }

    fn webhook_client(&self) -> Result<WebhookClient, StartError> {
        let allowed = self.config.webhooks.dangerous_allow.iter().map(crate::domain::text::Text::as_str);
        let guard = crate::net::guard::Guard::new(allowed)
            .map_err(|index| StartError::new(format!("webhooks.dangerous_allow.{index}: a host name or network")))?;
        WebhookClient::new(Arc::new(guard)).map_err(|_| StartError::new("the webhook client cannot be built"))
    }

    fn spawn_stations(&self, webhooks: &WebhookClient, lanes: &Lanes) -> Vec<JoinHandle<()>> {
        let store = Arc::new(self.store.clone());
        let dispatcher = Dispatcher::new(Arc::clone(&store), Arc::new(webhooks.clone()), Arc::clone(&self.clock), Limits::default());
        let pollers = self.pollers(&store, lanes);
        let reader = crate::callback::reader::NoticeReader::new(Arc::clone(&store), Arc::new(self.catalogs.clone()));
        let within = |broker: &crate::config::Broker| Duration::from_secs(broker.answer_within_s);
        let within = self.config.brokers.iter().map(|(name, broker)| (name.clone(), within(broker))).collect();
        let overdue = Overdue::new(Arc::clone(&store), Arc::clone(&self.clock), within);
        let (for_dispatcher, for_reader) = (self.shutdown.clone(), self.shutdown.clone());
        let prepare = crate::prepare::Prepare::new(&self.config, self.store.clone(), self.catalog(), Arc::clone(&self.clock));
        let tidying = tidy(self.store.clone(), self.shutdown.clone());
        let mut stations = vec![
            self.watched("webhooks", dispatcher.run(for_dispatcher)),
            self.watched("notices", reader.run(for_reader)),
            self.watched("prepare", prepare.run(self.shutdown.clone())),
            self.watched("tidying", tidying),
            self.watched("overdue", overdue.run(self.shutdown.clone())),
            self.watched(
                "rereading",
                reread::run(Arc::clone(&self.config), self.catalogs.clone(), self.store.clone(), self.shutdown.clone()),
            ),
        ];
        stations.extend(pollers.into_iter().map(|poller| self.watched("polls", poller.run(self.shutdown.clone()))));
        stations
    }

    /// A poller for each broker that does not call: it goes by the line that the broker's lane owns.
    fn pollers(&self, store: &Arc<Store>, lanes: &Lanes) -> Vec<Poller<Store, ports::Catalogs, Line>> {
        let poller = |(name, config): (&String, &crate::config::Broker)| {
            let (store, rules) = (Arc::clone(store), Arc::new(self.catalogs.clone()));
            Poller::new(name, config, store, rules, lanes.line(name)?, Arc::clone(&self.clock))
        };
        self.config.brokers.iter().filter_map(poller).collect()
    }

    /// Runs a station. Should it end by a fault of ours, the process says that it is not ready and takes nothing
    /// new, so that whoever watches it starts it again: everything that matters is in the store.
    fn watched(&self, station: &'static str, work: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        let draining = self.draining.clone();
        let task = tokio::spawn(work);
        tokio::spawn(async move {
            if task.await.is_err() {
                tracing::error!(station, "a station ended by a fault of ours; start the process again");
                draining.begin();
            }
        })
    }
}

/// Forgets idempotency keys that are past their life, what waits at subscriptions that ended and versions of mappings
/// that no message names, a few rows at a time.
async fn tidy(store: Store, shutdown: CancellationToken) {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(TIDY_EVERY) => {}
        }
        while !shutdown.is_cancelled() && matches!(store.purge_keys().await, Ok(1..)) {}
        while !shutdown.is_cancelled() && matches!(store.purge_deliveries().await, Ok(1..)) {}
        while !shutdown.is_cancelled() && matches!(store.prune_mappings().await, Ok(1..)) {}
    }
}

impl Running {
    /// Where the listeners are.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Drains and stops: readiness falls at once, nothing new is taken or sent, what is in hand is
    /// finished, the store is closed.
    pub async fn stop(self) {
        tracing::info!("draining");
        self.draining.begin();
        self.shutdown.cancel();
        // All at once: a broker that hangs and a webhook that hangs cost one time, not two.
        let stations = tokio::time::timeout(DRAIN, futures_util::future::join_all(self.stations));
        let (_, stations, ()) = tokio::join!(self.lanes.shutdown(DRAIN), stations, tokio::time::sleep(LOOK_AWAY));
        if stations.is_err() {
            tracing::warn!("a station did not end in time; what it had in hand is taken up again by the next start");
        }
        self.closing.cancel();
        self.servers.stop().await;
        if tokio::time::timeout(STORE_CLOSE, self.store.close()).await.is_err() {
            tracing::warn!("the store's log was not copied in time; the next start does it");
        }
        tracing::info!("stopped");
    }
}
