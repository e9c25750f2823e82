//! The listener for posts: who asks, what is taken, and the table of its routes.

mod changes;
mod consignments;
mod declarations;
mod events;
mod items;
mod subscriptions;
mod views;

use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::AUTHORIZATION;
use serde::Serialize;

use super::body::BodyLimits;
use super::common::Draining;
use super::peer::peer_of;
use super::routes::{Listener, Table};
use crate::domain::time::SharedClock;
use crate::error::{ApiError, Code};
use crate::intake::{Intake, PostProfile, Posts};
use crate::store::Store;
use crate::tracking::feed::Feed;
use crate::tracking::subscriptions::SubscriptionService;

/// What the handlers of this listener share.
pub struct IntakeState {
    /// The station.
    pub intake: Arc<Intake>,
    /// For what posts ask to see.
    pub store: Store,
    /// Who may ask.
    pub posts: Posts,
    /// The event log.
    pub feed: Feed<Store>,
    /// Webhook subscriptions.
    pub subscriptions: SubscriptionService<Store>,
    /// Clock.
    pub clock: SharedClock,
    /// Bounds of a declaration.
    pub limits: BodyLimits,
    /// Whether the process is ending.
    pub draining: Draining,
}

/// Media type of JSON.
const JSON: &str = "application/json";
/// Bounds of small bodies (a subscription, a tracking report).
const SMALL_BODY: BodyLimits = BodyLimits { max_bytes: 16 * 1024, timeout: Duration::from_secs(10) };

/// All routes of the intake listener, but those of the document itself.
pub static TABLE: Table = Table {
    listener: Listener::Intake,
    parts: &[
        declarations::ROUTES,
        changes::ROUTES,
        items::ROUTES,
        consignments::ROUTES,
        events::ROUTES,
        subscriptions::ROUTES,
        super::openapi::ROUTES,
        super::docs_page::ROUTES,
    ],
    always: &[Code::Internal],
    closed: &[Code::Unauthorized, Code::Forbidden],
};

impl IntakeState {
    /// Whether new work is taken.
    ///
    /// # Errors
    /// 503 while the process ends.
    fn takes_work(&self) -> Result<(), ApiError> {
        if self.draining.is_on() { Err(ApiError::new(Code::Draining).retry_after(5)) } else { Ok(()) }
    }

    /// The post that a request comes from: by its API key, else by its client certificate.
    ///
    /// # Errors
    /// 401 without either or with a wrong key; 403 for a verified certificate that is no post's.
    fn authenticate(&self, request: &HttpRequest) -> Result<Arc<PostProfile>, ApiError> {
        let by_key = || {
            let value = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
            let (scheme, key) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| self.posts.by_key(key.trim()))?
        };
        let by_certificate = || {
            let peer = peer_of(request).filter(|peer| self.clock.now() <= peer.not_after)?;
            self.posts.by_identity(peer.sans.iter().map(String::as_str))
        };
        if request.headers().contains_key(AUTHORIZATION) {
            return by_key().ok_or_else(|| Code::Unauthorized.into());
        }
        let refusal = if peer_of(request).is_some() { Code::Forbidden } else { Code::Unauthorized };
        by_certificate().ok_or_else(|| refusal.into())
    }
}

/// What a route with a small body of its own refuses.
const SMALL_BODY_REFUSALS: &[Code] = &[
    Code::MalformedJson,
    Code::BadHeader,
    Code::RequestTimeout,
    Code::NotFound,
    Code::BodyTooLarge,
    Code::UnsupportedMediaType,
    Code::InvalidRequest,
    Code::StoreUnavailable,
    Code::Overloaded,
    Code::Draining,
];

/// A JSON answer.
fn json(status: actix_web::http::StatusCode, value: &impl Serialize) -> actix_web::HttpResponse {
    actix_web::HttpResponse::build(status).content_type(JSON).body(serde_json::to_vec(value).unwrap_or_default())
}

/// A path parameter.
fn path_parameter<'r>(request: &'r HttpRequest, name: &str) -> &'r str {
    request.match_info().get(name).unwrap_or("")
}
