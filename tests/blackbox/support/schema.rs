//! `xmllint` against the official schemas, which are not ours to ship: `PRECLEAR_SHARED` or `../shared` holds a copy, or the
//! check is skipped and says so.

use super::folder::Folder;
use std::path::{Path, PathBuf};
use std::process::Command;

fn schema(name: &str) -> Option<PathBuf> {
    let shared = std::env::var_os("PRECLEAR_SHARED").map(PathBuf::from);
    let shared = shared.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"));
    let path = shared.join("schemas/hmrc-cds").join(name);
    if !path.exists() || Command::new("xmllint").arg("--version").output().is_err() {
        println!("SKIPPED: no official schema or no xmllint; PRECLEAR_SHARED names the folder with schemas/hmrc-cds");
        return None;
    }
    Some(path)
}

fn validate(schema: &Path, document: &[u8]) {
    let folder = Folder::new("xmllint");
    let file = folder.file("document.xml");
    std::fs::write(&file, document).unwrap();
    let output = Command::new("xmllint").args(["--noout", "--nonet", "--schema"]).args([schema, file.as_path()]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A notification of the authority's.
pub fn notice(document: &[u8]) {
    if let Some(schema) = schema("_driver-notification.xsd") {
        validate(&schema, document);
    }
}

/// A declaration as it goes to the authority.
pub fn declaration(document: &[u8]) {
    if let Some(schema) = schema("customs/wrapper_submit.xsd") {
        validate(&schema, document);
    }
}
