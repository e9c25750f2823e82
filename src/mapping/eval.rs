//! Runs expressions.
//!
//! Running never fails: what cannot be had is missing, and what is the sender's to mend is added
//! to the faults. The origin of a value is only looked for when there is something to tell
//! ([`super::origin`]).

use std::collections::HashSet;

use rust_decimal::Decimal;

use super::calls_run::run_call;
use super::code::{Code, Order, Root};
use super::rates::Conversion;
use super::settings::Settings;
use super::value::{Arithmetic, V, arithmetic, compare, contains, equal};
use super::{MessageContext, PostContext, ReasonContext};
use crate::domain::declaration::Declaration;
use crate::domain::fault::{self, Fault, Faults};
use crate::domain::record::{ListView, Record};

/// What an expression can see. A route sees the declaration and the post only.
#[derive(Clone, Copy)]
pub(super) struct Roots<'a> {
    pub declaration: &'a Declaration,
    pub settings: Option<&'a Settings>,
    pub message: Option<&'a MessageContext<'a>>,
    pub mrn: Option<&'a str>,
    pub reason: Option<&'a ReasonContext<'a>>,
    pub previous: Option<&'a Declaration>,
    /// What an amendment changes.
    pub changes: Option<&'a dyn ListView>,
    pub post: &'a PostContext<'a>,
    pub broker: Option<&'a str>,
}

/// Where the value of a slot came from.
#[derive(Clone, Copy)]
pub(super) enum Definition<'a> {
    Nothing,
    Let(&'a Code),
    /// An entry of a list, with its index there.
    Entry(&'a Code, u32),
}

/// The state of one run.
pub(super) struct Run<'a> {
    pub roots: Roots<'a>,
    pub slots: Vec<(V<'a>, Definition<'a>)>,
    /// Slots whose value could not be computed, which has been told.
    broken_slots: HashSet<u16>,
    /// Whether what was computed since it was last taken hangs on such a value.
    broken: bool,
    pub faults: Faults,
    pub warnings: Vec<Fault>,
    /// The rates that were used, each once.
    pub conversions: Vec<Conversion>,
    /// Above 0 while values are only looked at once more: then nothing is told or recorded again.
    pub quiet: u32,
    /// What is noted for coverage; `None` when messages are made.
    pub watch: Option<Box<Watch>>,
}

/// What a run has gone through.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Choices by [`super::code::address`], and how they went.
    pub choices: HashSet<(usize, bool)>,
    /// Rows of code lists that gave a value: list and key.
    pub rows: HashSet<(String, String)>,
}

impl<'a> Run<'a> {
    pub(super) fn new(roots: Roots<'a>, slots: usize) -> Self {
        Self {
            roots,
            slots: vec![(V::Missing, Definition::Nothing); slots],
            broken_slots: HashSet::new(),
            broken: false,
            faults: Faults::default(),
            warnings: Vec::new(),
            conversions: Vec::new(),
            quiet: 0,
            watch: None,
        }
    }

    pub(super) fn set(&mut self, slot: u16, value: V<'a>, definition: Definition<'a>) {
        if let Some(place) = self.slots.get_mut(usize::from(slot)) {
            *place = (value, definition);
        }
    }

    /// Whether something could not be computed since this was last asked. What follows from it is no fault of its own.
    pub(super) fn take_broken(&mut self) -> bool {
        std::mem::take(&mut self.broken)
    }

    /// Says of a slot whether its value could not be computed.
    pub(super) fn set_broken(&mut self, slot: u16, broken: bool) {
        if broken {
            self.broken_slots.insert(slot);
        } else if !self.broken_slots.is_empty() {
            self.broken_slots.remove(&slot);
        }
    }

    /// Adds a fault at the field that an expression took its value from.
    pub(super) fn fault(&mut self, code: &'a Code, fault_code: &'static str, detail: String) {
        // What is not listed needs no place.
        let listed = self.quiet == 0 && self.faults.count() < fault::MAX_FAULTS;
        let pointer = if listed { self.origin(code).unwrap_or_default() } else { String::new() };
        self.fault_at(pointer, fault_code, detail);
    }

    pub(super) fn fault_at(&mut self, pointer: String, fault_code: &'static str, detail: String) {
        if self.quiet == 0 {
            self.broken = true;
            self.faults.push(Fault::new(pointer, fault_code, detail));
        }
    }

    pub(super) fn warn(&mut self, code: &'a Code, fault_code: &'static str, detail: String) {
        if self.quiet > 0 || self.warnings.len() >= fault::MAX_FAULTS {
            return;
        }
        let warning = Fault::new(self.origin(code).unwrap_or_default(), fault_code, detail);
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// Records a rate that was used.
    pub(super) fn converted(&mut self, conversion: Conversion) {
        if self.quiet == 0 && !self.conversions.contains(&conversion) {
            self.conversions.push(conversion);
        }
    }

    fn root(&mut self, root: Root) -> V<'a> {
        if let Root::Slot(slot) = root {
            self.broken |= !self.broken_slots.is_empty() && self.broken_slots.contains(&slot);
        }
        let roots = &self.roots;
        match root {
            Root::Declaration => V::Record(roots.declaration),
            Root::Effective { stated, otherwise } => match Record::get(roots.declaration, usize::from(stated)).into() {
                V::Missing => Record::get(roots.declaration, usize::from(otherwise)).into(),
                party => party,
            },
            Root::Slot(slot) => self.slots.get(usize::from(slot)).map_or(V::Missing, |(value, _)| value.clone()),
            Root::Setting(index) => roots.settings.map_or(V::Missing, |settings| settings.get(index)),
            Root::Lrn => V::opt(roots.message.map(|message| message.lrn)),
            Root::MessageId => roots.message.map_or(V::Missing, |message| V::text(message.id.to_string())),
            Root::ConversationId => roots.message.map_or(V::Missing, |message| V::text(message.conversation_id.to_string())),
            Root::CreatedAt => roots.message.map_or(V::Missing, |message| V::Time(message.created_at)),
            Root::PostCode => V::Str(roots.post.code),
            Root::PostName => V::Str(roots.post.name),
            Root::Mrn => V::opt(roots.mrn),
            Root::ReasonCode => V::opt(roots.reason.and_then(|reason| reason.code)),
            Root::ReasonText => V::opt(roots.reason.and_then(|reason| reason.text)),
            Root::Previous => roots.previous.map_or(V::Missing, |previous| V::Record(previous)),
            Root::Changes => roots.changes.map_or(V::Missing, V::List),
            Root::Broker => V::opt(roots.broker),
        }
    }

    pub(super) fn eval(&mut self, code: &'a Code) -> V<'a> {
        match code {
            Code::None => V::Missing,
            Code::Bool(value) => V::Bool(*value),
            Code::Int(value) => V::Int(*value),
            Code::Dec(value) => V::Dec(*value),
            Code::Text(text) => V::Str(text),
            Code::Root(root) => self.root(*root),
            Code::Get(base, steps, _) => match &**base {
                Code::Root(root) => self.root(*root).get(steps),
                other => self.eval(other).get(steps),
            },
            Code::Index(base, at) => self.eval(base).entry(*at).1,
            Code::And(a, b) => {
                let left = self.eval(a);
                if left.truth() { self.eval(b) } else { left }
            }
            Code::Or(a, b) => {
                let left = self.eval(a);
                if left.truth() { left } else { self.eval(b) }
            }
            Code::If(parts) => {
                let [test, yes, no] = &**parts;
                let holds = self.test(test);
                if let Some(watch) = &mut self.watch {
                    watch.choices.insert((super::code::address(parts), holds));
                }
                self.eval(if holds { yes } else { no })
            }
            Code::Not(_) | Code::Equal(..) | Code::Order(..) | Code::In(..) => V::Bool(self.test(code)),
            Code::Arithmetic(op, a, b) => self.arithmetic(*op, a, b),
            Code::Concat(parts) => self.concat(parts),
            Code::List(items) => V::Seq(items.iter().enumerate().map(|(at, item)| (at as u32, self.eval(item))).collect()),
            Code::Call(call) => run_call(self, call),
        }
    }

    /// Whether an expression is true.
    pub(super) fn test(&mut self, code: &'a Code) -> bool {
        match code {
            Code::Not(inner) => !self.test(inner),
            Code::And(a, b) => self.test(a) && self.test(b),
            Code::Or(a, b) => self.test(a) || self.test(b),
            Code::Equal(a, b) => equal(&self.eval(a), &self.eval(b)),
            Code::Order(order, a, b) => {
                let ordering = compare(&self.eval(a), &self.eval(b));
                ordering.is_some_and(|ordering| match order {
                    Order::Less => ordering.is_lt(),
                    Order::LessOrEqual => ordering.is_le(),
                    Order::Greater => ordering.is_gt(),
                    Order::GreaterOrEqual => ordering.is_ge(),
                })
            }
            Code::In(needle, hay) => {
                let needle = self.eval(needle);
                match &**hay {
                    Code::List(items) => items.iter().any(|item| equal(&needle, &self.eval(item))),
                    hay => contains(&needle, &self.eval(hay)),
                }
            }
            other => self.eval(other).truth(),
        }
    }

    fn arithmetic(&mut self, op: Arithmetic, a: &'a Code, b: &'a Code) -> V<'a> {
        let (left, right) = (self.eval(a), self.eval(b));
        arithmetic(op, &left, &right).unwrap_or_else(|()| {
            self.fault(a, fault::MAPPING_VALUE, "no number can be computed from this value".to_owned());
            V::Missing
        })
    }

    /// Joined texts; missing when any part is.
    fn concat(&mut self, parts: &'a [Code]) -> V<'a> {
        let mut joined = String::new();
        for part in parts {
            let value = self.eval(part);
            match value.as_str() {
                Some(text) => joined.push_str(text),
                None => match value.display() {
                    Some(text) => joined.push_str(&text),
                    None => return V::Missing,
                },
            }
        }
        V::text(joined)
    }
}

/// A number of an exact value, for functions that count.
pub(super) fn rescaled(value: Decimal, decimals: u32, rounding: rust_decimal::RoundingStrategy) -> Decimal {
    let mut rounded = value.round_dp_with_strategy(decimals, rounding);
    rounded.rescale(decimals);
    rounded
}
