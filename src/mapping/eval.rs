//! Runs expressions, and finds which field of the declaration a value came from.
//!
//! Running never fails: what cannot be had is missing, and what is the sender's to mend is added
//! to the faults. The origin of a value is only looked for when there is something to tell.

use std::collections::HashSet;

use rust_decimal::Decimal;

use super::calls_run::run_call;
use super::code::{Code, Order, Root};
use super::functions::Call;
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
    pub faults: Faults,
    pub warnings: Vec<Fault>,
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
        Self { roots, slots: vec![(V::Missing, Definition::Nothing); slots], faults: Faults::default(), warnings: Vec::new(), watch: None }
    }

    pub(super) fn set(&mut self, slot: u16, value: V<'a>, definition: Definition<'a>) {
        if let Some(place) = self.slots.get_mut(usize::from(slot)) {
            *place = (value, definition);
        }
    }

    /// Adds a fault at the field that an expression took its value from.
    pub(super) fn fault(&mut self, code: &'a Code, fault_code: &'static str, detail: String) {
        let pointer = self.origin(code).unwrap_or_default();
        self.faults.push(Fault::new(pointer, fault_code, detail));
    }

    pub(super) fn warn(&mut self, code: &'a Code, fault_code: &'static str, detail: String) {
        let warning = Fault::new(self.origin(code).unwrap_or_default(), fault_code, detail);
        if self.warnings.len() < fault::MAX_FAULTS && !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    fn root(&self, root: Root) -> V<'a> {
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

    /// The JSON pointer of the declaration's field that an expression takes its value from;
    /// `None` when it takes none. Of alternatives the last one is told: it is what is asked for.
    pub(super) fn origin(&mut self, code: &'a Code) -> Option<String> {
        match code {
            Code::None | Code::Bool(_) | Code::Int(_) | Code::Dec(_) | Code::Text(_) => None,
            Code::Root(root) => self.root_origin(*root),
            // Nothing was picked: there is no entry whose field could be named.
            Code::Get(base, ..) if matches!(&**base, Code::Call(call) if call.call == Call::Pick) && self.eval(base).is_missing() => {
                self.origin(base)
            }
            Code::Get(base, _, pointer) => self.origin(base).map(|base| base + pointer),
            Code::Index(base, at) => self.origin(base).map(|base| format!("{base}/{at}")),
            Code::If(parts) => {
                let [test, yes, no] = &**parts;
                let (chosen, other) = if self.test(test) { (yes, no) } else { (no, yes) };
                self.origin(chosen).or_else(|| self.origin(other))
            }
            Code::And(a, b) | Code::Or(a, b) => self.origin(b).or_else(|| self.origin(a)),
            Code::Not(inner) => self.origin(inner),
            Code::Equal(a, b) | Code::Order(_, a, b) | Code::In(a, b) => self.origin(a).or_else(|| self.origin(b)),
            Code::Arithmetic(_, a, b) => {
                let (first, second) = if self.eval(a).is_missing() || !self.eval(b).is_missing() { (a, b) } else { (b, a) };
                self.origin(first).or_else(|| self.origin(second))
            }
            Code::Concat(parts) | Code::List(parts) => {
                let gap = parts.iter().find(|part| self.eval(part).is_missing());
                gap.and_then(|gap| self.origin(gap)).or_else(|| parts.iter().find_map(|part| self.origin(part)))
            }
            Code::Call(call) => {
                let list = call.args.first()?;
                let origin = self.origin(list)?;
                Some(match call.call {
                    Call::Pick => {
                        let wanted = call.args.get(1).map_or(V::Missing, |wanted| self.eval(wanted));
                        let list = self.eval(list);
                        let mut entries = (0..list.len().unwrap_or(0)).map(|at| list.entry(at));
                        match entries.find(|(_, entry)| equal(&entry.clone().get(&call.field), &wanted)) {
                            Some((index, _)) => format!("{origin}/{index}"),
                            None => origin,
                        }
                    }
                    Call::First => origin + "/0",
                    Call::TariffCode => origin + "/tariff_codes",
                    _ => origin,
                })
            }
        }
    }

    fn root_origin(&mut self, root: Root) -> Option<String> {
        match root {
            Root::Declaration => Some(String::new()),
            Root::Effective { stated, otherwise } => {
                let declaration = self.roots.declaration;
                let given = !V::from(Record::get(declaration, usize::from(stated))).is_missing();
                let index = usize::from(if given { stated } else { otherwise });
                declaration.descriptor().fields.get(index).map(|field| format!("/{}", field.name))
            }
            Root::Slot(slot) => match self.slots.get(usize::from(slot))?.1 {
                Definition::Nothing => None,
                Definition::Let(code) => self.origin(code),
                Definition::Entry(list, index) => self.origin(list).map(|list| format!("{list}/{index}")),
            },
            _ => None,
        }
    }
}

/// A number of an exact value, for functions that count.
pub(super) fn rescaled(value: Decimal, decimals: u32, rounding: rust_decimal::RoundingStrategy) -> Decimal {
    let mut rounded = value.round_dp_with_strategy(decimals, rounding);
    rounded.rescale(decimals);
    rounded
}
