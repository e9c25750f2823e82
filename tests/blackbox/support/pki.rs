//! Certificates of one test: one authority that everybody trusts, and one that nobody does.

use super::sha256_hex;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose};
use std::path::Path;

/// A certificate with its key, and the hash by which a peer's ledger knows it.
pub struct Party {
    pub certificate: String,
    pub key: String,
    pub sha256: String,
}

/// All parties of a test.
pub struct Pki {
    pub ca: String,
    /// The gateway as a server of callbacks.
    pub gateway: Party,
    /// The gateway as a client of brokers.
    pub gateway_client: Party,
    /// Every test broker as a server.
    pub broker: Party,
    /// `uk-broker` as a client of our callbacks.
    pub uk_broker: Party,
    /// Another broker of the same authority.
    pub other_broker: Party,
    /// The right name from the wrong authority.
    pub stranger: Party,
}

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn party(authority: &Authority, names: &[&str], purpose: ExtendedKeyUsagePurpose) -> Party {
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names.clone()).unwrap();
    params.distinguished_name.push(DnType::CommonName, names[0].clone());
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![purpose];
    let certificate = params.signed_by(&key, authority).unwrap();
    Party { sha256: sha256_hex(certificate.der()), certificate: certificate.pem(), key: key.serialize_pem() }
}

impl Pki {
    /// Issues everything anew.
    pub fn new() -> Pki {
        use ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
        let ours = authority("Test trade authority");
        let foreign = authority("Foreign authority");
        Pki {
            gateway: party(&ours, &["localhost", "127.0.0.1"], ServerAuth),
            gateway_client: party(&ours, &["gateway.example"], ClientAuth),
            broker: party(&ours, &["localhost", "127.0.0.1"], ServerAuth),
            uk_broker: party(&ours, &["uk-broker.example"], ClientAuth),
            other_broker: party(&ours, &["other-broker.example"], ClientAuth),
            stranger: party(&foreign, &["uk-broker.example"], ClientAuth),
            ca: ours.pem(),
        }
    }

    /// Writes what the gateway's configuration names.
    pub fn write(&self, folder: &Path) {
        let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
        write("ca.pem", &self.ca);
        write("gateway.pem", &self.gateway.certificate);
        write("gateway.key", &self.gateway.key);
        write("gateway-client.pem", &self.gateway_client.certificate);
        write("gateway-client.key", &self.gateway_client.key);
    }
}
