//! The operators' listener: health, metrics, the page, and what can be looked at and done without a restart.
//!
//! Promise P12: whatever is stuck is visible here with its age and its reason. Promise P10: no list repeats free text of
//! a broker or a value of a declaration. Everything but the two health probes needs the operators' credentials where
//! any are configured ([`auth`]).

pub mod auth;
mod certificates;
pub mod dashboard;
mod evidence;
mod gauges;
mod handlers;
mod orders;
pub mod source;
mod table;
#[cfg(test)]
mod tests;
pub mod views;

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::{Error, web};
use metrics_exporter_prometheus::PrometheusHandle;

use self::auth::Guard;
use self::certificates::{CertificateFile, CertificateStatus};
use self::source::OpsSource;
pub use self::table::TABLE;
use super::common::Draining;
use super::peer::PeerCheck;
use super::routes;
use crate::config::Config;
use crate::domain::time::{SharedClock, Timestamp};
use crate::error::{ApiError, Code};

/// What the operators' routes need; one for the process, shared by its workers.
pub struct OpsState {
    source: Arc<dyn OpsSource>,
    guard: Guard,
    clock: SharedClock,
    metrics: PrometheusHandle,
    draining: Draining,
    mappings: BTreeMap<String, String>,
    certificates: Arc<[CertificateFile]>,
}

impl OpsState {
    /// The state of the listener. `peer_check` re-checks operators' client certificates per request.
    pub fn new(
        config: &Config,
        source: Arc<dyn OpsSource>,
        metrics: PrometheusHandle,
        draining: Draining,
        clock: SharedClock,
        peer_check: PeerCheck,
    ) -> Self {
        Self {
            source,
            guard: Guard::new(&config.ops, peer_check),
            clock,
            metrics,
            draining,
            mappings: config.brokers.iter().map(|(name, broker)| (name.clone(), broker.mapping.as_str().to_owned())).collect(),
            certificates: certificates::configured(config).into(),
        }
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn mapping_of(&self, broker: &str) -> &str {
        self.mappings.get(broker).map_or("", String::as_str)
    }

    /// Reads all certificate files away from the request's thread.
    async fn read_certificates(&self) -> Result<Vec<CertificateStatus>, ApiError> {
        let (files, now) = (Arc::clone(&self.certificates), self.now());
        web::block(move || certificates::read_all(&files, now)).await.map_err(|_| Code::Internal.into())
    }
}

/// Registers the listener's routes: `App::new().wrap(from_fn(common::around)).configure(ops::configure(state))`.
pub fn configure(state: web::Data<OpsState>) -> impl FnOnce(&mut web::ServiceConfig) {
    move |config| {
        config.app_data(state);
        let scope = web::scope("").wrap(from_fn(authenticate)).configure(|config| routes::configure(&TABLE, config));
        config.service(scope);
    }
}

async fn authenticate(request: ServiceRequest, next: Next<BoxBody>) -> Result<ServiceResponse<BoxBody>, Error> {
    let refusal = match request.app_data::<web::Data<OpsState>>() {
        _ if TABLE.is_open(request.path()) => None,
        Some(state) => state.guard.admit(request.request(), state.now()).err(),
        // Cannot happen; without the state nobody is let in.
        None => Some(Code::Internal.into()),
    };
    match refusal {
        None => next.call(request).await,
        Some(error) => {
            let response = auth::refuse(request.request(), &error);
            Ok(request.into_response(response))
        }
    }
}
