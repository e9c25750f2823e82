//! Checks and compiles calls of the functions of [`super::functions`].
//!
//! What can be known when a mapping is loaded is checked then: names, numbers of arguments, kinds,
//! and all that is written out (`calls/written.rs`). `calls/kinds.rs` says what a call gives.

use rust_decimal::RoundingStrategy;

use super::code::{CallCode, Code, Extra, Form};
use super::expr::Compiler;
use super::faults::Remark;
use super::functions::{self, Arg, Call, FUNCTIONS, Function};
use super::scope::{Use, field};
use super::value::Ty;

mod kinds;
mod written;

/// What other languages call the functions.
const ELSEWHERE: &[(&[&str], &str)] = &[
    (&["round", "fixed", "format_number", "number", "ceil", "floor"], "decimals"),
    (&["truncate", "left", "limit"], "cut"),
    (&["slice", "substr", "mid"], "substring"),
    (&["uppercase", "to_upper"], "upper"),
    (&["lowercase", "to_lower"], "lower"),
    (&["size", "len"], "length"),
    (&["strip"], "trim"),
    (&["lookup", "map", "translate"], "code"),
    (&["strftime", "format_date", "format"], "date"),
    (&["concat"], "join"),
    (&["coalesce", "ifnull"], "default"),
    (&["lpad", "zfill", "rjust"], "pad_left"),
];

/// A compiled argument: its code, its kind and where it stands.
pub(super) struct Given {
    pub code: Code,
    pub ty: Ty,
    pub at: usize,
}

impl Given {
    /// Whether it is what stands for a part that has a fault of its own.
    fn is_broken(&self) -> bool {
        matches!((&self.code, &self.ty), (Code::None, Ty::Any))
    }
}

impl Compiler<'_> {
    pub(super) fn call(&mut self, name: &str, at: usize, given: Vec<Given>) -> (Code, Ty) {
        let Some(function) = functions::function(name) else {
            let known = FUNCTIONS.iter().map(|function| function.name);
            let meant = ELSEWHERE.iter().find(|(others, _)| others.contains(&name)).map(|(_, ours)| (*ours).to_owned());
            let mut remark = Remark::unknown(format!("unknown function {name}"), name, known);
            remark.suggestion = meant.or(remark.suggestion);
            return self.fault(at, remark);
        };
        if given.len() < function.needed || given.len() > function.args.len() {
            return self.fault(at, format!("{name} is written `{}`", function.signature));
        }
        if function.call == Call::Todo {
            let sample = given.first().and_then(|given| if let Code::Text(text) = &given.code { Some(text.to_string()) } else { None });
            self.scope.undecided.borrow_mut().push((at, sample.unwrap_or_default()));
        }
        if matches!(function.call, Call::Convert | Call::Total) {
            self.scope.converts.set(true);
        }
        // Rates and the message's id belong to a message; there is none when a route is chosen.
        if self.scope.purpose == Use::Route && matches!(function.call, Call::Convert | Call::Total | Call::Guid | Call::Todo) {
            return self.fault(at, format!("{name} is only known in a mapping's templates"));
        }
        self.checked_call(function, given)
    }

    fn checked_call(&mut self, function: &'static Function, given: Vec<Given>) -> (Code, Ty) {
        let ty = self.result(function.call, &given);
        let mut call = CallCode {
            call: function.call,
            args: Vec::new(),
            field: Box::new([]),
            pointer: "".into(),
            whole: [None, None],
            rounding: RoundingStrategy::MidpointAwayFromZero,
            form: Form::Iso,
            extra: Extra::None,
        };
        // The list whose entries have the fields that are written out.
        let entries = given.get(usize::from(function.call == Call::Apportion)).map_or(Ty::Any, |given| given.ty.clone());
        let value_at = given.get(2).map_or(0, |given| given.at);
        match function.call {
            Call::Pick => call.field = self.entry_field(&entries, "type", &given, 1),
            Call::TariffCode => self.tariff_fields(&given, &mut call),
            Call::Min | Call::Max => self.one_order(&given),
            Call::Total => call.extra = self.total_money(&given),
            Call::Convert => call.extra = given.first().map_or(Extra::None, |money| self.money(money, &money.ty, function)),
            _ => {}
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
        let ty = &one.ty;
        let fits = match arg {
            Arg::Any | Arg::Money => true,
            Arg::Text | Arg::Currency | Arg::Zone | Arg::Fill => ty.is_text(),
            Arg::Number => ty.is_number(),
            Arg::Day => ty.is_day(),
            Arg::Scalar => ty.is_scalar(),
            Arg::Ordered => ty.is_number() || ty.is_day(),
            Arg::List => matches!(ty, Ty::Any | Ty::None | Ty::List(_)),
            Arg::Countable => ty.is_text() || matches!(ty, Ty::List(_)),
            Arg::Record => matches!(ty, Ty::Any | Ty::Record(_)),
            Arg::Whole | Arg::Field | Arg::Codes | Arg::Form | Arg::Rounding | Arg::Key | Arg::Part | Arg::Alphabet | Arg::Replacement => {
                return self.written_out(function, arg, one, entries, call);
            }
        };
        if !fits {
            let wanted = match arg {
                Arg::Text | Arg::Currency | Arg::Zone | Arg::Fill => "a text",
                Arg::Number => "a number",
                Arg::Day => "a date or instant",
                Arg::Scalar => "a single value",
                Arg::Ordered => "a number, date or instant",
                Arg::List => "a list",
                Arg::Countable => "a list or a text",
                _ => "a record",
            };
            let (place, noun) = (index + 1, ty.noun());
            self.fault(one.at, format!("{} needs {wanted} as value {place}, not {noun}: `{}`", function.name, function.signature));
        }
        self.checked_when_written(function, arg, &one, call);
        call.args.push(one.code);
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
}
