//! A development PKI kept in a folder, under the file names that the example configuration uses.
//!
//! Why it exists: `certs issue` must be safe to run again at any time. It adds what is missing and leaves the rest,
//! so a script can call it before every start, and a second broker is one more option, not a new PKI.
//!
//! Invariants:
//! - a file appears whole (written beside, synced, renamed) and a key with mode 0600 from its first byte;
//! - the CA is only ever created where none is, by a link that fails if another run was faster; `replace_ca` is the one exception;
//! - a new CA re-issues every leaf, for none of the old ones would verify any more;
//! - the key is written before its certificate: a run that dies between leaves half a leaf, which the next run makes anew,
//!   or half a CA, which it refuses to touch.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::facts::MAX_PEM_BYTES;
use super::{Authority, Issued, PkiError, Purpose, SubjectName, read_certificates};

/// A broker's client identity: the file `<name>-client.pem` and the name that the gateway pins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerIdentity {
    /// The broker's name in the configuration.
    pub name: String,
    /// The subject alternative name of its client certificate.
    pub san: SubjectName,
}

impl BrokerIdentity {
    /// From `NAME` (its SAN is then `NAME.example`) or `NAME=SAN`.
    ///
    /// # Errors
    /// When the name cannot be part of a file name or the SAN is none.
    pub fn parse(text: &str) -> Result<Self, PkiError> {
        let (name, san) = match text.split_once('=') {
            Some((name, san)) => (name, san.to_owned()),
            None => (text, format!("{text}.example")),
        };
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || name.len() > 63 || name.starts_with('-') || !name.chars().all(allowed) {
            return Err(PkiError::BadBrokerName);
        }
        Ok(Self { name: name.to_owned(), san: san.parse()? })
    }
}

/// What [`issue_into`] shall make.
#[derive(Debug, Clone, Default)]
pub struct FolderOptions {
    /// Brokers that get a client certificate for their callbacks.
    pub brokers: Vec<BrokerIdentity>,
    /// Names of the two server certificates beside `localhost`, `127.0.0.1` and `::1`.
    pub hosts: Vec<SubjectName>,
    /// Issue every leaf anew from the present CA.
    pub renew: bool,
    /// Make a new CA even if one is there; nothing signed by the old one is trusted afterwards.
    pub replace_ca: bool,
}

/// What became of a certificate file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileState {
    /// It was made now.
    Issued,
    /// It was there and is left as it is.
    Kept,
    /// It was there and is left, but lacks a requested name, or is expired, or is of another CA: renew it.
    KeptUnfit,
}

/// One certificate of the folder after [`issue_into`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedFile {
    /// The certificate's path; its key lies beside it with the ending `.key`.
    pub certificate: PathBuf,
    /// What it is for, for people.
    pub what: String,
    /// Made or kept.
    pub state: FileState,
}

struct Leaf {
    stem: String,
    what: String,
    purpose: Purpose,
    names: Vec<SubjectName>,
}

/// Makes in `dir` whatever of the development PKI is missing, and tells of every certificate what became of it.
///
/// # Errors
/// When the present CA is unusable (it is never replaced unless `replace_ca` says so) or a file cannot be read or written.
pub fn issue_into(dir: &Path, options: &FolderOptions, now: Timestamp) -> Result<Vec<IssuedFile>, PkiError> {
    fs::create_dir_all(dir).map_err(|source| file_error(dir, source))?;
    let (authority, is_new) = authority_of(dir, options.replace_ca, now)?;
    let mut done = vec![IssuedFile {
        certificate: dir.join("ca.pem"),
        what: "the CA that all of them are signed by".to_owned(),
        state: if is_new { FileState::Issued } else { FileState::Kept },
    }];
    for leaf in leaves(options) {
        let certificate = dir.join(format!("{}.pem", leaf.stem));
        let key = dir.join(format!("{}.key", leaf.stem));
        let complete = certificate.exists() && key.exists();
        let state = if complete && !options.renew && !is_new {
            if is_fit(&certificate, &leaf, &authority, now)? { FileState::Kept } else { FileState::KeptUnfit }
        } else {
            let Issued { certificate_pem, key_pem } = authority.issue(&leaf.stem, leaf.purpose, &leaf.names, now)?;
            write_whole(&key, key_pem.as_bytes(), 0o600, true)?;
            write_whole(&certificate, certificate_pem.as_bytes(), 0o644, true)?;
            FileState::Issued
        };
        done.push(IssuedFile { certificate, what: leaf.what, state });
    }
    Ok(done)
}

fn leaves(options: &FolderOptions) -> Vec<Leaf> {
    let mut hosts = vec![
        SubjectName::Dns("localhost".to_owned()),
        SubjectName::Ip(std::net::Ipv4Addr::LOCALHOST.into()),
        SubjectName::Ip(std::net::Ipv6Addr::LOCALHOST.into()),
    ];
    for host in &options.hosts {
        if !hosts.contains(host) {
            hosts.push(host.clone());
        }
    }
    let leaf = |stem: &str, what: &str, purpose, names: &[SubjectName]| Leaf {
        stem: stem.to_owned(),
        what: what.to_owned(),
        purpose,
        names: names.to_vec(),
    };
    let gateway = [SubjectName::Dns("gateway.example".to_owned())];
    let mut all = vec![
        leaf("gateway", "the gateway's callback listener", Purpose::Server, &hosts),
        leaf("gateway-client", "the gateway towards brokers", Purpose::Client, &gateway),
        leaf("broker", "a broker's listener (the sandbox)", Purpose::Server, &hosts),
    ];
    for broker in &options.brokers {
        let stem = format!("{}-client", broker.name);
        let what = format!("broker {} towards the gateway's callbacks", broker.name);
        all.push(leaf(&stem, &what, Purpose::Client, std::slice::from_ref(&broker.san)));
    }
    all
}

/// Whether a present leaf still does what is asked of it.
fn is_fit(path: &Path, leaf: &Leaf, authority: &Authority, now: Timestamp) -> Result<bool, PkiError> {
    let Ok(found) = read_certificates(read_text(path)?.as_bytes()) else { return Ok(false) };
    let authority = read_certificates(authority.certificate_pem().as_bytes())?;
    let (Some(found), Some(authority)) = (found.first(), authority.first()) else { return Ok(false) };
    let named = leaf.names.iter().all(|name| found.sans.contains(&name.to_string()));
    Ok(named && found.not_after > now && found.issuer == authority.subject)
}

/// The folder's CA: the present one, or a new one where none is or where it shall be replaced.
fn authority_of(dir: &Path, replace: bool, now: Timestamp) -> Result<(Authority, bool), PkiError> {
    let (certificate, key) = (dir.join("ca.pem"), dir.join("ca.key"));
    let file = certificate.display().to_string();
    match (certificate.exists() || key.exists()) && !replace {
        true if !key.exists() => Err(PkiError::Authority { file, why: "ca.key is missing; restore it or replace the CA" }),
        true if !certificate.exists() => {
            Err(PkiError::Authority { file, why: "ca.key is there without ca.pem; restore it or replace the CA" })
        }
        true => {
            let authority = Authority::from_pem(&read_text(&certificate)?, &read_text(&key)?, now, &file)?;
            Ok((authority, false))
        }
        false => {
            // The name tells two development CAs apart in `certs show`.
            let authority = Authority::generate(&format!("Preclear development CA {now:.0}"), now)?;
            write_whole(&key, authority.key_pem().as_bytes(), 0o600, replace)?;
            write_whole(&certificate, authority.certificate_pem().as_bytes(), 0o644, replace)?;
            Ok((authority, true))
        }
    }
}

fn read_text(path: &Path) -> Result<String, PkiError> {
    let read = || -> io::Result<String> {
        let mut text = String::new();
        fs::File::open(path)?.take(MAX_PEM_BYTES as u64 + 1).read_to_string(&mut text)?;
        Ok(text)
    };
    read().map_err(|source| file_error(path, source))
}

/// Writes `path` whole or not at all; without `replace` it fails if the file is there, even if it came to be just now.
fn write_whole(path: &Path, bytes: &[u8], mode: u32, replace: bool) -> Result<(), PkiError> {
    let beside = path.with_extension(format!("new-{:016x}", fastrand::u64(..)));
    let write = || -> io::Result<()> {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        if replace { fs::rename(&beside, path) } else { fs::hard_link(&beside, path) }?;
        if let Some(dir) = path.parent() {
            fs::File::open(dir)?.sync_all()?;
        }
        Ok(())
    };
    let result = write();
    // After a link or a failure the file beside is still there; after a rename it is gone, and that is no fault.
    let _ = fs::remove_file(&beside);
    result.map_err(|source| file_error(path, source))
}

fn file_error(path: &Path, source: io::Error) -> PkiError {
    PkiError::File { file: path.display().to_string(), source }
}
