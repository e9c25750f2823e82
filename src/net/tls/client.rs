//! How we speak TLS as a client: to brokers, and to those who give out tokens for them.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;

use super::{KeyPair, provider};

/// A client that believes the `roots`, or without them whom this machine trusts, and shows the `pair` when
/// it has one. Without resumption, so that every connection shows the certificate. `None` when the machine
/// trusts nobody, or the cryptography lacks something.
pub(crate) fn client_config(pair: Option<KeyPair>, roots: Option<RootCertStore>) -> Option<ClientConfig> {
    let versions = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().ok()?;
    let trusting = match roots {
        Some(roots) => versions.with_root_certificates(roots),
        None => versions.with_platform_verifier().ok()?,
    };
    let mut config = match pair {
        Some(pair) => trusting.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(pair.certified))),
        None => trusting.with_no_client_auth(),
    };
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Some(config)
}

/// Whether this machine has certificates of authorities that it trusts. Reads files.
pub fn trusts_somebody() -> bool {
    client_config(None, None).is_some()
}
