//! A development CA and the leaves it signs, in memory.
//!
//! Why it exists: `demo`, the tests and `certs issue` need the same certificates with the same rules; only where they
//! are kept differs. The rules are those of rustls' verifier: a leaf carries its names as subject alternative names
//! (the subject is for people), exactly one extended key usage, and the identifier of the key that signed it.
//!
//! It must not know file names and must not read the clock.

use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};

use super::{PkiError, read_certificates};

/// Days a leaf is valid: the CA/Browser Forum's ceiling for server certificates (Baseline Requirements 6.3.2 since 2020).
const LEAF_DAYS: u64 = 398;
/// Days a development CA is valid: ten years, so that rotation of leaves never forces a new CA.
const AUTHORITY_DAYS: u64 = 3_650;
/// A certificate begins this long before `now`, for peers whose clock is behind ours.
const BACKDATE: Duration = Duration::from_secs(300);
const DAY: u64 = 86_400;

/// What a leaf may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Shown by a listener (`serverAuth`).
    Server,
    /// Shown by whoever connects (`clientAuth`).
    Client,
}

/// A name in a certificate's subject alternative names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubjectName {
    /// A host name, compared by TLS clients and by SAN pinning.
    Dns(String),
    /// An address, for listeners that are reached without a name.
    Ip(IpAddr),
    /// A URI (for example a SPIFFE id), for SAN pinning only.
    Uri(String),
}

impl FromStr for SubjectName {
    type Err = PkiError;

    fn from_str(text: &str) -> Result<Self, PkiError> {
        if text.len() > 253 || !text.is_ascii() || text.contains(|c: char| c.is_ascii_control() || c == ' ') {
            return Err(PkiError::BadName);
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::Ip(address));
        }
        if text.contains(':') {
            url::Url::parse(text).map_err(|_| PkiError::BadName)?;
            return Ok(Self::Uri(text.to_owned()));
        }
        rustls_pki_types::DnsName::try_from(text).map_err(|_| PkiError::BadName)?;
        Ok(Self::Dns(text.to_ascii_lowercase()))
    }
}

impl std::fmt::Display for SubjectName {
    /// As [`super::CertificateFacts::sans`] writes it, so that the two can be compared.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Dns(name) => write!(f, "DNS:{name}"),
            Self::Ip(address) => write!(f, "IP:{address}"),
            Self::Uri(uri) => write!(f, "URI:{uri}"),
        }
    }
}

impl SubjectName {
    fn to_san(&self) -> Result<SanType, PkiError> {
        Ok(match self {
            Self::Dns(name) => SanType::DnsName(Ia5String::try_from(name.as_str())?),
            Self::Ip(address) => SanType::IpAddress(*address),
            Self::Uri(uri) => SanType::URI(Ia5String::try_from(uri.as_str())?),
        })
    }
}

/// A certificate with its private key, both as PEM text.
pub struct Issued {
    /// The certificate alone; a leaf is signed by the CA directly, so it is its whole chain.
    pub certificate_pem: String,
    /// The private key (PKCS #8). Secret.
    pub key_pem: String,
}

impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issued").field("certificate_pem", &self.certificate_pem).field("key_pem", &"***").finish()
    }
}

impl Issued {
    /// Key and certificate in one buffer, the form in which reqwest takes a client identity. Secret.
    pub fn identity_pem(&self) -> String {
        format!("{}{}", self.key_pem, self.certificate_pem)
    }
}

/// A development CA that can sign leaves.
pub struct Authority {
    certificate_pem: String,
    issuer: Issuer<'static, KeyPair>,
    ends: Timestamp,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("ends", &self.ends).finish_non_exhaustive()
    }
}

impl Authority {
    /// Makes a new CA named `name`, valid for ten years from `now`; it may sign certificates and CRLs, and no further CA.
    ///
    /// # Errors
    /// When the key cannot be made or `now` lies outside what a certificate can hold.
    pub fn generate(name: &str, now: Timestamp) -> Result<Self, PkiError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = distinguished_name(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let (begins, ends) = validity(now, AUTHORITY_DAYS)?;
        set_validity(&mut params, begins, ends)?;
        let certificate_pem = params.self_signed(&key)?.pem();
        Ok(Self { certificate_pem, issuer: Issuer::new(params, key), ends })
    }

    /// Takes a CA up again from its two PEM texts.
    ///
    /// # Errors
    /// When either cannot be read, they do not belong together, the certificate is no CA, or it is not valid at `now`.
    /// `file` only names the culprit in the error.
    pub fn from_pem(certificate_pem: &str, key_pem: &str, now: Timestamp, file: &str) -> Result<Self, PkiError> {
        let fault = |why| PkiError::Authority { file: file.to_owned(), why };
        let facts = read_certificates(certificate_pem.as_bytes())?;
        let facts = facts.first().ok_or(PkiError::Unreadable("the file holds no certificate"))?;
        if !facts.is_ca {
            return Err(fault("the certificate is not a CA"));
        }
        if facts.not_after <= now || facts.not_before > now {
            return Err(fault("it is not valid now; replace it"));
        }
        let key = KeyPair::from_pem(key_pem).map_err(|_| fault("its key cannot be read"))?;
        if key.public_key_raw() != facts.public_key.as_slice() {
            return Err(fault("certificate and key do not belong together"));
        }
        let issuer = Issuer::from_ca_cert_pem(certificate_pem, key)?;
        Ok(Self { certificate_pem: certificate_pem.to_owned(), issuer, ends: facts.not_after })
    }

    /// The CA's certificate as PEM: what peers put into their trust file.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The CA's private key as PEM. Secret.
    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// Signs a leaf for `purpose` with these names; valid 398 days from `now`, or until the CA ends if that is earlier.
    ///
    /// # Errors
    /// When there is no name, a name cannot be held by a certificate, or `now` lies outside of the CA's time.
    pub fn issue(&self, common_name: &str, purpose: Purpose, names: &[SubjectName], now: Timestamp) -> Result<Issued, PkiError> {
        if names.is_empty() {
            return Err(PkiError::BadName);
        }
        let (begins, ends) = validity(now, LEAF_DAYS)?;
        let ends = ends.min(self.ends);
        if ends <= now {
            return Err(PkiError::Time);
        }
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = distinguished_name(common_name);
        params.subject_alt_names = names.iter().map(SubjectName::to_san).collect::<Result<_, _>>()?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![match purpose {
            Purpose::Server => ExtendedKeyUsagePurpose::ServerAuth,
            Purpose::Client => ExtendedKeyUsagePurpose::ClientAuth,
        }];
        params.use_authority_key_identifier_extension = true;
        set_validity(&mut params, begins, ends)?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Issued { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() })
    }
}

fn distinguished_name(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

/// Begin and end of a validity of `days` in all, the begin a little before `now`.
fn validity(now: Timestamp, days: u64) -> Result<(Timestamp, Timestamp), PkiError> {
    let begins = now.checked_sub(BACKDATE).map_err(|_| PkiError::Time)?;
    let ends = begins.checked_add(Duration::from_secs(days * DAY)).map_err(|_| PkiError::Time)?;
    Ok((begins, ends))
}

/// Writes the validity into `params`. Certificates hold whole seconds; nothing before 1970 is ever issued.
fn set_validity(params: &mut CertificateParams, begins: Timestamp, ends: Timestamp) -> Result<(), PkiError> {
    let since_epoch = |moment: Timestamp| u64::try_from(moment.as_second()).map_err(|_| PkiError::Time);
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_secs(since_epoch(begins)?);
    params.not_after = epoch + Duration::from_secs(since_epoch(ends)?);
    Ok(())
}
