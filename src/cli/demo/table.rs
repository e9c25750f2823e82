//! The board as lines of text that fit a width.
//!
//! Why it exists: what the table shows is a value that tests can read; painting it is the screen's work. Columns that do not
//! fit are left out, the least telling first, so that a row is never broken.

use std::time::Duration;

use super::board::Row;
use super::script::Expected;

/// How a piece of a line is painted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tint {
    Plain,
    Dim,
    Bold,
    Good,
    Waiting,
    Bad,
}

/// A line in pieces.
pub(super) type Line = Vec<(String, Tint)>;

/// The text of a line without its colours.
#[cfg(test)]
pub(super) fn plain(line: &Line) -> String {
    line.iter().map(|(text, _)| text.as_str()).collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Column {
    Item,
    Road,
    Lines,
    Delivery,
    Clearance,
    Security,
    Events,
    Decision,
    Broker,
}

/// Every column with its head, its width, and whether numbers stand to the right.
const COLUMNS: [(Column, &str, usize, bool); 9] = [
    (Column::Item, "item", 13, false),
    (Column::Road, "from → to", ROAD, false),
    (Column::Lines, "lines", 5, true),
    (Column::Delivery, "delivery", 9, false),
    (Column::Clearance, "clearance", 18, false),
    (Column::Security, "security", 8, false),
    (Column::Events, "events", 6, true),
    (Column::Decision, "decision", 8, true),
    (Column::Broker, "the broker's part", 17, false),
];

/// Widest and narrowest road from country to town.
const ROAD: usize = 24;
const SHORT_ROAD: usize = 14;
/// The order in which columns are left out.
const LEFT_OUT: [Column; 5] = [Column::Security, Column::Broker, Column::Lines, Column::Events, Column::Road];
const MARK: usize = 2;

/// The columns of a table that is at most `width` characters wide.
pub(super) struct Layout(Vec<(Column, &'static str, usize, bool)>);

impl Layout {
    pub(super) fn new(width: usize) -> Self {
        let mut columns = COLUMNS.to_vec();
        let least = |columns: &[(Column, &str, usize, bool)]| {
            let wide = |(column, _, wide, _): &(Column, &str, usize, bool)| if *column == Column::Road { SHORT_ROAD } else { *wide };
            MARK + columns.iter().map(|column| wide(column) + 2).sum::<usize>() - 2
        };
        for left_out in LEFT_OUT {
            if least(&columns) <= width {
                break;
            }
            columns.retain(|(column, ..)| *column != left_out);
        }
        let spare = width.saturating_sub(least(&columns));
        for (column, _, wide, _) in &mut columns {
            if *column == Column::Road {
                *wide = ROAD.min(SHORT_ROAD.saturating_add(spare));
            }
        }
        Self(columns)
    }

    /// The head of the table.
    pub(super) fn head(&self) -> Line {
        let cells = self.0.iter().map(|(_, name, width, right)| fit(name, *width, *right));
        vec![(format!("  {}", cells.collect::<Vec<_>>().join("  ").trim_end()), Tint::Dim)]
    }

    /// The line of an item.
    pub(super) fn row(&self, row: &Row) -> Line {
        let settled = row.settled();
        let mark = if settled { ("✓ ".to_owned(), Tint::Good) } else { ("· ".to_owned(), Tint::Dim) };
        let mut line = vec![mark];
        for (index, (column, _, width, right)) in self.0.iter().enumerate() {
            let (text, tint) = cell(row, *column);
            let gap = if index + 1 == self.0.len() { "" } else { "  " };
            line.push((format!("{}{gap}", fit(&text, *width, *right)), tint));
        }
        line
    }
}

/// The text in exactly this width.
fn fit(text: &str, width: usize, right: bool) -> String {
    let count = text.chars().count();
    if count > width {
        return text.chars().take(width.saturating_sub(1)).chain(['…']).collect();
    }
    let blanks = " ".repeat(width - count);
    if right { format!("{blanks}{text}") } else { format!("{text}{blanks}") }
}

fn cell(row: &Row, column: Column) -> (String, Tint) {
    let refused = row.status.is_some() && !row.taken();
    match column {
        Column::Item => (row.item.item_id.clone(), Tint::Bold),
        Column::Road => (format!("{} → {}", row.item.from, row.item.to), Tint::Plain),
        Column::Lines => (row.item.lines.to_string(), Tint::Plain),
        Column::Delivery if refused => ("refused".to_owned(), Tint::Bad),
        Column::Delivery => (row.delivery.clone(), if row.delivery == "delivered" { Tint::Plain } else { Tint::Waiting }),
        Column::Clearance if refused => {
            let count = super::board::faults(row.problem.as_ref()).count();
            (format!("422, {count} faults"), Tint::Bad)
        }
        Column::Clearance => (row.clearance.clone(), clearance_tint(&row.clearance)),
        Column::Security => (if refused { String::new() } else { row.security.clone() }, Tint::Dim),
        Column::Events => (if row.taken() { row.events.to_string() } else { String::new() }, Tint::Plain),
        Column::Decision => (row.decided.map(duration).unwrap_or_default(), Tint::Plain),
        Column::Broker => match &row.item.expected {
            Expected::Ends { scenario, .. } => (scenario.to_string(), Tint::Dim),
            Expected::Refused(_) => ("never sent".to_owned(), Tint::Dim),
        },
    }
}

fn clearance_tint(status: &str) -> Tint {
    match status {
        "cleared" | "released" => Tint::Good,
        "rejected" | "seized" | "destroyed" | "returned" | "detained" => Tint::Bad,
        "pending" | "submitted" => Tint::Dim,
        _ => Tint::Waiting,
    }
}

/// A duration as people say it: milliseconds below a second.
pub(super) fn duration(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        let ms = duration.as_secs_f64() * 1e3;
        return if ms < 10.0 { format!("{ms:.1} ms") } else { format!("{ms:.0} ms") };
    }
    format!("{:.2} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use serde_json::json;

    use super::super::board::Board;
    use super::super::board::tests::{ends, item};
    use super::*;

    fn board() -> Board {
        let refused = Expected::Refused(vec!["/a".into()]);
        let mut board = Board::new(vec![item("EE123456785KR", ends("cleared")), item("EE551409268KR", refused)]);
        for (at, (status, body)) in [
            (202, json!({ "delivery": { "state": "delivered" }, "clearance": { "status": "cleared" }, "security": { "status": "none" } })),
            (422, json!({ "errors": [{ "pointer": "/a" }, { "pointer": "/b" }] })),
        ]
        .into_iter()
        .enumerate()
        {
            board.rows[at].asked = Some(Instant::now());
            board.answered(at, status, body, None);
        }
        (board.rows[0].decided, board.rows[0].events) = (Some(Duration::from_millis(412)), 4);
        board
    }

    #[test]
    fn a_wide_table_shows_everything() {
        let (layout, board) = (Layout::new(200), board());
        let lines: Vec<_> =
            std::iter::once(layout.head()).chain(board.rows.iter().map(|row| layout.row(row))).map(|line| plain(&line)).collect();
        let expected = [
            "  item           from → to                 lines  delivery   clearance           security  events  decision  the broker's part",
            "✓ EE123456785KR  KR → London                   2  delivered  cleared             none           4    412 ms  clear            ",
            "✓ EE551409268KR  KR → London                   2  refused    422, 2 faults                                   never sent       ",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_narrow_table_leaves_columns_out_and_breaks_no_row() {
        let board = board();
        for width in 60..140 {
            let layout = Layout::new(width);
            let lines: Vec<_> = board.rows.iter().map(|row| plain(&layout.row(row))).collect();
            for line in &lines {
                assert!(line.chars().count() <= width, "{width}: {line}");
                assert!(line.contains("KR") && (line.contains("cleared") || line.contains("422")), "{width}: {line}");
            }
        }
        let usual = plain(&Layout::new(80).head());
        assert!(["from", "events", "decision"].iter().all(|name| usual.contains(name)), "{usual}");
    }
}
