//! The three listeners: bound before anything runs, served after everything stands.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::middleware::from_fn;
use actix_web::web::{Data, ServiceConfig};
use actix_web::{App, HttpServer};

use super::desks::{CallbackDesk, OpsDesk};
use super::{Addresses, Shared, StartError, workers};
use crate::callback::Station;
use crate::config::{Config, FilePath};
use crate::domain::time::Timestamp;
use crate::forward::Lanes;
use crate::http::body::BodyLimits;
use crate::http::{callbacks, common, intake, ops, peer, routes};
use crate::intake::{Intake, Posts};
use crate::net::tls::{self, ServerTlsFiles};
use crate::net::webhook_client::WebhookClient;
use crate::tracking::feed::Feed;
use crate::tracking::subscriptions::SubscriptionService;

/// Time for a request's head to arrive.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for open requests to end once a listener closes.
pub(super) const CLOSE_TIMEOUT_S: u64 = 5;

/// An open socket with its TLS.
struct Bound {
    socket: TcpListener,
    address: SocketAddr,
    tls: Option<rustls::ServerConfig>,
}

/// All listeners, open and not yet served.
pub(super) struct Listeners {
    intake: Bound,
    callbacks: Bound,
    ops: Bound,
}

/// All listeners, served.
pub(super) struct Servers(Vec<ServerHandle>);

impl Servers {
    /// Closes them, once open requests have ended.
    pub(super) async fn stop(self) {
        futures_util::future::join_all(self.0.iter().map(|server| server.stop(true))).await;
    }
}

/// Opens all sockets.
pub(super) fn bind(config: &Config, now: Timestamp) -> Result<Listeners, StartError> {
    let callbacks = &config.callbacks;
    let files = |certificate: &Option<FilePath>, key: &Option<FilePath>, client_ca: &Option<FilePath>| {
        Some((certificate.clone()?, key.clone()?, client_ca.clone()))
    };
    let optional_tls = |section: &str, files: Option<(FilePath, FilePath, Option<FilePath>)>| {
        files.map(|(certificate, key, ca)| server_tls(section, &certificate, &key, ca.as_ref(), None, false, now)).transpose()
    };
    let intake_tls = optional_tls("intake", files(&config.intake.certificate, &config.intake.key, &config.intake.client_ca))?;
    let ops_tls = optional_tls("ops", files(&config.ops.certificate, &config.ops.key, &config.ops.client_ca))?;
    let callbacks_tls =
        server_tls("callbacks", &callbacks.certificate, &callbacks.key, Some(&callbacks.client_ca), callbacks.crl.as_ref(), true, now)?;
    Ok(Listeners {
        intake: open("intake", config.intake.listen.0, intake_tls)?,
        callbacks: open("callbacks", callbacks.listen.0, Some(callbacks_tls))?,
        ops: open("ops", config.ops.listen.0, ops_tls)?,
    })
}

fn open(section: &str, address: SocketAddr, tls: Option<rustls::ServerConfig>) -> Result<Bound, StartError> {
    let fault = |error: std::io::Error| StartError::new(format!("{section}.listen {address}: {}", error.kind()));
    let socket = TcpListener::bind(address).map_err(fault)?;
    let address = socket.local_addr().map_err(fault)?;
    Ok(Bound { socket, address, tls })
}

fn server_tls(
    section: &str,
    certificate: &FilePath,
    key: &FilePath,
    client_ca: Option<&FilePath>,
    crl: Option<&FilePath>,
    required: bool,
    now: Timestamp,
) -> Result<rustls::ServerConfig, StartError> {
    let files = ServerTlsFiles {
        certificate: certificate.as_path(),
        key: key.as_path(),
        client_ca: client_ca.map(FilePath::as_path),
        crl: crl.map(FilePath::as_path),
        required,
    };
    let tls = tls::server_config(&files, now).map_err(|fault| StartError::new(format!("{section}: {fault}")))?;
    if let Some(alarm) = tls.alarm {
        tracing::error!(listener = section, reason = %alarm, "every client certificate is refused");
    }
    Ok(tls.config)
}

impl Listeners {
    pub(super) fn addresses(&self) -> Addresses {
        let url = |bound: &Bound| format!("{}://{}", if bound.tls.is_some() { "https" } else { "http" }, bound.address);
        Addresses { intake: url(&self.intake), callbacks: url(&self.callbacks), ops: url(&self.ops) }
    }

    /// Serves all three.
    pub(super) fn serve(
        self,
        shared: &Shared,
        intake: Arc<Intake>,
        webhooks: WebhookClient,
        lanes: Arc<Lanes>,
    ) -> Result<Servers, StartError> {
        let intake_state = Data::new(intake_state(shared, intake, webhooks));
        let intake = self.intake.serve(shared, workers(), move |config| {
            config.app_data(intake_state.clone());
            routes::configure(&intake::TABLE, config);
        })?;

        let station = Station::new(Arc::new(shared.store.clone()), Arc::new(shared.catalogs.clone()), Arc::clone(&shared.clock));
        let trusted: peer::PeerCheck = Arc::new(|_| true);
        let callback_state = Data::new(callbacks::CallbackState::new(
            &shared.config,
            Arc::new(CallbackDesk(station)),
            Arc::clone(&shared.clock),
            Arc::clone(&trusted),
        ));
        let callbacks = self.callbacks.serve(shared, workers(), move |config| callbacks::configure(callback_state.clone())(config))?;

        let desk = Arc::new(OpsDesk::new(shared, lanes));
        let ops_state = Data::new(ops::OpsState::new(
            &shared.config,
            desk,
            shared.metrics.clone(),
            shared.draining.clone(),
            Arc::clone(&shared.clock),
            trusted,
        ));
        let ops = self.ops.serve(shared, 1, move |config| ops::configure(ops_state.clone())(config))?;
        Ok(Servers(vec![intake, callbacks, ops]))
    }
}

fn intake_state(shared: &Shared, intake: Arc<Intake>, webhooks: WebhookClient) -> intake::IntakeState {
    let config = &shared.config;
    let store = Arc::new(shared.store.clone());
    let handshake = config.webhooks.handshake.then(|| "preclear".to_owned());
    intake::IntakeState {
        intake,
        store: shared.store.clone(),
        posts: Posts::new(config),
        feed: Feed::new(Arc::clone(&store), shared.closing.clone()),
        subscriptions: SubscriptionService::new(store, webhooks, Arc::clone(&shared.clock), handshake),
        clock: Arc::clone(&shared.clock),
        limits: BodyLimits {
            max_bytes: usize::try_from(config.intake.max_body_bytes).unwrap_or(usize::MAX),
            timeout: Duration::from_secs(config.intake.body_timeout_s),
        },
        draining: shared.draining.clone(),
    }
}

impl Bound {
    fn serve<F>(self, shared: &Shared, workers: usize, configure: F) -> Result<ServerHandle, StartError>
    where
        F: Fn(&mut ServiceConfig) + Clone + Send + 'static,
    {
        let draining = Data::new(shared.draining.clone());
        let server =
            HttpServer::new(move || App::new().app_data(draining.clone()).wrap(from_fn(common::around)).configure(configure.clone()))
                .workers(workers)
                .client_request_timeout(HEAD_TIMEOUT)
                .shutdown_timeout(CLOSE_TIMEOUT_S)
                .disable_signals()
                .on_connect(peer::on_connect);
        let address = self.address;
        let fault = |error: std::io::Error| StartError::new(format!("cannot listen on {address}: {}", error.kind()));
        let server = match self.tls {
            Some(tls) => server.listen_rustls_0_23(self.socket, tls).map_err(fault)?,
            None => server.listen(self.socket).map_err(fault)?,
        };
        let server = server.run();
        let handle = server.handle();
        tokio::spawn(async move {
            if let Err(error) = server.await {
                tracing::error!(%address, error = %error.kind(), "a listener ended by a fault");
            }
        });
        Ok(handle)
    }
}
