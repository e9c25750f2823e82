//! Pipes that take less than they seem to: `a or b | cut(8)` cuts `b` alone.
//!
//! The grammar lets a pipe bind tighter than every operator, and nobody reads it so. An operator before a pipe
//! therefore has to say with parentheses what the pipe takes. The parsed tree no longer knows them, so this looks at
//! the text. A comparison after the pipe makes it plain: in `a and b | count > 2` the count is compared.

use super::expr::ExprFaults;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operator {
    /// `or`, `and`: what follows may be a comparison.
    Logic,
    /// `else` of a choice, likewise.
    Else,
    Compare,
    /// `+ - ~ * /`
    Arithmetic,
}

enum Token {
    Operand,
    Operator(Operator),
    Open,
    Close,
    /// A comma: what follows begins anew.
    Next,
    /// Of a choice: the condition stands for itself.
    If,
    Pipe,
    Other,
}

/// What stands between two brackets, or between commas in them.
#[derive(Default)]
struct Group {
    start: Option<usize>,
    /// Where a choice begins whose condition is being looked at.
    choice: Option<usize>,
    /// The last operator, and where what follows it begins.
    operator: Option<Operator>,
    operand: usize,
    /// Whether the last token was a value: then `-` is an operator.
    value: bool,
    /// A pipe behind an operator.
    pipe: Option<(usize, Operator, usize)>,
    /// Where the last token ends.
    end: usize,
}

/// Every pipe of a sound expression that follows an operator without parentheses.
pub(super) fn unclear(text: &str) -> ExprFaults {
    let (mut faults, mut groups, mut at) = (Vec::new(), vec![Group::default()], 0);
    while let Some((from, to, token)) = next(text, at, groups.last().is_some_and(|group| group.value)) {
        at = to;
        match token {
            Token::Open => {
                // The first bracket of a value belongs to what is around it.
                if let Some(group) = groups.last_mut() {
                    group.begin(from);
                }
                groups.push(Group::default());
            }
            Token::Close => {
                if let Some(mut inner) = groups.pop() {
                    inner.tell(text, &mut faults);
                }
                if groups.is_empty() {
                    return faults;
                }
                step(&mut groups, |group| group.take(from, to, true));
            }
            Token::Next => step(&mut groups, |group| {
                group.tell(text, &mut faults);
                *group = Group::default();
            }),
            Token::If => step(&mut groups, |group| {
                group.tell(text, &mut faults);
                *group = Group { choice: group.choice.or(group.start), ..Group::default() };
            }),
            Token::Pipe => step(&mut groups, |group| {
                if let (Some(operator), None) = (group.operator, group.pipe) {
                    group.pipe = Some((from, operator, group.operand));
                }
                group.take(from, to, false);
            }),
            Token::Operator(operator) => step(&mut groups, |group| {
                let compared = operator == Operator::Compare && matches!(group.pipe, Some((_, Operator::Logic | Operator::Else, _)));
                if compared {
                    group.pipe = None;
                }
                group.tell(text, &mut faults);
                if operator == Operator::Else {
                    group.start = group.choice.take().or(group.start);
                }
                group.operator = Some(operator);
                group.take(from, to, false);
                group.operand = usize::MAX;
            }),
            Token::Operand => step(&mut groups, |group| group.take(from, to, true)),
            Token::Other => step(&mut groups, |group| group.take(from, to, false)),
        }
    }
    step(&mut groups, |group| group.tell(text, &mut faults));
    faults
}

/// Where a single `=` stands outside of texts: no expression has one.
pub(super) fn single_equals(text: &str) -> Option<usize> {
    let mut at = 0;
    while let Some((from, to, _)) = next(text, at, true) {
        if text.get(from..to) == Some("=") {
            return Some(from);
        }
        at = to;
    }
    None
}

fn step(groups: &mut [Group], work: impl FnOnce(&mut Group)) {
    if let Some(group) = groups.last_mut() {
        work(group);
    }
}

impl Group {
    fn begin(&mut self, from: usize) {
        self.start.get_or_insert(from);
        if self.operand == usize::MAX {
            self.operand = from;
        }
    }

    fn take(&mut self, from: usize, to: usize, value: bool) {
        self.begin(from);
        self.value = value;
        self.end = to;
    }

    /// Tells the pipe that was found, with both ways to write what it may mean.
    fn tell(&mut self, text: &str, faults: &mut ExprFaults) {
        let Some((pipe, operator, operand)) = self.pipe.take() else { return };
        let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default().trim();
        let start = self.start.unwrap_or_default();
        let (before, call) = (part(start, operand), part(pipe, self.end));
        let last = format!("`{before} ({} {call})`", part(operand, pipe));
        let all = format!("`({}) {call}`", part(start, pipe));
        let written = if operator == Operator::Compare { last } else { format!("{all}, or {last}") };
        faults.push((pipe, format!("this | takes only what stands directly before it: write {written}").into()));
    }
}

/// The next token from a place: where it begins and ends.
fn next(text: &str, from: usize, after_value: bool) -> Option<(usize, usize, Token)> {
    let rest = text.get(from..)?;
    let start = from + (rest.len() - rest.trim_start().len());
    let rest = text.get(start..)?;
    let first = rest.chars().next()?;
    let span = |length: usize, token: Token| Some((start, start + length, token));
    if first == '\'' || first == '"' {
        return span(quoted(rest, first), Token::Operand);
    }
    if first.is_alphanumeric() || first == '_' {
        let length = rest.find(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '.')).unwrap_or(rest.len());
        return span(length, word(&rest[..length]));
    }
    if ["==", "!=", "<=", ">="].iter().any(|operator| rest.starts_with(operator)) {
        return span(2, Token::Operator(Operator::Compare));
    }
    let token = match first {
        '(' | '[' => Token::Open,
        ')' | ']' => Token::Close,
        ',' => Token::Next,
        '|' => Token::Pipe,
        '<' | '>' => Token::Operator(Operator::Compare),
        '+' | '-' | '~' | '*' | '/' if after_value => Token::Operator(Operator::Arithmetic),
        _ => Token::Other,
    };
    span(first.len_utf8(), token)
}

fn word(word: &str) -> Token {
    match word {
        "or" | "and" => Token::Operator(Operator::Logic),
        "else" => Token::Operator(Operator::Else),
        "in" => Token::Operator(Operator::Compare),
        "if" => Token::If,
        "not" => Token::Other,
        _ => Token::Operand,
    }
}

/// The length of a quoted text.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}
