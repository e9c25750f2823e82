//! Logs to stderr: level by `RUST_LOG`, JSON by `PRECLEAR_LOG=json`.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Starts logging for this process. A quiet command shows warnings only, unless `RUST_LOG` says otherwise.
pub fn start(quiet: bool) {
    let default = if quiet { "error" } else { "info,actix_server=warn,h2=warn,hyper=warn,rustls=warn" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let json = std::env::var("PRECLEAR_LOG").is_ok_and(|format| format.eq_ignore_ascii_case("json"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    // A second start in one process (tests) is no fault: the first one stands.
    let _ = if json { builder.json().try_init() } else { builder.try_init() };
}
