//! A simulated customs broker: mutual TLS, validation, answers and callbacks by scenario.
//!
//! Why it exists: nobody can try a gateway against a real customs authority, and a gateway that is only ever tried against
//! its own idea of the other side proves nothing. The sandbox is that other side: `preclear sandbox` on the command line,
//! [`Sandbox`] inside `demo` and the tests. Its shape is that of HMRC's declaration service behind a broker with mutual TLS;
//! with a mapping's folder it is that of the folder's notice cases.
//!
//! Invariants:
//! - it shares no code with the station that sends, the one that takes callbacks, or the mapping; it imports none of them;
//! - no client gets past the handshake without a certificate of the given CA;
//! - what arrived is in the [`Ledger`] before it is answered, and the ledger holds no personal data;
//! - memory, connections, bodies, repeats and time are bounded.
//!
//! What it must not be used for: anything with real goods.

mod caller;
mod clock;
mod command;
mod desk;
mod folder;
pub(crate) mod http1;
mod ledger;
mod message;
mod notice;
mod scenario;
mod schema;
mod server;
mod steps;
mod tls;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use caller::CallbackOptions;
pub use command::{SandboxArgs, run};
pub use folder::FolderOptions;
pub use ledger::{Callback, Entry, Ledger, Outcome, Summary};
pub use scenario::{Scenario, parse_rule};
pub use tls::TlsMaterial;

/// Chooses the scenario for a message by its bytes; none leaves it to the rules.
pub type ChooseScenario = Arc<dyn Fn(&[u8]) -> Option<Scenario> + Send + Sync>;

/// Why a sandbox could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// A certificate, key or CA is unusable.
    #[error("TLS: {0}")]
    Tls(&'static str),
    /// The callback URL is none, or not https.
    #[error("the callback URL must be an https URL")]
    Url,
    /// The address cannot be bound.
    #[error("the address cannot be listened on: {0}")]
    Listen(std::io::Error),
    /// A notice case is not there.
    #[error("there is no notice case {name}; there are: {known}")]
    Case {
        /// The case.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// A file cannot be read or written.
    #[error("{file}: {source}")]
    File {
        /// The file.
        file: String,
        /// The system's answer.
        source: std::io::Error,
    },
}

/// How a sandbox shall behave.
#[derive(Clone)]
pub struct SandboxOptions {
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The broker's server certificate and key, and the CA of the clients that it takes.
    pub tls: TlsMaterial,
    /// Where notices are brought; none: nowhere (see [`Sandbox::call_back_to`]).
    pub callbacks: Option<CallbackOptions>,
    /// The scenario of messages that no rule matches. Pre-lodged declarations are registered instead of accepted or cleared.
    pub scenario: Scenario,
    /// The first text that a message contains chooses its scenario.
    pub rules: Vec<(String, Scenario)>,
    /// Asked before the rules.
    pub choose: Option<ChooseScenario>,
    /// The folder whose notice cases are sent instead of HMRC's notices; then messages may be of any format.
    pub folder: Option<FolderOptions>,
    /// Whether repeats of one `Idempotency-Key` are dropped.
    pub idempotent: bool,
    /// The official schema of the messages, for `xmllint`; without xmllint it is not used, and a warning is logged.
    pub schema: Option<PathBuf>,
    /// Pause before each notice.
    pub delay: Duration,
    /// How long the scenario `slow` takes to answer.
    pub slow: Duration,
    /// `Retry-After` of the scenario `429`, in seconds.
    pub retry_after_s: u32,
    /// How often a message meets the fault of `429`, `5xx`, `reset` or `junk`; none: 2, 3, 1 and 1 times.
    pub fault_times: Option<u32>,
    /// Permitted messages per second; more are counted and logged, not refused.
    pub rate: Option<u32>,
    /// File that each arrival is appended to as a line of JSON.
    pub ledger_file: Option<PathBuf>,
    /// Longest body in bytes.
    pub max_body_bytes: usize,
}

impl SandboxOptions {
    /// The usual behaviour on a free port of the loopback: every message clears, no callbacks yet.
    pub fn new(tls: TlsMaterial) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            tls,
            callbacks: None,
            scenario: Scenario::Clear,
            rules: Vec::new(),
            choose: None,
            folder: None,
            idempotent: true,
            schema: None,
            delay: Duration::from_millis(150),
            slow: Duration::from_secs(3),
            retry_after_s: 1,
            fault_times: None,
            rate: None,
            ledger_file: None,
            max_body_bytes: 4 << 20,
        }
    }
}

/// A running simulated broker. Dropping it stops it at once; [`Sandbox::stop`] lets open work end.
pub struct Sandbox {
    /// The address that it listens on.
    pub address: SocketAddr,
    /// What it has seen.
    pub ledger: Ledger,
    shared: Arc<server::Shared>,
    running: Option<JoinHandle<()>>,
}

impl Sandbox {
    /// Starts a simulated broker on the current tokio runtime.
    ///
    /// # Errors
    /// When certificates, addresses or files are unusable.
    pub async fn start(options: SandboxOptions) -> Result<Self, SandboxError> {
        crate::pki::install_crypto_provider();
        let acceptor = TlsAcceptor::from(tls::server_config(&options.tls)?);
        let ledger = Ledger::open(options.ledger_file.as_deref(), options.rate).map_err(|source| {
            let file = options.ledger_file.as_deref().unwrap_or_else(|| "ledger".as_ref()).display().to_string();
            SandboxError::File { file, source }
        })?;
        let caller = options.callbacks.as_ref().map(|to| caller::Caller::new(to, ledger.clone())).transpose()?;
        let schema = match &options.schema {
            None => None,
            Some(file) => {
                std::fs::metadata(file).map_err(|source| SandboxError::File { file: file.display().to_string(), source })?;
                let schema = schema::Schema::find(file);
                if schema.is_none() {
                    tracing::warn!("xmllint is not installed: messages are not checked against the schema");
                }
                schema
            }
        };
        let folder = options.folder.as_ref().map(folder::Folder::read).transpose()?;
        let listener = TcpListener::bind(options.listen).await.map_err(SandboxError::Listen)?;
        let address = listener.local_addr().map_err(SandboxError::Listen)?;
        let shared = Arc::new(server::Shared {
            desk: desk::Desk::new(desk::DeskOptions { idempotent: options.idempotent, fault_times: options.fault_times }),
            ledger: ledger.clone(),
            choice: server::Choice { scenario: options.scenario, rules: options.rules, choose: options.choose },
            schema,
            folder,
            caller: watch::Sender::new(caller),
            max_body: options.max_body_bytes,
            delay: options.delay,
            slow: options.slow,
            retry_after_s: options.retry_after_s,
            stop: CancellationToken::new(),
            kill: CancellationToken::new(),
            plans: TaskTracker::new(),
            pending: watch::Sender::new(0),
        });
        let running = tokio::spawn(server::run(shared.clone(), listener, acceptor));
        Ok(Self { address, ledger, shared, running: Some(running) })
    }

    /// Where messages are posted; the name fits the development certificates.
    pub fn url(&self) -> String {
        format!("https://localhost:{}/declarations", self.address.port())
    }

    /// Sets where notices are brought from now on. For a gateway that must know the broker's port before it has its own.
    ///
    /// # Errors
    /// When the URL or a certificate is unusable.
    pub fn call_back_to(&self, options: &CallbackOptions) -> Result<(), SandboxError> {
        let caller = caller::Caller::new(options, self.ledger.clone())?;
        self.shared.caller.send_replace(Some(caller));
        Ok(())
    }

    /// Waits until no notice is on its way any more.
    pub async fn idle(&self) {
        // The sender lives in `self`, so this only ends with the count at zero.
        let _ = self.shared.pending.subscribe().wait_for(|pending| *pending == 0).await;
    }

    /// Stops: takes nothing more, gives answers and notices three seconds to end, then drops what is left.
    pub async fn stop(mut self) {
        self.shared.stop.cancel();
        if let Some(running) = self.running.take()
            && let Err(fault) = running.await
        {
            tracing::error!(%fault, "the sandbox did not end well");
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.shared.stop.cancel();
        // After `stop` everything has ended already; without it nothing shall go on unseen.
        self.shared.kill.cancel();
        if let Some(running) = self.running.take() {
            running.abort();
        }
    }
}
