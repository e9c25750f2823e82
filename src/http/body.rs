//! Reading a request body: bounded in bytes, and in time (actix-web has no deadline for a slow body).

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use actix_web::web::{Bytes, BytesMut, Payload};
use futures_util::StreamExt;

use crate::error::{ApiError, Code};

/// Bounds of one body.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimits {
    /// Bytes.
    pub max_bytes: usize,
    /// Time to arrive.
    pub timeout: Duration,
}

/// Reads a whole body.
///
/// # Errors
/// 413 when it is larger than allowed, 408 when it is too slow, 400 when it is cut off.
pub async fn read(request: &HttpRequest, mut payload: Payload, limits: BodyLimits) -> Result<Bytes, ApiError> {
    let too_large = || ApiError::new(Code::BodyTooLarge).detail(format!("At most {} bytes.", limits.max_bytes));
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limits.max_bytes) {
        return Err(too_large());
    }
    let collect = async {
        let mut body = BytesMut::with_capacity(announced.unwrap_or(4096));
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|_| ApiError::new(Code::BadHeader).detail("The body ended before it was complete."))?;
            if body.len() + chunk.len() > limits.max_bytes {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    };
    tokio::time::timeout(limits.timeout, collect).await.unwrap_or_else(|_| Err(Code::RequestTimeout.into()))
}

/// Demands one of the media types and no content encoding.
///
/// # Errors
/// 415 that names what is taken.
pub fn demand_type(request: &HttpRequest, allowed: &[&str]) -> Result<(), ApiError> {
    let encoded = request.headers().get(CONTENT_ENCODING).is_some_and(|v| !v.as_bytes().eq_ignore_ascii_case(b"identity"));
    let given = request.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    let essence = given.split(';').next().unwrap_or("").trim();
    if !encoded && allowed.iter().any(|allowed| essence.eq_ignore_ascii_case(allowed)) {
        return Ok(());
    }
    Err(ApiError::new(Code::UnsupportedMediaType).detail(format!("Send Content-Type {} without Content-Encoding.", allowed.join(" or "))))
}
