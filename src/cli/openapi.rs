//! `preclear openapi`: prints the OpenAPI document, the same that `GET /openapi.json` serves.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;

use crate::http::openapi::document;

/// Print the OpenAPI 3.1 document
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  preclear openapi > openapi.json")]
pub struct OpenapiArgs {}

/// Runs the command.
pub fn run(_: &OpenapiArgs) -> ExitCode {
    match print(&mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever closed the pipe has what they wanted.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot write: {}", error.kind());
            ExitCode::from(1)
        }
    }
}

fn print(out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, &document())?;
    writeln!(out)
}
