//! [`ApiError`] as an HTTP answer.

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use actix_web::{HttpRequest, HttpResponse};

use super::common::conversation_of;
use crate::error::{ApiError, Code};

/// Media type of a problem (RFC 9457).
pub const PROBLEM_JSON: &str = "application/problem+json";

/// Builds the answer to an error.
pub fn respond(request: &HttpRequest, error: &ApiError) -> HttpResponse {
    let status = StatusCode::from_u16(error.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    response.insert_header((CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON)));
    if let Some(seconds) = error.retry_after_s {
        response.insert_header((RETRY_AFTER, seconds.to_string()));
    }
    if error.code == Code::Unauthorized {
        response.insert_header((actix_web::http::header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
    }
    response.body(serde_json::to_vec(&error.problem(conversation_of(request))).unwrap_or_default())
}

/// What a handler gives: an answer, or an error that becomes a problem.
pub type Outcome = Result<HttpResponse, ApiError>;

/// Turns a handler's outcome into its answer.
pub fn answer(request: &HttpRequest, outcome: Outcome) -> HttpResponse {
    outcome.unwrap_or_else(|error| respond(request, &error))
}

/// Default service of every listener: no such route.
pub async fn not_found(request: HttpRequest) -> HttpResponse {
    respond(&request, &Code::NotFound.into())
}
