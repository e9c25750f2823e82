//! `preclear declare`: hands files of declarations to a gateway.
//!
//! Why it exists: the first integration of a post is often a file somebody exported. This sends JSON, NDJSON or CSV, tells
//! for each declaration what became of it, and can be run again at any time: what the gateway has already is answered as
//! before.
//!
//! Invariants: result lines go to stdout, one per declaration, in the order of the input; everything else goes to stderr;
//! the key comes from an option or the environment and is never written anywhere. Exit codes: 0 all are with the gateway,
//! 1 some are not, 2 wrong usage or a file that cannot be read.

pub(in crate::cli) mod client;
mod csv;
mod send;
mod source;

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use futures_util::StreamExt as _;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use serde_json::Value;

use client::Client;
use send::{Outcome, Pace, send};
use source::{Entry, Source};

/// Most declarations and most bytes of one request: small enough that a break costs little.
const CHUNK_ENTRIES: usize = 100;
const CHUNK_BYTES: usize = 1 << 20;
const MAX_CA_BYTES: u64 = 1 << 20;

const EXAMPLES: &str = "Examples:\n  preclear declare --key kra-demo-key examples/declarations.csv\n  \
    PRECLEAR_KEY=… preclear declare --url https://intake.example outbound/*.ndjson > results.ndjson\n\n\
    Files by their ending: .json (one object or a list), .ndjson or .jsonl (one a line), .csv (rules in examples/README.md).\n\
    Each declaration gives one line on stdout: {\"file\",\"line\",\"item_id\",\"status\",\"declaration_id\" or \"problem\"}.\n\
    Running it again is safe: what the gateway has is answered with 200.\n\
    Exit codes: 0 all are with the gateway, 1 some are not, 2 wrong usage or a file that cannot be read.";

/// Send files of declarations to a gateway
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DeclareArgs {
    /// Files of declarations
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The gateway's intake interface
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// The post's API key; better in the environment, where no process list shows it
    #[arg(long, value_name = "KEY", env = "PRECLEAR_KEY", hide_env_values = true)]
    key: String,
    /// Requests at a time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=64))]
    concurrency: u8,
    /// CA of the intake interface, where it serves TLS by a CA of its own (PEM)
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

/// Runs `preclear declare`. Needs no runtime around it.
pub fn run(args: DeclareArgs) -> ExitCode {
    let (client, sources) = match prepare(&args) {
        Ok(ready) => ready,
        Err(faults) => return usage(&faults),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(fault) => return usage(&[format!("cannot start: {fault}")]),
    };
    let concurrency = usize::from(args.concurrency);
    let report = runtime.block_on(declare(&client, Pace::default(), sources, concurrency, &mut std::io::stdout().lock()));
    eprintln!("{}", report.words());
    match report {
        Report { unreadable: Some(fault), .. } => usage(&[fault]),
        Report { not_taken: 0, output_closed: false, .. } => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn usage(faults: &[String]) -> ExitCode {
    for fault in faults {
        eprintln!("{fault}");
    }
    ExitCode::from(2)
}

fn prepare(args: &DeclareArgs) -> Result<(Client, Vec<Source>), Vec<String>> {
    let ca = args.ca.as_deref().map(|path| {
        let mut bytes = Vec::new();
        let read =
            std::fs::File::open(path).and_then(|file| std::io::Read::read_to_end(&mut std::io::Read::take(file, MAX_CA_BYTES), &mut bytes));
        read.map(|_| bytes).map_err(|fault| vec![format!("{}: cannot be read: {}", path.display(), fault.kind())])
    });
    let ca = ca.transpose()?;
    let client = Client::new(&args.url, &args.key, ca.as_deref()).map_err(|fault| vec![fault.to_string()])?;
    let (mut sources, mut faults) = (Vec::new(), Vec::new());
    for path in &args.files {
        match source::open(path) {
            Ok(source) => sources.push(source),
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() { Ok((client, sources)) } else { Err(faults) }
}

/// How a run ended.
#[derive(Debug, Default)]
struct Report {
    accepted: u64,
    known: u64,
    not_taken: u64,
    /// A file that could not be read to its end.
    unreadable: Option<String>,
    /// Nobody reads the result lines any more.
    output_closed: bool,
    seconds: f64,
}

impl Report {
    fn words(&self) -> String {
        let Self { accepted, known, not_taken, seconds, .. } = self;
        format!("{accepted} accepted, {known} known already, {not_taken} not taken, in {seconds:.1} s")
    }
}

/// Sends everything and writes the result lines.
async fn declare(client: &Client, pace: Pace, sources: Vec<Source>, concurrency: usize, out: &mut impl std::io::Write) -> Report {
    let began = Instant::now();
    let bar = progress(sources.iter().map(|source| source.bytes).sum());
    let report = RefCell::new(Report::default());
    let settled = |_: &Entry, outcome: &Outcome| {
        let mut report = report.borrow_mut();
        match outcome.status {
            Some(202) => report.accepted += 1,
            Some(200) => report.known += 1,
            _ => report.not_taken += 1,
        }
        bar.set_message(format!("{} taken, {} not", report.accepted + report.known, report.not_taken));
    };
    let told = Cell::new(false);
    let put_off = |why: &str| {
        bar.set_message(format!("{why}; trying again"));
        if !told.replace(true) {
            bar.suspend(|| eprintln!("{why}; trying again for about a minute"));
        }
    };
    let chunks = Chunks { entries: all(sources), held: None };
    let (settled, put_off) = (&settled, &put_off);
    let sent = futures_util::stream::iter(chunks).map(|(entries, read_bytes, fault)| async move {
        let outcomes = send(client, pace, &entries, settled, put_off).await;
        (entries, outcomes, read_bytes, fault)
    });
    let mut sent = std::pin::pin!(sent.buffered(concurrency));
    while let Some((entries, outcomes, read_bytes, fault)) = sent.next().await {
        bar.set_position(read_bytes);
        let lines: String = entries.iter().zip(&outcomes).map(|(entry, outcome)| format!("{}\n", result_line(entry, outcome))).collect();
        let written = out.write_all(lines.as_bytes()).and_then(|()| out.flush());
        let mut report = report.borrow_mut();
        report.unreadable = report.unreadable.take().or(fault);
        if written.is_err() {
            report.output_closed = true;
            break;
        }
    }
    bar.finish_and_clear();
    Report { seconds: began.elapsed().as_secs_f64(), ..report.take() }
}

fn progress(bytes: u64) -> ProgressBar {
    let bar = ProgressBar::new(bytes);
    if let Ok(style) = ProgressStyle::with_template("{bar:32.green} {percent:>3} %  {msg}  {elapsed}") {
        bar.set_style(style);
    }
    bar
}

/// One line of the answer, with its members in the order that a person reads them.
#[derive(Serialize)]
struct ResultLine<'a> {
    file: &'a str,
    line: u64,
    item_id: Option<&'a str>,
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    declaration_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<&'a Value>,
}

fn result_line(entry: &Entry, outcome: &Outcome) -> String {
    let line = ResultLine {
        file: &entry.file,
        line: entry.line,
        item_id: entry.item_id.as_deref(),
        status: outcome.status,
        declaration_id: outcome.declaration_id.as_deref(),
        problem: outcome.problem.as_ref(),
    };
    // Texts and numbers only: it cannot fail.
    serde_json::to_string(&line).unwrap_or_default()
}

/// The declarations of all files, and the bytes of all files read so far.
fn all(sources: Vec<Source>) -> impl Iterator<Item = (Result<Entry, String>, u64)> {
    let mut before = 0;
    sources.into_iter().flat_map(move |source| {
        let start = before;
        before += source.bytes;
        source.entries.map(move |entry| {
            let read = entry.as_ref().map_or(0, |entry| entry.read_bytes);
            (entry, start + read)
        })
    })
}

/// What goes into one request, the bytes of the files read with it, and why a file ended early.
type Chunk = (Vec<Entry>, u64, Option<String>);

struct Chunks<I> {
    entries: I,
    held: Option<(Entry, u64)>,
}

impl<I: Iterator<Item = (Result<Entry, String>, u64)>> Iterator for Chunks<I> {
    type Item = Chunk;

    fn next(&mut self) -> Option<Chunk> {
        let (mut chunk, mut bytes, mut read_bytes) = (Vec::new(), 0, 0);
        while chunk.len() < CHUNK_ENTRIES {
            let next = self.held.take().map(|(entry, read)| (Ok(entry), read)).or_else(|| self.entries.next());
            match next {
                None => break,
                Some((Err(fault), _)) => return Some((chunk, read_bytes, Some(fault))),
                Some((Ok(entry), read)) => {
                    let size = entry.body.as_ref().map_or(0, bytes::Bytes::len);
                    if bytes + size > CHUNK_BYTES && !chunk.is_empty() {
                        self.held = Some((entry, read));
                        break;
                    }
                    (bytes, read_bytes) = (bytes + size, read);
                    chunk.push(entry);
                }
            }
        }
        (!chunk.is_empty()).then_some((chunk, read_bytes, None))
    }
}

#[cfg(test)]
mod tests;
