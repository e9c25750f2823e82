//! Who we are, beside the client certificate: what every request to a broker carries for it.
//!
//! Secrets are read when a client is built, so a reload of the broker's files reads them anew, and a
//! secret that is missing disables the broker as a missing certificate does.
//!
//! Invariants: a secret or token is held masked or as a sensitive header value, so that no `Debug` shows
//! it; no fault holds a part of one.
//!
//! Must not: log.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

use super::tls::{self, MaterialFault, Part, Why};
use super::token::Tokens;
use crate::config::{Broker, How, SecretPlace};
use crate::domain::delivery::TokenFault;
use crate::domain::masked::Masked;
use crate::domain::time::Timestamp;

/// Longest secret, in bytes.
const MAX_SECRET_BYTES: usize = 16 * 1024;

/// What one request carries to be believed.
#[derive(Debug, Clone, Default)]
pub struct Grant {
    header: Option<(HeaderName, HeaderValue)>,
    /// Counts the tokens, so that a refused one is dropped once and not its successor.
    pub(super) serial: u64,
    /// Whether it was fetched while this request waited: a newer one would be no better.
    pub(super) fresh: bool,
}

impl Grant {
    pub(super) fn bearer(value: HeaderValue, serial: u64, fresh: bool) -> Self {
        Self { header: Some((AUTHORIZATION, value)), serial, fresh }
    }

    pub(super) fn put(&self, headers: &mut HeaderMap) {
        if let Some((name, value)) = &self.header {
            headers.insert(name.clone(), value.clone());
        }
    }
}

/// The way a broker knows us.
#[derive(Debug, Clone)]
pub(super) enum Proof {
    Fixed(Grant),
    Token(Arc<Tokens>),
}

impl Proof {
    /// Reads the secrets of a broker's configuration. Reads files: not for an async thread.
    pub(super) fn load(broker: &Broker, now: Timestamp) -> Result<Self, MaterialFault> {
        let how = match &broker.auth {
            None => How::Certificate,
            // What cannot be read was refused when the configuration was.
            Some(auth) => auth.how().ok_or(UNUSABLE)?,
        };
        let fixed = |name, value| Ok(Self::Fixed(Grant { header: Some((name, value)), ..Grant::default() }));
        match how {
            How::Certificate => Ok(Self::Fixed(Grant::default())),
            How::Header { name, prefix, value } => {
                let value = secret(value)?;
                let text = prefix.map_or_else(|| value.expose().clone(), |prefix| format!("{prefix} {}", value.expose()));
                fixed(HeaderName::from_bytes(name.as_bytes()).map_err(|_| UNUSABLE)?, sensitive(&text)?)
            }
            How::Basic { user, password } => fixed(AUTHORIZATION, basic(user.expose(), &secret(password)?)?),
            How::Token { url, client_id, secret: place, scope, client_auth, ca } => {
                let client = (Masked::new(client_id.expose().to_owned()), secret(place)?);
                let roots = match (ca, &broker.ca) {
                    (Some(ca), _) => Some(tls::load_roots_of(Part::TokenCa, ca.as_path(), now)?),
                    (None, Some(ca)) => Some(tls::load_roots(ca.as_path(), now)?),
                    (None, None) => None,
                };
                let tokens = Tokens::new(url.0.clone(), &client, client_auth, scope, roots, broker.timeout_s)?;
                Ok(Self::Token(Arc::new(tokens)))
            }
        }
    }

    /// What the next request carries; a token is fetched when there is none that is good.
    pub(super) async fn grant(&self) -> Result<Grant, TokenFault> {
        match self {
            Self::Fixed(grant) => Ok(grant.clone()),
            Self::Token(tokens) => tokens.grant().await,
        }
    }

    /// Another grant for one that was refused, if another can be had.
    pub(super) async fn renew(&self, refused: &Grant) -> Option<Grant> {
        match self {
            Self::Token(tokens) if !refused.fresh => {
                tokens.drop_token(refused.serial);
                tokens.grant().await.ok()
            }
            _ => None,
        }
    }
}

/// Whether a broker's secrets and the CA of its token server can be used. Reads files.
///
/// # Errors
/// What is at fault and why; then nothing may be sent to this broker.
pub fn check(broker: &Broker, now: Timestamp) -> Result<(), MaterialFault> {
    Proof::load(broker, now).map(drop)
}

const UNUSABLE: MaterialFault = MaterialFault { part: Part::Secret, why: Why::Unusable };

/// Reads a secret: one line of visible characters; line ends behind it are not part of it.
fn secret(place: SecretPlace<'_>) -> Result<Masked<String>, MaterialFault> {
    let unreadable = MaterialFault { part: Part::Secret, why: Why::Unreadable };
    let text = match place {
        SecretPlace::File(path) => String::from_utf8(tls::read(path.as_path(), Part::Secret)?).map_err(|_| UNUSABLE)?,
        SecretPlace::Environment(name) => std::env::var(name).map_err(|_| unreadable)?,
    };
    let text = text.trim_end_matches(['\r', '\n']);
    let usable = !text.is_empty() && text.len() <= MAX_SECRET_BYTES && !text.chars().any(char::is_control);
    if usable { Ok(Masked::new(text.to_owned())) } else { Err(UNUSABLE) }
}

/// A header's value that no `Debug` shows and that HTTP/2 does not put into its table.
pub(super) fn sensitive(text: &str) -> Result<HeaderValue, MaterialFault> {
    // The library lets other bytes pass; servers read them in different ways.
    let plain = text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    let mut value = HeaderValue::from_str(text).ok().filter(|_| plain).ok_or(UNUSABLE)?;
    value.set_sensitive(true);
    Ok(value)
}

/// `Authorization: Basic` (RFC 7617, in UTF-8).
pub(super) fn basic(user: &str, password: &Masked<String>) -> Result<HeaderValue, MaterialFault> {
    sensitive(&format!("Basic {}", STANDARD.encode(format!("{user}:{}", password.expose()))))
}
