//! `preclear mapping check`: compiles mappings, runs their cases, counts what these touch.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use super::{Done, counted, io, tell};
use crate::mapping::cases::{self, CaseResult};
use crate::mapping::coverage::Coverage;
use crate::mapping::schema::Schemas;
use crate::mapping::{Files, Mapping, Registry, Source};

/// Counts for the last line of `check`.
#[derive(Default)]
struct Tally {
    mappings: usize,
    cases: usize,
    failed: usize,
    faults: usize,
    warnings: usize,
    validated: usize,
    unseen: usize,
    uncovered: usize,
    skipped: Vec<String>,
}

/// What `check` does beside compiling mappings and running their cases.
#[derive(Clone, Copy)]
pub(super) struct Wishes<'a> {
    /// Folder of official schemas.
    pub schemas: Option<&'a Path>,
    /// Whether what no case touches is listed.
    pub coverage: bool,
}

pub(super) fn check(source: &Source, names: &[String], wishes: Wishes<'_>, out: &mut dyn Write, err: &mut dyn Write) -> Done {
    let (registry, mut broken) = Registry::load(source);
    let chosen = |name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
    if let Some(unknown) = names.iter().find(|name| registry.get(name).is_none() && !broken.iter().any(|broken| broken.name == **name)) {
        let known: Vec<_> = registry.names().chain(broken.iter().map(|broken| broken.name.as_str())).collect();
        return Err(format!("there is no mapping {unknown}; there are: {}", known.join(", ")));
    }
    broken.retain(|broken| chosen(&broken.name) || broken.name.is_empty());
    let mut tally = Tally { faults: tell(&broken, err)?, mappings: broken.len(), ..Tally::default() };
    for mapping in registry.iter().filter(|mapping| chosen(&mapping.name)) {
        let Some(files) = registry.files(&mapping.name) else { continue };
        tally.mappings += 1;
        for warning in &mapping.warnings {
            writeln!(out, "{warning}").map_err(io)?;
        }
        tally.warnings += mapping.warnings.len();
        let schemas = schemas(mapping, wishes.schemas, source.folder(), &mut tally, err)?;
        let coverage = check_cases(mapping, &files, source.folder(), &schemas, &mut tally, err)?;
        tell_coverage(mapping, &coverage, wishes.coverage, &mut tally, out)?;
    }
    let Tally { mappings, cases, failed, faults, warnings, validated, unseen, uncovered, mut skipped } = tally;
    skipped.dedup();
    for reason in skipped {
        writeln!(err, "skipped: {reason}").map_err(io)?;
    }
    let exit = u8::from(faults + failed + uncovered > 0);
    let [mappings, faults, warnings, cases, validated] =
        [(mappings, "mapping"), (faults, "fault"), (warnings, "warning"), (cases, "case"), (validated, "message")].map(counted);
    let unseen = if unseen > 0 { format!(", {unseen} without one") } else { String::new() };
    writeln!(out, "{mappings}, {faults}, {warnings}, {cases}, {failed} failed, {validated} valid against their schema{unseen}")
        .map_err(io)?;
    Ok(exit)
}

fn tell_coverage(mapping: &Mapping, coverage: &Coverage, list: bool, tally: &mut Tally, out: &mut dyn Write) -> Result<(), String> {
    let Coverage { branches, all_branches, rows, all_rows, statuses, all_statuses, .. } = coverage;
    for gap in coverage.code_gaps.iter().chain(&coverage.loose) {
        writeln!(out, "{gap}").map_err(io)?;
        tally.warnings += 1;
    }
    if list {
        for gap in coverage.gaps.iter().chain(&coverage.status_gaps).chain(&coverage.path_gaps).chain(&coverage.row_gaps) {
            writeln!(out, "{gap}").map_err(io)?;
        }
        tally.uncovered += coverage.gaps.len() + coverage.status_gaps.len() + coverage.path_gaps.len();
    }
    writeln!(
        out,
        "{}: cases touch {branches} of {all_branches} branches, {statuses} of {all_statuses} rows of notices, {rows} of {all_rows} rows of code lists",
        mapping.name
    )
    .map_err(io)
}

/// The official schemas of a mapping: given by `--schemas`, or the user's own copy in `schema/`. Those that cannot be
/// used are faults.
fn schemas(
    mapping: &Mapping,
    given: Option<&Path>,
    folder: Option<&Path>,
    tally: &mut Tally,
    err: &mut dyn Write,
) -> Result<Schemas, String> {
    let given = given.map(|schemas| schemas.join(&mapping.name));
    let copy = folder.map(|folder| folder.join(&mapping.name).join("schema")).filter(|path| path.is_dir());
    let Some(folder) = given.or(copy) else {
        tally.skipped.push(format!("validation of {}: no schema (give --schemas DIR)", mapping.name));
        return Ok(Schemas::default());
    };
    if !mapping.manifest.names_a_schema() {
        tally.skipped.push(format!("validation of {}: its mapping.toml names no schema", mapping.name));
    }
    Schemas::load(&mapping.manifest, &folder, true).or_else(|faults| {
        tally.faults += faults.len();
        for fault in faults {
            writeln!(err, "{}: the schema in {} cannot be used: {fault}", mapping.name, folder.display()).map_err(io)?;
        }
        Ok(Schemas::default())
    })
}

fn check_cases(
    mapping: &Mapping,
    files: &Files,
    folder: Option<&Path>,
    schemas: &Schemas,
    tally: &mut Tally,
    err: &mut dyn Write,
) -> Result<Coverage, String> {
    let bless = std::env::var_os("PRECLEAR_BLESS").is_some_and(|value| value == "1");
    let (results, coverage) = cases::run(mapping, files, schemas);
    let mut unseen: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for mut case in results {
        tally.cases += 1;
        if bless && !case.problems.is_empty() {
            blessed(&mut case, &mapping.name, folder, err)?;
        }
        tally.validated += case.validated;
        tally.unseen += case.unseen.len();
        for kind in std::mem::take(&mut case.unseen) {
            unseen.entry(kind).or_default().push(case.name.clone());
        }
        tally.failed += usize::from(!case.problems.is_empty() || !case.violations.is_empty());
        for problem in &case.problems {
            writeln!(err, "{}/{}: {problem}", mapping.name, case.name).map_err(io)?;
        }
        for violation in &case.violations {
            writeln!(err, "{}/{}: not valid against the schema: {violation}", mapping.name, case.name).map_err(io)?;
        }
    }
    // Where there are no schemas at all, that is told already.
    if !schemas.is_empty() {
        for (kind, cases) in unseen {
            let named = cases.join(", ");
            tally.skipped.push(format!("validation of {}: [schemas] has none for {kind} of {named}", mapping.name));
        }
    }
    Ok(coverage)
}

fn blessed(case: &mut CaseResult, mapping: &str, folder: Option<&Path>, err: &mut dyn Write) -> Result<(), String> {
    let Some(folder) = folder else { return Ok(()) };
    for (path, bytes) in &case.actual {
        let path = folder.join(mapping).join(path);
        std::fs::write(&path, bytes).map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
        writeln!(err, "written: {}", path.display()).map_err(io)?;
        case.problems.clear();
    }
    Ok(())
}
