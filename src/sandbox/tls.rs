//! The simulated broker's side of mutual TLS.
//!
//! Why it exists: a broker that talks to anyone would not show that the gateway brings its certificate. There is no way to
//! start the sandbox without demanding one.
//!
//! Invariants: a client without a certificate of the given CA does not get as far as a request; sessions are not resumed
//! (a resumed session skips the verifier); only HTTP/1.1 is offered, since a cut connection would mean something else on HTTP/2.

use std::sync::Arc;

use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::SandboxError;
use crate::pki::{CertificateFacts, Issued};

/// Certificate chain, key and trusted CA of one side, as PEM.
#[derive(Clone)]
pub struct TlsMaterial {
    /// The certificate that is shown, leaf first.
    pub certificate_pem: String,
    /// Its private key. Secret.
    pub key_pem: String,
    /// The CA or CAs whose certificates the other side must show.
    pub ca_pem: String,
}

impl TlsMaterial {
    /// From a certificate of the development PKI and the CA that both sides trust.
    pub fn new(issued: &Issued, ca_pem: &str) -> Self {
        Self { certificate_pem: issued.certificate_pem.clone(), key_pem: issued.key_pem.clone(), ca_pem: ca_pem.to_owned() }
    }
}

impl std::fmt::Debug for TlsMaterial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsMaterial").field("key_pem", &"***").finish_non_exhaustive()
    }
}

/// What is known of a client by its certificate.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    pub sha256: String,
    pub sans: Vec<String>,
}

impl Peer {
    /// From the certificate that a finished handshake proved.
    pub(super) fn of(connection: &rustls::ServerConnection) -> Option<Self> {
        let certificate = connection.peer_certificates()?.first()?;
        let facts = CertificateFacts::from_der(certificate).ok()?;
        Some(Self { sha256: facts.sha256, sans: facts.sans })
    }
}

/// The listener's configuration: a client certificate of the CA is required.
pub(super) fn server_config(material: &TlsMaterial) -> Result<Arc<ServerConfig>, SandboxError> {
    let fault = |what: &'static str| move |_| SandboxError::Tls(what);
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(material.ca_pem.as_bytes()) {
        let certificate = certificate.map_err(fault("the CA cannot be read"))?;
        roots.add(certificate).map_err(|_| SandboxError::Tls("the CA cannot be used"))?;
    }
    let chain = CertificateDer::pem_slice_iter(material.certificate_pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(fault("the certificate cannot be read"))?;
    let key = PrivateKeyDer::from_pem_slice(material.key_pem.as_bytes()).map_err(fault("the key cannot be read"))?;
    let verifier =
        WebPkiClientVerifier::builder(Arc::new(roots)).build().map_err(|_| SandboxError::Tls("the CA file holds no certificate"))?;
    let mut config = ServerConfig::builder()
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(|_| SandboxError::Tls("certificate and key do not fit together"))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}
