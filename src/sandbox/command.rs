//! `preclear sandbox`: the simulated broker as a program.
//!
//! Why it exists: to try a gateway by hand or in a compose file, without writing a program. It reads the options and the
//! files, starts [`Sandbox`], and waits for Ctrl-C or SIGTERM; everything else is the library's.
//!
//! The summary goes to stdout at the end, logs to stderr. Exit codes: 0 stopped in order, 1 could not start, 2 wrong usage.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::{CallbackOptions, FolderOptions, Sandbox, SandboxError, SandboxOptions, Scenario, TlsMaterial, parse_rule};

const EXAMPLES: &str = "Examples:\n  preclear certs issue --dir certs/dev --broker uk-broker\n  \
    preclear sandbox --certificate certs/dev/broker.pem --key certs/dev/broker.key --ca certs/dev/ca.pem \\\n    \
    --callback-url https://localhost:8443 --broker uk-broker \\\n    \
    --callback-certificate certs/dev/uk-broker-client.pem --callback-key certs/dev/uk-broker-client.key \\\n    \
    --scenario clear --rule EE123456785KR=hold --rule RR123456785JP=429\n  \
    preclear sandbox … --mapping nl-deco --reply accepted --notice accepted-and-released    (another format, by the folder's own cases)\n\n\
    Scenarios: accept, hold, documents, duties, release, clear, reject, register, silence, 429, 5xx, reset, lost-answer, slow,\n\
    duplicate, out-of-order, early, junk, unknown-code, unreadable. A pre-lodged declaration (IMD) is registered and waits for\n\
    its presentation (GPR), unless a rule says otherwise.";

/// A simulated customs broker: mutual TLS, validates, answers, and calls back by scenario
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct SandboxArgs {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9443")]
    listen: SocketAddr,
    /// File that the bound URL is written to, as JSON {"broker":"https://…"}
    #[arg(long, value_name = "FILE")]
    addresses: Option<PathBuf>,
    /// The broker's server certificate (PEM)
    #[arg(long, value_name = "FILE")]
    certificate: PathBuf,
    /// Its private key
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// CA of the clients that are let in
    #[arg(long, value_name = "FILE")]
    ca: PathBuf,
    /// The gateway's callback listener; without it nobody is called back
    #[arg(long, value_name = "URL", requires_all = ["broker", "callback_certificate", "callback_key"])]
    callback_url: Option<String>,
    /// The broker's client certificate for callbacks
    #[arg(long, value_name = "FILE", requires = "callback_url")]
    callback_certificate: Option<PathBuf>,
    /// Its private key
    #[arg(long, value_name = "FILE", requires = "callback_url")]
    callback_key: Option<PathBuf>,
    /// CA of the gateway's callback listener [default: as --ca]
    #[arg(long, value_name = "FILE", requires = "callback_url")]
    callback_ca: Option<PathBuf>,
    /// The broker's name in the gateway's configuration
    #[arg(long, value_name = "NAME", requires = "callback_url")]
    broker: Option<String>,
    /// What happens to messages that no rule matches
    #[arg(long, value_name = "NAME", default_value = "clear")]
    scenario: Scenario,
    /// Messages that contain TEXT get this scenario; the first matching rule counts
    #[arg(long = "rule", value_name = "TEXT=SCENARIO", value_parser = parse_rule)]
    rules: Vec<(String, Scenario)>,
    /// Play the broker of this mapping, whatever its format, by the notice cases of its folder: references of the message
    /// stand in the place of the case's own
    #[arg(long, value_name = "NAME")]
    mapping: Option<String>,
    /// Folder of mappings
    #[arg(long, value_name = "DIR", default_value = "mappings", requires = "mapping")]
    mappings: PathBuf,
    /// Notice case that answers a message at once [default: 202 without a body]
    #[arg(long, value_name = "CASE", requires = "mapping")]
    reply: Option<String>,
    /// Notice case that is called back; given several times, they come in this order
    #[arg(long = "notice", value_name = "CASE", requires = "mapping")]
    notices: Vec<String>,
    /// Take every repeat of an Idempotency-Key as a new message
    #[arg(long)]
    not_idempotent: bool,
    /// XSD that messages must fulfil (needs xmllint)
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,
    /// Pause before each callback
    #[arg(long, value_name = "MS", default_value_t = 150)]
    delay_ms: u64,
    /// How long the scenario `slow` takes to answer
    #[arg(long, value_name = "MS", default_value_t = 3000)]
    slow_ms: u64,
    /// Retry-After of the scenario `429`
    #[arg(long, value_name = "SECONDS", default_value_t = 1)]
    retry_after_s: u32,
    /// How often a message meets the fault of 429, 5xx, reset or junk [default: 2, 3, 1 and 1]
    #[arg(long, value_name = "N")]
    faults: Option<u32>,
    /// Permitted messages per second: more are counted and reported, not refused
    #[arg(long, value_name = "N")]
    rate: Option<u32>,
    /// File that each arrival is appended to as a line of JSON
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,
}

/// Runs `preclear sandbox` until Ctrl-C or SIGTERM. Needs no runtime around it; logging must be set up by the caller.
pub fn run(args: SandboxArgs) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(fault) => {
            eprintln!("the sandbox cannot start: {fault}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(serve(args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("the sandbox cannot start: {fault}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(args: SandboxArgs) -> Result<(), SandboxError> {
    // Before the address is known to anyone, so that no early signal kills the process.
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .map_err(|source| SandboxError::File { file: "SIGTERM".to_owned(), source })?;
    let addresses = args.addresses.clone();
    let sandbox = Sandbox::start(options(args)?).await?;
    tracing::info!(sandbox.url = %sandbox.url(), "the simulated broker listens");
    if let Some(file) = addresses {
        write_addresses(&file, &sandbox.url())?;
    }
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    tracing::info!("stopping");
    let ledger = sandbox.ledger.clone();
    sandbox.stop().await;
    // The reader may be gone; the sandbox has done its work.
    let summary = serde_json::to_string(&ledger.summary()).unwrap_or_default();
    let _ = writeln!(std::io::stdout(), "{summary}");
    Ok(())
}

fn options(args: SandboxArgs) -> Result<SandboxOptions, SandboxError> {
    let ca_pem = read(&args.ca)?;
    let callbacks = match (args.callback_url, args.broker, args.callback_certificate, args.callback_key) {
        (Some(url), Some(broker), Some(certificate), Some(key)) => {
            let ca_pem = args.callback_ca.as_deref().map_or_else(|| Ok(ca_pem.clone()), read)?;
            let tls = TlsMaterial { certificate_pem: read(&certificate)?, key_pem: read(&key)?, ca_pem };
            Some(CallbackOptions::new(url, broker, tls))
        }
        // clap has made sure that they come together.
        _ => None,
    };
    let tls = TlsMaterial { certificate_pem: read(&args.certificate)?, key_pem: read(&args.key)?, ca_pem };
    let mut options = SandboxOptions::new(tls);
    options.listen = args.listen;
    options.callbacks = callbacks;
    options.scenario = args.scenario;
    options.rules = args.rules;
    options.folder = args.mapping.map(|name| FolderOptions { folder: args.mappings.join(name), reply: args.reply, notices: args.notices });
    options.idempotent = !args.not_idempotent;
    options.schema = args.schema;
    options.delay = Duration::from_millis(args.delay_ms);
    options.slow = Duration::from_millis(args.slow_ms);
    options.retry_after_s = args.retry_after_s;
    options.fault_times = args.faults;
    options.rate = args.rate;
    options.ledger_file = args.ledger;
    Ok(options)
}

fn read(path: &Path) -> Result<String, SandboxError> {
    use std::io::Read as _;
    const MAX_BYTES: u64 = 1 << 20;
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text))
        .map_err(|source| SandboxError::File { file: path.display().to_string(), source })?;
    Ok(text)
}

/// Writes the file whole: whoever waits for it never sees half of it.
fn write_addresses(path: &Path, url: &str) -> Result<(), SandboxError> {
    let text = serde_json::json!({ "broker": url }).to_string();
    let beside = path.with_extension("new");
    std::fs::write(&beside, text)
        .and_then(|()| std::fs::rename(&beside, path))
        .map_err(|source| SandboxError::File { file: path.display().to_string(), source })
}
