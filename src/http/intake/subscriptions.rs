//! Webhook subscriptions of a post.

use actix_web::http::StatusCode;
use actix_web::web::{self, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::super::body;
use super::super::problem::answer;
use super::super::query::Query;
use super::super::routes::{Answer, Content, Method, Route};
use super::super::schema;
use super::{IntakeState, JSON, SMALL_BODY, json, path_parameter};
use crate::error::Code;
use crate::tracking::subscriptions::NewSubscription;

const OBJECT: &[Content] = &[Content::json(schema::object)];

pub(super) const ROUTES: &[Route] = &[
    Route::new(Method::Post, "/v1/subscriptions", "Ask for events by webhook", || web::to(create))
        .described("Standard Webhooks: `webhook-id`, `webhook-timestamp`, `webhook-signature`. The secret is shown in this answer only.")
        .takes("Target and types.", &[Content::json(schema::record::<NewSubscription>)])
        .answers(&[Answer::new(201, "The subscription with its secret.", OBJECT)])
        .refuses(&[
            Code::MalformedJson,
            Code::BadHeader,
            Code::RequestTimeout,
            Code::BodyTooLarge,
            Code::UnsupportedMediaType,
            Code::InvalidRequest,
            Code::StoreUnavailable,
            Code::Overloaded,
            Code::Draining,
        ]),
    Route::new(Method::Get, "/v1/subscriptions", "List the post's subscriptions", || web::to(list))
        .answers(&[Answer::new(200, "Subscriptions without their secrets.", OBJECT)])
        .refuses(&[Code::BadQuery, Code::StoreUnavailable]),
    Route::new(Method::Delete, "/v1/subscriptions/{subscription_id}", "End a subscription", || web::to(delete))
        .answers(&[Answer::empty(204, "Ended.")])
        .refuses(&[Code::NotFound, Code::StoreUnavailable, Code::Overloaded, Code::Draining]),
    Route::new(Method::Post, "/v1/subscriptions/{subscription_id}/test", "Send a test event", || web::to(test))
        .answers(&[Answer::new(202, "Queued.", OBJECT)])
        .refuses(&[
            Code::BadHeader,
            Code::RequestTimeout,
            Code::NotFound,
            Code::BodyTooLarge,
            Code::StoreUnavailable,
            Code::Overloaded,
            Code::Draining,
        ]),
];

async fn create(request: HttpRequest, payload: Payload, state: Data<IntakeState>) -> HttpResponse {
    let outcome = async {
        let post = state.authenticate(&request)?;
        body::demand_type(&request, &[JSON])?;
        let body = body::read(&request, payload, SMALL_BODY).await?;
        let made = state.subscriptions.create(&post.code, &body).await?;
        Ok(json(StatusCode::CREATED, &made))
    };
    answer(&request, outcome.await)
}

async fn list(request: HttpRequest, state: Data<IntakeState>) -> HttpResponse {
    let outcome = async {
        let post = state.authenticate(&request)?;
        Query::read(&request, &[])?;
        let subscriptions = state.subscriptions.list(&post.code).await?;
        Ok(json(StatusCode::OK, &serde_json::json!({ "subscriptions": subscriptions })))
    };
    answer(&request, outcome.await)
}

async fn delete(request: HttpRequest, state: Data<IntakeState>) -> HttpResponse {
    let outcome = async {
        let post = state.authenticate(&request)?;
        state.subscriptions.delete(&post.code, path_parameter(&request, "subscription_id")).await?;
        Ok(HttpResponse::NoContent().finish())
    };
    answer(&request, outcome.await)
}

async fn test(request: HttpRequest, payload: Payload, state: Data<IntakeState>) -> HttpResponse {
    let outcome = async {
        let post = state.authenticate(&request)?;
        // Nothing is asked of the body; read, so that the connection can go on.
        body::read(&request, payload, SMALL_BODY).await?;
        let queued = state.subscriptions.test(&post.code, path_parameter(&request, "subscription_id")).await?;
        Ok(json(StatusCode::ACCEPTED, &queued))
    };
    answer(&request, outcome.await)
}
