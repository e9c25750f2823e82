//! The official schema as a judge, by `xmllint` where it is installed.
//!
//! Why it exists: the gateway checks its messages with one validator; the simulated broker must not use the same one, or a
//! mistake in it would go unseen. libxml2's is the reference for the formats at hand.
//!
//! Invariants: no network, no entity substitution, no DTD; one process per message, bounded in number and time; its words
//! are cut to a bounded length. They may repeat values of the message, as a real authority's do: they go into the answer
//! to the sender and nowhere else.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tokio::sync::Semaphore;

const DEADLINE: Duration = Duration::from_secs(20);
const PROCESSES: usize = 4;
const MAX_ERRORS: usize = 10;
const MAX_ERROR_CHARS: usize = 300;
const MAX_OUTPUT_BYTES: u64 = 64 * 1024;

/// A verdict that is not "valid".
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SchemaFault {
    /// What the schema forbids, in xmllint's words.
    Invalid(Vec<String>),
    /// No verdict could be had.
    NoVerdict,
}

/// A validator for one schema.
#[derive(Clone)]
pub(super) struct Schema {
    file: PathBuf,
    processes: Arc<Semaphore>,
}

impl Schema {
    /// A validator for `file`, or none where `xmllint` is not installed.
    pub(super) fn find(file: &Path) -> Option<Self> {
        let found = Command::new("xmllint").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        found.is_ok_and(|status| status.success()).then(|| Self { file: file.to_owned(), processes: Arc::new(Semaphore::new(PROCESSES)) })
    }

    /// Validates a message.
    pub(super) async fn check(&self, body: Vec<u8>) -> Result<(), SchemaFault> {
        // The semaphore is never closed.
        let _permit = self.processes.acquire().await.ok();
        let file = self.file.clone();
        tokio::task::spawn_blocking(move || run(&file, body)).await.unwrap_or(Err(SchemaFault::NoVerdict))
    }
}

fn run(file: &Path, body: Vec<u8>) -> Result<(), SchemaFault> {
    let mut child = Command::new("xmllint")
        .args(["--nonet", "--noout", "--schema"])
        .arg(file)
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|_| SchemaFault::NoVerdict)?;
    let (Some(mut stdin), Some(stderr)) = (child.stdin.take(), child.stderr.take()) else {
        return Err(SchemaFault::NoVerdict);
    };
    // Both pipes are served beside the wait, or a full one would stop xmllint. The end of its words is its end.
    let writer = std::thread::spawn(move || stdin.write_all(&body));
    let (said, words) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = Vec::new();
        let mut stderr = stderr;
        // What cannot be read is missing from the words, not from the verdict.
        let _ = stderr.by_ref().take(MAX_OUTPUT_BYTES).read_to_end(&mut text);
        let _ = std::io::copy(&mut stderr, &mut std::io::sink());
        let _ = said.send(String::from_utf8_lossy(&text).into_owned());
    });
    let words = words.recv_timeout(DEADLINE).ok();
    if words.is_none() {
        // It may have ended just now; the wait below takes either.
        let _ = child.kill();
    }
    let code = child.wait().ok().and_then(|status| status.code());
    // A message that is not read to its end breaks the pipe: the verdict says why.
    let _ = writer.join();
    let words = words.ok_or(SchemaFault::NoVerdict)?;
    match code {
        Some(0) => Ok(()),
        // 1: not well-formed; 3 and 4: not valid. Anything else is about xmllint or the schema itself.
        Some(1 | 3 | 4) => Err(SchemaFault::Invalid(errors(&words))),
        _ => Err(SchemaFault::NoVerdict),
    }
}

/// The lines of the errors, bounded, without xmllint's frame.
fn errors(words: &str) -> Vec<String> {
    let marked = words.lines().filter_map(|line| line.split_once("error : ").map(|(_, text)| text));
    let mut found: Vec<String> = marked.take(MAX_ERRORS).map(|text| text.chars().take(MAX_ERROR_CHARS).collect()).collect();
    if found.is_empty() {
        found.push("the message is not valid".to_owned());
    }
    found
}
