//! A throw-away PKI in a folder and a small server, for the tests of this crate.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::tls::{ServerTlsFiles, server_config};

/// An HTTPS server that asks for no certificate and answers by a function: status, further header lines
/// with `\r\n`, body. It keeps what it was sent, head and body in one text.
pub(crate) struct TestServer {
    pub(crate) port: u16,
    seen: Arc<Mutex<Vec<String>>>,
}

impl TestServer {
    pub(crate) async fn start(pki: &Pki, answer: impl Fn(usize, &str) -> (u16, &'static str, String) + Send + Sync + 'static) -> Self {
        let files = pki.issue(Leaf::server("server"));
        let files = ServerTlsFiles { certificate: &files.certificate, key: &files.key, client_ca: None, crl: None, required: false };
        let config = server_config(&files, "2026-11-22T10:00:00Z".parse().expect("an instant")).expect("a listener").config;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let (kept, answer) = (Arc::clone(&seen), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, kept, answer) = (acceptor.clone(), Arc::clone(&kept), Arc::clone(&answer));
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    while let Some(request) = request(&mut stream).await {
                        let number = {
                            let mut kept = kept.lock().expect("the requests");
                            kept.push(request.clone());
                            kept.len()
                        };
                        let (status, headers, body) = answer(number, &request);
                        let text = format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len());
                        if stream.write_all(text.as_bytes()).await.is_err() || stream.flush().await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { port, seen }
    }

    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("the requests").clone()
    }
}

async fn request(stream: &mut (impl AsyncReadExt + Unpin)) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = |line: &str| line.to_ascii_lowercase().strip_prefix("content-length: ").map(|n| n.parse().expect("a length"));
            if body.len() >= head.lines().find_map(length).unwrap_or(0) {
                return Some(text);
            }
        }
        stream.read_buf(&mut bytes).await.ok().filter(|read| *read > 0)?;
    }
}

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
