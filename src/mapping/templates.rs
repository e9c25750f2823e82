//! The templates of a mapping, compiled: the plain program at load, the traced one when it is asked for.

use std::sync::{Arc, OnceLock};

use super::code::Code;
use super::codes::CodeList;
use super::compile::{self, Purpose};
use super::faults::FileFaults;
use super::manifest::Manifest;
use super::messages::Part;
use super::program::Program;
use crate::domain::delivery::MessageKind;

/// One template file.
#[derive(Debug)]
pub(super) struct Template {
    pub kind: MessageKind,
    /// Its name without `.xml`.
    pub name: String,
    /// When its message is made; always without it.
    pub when: Option<Code>,
    /// Its name in the mapping's folder: `declaration.xml`.
    pub file: String,
    pub text: Box<str>,
    pub program: Program,
    traced: OnceLock<Program>,
}

impl Template {
    /// Compiles a template; faults are added.
    pub(super) fn compile<'t>(
        part: &Part,
        text: &'t str,
        manifest: &Manifest,
        codes: &[Arc<CodeList>],
        faults: &mut FileFaults<'t>,
    ) -> Self {
        let program = compile::compile(purpose(part.kind, manifest, codes, false), text, faults);
        let (name, file) = (part.template.clone(), part.file());
        Self { kind: part.kind, name, when: None, file, text: text.into(), program, traced: OnceLock::new() }
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
    Purpose { kind, settings: manifest.known_settings(), codes, draft: manifest.draft, traced }
}
