//! The schemas of one mapping: what each message that its `[schemas]` names is held to.

use std::path::Path;

use super::{Judge, Schema};
use crate::mapping::Manifest;

/// The name under which `[schemas]` gives the schema of what the broker sends.
const NOTICE: &str = "notice";

/// Compiled schemas by the name of the template that makes the message, or `notice`.
#[derive(Debug, Clone, Default)]
pub struct Schemas {
    by_name: Vec<(String, Judge)>,
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
        let outer = manifest.schemas.iter().map(|(name, root)| (name, None, root));
        let inside = manifest.inside.iter().map(|inner| (&inner.message, Some(&inner.element), &inner.schema));
        for (name, element, root) in outer.chain(inside).filter(|(name, ..)| notices || *name != NOTICE) {
            let known = loaded.iter().find(|(known, _)| *known == root.as_str()).map(|(_, schema)| schema.clone());
            match known.map_or_else(|| Schema::load(folder, root), Ok) {
                Ok(schema) => {
                    loaded.push((root, schema.clone()));
                    let judge = schemas.judge(name);
                    match element {
                        None => judge.outer = Some(schema),
                        Some(element) => judge.inside.push((element.clone(), schema)),
                    }
                }
                Err(found) => faults.extend(found),
            }
        }
        faults.dedup();
        if faults.is_empty() { Ok(schemas) } else { Err(faults) }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    fn judge(&mut self, name: &str) -> &mut Judge {
        let at = self.by_name.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
            self.by_name.push((name.to_owned(), Judge { lenient: name == NOTICE, ..Judge::default() }));
            self.by_name.len() - 1
        });
        &mut self.by_name[at].1
    }

    /// What the messages of a template are held to, by its name without `.xml`.
    pub fn of(&self, template: &str) -> Option<&Judge> {
        self.by_name.iter().find(|(name, _)| name == template).map(|(_, judge)| judge)
    }

    /// What the broker's notices are held to.
    pub fn notice(&self) -> Option<&Judge> {
        self.of(NOTICE)
    }
}
