//! Certificates and keys: loading, judging and using them, failing closed.
//!
//! Why it exists: mutual TLS is never optional here, in neither direction. A pair that does not fit,
//! is out of date or is meant for something else is found before a byte is sent, and is named by a
//! word that tells the operator which file to mend.
//!
//! Invariants:
//! - session resumption is off on both sides: a resumed session skips the verifier, so that a revoked
//!   certificate would come back in, and a client would not show its new certificate;
//! - a revocation list that is expired or unreadable refuses everybody, and says so;
//! - files are read up to a bound; texts never hold key material.
//!
//! Must not: read the clock (the instant comes in), or issue certificates.

mod client;
mod material;
mod peer;
mod server;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub(crate) use client::client_config;
pub use client::trusts_somebody;
pub use material::{KeyPair, MaterialFault, Part, Purpose, Why, load_pair, load_roots};
pub(crate) use material::{load_roots_of, read};
pub use peer::Peer;
pub use server::{ServerTls, ServerTlsFiles, server_config};

/// The one cryptography of this process. It is handed over explicitly wherever rustls takes one.
pub(crate) fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// Installs aws-lc-rs as the process's provider, for libraries that ask for the process's own. Call it
/// first in `main` and in tests that touch TLS; calling it again is harmless.
pub fn install_crypto_provider() {
    // An error only says that one is installed already; the crate tree holds no other.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
