//! Certificates of one run: one authority, the gateway on both sides, and the broker on both sides.

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose};
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring::default_provider};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// A certificate with its key, as PEM.
struct Party {
    certificate: String,
    key: String,
}

/// All parties of a run.
pub struct Pki {
    ca: String,
    gateway: Party,
    gateway_client: Party,
    broker: Party,
    broker_client: Party,
}

fn party(authority: &CertifiedIssuer<'static, KeyPair>, names: &[&str], purpose: ExtendedKeyUsagePurpose) -> Result<Party> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())?;
    params.distinguished_name.push(DnType::CommonName, names[0]);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![purpose];
    Ok(Party { certificate: params.signed_by(&key, authority)?.pem(), key: key.serialize_pem() })
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(default_provider())
}

impl Party {
    fn chain(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
        Ok((vec![CertificateDer::from_pem_slice(self.certificate.as_bytes())?], PrivateKeyDer::from_pem_slice(self.key.as_bytes())?))
    }
}

impl Pki {
    /// Issues everything anew.
    pub fn issue() -> Result<Pki> {
        use ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Rig authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        Ok(Pki {
            gateway: party(&authority, &["localhost", "127.0.0.1"], ServerAuth)?,
            gateway_client: party(&authority, &["gateway.example"], ClientAuth)?,
            broker: party(&authority, &["localhost", "127.0.0.1"], ServerAuth)?,
            broker_client: party(&authority, &["broker.example"], ClientAuth)?,
            ca: authority.pem(),
        })
    }

    /// Writes what the gateway's configuration names.
    pub fn write(&self, folder: &Path) -> Result<()> {
        for (name, text) in [
            ("ca.pem", &self.ca),
            ("gateway.pem", &self.gateway.certificate),
            ("gateway.key", &self.gateway.key),
            ("gateway-client.pem", &self.gateway_client.certificate),
            ("gateway-client.key", &self.gateway_client.key),
        ] {
            std::fs::write(folder.join(name), text)?;
        }
        Ok(())
    }

    fn roots(&self) -> Result<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.ca.as_bytes())?)?;
        Ok(roots)
    }

    /// The broker as a server that demands a certificate of the authority.
    pub fn acceptor(&self) -> Result<TlsAcceptor> {
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(self.roots()?), provider()).build()?;
        let (chain, key) = self.broker.chain()?;
        let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
        let mut config = builder.with_client_cert_verifier(verifier).with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// The broker as a client of the callback listener.
    pub fn connector(&self) -> Result<TlsConnector> {
        let (chain, key) = self.broker_client.chain()?;
        let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
        let mut config = builder.with_root_certificates(self.roots()?).with_client_auth_cert(chain, key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsConnector::from(Arc::new(config)))
    }
}
