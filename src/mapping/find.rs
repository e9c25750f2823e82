//! Follows the paths of [`super::xpath`] in one document, within a budget: no rule, however written,
//! can spend more than a bounded time on a notice.

use super::dom::{Content, Dom, NodeId};
use super::reading::{Unreadable, UnreadableReason as Reason};
use super::xpath::{Axis, Path, Predicate, Single, Step, Test};

/// Most nodes that the paths of one notice may look at together.
const BUDGET: u64 = 5_000_000;

/// A node that a path found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Found {
    Node(NodeId),
    Attribute(NodeId, u32),
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
