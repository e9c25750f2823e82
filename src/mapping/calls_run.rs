//! Runs the functions of [`super::functions`], by theme: lists, money, numbers, dates, texts.

use rust_decimal::prelude::ToPrimitive;
use uuid::Uuid;

use super::code::CallCode;
use super::eval::Run;
use super::functions::Call;
use super::value::V;

mod days;
mod lists;
mod money;
mod numbers;
mod texts;

pub(super) fn run_call<'a>(run: &mut Run<'a>, call: &'a CallCode) -> V<'a> {
    let value = call.args.first().map_or(V::Missing, |first| run.eval(first));
    match call.call {
        Call::Count | Call::Length => V::Int(size(&value)),
        Call::Default if value.is_missing() || value.as_str() == Some("") => second(run, call),
        Call::Default => value,
        Call::StartsWith => {
            let start = second(run, call);
            V::Bool(matches!((value.as_str(), start.as_str()), (Some(text), Some(start)) if text.starts_with(start)))
        }
        Call::First => value.entry(0).1,
        Call::Todo => value,
        Call::Entry => match place(&second(run, call)) {
            Some(place) if place < value.len().unwrap_or(0) => value.entry(place).1,
            _ => V::Missing,
        },
        Call::Pick | Call::Where | Call::GroupBy | Call::Ungrouped | Call::Join | Call::TariffCode => lists::run(run, call, &value),
        Call::Convert | Call::Total => money::run(run, call, &value),
        Call::Sum | Call::Apportion | Call::Decimals | Call::MaxDecimals | Call::Kg | Call::Min | Call::Max => {
            numbers::run(run, call, value)
        }
        Call::Date | Call::AddDays => days::run(run, call, &value),
        Call::Guid => match (run.roots.message, value.as_str()) {
            (Some(message), Some(name)) => V::text(Uuid::new_v5(&message.id.0, name.as_bytes()).to_string()),
            _ => V::Missing,
        },
        _ => texts::run(run, call, value),
    }
}

fn second<'a>(run: &mut Run<'a>, call: &'a CallCode) -> V<'a> {
    call.args.get(1).map_or(V::Missing, |code| run.eval(code))
}

fn size(value: &V<'_>) -> i64 {
    let size = value.len().or_else(|| value.as_str().map(|text| text.chars().count())).unwrap_or(0);
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// The index of a place that is counted from 1.
pub(super) fn place(value: &V<'_>) -> Option<usize> {
    let place = value.number().filter(|number| number.fract().is_zero())?;
    place.to_usize()?.checked_sub(1)
}
