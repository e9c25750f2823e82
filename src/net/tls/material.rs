//! A certificate chain and its key, judged before use.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::X509Certificate;

use super::provider;
use crate::domain::time::{Timestamp, from_millis};

/// Largest file of certificates, keys or revocations that is read.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// Which file is at fault, by its key in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The certificate chain.
    Certificate,
    /// The private key.
    Key,
    /// Those whom we trust.
    Ca,
    /// The revocation list.
    Crl,
    /// What we prove ourselves with beside the certificate: value, password or client secret.
    Secret,
    /// Those whom we trust where tokens are given out.
    TokenCa,
}

/// What is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It is missing or cannot be read, or is larger than 4 MiB.
    Unreadable,
    /// It is no PEM of the expected kind.
    NotPem,
    /// The certificate belongs to another key.
    Mismatch,
    /// It begins later.
    NotYetValid,
    /// It has ended.
    Expired,
    /// It may not be used for this (extended key usage).
    WrongPurpose,
    /// Its chain is not in order: each certificate has to be issued by the next.
    BrokenChain,
    /// It cannot be used for TLS.
    Unusable,
}

/// Why TLS material cannot be used. Neither text nor fields hold a value of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaterialFault {
    /// Which file.
    pub part: Part,
    /// What is wrong.
    pub why: Why,
}

impl MaterialFault {
    /// A word for status and metrics, for example `certificate_expired`.
    pub const fn as_str(self) -> &'static str {
        match (self.part, self.why) {
            (Part::Certificate, Why::Unreadable) => "certificate_unreadable",
            (Part::Certificate, Why::NotPem) => "certificate_not_pem",
            (Part::Certificate, Why::NotYetValid) => "certificate_not_yet_valid",
            (Part::Certificate, Why::Expired) => "certificate_expired",
            (Part::Certificate, Why::WrongPurpose) => "certificate_wrong_purpose",
            (Part::Certificate, Why::BrokenChain) => "certificate_broken_chain",
            (Part::Certificate, Why::Mismatch | Why::Unusable) => "certificate_unusable",
            (Part::Key, Why::Unreadable) => "key_unreadable",
            (Part::Key, Why::Mismatch) => "key_mismatch",
            (Part::Key, Why::NotPem) => "key_not_pem",
            (Part::Key, _) => "key_unusable",
            (Part::Ca, Why::Unreadable) => "ca_unreadable",
            (Part::Ca, Why::NotPem) => "ca_not_pem",
            (Part::Ca, Why::Expired) => "ca_expired",
            (Part::Ca, _) => "ca_unusable",
            (Part::Crl, Why::Expired) => "crl_expired",
            (Part::Crl, Why::Unreadable) => "crl_unreadable",
            (Part::Crl, _) => "crl_unusable",
            (Part::Secret, Why::Unreadable) => "secret_unreadable",
            (Part::Secret, _) => "secret_unusable",
            (Part::TokenCa, Why::Unreadable) => "token_ca_unreadable",
            (Part::TokenCa, Why::NotPem) => "token_ca_not_pem",
            (Part::TokenCa, Why::Expired) => "token_ca_expired",
            (Part::TokenCa, _) => "token_ca_unusable",
        }
    }
}

impl fmt::Display for MaterialFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = match self.part {
            Part::Certificate => "certificate",
            Part::Key => "key",
            Part::Ca => "ca",
            Part::Crl => "crl",
            Part::Secret => "secret",
            Part::TokenCa => "auth.ca",
        };
        let why = match self.why {
            Why::Unreadable if self.part == Part::Secret => "the file or the environment variable cannot be read",
            Why::Unusable if self.part == Part::Secret => "has to be one line of visible characters",
            Why::Unusable if matches!(self.part, Part::Ca | Part::TokenCa) => "none of the certificates can be used",
            Why::Unreadable => "the file cannot be read",
            Why::NotPem => "the file holds no PEM of the expected kind",
            Why::Mismatch => "the certificate belongs to another key",
            Why::NotYetValid => "is not valid yet",
            Why::Expired => "has expired",
            Why::WrongPurpose => "may not be used for this (extended key usage)",
            Why::BrokenChain => "each certificate of the chain has to be issued by the next",
            Why::Unusable => "cannot be used for TLS",
        };
        write!(f, "{part}: {why}")
    }
}

impl std::error::Error for MaterialFault {}

/// What a pair is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To be shown by a listener.
    Server,
    /// To be shown to a broker.
    Client,
}

/// A certificate chain with its key, found fit.
#[derive(Debug, Clone)]
pub struct KeyPair {
    pub(crate) certified: Arc<CertifiedKey>,
    /// The leaf is valid up to here.
    pub not_after: Timestamp,
}

/// Loads a chain (leaf first) and its key, and judges them: they belong together, the dates hold at
/// `now`, the chain is in order, the leaf may be used for `purpose`.
pub fn load_pair(certificate: &Path, key: &Path, purpose: Purpose, now: Timestamp) -> Result<KeyPair, MaterialFault> {
    let chain = certificates(certificate, Part::Certificate)?;
    let fault = |why| MaterialFault { part: Part::Certificate, why };
    let not_after = judge_chain(&chain, purpose, now).map_err(fault)?;
    let key = PrivateKeyDer::from_pem_slice(&read(key, Part::Key)?).map_err(|_| MaterialFault { part: Part::Key, why: Why::NotPem })?;
    let certified = CertifiedKey::from_der(chain, key, &provider()).map_err(|error| {
        let why = if matches!(error, rustls::Error::InconsistentKeys(_)) { Why::Mismatch } else { Why::Unusable };
        MaterialFault { part: Part::Key, why }
    })?;
    Ok(KeyPair { certified: Arc::new(certified), not_after })
}

/// Loads the certificates of those whom we trust; at least one of them is valid at `now`.
pub fn load_roots(path: &Path, now: Timestamp) -> Result<RootCertStore, MaterialFault> {
    load_roots_of(Part::Ca, path, now)
}

/// The same for another file than `ca`.
pub(crate) fn load_roots_of(part: Part, path: &Path, now: Timestamp) -> Result<RootCertStore, MaterialFault> {
    let fault = |why| MaterialFault { part, why };
    let mut roots = RootCertStore::empty();
    let mut some_valid = false;
    for certificate in certificates(path, part)? {
        let parsed = parse(&certificate).map_err(fault)?;
        some_valid |= not_after(&parsed) > now;
        roots.add(certificate).map_err(|_| fault(Why::Unusable))?;
    }
    if some_valid { Ok(roots) } else { Err(fault(Why::Expired)) }
}

/// Reads a file up to the bound.
pub(crate) fn read(path: &Path, part: Part) -> Result<Vec<u8>, MaterialFault> {
    let unreadable = MaterialFault { part, why: Why::Unreadable };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|_| unreadable)?;
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(|_| unreadable)?;
    if bytes.len() as u64 > MAX_FILE_BYTES { Err(unreadable) } else { Ok(bytes) }
}

/// The certificates of a PEM file, at least one.
pub(super) fn certificates(path: &Path, part: Part) -> Result<Vec<CertificateDer<'static>>, MaterialFault> {
    let not_pem = MaterialFault { part, why: Why::NotPem };
    let bytes = read(path, part)?;
    let certificates = CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>().map_err(|_| not_pem)?;
    if certificates.is_empty() { Err(not_pem) } else { Ok(certificates) }
}

/// A certificate read.
pub(super) fn parse<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, Why> {
    x509_parser::parse_x509_certificate(der.as_ref()).map(|(_, certificate)| certificate).map_err(|_| Why::NotPem)
}

/// When a certificate ends.
pub(super) fn not_after(certificate: &X509Certificate<'_>) -> Timestamp {
    from_millis(certificate.validity().not_after.timestamp().saturating_mul(1000))
}

fn judge_chain(chain: &[CertificateDer<'_>], purpose: Purpose, now: Timestamp) -> Result<Timestamp, Why> {
    let parsed = chain.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    let leaf = parsed.first().ok_or(Why::NotPem)?;
    if from_millis(leaf.validity().not_before.timestamp().saturating_mul(1000)) > now {
        return Err(Why::NotYetValid);
    }
    let ends = not_after(leaf);
    if ends <= now {
        return Err(Why::Expired);
    }
    if let Some(usage) = leaf.extended_key_usage().map_err(|_| Why::Unusable)? {
        let fits = match purpose {
            Purpose::Server => usage.value.server_auth,
            Purpose::Client => usage.value.client_auth,
        };
        if !fits && !usage.value.any {
            return Err(Why::WrongPurpose);
        }
    }
    let in_order = parsed.windows(2).all(|pair| pair[0].issuer().as_raw() == pair[1].subject().as_raw());
    if in_order { Ok(ends) } else { Err(Why::BrokenChain) }
}
