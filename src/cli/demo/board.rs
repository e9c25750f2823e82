//! Where each item stands, as far as the published interface has told.
//!
//! Why it exists: the table, the end of the demo and its verdict all read one state, which is filled from answers and events
//! only. Pure: times come in as values.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::script::{Expected, Item};

/// One row of the board.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub item: Item,
    /// When its request began.
    pub asked: Option<Instant>,
    /// How long its answer took; none for lines of a batch.
    pub answer_took: Option<Duration>,
    /// The answer's status.
    pub status: Option<u16>,
    pub declaration_id: Option<String>,
    pub delivery: String,
    pub clearance: String,
    pub security: String,
    pub events: u64,
    /// From the request to the event that told the expected status.
    pub decided: Option<Duration>,
    /// That event.
    pub event: Option<Value>,
    /// The problem of a refused one.
    pub problem: Option<Value>,
}

impl Row {
    fn new(item: Item) -> Self {
        Self {
            item,
            asked: None,
            answer_took: None,
            status: None,
            declaration_id: None,
            delivery: String::new(),
            clearance: String::new(),
            security: String::new(),
            events: 0,
            decided: None,
            event: None,
            problem: None,
        }
    }

    /// Whether it was answered and taken.
    pub(super) fn taken(&self) -> bool {
        matches!(self.status, Some(200 | 202))
    }

    /// The expected pointers that the refusal does not name.
    fn unnamed(&self) -> Vec<&str> {
        let Expected::Refused(pointers) = &self.item.expected else { return Vec::new() };
        let told: Vec<_> = faults(self.problem.as_ref()).map(|(pointer, ..)| pointer).collect();
        pointers.iter().map(String::as_str).filter(|pointer| !told.contains(pointer)).collect()
    }

    /// Whether it can no longer get where it should: answered otherwise, or its message is dead.
    fn lost(&self) -> bool {
        let Some(status) = self.status else { return false };
        match &self.item.expected {
            Expected::Refused(_) => self.missing().is_some(),
            Expected::Ends { .. } => !matches!(status, 200 | 202) || matches!(self.delivery.as_str(), "dead" | "withdrawn"),
        }
    }

    /// Whether it stands where its scenario says.
    pub(super) fn settled(&self) -> bool {
        self.missing().is_none()
    }

    /// What is still missing, in words; none once it stands where it should.
    pub(super) fn missing(&self) -> Option<String> {
        let or = |text: &str| if text.is_empty() { "nothing yet".to_owned() } else { text.to_owned() };
        match &self.item.expected {
            _ if self.asked.is_none() => Some("not posted yet".to_owned()),
            _ if self.status.is_none() => Some("no answer yet".to_owned()),
            Expected::Refused(_) if self.status != Some(422) => Some(format!("answered {}, expected 422", self.status.unwrap_or_default())),
            Expected::Refused(_) => {
                let unnamed = self.unnamed();
                (!unnamed.is_empty()).then(|| format!("refused, but without a fault at {}", unnamed.join(", ")))
            }
            Expected::Ends { .. } if !self.taken() => {
                let faults: Vec<_> = faults(self.problem.as_ref()).map(|(pointer, code, _)| format!("{pointer} {code}")).collect();
                Some(format!("answered {}, expected 202; {}", self.status.unwrap_or_default(), faults.join(", ")))
            }
            Expected::Ends { status, .. } => {
                let stands = self.delivery == "delivered" && self.clearance == *status;
                if stands && self.decided.is_some() {
                    return None;
                }
                let event = if self.decided.is_some() { "" } else { ", no event of it" };
                Some(format!("delivery {}, clearance {}{event}; expected delivered, {status}", or(&self.delivery), or(&self.clearance)))
            }
        }
    }
}

/// Pointer, code and detail of each fault of a problem.
pub(super) fn faults(problem: Option<&Value>) -> impl Iterator<Item = (&str, &str, &str)> {
    let errors = problem.and_then(|problem| problem["errors"].as_array());
    errors.into_iter().flatten().map(move |fault| (text(fault, "pointer"), text(fault, "code"), text(fault, "detail")))
}

fn text<'v>(value: &'v Value, member: &str) -> &'v str {
    value[member].as_str().unwrap_or_default()
}

/// All rows.
#[derive(Debug, Clone)]
pub(super) struct Board {
    pub rows: Vec<Row>,
}

impl Board {
    pub(super) fn new(items: Vec<Item>) -> Self {
        Self { rows: items.into_iter().map(Row::new).collect() }
    }

    /// Whether every item stands where it should.
    pub(super) fn settled(&self) -> bool {
        self.rows.iter().all(Row::settled)
    }

    /// Whether nothing can get any further: each item is settled or lost, and some are lost.
    pub(super) fn failed(&self) -> bool {
        self.rows.iter().all(|row| row.settled() || row.lost()) && !self.settled()
    }

    /// Events told so far.
    pub(super) fn events(&self) -> u64 {
        self.rows.iter().map(|row| row.events).sum()
    }

    /// Takes down the answer to a declaration: its status, and the declaration or the problem.
    pub(super) fn answered(&mut self, at: usize, status: u16, body: Value, took: Option<Duration>) {
        let row = &mut self.rows[at];
        (row.status, row.answer_took) = (Some(status), took);
        if row.taken() {
            self.state(at, &body);
        } else {
            row.problem = Some(body);
        }
    }

    /// Takes down the three states of a declaration.
    pub(super) fn state(&mut self, at: usize, answer: &Value) {
        let row = &mut self.rows[at];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        row.declaration_id = answer["declaration_id"].as_str().map(str::to_owned).or(row.declaration_id.take());
        row.delivery = text(&answer["delivery"]["state"]);
        row.clearance = text(&answer["clearance"]["status"]);
        row.security = text(&answer["security"]["status"]);
    }

    /// Takes down an event of the feed.
    pub(super) fn event(&mut self, event: &Value, now: Instant) {
        let Some(row) = self.rows.iter_mut().find(|row| event["subject"] == row.item.item_id.as_str()) else { return };
        row.events += 1;
        let Expected::Ends { status, .. } = &row.item.expected else { return };
        let of_clearance = event["type"].as_str().and_then(|kind| kind.strip_prefix("clearance."));
        if of_clearance == Some(status) {
            row.decided = row.asked.map(|asked| now.saturating_duration_since(asked));
            row.event = Some(event.clone());
        }
    }
}

/// The value below which the given share of the durations lies (nearest rank); none of none.
pub(super) fn percentile(durations: &[Duration], share: f64) -> Option<Duration> {
    let mut sorted = durations.to_vec();
    sorted.sort_unstable();
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;
    use crate::sandbox::Scenario;

    pub(in crate::cli::demo) fn item(item_id: &str, expected: Expected) -> Item {
        Item { post: 0, item_id: item_id.into(), from: "KR".into(), to: "London".into(), lines: 2, body: Default::default(), expected }
    }

    pub(in crate::cli::demo) fn ends(status: &str) -> Expected {
        Expected::Ends { scenario: Scenario::Clear, status: status.into() }
    }

    #[test]
    fn an_item_is_settled_by_its_answer_its_state_and_its_event() {
        let mut board = Board::new(vec![item("A", ends("held"))]);
        let missing = |board: &Board, words: &str| {
            let told = board.rows[0].missing().unwrap_or_default();
            assert!(told.contains(words), "{words}: {told}");
        };
        missing(&board, "not posted");
        let begin = Instant::now();
        board.rows[0].asked = Some(begin);
        missing(&board, "no answer");
        board.answered(
            0,
            202,
            json!({ "declaration_id": "d", "delivery": { "state": "queued" }, "clearance": { "status": "pending" } }),
            None,
        );
        missing(&board, "delivery queued, clearance pending, no event of it; expected delivered, held");
        let event = |kind: &str| json!({ "type": kind, "subject": "A", "data": {} });
        board.event(&event("security.held"), begin);
        board.event(&event("clearance.accepted"), begin);
        board.event(&json!({ "type": "clearance.held", "subject": "B" }), begin);
        assert_eq!((board.rows[0].events, board.rows[0].decided), (2, None));
        board.event(&event("clearance.held"), begin + Duration::from_millis(7));
        assert_eq!(board.rows[0].decided, Some(Duration::from_millis(7)));
        missing(&board, "delivery queued");
        board.state(0, &json!({ "delivery": { "state": "delivered" }, "clearance": { "status": "held" } }));
        assert!(board.settled());
        assert_eq!(board.rows[0].declaration_id.as_deref(), Some("d"));
    }

    #[test]
    fn a_refusal_has_to_name_every_expected_place() {
        let refused = Expected::Refused(vec!["/a".into(), "/b".into()]);
        let table = [
            (202, json!({}), "expected 422"),
            (422, json!({ "errors": [{ "pointer": "/a" }] }), "without a fault at /b"),
            (422, json!({ "errors": [{ "pointer": "/b" }, { "pointer": "/c" }, { "pointer": "/a" }] }), ""),
        ];
        for (status, body, words) in table {
            let mut board = Board::new(vec![item("A", refused.clone())]);
            board.rows[0].asked = Some(Instant::now());
            board.answered(0, status, body, None);
            let told = board.rows[0].missing().unwrap_or_default();
            assert!(told.contains(words) && told.is_empty() == words.is_empty(), "{words}: {told}");
            assert_eq!(board.failed(), !words.is_empty());
        }
        let mut board = Board::new(vec![item("A", ends("held"))]);
        board.rows[0].asked = Some(Instant::now());
        assert!(!board.failed());
        board.answered(0, 422, json!({ "errors": [{ "pointer": "/a", "code": "required" }] }), None);
        assert!(board.failed(), "there is nothing to wait for");
        assert_eq!(board.rows[0].missing().as_deref(), Some("answered 422, expected 202; /a required"));
    }

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let ms = |values: &[u64]| values.iter().copied().map(Duration::from_millis).collect::<Vec<_>>();
        let all = ms(&[4, 1, 3, 2]);
        for (share, expected) in [(0.5, 2), (0.95, 4), (0.25, 1), (1.0, 4)] {
            assert_eq!(percentile(&all, share), Some(Duration::from_millis(expected)), "{share}");
        }
        assert_eq!(percentile(&[], 0.5), None);
    }
}
