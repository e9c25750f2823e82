//! The commands of `preclear`. Each is a program of its own over the library.
//!
//! Data goes to stdout, logs and faults to stderr. Exit codes: 0 done, 1 found faults, 2 wrong usage.

mod audit;
pub mod certs;
pub mod check;
mod dead_letters;
pub mod declare;
pub mod demo;
mod logging;
pub mod mapping;
pub mod openapi;
mod operator;
mod pipe;
mod serve;
mod sink;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::sandbox::SandboxArgs;

/// Customs pre-clearance gateway for posts
#[derive(Debug, Parser)]
#[command(name = "preclear", version, after_help = "Start with:\n  preclear demo\n\nThen:\n  preclear COMMAND --help")]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the whole road on this machine, with no set-up
    Demo(demo::DemoArgs),
    /// Run the gateway
    Serve(serve::ServeArgs),
    /// List every fault of configuration, store, mappings and certificates
    Check(check::CheckArgs),
    /// Work on mappings without a server
    Mapping(mapping::MappingArgs),
    /// Send files of declarations; safe to repeat
    Declare(declare::DeclareArgs),
    /// Run a simulated broker on mutual TLS
    Sandbox(Box<SandboxArgs>),
    /// Make development certificates; tell what certificates are
    Certs(certs::CertsArgs),
    /// Take the evidence away and check it, on any machine
    Audit(audit::AuditArgs),
    /// List, replay and purge messages that were given up
    DeadLetters(dead_letters::DeadLettersArgs),
    /// Print the OpenAPI 3.1 document
    Openapi(openapi::OpenapiArgs),
    /// List the places at which a test can kill the process
    #[cfg(feature = "fault-points")]
    #[command(after_help = "Example:\n  PRECLEAR_FAULT_POINT=forward.after_send:3 preclear serve")]
    FaultPoints,
}

/// Runs a command line.
pub fn run(cli: Cli) -> ExitCode {
    logging::start(matches!(cli.command, Command::Demo(_)));
    match cli.command {
        Command::Demo(args) => demo::run(args),
        Command::Serve(args) => serve::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Declare(args) => declare::run(args),
        Command::Mapping(args) => ExitCode::from(mapping::run(&args, &mut std::io::stdout().lock(), &mut std::io::stderr().lock())),
        Command::Sandbox(args) => crate::sandbox::run(*args),
        Command::Certs(args) => certs::run(&args),
        Command::Audit(args) => audit::run(&args),
        Command::DeadLetters(args) => dead_letters::run(&args),
        Command::Openapi(args) => openapi::run(&args),
        #[cfg(feature = "fault-points")]
        Command::FaultPoints => fault_points(),
    }
}

#[cfg(feature = "fault-points")]
fn fault_points() -> ExitCode {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    // A reader that went away has read enough.
    let told = crate::fault_points::NAMES.iter().try_for_each(|name| writeln!(out, "{name}"));
    if told.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(1) }
}
