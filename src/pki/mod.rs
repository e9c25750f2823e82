//! Development PKI: certificates for trying Preclear on one machine, and facts about any certificate.
//!
//! Why it exists: mutual TLS is never optional in Preclear, so a newcomer needs a complete set of certificates before
//! the first message can travel. [`Authority`] makes them in memory (for `demo` and tests), [`issue_into`] keeps them in
//! a folder (for `certs issue`), [`read_certificates`] tells what a certificate says (for `certs show` and `check`).
//!
//! Invariants:
//! - a private key leaves memory only into a file of mode 0600, written whole or not at all;
//! - an existing CA is never replaced unless the caller says so: every peer that trusts it would be cut off;
//! - a leaf never outlives 398 days nor its CA, and serves one purpose (server or client), never both;
//! - time comes in as a value: nothing here reads the clock.
//!
//! What it must not do: be a CA for production (no revocation service, the CA key lies beside the leaves), log, or print keys.

mod authority;
mod facts;
mod folder;

pub use crate::net::tls::install_crypto_provider;
pub use authority::{Authority, Issued, Purpose, SubjectName};
pub use facts::{CertificateFacts, read_certificates};
pub use folder::{BrokerIdentity, FileState, FolderOptions, IssuedFile, issue_into};

/// Why certificates could not be made or read. Texts name files and rules, never key material.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A host or SAN that is neither an IP address, a DNS name nor a URI.
    #[error("a subject name must be an IP address, a DNS name or a URI with a scheme")]
    BadName,
    /// A broker name that cannot be part of a file name.
    #[error("a broker name is 1 to 63 characters: a-z, 0-9 and '-', beginning with a letter or digit")]
    BadBrokerName,
    /// The bytes are no PEM certificate.
    #[error("no readable certificate: {0}")]
    Unreadable(&'static str),
    /// The CA's certificate, key or both are unusable.
    #[error("the CA in {file} cannot be used: {why}")]
    Authority {
        /// The file that is at fault.
        file: String,
        /// What is wrong with it, and what to do.
        why: &'static str,
    },
    /// The folder or a file of it could not be read or written.
    #[error("{file}: {source}")]
    File {
        /// The file or folder.
        file: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The certificate could not be built.
    #[error("the certificate could not be built: {0}")]
    Build(#[from] rcgen::Error),
    /// A date that no certificate can hold.
    #[error("the time lies outside what a certificate can hold")]
    Time,
}

#[cfg(test)]
mod tests;
