//! The paths of reading rules: the part of XPath 1.0 that real notices need.
//!
//! Child steps, `//`, `@attribute`, `.`, `..`, `*`, `text()`, unions `|`, and predicates: a
//! position, a path that finds something, comparisons with a text or a number, `starts-with`,
//! `contains`, `local-name()`, `not(…)`, `and`, `or`. A literal alone (`'GBP'`) is itself, and
//! `concat(…)` joins texts. Names are checked against the rules' own namespaces when a mapping is
//! loaded; a name without prefix has no namespace. Here are the parsed forms and the reading of
//! whole paths; [`super::conditions`] reads what stands in brackets.

use rust_decimal::Decimal;

use super::faults::Remark;

/// Longest path, in bytes.
const MAX_BYTES: usize = 2000;
/// Deepest nesting of brackets.
const MAX_DEPTH: usize = 16;
/// Most brackets of one step.
pub(super) const MAX_PREDICATES: usize = 8;

/// A literal, a union of paths, or texts joined.
#[derive(Debug, Clone)]
pub(super) enum Path {
    Literal(String),
    Union(Vec<Single>),
    Concat(Vec<Path>),
    /// Some characters of a text: from a place, counted from 1, and at most so many.
    Substring(Box<Path>, usize, usize),
}

#[derive(Debug, Clone)]
pub(super) struct Single {
    pub(super) absolute: bool,
    pub(super) steps: Vec<Step>,
    /// Every step goes down by one level or stays: followed one after another, they find each
    /// node once and in document order.
    pub(super) plain: bool,
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

/// A test of names.
#[derive(Debug, Clone)]
pub(super) enum Test {
    Any,
    /// The number of a namespace, and a local name.
    Name(u32, String),
}

/// What a predicate looks at.
#[derive(Debug, Clone)]
pub(super) enum Operand {
    Paths(Vec<Single>),
    LocalName,
}

/// Comparisons of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compare {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone)]
pub(super) enum Predicate {
    Position(usize),
    Exists(Vec<Single>),
    /// Any of them is this text; with `true`, any of them is another.
    Equals(Operand, String, bool),
    /// Any of them is a number for which this holds.
    Number(Vec<Single>, Compare, Decimal),
    StartsWith(Operand, String),
    Contains(Operand, String),
    Not(Box<Predicate>),
    And(Box<Predicate>, Box<Predicate>),
    Or(Box<Predicate>, Box<Predicate>),
}

/// The namespaces that the paths of a file may use: prefixes with their numbers.
#[derive(Debug, Default)]
pub(super) struct Prefixes {
    pub(super) prefixes: Vec<(String, u32)>,
    /// The namespaces; the first has the number 2, for 0 and 1 are none and that of `xml:`.
    pub(super) uris: Vec<String>,
}

impl Prefixes {
    /// Adds a prefix.
    pub(super) fn add(&mut self, prefix: &str, uri: &str) {
        let known = self.uris.iter().position(|known| known == uri);
        let at = known.unwrap_or_else(|| {
            self.uris.push(uri.to_owned());
            self.uris.len() - 1
        });
        let number = if uri.is_empty() { 0 } else { u32::try_from(at + 2).unwrap_or(u32::MAX) };
        self.prefixes.push((prefix.to_owned(), number));
    }
}

/// Parses a path.
///
/// # Errors
/// The first fault with its byte offset.
pub(super) fn parse(text: &str, prefixes: &Prefixes) -> Parsed<Path> {
    if text.len() > MAX_BYTES {
        return Err((0, format!("a path may have {MAX_BYTES} bytes at most").into()));
    }
    let mut parser = Parser { text, at: 0, prefixes, depth: 0 };
    let path = parser.path()?;
    parser.blanks();
    if parser.at < text.len() { Err((parser.at, "the path should end here".into())) } else { Ok(path) }
}

/// `.`: the node itself.
pub(super) fn here() -> Path {
    let steps = vec![Step { deep: false, axis: Axis::Itself, predicates: Vec::new() }];
    Path::Union(vec![Single { absolute: false, steps, plain: true }])
}

pub(super) struct Parser<'t> {
    pub(super) text: &'t str,
    pub(super) at: usize,
    prefixes: &'t Prefixes,
    depth: usize,
}

pub(super) type Parsed<T> = Result<T, (usize, Remark)>;

impl<'t> Parser<'t> {
    pub(super) fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    pub(super) fn blanks(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    pub(super) fn take(&mut self, token: &str) -> bool {
        self.blanks();
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    /// Takes the name of a function and its opening bracket.
    pub(super) fn function(&mut self, name: &str) -> bool {
        self.blanks();
        let after = self.rest().strip_prefix(name).map(str::trim_start);
        match after.and_then(|rest| rest.strip_prefix('(')) {
            Some(rest) => {
                self.at = self.text.len() - rest.len();
                true
            }
            None => false,
        }
    }

    pub(super) fn token(&mut self, token: &str) -> Parsed<()> {
        if self.take(token) { Ok(()) } else { Err((self.at, format!("a {token} is expected").into())) }
    }

    pub(super) fn deeper(&mut self) -> Parsed<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH { Err((self.at, "nested too deep".into())) } else { Ok(()) }
    }

    pub(super) fn higher(&mut self) {
        self.depth -= 1;
    }

    fn path(&mut self) -> Parsed<Path> {
        if let Some(literal) = self.literal()? {
            return Ok(Path::Literal(literal));
        }
        if self.function("substring") {
            return self.substring();
        }
        if !self.function("concat") {
            return Ok(Path::Union(self.union()?));
        }
        self.deeper()?;
        let mut parts = vec![self.path()?];
        while self.take(",") {
            parts.push(self.path()?);
        }
        self.token(")")?;
        self.higher();
        if parts.len() < 2 { Err((self.at, "concat joins at least two texts".into())) } else { Ok(Path::Concat(parts)) }
    }

    /// `substring(path, from, length)`, without the length to the end.
    fn substring(&mut self) -> Parsed<Path> {
        self.deeper()?;
        let path = self.path()?;
        self.token(",")?;
        let from = self.whole()?;
        let length = if self.take(",") { self.whole()? } else { usize::MAX };
        self.token(")")?;
        self.higher();
        if from == 0 { Err((self.at, "characters are counted from 1".into())) } else { Ok(Path::Substring(Box::new(path), from, length)) }
    }

    fn whole(&mut self) -> Parsed<usize> {
        self.blanks();
        let digits = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        let number = self.rest()[..digits].parse().map_err(|_| (self.at, Remark::new("a whole number is expected")))?;
        self.at += digits;
        Ok(number)
    }

    pub(super) fn literal(&mut self) -> Parsed<Option<String>> {
        self.blanks();
        let Some(quote) = self.rest().chars().next().filter(|c| matches!(c, '\'' | '"')) else { return Ok(None) };
        let start = self.at + 1;
        let end = self.text[start..].find(quote).ok_or((self.at, Remark::new("the quote is not closed")))? + start;
        self.at = end + 1;
        Ok(Some(self.text[start..end].to_owned()))
    }

    pub(super) fn union(&mut self) -> Parsed<Vec<Single>> {
        self.deeper()?;
        let mut paths = vec![self.single()?];
        while self.take("|") {
            paths.push(self.single()?);
        }
        self.higher();
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
        let plain = steps.iter().all(|step| !step.deep && !matches!(step.axis, Axis::Parent));
        Ok(Single { absolute, steps, plain })
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
            if predicates.len() == MAX_PREDICATES {
                return Err((self.at, format!("at most {MAX_PREDICATES} brackets on one step").into()));
            }
            predicates.push(self.either()?);
            self.token("]")?;
        }
        Ok(Step { deep, axis, predicates })
    }

    pub(super) fn word(&mut self) -> &'t str {
        let name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        let end = self.rest().find(|c| !name(c)).unwrap_or(self.rest().len());
        let word = &self.text[self.at..self.at + end];
        self.at += end;
        word
    }

    fn test(&mut self) -> Parsed<Test> {
        self.blanks();
        if self.take("*") {
            return Ok(Test::Any);
        }
        let start = self.at;
        let first = self.word();
        if first.is_empty() {
            return Err((start, "a name is expected".into()));
        }
        if self.rest().starts_with('(') {
            const FUNCTIONS: [&str; 5] = ["starts-with", "contains", "local-name", "not", "text"];
            let remark = "this function is not known here: starts-with, contains, local-name and not stand in brackets, concat and substring are values";
            return Err((start, Remark::unknown(remark, first, FUNCTIONS.into_iter().filter(|known| *known != first))));
        }
        if !self.rest().starts_with(':') {
            return Ok(Test::Name(0, first.to_owned()));
        }
        self.at += 1;
        let local = self.word();
        if local.is_empty() {
            return Err((self.at, "a name is expected".into()));
        }
        match self.prefixes.prefixes.iter().find(|(prefix, _)| prefix == first) {
            Some((_, number)) => Ok(Test::Name(*number, local.to_owned())),
            None => {
                let known = self.prefixes.prefixes.iter().map(|(prefix, _)| prefix.as_str());
                Err((start, Remark::unknown(format!("[namespaces] has no prefix {first}"), first, known)))
            }
        }
    }
}
