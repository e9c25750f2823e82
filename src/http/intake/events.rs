//! What the post is told: the feed and the stream, one cursor for both.

use actix_web::web::{self, Data};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::StreamExt;

use super::super::problem::answer;
use super::super::query::Query;
use super::super::routes::{Answer, Content, Method, Parameter, Route, Values};
use super::super::schema;
use super::{IntakeState, JSON};
use crate::error::{ApiError, Code};
use crate::tracking::feed::{DEFAULT_LIMIT, FeedQuery, MAX_LIMIT, MAX_WAIT_S};

const AFTER: Parameter = Parameter::query("after", Values::Text(64), "Cursor; without it the feed starts at the oldest event kept.");
const LIMIT: Parameter =
    Parameter::query("limit", Values::Integer { min: 1, max: MAX_LIMIT as u64, default: DEFAULT_LIMIT as u64 }, "Most events of the page.");
const WAIT: Parameter = Parameter::query(
    "wait",
    Values::Integer { min: 0, max: MAX_WAIT_S as u64, default: 0 },
    "Seconds to wait for an event when there is none.",
);
const LAST_EVENT_ID: Parameter =
    Parameter::header("Last-Event-ID", Values::Text(64), "Cursor of the last event seen; without it the stream starts now.");

const EVENT_STREAM: &str = "text/event-stream";

pub(super) const ROUTES: &[Route] = &[
    Route::new(Method::Get, "/v1/events", "Events after a cursor", || web::to(page))
        .described("CloudEvents 1.0 in the order of the post's log, without gaps; `next` is the cursor for the next call.")
        .parameters(&[AFTER, LIMIT, WAIT])
        .answers(&[Answer::new(200, "`events` and `next`.", &[Content::json(schema::object)])])
        .refuses(&[Code::BadQuery, Code::BadCursor, Code::CursorGone, Code::TooManyRequests, Code::StoreUnavailable, Code::Draining]),
    Route::new(Method::Get, "/v1/events/stream", "Events as they come", || web::to(stream))
        .described("Server-sent events; the id of each is the cursor of the feed.")
        .parameters(&[LAST_EVENT_ID])
        .answers(&[Answer::new(200, "The stream.", &[Content::of(EVENT_STREAM, schema::text)])])
        .refuses(&[
            Code::BadQuery,
            Code::BadHeader,
            Code::BadCursor,
            Code::CursorGone,
            Code::TooManyRequests,
            Code::StoreUnavailable,
            Code::Draining,
        ]),
];

async fn page(request: HttpRequest, state: Data<IntakeState>) -> HttpResponse {
    let outcome = async {
        let post = state.authenticate(&request)?;
        let query = Query::read(&request, &[AFTER, LIMIT, WAIT])?;
        let wanted = FeedQuery {
            after: query.text(&AFTER),
            limit: u32::try_from(query.integer(&LIMIT)).ok(),
            wait_s: u32::try_from(query.integer(&WAIT)).ok(),
        };
        let page = state.feed.page(&post.code, wanted).await?;
        Ok(HttpResponse::Ok().content_type(JSON).body(page.to_json()))
    };
    answer(&request, outcome.await)
}

async fn stream(request: HttpRequest, state: Data<IntakeState>) -> HttpResponse {
    let outcome = async {
        let post = state.authenticate(&request)?;
        Query::read(&request, &[])?;
        let last = request.headers().get("last-event-id").map(|value| value.to_str());
        let last = last.transpose().map_err(|_| ApiError::from(Code::BadCursor))?.filter(|text| !text.is_empty());
        let stream = state.feed.stream(&post.code, last).await?;
        Ok(HttpResponse::Ok().content_type(EVENT_STREAM).streaming(stream.map(Ok::<_, actix_web::Error>)))
    };
    answer(&request, outcome.await)
}
