//! The paths of reading rules: the part of XPath 1.0 that real notices need.
//!
//! Child steps, `//`, `@attribute`, `.`, `..`, `*`, `text()`, unions `|`, and predicates: a
//! position, a path that finds something, a path whose text equals a literal, `not(…)`, `and`,
//! `or`. A literal alone (`'GBP'`) is itself. Names are checked against the rules' own namespaces
//! when a mapping is loaded; a name without prefix has no namespace.

use super::faults::Remark;

/// Longest path, in bytes.
const MAX_BYTES: usize = 2000;
/// A union of paths, or a literal.
#[derive(Debug, Clone)]
pub(super) enum Path {
    Literal(String),
    Union(Vec<Single>),
}

#[derive(Debug, Clone)]
pub(super) struct Single {
    pub(super) absolute: bool,
    pub(super) steps: Vec<Step>,
}

#[derive(Debug, Clone)]
pub(super) struct Step {
    /// Whether any depth is allowed before this step (`//`).
    pub(super) deep: bool,
    pub(super) axis: Axis,
    pub(super) predicates: Vec<Predicate>,
}

#[derive(Debug, Clone)]
pub(super) enum Axis {
    Child(Test),
    Attribute(Test),
    Itself,
    Parent,
    Text,
}

#[derive(Debug, Clone)]
pub(super) struct Test {
    /// Namespace; `None` for any name.
    pub(super) name: Option<(String, String)>,
}

#[derive(Debug, Clone)]
pub(super) enum Predicate {
    Position(usize),
    Exists(Vec<Single>),
    Equals(Vec<Single>, String, bool),
    Not(Box<Predicate>),
    And(Box<Predicate>, Box<Predicate>),
    Or(Box<Predicate>, Box<Predicate>),
}

/// Parses a path.
///
/// # Errors
/// The first fault with its byte offset.
pub(super) fn parse(text: &str, namespaces: &[(String, String)]) -> Result<Path, (usize, Remark)> {
    if text.len() > MAX_BYTES {
        return Err((0, format!("a path may have {MAX_BYTES} bytes at most").into()));
    }
    let mut parser = Parser { text, at: 0, namespaces, depth: 0 };
    parser.blanks();
    let path = match parser.literal()? {
        Some(literal) => Path::Literal(literal),
        None => Path::Union(parser.union()?),
    };
    parser.blanks();
    if parser.at < text.len() { Err((parser.at, "the path should end here".into())) } else { Ok(path) }
}

/// `.`: the node itself.
pub(super) fn here() -> Path {
    Path::Union(vec![Single { absolute: false, steps: vec![Step { deep: false, axis: Axis::Itself, predicates: Vec::new() }] }])
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    namespaces: &'t [(String, String)],
    depth: usize,
}

type Parsed<T> = Result<T, (usize, Remark)>;

impl<'t> Parser<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn blanks(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn take(&mut self, token: &str) -> bool {
        self.blanks();
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn literal(&mut self) -> Parsed<Option<String>> {
        self.blanks();
        let Some(quote) = self.rest().chars().next().filter(|c| matches!(c, '\'' | '"')) else { return Ok(None) };
        let start = self.at + 1;
        let end = self.text[start..].find(quote).ok_or((self.at, Remark::new("the quote is not closed")))? + start;
        self.at = end + 1;
        Ok(Some(self.text[start..end].to_owned()))
    }

    fn union(&mut self) -> Parsed<Vec<Single>> {
        self.depth += 1;
        if self.depth > 16 {
            return Err((self.at, "nested too deep".into()));
        }
        let mut paths = vec![self.single()?];
        while self.take("|") {
            paths.push(self.single()?);
        }
        self.depth -= 1;
        Ok(paths)
    }

    fn single(&mut self) -> Parsed<Single> {
        self.blanks();
        let mut deep = self.take("//");
        let absolute = deep || self.take("/");
        let mut steps = vec![self.step(deep)?];
        loop {
            deep = self.take("//");
            if !deep && !self.take("/") {
                break;
            }
            steps.push(self.step(deep)?);
        }
        Ok(Single { absolute, steps })
    }

    fn step(&mut self, deep: bool) -> Parsed<Step> {
        self.blanks();
        let axis = if self.take("..") {
            Axis::Parent
        } else if self.take(".") {
            Axis::Itself
        } else if self.take("text()") {
            Axis::Text
        } else if self.take("@") {
            Axis::Attribute(self.test()?)
        } else {
            Axis::Child(self.test()?)
        };
        let mut predicates = Vec::new();
        while self.take("[") {
            predicates.push(self.either()?);
            if !self.take("]") {
                return Err((self.at, "a ] is expected".into()));
            }
        }
        Ok(Step { deep, axis, predicates })
    }

    fn word(&mut self) -> &'t str {
        let name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        let end = self.rest().find(|c| !name(c)).unwrap_or(self.rest().len());
        let word = &self.text[self.at..self.at + end];
        self.at += end;
        word
    }

    fn test(&mut self) -> Parsed<Test> {
        self.blanks();
        if self.take("*") {
            return Ok(Test { name: None });
        }
        let start = self.at;
        let first = self.word();
        if first.is_empty() {
            return Err((start, "a name is expected".into()));
        }
        if !self.rest().starts_with(':') {
            return Ok(Test { name: Some((String::new(), first.to_owned())) });
        }
        self.at += 1;
        let local = self.word();
        if local.is_empty() {
            return Err((self.at, "a name is expected".into()));
        }
        match self.namespaces.iter().find(|(prefix, _)| prefix == first) {
            Some((_, uri)) => Ok(Test { name: Some((uri.clone(), local.to_owned())) }),
            None => {
                let known = self.namespaces.iter().map(|(prefix, _)| prefix.as_str());
                Err((start, Remark::unknown(format!("[namespaces] has no prefix {first}"), first, known)))
            }
        }
    }

    fn either(&mut self) -> Parsed<Predicate> {
        let mut left = self.both()?;
        while self.keyword("or") {
            left = Predicate::Or(Box::new(left), Box::new(self.both()?));
        }
        Ok(left)
    }

    fn both(&mut self) -> Parsed<Predicate> {
        let mut left = self.predicate()?;
        while self.keyword("and") {
            left = Predicate::And(Box::new(left), Box::new(self.predicate()?));
        }
        Ok(left)
    }

    fn keyword(&mut self, word: &str) -> bool {
        self.blanks();
        let follows = |rest: &str| rest.starts_with([' ', '(', '\t']);
        let found = self.rest().strip_prefix(word).is_some_and(follows);
        if found {
            self.at += word.len();
        }
        found
    }

    fn predicate(&mut self) -> Parsed<Predicate> {
        self.blanks();
        if self.take("not(") {
            self.depth += 1;
            if self.depth > 16 {
                return Err((self.at, "nested too deep".into()));
            }
            let inner = self.either()?;
            self.depth -= 1;
            return if self.take(")") { Ok(Predicate::Not(Box::new(inner))) } else { Err((self.at, "a ) is expected".into())) };
        }
        if self.rest().starts_with(|c: char| c.is_ascii_digit()) {
            let start = self.at;
            return match self.word().parse::<usize>() {
                Ok(position @ 1..) => Ok(Predicate::Position(position)),
                _ => Err((start, "positions count from 1".into())),
            };
        }
        let paths = self.union()?;
        let negated = self.take("!=");
        if !negated && !self.take("=") {
            return Ok(Predicate::Exists(paths));
        }
        match self.literal()? {
            Some(literal) => Ok(Predicate::Equals(paths, literal, negated)),
            None => Err((self.at, "a text in quotes is expected".into())),
        }
    }
}
