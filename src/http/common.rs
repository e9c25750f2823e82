//! What all three listeners do around a handler: conversation id, answer headers, the end of
//! keep-alive while draining.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{CACHE_CONTROL, CONNECTION, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpRequest, web};

use crate::domain::ids::ConversationId;

/// Header of the conversation id.
pub const CONVERSATION_HEADER: &str = "x-conversation-id";

/// Whether the process is ending. Shared by all listeners and the readiness probe.
#[derive(Debug, Clone, Default)]
pub struct Draining(Arc<AtomicBool>);

impl Draining {
    /// Says that the process is ending.
    pub fn begin(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether it is ending.
    pub fn is_on(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// The request's conversation id: the incoming one if it is a UUID, else a new one.
pub fn conversation_of(request: &HttpRequest) -> ConversationId {
    if let Some(id) = request.extensions().get::<ConversationId>() {
        return *id;
    }
    let incoming = request.headers().get(CONVERSATION_HEADER).and_then(|value| value.to_str().ok());
    let id = incoming.and_then(ConversationId::parse).unwrap_or_default();
    request.extensions_mut().insert(id);
    id
}

/// The incoming W3C trace parent when it is well formed; a malformed one restarts the trace.
pub fn traceparent_of(request: &HttpRequest) -> Option<String> {
    let value = request.headers().get("traceparent")?.to_str().ok()?;
    let parts: Vec<&str> = value.split('-').collect();
    let hex = |part: &str, length: usize| part.len() == length && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let sound = parts.len() >= 4
        && hex(parts[0], 2)
        && parts[0] != "ff"
        && (parts[0] != "00" || parts.len() == 4)
        && hex(parts[1], 32)
        && parts[1].bytes().any(|b| b != b'0')
        && hex(parts[2], 16)
        && parts[2].bytes().any(|b| b != b'0')
        && hex(parts[3], 2);
    sound.then(|| format!("00-{}-{}-{}", parts[1], parts[2], parts[3]))
}

/// Middleware of every listener.
///
/// # Errors
/// Passes on what the handler gives.
pub async fn around(request: ServiceRequest, next: Next<impl MessageBody>) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let conversation = conversation_of(request.request());
    let draining = request.app_data::<web::Data<Draining>>().cloned();
    let mut response = next.call(request).await?;
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&conversation.to_string()) {
        headers.insert(HeaderName::from_static(CONVERSATION_HEADER), value);
    }
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    headers.insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
    // Asked when the answer is there: a request that was under way at the signal ends its connection too.
    if draining.is_some_and(|draining| draining.is_on()) {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        response.response_mut().head_mut().set_connection_type(actix_web::http::ConnectionType::Close);
    }
    Ok(response)
}
