//! Tells the post, once, that customs has said nothing of an item for too long.
//!
//! Why it exists: an item of which nothing is heard looks like one that goes well, until the aircraft lands. What is owed stands
//! in the store with the filing, so that a restart forgets none and tells none twice; the time that a broker is given
//! (`answer_within_s`) is asked for at each look, so that a new one counts for what waits already.
//!
//! Bounds: one query for each broker and look, looks at least a moment apart, so many events in one commit.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::domain::time::{SharedClock, Timestamp};
use crate::metrics::OVERDUE;
use crate::store::StoreError;

/// Events of one commit: the writer is free again for others between two.
const BATCH: u32 = 100;
/// Time between two looks at least, however many events come.
const SHORTEST_SLEEP: Duration = Duration::from_secs(1);
/// A look without a reason, so that no fault of a signal or a clock can keep the post from being told.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// What the station asks of the store.
pub trait Owed: Send + Sync + 'static {
    /// Since when the longest-waiting filing of a broker waits of which the post was not told.
    fn awaited_since(&self, broker: &str) -> impl Future<Output = Result<Option<Timestamp>, StoreError>> + Send;
    /// Tells the post of filings that wait since `since` or longer, at most `limit`; how many.
    fn tell_overdue(
        &self,
        broker: &str,
        since: Timestamp,
        limit: u32,
        now: Timestamp,
    ) -> impl Future<Output = Result<usize, StoreError>> + Send;
    /// Filings per broker of which the post was told and which still wait.
    fn overdue(&self) -> impl Future<Output = Result<BTreeMap<String, u64>, StoreError>> + Send;
    /// Changes after every event: a filing that begins to wait is told of as `submitted`.
    fn events_signal(&self) -> watch::Receiver<u64>;
}

/// The station of one process.
pub struct Overdue<S> {
    store: Arc<S>,
    clock: SharedClock,
    /// What each broker is given to answer.
    within: BTreeMap<String, Duration>,
}

impl<S: Owed> Overdue<S> {
    /// A station that has not started.
    pub fn new(store: Arc<S>, clock: SharedClock, within: BTreeMap<String, Duration>) -> Self {
        Self { store, clock, within }
    }

    /// Works until the stop signal.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut signal = self.store.events_signal();
        while !shutdown.is_cancelled() {
            // Seen first, read second: what is committed in between wakes us again.
            signal.borrow_and_update();
            let sleep = match self.look(&shutdown).await {
                Ok(sleep) => sleep,
                Err(error) => {
                    tracing::warn!(%error, "overdue answers are told later: the store cannot be used");
                    SHORTEST_SLEEP
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(SHORTEST_SLEEP) => {}
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                changed = signal.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(sleep.saturating_sub(SHORTEST_SLEEP)) => {}
            }
        }
    }

    /// Tells what is overdue; the time until the next look.
    async fn look(&self, shutdown: &CancellationToken) -> Result<Duration, StoreError> {
        let mut sleep = LONGEST_SLEEP;
        for (broker, within) in &self.within {
            let now = self.clock.now();
            let since = now.checked_sub(*within).unwrap_or(Timestamp::MIN);
            while let Some(oldest) = self.store.awaited_since(broker).await? {
                if oldest > since {
                    sleep = sleep.min(Duration::try_from(oldest.duration_since(since)).unwrap_or_default());
                    break;
                }
                let told = self.store.tell_overdue(broker, since, BATCH, now).await?;
                if told == 0 || shutdown.is_cancelled() {
                    break;
                }
                tracing::warn!(broker, filings = told, "customs has not answered in time");
            }
        }
        let overdue = self.store.overdue().await?;
        for broker in self.within.keys() {
            #[allow(clippy::cast_precision_loss, reason = "counts of filings are far below 2^53")]
            let count = overdue.get(broker).copied().unwrap_or(0) as f64;
            metrics::gauge!(OVERDUE, "broker" => broker.clone()).set(count);
        }
        Ok(sleep)
    }
}
