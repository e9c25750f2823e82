//! What the cases of a mapping touch: every branch of its templates both ways, every row of its code lists.
//!
//! A branch is a decision of a template that went one way. `p:if`, `p:optional`, `p:check` and `a if c else b`
//! have two of them; a repeat has one, for an empty list is no branch of its own.

use std::collections::{BTreeSet, HashSet};

use super::faults::line_column;
use super::program::SiteId;
use super::render::render_traced;
use super::{Input, Mapping, Unreadable, UnreadableReason, reading, roots};
use crate::domain::fact::Fact;
use crate::domain::fault::Fault;

/// What no case touches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// `hmrc-cds/declaration.xml`
    pub file: String,
    /// Line from 1; 0 for a row of a code list.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// Which branch or row.
    pub what: String,
}

impl std::fmt::Display for Gap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.what),
            line => write!(f, "{}:{line}:{}: {}", self.file, self.column, self.what),
        }
    }
}

/// How much of a mapping its cases touch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Branches of templates that are touched.
    pub branches: usize,
    /// Branches of templates in all.
    pub all_branches: usize,
    /// Branches that no case touches.
    pub gaps: Vec<Gap>,
    /// Rows of code lists that templates looked up.
    pub rows: usize,
    /// Rows of code lists in all.
    pub all_rows: usize,
    /// Rows that no case looks up.
    pub row_gaps: Vec<Gap>,
    /// Rows of `notices.toml` that read a notice.
    pub statuses: usize,
    /// Rows of `notices.toml` in all.
    pub all_statuses: usize,
    /// Rows of `notices.toml` that no notice case is read by.
    pub status_gaps: Vec<Gap>,
    /// Paths of `notices.toml` that find nothing in any notice case: misspelt, or not shown.
    pub path_gaps: Vec<Gap>,
    /// Codes that a list names as known and `notices.toml` has no row for.
    pub code_gaps: Vec<Gap>,
    /// Notice cases with a fact that no filing can be found for.
    pub loose: Vec<Gap>,
}

/// Counts while cases run.
pub(super) struct Tally<'m> {
    mapping: &'m Mapping,
    /// By the place of the template.
    seen: Vec<HashSet<(SiteId, bool)>>,
    rows: HashSet<(String, String)>,
    /// Lines of rows of `notices.toml`.
    statuses: HashSet<u32>,
    /// Lines of keys of `notices.toml` that found something.
    found: HashSet<u32>,
    /// Notice cases with a fact without a reference.
    loose: BTreeSet<String>,
}

/// Keys of `notices.toml` whose values stand in a fact.
fn found_keys(fact: &Fact) -> impl Iterator<Item = &'static str> {
    let keys = [
        ("code", fact.code.is_some()),
        ("lrn", fact.lrn.is_some()),
        ("mrn", fact.mrn.is_some()),
        ("conversation", fact.conversation.is_some()),
        ("job", fact.job.is_some()),
        ("occurred_at", fact.occurred_at.is_some()),
        ("deadline", fact.deadline.is_some()),
        ("reasons", !fact.reasons.is_empty()),
        ("reason", !fact.reasons.is_empty()),
        ("charges", !fact.charges.is_empty()),
        ("documents", !fact.documents.is_empty()),
    ];
    keys.into_iter().filter_map(|(key, found)| found.then_some(key))
}

impl<'m> Tally<'m> {
    pub(super) fn new(mapping: &'m Mapping) -> Self {
        Self {
            mapping,
            seen: vec![HashSet::new(); mapping.templates.len()],
            rows: HashSet::new(),
            statuses: HashSet::new(),
            found: HashSet::new(),
            loose: BTreeSet::new(),
        }
    }

    /// Makes a message once more and counts what it goes through; gives what the traced program made.
    pub(super) fn add(&mut self, template: &str, input: &Input<'_>) -> Option<Result<Vec<u8>, Vec<Fault>>> {
        let place = self.mapping.templates.iter().position(|known| known.name == template)?;
        let program = self.mapping.templates.get(place)?.traced(&self.mapping.manifest, &self.mapping.codes);
        let changes = input.changes();
        let settings = input.settings.in_force(input.declaration, input.post);
        let (rendered, trace) = render_traced(program, roots(input, &settings, &changes));
        let choices = trace.watch.choices.iter().filter_map(|(address, outcome)| Some((*program.choices.get(address)?, *outcome)));
        if let Some(seen) = self.seen.get_mut(place) {
            seen.extend(trace.seen.iter().copied().chain(choices));
        }
        self.rows.extend(trace.watch.rows);
        Some(rendered.map(|rendered| rendered.bytes))
    }

    /// Reads the notice of a case and counts the rows and paths that it is read by.
    pub(super) fn read(&mut self, case: &str, bytes: &[u8]) -> Result<Vec<Fact>, Unreadable> {
        let Self { statuses, found, loose, .. } = self;
        reading::read(&self.mapping.rules, &self.mapping.fields, bytes, &mut |rule, row, fact| {
            statuses.extend(row.map(|row| row.line));
            for key in found_keys(fact) {
                let own = row.and_then(|row| row.values.line(key));
                // Lists of the shape and of the row add to each other; else the row's own path is used.
                let list = matches!(key, "reasons" | "reason" | "charges" | "documents");
                found.extend(own);
                found.extend(rule.values.line(key).filter(|_| list || own.is_none()));
            }
            let referred = [&fact.lrn, &fact.mrn, &fact.conversation, &fact.job].into_iter().any(Option::is_some);
            if !referred && !rule.reply && fact.note.is_none() {
                loose.insert(case.to_owned());
            }
        })
    }

    /// A difference; of a notice that no rule knows it says what it is.
    pub(super) fn with_root(&self, difference: String, bytes: &[u8]) -> String {
        match self.mapping.read(bytes) {
            Err(unreadable) if unreadable.reason == UnreadableReason::UnknownFormat => {
                format!("{difference}: {}", self.mapping.unknown_format(bytes))
            }
            _ => difference,
        }
    }

    /// What the cases do not show of paths, and facts that lead nowhere.
    fn paths(&self, coverage: &mut Coverage) {
        let file = format!("{}/notices.toml", self.mapping.name);
        for rule in &self.mapping.rules.notices {
            let values = std::iter::once(&rule.values).chain(rule.rows.iter().map(|row| &row.values));
            for (key, line) in values.flat_map(|values| &values.lines).filter(|(_, line)| !self.found.contains(line)) {
                let what = format!("{key} finds nothing in any notice case");
                coverage.path_gaps.push(Gap { file: file.clone(), line: *line, column: 1, what });
            }
        }
        coverage.loose.extend(self.loose.iter().map(|case| {
            let what = "a fact without lrn, mrn, conversation or job: it finds no filing. A shape that is only the reply to our message says \
                        reply = true";
            Gap { file: format!("{}/{case}", self.mapping.name), line: 0, column: 0, what: what.to_owned() }
        }));
    }

    /// Rows of `notices.toml`, and codes without one.
    fn notices(&self, coverage: &mut Coverage) {
        let file = format!("{}/notices.toml", self.mapping.name);
        for rule in &self.mapping.rules.notices {
            for row in &rule.rows {
                coverage.all_statuses += 1;
                if self.statuses.contains(&row.line) {
                    coverage.statuses += 1;
                } else {
                    let what = "no notice case is read by this row".to_owned();
                    coverage.status_gaps.push(Gap { file: file.clone(), line: row.line, column: 1, what });
                }
            }
            let decided = |code: &str| rule.rows.iter().any(|row| row.code.as_deref().is_none_or(|known| known == code));
            for list in rule.known.iter() {
                for code in list.keys().iter().filter(|code| !decided(code)) {
                    let what = format!("no row for the code {code} of codes/{}.csv", list.name);
                    coverage.code_gaps.push(Gap { file: file.clone(), line: rule.line, column: 1, what });
                }
            }
        }
    }

    pub(super) fn finish(self) -> Coverage {
        let mut coverage = Coverage::default();
        for (template, seen) in self.mapping.templates.iter().zip(&self.seen) {
            let file = format!("{}/{}", self.mapping.name, template.file);
            for (id, site) in (0..).zip(&template.program.sites) {
                for (outcome, what) in site.kind.outcomes().into_iter().filter(|(outcome, _)| site.kind.counts(*outcome)) {
                    coverage.all_branches += 1;
                    if seen.contains(&(id, outcome)) {
                        coverage.branches += 1;
                        continue;
                    }
                    let (line, column) = line_column(&template.text, site.offset);
                    let what = format!("no case where {what}: {} ({})", site.element, site.text);
                    coverage.gaps.push(Gap { file: file.clone(), line, column, what });
                }
            }
        }
        self.notices(&mut coverage);
        self.paths(&mut coverage);
        for list in &self.mapping.codes {
            for key in list.keys() {
                coverage.all_rows += 1;
                if self.rows.contains(&(list.name.clone(), key.clone())) {
                    coverage.rows += 1;
                } else {
                    let file = format!("{}/codes/{}.csv", self.mapping.name, list.name);
                    coverage.row_gaps.push(Gap { file, line: 0, column: 0, what: format!("no case looks up {key}") });
                }
            }
        }
        coverage
    }
}
