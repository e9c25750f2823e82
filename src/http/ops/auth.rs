//! Who may ask the operators' listener.
//!
//! With `[ops] token`: `Authorization: Bearer <token>`, or HTTP Basic with any user name and the token as password, so
//! that a browser can open the page. With `[ops] client_ca`: a verified client certificate. With neither the listener is
//! on loopback (the configuration sees to that) and nothing is asked for, but then a web page in the operator's browser
//! must not reach it either: the `Host` has to be an address or `localhost` (no DNS rebinding). What changes something
//! is refused in any case when the browser says that another site asked for it.
//!
//! Tokens are compared by their SHA-256 in constant time. Routes that a table calls open are served to everybody.

use actix_web::http::header::{AUTHORIZATION, HOST, HeaderValue, ORIGIN, WWW_AUTHENTICATE};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::config::Ops;
use crate::domain::time::Timestamp;
use crate::error::{ApiError, Code};
use crate::http::peer::{PeerCheck, is_trusted, peer_of};
use crate::http::problem::respond;

/// Longest `Authorization` header that is looked at.
const MAX_HEADER_BYTES: usize = 2048;

/// What the listener asks for.
pub struct Guard {
    token: Option<[u8; 32]>,
    client_ca: bool,
    peer_check: PeerCheck,
}

impl Guard {
    /// From the configuration; `peer_check` is asked for each request with a client certificate.
    pub fn new(config: &Ops, peer_check: PeerCheck) -> Self {
        let token = config.token.as_ref().map(|token| Sha256::digest(token.expose()).into());
        Self { token, client_ca: config.client_ca.is_some(), peer_check }
    }

    /// Whether a request may pass.
    ///
    /// # Errors
    /// 401 without valid credentials; 403 from another site.
    pub fn admit(&self, request: &HttpRequest, now: Timestamp) -> Result<(), ApiError> {
        let unguarded = self.token.is_none() && !self.client_ca;
        if unguarded && !names_this_machine(request) {
            return Err(ApiError::new(Code::Forbidden).detail("Without a token this listener answers to an IP address or localhost only."));
        }
        if !request.method().is_safe() && is_cross_site(request) {
            return Err(ApiError::new(Code::Forbidden).detail("Not from a page of another site."));
        }
        if unguarded || self.has_certificate(request, now) || self.has_token(request) {
            return Ok(());
        }
        Err(ApiError::new(Code::Unauthorized).detail("Send `Authorization: Bearer` with the operators' token."))
    }

    fn has_certificate(&self, request: &HttpRequest, now: Timestamp) -> bool {
        self.client_ca && peer_of(request).is_some_and(|peer| is_trusted(peer, &self.peer_check, now))
    }

    fn has_token(&self, request: &HttpRequest) -> bool {
        let Some(expected) = &self.token else { return false };
        given_token(request).is_some_and(|given| Sha256::digest(given).as_slice().ct_eq(expected).into())
    }
}

/// The answer to a request that may not pass.
pub fn refuse(request: &HttpRequest, error: &ApiError) -> HttpResponse {
    let mut response = respond(request, error);
    if error.code == Code::Unauthorized {
        // Beside `Bearer`: makes a browser ask for the password.
        let basic = HeaderValue::from_static("Basic realm=\"preclear operators\", charset=\"UTF-8\"");
        response.headers_mut().append(WWW_AUTHENTICATE, basic);
    }
    response
}

fn given_token(request: &HttpRequest) -> Option<Vec<u8>> {
    let header = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    if header.len() > MAX_HEADER_BYTES {
        return None;
    }
    let (scheme, value) = header.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(value.trim().as_bytes().to_vec());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = STANDARD.decode(value.trim()).ok()?;
    let colon = pair.iter().position(|b| *b == b':')?;
    Some(pair[colon + 1..].to_vec())
}

/// Whether the request was addressed to an IP address or `localhost` (or to nothing, as HTTP/1.0 may).
fn names_this_machine(request: &HttpRequest) -> bool {
    let Some(host) = host_of(request) else { return true };
    let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit())).map_or(host.as_str(), |(name, _)| name);
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || bare.parse::<std::net::IpAddr>().is_ok()
}

fn host_of(request: &HttpRequest) -> Option<String> {
    let header = request.headers().get(HOST).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    header.or_else(|| request.uri().authority().map(ToString::to_string))
}

/// Whether a browser says that another site's page made the request. Programs send neither header.
fn is_cross_site(request: &HttpRequest) -> bool {
    if let Some(site) = request.headers().get("sec-fetch-site") {
        return !matches!(site.as_bytes(), b"same-origin" | b"none");
    }
    let Some(origin) = request.headers().get(ORIGIN) else { return false };
    let own = host_of(request).unwrap_or_default();
    let authority = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, authority)| authority);
    authority.is_none_or(|authority| !authority.eq_ignore_ascii_case(&own))
}
