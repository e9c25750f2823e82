//! The shipped mappings against their cases, and faults that the check has to find.

use std::path::PathBuf;

use preclear::cli::mapping::{MappingArgs, MappingCommand, run};

fn check(folder: PathBuf, schemas: Option<PathBuf>, coverage: bool) -> (u8, String, String) {
    let args = MappingArgs { mappings: Some(folder), command: MappingCommand::Check { names: Vec::new(), schemas, coverage } };
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
        assert!(std::env::var_os("PRECLEAR_CI").is_none(), "no official schemas or no xmllint; set PRECLEAR_SHARED");
        println!("SKIPPED: no official schemas or no xmllint; set PRECLEAR_SHARED");
    }
    there.then(|| shared.join("schemas"))
}

#[test]
fn every_case_of_every_shipped_mapping_passes() {
    let (code, out, err) = check(shipped(), schemas(), true);
    assert_eq!(code, 0, "{out}{err}");
}

/// A copy of the shipped mappings to plant faults in.
fn copy(name: &str) -> PathBuf {
    fn walk(from: &std::path::Path, to: &std::path::Path) {
        std::fs::create_dir_all(to).expect("folder");
        for entry in std::fs::read_dir(from).expect("folder") {
            let entry = entry.expect("entry");
            let target = to.join(entry.file_name());
            if entry.path().is_dir() {
                walk(&entry.path(), &target)
            } else {
                std::fs::copy(entry.path(), target).map(|_| ()).expect("copied")
            }
        }
    }
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&target);
    walk(&shipped(), &target);
    target
}

/// Lets the line with `first` follow the line after it.
fn swap_lines(path: &std::path::Path, first: &str) {
    let text = std::fs::read_to_string(path).expect("read");
    let mut lines: Vec<&str> = text.lines().collect();
    let at = lines.iter().position(|line| line.contains(first)).expect("the line is there");
    lines.swap(at, at + 1);
    std::fs::write(path, lines.join("\n")).expect("written");
}

#[test]
fn a_wrong_order_of_elements_is_found_by_cases_and_by_the_schema() {
    let folder = copy("wrong-order");
    let mapping = folder.join("hmrc-cds");
    for case in std::fs::read_dir(mapping.join("cases")).expect("cases").map(|case| case.expect("case").path()) {
        if !case.ends_with("gb-one-line") {
            std::fs::remove_dir_all(case).expect("removed");
        }
    }
    std::fs::remove_dir_all(mapping.join("notices")).expect("removed");
    assert_eq!(check(folder.clone(), schemas(), false).0, 0, "sound before");
    swap_lines(&mapping.join("declaration.xml"), "<FunctionCode>9</FunctionCode>");
    let (code, _, err) = check(folder.clone(), None, false);
    assert_eq!(code, 1);
    assert!(err.contains("hmrc-cds/cases/gb-one-line: expected.xml line 9"), "{err}");
    assert!(err.contains("MetaData/Declaration: expected FunctionCode, found FunctionalReferenceID"), "{err}");
    // The golden file is wrong in the same way: then only the official schema sees it.
    swap_lines(&mapping.join("cases/gb-one-line/expected.xml"), "<FunctionCode>9</FunctionCode>");
    assert_eq!(check(folder.clone(), None, false).0, 0);
    if let Some(schemas) = schemas() {
        let (code, _, err) = check(folder, Some(schemas), false);
        assert_eq!(code, 1);
        assert!(err.contains("not valid against the schema"), "{err}");
    }
}

#[test]
fn a_fault_of_a_mapping_ends_the_check_with_its_place() {
    let folder = copy("planted");
    let path = folder.join("hmrc-cds/declaration.xml");
    let text = std::fs::read_to_string(&path).expect("read").replace("{message.lrn}", "{message.lnr}");
    std::fs::write(path, text).expect("written");
    let (code, out, err) = check(folder, None, false);
    assert_eq!(code, 1, "{out}");
    assert!(err.contains("message has no lnr (did you mean lrn?)"), "{err}");
    assert!(err.starts_with("hmrc-cds/declaration.xml:"), "{err}");
}
