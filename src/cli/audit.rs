//! `preclear audit`: takes the chains of evidence away, and checks what was taken.
//!
//! Why it exists: evidence convinces only when somebody else can check it, on a machine that has neither gateway nor store.
//! The check uses nothing but the file and the rule of the chain.
//!
//! Invariants: an export is read and written line by line, whatever its length; a check ends at the first bad line and
//! names it.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::operator::{OpsArgs, Stop, block_on, print, query};
use crate::domain::audit::{Bad, Checker, Why, from_line};
use crate::domain::time::rfc3339;

/// Longest line of an export, in bytes.
const MAX_LINE_BYTES: u64 = 64 << 20;

/// Take the evidence away and check it, on any machine
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  preclear audit export > evidence.ndjson\n  preclear audit verify evidence.ndjson\n\n\
    Exit codes: 0 done, 1 a bad line was found, or no answer, 2 wrong usage.")]
pub struct AuditArgs {
    #[command(subcommand)]
    command: Audit,
}

#[derive(Debug, Subcommand)]
enum Audit {
    /// Write the chains to stdout, a link a line
    #[command(after_help = "Examples:\n  preclear audit export --url https://ops.example --token-file token > evidence.ndjson\n  \
        preclear audit export --after 01939d4e-…:4711 >> evidence.ndjson")]
    Export(ExportArgs),
    /// Check an export; needs neither gateway nor store
    #[command(after_help = "Example:\n  preclear audit verify evidence.ndjson")]
    Verify {
        /// The export
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
struct ExportArgs {
    /// Go on after this line: its chain and number
    #[arg(long, value_name = "CHAIN:NUMBER")]
    after: Option<String>,
    #[command(flatten)]
    ops: OpsArgs,
}

/// Runs the command. Needs no runtime around it.
pub fn run(args: &AuditArgs) -> ExitCode {
    let done = match &args.command {
        Audit::Export(args) => export(args),
        Audit::Verify { file } => verify(file),
    };
    done.map_or_else(Stop::told, |()| ExitCode::SUCCESS)
}

fn export(args: &ExportArgs) -> Result<(), Stop> {
    let client = args.ops.client()?;
    let mut after = args.after.clone();
    let mut links = 0u64;
    block_on(async {
        loop {
            let path = format!("/v1/audit{}", query([("after", after.clone())]));
            let answer = client.get(&path).await.map_err(|none| Stop::Fault(none.to_string()))?;
            if answer.status != 200 {
                let problem = answer.json();
                return Err(Stop::Fault(format!("{}: {}", answer.status, problem["detail"].as_str().unwrap_or("refused"))));
            }
            let page = String::from_utf8(answer.body).map_err(|_| Stop::Fault("the answer is no text".to_owned()))?;
            let Some(last) = page.lines().last() else { break };
            let Some(link) = from_line(last) else { return Err(Stop::Fault("the answer holds a line that is no link".to_owned())) };
            after = Some(format!("{}:{}", link.chain, link.number));
            links += u64::try_from(page.lines().count()).unwrap_or(u64::MAX);
            print(&page)?;
        }
        Ok(())
    })?;
    eprintln!("{links} links");
    Ok(())
}

fn verify(path: &Path) -> Result<(), Stop> {
    let unreadable = |fault: std::io::Error| Stop::Usage(format!("{}: cannot be read: {}", path.display(), fault.kind()));
    let mut reader = BufReader::new(File::open(path).map_err(unreadable)?);
    let mut checker = Checker::partial();
    let mut line = Vec::new();
    for number in 1u64.. {
        line.clear();
        let read = reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line).map_err(unreadable)?;
        if read == 0 {
            break;
        }
        follow(&mut checker, &line).map_err(|words| Stop::Fault(format!("{}: line {number}: {words}", path.display())))?;
    }
    let sums = checker.sums();
    if sums.is_empty() {
        return Err(Stop::Fault(format!("{}: holds no link", path.display())));
    }
    for sum in sums {
        let last = sum.first + sum.links - 1;
        let (from, to) = (rfc3339(sum.first_at), rfc3339(sum.last_at));
        print(&format!("{}: links {} to {last}, {} entries, {from} to {to}\n", sum.chain, sum.first, sum.entries))?;
    }
    Ok(())
}

/// Follows a line; what is wrong with it, in words.
fn follow(checker: &mut Checker, line: &[u8]) -> Result<(), String> {
    let text = line.strip_suffix(b"\n").and_then(|text| std::str::from_utf8(text).ok());
    let Some(link) = text.and_then(from_line) else { return Err(words(Why::Line).to_owned()) };
    checker.follow(&link).map_err(|Bad { chain, number, why }| format!("link {number} of chain {chain}: {}", words(why)))
}

const fn words(why: Why) -> &'static str {
    match why {
        Why::Gap => "gap: a link before it is missing, or it stands twice",
        Why::Previous => "previous: it does not hold the hash of the link before it",
        Why::Hash => "hash: its own hash is not that of its content",
        Why::Entries => "entries: it holds none, or what is none",
        Why::Line => "line: not a whole link",
        Why::Missing => "missing: its link holds no entry of it",
        Why::Differs => "differs: not what was chained",
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::audit::{Entry, EntryKind, Link, genesis, seal, to_line};
    use crate::domain::time::from_millis;

    fn lines(count: u64) -> Vec<String> {
        let chain = Uuid::from_u128(7);
        let mut previous = genesis(chain);
        let line = |number: u64| {
            let mut entries = Vec::new();
            Entry { kind: EntryKind::Notice, subject: Uuid::from_u128(number.into()), digest: [4; 32] }.write(&mut entries);
            let at = from_millis(1_795_000_000_000);
            let hash = seal(chain, &previous, number, at, &entries);
            let link = Link { chain, number, at, previous, entries, hash };
            previous = hash;
            to_line(&link).expect("entries") + "\n"
        };
        (1..=count).map(line).collect()
    }

    fn verified(lines: &[String]) -> Result<(), String> {
        let path = std::env::temp_dir().join(format!("preclear-audit-{}", Uuid::new_v4()));
        std::fs::write(&path, lines.concat()).expect("written");
        let found = verify(&path);
        std::fs::remove_file(&path).expect("removed");
        found.map_err(|stop| match stop {
            Stop::Fault(words) => words,
            Stop::Usage(words) => panic!("{words}"),
        })
    }

    #[test]
    fn an_export_holds_and_the_first_bad_line_is_named() {
        let whole = lines(5);
        assert_eq!(verified(&whole), Ok(()));
        assert_eq!(verified(&whole[2..]), Ok(()), "an export may begin later");
        let changed = |at: usize, change: &dyn Fn(&str) -> String| {
            let mut lines = whole.clone();
            lines[at] = change(&lines[at]);
            verified(&lines).expect_err("bad")
        };
        let twice = whole[..2].iter().chain(&whole[1..]).cloned().collect::<Vec<_>>();
        let cases = [
            (changed(2, &|line| line.replacen("0404", "0405", 1)), "line 3: link 3 of chain", "hash:"),
            (changed(2, &|_| String::new()), "line 3: link 4 of chain", "gap:"),
            (changed(2, &|line| line[..40].to_owned()), "line 3: ", "line:"),
            (changed(4, &|line| line.trim_end().to_owned()), "line 5: ", "line:"),
            (verified(&twice).expect_err("bad"), "line 3: link 2 of chain", "gap:"),
            (verified(&[]).expect_err("nothing proves nothing"), "holds no link", ""),
        ];
        for (found, place, why) in cases {
            assert!(found.contains(place) && found.contains(why), "{found}, not {place} {why}");
        }
    }
}
