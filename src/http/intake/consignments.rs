//! Consignments: the transport that is known only when the dispatch closes, and its arrival.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::{self, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use super::super::body::{self, BodyLimits};
use super::super::problem::answer;
use super::super::query::Query;
use super::super::routes::{Answer, Content, Method, Route};
use super::super::schema;
use super::{IntakeState, JSON, SMALL_BODY, SMALL_BODY_REFUSALS, json, path_parameter};
use crate::domain::ids::{DeclarationId, S10};
use crate::domain::time::{Date, rfc3339};
use crate::error::{ApiError, Code};
use crate::intake::{Arrival, Consignment};
use crate::store::{ConsignmentView, NewConsignment};

/// Bounds of a consignment: ten thousand items.
const BODY: BodyLimits = BodyLimits { max_bytes: 2 * 1024 * 1024, timeout: Duration::from_secs(30) };
/// Longest id, in characters.
const MAX_ID: usize = 70;
const CONSIGNMENT: &[Content] = &[Content::json(schema::object)];

const REFUSALS: &[Code] = &[
    Code::MalformedJson,
    Code::BadHeader,
    Code::RequestTimeout,
    Code::NotFound,
    Code::ConsignmentClosed,
    Code::BodyTooLarge,
    Code::UnsupportedMediaType,
    Code::InvalidRequest,
    Code::StoreUnavailable,
    Code::Overloaded,
    Code::Draining,
];

pub(super) const ROUTES: &[Route] = &[
    Route::new(Method::Put, "/v1/consignments/{consignment_id}", "Say what travels together", || web::to(put))
        .described(
            "Replaces what was said of the consignment. With `closed` its transport fills what the declarations of its items leave open, and messages that waited for it are made and sent; \
             after that only more may be said, nothing else.",
        )
        .takes("Type, transport, items, and whether it is closed.", &[Content::json(schema::record::<Consignment>)])
        .answers(&[Answer::new(202, "Stored.", CONSIGNMENT)])
        .refuses(REFUSALS),
    Route::new(Method::Get, "/v1/consignments/{consignment_id}", "What is known of a consignment", || web::to(show))
        .answers(&[Answer::new(200, "Its transport and its items with their declarations.", CONSIGNMENT)])
        .refuses(&[Code::BadQuery, Code::NotFound, Code::StoreUnavailable]),
    Route::new(Method::Post, "/v1/consignments/{consignment_id}/arrived", "Tell that a consignment arrived", || web::to(arrived))
        .described("The arrival (EMD) of each of its items: presentation messages that wait for it are made and sent.")
        .may_take("When; now, when left out.", &[Content::json(schema::record::<Arrival>)])
        .answers(&[Answer::new(202, "Stored.", CONSIGNMENT)])
        .refuses(SMALL_BODY_REFUSALS),
];

#[derive(Serialize)]
struct ConsignmentJson<'a> {
    consignment_id: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    transport: Option<&'a serde_json::value::RawValue>,
    closed: bool,
    arrived_at: Option<String>,
    created_at: String,
    changed_at: String,
    items: Vec<ItemJson<'a>>,
}

#[derive(Serialize)]
struct ItemJson<'a> {
    item_id: S10,
    posted_on: Date,
    receptacle_id: Option<&'a str>,
    declaration_id: Option<DeclarationId>,
}

async fn put(request: HttpRequest, payload: Payload, state: Data<IntakeState>) -> HttpResponse {
    let outcome = async {
        let post = state.authenticate(&request)?;
        state.takes_work()?;
        body::demand_type(&request, &[JSON])?;
        let body = body::read(&request, payload, BODY).await?;
        let consignment = Consignment::parse(&body)?;
        let id = consignment_id(&request)?;
        let closed = consignment.closed.unwrap_or(false);
        let new = NewConsignment {
            post: post.code.to_string(),
            consignment_id: id.to_owned(),
            kind: consignment.r#type.as_str().to_owned(),
            transport: Consignment::transport_json(&body)?,
            items: consignment.items(),
            closed,
            presenting: state.intake.presenting(),
            received_at: state.clock.now(),
        };
        if !state.store.put_consignment(new).await? {
            return Err(Code::ConsignmentClosed.into());
        }
        let told = serde_json::json!({ "consignment_id": id, "items": consignment.items.len(), "closed": closed });
        Ok(json(StatusCode::ACCEPTED, &told))
    };
    answer(&request, outcome.await)
}

async fn show(request: HttpRequest, state: Data<IntakeState>) -> HttpResponse {
    let outcome = async {
        let post = state.authenticate(&request)?;
        Query::read(&request, &[])?;
        let id = consignment_id(&request)?;
        let view = state.store.consignment(&post.code, id).await?.ok_or(Code::NotFound)?;
        Ok(json(StatusCode::OK, &shown(id, &view)))
    };
    answer(&request, outcome.await)
}

async fn arrived(request: HttpRequest, payload: Payload, state: Data<IntakeState>) -> HttpResponse {
    let outcome = async {
        let post = state.authenticate(&request)?;
        state.takes_work()?;
        let body = body::read(&request, payload, SMALL_BODY).await?;
        if !body.is_empty() {
            body::demand_type(&request, &[JSON])?;
        }
        let at = Arrival::parse(&body)?.at.map_or_else(|| state.clock.now(), |at| at.0);
        let id = consignment_id(&request)?;
        if !state.store.consignment_arrived(&post.code, id, at, state.intake.presenting()).await? {
            return Err(Code::NotFound.into());
        }
        Ok(json(StatusCode::ACCEPTED, &serde_json::json!({ "consignment_id": id, "arrived_at": rfc3339(at) })))
    };
    answer(&request, outcome.await)
}

fn shown<'a>(id: &'a str, view: &'a ConsignmentView) -> ConsignmentJson<'a> {
    let item = |(item, declaration): &'a (crate::store::ConsignmentItem, Option<DeclarationId>)| ItemJson {
        item_id: item.item_id,
        posted_on: item.posted_on,
        receptacle_id: item.receptacle_id.as_deref(),
        declaration_id: *declaration,
    };
    ConsignmentJson {
        consignment_id: id,
        kind: &view.kind,
        transport: serde_json::from_str(&view.transport).ok(),
        closed: view.closed,
        arrived_at: view.arrived_at.map(rfc3339),
        created_at: rfc3339(view.created_at),
        changed_at: rfc3339(view.changed_at),
        items: view.items.iter().map(item).collect(),
    }
}

/// The id in the path: the post's own, of visible characters; anything else is answered like an unknown one.
fn consignment_id(request: &HttpRequest) -> Result<&str, ApiError> {
    let id = path_parameter(request, "consignment_id");
    let sound = !id.is_empty() && id.len() <= MAX_ID && id.bytes().all(|byte| byte.is_ascii_graphic());
    if sound { Ok(id) } else { Err(Code::NotFound.into()) }
}
