//! The templates of a mapping, compiled: the plain program at load, the traced one when it is asked for.

use std::sync::{Arc, OnceLock};

use super::codes::CodeList;
use super::compile::{self, Purpose};
use super::faults::FileFaults;
use super::program::Program;
use super::settings::SettingSpec;
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
        settings: &[SettingSpec],
        codes: &[Arc<CodeList>],
        faults: &mut FileFaults<'t>,
    ) -> Self {
        let program = compile::compile(Purpose { kind, settings, codes, traced: false }, text, faults);
        Self { kind, file: file.to_owned(), text: text.into(), program, traced: OnceLock::new() }
    }

    /// The program that also tells where elements begin and end. The text was compiled before, so it has no faults.
    pub(super) fn traced(&self, settings: &[SettingSpec], codes: &[Arc<CodeList>]) -> &Program {
        self.traced.get_or_init(|| {
            let mut faults = FileFaults::new(self.file.as_str(), &self.text);
            compile::compile(Purpose { kind: self.kind, settings, codes, traced: true }, &self.text, &mut faults)
        })
    }
}
