//! Notices that a mapping could not read are read again when the mapping has a newer version, without anybody's help.
//!
//! It looks at the start, after each reload, and now and then: a notice that was being read while the mapping changed is
//! parked by the old version after the look.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::ports::Catalogs;
use crate::callback::Readers as _;
use crate::config::Config;
use crate::store::Store;

/// Time between two looks without a reload.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Looks until the process ends.
pub(super) async fn run(config: Arc<Config>, catalogs: Catalogs, store: Store, shutdown: CancellationToken) {
    let mut reloads = catalogs.reloads();
    loop {
        reloads.borrow_and_update();
        match store.reread_outdated(versions(&config, &catalogs)).await {
            Ok(0) => {}
            Ok(notices) => tracing::info!(notices, "parked notices are read again by a newer version of their mapping"),
            Err(error) => tracing::warn!(%error, "parked notices could not be looked at"),
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            Ok(()) = reloads.changed() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

/// The version of each broker's mapping that serves.
fn versions(config: &Config, catalogs: &Catalogs) -> BTreeMap<String, String> {
    let catalog = catalogs.shared().load_full();
    config.brokers.keys().filter_map(|broker| Some((broker.clone(), catalog.mapping_of(broker)?.version.clone()))).collect()
}
