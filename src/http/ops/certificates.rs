//! Every configured certificate file: what is in it and when it ends.
//!
//! Files are read anew at each look, so that a file that was replaced but not yet reloaded shows what will come; reading
//! is bounded, private keys are passed over. A file that cannot be read is a row that says so, not a failure of the list.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::views::{CertificateFact, CertificateView};
use crate::config::{Config, FilePath};
use crate::domain::time::{Timestamp, rfc3339};
use crate::pki::{CertificateFacts, read_certificates};

/// Most bytes of a file that are read.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// What a certificate file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// A leaf with its chain: of use until the first of them ends.
    Chain,
    /// Trusted CAs, old and new side by side while they are changed: of use until the last of them ends.
    Authorities,
}

/// A configured file.
#[derive(Debug, Clone)]
pub struct CertificateFile {
    name: String,
    path: PathBuf,
    purpose: Use,
}

/// Every certificate file that the configuration names, listeners first, then brokers by name.
pub fn configured(config: &Config) -> Vec<CertificateFile> {
    let mut files = Vec::new();
    let mut add = |name: String, path: Option<&FilePath>, purpose| {
        files.extend(path.map(|path| CertificateFile { name, path: path.as_path().to_owned(), purpose }));
    };
    let listeners = [
        ("intake", config.intake.certificate.as_ref(), config.intake.client_ca.as_ref()),
        ("callbacks", Some(&config.callbacks.certificate), Some(&config.callbacks.client_ca)),
        ("ops", config.ops.certificate.as_ref(), config.ops.client_ca.as_ref()),
    ];
    for (name, certificate, client_ca) in listeners {
        add(format!("{name}.certificate"), certificate, Use::Chain);
        add(format!("{name}.client_ca"), client_ca, Use::Authorities);
    }
    for (name, broker) in &config.brokers {
        add(format!("brokers.{name}.certificate"), broker.certificate.as_ref(), Use::Chain);
        add(format!("brokers.{name}.ca"), broker.ca.as_ref(), Use::Authorities);
    }
    files
}

/// A file's certificates and when it stops being of use.
#[derive(Debug)]
pub struct CertificateStatus {
    /// The row.
    pub view: CertificateView,
    /// When it stops being of use; none when it cannot be read.
    pub not_after: Option<Timestamp>,
}

/// Reads all files. Blocks: call it off the request's thread.
pub fn read_all(files: &[CertificateFile], now: Timestamp) -> Vec<CertificateStatus> {
    files.iter().map(|file| read(file, now)).collect()
}

fn read(file: &CertificateFile, now: Timestamp) -> CertificateStatus {
    match read_file(&file.path) {
        Ok(facts) => readable(file, &facts, now),
        Err(fault) => {
            let view = CertificateView {
                name: file.name.clone(),
                state: "unreadable",
                fault: Some(fault),
                certificates: Vec::new(),
                not_after: None,
                days_left: None,
            };
            CertificateStatus { view, not_after: None }
        }
    }
}

fn read_file(path: &Path) -> Result<Vec<CertificateFacts>, String> {
    let mut pem = Vec::new();
    let file = File::open(path).map_err(|error| format!("the file cannot be opened: {}", error.kind()))?;
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut pem).map_err(|error| format!("the file cannot be read: {}", error.kind()))?;
    read_certificates(&pem).map_err(|error| error.to_string())
}

fn readable(file: &CertificateFile, facts: &[CertificateFacts], now: Timestamp) -> CertificateStatus {
    let ends = facts.iter().map(|fact| fact.not_after);
    let begins = facts.iter().map(|fact| fact.not_before);
    let (not_before, not_after) = match file.purpose {
        Use::Chain => (begins.max(), ends.min()),
        Use::Authorities => (begins.min(), ends.max()),
    };
    let state = match (not_before, not_after) {
        (_, Some(end)) if end < now => "expired",
        (Some(begin), _) if begin > now => "not_yet_valid",
        _ => "valid",
    };
    let view = CertificateView {
        name: file.name.clone(),
        state,
        fault: None,
        certificates: facts.iter().map(fact_view).collect(),
        not_after: not_after.map(rfc3339),
        days_left: not_after.map(|end| (end.as_second() - now.as_second()).div_euclid(86_400)),
    };
    CertificateStatus { view, not_after }
}

fn fact_view(fact: &CertificateFacts) -> CertificateFact {
    CertificateFact {
        subject: fact.subject.clone(),
        issuer: fact.issuer.clone(),
        sans: fact.sans.clone(),
        not_before: rfc3339(fact.not_before),
        not_after: rfc3339(fact.not_after),
        sha256: fact.sha256.clone(),
    }
}
