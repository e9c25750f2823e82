//! Who is at the other end of a mutual-TLS connection.
//!
//! The certificate was verified in the handshake and is read once per connection, so that every request on it can ask
//! whose it is. A connection outlives what was true when it began: [`is_trusted`] is asked for each request.

use std::any::Any;
use std::sync::Arc;

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::HttpRequest;
use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;

use crate::domain::time::Timestamp;
pub use crate::net::tls::Peer;

/// Says of a request's peer whether it is still to be trusted, for example not revoked since the handshake. The gateway
/// passes one that trusts: the revocation list is read at start, and judged in the handshake only.
pub type PeerCheck = Arc<dyn Fn(&Peer) -> bool + Send + Sync>;

/// To be given to `HttpServer::on_connect` of every listener that may ask for client certificates.
pub fn on_connect(connection: &dyn Any, extensions: &mut Extensions) {
    let stream = connection.downcast_ref::<TlsStream<TcpStream>>();
    if let Some(peer) = stream.and_then(|stream| Peer::of(stream.get_ref().1)) {
        extensions.insert(peer);
    }
}

/// The verified peer of a request's connection, if it showed a certificate.
pub fn peer_of(request: &HttpRequest) -> Option<&Peer> {
    request.conn_data::<Peer>()
}

/// Whether a peer's certificate still holds: not ended, and not refused by the listener's own check.
pub fn is_trusted(peer: &Peer, check: &PeerCheck, now: Timestamp) -> bool {
    now <= peer.not_after && check(peer)
}
