//! The paths of reading rules: the part of XPath 1.0 that real notices need.
//!
//! Child steps, `//`, `@attribute`, `.`, `..`, `*`, `text()`, unions `|`, and predicates: a
//! position, a path that finds something, a path whose text equals a literal, `not(…)`, `and`,
//! `or`. A literal alone (`'GBP'`) is itself. Names are checked against the rules' own namespaces
//! when a mapping is loaded; a name without prefix has no namespace.

use super::dom::{Content, Dom, NodeId};
use super::faults::Remark;
use super::reading::{Unreadable, UnreadableReason as Reason};

/// Longest path, in bytes.
const MAX_BYTES: usize = 2000;
/// Most nodes that the paths of one notice may look at together.
pub(super) const BUDGET: u64 = 5_000_000;

/// A union of paths, or a literal.
#[derive(Debug, Clone)]
pub(super) enum Path {
    Literal(String),
    Union(Vec<Single>),
}

#[derive(Debug, Clone)]
pub(super) struct Single {
    absolute: bool,
    steps: Vec<Step>,
}

#[derive(Debug, Clone)]
struct Step {
    /// Whether any depth is allowed before this step (`//`).
    deep: bool,
    axis: Axis,
    predicates: Vec<Predicate>,
}

#[derive(Debug, Clone)]
enum Axis {
    Child(Test),
    Attribute(Test),
    Itself,
    Parent,
    Text,
}

#[derive(Debug, Clone)]
struct Test {
    /// Namespace; `None` for any name.
    name: Option<(String, String)>,
}

#[derive(Debug, Clone)]
enum Predicate {
    Position(usize),
    Exists(Vec<Single>),
    Equals(Vec<Single>, String, bool),
    Not(Box<Predicate>),
    And(Box<Predicate>, Box<Predicate>),
    Or(Box<Predicate>, Box<Predicate>),
}

/// A node that a path found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Found {
    Node(NodeId),
    Attribute(NodeId, u32),
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

/// Follows paths in one document, within a budget.
pub(super) struct Finder<'d> {
    pub dom: &'d Dom,
    budget: u64,
}

impl<'d> Finder<'d> {
    pub(super) fn new(dom: &'d Dom) -> Self {
        Self { dom, budget: BUDGET }
    }

    fn spend(&mut self, cost: usize) -> Result<(), Unreadable> {
        let cost = u64::try_from(cost).unwrap_or(u64::MAX);
        self.budget = self.budget.checked_sub(cost).ok_or(Unreadable::from(Reason::TooComplex))?;
        Ok(())
    }

    /// The nodes that a path finds from a node, in document order.
    pub(super) fn find(&mut self, path: &Path, from: Found) -> Result<Vec<Found>, Unreadable> {
        match path {
            Path::Literal(_) => Ok(Vec::new()),
            Path::Union(paths) => self.union(paths, from),
        }
    }

    /// The trimmed text that a path finds first; `None` when there is none.
    pub(super) fn text(&mut self, path: &Path, from: Found) -> Result<Option<String>, Unreadable> {
        if let Path::Literal(literal) = path {
            return Ok(Some(literal.clone()));
        }
        for found in self.find(path, from)? {
            let text = self.string(found)?;
            if !text.trim().is_empty() {
                return Ok(Some(text.trim().to_owned()));
            }
        }
        Ok(None)
    }

    fn string(&mut self, found: Found) -> Result<String, Unreadable> {
        let (text, cost) = match found {
            Found::Node(id) => self.dom.text(id),
            Found::Attribute(id, index) => {
                let value = self.dom.attributes(id).get(index as usize).map(|(_, value)| value.clone());
                (value.unwrap_or_default(), 1)
            }
        };
        self.spend(cost + text.len() / 64)?;
        Ok(text)
    }

    fn union(&mut self, paths: &[Single], from: Found) -> Result<Vec<Found>, Unreadable> {
        let mut all = Vec::new();
        for path in paths {
            let mut found = vec![if path.absolute { Found::Node(0) } else { from }];
            for step in &path.steps {
                found = self.step(step, &found)?;
            }
            all.extend(found);
        }
        if paths.len() > 1 {
            all.sort_unstable();
            all.dedup();
        }
        Ok(all)
    }

    fn step(&mut self, step: &Step, from: &[Found]) -> Result<Vec<Found>, Unreadable> {
        let mut all = Vec::new();
        for start in from {
            let starts = if step.deep { self.descendants(*start)? } else { vec![*start] };
            for start in starts {
                let candidates = self.axis(&step.axis, start)?;
                all.extend(self.filter(&step.predicates, candidates)?);
            }
        }
        if from.len() > 1 || step.deep {
            all.sort_unstable();
            all.dedup();
        }
        Ok(all)
    }

    fn descendants(&mut self, from: Found) -> Result<Vec<Found>, Unreadable> {
        let Found::Node(id) = from else { return Ok(vec![from]) };
        let mut found = Vec::new();
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            found.push(Found::Node(id));
            open.extend(self.dom.children(id).iter().rev());
        }
        self.spend(found.len())?;
        Ok(found)
    }

    fn axis(&mut self, axis: &Axis, from: Found) -> Result<Vec<Found>, Unreadable> {
        let Found::Node(id) = from else {
            return Ok(match (axis, from) {
                (Axis::Itself, _) => vec![from],
                (Axis::Parent, Found::Attribute(parent, _)) => vec![Found::Node(parent)],
                _ => Vec::new(),
            });
        };
        let dom = self.dom;
        let found: Vec<Found> = match axis {
            Axis::Itself => vec![from],
            Axis::Parent if id == 0 => Vec::new(),
            Axis::Parent => dom.node(id).map(|node| Found::Node(node.parent)).into_iter().collect(),
            Axis::Text => {
                let is_text = |id: &&NodeId| matches!(dom.node(**id).map(|node| &node.content), Some(Content::Text(_)));
                dom.children(id).iter().filter(is_text).map(|id| Found::Node(*id)).collect()
            }
            Axis::Child(test) => {
                let wanted = test.resolve(dom);
                let fits = |id: &&NodeId| dom.name(**id).is_some_and(|name| wanted.fits(name.namespace, &name.local));
                dom.children(id).iter().filter(fits).map(|id| Found::Node(*id)).collect()
            }
            Axis::Attribute(test) => {
                let wanted = test.resolve(dom);
                let list = dom.attributes(id).iter().zip(0..);
                list.filter(|((name, _), _)| wanted.fits(name.namespace, &name.local))
                    .map(|(_, index)| Found::Attribute(id, index))
                    .collect()
            }
        };
        self.spend(1 + dom.children(id).len())?;
        Ok(found)
    }

    fn filter(&mut self, predicates: &[Predicate], mut candidates: Vec<Found>) -> Result<Vec<Found>, Unreadable> {
        for predicate in predicates {
            let mut kept = Vec::with_capacity(candidates.len());
            for (index, candidate) in candidates.into_iter().enumerate() {
                if self.holds(predicate, candidate, index + 1)? {
                    kept.push(candidate);
                }
            }
            candidates = kept;
        }
        Ok(candidates)
    }

    fn holds(&mut self, predicate: &Predicate, at: Found, position: usize) -> Result<bool, Unreadable> {
        Ok(match predicate {
            Predicate::Position(wanted) => position == *wanted,
            Predicate::Exists(paths) => !self.union(paths, at)?.is_empty(),
            Predicate::Equals(paths, text, negated) => {
                let mut holds = false;
                for found in self.union(paths, at)? {
                    holds |= (self.string(found)?.trim() == text) != *negated;
                }
                holds
            }
            Predicate::Not(inner) => !self.holds(inner, at, position)?,
            Predicate::And(a, b) => self.holds(a, at, position)? && self.holds(b, at, position)?,
            Predicate::Or(a, b) => self.holds(a, at, position)? || self.holds(b, at, position)?,
        })
    }
}

/// A test with its namespace looked up in one document.
enum Wanted<'p> {
    Any,
    Nothing,
    Name(u32, &'p str),
}

impl Test {
    fn resolve(&self, dom: &Dom) -> Wanted<'_> {
        match &self.name {
            None => Wanted::Any,
            Some((uri, local)) => dom.namespace(uri).map_or(Wanted::Nothing, |number| Wanted::Name(number, local)),
        }
    }
}

impl Wanted<'_> {
    fn fits(&self, namespace: u32, local: &str) -> bool {
        match self {
            Wanted::Any => true,
            Wanted::Nothing => false,
            Wanted::Name(wanted, name) => *wanted == namespace && *name == local,
        }
    }
}
