//! The shipped mappings against their cases, and faults that the check has to find.

use std::path::PathBuf;

use preclear::cli::mapping::{MappingArgs, MappingCommand, run};

fn check(folder: PathBuf, schemas: Option<PathBuf>) -> (u8, String, String) {
    let args = MappingArgs { mappings: Some(folder), command: MappingCommand::Check { names: Vec::new(), schemas } };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = run(&args, &mut out, &mut err);
    (code, String::from_utf8(out).expect("UTF-8"), String::from_utf8(err).expect("UTF-8"))
}

fn shipped() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("mappings")
}

/// The official schemas, which are not ours to ship.
fn schemas() -> Option<PathBuf> {
    let shared =
        std::env::var_os("PRECLEAR_SHARED").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let there = shared.join("schemas").is_dir() && std::process::Command::new("xmllint").arg("--version").output().is_ok();
    if !there {
        println!("SKIPPED: no official schemas or no xmllint; set PRECLEAR_SHARED");
    }
    there.then(|| shared.join("schemas"))
}

#[test]
fn every_case_of_every_shipped_mapping_passes() {
    let (code, out, err) = check(shipped(), schemas());
    assert_eq!(code, 0, "{out}{err}");
}
