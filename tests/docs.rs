//! What the documentation tells is what the code does: pages and tables are made from the code's own
//! tables, and this test fails when they differ. `PRECLEAR_BLESS=1 cargo test --test docs` writes them.
//!
//! Made: a page in `docs/errors/` for each error code, and in every Markdown file below the text
//! between `<!-- NAME:start -->` and `<!-- NAME:end -->` for the names of [`table`].
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, reason = "a test")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use preclear::config::{self, Config};
use preclear::domain::fault;
use preclear::domain::record::{Descriptor, Field, Kind, Record, Val};
use preclear::error::Code;
use preclear::metrics;

/// Files whose marked tables are made.
const MARKED: [&str; 3] = ["README.md", "docs/errors/README.md", "docs/MAPPING.md"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Compares a file with what it should be, or writes it.
fn hold(path: &Path, expected: &str, differ: &mut Vec<String>) {
    let found = std::fs::read_to_string(path).unwrap_or_default();
    if found == expected {
        return;
    }
    if std::env::var_os("PRECLEAR_BLESS").is_some() {
        std::fs::write(path, expected).expect("can be written");
    } else {
        differ.push(path.strip_prefix(root()).unwrap_or(path).display().to_string());
    }
}

fn agree(differ: &[String]) {
    assert!(differ.is_empty(), "differ from the code, run `PRECLEAR_BLESS=1 cargo test --test docs`: {differ:?}");
}

#[test]
fn every_error_code_has_its_page_and_no_page_is_left_over() {
    let mut differ = Vec::new();
    let folder = root().join("docs/errors");
    std::fs::create_dir_all(&folder).expect("folder");
    for code in Code::ALL {
        let page = format!(
            "# {}\n\n`{}` · HTTP {}\n\n{}\n\n[All errors](README.md)\n",
            code.title(),
            code.as_str(),
            code.status(),
            code.meaning()
        );
        hold(&folder.join(format!("{}.md", code.as_str())), &page, &mut differ);
    }
    let known: BTreeSet<String> = Code::ALL.iter().map(|code| format!("{}.md", code.as_str())).chain(["README.md".to_owned()]).collect();
    assert_eq!(known.len(), Code::ALL.len() + 1, "codes are unique");
    for entry in std::fs::read_dir(&folder).expect("folder") {
        let name = entry.expect("entry").file_name().into_string().expect("UTF-8");
        assert!(known.contains(&name), "docs/errors/{name} belongs to no code");
    }
    agree(&differ);
}

#[test]
fn fault_codes_and_metrics_are_unique() {
    let codes: BTreeSet<_> = fault::CODES.iter().map(|(code, _)| code).collect();
    assert_eq!(codes.len(), fault::CODES.len());
    let names: BTreeSet<_> = metrics::ALL.iter().map(|metric| metric.name).collect();
    assert_eq!(names.len(), metrics::ALL.len());
    assert!(names.iter().all(|name| name.starts_with("preclear_")));
    for (name, bounds) in metrics::buckets() {
        assert!(bounds.is_sorted() && names.contains(name), "{name}");
    }
}

#[test]
fn marked_tables_are_those_of_the_code() {
    let mut differ = Vec::new();
    for file in MARKED {
        let path = root().join(file);
        let Ok(text) = std::fs::read_to_string(&path) else {
            println!("SKIPPED: there is no {file}");
            continue;
        };
        let mut made = text.clone();
        let mut found = 0;
        for name in ["errors", "config", "metrics", "faults", "functions", "fields", "words"] {
            let (start, end) = (format!("<!-- {name}:start -->"), format!("<!-- {name}:end -->"));
            if let (Some(from), Some(to)) = (made.find(&start), made.find(&end)) {
                let links = if file == "README.md" { "docs/errors/" } else { "" };
                made.replace_range(from + start.len()..to, &format!("\n{}", table(name, links)));
                found += 1;
            }
        }
        let wanted = match file {
            "README.md" => 4,
            "docs/MAPPING.md" => 3,
            _ => 2,
        };
        assert_eq!(found, wanted, "{file} has lost the marks of a table");
        hold(&path, &made, &mut differ);
    }
    agree(&differ);
}

fn table(name: &str, links: &str) -> String {
    let mut text = String::new();
    match name {
        "errors" => {
            text.push_str("| status | code | means |\n| --- | --- | --- |\n");
            for code in Code::ALL {
                let word = code.as_str();
                writeln!(text, "| {} | [`{word}`]({links}{word}.md) | {} |", code.status(), code.meaning()).unwrap();
            }
        }
        "functions" => text = preclear::mapping::functions::table(),
        "fields" => text = preclear::mapping::fields::table(),
        "words" => text = preclear::mapping::fields::words(),
        "faults" => {
            text.push_str("| code | means |\n| --- | --- |\n");
            for (code, meaning) in fault::CODES {
                writeln!(text, "| `{code}` | {meaning} |").unwrap();
            }
        }
        "metrics" => {
            text.push_str("| name | type | labels | tells |\n| --- | --- | --- | --- |\n");
            for metric in metrics::ALL {
                let labels = metric.labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
                writeln!(text, "| `{}` | {} | {labels} | {} |", metric.name, metric.kind.as_str(), metric.meaning).unwrap();
            }
        }
        _ => {
            text.push_str("| key | default | means |\n| --- | --- | --- |\n");
            rows(Config::DESCRIPTOR, &Config::default(), "", &mut text);
        }
    }
    text
}

/// The keys of a record, sections opened up.
fn rows(descriptor: &'static Descriptor, record: &dyn Record, prefix: &str, text: &mut String) {
    for (index, field) in descriptor.fields.iter().enumerate() {
        let key = format!("{prefix}{}", field.name);
        match inner((field.kind)()) {
            Some((section, suffix)) => {
                let value = record.get(index);
                let absent = of_section(section.name);
                let value = if let Val::Record(value) = value { value } else { &*absent };
                rows(section, value, &format!("{key}{suffix}."), text);
            }
            None => writeln!(text, "| `{key}` | {} | {} |", default(&key, field, record.get(index)), field.doc.trim()).unwrap(),
        }
    }
}

/// The record inside a field, and how its keys are written.
fn inner(kind: Kind) -> Option<(&'static Descriptor, &'static str)> {
    let record = |kind: Kind| if let Kind::Record(descriptor) = kind { Some(descriptor) } else { None };
    match kind {
        Kind::Record(descriptor) => Some((descriptor, "")),
        Kind::Map(of) => record(of()).map(|descriptor| (descriptor, ".NAME")),
        Kind::List(of) => record(of()).map(|descriptor| (descriptor, "[]")),
        _ => None,
    }
}

/// A section that the default configuration does not hold, with its own defaults.
fn of_section(name: &str) -> Box<dyn Record> {
    match name {
        "Post" => Box::new(config::Post::default()),
        "Broker" => Box::new(config::Broker::default()),
        "Override" => Box::new(config::Override::default()),
        "Route" => Box::new(config::Route::default()),
        "Poll" => Box::new(config::Poll::default()),
        "Auth" => Box::new(config::Auth::default()),
        _ => Box::new(Config::default()),
    }
}

fn default(key: &str, field: &Field, value: Val<'_>) -> String {
    // These types show no value to a mapping, and so none to us.
    let defaults = Config::default();
    let shown = match key {
        "intake.listen" => Some(format!("\"{}\"", defaults.intake.listen.0)),
        "callbacks.listen" => Some(format!("\"{}\"", defaults.callbacks.listen.0)),
        "ops.listen" => Some(format!("\"{}\"", defaults.ops.listen.0)),
        _ if key.ends_with("failure_share") => Some(config::Breaker::default().failure_share.get().to_string()),
        _ => None,
    };
    if field.required {
        return "required".to_owned();
    }
    let shown = shown.or_else(|| match value {
        Val::Bool(value) => Some(value.to_string()),
        Val::Int(value) => Some(value.to_string()),
        Val::Decimal(value) => Some(value.to_string()),
        Val::Str(value) if !value.is_empty() => Some(format!("\"{value}\"")),
        _ => None,
    });
    shown.map_or_else(String::new, |value| format!("`{value}`"))
}
