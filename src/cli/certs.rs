//! `preclear certs`: make a development PKI, and tell what a certificate is.
//!
//! Why it exists: both directions of Preclear are mutual TLS, so certificates are the first thing a newcomer needs and
//! the first thing an operator doubts. This is a thin shell over [`crate::pki`]: it decides nothing but words.
//!
//! Data goes to stdout, faults to stderr; exit codes: 0 done, 1 found faults, 2 wrong usage (from clap). Keys are never shown.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use jiff::Timestamp;

use crate::pki::{BrokerIdentity, CertificateFacts, FileState, FolderOptions, PkiError, SubjectName, issue_into, read_certificates};

/// Most bytes of a file that `show` reads.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// From this many days on `show` says that a certificate ends soon.
const SOON_DAYS: i64 = 30;

/// Development certificates, and what a certificate is
#[derive(Debug, Args)]
pub struct CertsArgs {
    #[command(subcommand)]
    command: CertsCommand,
}

#[derive(Debug, Subcommand)]
enum CertsCommand {
    /// Make a development PKI in a folder, or add what is missing of it
    #[command(after_help = "Examples:\n  preclear certs issue --dir certs/dev\n  \
        preclear certs issue --dir certs/dev --broker uk-broker --broker nl-broker=callbacks.nl.example --host gateway\n\n\
        Safe to run again: it only adds what is missing. Not for production: the CA's key lies beside the certificates.")]
    Issue(IssueArgs),
    /// Tell what certificates are and when they end
    #[command(after_help = "Example:\n  preclear certs show certs/dev/*.pem\n\n\
        Exit code 1 when a file cannot be read, or a certificate is expired or not valid yet.")]
    Show(ShowArgs),
}

#[derive(Debug, Args)]
struct IssueArgs {
    /// Folder of the PKI; made if it is not there
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Broker that gets a client certificate; its SAN is NAME.example unless given (default: uk-broker)
    #[arg(long = "broker", value_name = "NAME[=SAN]", value_parser = BrokerIdentity::parse)]
    brokers: Vec<BrokerIdentity>,
    /// Further host name or address of the two server certificates, beside localhost, 127.0.0.1 and ::1
    #[arg(long = "host", value_name = "HOST")]
    hosts: Vec<SubjectName>,
    /// Issue all certificates anew from the present CA
    #[arg(long)]
    renew: bool,
    /// Make a new CA and with it everything anew; whatever trusts the old CA must be given the new one
    #[arg(long)]
    replace_ca: bool,
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// PEM files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Runs `preclear certs`.
pub fn run(args: &CertsArgs) -> ExitCode {
    // The clock of the moment is read here, at the edge; everything below takes it as a value.
    #[allow(clippy::disallowed_methods)]
    let now = Timestamp::now();
    let (text, faults) = match &args.command {
        CertsCommand::Issue(args) => issue(args, now),
        CertsCommand::Show(args) => show(&args.files, now),
    };
    // A closed pipe (`| head`) is no fault of ours.
    let _ = std::io::stdout().write_all(text.as_bytes());
    for fault in &faults {
        eprintln!("{fault}");
    }
    if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn issue(args: &IssueArgs, now: Timestamp) -> (String, Vec<String>) {
    let mut brokers = args.brokers.clone();
    if brokers.is_empty() {
        let san = SubjectName::Dns("uk-broker.example".to_owned());
        brokers.push(BrokerIdentity { name: "uk-broker".to_owned(), san });
    }
    let options = FolderOptions { brokers, hosts: args.hosts.clone(), renew: args.renew, replace_ca: args.replace_ca };
    match issue_into(&args.dir, &options, now) {
        Err(fault) => (String::new(), vec![fault.to_string()]),
        Ok(files) => {
            let mut text = String::new();
            let mut faults = Vec::new();
            for file in files {
                let state = if file.state == FileState::Issued { "issued" } else { "kept" };
                let path = file.certificate.display();
                let _ = writeln!(text, "{state:<7} {path}  {}", file.what);
                if file.state == FileState::KeptUnfit {
                    faults.push(format!("{path}: kept, but it lacks a name asked for, is expired, or is of another CA; use --renew"));
                }
            }
            (text, faults)
        }
    }
}

fn show(files: &[PathBuf], now: Timestamp) -> (String, Vec<String>) {
    let mut text = String::new();
    let mut faults = Vec::new();
    for path in files {
        match read_file(path) {
            Err(fault) => faults.push(format!("{}: {fault}", path.display())),
            Ok(certificates) => {
                for facts in certificates {
                    describe(&mut text, path, &facts, now);
                    if let Some(fault) = time_fault(&facts, now) {
                        faults.push(format!("{}: {fault}", path.display()));
                    }
                }
            }
        }
    }
    (text, faults)
}

fn read_file(path: &Path) -> Result<Vec<CertificateFacts>, PkiError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|source| PkiError::File { file: "cannot be read".to_owned(), source })?;
    read_certificates(&bytes)
}

fn time_fault(facts: &CertificateFacts, now: Timestamp) -> Option<&'static str> {
    if facts.not_after <= now {
        Some("the certificate is expired")
    } else if facts.not_before > now {
        Some("the certificate is not valid yet")
    } else {
        None
    }
}

fn describe(text: &mut String, path: &Path, facts: &CertificateFacts, now: Timestamp) {
    let days = facts.days_left(now);
    let left = match time_fault(facts, now) {
        Some(fault) => fault.to_owned(),
        None if days < SOON_DAYS => format!("{days} days left: renew it"),
        None => format!("{days} days left"),
    };
    let list = |items: Vec<String>| if items.is_empty() { "(none)".to_owned() } else { items.join(", ") };
    let usage = facts.key_usage.iter().map(|usage| (*usage).to_owned()).collect();
    let rows = [
        ("subject", facts.subject.clone()),
        ("issuer", facts.issuer.clone()),
        ("names", list(facts.sans.clone())),
        ("serial", facts.serial.clone()),
        ("usage", list(usage)),
        ("kind", if facts.is_ca { "CA" } else { "leaf" }.to_owned()),
        ("from", format!("{:.0}", facts.not_before)),
        ("until", format!("{:.0} ({left})", facts.not_after)),
        ("sha256", facts.sha256.clone()),
    ];
    let _ = writeln!(text, "{}", path.display());
    for (name, value) in rows {
        let _ = writeln!(text, "  {name:<8} {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expired_or_unreadable_file_is_a_fault_and_the_others_are_still_shown() {
        let dir = std::env::temp_dir().join(format!("preclear-certs-{:016x}", fastrand::u64(..)));
        let begin = Timestamp::from_second(1_790_000_000).expect("in range");
        let at = |days: i64| Timestamp::from_second(begin.as_second() + days * 86_400).expect("in range");
        let args = IssueArgs { dir: dir.clone(), brokers: vec![], hosts: vec![], renew: false, replace_ca: false };
        let (text, faults) = issue(&args, begin);
        assert!(faults.is_empty() && text.contains("uk-broker-client.pem"), "{text}{faults:?}");
        let files = [dir.join("broker.pem"), dir.join("broker.key"), dir.join("ca.pem")];
        let table = [(1, 1, "396 days left"), (380, 1, "renew it"), (399, 2, "is expired"), (-2, 3, "not valid yet")];
        for (day, count, words) in table {
            let (text, faults) = show(&files, at(day));
            assert_eq!(faults.len(), count, "day {day}: {faults:?}");
            assert!(text.contains(words) && text.contains("DNS:localhost"), "day {day}: {text}");
            assert!(!text.contains("PRIVATE"));
        }
        let _ = std::fs::remove_dir_all(&dir);
    }
}
