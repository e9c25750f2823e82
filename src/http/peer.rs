//! Who is at the other end of a mutual-TLS connection.
//!
//! The certificate was verified in the handshake; here it is read once per connection, so that every request on it can
//! ask whose it is. A name is taken as configured or not at all: DNS names without regard to case (RFC 5280, 7.2), URIs
//! to the byte, no wildcards. A connection outlives what was true when it began, so [`Peer::is_current`] and the
//! listener's own re-check are asked for each request.

use std::any::Any;
use std::sync::Arc;

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::HttpRequest;
use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;

use crate::domain::time::Timestamp;
use crate::pki::CertificateFacts;

/// The verified client certificate of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// DNS names among its SANs, lower case.
    pub dns: Vec<String>,
    /// URIs among its SANs.
    pub uris: Vec<String>,
    /// Serial number, lower-case hex.
    pub serial: String,
    /// SHA-256 of its DER, lower-case hex.
    pub sha256: String,
    /// Last moment of validity.
    pub not_after: Timestamp,
}

impl Peer {
    /// Reads a verified certificate; none when it cannot be read, and then it is nobody's.
    pub fn from_der(der: &[u8]) -> Option<Self> {
        let facts = CertificateFacts::from_der(der).ok()?;
        let of_kind = |kind: &str| facts.sans.iter().filter_map(|san| san.strip_prefix(kind).map(str::to_owned)).collect::<Vec<_>>();
        Some(Self {
            dns: of_kind("DNS:").into_iter().map(|name| name.to_ascii_lowercase()).collect(),
            uris: of_kind("URI:"),
            serial: facts.serial,
            sha256: facts.sha256,
            not_after: facts.not_after,
        })
    }

    /// Whether one of its names is this configured identity.
    pub fn is_named(&self, identity: &str) -> bool {
        self.uris.iter().any(|uri| uri == identity) || self.dns.iter().any(|name| name.eq_ignore_ascii_case(identity))
    }

    /// Whether it still holds.
    pub fn is_current(&self, now: Timestamp) -> bool {
        now <= self.not_after
    }
}

/// Says of each request's peer whether it is still to be trusted (not revoked since the handshake).
pub type PeerCheck = Arc<dyn Fn(&Peer) -> bool + Send + Sync>;

/// To be given to `HttpServer::on_connect` of every listener that asks for client certificates.
pub fn on_connect(connection: &dyn Any, extensions: &mut Extensions) {
    let Some(stream) = connection.downcast_ref::<TlsStream<TcpStream>>() else { return };
    let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    if let Some(peer) = certificate.and_then(|der| Peer::from_der(der)) {
        extensions.insert(peer);
    }
}

/// The verified peer of a request's connection, if it showed a certificate.
pub fn peer_of(request: &HttpRequest) -> Option<&Peer> {
    request.conn_data::<Peer>()
}
