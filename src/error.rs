//! THE table of errors: code → HTTP status → title. RFC 9457 `application/problem+json`.
//!
//! Codes are unique and never re-used; each has a page in `docs/errors/`. An error never tells
//! internals, never repeats a value of the input and never passes a parser's or broker's own text
//! on: the pointers say where, the details say what is allowed.

use std::borrow::Cow;

use serde::Serialize;

use crate::domain::fault::Fault;
use crate::domain::ids::ConversationId;

/// Base of the `type` of every problem; its page describes the code.
pub const TYPE_BASE: &str = "https://preclear.dev/errors/";

macro_rules! problem_codes {
    ($($name:ident = $code:literal, $status:literal, $title:literal, $meaning:literal;)*) => {
        /// A code of the table.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code { $(#[doc = $meaning] $name,)* }

        impl Code {
            /// Every code in order.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
            /// The code as it stands in `code` and at the end of `type`.
            pub const fn as_str(self) -> &'static str { match self { $(Self::$name => $code),* } }
            /// HTTP status.
            pub const fn status(self) -> u16 { match self { $(Self::$name => $status),* } }
            /// Short title.
            pub const fn title(self) -> &'static str { match self { $(Self::$name => $title),* } }
            /// What it means and what to do.
            pub const fn meaning(self) -> &'static str { match self { $(Self::$name => $meaning),* } }
        }
    };
}

problem_codes! {
    MalformedJson = "malformed_json", 400, "Malformed JSON", "The body is not one JSON value in UTF-8, has a key twice, or nests deeper than 64 levels. Mend the body; the detail names line and column.";
    BadHeader = "bad_header", 400, "Bad header", "A header has a value that is not allowed, for example an Idempotency-Key with blanks. The detail names the header.";
    BadQuery = "bad_query", 400, "Bad query parameter", "A query parameter is unknown or has a value that is not allowed. The pointer names it.";
    BadCursor = "bad_cursor", 400, "Bad cursor", "The cursor is not one that this gateway gave out. Start without a cursor.";
    Unauthorized = "unauthorized", 401, "Not authenticated", "No valid API key or client certificate. Send `Authorization: Bearer <api key>`.";
    Forbidden = "forbidden", 403, "Not allowed", "The identity is known but may not do this, for example a broker's certificate that belongs to another broker.";
    NotFound = "not_found", 404, "Not found", "No such thing, or it belongs to somebody else; both are answered alike.";
    MethodNotAllowed = "method_not_allowed", 405, "Method not allowed", "The route exists, but not for this method; `Allow` lists those it has.";
    RequestTimeout = "request_timeout", 408, "Request too slow", "The body did not arrive in time. Send it again.";
    ItemConflict = "item_conflict", 409, "Item already declared otherwise", "The item was declared before with other content. Amend the declaration instead.";
    ItemKnown = "item_known", 409, "Item already declared under another posting date", "The same S10 id was declared with another posting date within the re-use time. Cancel the earlier one, or declare returned goods.";
    KeyInFlight = "key_in_flight", 409, "Key in flight", "A request with this Idempotency-Key is being worked on. Try again after `Retry-After`.";
    DeclarationEnded = "declaration_ended", 409, "Declaration ended", "All its filings have ended (cleared, cancelled, returned, seized, destroyed): it cannot be changed any more.";
    ConsignmentClosed = "consignment_closed", 409, "Consignment closed", "The consignment was closed with other content; messages may have been sent by it.";
    ReloadRefused = "reload_refused", 409, "Reload refused", "What was to be loaded anew has faults, all listed; what was in use stays in use.";
    CursorGone = "cursor_gone", 410, "Cursor too old", "Events after this cursor are no longer kept. Start without a cursor.";
    BodyTooLarge = "body_too_large", 413, "Body too large", "The body or batch line is larger than allowed; the detail names the limit.";
    UnsupportedMediaType = "unsupported_media_type", 415, "Unsupported media type", "The route takes another Content-Type or no Content-Encoding; the detail names what it takes.";
    InvalidDeclaration = "invalid_declaration", 422, "Invalid declaration", "The declaration has faults, all listed with their pointers. Mend them and send it again.";
    InvalidRequest = "invalid_request", 422, "Invalid request", "The body has faults, all listed with their pointers.";
    NoRoute = "no_route", 422, "No route", "No routing rule takes this declaration. Ask the operator for a route, or mend destination and channel.";
    MappingFault = "mapping_fault", 422, "Not enough for the broker", "The broker's format needs values that the declaration does not give, or cannot hold those it gives; all are listed.";
    ChangeUnsupported = "change_unsupported", 422, "Change unsupported", "The broker's format has no message for this change. Settle it with the broker.";
    KeyReused = "key_reused", 422, "Key re-used", "The Idempotency-Key was used for another body. Use a new key.";
    TooManyRequests = "too_many_requests", 429, "Too many requests", "Slow down; `Retry-After` says for how long.";
    Internal = "internal", 500, "Internal error", "A fault of ours. The conversation id finds it in our log. Sending the same request again is safe.";
    StoreUnavailable = "store_unavailable", 503, "Store unavailable", "Nothing can be made durable at the moment (disk full or failing). Nothing was taken; try again after `Retry-After`.";
    Overloaded = "overloaded", 503, "Overloaded", "The commit queue is full. Nothing was taken; try again after `Retry-After`.";
    Draining = "draining", 503, "Shutting down", "The process is ending. Nothing was taken; try again.";
    MappingUnavailable = "mapping_unavailable", 503, "Mapping unavailable", "The mapping of the broker is not loaded. The operator has been alarmed; try again later.";
}

/// An error on its way to a client.
#[derive(Debug, Clone)]
pub struct ApiError {
    /// Code of the table.
    pub code: Code,
    /// What is allowed or what to do in this case; no value of the input.
    pub detail: Cow<'static, str>,
    /// Faults with their pointers.
    pub errors: Vec<Fault>,
    /// Seconds for `Retry-After`.
    pub retry_after_s: Option<u32>,
}

/// The JSON of a problem (RFC 9457).
#[derive(Debug, Serialize)]
pub struct Problem<'a> {
    #[serde(rename = "type")]
    type_: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    code: &'static str,
    conversation_id: ConversationId,
    errors: &'a [Fault],
}

impl ApiError {
    /// An error with the table's own meaning as its detail.
    pub fn new(code: Code) -> Self {
        Self { code, detail: Cow::Borrowed(code.meaning()), errors: Vec::new(), retry_after_s: None }
    }

    /// Says what is allowed in this case.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = detail.into();
        self
    }

    /// Lists faults.
    #[must_use]
    pub fn errors(mut self, errors: Vec<Fault>) -> Self {
        self.errors = errors;
        self
    }

    /// Asks to come back after some seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// The problem's JSON.
    pub fn problem(&self, conversation_id: ConversationId) -> Problem<'_> {
        Problem {
            type_: format!("{TYPE_BASE}{}", self.code.as_str()),
            title: self.code.title(),
            status: self.code.status(),
            detail: &self.detail,
            code: self.code.as_str(),
            conversation_id,
            errors: &self.errors,
        }
    }
}

impl From<Code> for ApiError {
    fn from(code: Code) -> Self {
        Self::new(code)
    }
}
