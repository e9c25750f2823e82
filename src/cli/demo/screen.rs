//! What the person sees: a table that moves on a terminal, lines that come one by one elsewhere.
//!
//! Why it exists: the same demo runs in front of a newcomer and in a build's log. On a terminal the table is redrawn in place
//! and coloured (unless `NO_COLOR` is set); everywhere else each item's line is written once, when it has got where it should.
//!
//! Invariants: no escape sequence reaches anything but a terminal; a table that is higher than the terminal shows what still
//! moves, and is written whole at the end.

use std::io::{IsTerminal as _, Write as _};

use super::board::{Board, Row};
use super::table::{Layout, Line, Tint};

/// Standard output, and what is drawn on it.
pub(super) struct Screen {
    terminal: bool,
    colours: bool,
    layout: Layout,
    /// Lines of the table that stand on the terminal now.
    drawn: usize,
    /// Rows that have been written for good, where there is no terminal.
    written: Vec<bool>,
}

impl Screen {
    pub(super) fn new() -> Self {
        let terminal = std::io::stdout().is_terminal();
        let colours = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let width = if terminal { usize::from(size().1) } else { usize::MAX };
        Self { terminal, colours, layout: Layout::new(width), drawn: 0, written: Vec::new() }
    }

    /// Writes text as it is. A closed pipe is no fault of ours.
    pub(super) fn text(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }

    /// Writes lines.
    pub(super) fn lines(&self, lines: &[Line]) {
        let text: String = lines.iter().map(|line| format!("{}\n", self.paint(line))).collect();
        self.text(&text);
    }

    /// Shows the board as it stands.
    pub(super) fn show(&mut self, board: &Board) {
        if !self.terminal {
            return self.append(board);
        }
        let rows = usize::from(size().0).saturating_sub(3);
        let mut lines = vec![self.layout.head()];
        let shown = moving(board, rows);
        lines.extend(shown.iter().map(|row| self.layout.row(row)));
        if shown.len() < board.rows.len() {
            lines.push(vec![(format!("  … and {} more", board.rows.len() - shown.len()), Tint::Dim)]);
        }
        self.redraw(&lines);
    }

    /// Shows the board for the last time, whole.
    pub(super) fn finish(&mut self, board: &Board) {
        if !self.terminal {
            // What has not got where it should has no line yet.
            self.append(board);
            for (row, _) in board.rows.iter().zip(&self.written).filter(|(_, written)| !**written) {
                self.lines(&[self.layout.row(row)]);
            }
            return;
        }
        let mut lines = vec![self.layout.head()];
        lines.extend(board.rows.iter().map(|row| self.layout.row(row)));
        self.redraw(&lines);
        self.drawn = 0;
    }

    fn append(&mut self, board: &Board) {
        if self.written.is_empty() {
            self.lines(&[self.layout.head()]);
            self.written = vec![false; board.rows.len()];
        }
        for (at, row) in board.rows.iter().enumerate() {
            if row.settled() && !std::mem::replace(&mut self.written[at], true) {
                self.lines(&[self.layout.row(row)]);
            }
        }
    }

    /// Draws over what was drawn before, in one write, so that nothing flickers.
    fn redraw(&mut self, lines: &[Line]) {
        let up = if self.drawn > 0 { format!("\x1b[{}A\r", self.drawn) } else { String::new() };
        let body: String = lines.iter().map(|line| format!("\x1b[2K{}\n", self.paint(line))).collect();
        self.text(&format!("\x1b[?2026h{up}{body}\x1b[J\x1b[?2026l"));
        self.drawn = lines.len();
    }

    /// A line with the colours of this screen.
    pub(super) fn paint(&self, line: &Line) -> String {
        line.iter().map(|(text, tint)| self.tint(text, *tint)).collect()
    }

    fn tint(&self, text: &str, tint: Tint) -> String {
        let code = match tint {
            Tint::Plain => return text.to_owned(),
            _ if !self.colours => return text.to_owned(),
            Tint::Dim => "2",
            Tint::Bold => "1",
            Tint::Good => "32",
            Tint::Waiting => "33",
            Tint::Bad => "31",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// The rows to show where not all have room: those that still move, then the first of the others; in their order.
fn moving(board: &Board, room: usize) -> Vec<&Row> {
    if board.rows.len() <= room {
        return board.rows.iter().collect();
    }
    let room = room.saturating_sub(1);
    let mut chosen: Vec<usize> = (0..board.rows.len()).filter(|at| !board.rows[*at].settled()).take(room).collect();
    let settled = (0..board.rows.len()).filter(|at| board.rows[*at].settled());
    chosen.extend(settled.take(room - chosen.len().min(room)));
    chosen.sort_unstable();
    chosen.into_iter().map(|at| &board.rows[at]).collect()
}

/// Rows and columns of the terminal; 24 × 80 where it does not say.
fn size() -> (u16, u16) {
    match rustix::termios::tcgetwinsize(std::io::stdout()) {
        Ok(size) if size.ws_row > 0 && size.ws_col > 0 => (size.ws_row, size.ws_col),
        _ => (24, 80),
    }
}
