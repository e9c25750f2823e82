//! What a client's certificate says of it.

use rustls_pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use x509_parser::extensions::GeneralName;

use super::material::{not_after, parse};
use crate::domain::time::Timestamp;

/// The other side of a connection, by the certificate that its handshake proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// DNS and URI names of the certificate, as written. A DNS name is to be compared without regard
    /// to case ([`Peer::is`]).
    pub sans: Vec<String>,
    /// SHA-256 of the certificate, hex.
    pub sha256: String,
    /// Serial number, hex, two digits a byte.
    pub serial: String,
    /// When it ends.
    pub not_after: Timestamp,
}

impl Peer {
    /// Reads a certificate; `None` when it cannot be read, which is to be taken as a stranger.
    pub fn from_der(der: &[u8]) -> Option<Self> {
        let der = CertificateDer::from(der);
        let certificate = parse(&der).ok()?;
        let mut sans = Vec::new();
        if let Some(names) = certificate.subject_alternative_name().ok()? {
            for name in &names.value.general_names {
                if let GeneralName::DNSName(name) | GeneralName::URI(name) = name {
                    sans.push((*name).to_owned());
                }
            }
        }
        Some(Self {
            sans,
            sha256: hex(&Sha256::digest(der.as_ref())),
            serial: hex(certificate.raw_serial()),
            not_after: not_after(&certificate),
        })
    }

    /// The peer of a server's connection; `None` without a client certificate.
    pub fn of(connection: &rustls::ServerConnection) -> Option<Self> {
        Self::from_der(connection.peer_certificates()?.first()?)
    }

    /// Whether one of its names is this one. URIs are compared as written, DNS names without regard
    /// to case.
    pub fn is(&self, identity: &str) -> bool {
        self.sans.iter().any(|san| if san.contains(':') { san == identity } else { san.eq_ignore_ascii_case(identity) })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
