//! Loading mappings into a catalog; a broken one is an alarm and harms only itself.

use crate::catalog::Catalog;
use crate::config::Config;
use crate::mapping::{Broken, Registry, Source};

/// Where a configuration's mappings come from.
pub fn source_of(config: &Config) -> Source {
    Source::choose(config.mappings.dir.as_ref().map(|dir| dir.as_path().to_owned()))
}

/// Loads and joins; what is broken is logged.
pub(super) fn load(config: &Config) -> Catalog {
    let (catalog, broken) = read(config);
    for fault in broken.iter().flat_map(|broken| &broken.faults) {
        tracing::error!(fault = %fault, "a mapping cannot be used");
    }
    for fault in catalog.faults() {
        tracing::error!(key = %fault.key, fault = %fault.detail, "a broker has no channel");
    }
    catalog
}

/// Loads and joins; what is broken is given back.
pub(super) fn read(config: &Config) -> (Catalog, Vec<Broken>) {
    let (registry, broken) = Registry::load(&source_of(config));
    (Catalog::new(config, registry), broken)
}
