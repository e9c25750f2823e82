//! `preclear mapping …`: work on mappings without a server.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::pipe::Pipe;
use crate::domain::declaration::Declaration;
use crate::mapping::cases::{self, CaseContext};
use crate::mapping::fields::{self, FieldLine};
use crate::mapping::{Broken, Mapping, Registry, Source, UnreadableReason, indented};

mod check;
mod diff;
mod explain;
mod scaffold;

/// Work on mappings: list, check, render, explain, diff, new, read, fields.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  preclear mapping list\n  preclear mapping check hmrc-cds --schemas ../shared/schemas\n  \
    preclear mapping render hmrc-cds declaration.json --settings settings.toml\n  preclear mapping explain hmrc-cds declaration.json --settings settings.toml\n  \
    preclear mapping new swiss-edec --from sample.xml\n  preclear mapping read hmrc-cds notice.xml")]
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
        /// Folder of official schemas, one folder for each mapping: each message is validated.
        #[arg(long, value_name = "DIR")]
        schemas: Option<PathBuf>,
        /// List the branches of templates, the rows and paths of notices and the rows of code lists that no case touches; exit 1 but for the last.
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
        /// The declaration before, for an amendment.
        #[arg(long, value_name = "FILE")]
        previous: Option<PathBuf>,
        /// Indent it, an element in each line; without it the bytes are those that are sent.
        #[arg(long)]
        pretty: bool,
    },
    /// Show how a message is made: each element with its expression, what that looked at, and what was left out.
    #[command(after_help = "Examples:\n  preclear mapping explain hmrc-cds declaration.json --settings settings.toml\n  \
        preclear mapping explain hmrc-cds declaration.json --settings settings.toml --html explained.html")]
    Explain {
        /// The mapping.
        name: String,
        /// A declaration in JSON; - reads stdin.
        declaration: PathBuf,
        /// The broker's settings, as for `render`.
        #[arg(long, value_name = "FILE")]
        settings: Option<PathBuf>,
        /// The declaration before, for an amendment.
        #[arg(long, value_name = "FILE")]
        previous: Option<PathBuf>,
        /// Write a page with template and message side by side instead.
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
    },
    /// Show what a change of a mapping does to declarations.
    #[command(after_help = "Example (yesterday's declarations, one JSON in a file or one in each line):\n  \
        preclear mapping diff mappings/hmrc-cds changed/hmrc-cds yesterday.ndjson --settings settings.toml")]
    Diff {
        /// Folder of the mapping as it is.
        old: PathBuf,
        /// Folder of the mapping as it shall be.
        new: PathBuf,
        /// Files of declarations: JSON, or NDJSON with one in each line; - reads stdin.
        #[arg(required = true)]
        declarations: Vec<PathBuf>,
        /// The broker's settings, as for `render`.
        #[arg(long, value_name = "FILE")]
        settings: Option<PathBuf>,
    },
    /// Begin a mapping: a folder that compiles, from a sample of the broker's message.
    #[command(after_help = "Example:\n  preclear mapping new swiss-edec --from sample.xml\n\n\
        Each value of the sample becomes a place: a proposal where it was recognised, else {todo('…')}.")]
    New {
        /// Name of the mapping: small letters, digits and -.
        name: String,
        /// A sample of the message.
        #[arg(long, value_name = "FILE")]
        from: Option<PathBuf>,
    },
    /// List the declaration's fields as templates name them, with what they hold.
    #[command(after_help = "Example:\n  preclear mapping fields | grep recipient")]
    Fields,
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
    let out: &mut dyn Write = &mut Pipe::new(out);
    let done = match &args.command {
        MappingCommand::List => list(&source, out, err),
        MappingCommand::Check { names, schemas, coverage } => {
            check::check(&source, names, check::Wishes { schemas: schemas.as_deref(), coverage: *coverage }, out, err)
        }
        MappingCommand::Render { name, declaration, settings, previous, pretty } => {
            let work = Work::read(&source, name, declaration, previous.as_deref(), settings.as_deref(), err);
            work.and_then(|work| work.map_or(Ok(1), |work| render(&work, *pretty, out, err)))
        }
        MappingCommand::Explain { name, declaration, settings, previous, html } => {
            let work = Work::read(&source, name, declaration, previous.as_deref(), settings.as_deref(), err);
            work.and_then(|work| work.map_or(Ok(1), |work| explain::explain(&work, html.as_deref(), out, err)))
        }
        MappingCommand::Diff { old, new, declarations, settings } => {
            diff::diff([old.as_path(), new.as_path()], declarations, settings.as_deref(), out, err)
        }
        MappingCommand::New { name, from } => scaffold::new(args.mappings.as_deref(), name, from.as_deref(), out),
        MappingCommand::Fields => fields::lines().iter().try_for_each(|line| field(line, out)).map(|()| 0),
        MappingCommand::Read { name, notice } => read(&source, name, notice, out, err),
    };
    done.unwrap_or_else(|error| {
        let _ = writeln!(err, "{error}");
        2
    })
}

type Done = Result<u8, String>;

/// A number with its noun: `1 mapping`, `2 mappings`.
fn counted((count, noun): (usize, &str)) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn io(error: std::io::Error) -> String {
    format!("cannot write: {error}")
}

fn tell(broken: &[Broken], err: &mut dyn Write) -> Result<usize, String> {
    for fault in broken.iter().flat_map(|broken| &broken.faults) {
        writeln!(err, "{fault}").map_err(io)?;
    }
    Ok(broken.iter().map(|broken| broken.faults.len()).sum())
}

fn field(line: &FieldLine, out: &mut dyn Write) -> Result<(), String> {
    let FieldLine { path, kind, required, doc } = line;
    let required = if *required { ", required" } else { "" };
    writeln!(out, "{path:<34} {doc} [{kind}{required}]").map_err(io)
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

/// A mapping, a declaration and its context, as the command names them.
struct Work {
    mapping: std::sync::Arc<Mapping>,
    declaration: Declaration,
    previous: Option<Declaration>,
    context: CaseContext,
}

impl Work {
    /// Reads everything; `None` after faults of the files, which are told.
    fn read(
        source: &Source,
        name: &str,
        declaration: &Path,
        previous: Option<&Path>,
        settings: Option<&Path>,
        err: &mut dyn Write,
    ) -> Result<Option<Self>, String> {
        let Some(mapping) = load(source, name, err)? else { return Ok(None) };
        let context = context(settings)?;
        let mut read = |path: &Path| -> Result<Option<Declaration>, String> {
            let read = cases::declaration(&input(path)?);
            read.as_ref().err().map_or(Ok(()), |problem| writeln!(err, "{}: {problem}", path.display()).map_err(io))?;
            Ok(read.ok())
        };
        let Some(declaration) = read(declaration)? else { return Ok(None) };
        let previous = match previous.map(&mut read).transpose()? {
            Some(None) => return Ok(None),
            read => read.flatten(),
        };
        Ok(Some(Self { mapping, declaration, previous, context }))
    }
}

fn context(settings: Option<&Path>) -> Result<CaseContext, String> {
    let text = match settings {
        Some(path) => String::from_utf8(input(path)?).map_err(|_| "the settings have to be UTF-8".to_owned())?,
        None => String::new(),
    };
    CaseContext::read(&text)
}

fn render(work: &Work, pretty: bool, out: &mut dyn Write, err: &mut dyn Write) -> Done {
    match work.context.messages(&work.mapping, &work.declaration, work.previous.as_ref()) {
        Ok(made) => {
            for (template, rendered) in &made {
                // One message is printed as it is sent. Of several each is announced: XML allows a comment after its end.
                if made.len() > 1 {
                    writeln!(out, "<!-- {template}.xml -->").map_err(io)?;
                }
                let shown = if pretty { indented(&rendered.bytes).trim_ascii_end().to_vec() } else { rendered.bytes.clone() };
                out.write_all(&shown).map_err(io)?;
                writeln!(out).map_err(io)?;
                if !rendered.warnings.is_empty() {
                    writeln!(err, "{}", cases::list(&rendered.warnings)).map_err(io)?;
                }
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
    let bytes = input(notice)?;
    match mapping.read(&bytes) {
        Ok(facts) => {
            let shown = serde_json::to_string_pretty(&facts).map_err(|error| error.to_string())?;
            writeln!(out, "{shown}").map_err(io)?;
            Ok(0)
        }
        Err(unreadable) => {
            match unreadable.reason {
                UnreadableReason::UnknownFormat => writeln!(err, "unreadable: {}: {}", unreadable.reason, mapping.unknown_format(&bytes)),
                reason => writeln!(err, "unreadable: {reason}"),
            }
            .map_err(io)?;
            Ok(1)
        }
    }
}
