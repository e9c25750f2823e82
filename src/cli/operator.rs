//! What the operators' commands share: where the ops interface is, how they prove who they are, how a refusal is told.
//!
//! Invariants: the token comes from a file or the environment, never from an argument that every process list shows; an
//! answer's data goes to stdout, everything else to stderr. Exit codes: 0 done, 1 refused or no answer, 2 wrong usage.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::declare::client::{Answer, Client};

/// Longest token or CA file, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// How to reach the ops interface.
#[derive(Debug, Args)]
pub(in crate::cli) struct OpsArgs {
    /// The gateway's ops interface
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9090")]
    url: String,
    /// File with the operators' token; else the environment's PRECLEAR_OPS_TOKEN, else none
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// CA of the ops interface, where it serves TLS by a CA of its own (PEM)
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

/// Why a command ended early.
#[derive(Debug)]
pub(in crate::cli) enum Stop {
    /// Wrong usage.
    Usage(String),
    /// Refused, no answer, or faults found.
    Fault(String),
}

impl Stop {
    /// Tells it, and gives the exit code.
    pub fn told(self) -> ExitCode {
        let (words, code) = match self {
            Self::Usage(words) => (words, 2),
            Self::Fault(words) => (words, 1),
        };
        eprintln!("{words}");
        ExitCode::from(code)
    }
}

impl OpsArgs {
    /// A client of the interface.
    ///
    /// # Errors
    /// [`Stop::Usage`] when a file cannot be read or the address is unusable.
    pub fn client(&self) -> Result<Client, Stop> {
        let token = match &self.token_file {
            Some(path) => Some(String::from_utf8_lossy(&read(path)?).trim().to_owned()),
            None => std::env::var("PRECLEAR_OPS_TOKEN").ok().filter(|token| !token.is_empty()),
        };
        let ca = self.ca.as_deref().map(read).transpose()?;
        Client::open(&self.url, token.as_deref(), ca.as_deref()).map_err(|fault| Stop::Usage(fault.to_string()))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Stop> {
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(MAX_FILE_BYTES).read_to_end(&mut bytes));
    read.map(|_| bytes).map_err(|fault| Stop::Usage(format!("{}: cannot be read: {}", path.display(), fault.kind())))
}

/// Runs a command's requests to their end.
pub(in crate::cli) fn block_on<T>(work: impl Future<Output = Result<T, Stop>>) -> Result<T, Stop> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|fault| Stop::Fault(format!("cannot start: {fault}")))?.block_on(work)
}

/// `GET`; the JSON of a 200.
///
/// # Errors
/// [`Stop::Fault`] with the problem's own words.
pub(in crate::cli) async fn get(client: &Client, path: &str) -> Result<Value, Stop> {
    good(client.get(path).await.map_err(|none| Stop::Fault(none.to_string()))?)
}

/// `POST`; the JSON of a 200.
///
/// # Errors
/// [`Stop::Fault`] with the problem's own words.
pub(in crate::cli) async fn post(client: &Client, path: &str, body: &Value) -> Result<Value, Stop> {
    good(client.post(path, body.to_string()).await.map_err(|none| Stop::Fault(none.to_string()))?)
}

fn good(answer: Answer) -> Result<Value, Stop> {
    let json = answer.json();
    if answer.status == 200 {
        return Ok(json);
    }
    let mut words = format!("{}: {}", answer.status, json["detail"].as_str().unwrap_or("refused"));
    for error in json["errors"].as_array().into_iter().flatten() {
        let text = |member: &str| error[member].as_str().unwrap_or_default().to_owned();
        words.push_str(&format!("\n  {}: {}", text("pointer"), text("detail")));
    }
    Err(Stop::Fault(words))
}

/// Writes lines to stdout. Whoever closed the pipe has what they wanted.
///
/// # Errors
/// [`Stop::Fault`] when they cannot be written.
pub(in crate::cli) fn print(lines: &str) -> Result<(), Stop> {
    let mut out = std::io::stdout().lock();
    match out.write_all(lines.as_bytes()).and_then(|()| out.flush()) {
        Err(fault) if fault.kind() != std::io::ErrorKind::BrokenPipe => Err(Stop::Fault(format!("cannot write: {}", fault.kind()))),
        _ => Ok(()),
    }
}

/// A query of those members that are given.
pub(in crate::cli) fn query<'a>(members: impl IntoIterator<Item = (&'a str, Option<String>)>) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in members {
        if let Some(value) = value {
            query.append_pair(name, &value);
        }
    }
    let query = query.finish();
    if query.is_empty() { query } else { format!("?{query}") }
}
