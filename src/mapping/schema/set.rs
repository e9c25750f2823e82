//! The schemas of one mapping: one for each message that its `[schemas]` names.

use std::path::Path;

use super::Schema;
use crate::mapping::Manifest;

/// The name under which `[schemas]` gives the schema of what the broker sends.
const NOTICE: &str = "notice";

/// Compiled schemas by the name of the template that makes the message, or `notice`.
#[derive(Debug, Clone, Default)]
pub struct Schemas {
    by_name: Vec<(String, Schema)>,
}

impl Schemas {
    /// Loads what a mapping names from a folder; messages of the same root file share a schema. Schemas of
    /// notices only when they are asked for: a notice is taken as it comes, whatever its schema says.
    ///
    /// # Errors
    /// Everything that makes one of them unusable.
    pub fn load(manifest: &Manifest, folder: &Path, notices: bool) -> Result<Self, Vec<String>> {
        let mut loaded: Vec<(&str, Schema)> = Vec::new();
        let (mut schemas, mut faults) = (Self::default(), Vec::new());
        for (name, root) in manifest.schemas.iter().filter(|(name, _)| notices || name != NOTICE) {
            let known = loaded.iter().find(|(known, _)| *known == root.as_str()).map(|(_, schema)| schema.clone());
            match known.map_or_else(|| Schema::load(folder, root), Ok) {
                Ok(schema) => {
                    loaded.push((root, schema.clone()));
                    schemas.by_name.push((name.clone(), schema));
                }
                Err(found) => faults.extend(found),
            }
        }
        faults.dedup();
        if faults.is_empty() { Ok(schemas) } else { Err(faults) }
    }

    /// The schema of the messages of a template, by its name without `.xml`.
    pub fn of(&self, template: &str) -> Option<&Schema> {
        self.by_name.iter().find(|(name, _)| name == template).map(|(_, schema)| schema)
    }

    /// The schema of what the broker sends.
    pub fn notice(&self) -> Option<&Schema> {
        self.of(NOTICE)
    }
}
