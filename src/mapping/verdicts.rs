//! What one case of a mapping gave: its problems, what of it breaks the official schema, and what no schema looked at.

use super::MadeBy;
use super::schema::{Judge, Violation};

/// What one case gave.
#[derive(Debug, Clone)]
pub struct CaseResult {
    /// `cases/gb-gift`, `notices/09-cleared`.
    pub name: String,
    /// What is wrong; empty when it passed.
    pub problems: Vec<String>,
    /// What of it breaks the official schema.
    pub violations: Vec<String>,
    /// How many messages and notices are valid against their schema.
    pub validated: usize,
    /// Of what no schema looked at: the template's name, or `notice`.
    pub unseen: Vec<String>,
    /// What the expected files would hold: paths inside the mapping, and bytes.
    pub actual: Vec<(String, Vec<u8>)>,
}

impl CaseResult {
    pub(super) fn new(name: &str) -> Self {
        let (problems, violations, unseen, actual) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { name: name.to_owned(), problems, violations, validated: 0, unseen, actual }
    }

    /// Holds a message to its schemas, where there are any; `tell` finds words for violations.
    pub(super) fn validate(&mut self, judge: Option<&Judge>, kind: &str, message: &[u8], tell: impl FnOnce(Vec<Violation>) -> Vec<String>) {
        match judge.map(|judge| judge.validate(message)) {
            None | Some(Ok(None)) => self.unseen.push(kind.to_owned()),
            Some(Ok(Some(violations))) if violations.is_empty() => self.validated += 1,
            Some(Ok(Some(violations))) => self.violations.extend(tell(violations)),
            Some(Err(no_verdict)) => self.violations.push(no_verdict.to_string()),
        }
    }
}

/// A violation with the place of the template and the declaration's field.
pub(super) fn told(violation: &Violation, place: Option<&MadeBy>) -> String {
    let Violation { rule, path, detail, .. } = violation;
    let Some(MadeBy { file, line, column, pointer, .. }) = place else { return format!("{path}: {detail} ({rule})") };
    let field = pointer.as_ref().map(|pointer| format!("field {pointer}, ")).unwrap_or_default();
    format!("{file}:{line}:{column}: {path}: {detail} ({field}rule {rule})")
}
