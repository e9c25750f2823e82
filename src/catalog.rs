//! Each broker's channel: its mapping and settings, checked together, swapped as a whole.
//!
//! Stations hold a [`SharedCatalog`] and load it once per piece of work, so that a reload never
//! mixes two versions in one message. A broken mapping or setting harms only its own broker.

mod standing;

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::config::Config;
use crate::mapping::{Mapping, Registry, Settings};

pub use standing::{Listed, MappingState, Standings};

/// A broker's mapping with the broker's settings for it.
#[derive(Debug, Clone)]
pub struct Channel {
    /// The mapping.
    pub mapping: Arc<Mapping>,
    /// The broker's settings, checked against the mapping.
    pub settings: Arc<Settings>,
}

/// Why a broker has no channel: every fault of its settings, or that its mapping is not loaded.
#[derive(Debug, Clone)]
pub struct ChannelFault {
    /// Dotted path of the configuration key.
    pub key: String,
    /// What to do.
    pub detail: String,
}

/// All channels at one moment.
#[derive(Debug, Default)]
pub struct Catalog {
    registry: Registry,
    channels: BTreeMap<String, Result<Channel, Vec<ChannelFault>>>,
    mapping_names: BTreeMap<String, String>,
    standings: Standings,
}

/// The present catalog; replaced as a whole by a reload.
pub type SharedCatalog = Arc<ArcSwap<Catalog>>;

impl Catalog {
    /// Joins the brokers of a configuration with the mappings of a registry.
    pub fn new(config: &Config, registry: Registry) -> Self {
        let mut channels = BTreeMap::new();
        for (name, broker) in &config.brokers {
            let channel = match registry.get(broker.mapping.as_str()) {
                None => Err(vec![ChannelFault {
                    key: format!("brokers.{name}.mapping"),
                    detail: "no such mapping can be used, declarations are answered 503; `preclear mapping check` tells why".to_owned(),
                }]),
                Some(mapping) if mapping.manifest.draft => Err(vec![ChannelFault {
                    key: format!("brokers.{name}.mapping"),
                    detail: "the mapping is a draft: decide its places, then take `draft = true` out of its mapping.toml".to_owned(),
                }]),
                Some(mapping) => match mapping.settings(&broker.settings.0) {
                    Ok(settings) => Ok(Channel { mapping, settings: Arc::new(settings) }),
                    Err(faults) => Err(faults
                        .into_iter()
                        .map(|fault| ChannelFault { key: format!("brokers.{name}.settings.{}", fault.key), detail: fault.message })
                        .collect()),
                },
            };
            channels.insert(name.clone(), channel);
        }
        let mapping_names = config.brokers.iter().map(|(name, broker)| (name.clone(), broker.mapping.to_string())).collect();
        Self { registry, channels, mapping_names, standings: Standings::default() }
    }

    /// The mapping of a broker, whatever its settings: enough to read what the broker sends.
    pub fn mapping_of(&self, broker: &str) -> Option<Arc<Mapping>> {
        self.registry.get(self.mapping_names.get(broker)?)
    }

    /// The channel of a broker, when it is whole.
    pub fn channel(&self, broker: &str) -> Option<&Channel> {
        self.channels.get(broker).and_then(|channel| channel.as_ref().ok())
    }

    /// Everything that is wrong with channels.
    pub fn faults(&self) -> impl Iterator<Item = &ChannelFault> {
        self.channels.values().filter_map(|channel| channel.as_ref().err()).flatten()
    }

    /// The mappings.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }
}
