//! What the demo posts, and what has to come of it: `examples/declarations.ndjson` beside `examples/scenarios.toml`.
//!
//! Why it exists: the demo shows real input and is judged by a table that a person can read. Both files are built in, so
//! that the one binary needs nothing else.
//!
//! Invariants: every declaration has its row and every row its declaration; dates are moved together by whole days so that
//! the newest posting is yesterday (a pre-lodged item's arrival must still be to come), and nothing else is touched.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::ToSpan as _;
use jiff::civil::Date;
use serde::Deserialize;
use serde_json::Value;

use crate::sandbox::Scenario;

const DECLARATIONS: &str = include_str!("../../../examples/declarations.ndjson");
const SCENARIOS: &str = include_str!("../../../examples/scenarios.toml");

/// A post of the demo: code, name, issuing country of its items, API key (the one of `examples/preclear.toml`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Post {
    pub code: &'static str,
    pub name: &'static str,
    pub country: &'static str,
    pub key: &'static str,
}

/// The four posts.
pub(super) const POSTS: [Post; 4] = [
    Post { code: "KRA", name: "Korea Post", country: "KR", key: "kra-demo-key" },
    Post { code: "JPA", name: "Japan Post", country: "JP", key: "jpa-demo-key" },
    Post { code: "FRA", name: "La Poste", country: "FR", key: "fra-demo-key" },
    Post { code: "THA", name: "Thailand Post", country: "TH", key: "tha-demo-key" },
];

/// What has to come of a declaration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expected {
    /// It is taken, the broker plays a part, and the clearance ends here.
    Ends { scenario: Scenario, status: String },
    /// It is refused, and its faults are at least at these pointers.
    Refused(Vec<String>),
}

/// One declaration of the demo.
#[derive(Debug, Clone)]
pub(super) struct Item {
    /// Index of its post.
    pub post: usize,
    /// S10.
    pub item_id: String,
    /// Country of origin, and town (else country) of destination.
    pub from: String,
    pub to: String,
    /// Lines of contents.
    pub lines: usize,
    /// The declaration as it is posted.
    pub body: Bytes,
    /// What has to come of it.
    pub expected: Expected,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rows {
    items: BTreeMap<String, Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    scenario: Option<String>,
    status: Option<String>,
    refused: Option<Vec<String>>,
}

/// The declarations of the demo in their order, with dates that fit `today`.
///
/// # Errors
/// When the two files do not fit together; a test makes sure that the built-in ones do.
pub(super) fn items(today: Date) -> Result<Vec<Item>, String> {
    read(DECLARATIONS, SCENARIOS, today)
}

fn read(declarations: &str, scenarios: &str, today: Date) -> Result<Vec<Item>, String> {
    let mut rows: Rows = toml::from_str(scenarios).map_err(|fault| format!("scenarios.toml: {}", fault.message()))?;
    let mut found = Vec::new();
    let mut newest: Option<Date> = None;
    for (number, line) in (1..).zip(declarations.lines().filter(|line| !line.trim().is_empty())) {
        let value: Value = serde_json::from_str(line).map_err(|_| format!("declarations.ndjson: line {number} is no JSON"))?;
        newest = newest.max(value["posted_on"].as_str().and_then(|text| text.parse().ok()));
        found.push((line, value));
    }
    let newest = newest.ok_or("declarations.ndjson: no posting date")?;
    let yesterday = today.yesterday().map_err(|_| "no yesterday")?;
    let days = newest.until(yesterday).map_err(|_| "no such date")?.get_days();
    let mut items = Vec::new();
    for (line, mut value) in found {
        let item_id = value["item_id"].as_str().unwrap_or_default().to_owned();
        let row = rows.items.remove(&item_id).ok_or_else(|| format!("scenarios.toml: no row for {item_id}"))?;
        let body = if days == 0 {
            Bytes::copy_from_slice(line.as_bytes())
        } else {
            move_dates(&mut value, i64::from(days));
            Bytes::from(value.to_string())
        };
        let country = value["sender"]["country"].as_str().unwrap_or_default();
        let post = POSTS.iter().position(|post| item_id.ends_with(post.country)).ok_or_else(|| format!("{item_id}: no such post"))?;
        items.push(Item {
            post,
            from: country.to_owned(),
            to: value["recipient"]["city"].as_str().or(value["recipient"]["country"].as_str()).unwrap_or("?").to_owned(),
            lines: value["contents"].as_array().map_or(0, Vec::len),
            body,
            expected: expected(row).map_err(|fault| format!("scenarios.toml: {item_id}: {fault}"))?,
            item_id,
        });
    }
    match rows.items.keys().next() {
        Some(left) => Err(format!("scenarios.toml: {left} is not in declarations.ndjson")),
        None => Ok(items),
    }
}

fn expected(row: Row) -> Result<Expected, String> {
    match (row.scenario, row.status, row.refused) {
        (Some(scenario), Some(status), None) => Ok(Expected::Ends { scenario: scenario.parse()?, status }),
        (None, None, Some(pointers)) if !pointers.is_empty() => Ok(Expected::Refused(pointers)),
        _ => Err("either `scenario` and `status`, or `refused`".to_owned()),
    }
}

/// Moves every date by whole days: posting, issue, payment, departure, arrival.
fn move_dates(value: &mut Value, days: i64) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(text) if name.ends_with("_on") || name.ends_with("_at") => {
                        let split = text.find('T').unwrap_or(text.len());
                        let moved = text[..split].parse::<Date>().ok().and_then(|date| date.checked_add(days.days()).ok());
                        if let Some(date) = moved {
                            *text = format!("{date}{}", &text[split..]);
                        }
                    }
                    other => move_dates(other, days),
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|value| move_dates(value, days)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::clearance::ClearanceStatus;

    #[test]
    fn the_built_in_files_fit_together() {
        let items = items("2026-11-22".parse().expect("a date")).expect("they fit");
        assert!(items.len() >= 20);
        let refused = items.iter().filter(|item| matches!(item.expected, Expected::Refused(_))).count();
        assert_eq!(refused, 2);
        for (item, line) in items.iter().zip(DECLARATIONS.lines()) {
            assert_eq!(item.body, line, "on the day the files were written for they are posted as they are");
            if let Expected::Ends { status, .. } = &item.expected {
                assert!(ClearanceStatus::WORDS.contains(&status.as_str()), "{}: {status}", item.item_id);
            }
        }
        for post in 0..POSTS.len() {
            assert!(items.iter().any(|item| item.post == post));
        }
    }

    #[test]
    fn dates_move_together() {
        let line = r#"{"item_id":"EE123456785KR","posted_on":"2026-02-27","transport":{"arrives_at":"2026-03-01T10:00:00Z","from":"KRICN"},"documents":[{"issued_on":"2026-02-20"}]}"#;
        let rows = "[items.EE123456785KR]\nscenario = \"register\"\nstatus = \"registered\"";
        let items = read(line, rows, "2028-03-01".parse().expect("a date")).expect("they fit");
        let moved: Value = serde_json::from_slice(&items[0].body).expect("JSON");
        assert_eq!(moved["posted_on"], "2028-02-29");
        assert_eq!(moved["transport"]["arrives_at"], "2028-03-02T10:00:00Z");
        assert_eq!((&moved["transport"]["from"], &moved["documents"][0]["issued_on"]), (&"KRICN".into(), &"2028-02-22".into()));
    }

    #[test]
    fn files_that_do_not_fit_are_told() {
        let line = r#"{"item_id":"EE123456785KR","posted_on":"2026-02-27"}"#;
        let today = "2026-02-28".parse().expect("a date");
        let table = [
            ("[items.X]\nscenario = \"clear\"\nstatus = \"cleared\"", "no row for EE123456785KR"),
            ("[items.EE123456785KR]\nscenario = \"clear\"", "either `scenario`"),
            ("[items.EE123456785KR]\nscenario = \"clear\"\nstatus = \"cleared\"\nrefused = [\"/x\"]", "either `scenario`"),
            ("[items.EE123456785KR]\nscenario = \"clea\"\nstatus = \"cleared\"", "no such scenario"),
            ("[items.EE123456785KR]\nrefused = []", "either `scenario`"),
            ("[items.EE123456785KR]\nrefused = [\"/x\"]\n[items.Y]\nrefused = [\"/x\"]", "Y is not in"),
        ];
        for (rows, words) in table {
            let fault = read(line, rows, today).expect_err(rows);
            assert!(fault.contains(words), "{rows}: {fault}");
        }
    }
}
