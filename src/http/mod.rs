//! The three listeners' routers and what they share; the only user of actix-web.
//!
//! A handler here turns a request into a call of a station and its result into an answer; it
//! decides nothing. Every answer carries `X-Conversation-Id` and `Cache-Control: no-store`, every
//! error is a problem (RFC 9457), every body is bounded in bytes and in time.

pub mod batch;
pub mod body;
pub mod callbacks;
pub mod common;
#[cfg(feature = "api-page")]
pub mod docs_page;
#[cfg(not(feature = "api-page"))]
pub mod docs_page {
    //! Built without the page: no routes.
    /// None.
    pub const ROUTES: &[super::routes::Route] = &[];
}
pub mod intake;
pub mod openapi;
pub mod ops;
pub mod peer;
pub mod problem;
pub mod query;
pub mod routes;
pub mod schema;
