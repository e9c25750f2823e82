//! Items: the newest posting's status, and what the post saw physically.

use actix_web::http::StatusCode;
use actix_web::web::{self, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::super::body;
use super::super::problem::answer;
use super::super::query::Query;
use super::super::routes::{Answer, Content, Method, Route};
use super::super::schema;
use super::{IntakeState, JSON, SMALL_BODY, SMALL_BODY_REFUSALS, json, path_parameter, views};
use crate::domain::ids::S10;
use crate::error::{ApiError, Code};
use crate::intake::Sighting;
use crate::store::TrackingEvent;

const STATUS: &[Content] = &[Content::json(schema::object)];

pub(super) const ROUTES: &[Route] = &[
    Route::new(Method::Get, "/v1/items/{item_id}", "Latest status of an item", || web::to(show))
        .described("The newest posting of the S10 id; the same object as that of the declaration.")
        .answers(&[Answer::new(200, "Its three states, broker, references and history.", STATUS)])
        .refuses(&[Code::BadQuery, Code::NotFound, Code::StoreUnavailable]),
    Route::new(Method::Post, "/v1/items/{item_id}/tracking", "Tell what was seen physically", || web::to(track))
        .described("EMSEVT events of the item. Destination-leg events are proposed only once the arrival (EMD) was told here.")
        .takes("The event.", &[Content::json(schema::record::<Sighting>)])
        .answers(&[Answer::new(202, "Stored.", STATUS)])
        .refuses(SMALL_BODY_REFUSALS),
];

async fn show(request: HttpRequest, state: Data<IntakeState>) -> HttpResponse {
    let outcome = async {
        let post = state.authenticate(&request)?;
        Query::read(&request, &[])?;
        let item_id = item_id(&request)?;
        let view = state.store.item(&post.code, item_id).await?.ok_or(Code::NotFound)?;
        Ok(HttpResponse::Ok().content_type(JSON).body(views::declaration(view)))
    };
    answer(&request, outcome.await)
}

async fn track(request: HttpRequest, payload: Payload, state: Data<IntakeState>) -> HttpResponse {
    let outcome = async {
        let post = state.authenticate(&request)?;
        body::demand_type(&request, &[JSON])?;
        let body = body::read(&request, payload, SMALL_BODY).await?;
        let sighting = Sighting::parse(&body)?;
        let item_id = item_id(&request)?;
        let event = TrackingEvent {
            event: sighting.event.to_string(),
            at: sighting.at.0,
            office: sighting.office.as_ref().map(ToString::to_string),
        };
        let known = state.store.tracking(&post.code, item_id, event, state.intake.presenting()).await?;
        if !known {
            return Err(Code::NotFound.into());
        }
        Ok(json(StatusCode::ACCEPTED, &serde_json::json!({ "item_id": item_id, "event": sighting.event.as_str() })))
    };
    answer(&request, outcome.await)
}

/// The id in the path; what is no S10 is answered like an unknown one.
fn item_id(request: &HttpRequest) -> Result<S10, ApiError> {
    S10::parse(path_parameter(request, "item_id")).ok_or_else(|| Code::NotFound.into())
}
