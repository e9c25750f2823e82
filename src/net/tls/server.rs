//! TLS of our listeners.
//!
//! A revocation list, once configured, is never ignored: when it is expired, rustls refuses everybody
//! at the handshake (`enforce_revocation_expiration`); when it cannot be read, a verifier of our own
//! does. The list has to cover every issuer of a chain. A listener starts in both cases, and its
//! [`ServerTls::alarm`] says why nobody comes in.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme};
use rustls_pki_types::pem::PemObject;

use super::material::{MaterialFault, Part, Purpose, Why, load_pair, load_roots, read};
use super::provider;
use crate::domain::time::{Timestamp, from_millis};

/// Files of a listener.
#[derive(Debug, Clone, Copy)]
pub struct ServerTlsFiles<'a> {
    /// Certificate chain, leaf first.
    pub certificate: &'a Path,
    /// Its key.
    pub key: &'a Path,
    /// Whose client certificates are believed; without it none is asked for.
    pub client_ca: Option<&'a Path>,
    /// Revoked client certificates.
    pub crl: Option<&'a Path>,
    /// Whether a client without a certificate is turned away.
    pub required: bool,
}

/// TLS of a listener.
#[derive(Debug)]
pub struct ServerTls {
    /// For the listener. ALPN is left to the server that uses it.
    pub config: ServerConfig,
    /// When our own certificate ends.
    pub not_after: Timestamp,
    /// Why every client certificate is refused, when it is.
    pub alarm: Option<MaterialFault>,
}

/// Builds the TLS of a listener. Faults of the revocation list are an alarm, not an error; all others
/// are errors, since a listener without a certificate is none.
pub fn server_config(files: &ServerTlsFiles<'_>, now: Timestamp) -> Result<ServerTls, MaterialFault> {
    let pair = load_pair(files.certificate, files.key, Purpose::Server, now)?;
    let mut alarm = None;
    let verifier = match files.client_ca {
        None if files.required => return Err(MaterialFault { part: Part::Ca, why: Why::Unreadable }),
        None => WebPkiClientVerifier::no_client_auth(),
        Some(ca) => {
            let lists = files.crl.map_or(Ok(Vec::new()), |path| revocation_lists(path, now, &mut alarm));
            let roots = load_roots(ca, now)?;
            match lists {
                Err(fault) => {
                    alarm = Some(fault);
                    refuse_all(files.required)
                }
                Ok(lists) => {
                    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).enforce_revocation_expiration();
                    let builder = builder.with_crls(lists);
                    let builder = if files.required { builder } else { builder.allow_unauthenticated() };
                    builder.build().unwrap_or_else(|_| {
                        alarm = Some(MaterialFault { part: Part::Crl, why: Why::Unusable });
                        refuse_all(files.required)
                    })
                }
            }
        }
    };
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|_| MaterialFault { part: Part::Certificate, why: Why::Unusable })?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(pair.certified)));
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.ticketer = Arc::new(NoTickets);
    Ok(ServerTls { config, not_after: pair.not_after, alarm })
}

/// The lists of a file. One that has expired is handed on (the verifier refuses by it) with an alarm.
fn revocation_lists(
    path: &Path,
    now: Timestamp,
    alarm: &mut Option<MaterialFault>,
) -> Result<Vec<CertificateRevocationListDer<'static>>, MaterialFault> {
    let fault = |why| MaterialFault { part: Part::Crl, why };
    let bytes = read(path, Part::Crl)?;
    let lists = CertificateRevocationListDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>().map_err(|_| fault(Why::NotPem))?;
    if lists.is_empty() {
        return Err(fault(Why::NotPem));
    }
    for list in &lists {
        let (_, parsed) = x509_parser::parse_x509_crl(list.as_ref()).map_err(|_| fault(Why::NotPem))?;
        // A list without an end cannot be known to be current.
        let ends = parsed.next_update().map(|at| from_millis(at.timestamp().saturating_mul(1000)));
        if ends.is_none_or(|ends| ends <= now) {
            *alarm = Some(fault(Why::Expired));
        }
    }
    Ok(lists)
}

fn refuse_all(required: bool) -> Arc<dyn ClientCertVerifier> {
    Arc::new(RefuseAll { required, algorithms: provider().signature_verification_algorithms })
}

/// Believes nobody: stands in where it cannot be known who was revoked.
#[derive(Debug)]
struct RefuseAll {
    required: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for RefuseAll {
    fn client_auth_mandatory(&self) -> bool {
        self.required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(&self, _: &CertificateDer<'_>, _: &[CertificateDer<'_>], _: UnixTime) -> Result<ClientCertVerified, Error> {
        Err(CertificateError::UnknownRevocationStatus.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Neither gives out tickets nor takes any.
#[derive(Debug)]
struct NoTickets;

impl rustls::server::ProducesTickets for NoTickets {
    fn enabled(&self) -> bool {
        false
    }

    fn lifetime(&self) -> u32 {
        0
    }

    fn encrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn decrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
}
