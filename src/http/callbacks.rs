//! The brokers' listener: one route, whose only duty is to make a notice durable and say so.
//!
//! P5: a notice is taken only over a connection whose verified certificate carries one of the broker's configured
//! identities, asked anew for each request. P6: whoever may call is always answered 2xx once the notice is stored, a
//! repeat or an unreadable one included; 503 is said only when it could not be stored. Nothing is read here: store
//! first, think second. While the process ends, notices are still taken.
//!
//! A certificate of nobody we know is always 403, so that the names of brokers cannot be found out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use actix_web::web::{self, Bytes, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::future::BoxFuture;

use super::body::{self, BodyLimits};
use super::common::CONVERSATION_HEADER;
use super::peer::{Peer, PeerCheck, is_trusted, peer_of};
use super::problem::{Outcome, answer};
use super::routes::{self, Answer, Content, Listener, Method, Route, Table};
use super::schema;
use crate::config::Config;
use crate::domain::time::SharedClock;
use crate::error::{ApiError, Code};
use crate::store::StoreError;

/// Longest conversation id of a broker that is kept.
const MAX_CONVERSATION: usize = 255;
/// Longest content type that is kept.
const MAX_CONTENT_TYPE: usize = 255;

const ROUTES: &[Route] = &[Route::new(Method::Post, "/v1/brokers/{broker}/notices", "Take a notice of a broker", || web::to(take))
    .described(
        "The client certificate has to carry one of the broker's `callback_identities` as DNS or URI SAN. A repeat, or a notice that \
         cannot be read, is taken as well. The mapping may name another body and 2xx status for the answer.",
    )
    .takes(
        "The notice, in the broker's own format; without a Content-Type it is taken too.",
        &[
            Content::of("application/xml", schema::bytes),
            Content::of("text/xml", schema::bytes),
            Content::json(schema::bytes),
            Content::of("text/plain", schema::bytes),
            Content::of("application/octet-stream", schema::bytes),
        ],
    )
    .answers(&[Answer::empty(202, "Stored.")])
    .refuses(&[
        Code::BadHeader,
        Code::Forbidden,
        Code::NotFound,
        Code::RequestTimeout,
        Code::BodyTooLarge,
        Code::UnsupportedMediaType,
        Code::StoreUnavailable,
        Code::Overloaded,
    ])];

/// The brokers' listener.
pub static TABLE: Table = Table { listener: Listener::Callbacks, parts: &[ROUTES], always: &[Code::Internal], closed: &[] };

/// A notice as it came in, from a broker that proved to be itself.
#[derive(Debug, Clone)]
pub struct IncomingNotice {
    /// Broker of the path.
    pub broker: String,
    /// Content type as sent; empty when there was none.
    pub content_type: String,
    /// The broker's `X-Conversation-Id`, when it is a short visible text.
    pub conversation: Option<String>,
    /// The exact bytes.
    pub body: Bytes,
}

/// What a broker is answered once its notice is stored.
#[derive(Debug, Clone)]
pub struct NoticeAnswer {
    /// A 2xx status.
    pub status: u16,
    /// Content type of the body, when there is one.
    pub content_type: Option<String>,
    /// The body.
    pub body: Bytes,
}

impl Default for NoticeAnswer {
    fn default() -> Self {
        Self { status: 202, content_type: None, body: Bytes::new() }
    }
}

/// Makes notices durable. An answer may be given only once that has happened.
pub trait NoticeDesk: Send + Sync + 'static {
    /// Stores a notice.
    fn take(&self, notice: IncomingNotice) -> BoxFuture<'_, Result<NoticeAnswer, StoreError>>;
}

/// What the listener needs; one for the process, shared by its workers.
pub struct CallbackState {
    desk: Arc<dyn NoticeDesk>,
    identities: BTreeMap<String, Vec<String>>,
    limits: BodyLimits,
    clock: SharedClock,
    peer_check: PeerCheck,
}

impl CallbackState {
    /// The state of the listener. `peer_check` is asked for each request: a connection may outlive its certificate's revocation.
    pub fn new(config: &Config, desk: Arc<dyn NoticeDesk>, clock: SharedClock, peer_check: PeerCheck) -> Self {
        let names = |broker: &crate::config::Broker| broker.callback_identities.iter().map(|name| name.as_str().to_owned()).collect();
        Self {
            desk,
            identities: config.brokers.iter().map(|(name, broker)| (name.clone(), names(broker))).collect(),
            limits: BodyLimits {
                max_bytes: usize::try_from(config.callbacks.max_body_bytes).unwrap_or(usize::MAX),
                timeout: Duration::from_secs(config.callbacks.body_timeout_s),
            },
            clock,
            peer_check,
        }
    }

    /// The broker of the path, if this peer is it.
    fn admit(&self, peer: Option<&Peer>, broker: &str) -> Result<(), ApiError> {
        let is_one_of = |names: &Vec<String>| peer.is_some_and(|peer| names.iter().any(|name| peer.is(name)));
        let trusted = peer.is_some_and(|peer| is_trusted(peer, &self.peer_check, self.clock.now()));
        match self.identities.get(broker) {
            Some(names) if trusted && is_one_of(names) => Ok(()),
            None if trusted && self.identities.values().any(is_one_of) => Err(Code::NotFound.into()),
            _ => Err(ApiError::new(Code::Forbidden).detail("The client certificate does not belong to this broker.")),
        }
    }
}

/// Registers the listener's routes: `App::new().wrap(from_fn(common::around)).configure(callbacks::configure(state))`,
/// on a server with `on_connect(peer::on_connect)`.
pub fn configure(state: Data<CallbackState>) -> impl FnOnce(&mut web::ServiceConfig) {
    move |config| {
        config.app_data(state);
        routes::configure(&TABLE, config);
    }
}

async fn take(request: HttpRequest, payload: Payload, state: Data<CallbackState>) -> HttpResponse {
    answer(&request, try_take(&request, payload, &state).await)
}

async fn try_take(request: &HttpRequest, payload: Payload, state: &CallbackState) -> Outcome {
    let broker = request.match_info().get("broker").unwrap_or_default().to_owned();
    state.admit(peer_of(request), &broker)?;
    let content_type = content_type(request)?;
    let body = body::read(request, payload, state.limits).await?;
    let notice = IncomingNotice { broker, content_type, conversation: conversation(request), body };
    let stored = state.desk.take(notice).await.map_err(|error| not_stored(&error))?;
    let status = StatusCode::from_u16(stored.status).ok().filter(StatusCode::is_success).unwrap_or(StatusCode::ACCEPTED);
    let mut response = HttpResponse::build(status);
    if let Some(content_type) = stored.content_type.and_then(|text| HeaderValue::from_str(&text).ok()) {
        response.insert_header((CONTENT_TYPE, content_type));
    }
    Ok(response.body(stored.body))
}

/// Liberal: what could hold XML, JSON or another text format is taken, and so is a notice without a type.
fn content_type(request: &HttpRequest) -> Result<String, ApiError> {
    let refused = || ApiError::new(Code::UnsupportedMediaType).detail("Send the notice as XML, JSON or text, without Content-Encoding.");
    if request.headers().get(CONTENT_ENCODING).is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(refused());
    }
    let Some(value) = request.headers().get(CONTENT_TYPE) else { return Ok(String::new()) };
    let given = value.to_str().ok().filter(|text| text.len() <= MAX_CONTENT_TYPE).ok_or_else(refused)?;
    let essence = given.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    let (kind, subtype) = essence.split_once('/').unwrap_or((essence.as_str(), ""));
    let format = subtype.rsplit_once('+').map_or(subtype, |(_, suffix)| suffix);
    let taken = match kind {
        "" => true,
        "application" => matches!(format, "xml" | "json" | "octet-stream" | "edifact"),
        "text" => matches!(format, "xml" | "json" | "plain"),
        _ => false,
    };
    if taken { Ok(given.to_owned()) } else { Err(refused()) }
}

fn conversation(request: &HttpRequest) -> Option<String> {
    let text = request.headers().get(CONVERSATION_HEADER)?.to_str().ok()?;
    let sound = !text.is_empty() && text.len() <= MAX_CONVERSATION && text.bytes().all(|b| b.is_ascii_graphic());
    sound.then(|| text.to_owned())
}

fn not_stored(error: &StoreError) -> ApiError {
    match error {
        StoreError::Overloaded => ApiError::new(Code::Overloaded).retry_after(1),
        StoreError::Unavailable(_) | StoreError::Closing => ApiError::new(Code::StoreUnavailable).retry_after(5),
        StoreError::Fault(fault) => {
            // Also 503, not 500: the broker shall come again.
            tracing::error!(fault, "a notice could not be stored");
            ApiError::new(Code::StoreUnavailable).retry_after(30)
        }
    }
}
