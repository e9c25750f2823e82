//! The house rules that a compiler does not know: who may import whom, which crate is used where,
//! how long a file may be, and that nothing in `src` unwraps. Read from the source text.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, reason = "a test")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Most lines of a file in `src`, tests included.
const MAX_LINES: usize = 500;
/// Longer than that for a reason; the number is the most that each may have.
const LONGER: [(&str, usize); 1] = [("domain/declaration.rs", 700)];

/// Who may import whom. `app` and `main` may import all, so they have no row.
const MAY_IMPORT: [(&str, &[&str]); 21] = [
    ("domain", &[]),
    ("error", &["domain"]),
    ("metrics", &[]),
    ("fault_points", &[]),
    ("config", &["domain"]),
    ("mapping", &["domain"]),
    ("catalog", &["config", "domain", "mapping"]),
    ("store", &["domain", "error", "fault_points", "metrics"]),
    ("net", &["config", "domain", "metrics"]),
    ("pki", &["domain", "net"]),
    ("intake", STATION),
    ("prepare", STATION),
    ("forward", STATION),
    ("callback", STATION),
    ("tracking", STATION),
    ("ops", STATION),
    (
        "http",
        &[
            "callback", "config", "domain", "error", "forward", "intake", "mapping", "metrics", "net", "ops", "pki", "prepare", "store",
            "tracking", "catalog",
        ],
    ),
    ("sandbox", &["config", "domain", "error", "mapping", "metrics", "net", "pki", "tracking"]),
    (
        "cli",
        &[
            "app",
            "catalog",
            "config",
            "domain",
            "error",
            "fault_points",
            "http",
            "intake",
            "mapping",
            "metrics",
            "net",
            "ops",
            "pki",
            "sandbox",
            "tracking",
        ],
    ),
    ("app", ALL),
    ("main", ALL),
];
/// Stations meet in tables, never in calls.
const STATION: &[&str] = &["catalog", "config", "domain", "error", "fault_points", "mapping", "metrics", "net", "store"];
const ALL: &[&str] = &[
    "app",
    "callback",
    "catalog",
    "cli",
    "config",
    "domain",
    "error",
    "fault_points",
    "forward",
    "http",
    "intake",
    "mapping",
    "metrics",
    "net",
    "ops",
    "pki",
    "prepare",
    "sandbox",
    "store",
    "tracking",
];

/// Crates that belong to one part of the house. The programs `sandbox` and `cli` are free in crates.
const DRIVERS: [(&str, &[&str]); 7] = [
    ("quick_xml", &["mapping"]),
    ("minijinja", &["mapping"]),
    ("xsd_schema", &["mapping"]),
    ("rusqlite", &["store"]),
    ("reqwest", &["net"]),
    ("rustls", &["net"]),
    ("actix_web", &["http"]),
];
const FREE_IN_CRATES: [&str; 4] = ["sandbox", "cli", "pki", "app"];

struct Source {
    /// Path below `src`.
    path: String,
    /// Top module.
    part: String,
    /// How deep its module lies below the crate's root.
    depth: usize,
    lines: usize,
    /// Code without comments, texts and tests.
    code: String,
}

fn sources() -> Vec<Source> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut texts = Vec::new();
    collect(&root, &root, &mut texts);
    assert!(texts.len() > 10, "the sources are found");
    let for_tests: Vec<String> = texts.iter().flat_map(|(path, text)| test_files(path, text)).collect();
    let source = |(path, text): &(String, String)| {
        let steps: Vec<&str> = path.trim_end_matches(".rs").trim_end_matches("/mod").split('/').collect();
        let is_test = for_tests.iter().any(|test| path == &format!("{test}.rs") || path.starts_with(&format!("{test}/")));
        let code = if is_test { String::new() } else { code_of(text) };
        Source { path: path.clone(), part: steps[0].to_owned(), depth: steps.len(), lines: text.lines().count(), code }
    };
    texts.iter().map(source).collect()
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).expect("folder") {
        let path = entry.expect("entry").path();
        if path.is_dir() {
            collect(root, &path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).expect("below").to_string_lossy().into_owned();
            found.push((name, std::fs::read_to_string(&path).expect("UTF-8")));
        }
    }
}

/// Files and folders (without `.rs`) that a file includes for tests only: `#[cfg(test)] mod name;`.
fn test_files(path: &str, text: &str) -> Vec<String> {
    let beside = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let below = path.strip_suffix("/mod.rs").or(path.strip_suffix(".rs")).unwrap_or(path);
    let below = if path == "lib.rs" || path == "main.rs" { "" } else { below };
    let mut found = Vec::new();
    for (at, mark) in text.match_indices("#[cfg(test)]\n") {
        let mut lines = text[at + mark.len()..].lines().map(str::trim);
        let mut line = lines.next().unwrap_or_default();
        let named = line.strip_prefix("#[path = \"").and_then(|rest| rest.strip_suffix(".rs\"]"));
        if named.is_some() {
            line = lines.next().unwrap_or_default();
        }
        let Some(module) = line.rsplit_once("mod ").and_then(|(_, rest)| rest.strip_suffix(';')) else { continue };
        let (folder, name) = named.map_or((below, module), |file| (beside, file));
        found.push(if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") });
    }
    found
}

/// The text without comments, string contents and test modules (which stand at the end of a file).
fn code_of(text: &str) -> String {
    let code = blank(text);
    let end = code.find("#[cfg(test)]\nmod tests {").unwrap_or(code.len());
    code[..end].to_owned()
}

/// Comments and the contents of texts are dropped; what is left has the same tokens otherwise.
fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < bytes.len() {
        let rest = &text[at..];
        if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
        } else if rest.starts_with("/*") {
            at += rest.find("*/").map_or(rest.len(), |end| end + 2);
        } else if rest.starts_with("r#\"") || rest.starts_with("r\"") {
            let (open, close) = if rest.starts_with("r#") { (3, "\"#") } else { (2, "\"") };
            out.push_str("\"\"");
            at += rest[open..].find(close).map_or(rest.len(), |end| open + end + close.len());
        } else if rest.starts_with('"') {
            out.push_str("\"\"");
            let mut end = 1;
            while end < rest.len() && bytes[at + end] != b'"' {
                end += if bytes[at + end] == b'\\' { 2 } else { 1 };
            }
            at += (end + 1).min(rest.len());
        } else if rest.starts_with("'\"'") || rest.starts_with("'\\") {
            let open = if rest.starts_with("'\\") { 3 } else { 2 };
            at += open + rest[open..].find('\'').map_or(0, |end| end + 1);
        } else {
            let c = rest.chars().next().expect("a character");
            out.push(c);
            at += c.len_utf8();
        }
    }
    out
}

fn word(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    &text[..end]
}

/// Parts of the crate that a file names, as `crate::x`, `crate::{x, y::z}` or by enough `super::`.
fn imports(source: &Source) -> BTreeSet<String> {
    let up = "super::".repeat(source.depth);
    let mut found = BTreeSet::new();
    for root in ["crate::", up.as_str()] {
        for (at, _) in source.code.match_indices(root) {
            let rest = &source.code[at + root.len()..];
            let names: Vec<&str> = match rest.strip_prefix('{') {
                Some(group) => top_level(group).into_iter().map(word).collect(),
                None => vec![word(rest)],
            };
            // An inner `mod { }` goes up once more than its file: a step up counts when it ends at a part.
            let names = names.into_iter().filter(|name| root == "crate::" || ALL.contains(name));
            // Macros of the domain stand at the crate's root.
            found.extend(names.map(|name| if ["record", "choice"].contains(&name) { "domain" } else { name }.to_owned()));
        }
    }
    found.remove("");
    found
}

/// The entries of a `{…}` group, without those of groups inside.
fn top_level(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut entries) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                entries.push(group[start..at].trim());
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                entries.push(group[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    entries
}

#[test]
fn nobody_imports_whom_he_may_not() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| source.part != "lib") {
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(part, _)| *part == source.part) else {
            wrong.push(format!("{}: the part `{}` has no row in the table of imports", source.path, source.part));
            continue;
        };
        for name in imports(source) {
            if name != source.part && !allowed.contains(&name.as_str()) {
                wrong.push(format!("{}: {} may not import {name}", source.path, source.part));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn drivers_are_used_where_they_belong() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (driver, parts) in DRIVERS {
            let allowed = parts.contains(&source.part.as_str()) || FREE_IN_CRATES.contains(&source.part.as_str());
            let uses = source.code.match_indices(&format!("{driver}::")).any(|(at, _)| {
                let before = source.code[..at].chars().next_back();
                !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
            });
            if uses && !allowed {
                wrong.push(format!("{}: {driver} belongs to {parts:?}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn files_are_short_and_nothing_unwraps() {
    let mut wrong = Vec::new();
    for source in sources() {
        let most = LONGER.iter().find(|(path, _)| *path == source.path).map_or(MAX_LINES, |(_, most)| *most);
        if source.lines > most {
            wrong.push(format!("{}: {} lines, at most {most}", source.path, source.lines));
        }
        if source.code.contains(".unwrap()") {
            wrong.push(format!("{}: unwrap() outside tests", source.path));
        }
        // Only what is proven constant, and then the lint is allowed with its reason beside it.
        if source.code.contains(".expect(") && !source.code.contains("clippy::expect_used") {
            wrong.push(format!("{}: expect() outside tests", source.path));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_reading_of_sources_sees_what_it_should() {
    let text = "use crate::{domain::ids, store};\n// crate::forward\nlet a = \"crate::callback\"; let q = '\"'; crate::net::x();\nsuper::super::ops::y();\n#[cfg(test)]\nmod tests { crate::http }";
    let source = Source { path: "a/b.rs".into(), part: "a".into(), depth: 2, lines: 1, code: code_of(text) };
    let expected: BTreeSet<String> = ["domain", "store", "net", "ops"].map(str::to_owned).into();
    assert_eq!(imports(&source), expected);
    assert!(!code_of("let a = \".unwrap()\"; /* .unwrap() */ r#\".unwrap()\"#").contains("unwrap"));
    assert_eq!(test_files("a/mod.rs", "#[cfg(test)]\nmod tests;\nmod b;"), ["a/tests"]);
    assert_eq!(test_files("a/b.rs", "#[cfg(test)]\n#[path = \"b_tests.rs\"]\nmod tests;\n#[cfg(test)]\nmod c {"), ["a/b_tests"]);
    assert!(code_of("let a = b.unwrap();").contains(".unwrap()"));
}
