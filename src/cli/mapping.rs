//! `preclear mapping list|check|render|read`: work on mappings without a server.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::{Args, Subcommand};

use crate::mapping::cases::{self, CaseContext, CaseResult};
use crate::mapping::{Broken, Files, Mapping, Registry, Source};

/// Work on mappings: list, check, render, read.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  preclear mapping list\n  preclear mapping check hmrc-cds --schemas ../shared/schemas\n  \
    preclear mapping render hmrc-cds declaration.json --settings settings.toml\n  preclear mapping read hmrc-cds notice.xml")]
pub struct MappingArgs {
    /// Folder of mappings; otherwise ./mappings, otherwise the built-in set.
    #[arg(long, value_name = "DIR", global = true)]
    pub mappings: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: MappingCommand,
}

/// What to do with mappings.
#[derive(Debug, Subcommand)]
pub enum MappingCommand {
    /// List mappings with their versions.
    #[command(after_help = "Example:\n  preclear mapping list --mappings ./mappings")]
    List,
    /// Compile mappings and run their cases; exit 1 on any fault.
    #[command(after_help = "Examples:\n  preclear mapping check\n  preclear mapping check hmrc-cds --schemas ../shared/schemas\n  \
        PRECLEAR_BLESS=1 preclear mapping check hmrc-cds    (writes the expected files anew)")]
    Check {
        /// Mappings; all when none is named.
        names: Vec<String>,
        /// Folder of official schemas, one folder for each mapping: each message is validated with xmllint.
        #[arg(long, value_name = "DIR")]
        schemas: Option<PathBuf>,
    },
    /// Print the message that a declaration becomes.
    #[command(after_help = "Example:\n  preclear mapping render hmrc-cds declaration.json --settings settings.toml")]
    Render {
        /// The mapping.
        name: String,
        /// A declaration in JSON; - reads stdin.
        declaration: PathBuf,
        /// The broker's settings, as in the configuration; a table `context` may set lrn, mrn, post_code and so on.
        #[arg(long, value_name = "FILE")]
        settings: Option<PathBuf>,
    },
    /// Print the facts that a notice says, as a JSON array.
    #[command(after_help = "Example:\n  preclear mapping read hmrc-cds notice.xml")]
    Read {
        /// The mapping.
        name: String,
        /// A notice; - reads stdin.
        notice: PathBuf,
    },
}

/// Largest file that a command reads.
const MAX_INPUT_BYTES: u64 = 64 * 1024 * 1024;

/// Runs a command; the exit code.
pub fn run(args: &MappingArgs, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let source = Source::choose(args.mappings.clone());
    let done = match &args.command {
        MappingCommand::List => list(&source, out, err),
        MappingCommand::Check { names, schemas } => check(&source, names, schemas.as_deref(), out, err),
        MappingCommand::Render { name, declaration, settings } => render(&source, name, declaration, settings.as_deref(), out, err),
        MappingCommand::Read { name, notice } => read(&source, name, notice, out, err),
    };
    done.unwrap_or_else(|error| {
        let _ = writeln!(err, "{error}");
        2
    })
}

type Done = Result<u8, String>;

fn io(error: std::io::Error) -> String {
    format!("cannot write: {error}")
}

fn tell(broken: &[Broken], err: &mut dyn Write) -> Result<usize, String> {
    for fault in broken.iter().flat_map(|broken| &broken.faults) {
        writeln!(err, "{fault}").map_err(io)?;
    }
    Ok(broken.iter().map(|broken| broken.faults.len()).sum())
}

fn list(source: &Source, out: &mut dyn Write, err: &mut dyn Write) -> Done {
    let (registry, broken) = Registry::load(source);
    for mapping in registry.iter() {
        writeln!(out, "{:<16} {:<24} {}", mapping.name, mapping.version, mapping.manifest.title).map_err(io)?;
    }
    Ok(u8::from(tell(&broken, err)? > 0))
}

fn load(source: &Source, name: &str, err: &mut dyn Write) -> Result<Option<std::sync::Arc<Mapping>>, String> {
    let (registry, mut broken) = Registry::load(source);
    if let Some(mapping) = registry.get(name) {
        return Ok(Some(mapping));
    }
    broken.retain(|broken| broken.name == name || broken.name.is_empty());
    if broken.is_empty() {
        let known: Vec<_> = registry.names().collect();
        return Err(format!("there is no mapping {name}; there are: {}", known.join(", ")));
    }
    tell(&broken, err)?;
    Ok(None)
}

fn input(path: &Path) -> Result<Vec<u8>, String> {
    use std::io::Read as _;
    let told = |error: std::io::Error| format!("{} cannot be read: {error}", path.display());
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().lock().take(MAX_INPUT_BYTES).read_to_end(&mut bytes).map_err(told)?;
    } else {
        std::fs::File::open(path).map_err(told)?.take(MAX_INPUT_BYTES).read_to_end(&mut bytes).map_err(told)?;
    }
    Ok(bytes)
}

fn render(source: &Source, name: &str, declaration: &Path, settings: Option<&Path>, out: &mut dyn Write, err: &mut dyn Write) -> Done {
    let Some(mapping) = load(source, name, err)? else { return Ok(1) };
    let context = match settings {
        Some(path) => String::from_utf8(input(path)?).map_err(|_| "the settings have to be UTF-8".to_owned())?,
        None => String::new(),
    };
    let context = CaseContext::read(&context)?;
    let declaration = match cases::declaration(&input(declaration)?) {
        Ok(declaration) => declaration,
        Err(problem) => {
            writeln!(err, "{problem}").map_err(io)?;
            return Ok(1);
        }
    };
    match context.render(&mapping, &declaration) {
        Ok(rendered) => {
            out.write_all(&rendered.bytes).map_err(io)?;
            writeln!(out).map_err(io)?;
            if !rendered.warnings.is_empty() {
                writeln!(err, "{}", cases::list(&rendered.warnings)).map_err(io)?;
            }
            Ok(0)
        }
        Err(faults) => {
            writeln!(err, "{}", cases::list(&faults)).map_err(io)?;
            Ok(1)
        }
    }
}

fn read(source: &Source, name: &str, notice: &Path, out: &mut dyn Write, err: &mut dyn Write) -> Done {
    let Some(mapping) = load(source, name, err)? else { return Ok(1) };
    match mapping.read(&input(notice)?) {
        Ok(facts) => {
            let shown = serde_json::to_string_pretty(&facts).map_err(|error| error.to_string())?;
            writeln!(out, "{shown}").map_err(io)?;
            Ok(0)
        }
        Err(unreadable) => {
            writeln!(err, "unreadable: {}", unreadable.reason).map_err(io)?;
            Ok(1)
        }
    }
}

/// Counts for the last line of `check`.
#[derive(Default)]
struct Tally {
    mappings: usize,
    cases: usize,
    failed: usize,
    faults: usize,
    validated: usize,
    skipped: Vec<String>,
}

fn check(source: &Source, names: &[String], schemas: Option<&Path>, out: &mut dyn Write, err: &mut dyn Write) -> Done {
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
        let schema = schema(mapping, schemas, source.folder());
        check_cases(mapping, &files, source.folder(), schema.as_deref(), &mut tally, err)?;
    }
    let Tally { mappings, cases, failed, faults, validated, mut skipped } = tally;
    skipped.dedup();
    for reason in skipped {
        writeln!(err, "skipped: {reason}").map_err(io)?;
    }
    writeln!(out, "{mappings} mappings, {faults} faults, {cases} cases, {failed} failed, {validated} messages valid against their schema")
        .map_err(io)?;
    Ok(u8::from(faults + failed > 0))
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
) -> Result<(), String> {
    let bless = std::env::var_os("PRECLEAR_BLESS").is_some_and(|value| value == "1");
    for mut case in cases::run(mapping, files) {
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
    Ok(())
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
