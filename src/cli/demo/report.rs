//! What the demo says beside the table: the road at the top; refusals, a message, an event and the times at the end.
//!
//! Why it exists: a newcomer should understand from one screen what went where, and see one of each thing as it really is.
//! Words only; everything shown comes from the published interface or from the broker's own ledger.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use serde_json::Value;

use super::board::{Board, Row, faults, percentile};
use super::script::Expected;
use super::table::{Line, Tint, duration};
use crate::cli::sink::Received;
use crate::sandbox::{Entry, Ledger, Scenario};

/// The road in three lines.
pub(super) fn legend() -> Vec<Line> {
    let line = |text: &str| vec![(text.to_owned(), Tint::Plain)];
    let head = " takes a post's declarations to customs and brings the answers back.";
    vec![
        vec![("Preclear".to_owned(), Tint::Bold), (head.to_owned(), Tint::Plain)],
        vec![],
        line("  post ── declaration, JSON ──▶ preclear ── XML, mutual TLS ──▶ broker, customs"),
        line("       ◀── signed webhooks ────          ◀─ notices, mutual TLS"),
        vec![],
    ]
}

/// A headline of its own.
pub(super) fn headline(text: impl Into<String>) -> Vec<Line> {
    vec![vec![], vec![(text.into(), Tint::Bold)]]
}

/// The refused declarations with all their faults.
pub(super) fn refused(board: &Board) -> Vec<Line> {
    let mut lines = headline("Refused with every fault at once, and never sent");
    for row in board.rows.iter().filter(|row| row.status.is_some() && !row.taken()) {
        let code = row.problem.as_ref().map(|problem| problem["code"].as_str().unwrap_or_default()).unwrap_or_default();
        let head = format!("  {} {code}", row.status.unwrap_or_default());
        lines.push(vec![("  ".to_owned(), Tint::Plain), (row.item.item_id.clone(), Tint::Bold), (head, Tint::Bad)]);
        let widest = faults(row.problem.as_ref()).map(|(pointer, ..)| pointer.chars().count()).max().unwrap_or_default();
        for (pointer, _, detail) in faults(row.problem.as_ref()) {
            lines.push(vec![(format!("    {pointer:widest$}  "), Tint::Waiting), (detail.to_owned(), Tint::Plain)]);
        }
    }
    lines
}

/// The item whose message is shown: the shortest that was taken.
pub(super) fn specimen(board: &Board) -> Option<&Row> {
    board.rows.iter().filter(|row| row.taken()).min_by_key(|row| (row.item.lines, row.item.body.len()))
}

/// The bytes of the first message of the answer to `GET /v1/declarations/{id}/messages?content=1`, as text.
pub(super) fn message_text(messages: &Value) -> Option<String> {
    let content = first(messages, "content")?;
    if content.trim_start().starts_with('<') {
        return Some(content.to_owned());
    }
    let bytes = base64::engine::general_purpose::STANDARD.decode(content).ok()?;
    String::from_utf8(bytes).ok()
}

/// The first text that stands under this name anywhere, in the order of the answer.
fn first<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    match value {
        Value::Object(members) => {
            let own = members.get(name).and_then(Value::as_str);
            own.or_else(|| members.values().find_map(|value| first(value, name)))
        }
        Value::Array(list) => list.iter().find_map(|value| first(value, name)),
        _ => None,
    }
}

/// A message as it went to the broker, whole; with line ends for the eye.
pub(super) fn message(item_id: &str, text: &str) -> Vec<Line> {
    let mut lines = headline(format!("One message as the broker got it: {item_id}, {} bytes (indented here)", text.len()));
    let shown = indented(text).unwrap_or_else(|| text.to_owned());
    lines.extend(shown.lines().map(|line| vec![(format!("  {line}"), Tint::Plain)]));
    lines
}

/// XML with each element on a line of its own; none where it has lines already, or is not well-formed.
fn indented(text: &str) -> Option<String> {
    // One that has lines of its own is shown as it is: further blanks would only spoil it.
    if text.lines().nth(2).is_some() {
        return None;
    }
    let mut reader = quick_xml::Reader::from_str(text);
    let mut writer = quick_xml::Writer::new_with_indent(Vec::new(), b' ', 2);
    loop {
        match reader.read_event().ok()? {
            quick_xml::events::Event::Eof => return String::from_utf8(writer.into_inner()).ok(),
            event => writer.write_event(event).ok()?,
        }
    }
}

/// An event as the post got it: one that asks for something, for it shows most.
pub(super) fn event(board: &Board) -> Vec<Line> {
    let asks = |row: &&Row| matches!(&row.item.expected, Expected::Ends { scenario: Scenario::Documents, .. });
    let row = board.rows.iter().find(asks).filter(|row| row.event.is_some()).or_else(|| specimen(board));
    let Some((row, event)) = row.and_then(|row| Some((row, row.event.as_ref()?))) else { return Vec::new() };
    let mut text = String::new();
    json(event, 0, &mut text);
    let mut lines = headline(format!("One event as the post got it, by feed and by webhook: {}", row.item.item_id));
    lines.extend(text.lines().map(|line| vec![(format!("  {line}"), Tint::Plain)]));
    lines
}

/// Members of an event in the order that a person reads them; others follow.
const ORDER: [&str; 24] = [
    "specversion",
    "id",
    "type",
    "source",
    "subject",
    "time",
    "datacontenttype",
    "declaration_id",
    "item_id",
    "posted_on",
    "version",
    "filing_id",
    "track",
    "status",
    "previous",
    "occurred_at",
    "received_at",
    "broker",
    "references",
    "reasons",
    "charges",
    "documents",
    "deadline",
    "raw",
];

/// JSON on few lines: what is short stands on one.
fn json(value: &Value, depth: usize, out: &mut String) {
    const SHORT: usize = 100;
    let whole = value.to_string();
    let short = depth > 0 && whole.len() + 2 * depth <= SHORT;
    let blanks = "  ".repeat(depth + 1);
    match value {
        Value::Object(members) if !short && !members.is_empty() => {
            let place = |name: &String| ORDER.iter().position(|known| known == name).unwrap_or(ORDER.len());
            let mut names: Vec<&String> = members.keys().collect();
            names.sort_by_key(|name| place(name));
            for (index, name) in names.into_iter().enumerate() {
                out.push_str(if index == 0 { "{\n" } else { ",\n" });
                out.push_str(&format!("{blanks}{}: ", Value::from(name.as_str())));
                json(&members[name], depth + 1, out);
            }
            out.push_str(&format!("\n{}}}", "  ".repeat(depth)));
        }
        Value::Array(list) if !short && !list.is_empty() => {
            for (index, value) in list.iter().enumerate() {
                out.push_str(if index == 0 { "[\n" } else { ",\n" });
                out.push_str(&blanks);
                json(value, depth + 1, out);
            }
            out.push_str(&format!("\n{}]", "  ".repeat(depth)));
        }
        _ => out.push_str(&whole),
    }
}

/// What the numbers of the end are made of.
pub(super) struct Figures<'a> {
    pub board: &'a Board,
    pub ledger: &'a Ledger,
    pub received: Received,
    /// Time in which everything was posted.
    pub posting: Duration,
    /// Time of the whole demo.
    pub whole: Duration,
}

impl Figures<'_> {
    /// The summary.
    pub(super) fn lines(&self) -> Vec<Line> {
        let board = self.board;
        let taken = board.rows.iter().filter(|row| row.taken()).count();
        let refused = board.rows.iter().filter(|row| row.status.is_some() && !row.taken()).count();
        let intake: Vec<_> = board.rows.iter().filter_map(|row| row.answer_took).collect();
        let decisions: Vec<_> = board.rows.iter().filter_map(|row| row.decided).collect();
        let per_second = taken as f64 / self.posting.as_secs_f64().max(0.001);
        let summary = self.ledger.summary();
        let mut lines = headline(format!("Done in {}", duration(self.whole)));
        let mut row = |name: &str, text: String| lines.push(vec![(format!("  {name:<10}"), Tint::Dim), (text, Tint::Plain)]);
        row("intake", format!("{taken} accepted, {refused} refused; {per_second:.0} accepted/s, each on disk before its 202"));
        row("", format!("answer {}", both(&intake)));
        row("broker", format!("{} messages, each taken once, in {} sends over mutual TLS", summary.taken, summary.arrivals));
        let faults = wire_faults(&self.ledger.entries());
        let faults = if faults.is_empty() { String::new() } else { format!("; on the way {faults}") };
        row("", format!("{} notices{faults}", summary.callbacks_delivered));
        row("decision", format!("{}, from the request to the event that tells it", both(&decisions)));
        row("tracking", format!("{} events, {} webhooks with a right signature", board.events(), self.received.verified));
        lines
    }

    /// What must not have happened.
    pub(super) fn faults(&self) -> Vec<String> {
        let summary = self.ledger.summary();
        let taken = self.board.rows.iter().filter(|row| row.taken()).count() as u64;
        let mut faults = Vec::new();
        let mut forbid = |count: u64, what: &str| {
            if count > 0 {
                faults.push(format!("{count} {what}"));
            }
        };
        forbid(summary.refused, "messages were refused by the broker as invalid");
        forbid(summary.conflicts, "messages came to the broker with the id of another");
        forbid(summary.callbacks_failed, "notices were not taken");
        forbid(self.received.refused, "webhooks did not verify");
        if summary.taken != taken {
            faults.push(format!("the broker took {} messages, {taken} declarations were accepted", summary.taken));
        }
        if self.received.verified != self.board.events() {
            faults.push(format!("{} webhooks verified, {} events were told", self.received.verified, self.board.events()));
        }
        faults
    }
}

fn both(durations: &[Duration]) -> String {
    let of = |share| percentile(durations, share).map_or_else(|| "–".to_owned(), duration);
    format!("p50 {}, p95 {}", of(0.5), of(0.95))
}

/// What the broker did instead of taking a message, counted.
fn wire_faults(entries: &[Entry]) -> String {
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for entry in entries {
        let what = match entry.answer {
            None => "cut connection".to_owned(),
            Some(status @ (429 | 500..)) => status.to_string(),
            Some(_) => continue,
        };
        *counts.entry(what).or_default() += 1;
    }
    counts.iter().map(|(what, count)| format!("{count} × {what}")).collect::<Vec<_>>().join(", ")
}

/// Where everything is, and how to look at it.
pub(super) struct Places<'a> {
    pub dashboard: &'a str,
    pub intake: &'a str,
    pub folder: &'a str,
    /// Whether the gateway goes on running.
    pub stays: bool,
    /// Whether the folder is there afterwards.
    pub kept: bool,
}

impl Places<'_> {
    /// The last lines.
    pub(super) fn lines(&self) -> Vec<Line> {
        let mut lines = vec![vec![]];
        let mut row = |name: &str, text: String| lines.push(vec![(format!("  {name:<10}"), Tint::Dim), (text, Tint::Plain)]);
        if self.stays {
            row("dashboard", format!("{}/", self.dashboard));
            row("try", format!("curl -H 'Authorization: Bearer kra-demo-key' {}/v1/items/EE123456785KR", self.intake));
            row("", format!("preclear declare --url {} --key kra-demo-key examples/declarations.csv", self.intake));
            row("files", format!("{} (configuration, certificates, database)", self.folder));
            lines.push(vec![]);
            lines.push(vec![("Ctrl-C ends it.".to_owned(), Tint::Bold)]);
            return lines;
        }
        row("dashboard", format!("{}/", self.dashboard));
        row("", "ends with the demo; `preclear demo --keep` leaves it up".to_owned());
        row("files", self.folder.to_owned());
        let kept = if self.kept { "configuration, certificates, database, messages" } else { "removed now; `--dir DIR` keeps them" };
        row("", kept.to_owned());
        lines
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn shown_json_and_xml_are_what_they_were() {
        let long = "x".repeat(90);
        let event = json!({ "data": { "z": [long, { "a": [] }], "raw": { "code": "06" } }, "type": "t", "id": 1 });
        let mut shown = String::new();
        super::json(&event, 0, &mut shown);
        assert_eq!(serde_json::from_str::<Value>(&shown).expect("JSON"), event);
        assert!(
            shown.starts_with("{\n  \"id\": 1,\n  \"type\": \"t\",\n  \"data\": {\n    \"raw\": {\"code\":\"06\"},\n    \"z\": [\n"),
            "{shown}"
        );
        let xml = "<?xml version=\"1.0\"?><a><b c=\"1\">t &amp; u</b><d/></a>";
        assert_eq!(indented(xml).as_deref(), Some("<?xml version=\"1.0\"?>\n<a>\n  <b c=\"1\">t &amp; u</b>\n  <d/>\n</a>"));
        assert_eq!(indented("<a></b>"), None);
    }

    #[test]
    fn the_message_is_found_as_text_or_base64() {
        let table = [
            (json!({ "messages": [{ "id": 1, "content": "<a/>" }, { "content": "<b/>" }] }), Some("<a/>")),
            (json!([{ "attempts": [], "content": "PGEvPg==" }]), Some("<a/>")),
            (json!({ "messages": [{ "content": "%" }] }), None),
            (json!({ "messages": [] }), None),
        ];
        for (value, expected) in table {
            assert_eq!(message_text(&value).as_deref(), expected, "{value}");
        }
    }
}
