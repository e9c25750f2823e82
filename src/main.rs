//! The `preclear` command: arguments in, exit code out; no logic of its own.

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    preclear::cli::run(preclear::cli::Cli::parse())
}
