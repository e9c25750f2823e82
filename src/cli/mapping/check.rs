//! `preclear mapping check`: compiles mappings, runs their cases, counts what these touch.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Done, io, tell};
use crate::mapping::cases::{self, CaseResult};
use crate::mapping::coverage::Coverage;
use crate::mapping::{Files, Mapping, Registry, Source};

/// Counts for the last line of `check`.
#[derive(Default)]
struct Tally {
    mappings: usize,
    cases: usize,
    failed: usize,
    faults: usize,
    validated: usize,
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
        let schema = schema(mapping, wishes.schemas, source.folder());
        let coverage = check_cases(mapping, &files, source.folder(), schema.as_deref(), &mut tally, err)?;
        tell_coverage(mapping, &coverage, wishes.coverage, &mut tally, out)?;
    }
    let Tally { mappings, cases, failed, faults, validated, uncovered, mut skipped } = tally;
    skipped.dedup();
    for reason in skipped {
        writeln!(err, "skipped: {reason}").map_err(io)?;
    }
    writeln!(out, "{mappings} mappings, {faults} faults, {cases} cases, {failed} failed, {validated} messages valid against their schema")
        .map_err(io)?;
    Ok(u8::from(faults + failed + uncovered > 0))
}

fn tell_coverage(mapping: &Mapping, coverage: &Coverage, list: bool, tally: &mut Tally, out: &mut dyn Write) -> Result<(), String> {
    let Coverage { branches, all_branches, gaps, rows, all_rows, row_gaps } = coverage;
    if list {
        for gap in gaps.iter().chain(row_gaps) {
            writeln!(out, "{gap}").map_err(io)?;
        }
        tally.uncovered += gaps.len();
    }
    let name = &mapping.name;
    writeln!(out, "{name}: cases touch {branches} of {all_branches} branches, {rows} of {all_rows} rows of code lists").map_err(io)
}

/// The official schema of a mapping's declarations: given by `--schemas`, or the user's own copy in `schema/`.
fn schema(mapping: &Mapping, schemas: Option<&Path>, folder: Option<&Path>) -> Option<PathBuf> {
    let (_, root) = mapping.manifest.schemas.iter().find(|(kind, _)| kind == "declaration")?;
    let given = schemas.map(|schemas| schemas.join(&mapping.name).join(root));
    given.or_else(|| folder.map(|folder| folder.join(&mapping.name).join("schema").join(root)).filter(|path| path.is_file()))
}

fn check_cases(
    mapping: &Mapping,
    files: &Files,
    folder: Option<&Path>,
    schema: Option<&Path>,
    tally: &mut Tally,
    err: &mut dyn Write,
) -> Result<Coverage, String> {
    let bless = std::env::var_os("PRECLEAR_BLESS").is_some_and(|value| value == "1");
    let (results, coverage) = cases::run(mapping, files);
    for mut case in results {
        tally.cases += 1;
        if bless && !case.problems.is_empty() {
            blessed(&mut case, &mapping.name, folder, err)?;
        }
        if let (Some(message), Some(schema)) = (&case.message, schema) {
            match validate(message, schema) {
                Ok(Ok(())) => tally.validated += 1,
                Ok(Err(problem)) => case.problems.push(problem),
                Err(reason) => tally.skipped.push(reason),
            }
        }
        tally.failed += usize::from(!case.problems.is_empty());
        for problem in &case.problems {
            writeln!(err, "{}/{}: {problem}", mapping.name, case.name).map_err(io)?;
        }
    }
    if schema.is_none() {
        tally.skipped.push(format!("validation of {}: no schema (give --schemas DIR)", mapping.name));
    }
    Ok(coverage)
}

fn blessed(case: &mut CaseResult, mapping: &str, folder: Option<&Path>, err: &mut dyn Write) -> Result<(), String> {
    if let (Some((path, bytes)), Some(folder)) = (&case.actual, folder) {
        let path = folder.join(mapping).join(path);
        std::fs::write(&path, bytes).map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
        writeln!(err, "written: {}", path.display()).map_err(io)?;
        case.problems.clear();
    }
    Ok(())
}

/// Validates a message with xmllint: `Err` when it cannot be asked.
fn validate(message: &[u8], schema: &Path) -> Result<Result<(), String>, String> {
    if !schema.is_file() {
        return Ok(Err(format!("the schema {} is not there", schema.display())));
    }
    let spawned = Command::new("xmllint")
        .args(["--nonet", "--noout", "--schema"])
        .arg(schema)
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = spawned.map_err(|_| "validation against schemas: xmllint is not on this machine".to_owned())?;
    if let Some(mut stdin) = child.stdin.take() {
        let _ = stdin.write_all(message);
    }
    let output = child.wait_with_output().map_err(|error| format!("validation against schemas: xmllint: {error}"))?;
    if output.status.success() {
        return Ok(Ok(()));
    }
    let told = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<_> = told.lines().filter(|line| line.contains("error")).take(5).collect();
    Ok(Err(format!("not valid against the schema: {}", lines.join("; "))))
}
