//! Checks and compiles calls of the functions of [`super::functions`].

use rust_decimal::RoundingStrategy;

use super::code::{CallCode, Code, Form};
use super::expr::Compiler;
use super::faults::Remark;
use super::functions::{self, Arg, Call, FUNCTIONS, Function, ROUNDINGS};
use super::scope::field;
use super::value::Ty;

/// A compiled argument: its code, its kind and where it stands.
pub(super) struct Given {
    pub code: Code,
    pub ty: Ty,
    pub at: usize,
}

impl Compiler<'_> {
    pub(super) fn call(&mut self, name: &str, at: usize, given: Vec<Given>) -> (Code, Ty) {
        let Some(function) = functions::function(name) else {
            let known = FUNCTIONS.iter().map(|function| function.name);
            return self.fault(at, Remark::unknown(format!("unknown function {name}"), name, known));
        };
        if given.len() < function.needed || given.len() > function.args.len() {
            return self.fault(at, format!("{name} is written `{}`", function.signature));
        }
        if function.call == Call::Todo && !self.scope.draft {
            return self.fault(at, "this place is still to be decided: write the expression or the fixed text that belongs here");
        }
        self.checked_call(function, given)
    }

    fn checked_call(&mut self, function: &'static Function, given: Vec<Given>) -> (Code, Ty) {
        let ty = self.result(function.call, &given);
        let mut call = CallCode {
            call: function.call,
            args: Vec::new(),
            field: Box::new([]),
            whole: [None, None],
            rounding: RoundingStrategy::MidpointAwayFromZero,
            form: Form::Iso,
            codes: None,
        };
        let entries = given.first().map_or(Ty::Any, |given| given.ty.clone());
        let value_at = given.get(2).map_or(0, |given| given.at);
        if function.call == Call::Pick {
            call.field = self.entry_field(&entries, "type", &given, 1);
        }
        if function.call == Call::TariffCode {
            self.tariff_fields(&given, &mut call);
        }
        for (index, (arg, one)) in function.args.iter().zip(given).enumerate() {
            self.argument(function, *arg, one, &entries, &mut call, index);
        }
        if function.call == Call::Where {
            self.where_kind(&entries, &call, value_at);
        }
        (Code::Call(Box::new(call)), ty)
    }

    fn argument(&mut self, function: &Function, arg: Arg, one: Given, entries: &Ty, call: &mut CallCode, index: usize) {
        let Given { code, ty, at } = one;
        let fits = match arg {
            Arg::Any => true,
            Arg::Text => ty.is_text(),
            Arg::Number => ty.is_number(),
            Arg::Day => matches!(ty, Ty::Any | Ty::None | Ty::Date | Ty::Time),
            Arg::List => matches!(ty, Ty::Any | Ty::None | Ty::List(_)),
            Arg::Countable => ty.is_text() || matches!(ty, Ty::List(_)),
            Arg::Record => matches!(ty, Ty::Any | Ty::Record(_)),
            Arg::Whole | Arg::Field | Arg::Codes | Arg::Form | Arg::Rounding => {
                return self.written_out(function, arg, code, at, entries, call);
            }
        };
        if !fits {
            let wanted = match arg {
                Arg::Text => "a text",
                Arg::Number => "a number",
                Arg::Day => "a date or instant",
                Arg::List => "a list",
                Arg::Countable => "a list or a text",
                _ => "a record",
            };
            let place = index + 1;
            self.fault(at, format!("{} needs {wanted} as value {place}, not {}: `{}`", function.name, ty.noun(), function.signature));
        }
        call.args.push(code);
    }

    fn written_out(&mut self, function: &Function, arg: Arg, code: Code, at: usize, entries: &Ty, call: &mut CallCode) {
        match (arg, code) {
            (Arg::Whole, Code::Int(value)) => {
                let limit = if matches!(function.call, Call::Decimals | Call::Kg) { 10 } else { 100_000 };
                match u32::try_from(value).ok().filter(|value| *value <= limit) {
                    Some(value) if call.whole[0].is_none() => call.whole[0] = Some(value),
                    Some(value) => call.whole[1] = Some(value),
                    None => {
                        self.fault(at, format!("a whole number from 0 to {limit}"));
                    }
                }
            }
            (Arg::Rounding, Code::Text(word)) => match ROUNDINGS.iter().find(|(name, _)| **name == *word) {
                Some((_, rounding)) => call.rounding = *rounding,
                None => {
                    let known = ROUNDINGS.iter().map(|(name, _)| *name);
                    self.fault(at, Remark::unknown("a way of rounding is half_up, half_even, up or down", &word, known));
                }
            },
            (Arg::Form, Code::Text(word)) => match form(&word) {
                Some(form) => call.form = form,
                None => {
                    self.fault(at, "a form of a date is '102', '304', 'iso' or has parts like '%Y%m%d%H%M%S'");
                }
            },
            (Arg::Codes, Code::Text(name)) => {
                let found = self.scope.codes.iter().find(|list| *list.name == *name).cloned();
                if found.is_none() {
                    let known: Vec<String> = self.scope.codes.iter().map(|list| list.name.clone()).collect();
                    let message = format!("there is no code list codes/{name}.csv");
                    self.fault(at, Remark::unknown(message, &name, known.iter().map(String::as_str)));
                }
                call.codes = found;
            }
            (Arg::Field, Code::Text(path)) => call.field = self.field_path(entries, &path, at).0,
            _ => {
                self.fault(at, format!("has to be written out here: `{}`", function.signature));
            }
        }
    }

    /// The indexes of a field of a list's entries, and its kind.
    fn field_path(&mut self, list: &Ty, path: &str, at: usize) -> (Box<[u16]>, Ty) {
        let Ty::List(of) = list else { return (Box::new([]), Ty::Any) };
        let mut ty = (**of).clone();
        let mut steps = Vec::new();
        for name in path.split('.') {
            match field(&ty, name) {
                Ok((index, next)) => {
                    steps.push(index);
                    ty = next;
                }
                Err(remark) => {
                    self.fault(at + 1, remark);
                    return (Box::new([]), Ty::Any);
                }
            }
        }
        (steps.into(), ty)
    }

    /// The field that `pick` looks at, and whether the word it looks for can ever be there.
    fn entry_field(&mut self, list: &Ty, name: &str, given: &[Given], word: usize) -> Box<[u16]> {
        let at = given.first().map_or(0, |given| given.at);
        let (steps, ty) = self.field_path(list, name, at);
        if let Some(given) = given.get(word) {
            self.word(&ty, &given.code, given.at);
        }
        steps
    }

    fn tariff_fields(&mut self, given: &[Given], call: &mut CallCode) {
        let Some(Given { ty: line @ Ty::Record(_), at, .. }) = given.first() else { return };
        let found = field(line, "tariff_codes").and_then(|(list, ty)| {
            let Ty::List(of) = ty else { return Err("no list".into()) };
            Ok([list, field(&of, "country")?.0, field(&of, "code")?.0])
        });
        match found {
            Ok(steps) => call.field = Box::new(steps),
            Err(_) => {
                self.fault(*at, "tariff_code needs a line of contents");
            }
        }
    }

    fn where_kind(&mut self, entries: &Ty, call: &CallCode, at: usize) {
        if let (Ty::List(of), Some(value)) = (entries, call.args.get(1)) {
            let mut ty = (**of).clone();
            for step in &*call.field {
                let Ty::Record(descriptor) = ty else { return };
                let Some(field) = descriptor.fields.get(usize::from(*step)) else { return };
                ty = Ty::of((field.kind)());
            }
            self.word(&ty, value, at);
        }
    }

    fn result(&mut self, call: Call, given: &[Given]) -> Ty {
        let ty = |index: usize| given.get(index).map_or(Ty::Any, |given| given.ty.clone());
        match call {
            Call::Decimals | Call::Kg => Ty::Dec,
            Call::Count | Call::Length => Ty::Int,
            Call::StartsWith => Ty::Bool,
            Call::Where => ty(0),
            Call::Default => ty(0).join(ty(1)),
            Call::Code if given.len() > 2 => Ty::Text.join(ty(2)),
            Call::First | Call::Pick => match ty(0) {
                Ty::List(of) => *of,
                _ => Ty::Any,
            },
            Call::Sum => self.sum_kind(given),
            _ => Ty::Text,
        }
    }

    fn sum_kind(&mut self, given: &[Given]) -> Ty {
        let Some(list) = given.first() else { return Ty::Any };
        let summed = match given.get(1) {
            Some(Given { code: Code::Text(path), at, .. }) => self.field_path(&list.ty.clone(), &path.clone(), *at).1,
            Some(_) => Ty::Any,
            None => match &list.ty {
                Ty::List(of) => (**of).clone(),
                _ => Ty::Any,
            },
        };
        if !summed.is_number() {
            self.fault(list.at, format!("only numbers can be summed, not {}", summed.noun()));
        }
        summed
    }
}

fn form(word: &str) -> Option<Form> {
    match word {
        "iso" => Some(Form::Iso),
        "102" => Some(Form::Form102),
        "304" => Some(Form::Form304),
        parts if parts.contains('%') && parts.len() <= 64 => {
            let sample = jiff::civil::date(2026, 11, 20).at(12, 0, 0, 0).to_zoned(jiff::tz::TimeZone::UTC).ok()?;
            jiff::fmt::strtime::format(parts, &sample).ok()?;
            Some(Form::Parts(parts.into()))
        }
        _ => None,
    }
}
