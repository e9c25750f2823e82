//! The declaration's fields as a template names them, and the words that `notices.toml` may use.
//!
//! Both are made from the descriptions that everything else is checked by, for the page of mappings and for
//! `preclear mapping fields`: whoever writes a mapping should not have to read an OpenAPI document.

use crate::domain::clearance::ClearanceStatus;
use crate::domain::declaration::Declaration;
use crate::domain::fact::{AnswerResult, Answers, ChargeStage, RequirementKind, Track};
use crate::domain::record::{Descriptor, Kind};
use crate::domain::security::SecurityStatus;

/// A field of the declaration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldLine {
    /// `sender.name`; of the entries of a list `contents[].description`.
    pub path: String,
    /// What it holds: `text`, `one of gift, other`, `list of records, as documents`.
    pub kind: String,
    /// Whether a declaration has to have it.
    pub required: bool,
    /// What it means.
    pub doc: &'static str,
}

/// Every field in the order of the declaration. A record that stands in several places is opened up at the first.
pub fn lines() -> Vec<FieldLine> {
    let mut lines = Vec::new();
    walk(Declaration::DESCRIPTOR, "", &mut Vec::new(), &mut lines);
    lines
}

fn walk(descriptor: &'static Descriptor, prefix: &str, known: &mut Vec<(&'static str, String)>, lines: &mut Vec<FieldLine>) {
    for field in descriptor.fields {
        let path = format!("{prefix}{}", field.name);
        let (mut kind, record, suffix) = described((field.kind)());
        let seen = record.and_then(|record| known.iter().find(|(name, _)| *name == record.name)).map(|(_, path)| path.clone());
        if let Some(seen) = &seen {
            kind.push_str(&format!(", as {seen}"));
        }
        lines.push(FieldLine { path: path.clone(), kind, required: field.required, doc: field.doc.trim() });
        if let Some(record) = record.filter(|_| seen.is_none()) {
            known.push((record.name, path.clone()));
            walk(record, &format!("{path}{suffix}."), known, lines);
        }
    }
}

/// A kind in words, the record in it, and how its fields are reached.
fn described(kind: Kind) -> (String, Option<&'static Descriptor>, &'static str) {
    let plain = |words: &str| (words.to_owned(), None, "");
    match kind {
        Kind::Text => plain("text"),
        Kind::Integer => plain("whole number"),
        Kind::Decimal => plain("decimal"),
        Kind::Bool => plain("true or false"),
        Kind::Date => plain("date"),
        Kind::Timestamp => plain("instant"),
        Kind::Choice(words) => (format!("one of {}", words.join(", ")), None, ""),
        Kind::Record(descriptor) => ("record".to_owned(), Some(descriptor), ""),
        Kind::List(of) | Kind::Map(of) => match described(of()) {
            (_, Some(record), _) => ("list of records".to_owned(), Some(record), "[]"),
            (inner, None, _) => (format!("list of {inner}"), None, ""),
        },
    }
}

/// The table of fields as it stands in `docs/MAPPING.md`.
pub fn table() -> String {
    let mut table = String::from("| field | holds | is |\n| --- | --- | --- |\n");
    for FieldLine { path, kind, required, doc } in lines() {
        let required = if required { ", required" } else { "" };
        table.push_str(&format!("| `{path}` | {kind}{required} | {doc} |\n"));
    }
    table
}

/// The words of `notices.toml` as they stand in `docs/MAPPING.md`.
pub fn words() -> String {
    let rows: [(&str, &[&str]); 7] = [
        ("`status` on the tracks clearance and export", ClearanceStatus::WORDS),
        ("`status` on the track security", SecurityStatus::WORDS),
        ("`track`", Track::WORDS),
        ("`kind` of `open`, `closes`", RequirementKind::WORDS),
        ("`stage` of `charges`, `charges_stage`", ChargeStage::WORDS),
        ("`answers`", Answers::WORDS),
        ("`result`", AnswerResult::WORDS),
    ];
    let mut table = String::from("| key | one of |\n| --- | --- |\n");
    for (key, words) in rows {
        let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
        table.push_str(&format!("| {key} | {} |\n", words.join(", ")));
    }
    table
}
