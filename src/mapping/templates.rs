//! The templates of a mapping, compiled: the plain program at load, the traced one when it is asked for.

use std::sync::{Arc, OnceLock};

use super::codes::CodeList;
use super::compile::{self, Purpose};
use super::faults::FileFaults;
use super::manifest::Manifest;
use super::program::Program;
use crate::domain::delivery::MessageKind;

/// One template file.
#[derive(Debug)]
pub(super) struct Template {
    pub kind: MessageKind,
    /// Its name in the mapping's folder: `declaration.xml`.
    pub file: String,
    pub text: Box<str>,
    pub program: Program,
    traced: OnceLock<Program>,
}

impl Template {
    /// Compiles a template; faults are added.
    pub(super) fn compile<'t>(
        kind: MessageKind,
        file: &str,
        text: &'t str,
        manifest: &Manifest,
        codes: &[Arc<CodeList>],
        faults: &mut FileFaults<'t>,
    ) -> Self {
        let program = compile::compile(purpose(kind, manifest, codes, false), text, faults);
        Self { kind, file: file.to_owned(), text: text.into(), program, traced: OnceLock::new() }
    }

    /// The program that also tells where elements begin and end. The text was compiled before, so it has no faults.
    pub(super) fn traced(&self, manifest: &Manifest, codes: &[Arc<CodeList>]) -> &Program {
        self.traced.get_or_init(|| {
            let mut faults = FileFaults::new(self.file.as_str(), &self.text);
            compile::compile(purpose(self.kind, manifest, codes, true), &self.text, &mut faults)
        })
    }
}

fn purpose<'m>(kind: MessageKind, manifest: &'m Manifest, codes: &'m [Arc<CodeList>], traced: bool) -> Purpose<'m> {
    Purpose { kind, settings: &manifest.settings, codes, draft: manifest.draft, traced }
}
