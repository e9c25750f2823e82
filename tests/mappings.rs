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

/// Runs a command on a folder of mappings.
fn told(folder: &std::path::Path, command: MappingCommand) -> (u8, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = run(&MappingArgs { mappings: Some(folder.to_owned()), command }, &mut out, &mut err);
    (code, String::from_utf8(out).expect("UTF-8"), String::from_utf8(err).expect("UTF-8"))
}

/// A small mapping with a notice case that no rule knows, and a code without a row.
fn small(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    let files = [
        ("mapping.toml", "title = \"t\"\nversion = \"1.0.0\"\nsource = \"s\"\n[transport]\ncontent_type = \"application/xml\"\n"),
        ("declaration.xml", "<R><Id>{item_id}</Id><Region>{recipient.region}</Region></R>"),
        ("codes/known.csv", "key,value,meaning\n1,a,first\n2,b,second\n"),
        (
            "notices.toml",
            "[namespaces]\ns = \"urn:s\"\nsx = \"urn:other\"\n[[notice]]\nname = \"n\"\neach = \"/s:Status\"\ncode = \"@c\"\ncodes = \"known\"\n\
             lrn = \"@l\"\n[[notice.status]]\ncode = \"1\"\nstatus = \"accepted\"\n",
        ),
        ("notices/one/notice.xml", "<Status xmlns=\"urn:s\" c=\"1\" l=\"L\"/>"),
        ("notices/one/expected.json", "[{\"track\": \"clearance\", \"status\": \"accepted\", \"code\": \"1\", \"lrn\": \"L\"}]"),
    ];
    for (path, text) in files {
        let path = folder.join("small").join(path);
        std::fs::create_dir_all(path.parent().expect("parent")).expect("folder");
        std::fs::write(path, text).expect("written");
    }
    folder
}

#[test]
fn a_code_without_a_row_is_a_warning_and_an_unknown_format_says_what_it_is() {
    let folder = small("unknown-format");
    let (code, out, err) = check(folder.clone(), None, false);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("small/notices.toml:4:1: no row for the code 2 of codes/known.csv"), "{out}");
    assert!(
        out.ends_with("1 mapping, 0 faults, 1 warning, 1 case, 0 failed, 0 messages valid against their schema, 1 without one\n"),
        "{out}"
    );

    let notice = folder.join("small/notices/one/notice.xml");
    std::fs::write(&notice, "<Status xmlns=\"urn:S\" c=\"1\"/>").expect("written");
    let what = "the root is {urn:S}Status; the rules look for\n  small/notices.toml:4: /s:Status with s = urn:s\n";
    let (code, _, err) = told(&folder, MappingCommand::Read { name: "small".to_owned(), notice });
    assert_eq!((code, err), (1, format!("unreadable: unknown_format: {what}")));
    let (code, _, err) = check(folder, None, false);
    assert!(code == 1 && err.starts_with("small/notices/one: expected [") && err.contains(what), "{err}");
}

#[test]
fn a_message_can_be_indented_and_a_difference_counts_what_neither_takes() {
    let folder = small("pretty");
    let declaration = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/one.json");
    let small = folder.join("small");
    let diff = || MappingCommand::Diff { old: small.clone(), new: small.clone(), declarations: vec![declaration.clone()], settings: None };
    let (code, out, _) = told(&folder, diff());
    assert_eq!(code, 0);
    assert!(out.starts_with("1 declaration: 1 the same (1 of them refused both times), 0 another message"), "{out}");
    std::fs::write(small.join("declaration.xml"), "<R><Id>{item_id}</Id></R>").expect("written");
    assert!(told(&folder, diff()).1.starts_with("1 declaration: 1 the same, 0 another"));
    let render = |pretty: bool| {
        let command =
            MappingCommand::Render { name: "small".to_owned(), declaration: declaration.clone(), settings: None, previous: None, pretty };
        told(&folder, command).1
    };
    assert_eq!(
        (render(false).as_str(), render(true).as_str()),
        ("<R><Id>EE123456785KR</Id></R>\n", "<R>\n  <Id>EE123456785KR</Id>\n</R>\n")
    );
}

/// Stdout whose reader went away after some bytes: `| head`.
struct Gone(usize);

impl std::io::Write for Gone {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(std::io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_that_went_away_is_no_error_and_a_new_mapping_says_how_to_go_on_where_it_lies() {
    for room in [0, 40] {
        let args = MappingArgs { mappings: None, command: MappingCommand::Fields };
        let mut err = Vec::new();
        assert_eq!((run(&args, &mut Gone(room), &mut err), err.as_slice()), (0, &b""[..]));
    }
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("begun");
    let _ = std::fs::remove_dir_all(&folder);
    let command = MappingCommand::New { name: "begun".to_owned(), from: None };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    assert_eq!(run(&MappingArgs { mappings: Some(folder.clone()), command }, &mut out, &mut err), 0);
    let (out, shown) = (String::from_utf8(out).expect("UTF-8"), folder.display().to_string());
    let next = format!("next: preclear mapping explain begun {shown}/begun/cases/first/declaration.json --mappings {shown}\n");
    assert!(out.ends_with(&next), "{out}");
}
