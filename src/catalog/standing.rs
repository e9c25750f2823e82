//! What the files of each mapping were worth, and what serves in the place of those that cannot be used.
//!
//! A mapping with faults, or whose folder is gone while a broker names it, is served by its newest stored
//! version where there is one. A mapping that nobody names any more and whose folder is gone is *former*: it is
//! there for the replies to messages that it made, and stands in no list.

use std::collections::{BTreeMap, BTreeSet};

use super::Catalog;
use crate::choice;
use crate::mapping::{Mapping, MappingFault};

choice! {
    /// Where the mapping that serves comes from.
    pub enum MappingState {
        /// From its files.
        Loaded = "loaded",
        /// From the store: its files cannot be used.
        Stored = "stored",
        /// Nowhere: its files cannot be used and nothing usable is stored.
        Broken = "broken",
    }
}

/// The mappings that their files did not give.
#[derive(Debug, Default)]
pub struct Standings {
    faulty: BTreeMap<String, Vec<MappingFault>>,
    former: BTreeSet<String>,
}

impl Standings {
    /// A mapping whose files cannot be used, with all that is wrong.
    pub fn faulty(&mut self, name: String, faults: Vec<MappingFault>) {
        self.faulty.insert(name, faults);
    }

    /// A mapping that is there for the replies to its messages only.
    pub fn former(&mut self, name: String) {
        self.former.insert(name);
    }
}

/// A mapping as operators see it.
#[derive(Debug, Clone, Copy)]
pub struct Listed<'c> {
    /// Its name.
    pub name: &'c str,
    /// Where it comes from.
    pub state: MappingState,
    /// The one that serves; none when none can.
    pub mapping: Option<&'c Mapping>,
    /// What is wrong with its files, and with its stored version.
    pub faults: &'c [MappingFault],
}

impl Catalog {
    /// The same with what its files were worth.
    #[must_use]
    pub fn with_standings(mut self, standings: Standings) -> Self {
        self.standings = standings;
        self
    }

    /// Every mapping that ought to be there, by name.
    pub fn listed(&self) -> Vec<Listed<'_>> {
        let Standings { faulty, former } = &self.standings;
        let served = self.registry.iter().map(|mapping| (mapping.name.as_str(), &**mapping));
        let mut listed: BTreeMap<&str, Listed<'_>> = served
            .filter(|(name, _)| !former.contains(*name))
            .map(|(name, mapping)| (name, Listed { name, state: MappingState::Loaded, mapping: Some(mapping), faults: &[] }))
            .collect();
        for (name, faults) in faulty {
            let served = listed.entry(name).or_insert(Listed { name, state: MappingState::Broken, mapping: None, faults });
            if served.mapping.is_some() {
                *served = Listed { state: MappingState::Stored, faults, ..*served };
            }
        }
        listed.into_values().collect()
    }
}
