//! Forms of expressions that the mapping language does not document but its grammar has: tests
//! (`x is defined`), slices (`text[:4]`), powers. minijinja runs them.
//!
//! Only the form itself is minijinja's: its operands are ordinary expressions, run by us and given
//! to it as plain values. So operators, decimals, functions and what is missing mean the same
//! everywhere, and nothing of the declaration is ever handed over whole.

use std::sync::LazyLock;

use minijinja::machinery::ast::{CallArg, Expr};
use minijinja::value::ValueKind;
use minijinja::{Environment, Expression, UndefinedBehavior, Value};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::code::Code;
use super::eval::Run;
use super::expr::{Compiler, start};
use super::faults::Remark;
use super::value::{Ty, V};
use crate::domain::fault;

/// Tests that can follow `is`.
const TESTS: &[(&str, usize)] =
    &[("defined", 0), ("undefined", 0), ("odd", 0), ("even", 0), ("divisibleby", 1), ("startingwith", 1), ("endingwith", 1)];

const HOLES: [&str; 4] = ["a", "b", "c", "d"];

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    environment
});

/// A form run by minijinja.
pub(super) struct Foreign {
    form: Expression<'static, 'static>,
    /// Its operands, called `a`, `b`, `c`, `d` in the form.
    pub(super) holes: Vec<Code>,
}

impl std::fmt::Debug for Foreign {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Foreign").field("holes", &self.holes).finish_non_exhaustive()
    }
}

fn form(text: String, holes: Vec<Code>, ty: Ty) -> Result<(Code, Ty), Remark> {
    let form = ENVIRONMENT.compile_expression_owned(text).map_err(|_| Remark::new("this form is not part of the mapping language"))?;
    Ok((Code::Foreign(Box::new(Foreign { form, holes })), ty))
}

/// `a ** b`
pub(super) fn power(left: Code, right: Code) -> (Code, Ty) {
    form("a ** b".to_owned(), vec![left, right], Ty::Dec).unwrap_or((Code::None, Ty::Any))
}

/// Compiles a test or a slice.
pub(super) fn compile<'c>(compiler: &mut Compiler<'c>, expr: &Expr<'c>) -> (Code, Ty) {
    let compiled = match expr {
        Expr::Test(test) => {
            let at = compiler.offset_of(test.name);
            let (code, _) = compiler.expr(&test.expr);
            let mut holes = vec![code];
            for arg in &test.args {
                match arg {
                    CallArg::Pos(arg) => holes.push(compiler.expr(arg).0),
                    _ => return compiler.fault(at, "arguments are given by place, without names"),
                }
            }
            match TESTS.iter().find(|(name, _)| *name == test.name) {
                Some((name, args)) if holes.len() == args + 1 => {
                    let argument = if *args == 1 { "(b)" } else { "" };
                    form(format!("a is {name}{argument}"), holes, Ty::Bool)
                }
                Some((name, args)) => Err(format!("the test {name} takes {args} values in parentheses").into()),
                None => {
                    let known = TESTS.iter().map(|(name, _)| *name);
                    Err(Remark::unknown(format!("unknown test {}", test.name), test.name, known))
                }
            }
            .map_err(|remark| (at, remark))
        }
        Expr::Slice(slice) => {
            let at = start(&slice.expr);
            let (code, ty) = compiler.expr(&slice.expr);
            let sliceable = ty.is_text() || matches!(&ty, Ty::List(of) if of.is_scalar());
            let mut holes = vec![code];
            let mut text = String::from("a[");
            for (index, part) in [&slice.start, &slice.stop, &slice.step].into_iter().enumerate() {
                if index > 0 && (index < 2 || part.is_some()) {
                    text.push(':');
                }
                if let Some(part) = part {
                    holes.push(compiler.number(part).0);
                    text.push_str(HOLES[holes.len() - 1]);
                }
            }
            text.push(']');
            let form = if sliceable { form(text, holes, ty) } else { Err("only a text or a list of texts can be sliced".into()) };
            form.map_err(|remark| (at, remark))
        }
        other => Err((start(other), "this form is not part of the mapping language".into())),
    };
    compiled.unwrap_or_else(|(at, remark)| compiler.fault(at, remark))
}

pub(super) fn run<'a>(run: &mut Run<'a>, foreign: &'a Foreign) -> V<'a> {
    let context: Vec<(&str, Value)> = HOLES.iter().zip(&foreign.holes).map(|(name, hole)| (*name, to_value(&run.eval(hole)))).collect();
    let result = foreign.form.eval(context.into_iter().collect::<Value>());
    match result.ok().and_then(|value| from_value(&value)) {
        Some(value) => value,
        None => {
            if let Some(first) = foreign.holes.first() {
                run.fault(first, fault::MAPPING_VALUE, "nothing can be computed from this value".to_owned());
            }
            V::Missing
        }
    }
}

fn to_value(value: &V<'_>) -> Value {
    match value {
        V::Missing => Value::UNDEFINED,
        V::Bool(value) => Value::from(*value),
        V::Int(value) => Value::from(*value),
        V::Dec(value) if value.fract().is_zero() => value.to_i128().map_or(Value::UNDEFINED, Value::from),
        V::Dec(value) => Value::from(value.to_f64()),
        V::Str(text) => Value::from(*text),
        V::Owned(text) => Value::from(&**text),
        V::Date(_) | V::Time(_) => Value::from(value.display()),
        V::List(_) | V::Seq(_) => (0..value.len().unwrap_or(0)).map(|at| to_value(&value.entry(at).1)).collect(),
        // A record is only ever asked whether it is there.
        V::Record(_) => Value::from(true),
    }
}

fn from_value<'a>(value: &Value) -> Option<V<'a>> {
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => Some(V::Missing),
        ValueKind::Bool => Some(V::Bool(value.is_true())),
        ValueKind::String => value.as_str().map(V::text),
        ValueKind::Number if value.is_integer() => value.as_i64().map(V::Int),
        ValueKind::Number => Decimal::from_str_exact(&value.to_string()).ok().map(V::Dec),
        ValueKind::Seq | ValueKind::Iterable => {
            let entries: Option<Vec<_>> =
                value.try_iter().ok()?.enumerate().map(|(at, entry)| Some((at as u32, from_value(&entry)?))).collect();
            entries.map(|entries| V::Seq(entries.into()))
        }
        _ => None,
    }
}
