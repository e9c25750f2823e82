//! Each broker's channel: its mapping and settings, checked together, swapped as a whole.
//!
//! Stations hold a [`SharedCatalog`] and load it once per piece of work, so that a reload never
//! mixes two versions in one message. A broken mapping or setting harms only its own broker.

mod making;
mod schemas;
mod standing;

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::config::{Broker, Config};
use crate::domain::delivery::MessageKind;
use crate::mapping::schema::Schemas;
use crate::mapping::{Mapping, Operator, Rates, Registry, SettingFault, Settings};

pub use making::{Made, NoVerdict, Work};
pub use standing::{Listed, MappingState, Standings};

/// A broker's mapping with the broker's settings for it.
#[derive(Debug, Clone)]
pub struct Channel {
    /// The mapping.
    pub mapping: Arc<Mapping>,
    /// The broker's settings, checked against the mapping.
    pub settings: Arc<Settings>,
    /// The official schemas that its messages are held to before they are committed.
    pub schemas: Arc<Schemas>,
}

/// Why a broker has no channel: every fault of its settings and schemas, or that its mapping is not loaded.
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
    /// Joins the brokers of a configuration with the mappings of a registry and the rate table; `None`
    /// when that has faults: who needs it then has no channel.
    pub fn new(config: &Config, registry: Registry, rates: Option<&Arc<Rates>>) -> Self {
        let (mut channels, mut shelf) = (BTreeMap::new(), schemas::Shelf::new(config));
        for (name, broker) in &config.brokers {
            let channel = match registry.get(broker.mapping.as_str()) {
                None => Err(vec![ChannelFault {
                    key: format!("brokers.{name}.mapping"),
                    detail: "no such mapping can be used; `preclear mapping check` tells why".to_owned(),
                }]),
                Some(mapping) if mapping.manifest.draft => Err(vec![ChannelFault {
                    key: format!("brokers.{name}.mapping"),
                    detail: "the mapping is a draft: decide its places, then take `draft = true` out of its mapping.toml".to_owned(),
                }]),
                Some(mapping) => match (settings(name, broker, &mapping, rates), shelf.of(name, broker, &mapping)) {
                    (Ok(settings), Ok(schemas)) => Ok(Channel { mapping, settings: Arc::new(settings), schemas }),
                    (settings, schemas) => Err([settings.err(), schemas.err()].into_iter().flatten().flatten().collect()),
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

    /// The brokers whose mappings have a presentation message.
    pub fn presenting(&self) -> Vec<String> {
        let presents = |name: &&String| self.mapping_of(name).is_some_and(|mapping| mapping.makes(MessageKind::Presentation));
        self.mapping_names.keys().filter(presents).cloned().collect()
    }

    /// Why a broker has no channel; nothing when it has one.
    pub fn faults_of(&self, broker: &str) -> &[ChannelFault] {
        self.channels.get(broker).and_then(|channel| channel.as_ref().err()).map_or(&[], Vec::as_slice)
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

/// What the configuration says of a broker, checked against its mapping.
fn settings(name: &str, broker: &Broker, mapping: &Mapping, rates: Option<&Arc<Rates>>) -> Result<Settings, Vec<ChannelFault>> {
    let operator = Operator {
        settings: &broker.settings.0,
        overrides: broker.overrides.iter().map(|given| (given.when.as_str(), &given.settings.0)).collect(),
        codes: broker.codes.iter().map(|(list, rows)| (list.as_str(), &rows.0)).collect(),
        rates: rates.cloned().unwrap_or_default(),
    };
    let checked = mapping.operated(&operator).map_err(|faults| {
        let fault = |fault: SettingFault| ChannelFault { key: format!("brokers.{name}.{}", fault.key), detail: fault.message };
        faults.into_iter().map(fault).collect::<Vec<_>>()
    });
    if rates.is_some() || !mapping.converts() {
        return checked;
    }
    let mut faults = checked.err().unwrap_or_default();
    let detail = format!("the rate table has faults, and the mapping {} of the broker {name} converts amounts", mapping.name);
    faults.push(ChannelFault { key: "mappings.rates".to_owned(), detail });
    Err(faults)
}

#[cfg(test)]
mod tests;
