//! The operators' handlers: ask the source, show the answer.

use std::time::Duration;

use actix_web::http::header::{CONTENT_TYPE, LOCATION};
use actix_web::web::{Bytes, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use super::source::{DeadFilter, OpsFault, ParkedState};
use super::views::{BrokerList, BrokerView, CertificateList, DeadLetterList, DeadLetterView, Health, MappingList, MappingView, NoticeList};
use super::{OpsState, gauges, table};
use crate::domain::delivery::DeadReason;
use crate::domain::fault::{self, Fault};
use crate::domain::json;
use crate::domain::record::{FieldType, Reader};
use crate::domain::text::Text;
use crate::error::{ApiError, Code};
use crate::http::body::{self, BodyLimits};
use crate::http::problem::{Outcome, answer};
use crate::http::query::Query;
use crate::record;
use crate::store::StoreError;

/// Bounds of an order's body.
pub(super) const ORDER_LIMITS: BodyLimits = BodyLimits { max_bytes: 16 * 1024, timeout: Duration::from_secs(10) };
const FORM: &str = "application/x-www-form-urlencoded";
/// Prometheus' text format.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

record! {
    /// What an operator may say with an order.
    pub struct StandingOrder {
        /// Why, in the operator's words; it is shown to every operator.
        reason: Option<Text<200>>,
    }
}

pub(super) fn json<T: Serialize>(value: &T) -> HttpResponse {
    HttpResponse::Ok().json(value)
}

/// Routes without parameters refuse any.
pub(super) fn no_query(request: &HttpRequest) -> Result<(), ApiError> {
    Query::read(request, &[]).map(|_| ())
}

pub(super) async fn live() -> HttpResponse {
    json(&Health { status: "live" })
}

pub(super) async fn ready(request: HttpRequest, state: Data<OpsState>) -> HttpResponse {
    let outcome = async {
        if state.draining.is_on() {
            return Err(Code::Draining.into());
        }
        state.source.check().await?;
        Ok(json(&Health { status: "ready" }))
    };
    answer(&request, outcome.await)
}

pub(super) async fn metrics(request: HttpRequest, state: Data<OpsState>) -> HttpResponse {
    let outcome = async {
        no_query(&request)?;
        let lanes = state.source.lanes();
        gauges::set_lanes(&lanes);
        gauges::set_mappings(state.mappings.values(), &state.source.mappings());
        // The rest is shown even where the store does not answer: that is when it is looked at.
        match state.source.backlog().await {
            Ok(backlog) => gauges::set_backlog(&lanes, &backlog, state.now()),
            Err(error) => tracing::warn!(%error, "the backlog could not be counted for the metrics"),
        }
        gauges::set_certificates(&state.read_certificates().await?);
        Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, METRICS_TYPE)).body(state.metrics.render()))
    };
    answer(&request, outcome.await)
}

pub(super) async fn brokers(request: HttpRequest, state: Data<OpsState>) -> HttpResponse {
    let outcome = async {
        no_query(&request)?;
        let brokers = broker_views(&state).await?;
        Ok(json(&BrokerList { brokers }))
    };
    answer(&request, outcome.await)
}

/// Every broker as it stands.
pub(super) async fn broker_views(state: &OpsState) -> Result<Vec<BrokerView>, StoreError> {
    let backlog = state.source.backlog().await?;
    let (lanes, mappings, now) = (state.source.lanes(), state.source.mappings(), state.now());
    Ok(lanes.iter().map(|lane| BrokerView::new(lane, state.mapping_of(&lane.broker), &mappings, &backlog, now)).collect())
}

pub(super) async fn dead_letters(request: HttpRequest, state: Data<OpsState>) -> HttpResponse {
    let outcome = async {
        let query = Query::read(&request, table::DEAD_LETTER_PARAMETERS)?;
        let filter = DeadFilter {
            broker: query.text(&table::BROKER).map(str::to_owned),
            reason: query.text(&table::REASON).and_then(DeadReason::parse),
            post: query.text(&table::POST).map(str::to_owned),
            limit: limit(&query),
        };
        let (found, now) = (state.source.dead_letters(filter).await?, state.now());
        Ok(json(&DeadLetterList { dead_letters: found.into_iter().map(|letter| DeadLetterView::new(letter, now)).collect() }))
    };
    answer(&request, outcome.await)
}

pub(super) async fn notices(request: HttpRequest, state: Data<OpsState>) -> HttpResponse {
    let outcome = async {
        let query = Query::read(&request, table::NOTICE_PARAMETERS)?;
        let parked = query.text(&table::STATE).and_then(ParkedState::parse).unwrap_or_default();
        let found = state.source.parked_notices(parked, limit(&query)).await?;
        Ok(json(&NoticeList { notices: found.into_iter().map(Into::into).collect() }))
    };
    answer(&request, outcome.await)
}

fn limit(query: &Query<'_>) -> u32 {
    u32::try_from(query.integer(&table::LIMIT)).unwrap_or(u32::MAX)
}

pub(super) async fn mappings(request: HttpRequest, state: Data<OpsState>) -> HttpResponse {
    let outcome = async {
        no_query(&request)?;
        Ok(json(&mapping_list(&state).await))
    };
    answer(&request, outcome.await)
}

/// What serves lies in the process: it is shown even where the store does not answer.
async fn mapping_list(state: &OpsState) -> MappingList {
    let kept = match state.source.kept_mappings().await {
        Ok(kept) => Some(kept),
        Err(error) => {
            tracing::warn!(%error, "the stored versions of mappings could not be listed");
            None
        }
    };
    let users = |name: &str| state.mappings.iter().filter(|(_, mapping)| *mapping == name).map(|(broker, _)| broker.clone()).collect();
    let lanes = state.source.lanes();
    let mut mappings: Vec<MappingView> = state
        .source
        .mappings()
        .into_iter()
        .map(|mapping| {
            let brokers = users(&mapping.name);
            MappingView::new(mapping, brokers, &lanes, kept.as_deref())
        })
        .collect();
    mappings.sort_by(|a, b| a.name.cmp(&b.name));
    MappingList { mappings }
}

pub(super) async fn certificates(request: HttpRequest, state: Data<OpsState>) -> HttpResponse {
    let outcome = async {
        no_query(&request)?;
        let certificates = state.read_certificates().await?.into_iter().map(|file| file.view).collect();
        Ok(json(&CertificateList { certificates }))
    };
    answer(&request, outcome.await)
}

pub(super) async fn pause(request: HttpRequest, payload: Payload, state: Data<OpsState>) -> HttpResponse {
    let outcome = async {
        let (broker, order) = order(&request, payload, &state).await?;
        state.source.pause(broker.clone(), order.reason.map(|reason| reason.to_string())).await.map_err(ops_error)?;
        tracing::info!(broker, "an operator paused the broker");
        done(&request, &state, &broker).await
    };
    answer(&request, outcome.await)
}

pub(super) async fn resume(request: HttpRequest, payload: Payload, state: Data<OpsState>) -> HttpResponse {
    let outcome = async {
        let (broker, order) = order(&request, payload, &state).await?;
        state.source.resume(broker.clone(), order.reason.map(|reason| reason.to_string())).await.map_err(ops_error)?;
        tracing::info!(broker, "an operator let the broker go on");
        done(&request, &state, &broker).await
    };
    answer(&request, outcome.await)
}

pub(super) async fn reload_certificates(request: HttpRequest, state: Data<OpsState>) -> HttpResponse {
    let outcome = async {
        no_query(&request)?;
        let broker = known_broker(&request, &state)?;
        state.source.reload_certificates(broker.clone()).await.map_err(ops_error)?;
        tracing::info!(broker, "an operator had the broker's certificates read anew");
        done(&request, &state, &broker).await
    };
    answer(&request, outcome.await)
}

pub(super) async fn reload_mappings(request: HttpRequest, state: Data<OpsState>) -> HttpResponse {
    let outcome = async {
        no_query(&request)?;
        state.source.reload_mappings().await.map_err(ops_error)?;
        tracing::info!("an operator had all mappings loaded anew");
        Ok(json(&mapping_list(&state).await))
    };
    answer(&request, outcome.await)
}

fn known_broker(request: &HttpRequest, state: &OpsState) -> Result<String, ApiError> {
    let name = request.match_info().get("broker").unwrap_or_default();
    if state.mappings.contains_key(name) { Ok(name.to_owned()) } else { Err(Code::NotFound.into()) }
}

/// The broker of the path and what the body says.
async fn order(request: &HttpRequest, payload: Payload, state: &OpsState) -> Result<(String, StandingOrder), ApiError> {
    no_query(request)?;
    let broker = known_broker(request, state)?;
    let bytes = body::read(request, payload, ORDER_LIMITS).await?;
    let order = if is_form(request) { read_form(&bytes)? } else { read_json(request, &bytes)? };
    Ok((broker, order))
}

fn is_form(request: &HttpRequest) -> bool {
    body::demand_type(request, &[FORM]).is_ok()
}

fn read_json(request: &HttpRequest, bytes: &Bytes) -> Result<StandingOrder, ApiError> {
    if bytes.is_empty() {
        return Ok(StandingOrder::default());
    }
    body::demand_type(request, &["application/json"])?;
    let json = json::parse(bytes).map_err(|malformed| ApiError::new(Code::MalformedJson).detail(malformed.to_string()))?;
    read_order(&json)
}

fn read_form(bytes: &Bytes) -> Result<StandingOrder, ApiError> {
    let members = url::form_urlencoded::parse(bytes).map(|(name, value)| (name, json::Json::Text(value))).collect();
    read_order(&json::Json::Object(members))
}

fn read_order(json: &json::Json<'_>) -> Result<StandingOrder, ApiError> {
    let mut reader = Reader::default();
    let order = StandingOrder::read(json, &mut reader);
    let (faults, _) = reader.finish();
    if faults.is_empty() { Ok(order) } else { Err(ApiError::new(Code::InvalidRequest).errors(faults.into_vec())) }
}

/// The broker as it now is; a form goes back to the page.
async fn done(request: &HttpRequest, state: &OpsState, broker: &str) -> Outcome {
    if is_form(request) {
        return Ok(HttpResponse::SeeOther().insert_header((LOCATION, "/")).finish());
    }
    let views = broker_views(state).await?;
    let view = views.into_iter().find(|view| view.name == broker).ok_or(Code::NotFound)?;
    Ok(json(&view))
}

pub(super) fn ops_error(error: OpsFault) -> ApiError {
    match error {
        OpsFault::Store(error) => error.into(),
        OpsFault::Refused(faults) => {
            let faults = faults.into_iter().map(|(place, detail)| Fault::new(place, fault::MAPPING_VALUE, detail)).collect();
            ApiError::new(Code::ReloadRefused).errors(faults)
        }
    }
}
