//! `preclear openapi`: prints the OpenAPI document; the same that `GET /openapi.json` serves.

use std::io::{self, Write};

use crate::http::openapi::document;

/// Prints the document as indented JSON.
///
/// # Errors
/// When the output cannot be written.
pub fn run(out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, &document())?;
    writeln!(out)
}
