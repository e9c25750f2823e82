//! One client per broker, and what is known of the wire after each try.
//!
//! Why it exists: whether a message may be sent again depends on one question: can its first byte have
//! left us? The library does not say, so the body is handed to it behind a `Gate`: before the
//! library asks for the body, no byte of it can be on the wire; when a try ends, the gate is locked, so
//! that nobody can ask later either. What a library *calls* an error decides nothing.
//!
//! Known to be unsent: no connection (DNS, TCP, TLS); a handshake that the broker refused, which TLS 1.3
//! tells only with the first request, by an alert about certificates (such a broker has not read the
//! request: data before a finished handshake is not processed); a body that was never asked for; an
//! HTTP/2 stream that the broker gave back as not processed (RFC 9113, 8.7). All else is unknown.
//!
//! Invariants: https only, only the broker's CA (the machine's where none is configured), only our checked
//! pair (none only where another proof is configured), no resumption (so that every connection shows the
//! certificate), no redirect, no proxy, no retry by the library, one time limit over everything, at most
//! [`MAX_REPLY_BYTES`] of an answer to a message.
//!
//! Must not: log, retry, or pass on a library's or the broker's text.

use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use rustls::{AlertDescription, ClientConfig};
use tokio::time::{Instant, timeout_at};

use super::auth::{Grant, Proof};
use super::tls::{self, KeyPair, MaterialFault, Part, Purpose, Why};
use crate::config::{AuthKind, Broker};
use crate::domain::delivery::{ConnectFault, TokenFault};
use crate::domain::retry;
use crate::domain::time::Timestamp;

/// The method of a question.
pub use reqwest::Method;

/// Most bytes that are read of a reply to a message that was taken.
pub const MAX_REPLY_BYTES: usize = 1024 * 1024;

/// Most bytes that are read of any other reply: kept as evidence only.
const MAX_ERROR_BYTES: usize = 64 * 1024;

/// Longest time for a connection, however long an answer may take.
pub(super) const MAX_CONNECT_TIME: Duration = Duration::from_secs(10);

/// An idle connection is dropped before the other side does it: common servers keep one for 5 s
/// (Apache, Node.js, actix), and a POST written into a closing connection is a message in doubt.
pub(super) const IDLE_TIME: Duration = Duration::from_secs(4);

/// How often a quiet HTTP/2 connection is asked for life, so that a dead one is not used for ever.
const PING_TIME: Duration = Duration::from_secs(10);

/// A client for one broker.
#[derive(Debug, Clone)]
pub struct BrokerClient {
    http: reqwest::Client,
    timeout: Duration,
    not_after: Option<Timestamp>,
    proof: Proof,
}

/// A question to the broker: a request without a body, which is harmless to repeat.
#[derive(Debug, Clone)]
pub struct Ask {
    /// How: `GET`, `DELETE` and the like.
    pub method: Method,
    /// Where to.
    pub url: url::Url,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// Most bytes that are read of an answer.
    pub max_bytes: usize,
}

/// A message on its way.
#[derive(Debug)]
pub struct Post {
    /// Where to.
    pub url: url::Url,
    /// Content type.
    pub content_type: String,
    /// The exact bytes.
    pub body: Bytes,
    /// Other headers; of two with one name the later counts.
    pub headers: Vec<(String, String)>,
}

/// What was seen.
#[derive(Debug)]
pub enum Exchange {
    /// No connection, or one that the broker refused in the handshake.
    NotSent(ConnectFault),
    /// A connection took nothing of the message.
    NotBegun,
    /// A status was read.
    Answered(Reply),
    /// The connection ended after the first byte, before a status.
    Cut,
    /// No status in time, after the first byte.
    Silence,
}

/// An answer, as far as it was read.
#[derive(Debug)]
pub struct Reply {
    /// HTTP status.
    pub code: u16,
    /// The body, or its beginning.
    pub body: Bytes,
    /// Whether the body came whole.
    pub complete: bool,
    /// Whether it did not because it has more bytes than are read.
    pub too_long: bool,
    headers: HeaderMap,
}

impl Reply {
    /// An answer for a test of those who read one.
    #[cfg(test)]
    pub(crate) fn of(code: u16, headers: &[(&'static str, &'static str)], body: &[u8]) -> Self {
        let headers = headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect();
        Self { code, body: Bytes::copy_from_slice(body), complete: true, too_long: false, headers }
    }

    /// A header's value, when it is visible ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The content type, or an empty text.
    pub fn content_type(&self) -> &str {
        self.header(CONTENT_TYPE.as_str()).unwrap_or_default()
    }

    /// `Retry-After`, read and clamped ([`retry::retry_after`]).
    pub fn retry_after(&self, now: Timestamp) -> Option<Duration> {
        retry::retry_after(self.header(RETRY_AFTER.as_str())?, self.header(DATE.as_str()), now)
    }
}

impl BrokerClient {
    /// Loads and judges the broker's files and builds a client. Reads files: not for an async thread.
    ///
    /// # Errors
    /// Which file is at fault and why; then nothing may be sent to this broker.
    pub fn new(broker: &Broker, now: Timestamp) -> Result<Self, MaterialFault> {
        let pair = load_pair(broker, now)?;
        let not_after = pair.as_ref().map(|pair| pair.not_after);
        let roots = broker.ca.as_ref().map(|ca| tls::load_roots(ca.as_path(), now)).transpose()?;
        let proof = Proof::load(broker, now)?;
        let unusable = MaterialFault { part: Part::Ca, why: Why::Unusable };
        let timeout = Duration::from_secs(broker.timeout_s);
        let in_flight = usize::try_from(broker.max_in_flight).unwrap_or(usize::MAX);
        let http = http_builder(tls::client_config(pair, roots).ok_or(unusable)?)
            .connect_timeout(timeout.min(MAX_CONNECT_TIME))
            .pool_idle_timeout(IDLE_TIME)
            .pool_max_idle_per_host(in_flight)
            .http2_keep_alive_interval(PING_TIME)
            .http2_keep_alive_timeout(PING_TIME)
            .build()
            .map_err(|_| unusable)?;
        Ok(Self { http, timeout, not_after, proof })
    }

    /// When our certificate ends; none when we show none.
    pub const fn not_after(&self) -> Option<Timestamp> {
        self.not_after
    }

    /// What the next request carries to be believed; may fetch a token, within a time limit of its own.
    ///
    /// # Errors
    /// There is none to be had: nothing may be sent.
    pub async fn grant(&self) -> Result<Grant, TokenFault> {
        self.proof.grant().await
    }

    /// Another grant for one that the broker answered by 401, if another can be had.
    pub async fn renew(&self, refused: &Grant) -> Option<Grant> {
        self.proof.renew(refused).await
    }

    /// Asks once and reads the answer, within the broker's time limit.
    pub async fn ask(&self, ask: Ask, grant: &Grant) -> Exchange {
        let deadline = Instant::now() + self.timeout;
        let Some(mut headers) = header_map(&ask.headers) else { return Exchange::NotSent(ConnectFault::Request) };
        grant.put(&mut headers);
        let sending = self.http.request(ask.method, ask.url).headers(headers).send();
        match timeout_at(deadline, sending).await {
            Ok(Ok(response)) => Exchange::Answered(read(response, deadline, ask.max_bytes).await),
            // A question leaves nothing behind, so nothing hangs on how far it came.
            Ok(Err(error)) => judge(&error, true),
            Err(_) => Exchange::Silence,
        }
    }

    /// Sends a message once and reads the answer, within the broker's time limit.
    pub async fn post(&self, post: Post, grant: &Grant) -> Exchange {
        let deadline = Instant::now() + self.timeout;
        let gate = Gate::default();
        let Some(headers) = headers(&post, grant) else { return Exchange::NotSent(ConnectFault::Request) };
        let body = reqwest::Body::wrap_stream(futures_util::stream::once(gate.clone().open(post.body)));
        let sending = self.http.post(post.url).headers(headers).body(body).send();
        match timeout_at(deadline, sending).await {
            Ok(Ok(response)) => Exchange::Answered(read(response, deadline, MAX_REPLY_BYTES).await),
            Ok(Err(error)) => judge(&error, gate.lock()),
            Err(_) if gate.lock() => Exchange::Silence,
            Err(_) => Exchange::NotSent(ConnectFault::Timeout),
        }
    }
}

/// Our client certificate, where one is configured. Half a pair was refused with the configuration.
fn load_pair(broker: &Broker, now: Timestamp) -> Result<Option<KeyPair>, MaterialFault> {
    let (Some(certificate), Some(key)) = (&broker.certificate, &broker.key) else {
        let alone = broker.auth.as_ref().is_none_or(|auth| auth.kind == AuthKind::None);
        let half = broker.certificate.is_some() || broker.key.is_some();
        let missing = MaterialFault { part: Part::Certificate, why: Why::Unreadable };
        return if alone || half { Err(missing) } else { Ok(None) };
    };
    tls::load_pair(certificate.as_path(), key.as_path(), Purpose::Client, now).map(Some)
}

/// What every client of ours that speaks for a broker's sake has in common.
pub(super) fn http_builder(tls: ClientConfig) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .https_only(true)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .referer(false)
        .user_agent(concat!("preclear/", env!("CARGO_PKG_VERSION")))
}

/// The headers of a message. The length is said, so that the body is not sent in chunks.
fn headers(post: &Post, grant: &Grant) -> Option<HeaderMap> {
    let mut headers = header_map(&post.headers)?;
    grant.put(&mut headers);
    headers.insert(CONTENT_TYPE, HeaderValue::from_str(&post.content_type).ok()?);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(post.body.len()));
    Some(headers)
}

fn header_map(list: &[(String, String)]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, value) in list {
        headers.insert(HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_str(value).ok()?);
    }
    Some(headers)
}

async fn read(mut response: reqwest::Response, deadline: Instant, max_bytes: usize) -> Reply {
    let code = response.status().as_u16();
    let limit = if response.status().is_success() { max_bytes } else { MAX_ERROR_BYTES };
    let mut body = BytesMut::new();
    let (complete, too_long) = loop {
        match timeout_at(deadline, response.chunk()).await {
            Ok(Ok(Some(chunk))) => {
                let room = limit - body.len();
                body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                if chunk.len() > room {
                    break (false, true);
                }
            }
            Ok(Ok(None)) => break (true, false),
            Ok(Err(_)) | Err(_) => break (false, false),
        }
    };
    Reply { code, body: body.freeze(), complete, too_long, headers: std::mem::take(response.headers_mut()) }
}

/// Stands between the message and the library: closed, then opened by the library's asking for the
/// body, or locked by us for good. Opening and locking exclude one another.
#[derive(Debug, Clone, Default)]
struct Gate(Arc<AtomicU8>);

impl Gate {
    const OPENED: u8 = 1;
    const LOCKED: u8 = 2;

    fn turn(&self, to: u8) -> bool {
        self.0.compare_exchange(0, to, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// Runs when the library asks for the body.
    async fn open(self, body: Bytes) -> Result<Bytes, io::Error> {
        if self.turn(Self::OPENED) { Ok(body) } else { Err(io::ErrorKind::ConnectionAborted.into()) }
    }

    /// Ends the try; true when the body was asked for, so that a byte of it may have left us.
    fn lock(&self) -> bool {
        !self.turn(Self::LOCKED)
    }
}

fn judge(error: &reqwest::Error, begun: bool) -> Exchange {
    let seen = Causes::of(error);
    if error.is_builder() {
        return Exchange::NotSent(ConnectFault::Request);
    }
    if error.is_dns() {
        return Exchange::NotSent(ConnectFault::Dns);
    }
    if error.is_connect() {
        return Exchange::NotSent(match () {
            () if seen.tls => ConnectFault::Tls,
            () if error.is_timeout() => ConnectFault::Timeout,
            () => ConnectFault::Connect,
        });
    }
    match () {
        () if seen.handshake_refused => Exchange::NotSent(ConnectFault::Tls),
        () if !begun || seen.given_back => Exchange::NotBegun,
        () => Exchange::Cut,
    }
}

/// What stands in the causes of an error, by type and never by text.
#[derive(Debug, Default)]
struct Causes {
    tls: bool,
    handshake_refused: bool,
    given_back: bool,
}

impl Causes {
    fn of(error: &reqwest::Error) -> Self {
        let mut causes = Self::default();
        let mut next = error.source();
        while let Some(error) = next {
            causes.look(error);
            next = error.source();
        }
        causes
    }

    fn look(&mut self, error: &(dyn std::error::Error + 'static)) {
        if let Some(error) = error.downcast_ref::<rustls::Error>() {
            self.tls = true;
            self.handshake_refused |= matches!(error, rustls::Error::AlertReceived(alert) if is_about_handshake(*alert));
        }
        // An io::Error's `source` leaves out the error that it wraps.
        if let Some(inner) = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            self.look(inner);
        }
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            let reason = error.reason();
            self.given_back |= error.is_remote()
                && (error.is_reset() && reason == Some(h2::Reason::REFUSED_STREAM)
                    || error.is_go_away() && reason == Some(h2::Reason::NO_ERROR));
            if let Some(inner) = error.get_io() {
                self.look(inner);
            }
        }
    }
}

/// Alerts that a server sends only before it has accepted us (RFC 8446, 6.2).
const fn is_about_handshake(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::HandshakeFailure
            | AlertDescription::NoCertificate
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::DecryptError
            | AlertDescription::InsufficientSecurity
            | AlertDescription::CertificateRequired
    )
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
