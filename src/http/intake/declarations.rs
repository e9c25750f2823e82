//! Declarations: one, many, a look ahead, and what became of one.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderName;
use actix_web::web::{self, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::super::batch::{self, BatchContext};
use super::super::body::{self, BodyLimits};
use super::super::common::{conversation_of, traceparent_of};
use super::super::problem::{Outcome, answer};
use super::super::query::Query;
use super::super::routes::{Answer, Content, Method, Parameter, Route, Values};
use super::super::schema;
use super::{IntakeState, JSON, json, path_parameter, views};
use crate::domain::declaration::Declaration;
use crate::domain::ids::DeclarationId;
use crate::error::{ApiError, Code};
use crate::intake::{Submission, Taken};

const NDJSON: &str = "application/x-ndjson";
const IDEMPOTENCY_KEY: &str = "idempotency-key";
const REPLAYED: &str = "idempotency-replayed";

pub(super) const KEY: Parameter =
    Parameter::header("Idempotency-Key", Values::Text(257), "1 to 255 visible ASCII characters without blanks; quotes around it allowed.");
const CONTENT: Parameter = Parameter::query("content", Values::OneOf(&["0", "1"]), "1 includes the bytes.");

const DECLARATION: &[Content] = &[Content::json(schema::record::<Declaration>)];
pub(super) const STATUS: &[Content] = &[Content::json(schema::object)];
pub(super) const REPLAY_HEADER: &[(&str, &str)] = &[("Idempotency-Replayed", "`true`: the first answer again, byte for byte.")];

pub(super) const ROUTES: &[Route] = &[
    Route::new(Method::Post, "/v1/declarations", "Hand over a declaration", || web::to(declare))
        .described("Answers once the declaration, its messages and this answer are durable. The same item and content again is the first answer again.")
        .parameters(&[KEY])
        .takes("The declaration.", DECLARATION)
        .answers(&[
            Answer::new(202, "Stored and queued.", STATUS),
            Answer::new(200, "Stored before: the first answer again.", STATUS).headers(REPLAY_HEADER),
        ])
        .refuses(&[
            Code::MalformedJson,
            Code::BadHeader,
            Code::RequestTimeout,
            Code::ItemConflict,
            Code::ItemKnown,
            Code::KeyInFlight,
            Code::BodyTooLarge,
            Code::UnsupportedMediaType,
            Code::InvalidDeclaration,
            Code::NoRoute,
            Code::MappingFault,
            Code::KeyReused,
            Code::TooManyRequests,
            Code::StoreUnavailable,
            Code::Overloaded,
            Code::Draining,
            Code::MappingUnavailable,
        ]),
    Route::new(Method::Post, "/v1/declarations/batch", "Hand over many declarations", || web::to(declare_batch))
        .described("One result line per input line, in order, written while lines are still read. A bad line never stops the rest. Header keys do not apply; each item's natural key does.")
        .takes("One declaration per line.", &[Content::of(NDJSON, schema::text)])
        .answers(&[Answer::new(200, "Result lines: `line`, `status`, and `declaration` or `problem`.", &[Content::of(NDJSON, schema::text)])])
        .refuses(&[Code::UnsupportedMediaType]),
    Route::new(Method::Post, "/v1/declarations/preview", "See what would become of a declaration", || web::to(preview))
        .described("Route, mapped message, faults and warnings. Stores nothing.")
        .takes("The declaration.", DECLARATION)
        .answers(&[Answer::new(200, "What would become of it.", STATUS)])
        .refuses(&[Code::MalformedJson, Code::BadHeader, Code::RequestTimeout, Code::BodyTooLarge, Code::UnsupportedMediaType]),
    Route::new(Method::Get, "/v1/declarations/{declaration_id}", "What became of a declaration", || web::to(show))
        .answers(&[Answer::new(200, "Its three states, broker, references and history.", STATUS)])
        .refuses(&[Code::BadQuery, Code::NotFound, Code::StoreUnavailable]),
    Route::new(Method::Get, "/v1/declarations/{declaration_id}/messages", "Every message and notice of a declaration", || web::to(messages))
        .described("With times, hashes and results; the bytes only when asked for.")
        .parameters(&[CONTENT])
        .answers(&[Answer::new(200, "Messages and notices in order.", STATUS)])
        .refuses(&[Code::BadQuery, Code::NotFound, Code::StoreUnavailable]),
];

async fn declare(request: HttpRequest, payload: Payload, state: Data<IntakeState>) -> HttpResponse {
    let outcome = async {
        let submission = submission(&request, payload, &state).await?;
        let taken = state.intake.declare(submission).await?;
        Ok(taken_answer(taken))
    };
    answer(&request, outcome.await)
}

pub(super) fn taken_answer(taken: Taken) -> HttpResponse {
    let status = if taken.replayed { StatusCode::OK } else { StatusCode::ACCEPTED };
    let mut response = HttpResponse::build(status);
    response.content_type(JSON);
    if taken.replayed {
        response.insert_header((HeaderName::from_static(REPLAYED), "true"));
    }
    response.body(taken.answer)
}

/// Everything that is known of a request before its body is understood.
pub(super) async fn submission(request: &HttpRequest, payload: Payload, state: &IntakeState) -> Result<Submission, ApiError> {
    let post = state.authenticate(request)?;
    state.takes_work()?;
    body::demand_type(request, &[JSON])?;
    let key = idempotency_key(request)?;
    let body = body::read(request, payload, state.limits).await?;
    Ok(Submission { post, body, key, conversation_id: conversation_of(request), traceparent: traceparent_of(request) })
}

/// The client's key: bare or quoted, as the IETF draft and older clients send it.
pub(super) fn idempotency_key(request: &HttpRequest) -> Result<Option<String>, ApiError> {
    let mut values = request.headers().get_all(IDEMPOTENCY_KEY);
    let Some(value) = values.next() else { return Ok(None) };
    let bad = || {
        ApiError::new(Code::BadHeader)
            .detail("Idempotency-Key: once, 1 to 255 visible ASCII characters without blanks; quotes around it allowed.")
    };
    if values.next().is_some() {
        return Err(bad());
    }
    let text = value.to_str().map_err(|_| bad())?;
    let bare = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let sound = (1..=255).contains(&bare.len()) && bare.bytes().all(|b| b.is_ascii_graphic() && b != b'"');
    if sound { Ok(Some(bare.to_owned())) } else { Err(bad()) }
}

async fn declare_batch(request: HttpRequest, payload: Payload, state: Data<IntakeState>) -> HttpResponse {
    let outcome = || -> Outcome {
        let post = state.authenticate(&request)?;
        body::demand_type(&request, &[NDJSON, "application/ndjson", "application/jsonl"])?;
        let BodyLimits { max_bytes, timeout } = state.limits;
        let context = BatchContext {
            intake: Arc::clone(&state.intake),
            post,
            conversation_id: conversation_of(&request),
            traceparent: traceparent_of(&request),
            max_line_bytes: max_bytes,
            idle: timeout.max(Duration::from_secs(1)),
            draining: state.draining.clone(),
        };
        Ok(HttpResponse::Ok().content_type(NDJSON).streaming(batch::results(context, payload)))
    };
    answer(&request, outcome())
}

async fn preview(request: HttpRequest, payload: Payload, state: Data<IntakeState>) -> HttpResponse {
    let outcome = async {
        let submission = submission(&request, payload, &state).await?;
        Ok(json(StatusCode::OK, &state.intake.preview(&submission).await?))
    };
    answer(&request, outcome.await)
}

async fn show(request: HttpRequest, state: Data<IntakeState>) -> HttpResponse {
    let outcome = async {
        let post = state.authenticate(&request)?;
        Query::read(&request, &[])?;
        let id = declaration_id(&request)?;
        let view = state.store.declaration(&post.code, id).await?.ok_or(Code::NotFound)?;
        Ok(HttpResponse::Ok().content_type(JSON).body(views::declaration(view)))
    };
    answer(&request, outcome.await)
}

async fn messages(request: HttpRequest, state: Data<IntakeState>) -> HttpResponse {
    let outcome = async {
        let post = state.authenticate(&request)?;
        let query = Query::read(&request, &[CONTENT])?;
        let id = declaration_id(&request)?;
        let with_content = query.text(&CONTENT) == Some("1");
        let view = state.store.messages(&post.code, id, with_content).await?.ok_or(Code::NotFound)?;
        Ok(json(StatusCode::OK, &views::messages(view)))
    };
    answer(&request, outcome.await)
}

/// The id in the path; what is no id is answered like an unknown one.
pub(super) fn declaration_id(request: &HttpRequest) -> Result<DeclarationId, ApiError> {
    DeclarationId::parse(path_parameter(request, "declaration_id")).ok_or_else(|| Code::NotFound.into())
}
