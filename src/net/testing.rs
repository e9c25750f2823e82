//! A throw-away PKI in a folder, for the tests of this crate.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};

/// A folder with a CA; removed at the end.
pub(crate) struct Pki {
    dir: PathBuf,
    ca: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key in files.
#[derive(Clone)]
pub(crate) struct Files {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// What a certificate is like.
pub(crate) struct Leaf<'a> {
    pub(crate) name: &'a str,
    pub(crate) purpose: ExtendedKeyUsagePurpose,
    pub(crate) sans: Vec<SanType>,
    pub(crate) years: (i32, i32),
    pub(crate) serial: u64,
}

impl Leaf<'_> {
    pub(crate) fn client(name: &str) -> Leaf<'_> {
        let sans = vec![SanType::DnsName("Gateway.example".try_into().expect("name"))];
        Leaf { name, purpose: ExtendedKeyUsagePurpose::ClientAuth, sans, years: (2020, 2090), serial: 21 }
    }

    pub(crate) fn server(name: &str) -> Leaf<'_> {
        let sans = vec![SanType::DnsName("localhost".try_into().expect("name"))];
        Leaf { name, purpose: ExtendedKeyUsagePurpose::ServerAuth, sans, years: (2020, 2090), serial: 22 }
    }
}

impl Pki {
    pub(crate) fn new() -> Self {
        super::tls::install_crypto_provider();
        let dir = std::env::temp_dir().join(format!("preclear-test-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&dir).expect("a folder");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "test CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a CA");
        let pki = Self { dir, ca };
        pki.write("ca.pem", &pki.ca.pem());
        pki
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.dir.join(file)
    }

    pub(crate) fn ca_file(&self) -> PathBuf {
        self.path("ca.pem")
    }

    pub(crate) fn write(&self, file: &str, text: &str) -> PathBuf {
        let path = self.path(file);
        std::fs::write(&path, text).expect("written");
        path
    }

    pub(crate) fn issue(&self, leaf: Leaf<'_>) -> Files {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, leaf.name);
        params.subject_alt_names = leaf.sans;
        params.extended_key_usages = vec![leaf.purpose];
        params.serial_number = Some(SerialNumber::from(leaf.serial));
        params.not_before = date_time_ymd(leaf.years.0, 1, 1);
        params.not_after = date_time_ymd(leaf.years.1, 1, 1);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.ca).expect("a certificate");
        Files {
            certificate: self.write(&format!("{}.pem", leaf.name), &certificate.pem()),
            key: self.write(&format!("{}.key", leaf.name), &key.serialize_pem()),
        }
    }

    /// A revocation list that names a serial and ends at the beginning of a year.
    pub(crate) fn revoke(&self, file: &str, serial: u64, until: i32) -> PathBuf {
        let revoked = RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: date_time_ymd(2021, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2021, 1, 1),
            next_update: date_time_ymd(until, 1, 1),
            crl_number: SerialNumber::from(1u64),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        self.write(file, &list.signed_by(&self.ca).expect("a list").pem().expect("PEM"))
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Drop for Pki {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
