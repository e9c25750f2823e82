//! What a certificate says, as values that a person or a check can read.
//!
//! Why it exists: an operator who is refused by a broker needs to see at once who the certificate names, what it may be
//! used for and when it ends. The reading is separate from the making: it takes certificates of any origin.
//!
//! Input is not trusted: its size is bounded, and every text is cleaned of control characters before it can reach a
//! terminal. Private keys in the same file are skipped, never parsed or shown.

use std::net::IpAddr;

use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use sha2::{Digest, Sha256};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::PkiError;

/// Most bytes of PEM that are read; a chain of three certificates has about 6 kB.
pub(super) const MAX_PEM_BYTES: usize = 1 << 20;
/// Most certificates of one file that are read.
const MAX_CERTIFICATES: usize = 256;

/// The readable facts of one certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Whom it names, in RFC 4514 style.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// Subject alternative names: `DNS:…`, `IP:…`, `URI:…`, `email:…`.
    pub sans: Vec<String>,
    /// Serial number, hex without separators, as many bytes as the certificate has.
    pub serial: String,
    /// Key usages and extended key usages by their X.509 names.
    pub key_usage: Vec<&'static str>,
    /// Whether it may sign other certificates.
    pub is_ca: bool,
    /// First moment of validity.
    pub not_before: Timestamp,
    /// Last moment of validity.
    pub not_after: Timestamp,
    /// SHA-256 of the DER, lower-case hex.
    pub sha256: String,
    /// The public key as in `subjectPublicKey`, to compare with a private key's.
    pub public_key: Vec<u8>,
}

impl CertificateFacts {
    /// Reads one DER certificate.
    ///
    /// # Errors
    /// When it is no X.509 certificate or its dates cannot be represented.
    pub fn from_der(der: &[u8]) -> Result<Self, PkiError> {
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| PkiError::Unreadable("not an X.509 certificate"))?;
        if !rest.is_empty() {
            return Err(PkiError::Unreadable("bytes after the certificate"));
        }
        let moment = |time: x509_parser::time::ASN1Time| {
            Timestamp::from_second(time.timestamp()).map_err(|_| PkiError::Unreadable("dates out of range"))
        };
        let sans = match certificate.subject_alternative_name() {
            Ok(Some(extension)) => extension.value.general_names.iter().map(name_text).collect(),
            Ok(None) => Vec::new(),
            Err(_) => return Err(PkiError::Unreadable("subject alternative names")),
        };
        Ok(Self {
            subject: clean(&certificate.subject().to_string()),
            issuer: clean(&certificate.issuer().to_string()),
            sans,
            serial: hex(certificate.raw_serial()),
            key_usage: usages(&certificate),
            is_ca: certificate.is_ca(),
            not_before: moment(certificate.validity().not_before)?,
            not_after: moment(certificate.validity().not_after)?,
            sha256: hex(&Sha256::digest(der)),
            public_key: certificate.public_key().subject_public_key.data.to_vec(),
        })
    }

    /// Whole days until it ends; negative once it has ended.
    pub fn days_left(&self, now: Timestamp) -> i64 {
        (self.not_after.as_second() - now.as_second()).div_euclid(86_400)
    }
}

/// Reads every certificate of a PEM text, in its order; other blocks (keys) are passed over unread.
///
/// # Errors
/// When the text is over 1 MiB, is not PEM, holds no certificate, or one of them cannot be read.
pub fn read_certificates(pem: &[u8]) -> Result<Vec<CertificateFacts>, PkiError> {
    if pem.len() > MAX_PEM_BYTES {
        return Err(PkiError::Unreadable("the file is larger than 1 MiB"));
    }
    let mut found = Vec::new();
    for der in CertificateDer::pem_slice_iter(pem) {
        if found.len() == MAX_CERTIFICATES {
            return Err(PkiError::Unreadable("more than 256 certificates"));
        }
        let der = der.map_err(|_| PkiError::Unreadable("the PEM text is damaged"))?;
        found.push(CertificateFacts::from_der(&der)?);
    }
    if found.is_empty() {
        return Err(PkiError::Unreadable("the file holds no certificate"));
    }
    Ok(found)
}

fn name_text(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::DNSName(text) => format!("DNS:{}", clean(text)),
        GeneralName::URI(text) => format!("URI:{}", clean(text)),
        GeneralName::RFC822Name(text) => format!("email:{}", clean(text)),
        GeneralName::IPAddress(bytes) => match address(bytes) {
            Some(address) => format!("IP:{address}"),
            None => "IP:(unreadable)".to_owned(),
        },
        GeneralName::DirectoryName(name) => format!("DN:{}", clean(&name.to_string())),
        _ => "(another kind of name)".to_owned(),
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(IpAddr::from(v4));
    }
    <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from)
}

fn usages(certificate: &X509Certificate<'_>) -> Vec<&'static str> {
    let mut found = Vec::new();
    if let Ok(Some(usage)) = certificate.key_usage() {
        let usage = usage.value;
        let table = [
            (usage.digital_signature(), "digitalSignature"),
            (usage.non_repudiation(), "nonRepudiation"),
            (usage.key_encipherment(), "keyEncipherment"),
            (usage.data_encipherment(), "dataEncipherment"),
            (usage.key_agreement(), "keyAgreement"),
            (usage.key_cert_sign(), "keyCertSign"),
            (usage.crl_sign(), "cRLSign"),
        ];
        found.extend(table.iter().filter(|(set, _)| *set).map(|(_, name)| *name));
    }
    if let Ok(Some(extended)) = certificate.extended_key_usage() {
        let extended = extended.value;
        let table = [
            (extended.any, "anyExtendedKeyUsage"),
            (extended.server_auth, "serverAuth"),
            (extended.client_auth, "clientAuth"),
            (extended.code_signing, "codeSigning"),
            (extended.email_protection, "emailProtection"),
            (extended.time_stamping, "timeStamping"),
            (extended.ocsp_signing, "OCSPSigning"),
        ];
        found.extend(table.iter().filter(|(set, _)| *set).map(|(_, name)| *name));
    }
    found
}

/// `text` without anything that could move a terminal's cursor or end a line.
fn clean(text: &str) -> String {
    text.chars().take(1024).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Lower-case hex.
fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
