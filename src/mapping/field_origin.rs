//! Which field of the declaration an expression takes its value from, told from the expression
//! alone, without a declaration: what [`super::eval`] tells of one run, for all runs.

use std::collections::HashMap;

use super::code::{CallCode, Code, Root};
use super::functions::Call;
use crate::domain::declaration::Declaration;

/// A JSON pointer with entries that are not known yet.
pub(super) type Pattern = Vec<Part>;

/// A part of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// `/value/amount`
    Names(Box<str>),
    /// The entry of the repeat with this slot.
    Entry(u16),
    /// An entry that no position tells.
    Unknown,
}

/// What the slots of a program hold.
#[derive(Debug, Default)]
pub(super) struct Origins<'p> {
    lets: HashMap<u16, &'p Code>,
    entries: HashMap<u16, Option<Pattern>>,
}

impl<'p> Origins<'p> {
    /// Remembers a `p:let`.
    pub(super) fn define(&mut self, slot: u16, code: &'p Code) {
        self.lets.insert(slot, code);
    }

    /// Remembers the entry of a repeat over a list.
    pub(super) fn entry(&mut self, slot: u16, list: Option<Pattern>, direct: bool) {
        let entry = list.map(|mut list| {
            list.push(if direct { Part::Entry(slot) } else { Part::Unknown });
            list
        });
        self.entries.insert(slot, entry);
    }

    /// The field that an expression takes its value from. Of several joined it is the first; of
    /// `a or b` the last, as everywhere: it is what is there when nothing better is.
    pub(super) fn of(&self, code: &Code) -> Option<Pattern> {
        match code {
            Code::Root(Root::Declaration) => Some(Pattern::new()),
            // A seller or importer is rarely stated, the sender and recipient always are.
            Code::Root(Root::Effective { otherwise, .. }) => {
                let field = Declaration::DESCRIPTOR.fields.get(usize::from(*otherwise))?;
                Some(vec![Part::Names(format!("/{}", field.name).into())])
            }
            Code::Root(Root::Slot(slot)) => match self.lets.get(slot) {
                Some(code) => self.of(code),
                None => self.entries.get(slot)?.clone(),
            },
            Code::Get(base, _, names) => self.with(base, Part::Names(names.clone())),
            Code::Index(base, at) => self.with(base, Part::Names(format!("/{at}").into())),
            Code::If(parts) => self.of(&parts[1]).or_else(|| self.of(&parts[2])),
            // Of `a and b` the second is written; the first only says whether.
            Code::And(a, b) | Code::Or(a, b) => self.of(b).or_else(|| self.of(a)),
            Code::Arithmetic(_, a, b) | Code::Equal(a, b) | Code::Order(_, a, b) | Code::In(a, b) => self.of(a).or_else(|| self.of(b)),
            Code::Not(inner) => self.of(inner),
            Code::Concat(parts) | Code::List(parts) => parts.iter().find_map(|part| self.of(part)),
            Code::Call(call) => self.of_call(call),
            _ => None,
        }
    }

    fn of_call(&self, call: &CallCode) -> Option<Pattern> {
        match call.call {
            Call::Pick => self.with(call.args.first()?, Part::Unknown),
            Call::First if self.is_direct(call.args.first()?) => self.with(call.args.first()?, Part::Names("/0".into())),
            Call::First => self.with(call.args.first()?, Part::Unknown),
            Call::TariffCode => self.with(call.args.first()?, Part::Names("/tariff_codes".into())),
            _ => call.args.iter().find_map(|argument| self.of(argument)),
        }
    }

    fn with(&self, base: &Code, part: Part) -> Option<Pattern> {
        let mut pattern = self.of(base)?;
        pattern.push(part);
        Some(pattern)
    }

    /// Whether a list is one of the declaration's own, entry for entry.
    pub(super) fn is_direct(&self, list: &Code) -> bool {
        match list {
            // Whatever is before it, the field's own entries are those of the declaration.
            Code::Get(..) => true,
            Code::Root(Root::Slot(slot)) => self.lets.get(slot).is_some_and(|code| self.is_direct(code)),
            _ => false,
        }
    }
}
