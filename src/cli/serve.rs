//! `preclear serve`: the gateway, until a signal ends it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use crate::app;
use crate::config;
use crate::domain::time::SystemClock;

/// Run the gateway
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  preclear serve --config preclear.toml\n\nSIGTERM or Ctrl-C drains and stops. RUST_LOG sets the log level, PRECLEAR_LOG=json the form."
)]
pub struct ServeArgs {
    /// Configuration; PRECLEAR__SECTION__KEY overrides its keys
    #[arg(long, value_name = "FILE", default_value = "preclear.toml")]
    config: PathBuf,
    /// Write the bound addresses to this file as JSON
    #[arg(long, value_name = "FILE")]
    addresses: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &ServeArgs) -> ExitCode {
    let config = match config::load(&args.config) {
        Ok(config) => config,
        Err(faults) => {
            for fault in &faults {
                eprintln!("{}: {fault}", args.config.display());
            }
            eprintln!("{} fault(s); `preclear check` also looks at mappings, certificates and the store", faults.len());
            return ExitCode::from(1);
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("cannot start: {}", error.kind());
            return ExitCode::from(1);
        }
    };
    let code = runtime.block_on(serve(config, args));
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    code
}

async fn serve(config: config::Config, args: &ServeArgs) -> ExitCode {
    // Handlers first: a signal during the start must not kill what is half open.
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        eprintln!("cannot listen for signals");
        return ExitCode::from(1);
    };
    let running = match app::start(config, Arc::new(SystemClock)).await {
        Ok(running) => running,
        Err(fault) => {
            eprintln!("cannot start: {fault}");
            return ExitCode::from(1);
        }
    };
    if let Some(file) = &args.addresses
        && let Err(error) = write_addresses(file, running.addresses())
    {
        eprintln!("cannot write {}: {}", file.display(), error.kind());
        running.stop().await;
        return ExitCode::from(1);
    }
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    running.stop().await;
    ExitCode::SUCCESS
}

/// Written beside and renamed, so that a reader never sees half of it.
fn write_addresses(file: &std::path::Path, addresses: &app::Addresses) -> std::io::Result<()> {
    let beside = file.with_extension("partial");
    std::fs::write(&beside, serde_json::to_vec(addresses).unwrap_or_default())?;
    std::fs::rename(beside, file)
}
