//! `preclear mapping list|check|render|read`: work on mappings without a server.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use crate::mapping::cases::{self, CaseContext};
use crate::mapping::{Broken, Mapping, Registry, Source};

mod check;

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
    #[command(
        after_help = "Examples:\n  preclear mapping check\n  preclear mapping check hmrc-cds --schemas ../shared/schemas\n  preclear mapping check --coverage\n  \
        PRECLEAR_BLESS=1 preclear mapping check hmrc-cds    (writes the expected files anew)"
    )]
    Check {
        /// Mappings; all when none is named.
        names: Vec<String>,
        /// Folder of official schemas, one folder for each mapping: each message is validated with xmllint.
        #[arg(long, value_name = "DIR")]
        schemas: Option<PathBuf>,
        /// List the branches of templates and the rows of code lists that no case touches; exit 1 on such a branch.
        #[arg(long)]
        coverage: bool,
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
        MappingCommand::Check { names, schemas, coverage } => {
            check::check(&source, names, check::Wishes { schemas: schemas.as_deref(), coverage: *coverage }, out, err)
        }
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
    match context.render(&mapping, &declaration, None) {
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
