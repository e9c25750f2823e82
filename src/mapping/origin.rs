//! Finds which field of the declaration a value came from.
//!
//! Only asked when there is something to tell a sender, so it may look at values once more; it
//! tells and records nothing while it does. An entry of a list is told by its place in the
//! declaration's list, whatever was left out or grouped before: an entry of a group is its own line,
//! a group is the list that was grouped.

use super::code::{CallCode, Code, Root};
use super::eval::{Definition, Run};
use super::functions::Call;
use super::value::{V, compare, equal};
use crate::domain::record::Record;

impl<'a> Run<'a> {
    /// The JSON pointer of the declaration's field that an expression takes its value from;
    /// `None` when it takes none. Of alternatives that are all missing the last one is told: it is
    /// what is asked for.
    pub(super) fn origin(&mut self, code: &'a Code) -> Option<String> {
        self.quiet += 1;
        let origin = self.source(code);
        self.quiet -= 1;
        origin
    }

    /// The pointer of an entry of a list, which has this index in the list that it was taken from.
    pub(super) fn entry_origin(&mut self, list: &'a Code, index: u32) -> Option<String> {
        self.quiet += 1;
        let origin = self.entry_source(list, index);
        self.quiet -= 1;
        origin
    }

    /// The pointers of the entries that some slots hold; of a group, those of all its entries.
    pub(super) fn places(&mut self, slots: &[u16]) -> Vec<Vec<String>> {
        self.quiet += 1;
        let mut places = Vec::with_capacity(slots.len());
        for slot in slots {
            let Some((value, Definition::Entry(list, index))) = self.slots.get(usize::from(*slot)).cloned() else { continue };
            places.push(match value.len() {
                None => self.entry_source(list, index).into_iter().collect(),
                Some(len) => (0..len).filter_map(|at| self.inner_source(list, index, value.entry(at).0)).collect(),
            });
        }
        self.quiet -= 1;
        places
    }

    fn source(&mut self, code: &'a Code) -> Option<String> {
        match code {
            Code::None | Code::Bool(_) | Code::Int(_) | Code::Dec(_) | Code::Text(_) => None,
            Code::Root(root) => self.root_source(*root),
            // Nothing was picked: there is no entry whose field could be named.
            Code::Get(base, ..) if is_entry(base) && self.eval(base).is_missing() => self.source(base),
            Code::Get(base, _, pointer) => self.source(base).map(|base| base + pointer),
            Code::Index(base, at) => {
                let list = self.eval(base);
                match list {
                    // A place of the declaration's own list that nobody filled: it can be.
                    V::List(_) if *at >= list.len().unwrap_or(0) => self.source(base).map(|base| format!("{base}/{at}")),
                    list => self.placed(base, &list, *at),
                }
            }
            Code::If(parts) => {
                let [test, yes, no] = &**parts;
                let (chosen, other) = if self.test(test) { (yes, no) } else { (no, yes) };
                self.source(chosen).or_else(|| self.source(other))
            }
            Code::Or(a, b) => {
                let (first, second) = if self.test(a) { (a, b) } else { (b, a) };
                self.source(first).or_else(|| self.source(second))
            }
            Code::And(a, b) => self.source(b).or_else(|| self.source(a)),
            Code::Not(inner) => self.source(inner),
            Code::Equal(a, b) | Code::Order(_, a, b) | Code::In(a, b) => self.source(a).or_else(|| self.source(b)),
            Code::Arithmetic(_, a, b) => self.of_two(a, b),
            Code::Concat(parts) | Code::List(parts) => {
                let gap = parts.iter().find(|part| self.eval(part).is_missing());
                gap.and_then(|gap| self.source(gap)).or_else(|| parts.iter().find_map(|part| self.source(part)))
            }
            Code::Call(call) => self.call_source(call),
        }
    }

    /// Of two operands the one that is missing, else the first that is a field.
    fn of_two(&mut self, a: &'a Code, b: &'a Code) -> Option<String> {
        let (first, second) = if self.eval(a).is_missing() || !self.eval(b).is_missing() { (a, b) } else { (b, a) };
        self.source(first).or_else(|| self.source(second))
    }

    fn call_source(&mut self, call: &'a CallCode) -> Option<String> {
        let first = call.args.first()?;
        match call.call {
            Call::Pick | Call::First | Call::Entry => {
                let list = self.eval(first);
                match self.place(call, &list) {
                    Some(place) => self.placed(first, &list, place),
                    None => self.source(first),
                }
            }
            Call::TariffCode => self.source(first).map(|line| line + "/tariff_codes"),
            Call::Default => {
                let second = call.args.get(1)?;
                let value = self.eval(first);
                let (chosen, other) = if value.is_missing() || value.as_str() == Some("") { (second, first) } else { (first, second) };
                self.source(chosen).or_else(|| self.source(other))
            }
            Call::Min | Call::Max => {
                let second = call.args.get(1)?;
                let order = compare(&self.eval(first), &self.eval(second));
                match order.map(|order| order.is_le() == (call.call == Call::Min)) {
                    Some(false) => self.source(second).or_else(|| self.source(first)),
                    Some(true) => self.source(first).or_else(|| self.source(second)),
                    None => self.of_two(first, second),
                }
            }
            _ => call.args.iter().find_map(|arg| self.source(arg)),
        }
    }

    /// Which entry of a list a function takes, from 0.
    fn place(&mut self, call: &'a CallCode, list: &V<'a>) -> Option<usize> {
        let wanted = call.args.get(1).map_or(V::Missing, |wanted| self.eval(wanted));
        match call.call {
            Call::First => Some(0),
            Call::Entry => super::calls_run::place(&wanted),
            _ => (0..list.len()?).find(|at| equal(&list.entry(*at).1.get(&call.field), &wanted)),
        }
    }

    /// The entry at a place of a list as it is now; the list itself when there is none.
    fn placed(&mut self, code: &'a Code, list: &V<'a>, place: usize) -> Option<String> {
        if place < list.len().unwrap_or(0) { self.entry_source(code, list.entry(place).0) } else { self.source(code) }
    }

    fn entry_source(&mut self, list: &'a Code, index: u32) -> Option<String> {
        match list {
            Code::List(items) => self.source(items.get(index as usize)?),
            Code::If(_) | Code::Or(..) | Code::And(..) => {
                let chosen = self.chosen(list)?;
                self.entry_source(chosen, index)
            }
            Code::Root(Root::Slot(slot)) => match self.slots.get(usize::from(*slot))?.1 {
                Definition::Nothing => None,
                Definition::Let(code) => self.entry_source(code, index),
                Definition::Entry(outer, at) => self.inner_source(outer, at, index),
            },
            Code::Index(outer, at) => {
                let at = self.eval(outer).entry(*at).0;
                self.inner_source(outer, at, index)
            }
            Code::Call(call) => {
                let first = call.args.first()?;
                match call.call {
                    Call::Where => self.entry_source(first, index),
                    Call::Apportion => self.entry_source(call.args.get(1)?, index),
                    Call::Default => {
                        let chosen = self.chosen(list)?;
                        self.entry_source(chosen, index)
                    }
                    // An entry that is a list itself: a group.
                    Call::First | Call::Entry | Call::Pick => {
                        let outer = self.eval(first);
                        let place = self.place(call, &outer)?;
                        self.inner_source(first, outer.entry(place).0, index)
                    }
                    // A group is the list that was grouped, a part of a text is the text.
                    _ => self.source(list),
                }
            }
            other => self.source(other).map(|list| format!("{list}/{index}")),
        }
    }

    /// An entry of an entry of a list of lists.
    fn inner_source(&mut self, outer: &'a Code, at: u32, index: u32) -> Option<String> {
        match outer {
            Code::List(items) => self.entry_source(items.get(at as usize)?, index),
            Code::If(_) | Code::Or(..) | Code::And(..) => {
                let chosen = self.chosen(outer)?;
                self.inner_source(chosen, at, index)
            }
            Code::Root(Root::Slot(slot)) => match self.slots.get(usize::from(*slot))?.1 {
                Definition::Let(code) => self.inner_source(code, at, index),
                _ => self.entry_source(outer, at),
            },
            Code::Call(call) if matches!(call.call, Call::GroupBy | Call::Ungrouped) => self.entry_source(call.args.first()?, index),
            Code::Call(call) if call.call == Call::Default => {
                let chosen = self.chosen(outer)?;
                self.inner_source(chosen, at, index)
            }
            other => self.entry_source(other, at).map(|entry| format!("{entry}/{index}")),
        }
    }

    /// The alternative that is in force.
    fn chosen(&mut self, code: &'a Code) -> Option<&'a Code> {
        Some(match code {
            Code::If(parts) => {
                let [test, yes, no] = &**parts;
                if self.test(test) { yes } else { no }
            }
            Code::Or(a, b) => {
                if self.test(a) {
                    a
                } else {
                    b
                }
            }
            Code::And(a, b) => {
                if self.test(a) {
                    b
                } else {
                    a
                }
            }
            Code::Call(call) => {
                let value = self.eval(call.args.first()?);
                call.args.get(usize::from(value.is_missing()))?
            }
            other => other,
        })
    }

    fn root_source(&mut self, root: Root) -> Option<String> {
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
                Definition::Let(code) => self.source(code),
                Definition::Entry(list, index) => self.entry_source(list, index),
            },
            _ => None,
        }
    }
}

/// Whether a code takes an entry out of a list, which may not be there.
fn is_entry(code: &Code) -> bool {
    matches!(code, Code::Call(call) if matches!(call.call, Call::Pick | Call::First | Call::Entry))
}
