//! Follows the paths of [`super::xpath`] in one document, within a budget: no rule, however written,
//! can spend more than a bounded time on a notice.

use std::borrow::Cow;

use rust_decimal::Decimal;

use super::dom::{Content, Dom, Name, NodeId};
use super::reading::{Unreadable, UnreadableReason as Reason};
use super::xpath::{Axis, Compare, MAX_PREDICATES, Operand, Path, Predicate, Single, Step, Test};

/// Most nodes that the paths of one notice may look at together.
const BUDGET: usize = 5_000_000;

/// A node that a path found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Found {
    Node(NodeId),
    Attribute(NodeId, u32),
}

/// What a path's follower says after each node: go on, or that is enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Go,
    Stop,
}

type Read<T> = Result<T, Unreadable>;
/// Takes the nodes that a path finds, one after another.
type Take<'t, 'd, 'a> = &'t mut dyn FnMut(&mut Finder<'d, 'a>, Found) -> Read<Flow>;

/// Follows paths in one document, within a budget.
pub(super) struct Finder<'d, 'a> {
    pub dom: &'d Dom<'a>,
    budget: usize,
}

impl<'d, 'a> Finder<'d, 'a> {
    pub(super) fn new(dom: &'d Dom<'a>) -> Self {
        Self { dom, budget: BUDGET }
    }

    fn spend(&mut self, cost: usize) -> Read<()> {
        self.budget = self.budget.checked_sub(cost).ok_or(Reason::TooComplex)?;
        Ok(())
    }

    /// The nodes that a path finds from a node, in document order.
    pub(super) fn find(&mut self, path: &Path, from: Found) -> Read<Vec<Found>> {
        let mut all = Vec::new();
        if let Path::Union(paths) = path {
            self.union(paths, from, &mut |_, found| {
                all.push(found);
                Ok(Flow::Go)
            })?;
        }
        Ok(all)
    }

    /// Whether a path finds anything.
    pub(super) fn exists(&mut self, path: &Path, from: Found) -> Read<bool> {
        match path {
            Path::Union(paths) => self.any(paths, from, &mut |_, _| Ok(true)),
            Path::Literal(_) | Path::Concat(_) | Path::Substring(..) => Ok(false),
        }
    }

    /// The trimmed text that a path finds first; `None` when there is none.
    pub(super) fn text<'p>(&mut self, path: &'p Path, from: Found) -> Read<Option<Cow<'p, str>>>
    where
        'd: 'p,
    {
        match path {
            Path::Literal(literal) => Ok(Some(Cow::Borrowed(literal))),
            Path::Concat(parts) => self.concat(parts, from),
            Path::Substring(path, start, length) => {
                let text = self.text(path, from)?;
                let part = text.map(|text| text.chars().skip(start.saturating_sub(1)).take(*length).collect::<String>());
                Ok(part.filter(|part| !part.is_empty()).map(Cow::Owned))
            }
            Path::Union(paths) => {
                let mut first = None;
                self.any(paths, from, &mut |finder, found| {
                    let text = trimmed(finder.string(found)?);
                    let there = !text.is_empty();
                    first = there.then_some(text);
                    Ok(there)
                })?;
                Ok(first)
            }
        }
    }

    /// Joined texts; what is missing is empty, and all missing is missing.
    fn concat<'p>(&mut self, parts: &'p [Path], from: Found) -> Read<Option<Cow<'p, str>>>
    where
        'd: 'p,
    {
        let (mut joined, mut there) = (String::new(), false);
        for part in parts {
            if let Some(text) = self.text(part, from)? {
                there |= !matches!(part, Path::Literal(_));
                joined.push_str(&text);
            }
        }
        Ok(there.then_some(Cow::Owned(joined)))
    }

    fn string(&mut self, found: Found) -> Read<Cow<'d, str>> {
        let dom = self.dom;
        let (text, cost) = match found {
            Found::Node(id) => dom.text(id),
            Found::Attribute(id, index) => {
                let value = dom.attributes(id).get(index as usize);
                (value.map_or(Cow::Borrowed(""), |(_, value)| Cow::Borrowed(&**value)), 1)
            }
        };
        self.spend(cost + text.len() / 64)?;
        Ok(text)
    }

    /// Whether something holds for any node that paths find.
    fn any(&mut self, paths: &[Single], from: Found, test: &mut dyn FnMut(&mut Self, Found) -> Read<bool>) -> Read<bool> {
        let mut holds = false;
        self.union(paths, from, &mut |finder, found| {
            holds = test(finder, found)?;
            Ok(if holds { Flow::Stop } else { Flow::Go })
        })?;
        Ok(holds)
    }

    fn union(&mut self, paths: &[Single], from: Found, take: Take<'_, 'd, 'a>) -> Read<()> {
        if let [path] = paths
            && path.plain
        {
            let from = if path.absolute { Found::Node(0) } else { from };
            return self.walk(&path.steps, from, take).map(|_| ());
        }
        let mut all = Vec::new();
        for path in paths {
            all.extend(self.collected(path, from)?);
        }
        if paths.len() > 1 {
            all.sort_unstable();
            all.dedup();
        }
        for found in all {
            if take(self, found)? == Flow::Stop {
                break;
            }
        }
        Ok(())
    }

    /// Follows a path step by step; after each the nodes are put in order.
    fn collected(&mut self, path: &Single, from: Found) -> Read<Vec<Found>> {
        let mut found = vec![if path.absolute { Found::Node(0) } else { from }];
        for step in &path.steps {
            let starts = match (step.deep, found) {
                (true, found) => self.descendants(&found)?,
                (false, found) => found,
            };
            let mut next = Vec::new();
            for start in &starts {
                self.walk(std::slice::from_ref(step), *start, &mut |_, found| {
                    next.push(found);
                    Ok(Flow::Go)
                })?;
            }
            if starts.len() > 1 {
                next.sort_unstable();
                next.dedup();
            }
            found = next;
        }
        Ok(found)
    }

    fn descendants(&mut self, from: &[Found]) -> Read<Vec<Found>> {
        let mut all = Vec::new();
        for found in from {
            match found {
                Found::Node(id) => {
                    let before = all.len();
                    all.extend(self.dom.below(*id).map(Found::Node));
                    self.spend(all.len() - before)?;
                }
                Found::Attribute(..) => all.push(*found),
            }
        }
        if from.len() > 1 {
            all.sort_unstable();
            all.dedup();
        }
        Ok(all)
    }

    /// Follows the steps from one node, depth first.
    fn walk(&mut self, steps: &[Step], from: Found, take: Take<'_, 'd, 'a>) -> Read<Flow> {
        let Some((step, rest)) = steps.split_first() else { return take(self, from) };
        let mut counts = [0; MAX_PREDICATES];
        let Found::Node(id) = from else {
            let next = match (&step.axis, from) {
                (Axis::Itself, _) => from,
                (Axis::Parent, Found::Attribute(parent, _)) => Found::Node(parent),
                _ => return Ok(Flow::Go),
            };
            return self.candidate(step, rest, next, &mut counts, take);
        };
        let dom = self.dom;
        self.spend(1)?;
        match &step.axis {
            Axis::Itself => self.candidate(step, rest, from, &mut counts, take),
            Axis::Parent if id == 0 => Ok(Flow::Go),
            Axis::Parent => {
                let parent = dom.node(id).map_or(0, |node| node.parent);
                self.candidate(step, rest, Found::Node(parent), &mut counts, take)
            }
            Axis::Text | Axis::Child(_) => {
                for child in dom.children(id) {
                    self.spend(1)?;
                    let fits = match (&step.axis, dom.node(child).map(|node| &node.content)) {
                        (Axis::Text, Some(Content::Text(_))) => true,
                        (Axis::Child(test), Some(Content::Element(name, ..))) => test.fits(name),
                        _ => false,
                    };
                    if fits && self.candidate(step, rest, Found::Node(child), &mut counts, take)? == Flow::Stop {
                        return Ok(Flow::Stop);
                    }
                }
                Ok(Flow::Go)
            }
            Axis::Attribute(test) => {
                for ((name, _), index) in dom.attributes(id).iter().zip(0..) {
                    self.spend(1)?;
                    let found = Found::Attribute(id, index);
                    if test.fits(name) && self.candidate(step, rest, found, &mut counts, take)? == Flow::Stop {
                        return Ok(Flow::Stop);
                    }
                }
                Ok(Flow::Go)
            }
        }
    }

    /// A node that a step comes to: goes on from it when all in brackets holds. Each bracket
    /// counts the positions of those that the brackets before it let pass.
    fn candidate(
        &mut self,
        step: &Step,
        rest: &[Step],
        at: Found,
        counts: &mut [usize; MAX_PREDICATES],
        take: Take<'_, 'd, 'a>,
    ) -> Read<Flow> {
        for (predicate, count) in step.predicates.iter().zip(counts) {
            *count += 1;
            if !self.holds(predicate, at, *count)? {
                return Ok(Flow::Go);
            }
        }
        self.walk(rest, at, take)
    }

    fn holds(&mut self, predicate: &Predicate, at: Found, position: usize) -> Read<bool> {
        match predicate {
            Predicate::Position(wanted) => Ok(position == *wanted),
            Predicate::Exists(paths) => self.any(paths, at, &mut |_, _| Ok(true)),
            Predicate::Equals(Operand::LocalName, text, negated) => Ok((self.local_name(at) == text) != *negated),
            Predicate::Equals(Operand::Paths(paths), text, negated) => {
                self.any(paths, at, &mut |finder, found| Ok((finder.string(found)?.trim() == text) != *negated))
            }
            Predicate::Number(paths, compare, number) => self.any(paths, at, &mut |finder, found| {
                let value = Decimal::from_str_exact(finder.string(found)?.trim());
                Ok(value.is_ok_and(|value| compare.holds(value, *number)))
            }),
            Predicate::StartsWith(operand, text) => self.first(operand, at, |value| value.starts_with(text)),
            Predicate::Contains(operand, text) => self.first(operand, at, |value| value.contains(text)),
            Predicate::Not(inner) => Ok(!self.holds(inner, at, position)?),
            Predicate::And(a, b) => Ok(self.holds(a, at, position)? && self.holds(b, at, position)?),
            Predicate::Or(a, b) => Ok(self.holds(a, at, position)? || self.holds(b, at, position)?),
        }
    }

    /// Whether something holds for the text of the first node; as XPath has it, others do not count.
    fn first(&mut self, operand: &Operand, at: Found, test: impl Fn(&str) -> bool) -> Read<bool> {
        let Operand::Paths(paths) = operand else { return Ok(test(self.local_name(at))) };
        let mut holds = false;
        self.any(paths, at, &mut |finder, found| {
            holds = test(finder.string(found)?.trim());
            Ok(true)
        })?;
        Ok(holds)
    }

    fn local_name(&self, at: Found) -> &'d str {
        let dom = self.dom;
        match at {
            Found::Node(id) => dom.name(id).map_or("", |name| name.local),
            Found::Attribute(id, index) => dom.attributes(id).get(index as usize).map_or("", |(name, _)| name.local),
        }
    }
}

fn trimmed(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) if text.trim().len() == text.len() => Cow::Owned(text),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    }
}

impl Test {
    fn fits(&self, name: &Name<'_>) -> bool {
        match self {
            Self::Any => true,
            Self::Name(namespace, local) => name.namespace == *namespace && name.local == local,
        }
    }
}

impl Compare {
    fn holds(self, value: Decimal, other: Decimal) -> bool {
        match self {
            Self::Equal => value == other,
            Self::NotEqual => value != other,
            Self::Less => value < other,
            Self::LessOrEqual => value <= other,
            Self::Greater => value > other,
            Self::GreaterOrEqual => value >= other,
        }
    }
}
