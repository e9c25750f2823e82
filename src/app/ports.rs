//! What the stations ask of the catalog and the store, in the stations' own narrow words.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::callback::{Readers, TakenAnswer};
use crate::catalog::{Catalog, SharedCatalog};
use crate::domain::fact::Fact;
use crate::forward::{Mappings, ReplyRules};
use crate::mapping::Mapping;
use crate::store::Reading;

/// The present catalog, and a signal for those who wait for a better one.
#[derive(Clone)]
pub(super) struct Catalogs {
    shared: SharedCatalog,
    reloads: Arc<watch::Sender<u64>>,
}

impl Catalogs {
    pub(super) fn new(catalog: Catalog) -> Self {
        Self { shared: Arc::new(ArcSwap::from_pointee(catalog)), reloads: Arc::new(watch::Sender::new(0)) }
    }

    pub(super) fn shared(&self) -> SharedCatalog {
        Arc::clone(&self.shared)
    }

    /// Puts a new catalog in the place of the present one.
    pub(super) fn replace(&self, catalog: Catalog) {
        self.shared.store(Arc::new(catalog));
        self.reloads.send_modify(|count| *count += 1);
    }
}

impl Readers for Catalogs {
    fn read(&self, broker: &str, _content_type: &str, body: &[u8]) -> Option<Reading> {
        let mapping = self.shared.load().mapping_of(broker)?;
        Some(match mapping.read(body) {
            Ok(facts) => Reading::Facts { mapping_version: mapping.version.clone(), facts },
            Err(unreadable) => Reading::Unreadable { reason: unreadable.reason.as_str() },
        })
    }

    fn answer(&self, _broker: &str) -> TakenAnswer {
        TakenAnswer::default()
    }

    fn reloads(&self) -> watch::Receiver<u64> {
        self.reloads.subscribe()
    }
}

/// A mapping as the forwarder reads replies by it.
struct Rules(Arc<Mapping>);

impl ReplyRules for Rules {
    fn headers(&self) -> &[(String, String)] {
        &self.0.manifest.transport.headers
    }

    fn conversation_header(&self) -> Option<&str> {
        self.0.manifest.transport.conversation_header.as_deref()
    }

    fn empty_reply_is_delivered(&self) -> bool {
        self.0.manifest.transport.empty_reply_is_delivered
    }

    fn read(&self, body: &[u8]) -> Option<Vec<Fact>> {
        self.0.read(body).ok()
    }
}

impl Mappings for Catalogs {
    fn rules(&self, mapping: &str) -> Option<Arc<dyn ReplyRules>> {
        let mapping = self.shared.load().registry().get(mapping)?;
        Some(Arc::new(Rules(mapping)))
    }
}
