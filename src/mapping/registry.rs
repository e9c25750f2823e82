//! All mappings of a folder. One broken mapping harms only itself.
//!
//! A registry is immutable: whoever serves requests holds it in an `ArcSwap` and replaces it whole,
//! so a message is made by one mapping from beginning to end.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::faults::MappingFault;
use super::source::Source;
use super::{Files, Mapping};

/// Loaded mappings by name.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    mappings: BTreeMap<String, (Arc<Mapping>, Arc<Files>)>,
}

/// The faults of one mapping that was not loaded; the name is empty when the folder itself cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The mapping.
    pub name: String,
    /// Its faults.
    pub faults: Vec<MappingFault>,
}

impl Registry {
    /// Loads every mapping of a source; those with faults are left out and told.
    pub fn load(source: &Source) -> (Self, Vec<Broken>) {
        let (mut registry, mut broken) = (Self::default(), Vec::new());
        let all = match source.read() {
            Ok(all) => all,
            Err(fault) => return (registry, vec![Broken { name: String::new(), faults: vec![fault] }]),
        };
        for files in all {
            match files {
                Err(fault) => {
                    let name = fault.file.split('/').next().unwrap_or_default().to_owned();
                    broken.push(Broken { name, faults: vec![fault] });
                }
                Ok(files) => broken.extend(registry.add(files).err()),
            }
        }
        (registry, broken)
    }

    /// Adds a mapping by its files, in the place of one of its name.
    ///
    /// # Errors
    /// Its faults; nothing was added.
    pub fn add(&mut self, files: Files) -> Result<(), Broken> {
        match Mapping::load(&files) {
            Ok(mapping) => {
                self.mappings.insert(files.name.clone(), (Arc::new(mapping), Arc::new(files)));
                Ok(())
            }
            Err(faults) => Err(Broken { name: files.name, faults }),
        }
    }

    /// A mapping by its name.
    pub fn get(&self, name: &str) -> Option<Arc<Mapping>> {
        self.mappings.get(name).map(|(mapping, _)| Arc::clone(mapping))
    }

    /// The files that a mapping was loaded from: its cases.
    pub fn files(&self, name: &str) -> Option<Arc<Files>> {
        self.mappings.get(name).map(|(_, files)| Arc::clone(files))
    }

    /// Every mapping in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Mapping>> {
        self.mappings.values().map(|(mapping, _)| mapping)
    }

    /// The names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.mappings.keys().map(String::as_str)
    }
}
