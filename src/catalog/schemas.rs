//! The official schemas of brokers: where they lie, loaded once for all brokers of the same mapping and folder.
//!
//! A schema that is configured and cannot be used is a fault of its broker: its declarations are answered 503,
//! for a message that nobody has looked at is worse than one that waits.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::ChannelFault;
use crate::config::{Broker, Config};
use crate::mapping::schema::Schemas;
use crate::mapping::{Mapping, Source};

type Loaded = Result<Arc<Schemas>, Vec<String>>;

/// What was loaded for one catalog.
pub(super) struct Shelf {
    mappings: Option<PathBuf>,
    loaded: Vec<(String, PathBuf, Loaded)>,
}

impl Shelf {
    pub(super) fn new(config: &Config) -> Self {
        let source = Source::choose(config.mappings.dir.as_ref().map(|dir| dir.as_path().to_owned()));
        Self { mappings: source.folder().map(Path::to_owned), loaded: Vec::new() }
    }

    /// The schemas of a broker: from the folder of its own, else from the user's copy in the mapping's folder,
    /// else none.
    pub(super) fn of(&mut self, name: &str, broker: &Broker, mapping: &Mapping) -> Result<Arc<Schemas>, Vec<ChannelFault>> {
        let beside = self.mappings.as_ref().map(|folder| folder.join(&mapping.name).join("schema")).filter(|folder| folder.is_dir());
        let (folder, key) = match (&broker.schema, beside) {
            (Some(given), _) => (given.as_path().to_owned(), format!("brokers.{name}.schema")),
            (None, Some(beside)) => (beside, format!("brokers.{name}.mapping")),
            (None, None) => return Ok(Arc::default()),
        };
        let fault = |detail: String| ChannelFault { key: key.clone(), detail };
        if broker.schema.is_some() && !mapping.manifest.names_a_schema() {
            return Err(vec![fault("the mapping names no schema: `[schemas]` in its mapping.toml".to_owned())]);
        }
        let loaded = self.load(mapping, &folder);
        let shown = folder.display();
        loaded.map_err(|faults| faults.into_iter().map(|detail| fault(format!("the schema in {shown} cannot be used: {detail}"))).collect())
    }

    fn load(&mut self, mapping: &Mapping, folder: &Path) -> Loaded {
        let known = self.loaded.iter().find(|(name, path, _)| *name == mapping.name && path == folder);
        if let Some((.., loaded)) = known {
            return loaded.clone();
        }
        let loaded = Schemas::load(&mapping.manifest, folder, false).map(Arc::new);
        self.loaded.push((mapping.name.clone(), folder.to_owned(), loaded.clone()));
        loaded
    }
}
