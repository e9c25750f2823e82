//! Tokens of an OAuth 2.0 server, by the client credentials grant (RFC 6749, 4.4): fetched once, kept until
//! shortly before they end.
//!
//! Whoever needs a token while there is none waits for the one fetch that is under way; a fetch that failed
//! is remembered for a moment, so that many messages do not ask in turn for what is not to be had. The
//! server gets our id and secret and never the broker's client certificate, which is meant for the broker.
//!
//! Invariants: https only, no redirect, no proxy, one time limit, a bounded answer; a lock on the cache is
//! never held over the network (whoever fetches holds a turn, and only those who have no token wait for it).
//!
//! Must not: log, or pass on a text of the server.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use tokio::time::{Instant, timeout_at};
use url::form_urlencoded::{Serializer, byte_serialize};

use super::auth::{Grant, basic, sensitive};
use super::client::{IDLE_TIME, MAX_CONNECT_TIME, http_builder};
use super::tls::{self, MaterialFault, Part, Why};
use crate::config::ClientAuth;
use crate::domain::delivery::TokenFault;
use crate::domain::json::{self, Json};
use crate::domain::masked::Masked;

/// Longest time for one fetch.
const MAX_FETCH_TIME: Duration = Duration::from_secs(15);
/// Most bytes of an answer.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// Longest token that is believed.
const MAX_TOKEN_BYTES: usize = 16 * 1024;
/// How long a token is good when the server does not say (`expires_in` is only recommended).
const USUAL_LIFE: Duration = Duration::from_secs(300);
/// What the server says is believed within these bounds: no fetch per message, no token for ever.
const SHORTEST_LIFE: Duration = Duration::from_secs(10);
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 3600);
/// A token is not used in its last minute, or last fifth when it lives shortly: it has to arrive alive.
const LONGEST_SKEW: Duration = Duration::from_secs(60);
/// How long a failed fetch answers for those who ask next.
const FAILURE_MEMORY: Duration = Duration::from_secs(1);

/// How long a token is used, from the beginning of its fetch.
fn use_time(expires_in: Option<Duration>) -> Duration {
    let life = expires_in.unwrap_or(USUAL_LIFE).clamp(SHORTEST_LIFE, LONGEST_LIFE);
    life - LONGEST_SKEW.min(life / 5)
}

#[derive(Debug)]
struct Token {
    value: HeaderValue,
    good_until: Instant,
}

#[derive(Debug, Default)]
struct Cache {
    token: Option<Token>,
    failed: Option<(Instant, TokenFault)>,
    serial: u64,
}

/// The tokens of one broker.
#[derive(Debug)]
pub(super) struct Tokens {
    http: reqwest::Client,
    url: url::Url,
    form: Masked<String>,
    authorization: Option<HeaderValue>,
    timeout: Duration,
    turn: tokio::sync::Mutex<()>,
    cache: Mutex<Cache>,
}

impl Tokens {
    pub(super) fn new(
        url: url::Url,
        (id, secret): &(Masked<String>, Masked<String>),
        client_auth: ClientAuth,
        scope: Option<&str>,
        roots: Option<rustls::RootCertStore>,
        timeout_s: u64,
    ) -> Result<Self, MaterialFault> {
        let unusable = MaterialFault { part: Part::TokenCa, why: Why::Unusable };
        let timeout = Duration::from_secs(timeout_s).min(MAX_FETCH_TIME);
        let tls = tls::client_config(None, roots).ok_or(unusable)?;
        let http =
            http_builder(tls).connect_timeout(timeout.min(MAX_CONNECT_TIME)).pool_idle_timeout(IDLE_TIME).build().map_err(|_| unusable)?;
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        if let Some(scope) = scope {
            form.append_pair("scope", scope);
        }
        let authorization = match client_auth {
            ClientAuth::Body => {
                form.append_pair("client_id", id.expose()).append_pair("client_secret", secret.expose());
                None
            }
            // RFC 6749, 2.3.1: both are form-encoded before they become user and password.
            ClientAuth::Basic => {
                let encoded = |text: &Masked<String>| byte_serialize(text.expose().as_bytes()).collect::<String>();
                Some(basic(&encoded(id), &Masked::new(encoded(secret)))?)
            }
        };
        let form = Masked::new(form.finish());
        Ok(Self { http, url, form, authorization, timeout, turn: tokio::sync::Mutex::default(), cache: Mutex::default() })
    }

    /// A token that is good, fetched by one of those who need it when there is none.
    pub(super) async fn grant(&self) -> Result<Grant, TokenFault> {
        if let Some(known) = self.known(false) {
            return known;
        }
        let _turn = self.turn.lock().await;
        // Whoever had the turn before us may have fetched it.
        if let Some(known) = self.known(true) {
            return known;
        }
        let began = Instant::now();
        let fetched = self.fetch(began + self.timeout).await;
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.failed = fetched.as_ref().err().map(|fault| (Instant::now(), *fault));
        let (value, expires_in) = fetched?;
        cache.serial += 1;
        cache.token = Some(Token { value: value.clone(), good_until: began + use_time(expires_in) });
        Ok(Grant::bearer(value, cache.serial, true))
    }

    /// Forgets a token that the broker refused, unless it was replaced already.
    pub(super) fn drop_token(&self, serial: u64) {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.serial == serial {
            cache.token = None;
        }
    }

    fn known(&self, fresh: bool) -> Option<Result<Grant, TokenFault>> {
        let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some(token) = cache.token.as_ref().filter(|token| now < token.good_until) {
            return Some(Ok(Grant::bearer(token.value.clone(), cache.serial, fresh)));
        }
        cache.failed.filter(|(at, _)| now < *at + FAILURE_MEMORY).map(|(_, fault)| Err(fault))
    }

    async fn fetch(&self, deadline: Instant) -> Result<(HeaderValue, Option<Duration>), TokenFault> {
        let mut request = self
            .http
            .post(self.url.clone())
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(self.form.expose().clone());
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        let sent = timeout_at(deadline, request.send()).await;
        let mut response = sent.map_err(|_| TokenFault::Unavailable)?.map_err(|_| TokenFault::Unavailable)?;
        match response.status().as_u16() {
            200..=299 => {}
            400 | 401 | 403 => return Err(TokenFault::Refused),
            300..=399 | 404 | 405 | 410 | 415 => return Err(TokenFault::Unreadable),
            _ => return Err(TokenFault::Unavailable),
        }
        let mut body = Vec::new();
        loop {
            let chunk = timeout_at(deadline, response.chunk()).await.map_err(|_| TokenFault::Unavailable)?;
            let Some(chunk) = chunk.map_err(|_| TokenFault::Unavailable)? else { break };
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(TokenFault::Unreadable);
            }
            body.extend_from_slice(&chunk);
        }
        read(&body).ok_or(TokenFault::Unreadable)
    }
}

/// Reads an answer (RFC 6749, 5.1). Some servers write `expires_in` as a text.
fn read(body: &[u8]) -> Option<(HeaderValue, Option<Duration>)> {
    let Ok(Json::Object(members)) = json::parse(body) else { return None };
    let member = |name: &str| members.iter().find(|(key, _)| key == name).map(|(_, value)| value);
    let Some(Json::Text(token)) = member("access_token") else { return None };
    let bearer = match member("token_type") {
        None => true,
        Some(Json::Text(kind)) => kind.eq_ignore_ascii_case("bearer"),
        Some(_) => false,
    };
    if !bearer || token.is_empty() || token.len() > MAX_TOKEN_BYTES || !token.bytes().all(|b| b.is_ascii_graphic()) {
        return None;
    }
    let seconds = match member("expires_in") {
        Some(Json::Integer(seconds)) => Some(u64::try_from(*seconds).unwrap_or(0)),
        Some(Json::Text(text)) => text.parse().ok(),
        _ => None,
    };
    Some((sensitive(&format!("Bearer {token}")).ok()?, seconds.map(Duration::from_secs)))
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
