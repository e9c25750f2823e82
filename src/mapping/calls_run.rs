//! Runs the functions of [`super::functions`].

use std::rc::Rc;

use jiff::tz::TimeZone;
use rust_decimal::Decimal;

use super::code::{CallCode, Form};
use super::eval::{Run, rescaled};
use super::functions::Call;
use super::value::{V, equal};
use crate::domain::fault;

pub(super) fn run_call<'a>(run: &mut Run<'a>, call: &'a CallCode) -> V<'a> {
    let value = call.args.first().map_or(V::Missing, |first| run.eval(first));
    match call.call {
        Call::Count | Call::Length => V::Int(size(&value)),
        Call::Default => {
            if value.is_missing() || value.as_str() == Some("") {
                second(run, call)
            } else {
                value
            }
        }
        Call::StartsWith => {
            let start = second(run, call);
            V::Bool(matches!((value.as_str(), start.as_str()), (Some(text), Some(start)) if text.starts_with(start)))
        }
        Call::Sum => sum(run, call, &value),
        Call::First => value.entry(0).1,
        Call::Todo => value,
        Call::Pick => {
            let wanted = second(run, call);
            let entries = 0..value.len().unwrap_or(0);
            entries.map(|at| value.entry(at).1).find(|entry| equal(&entry.clone().get(&call.field), &wanted)).unwrap_or(V::Missing)
        }
        Call::Where => {
            let wanted = second(run, call);
            let entries = (0..value.len().unwrap_or(0)).map(|at| value.entry(at));
            V::Seq(entries.filter(|(_, entry)| equal(&entry.clone().get(&call.field), &wanted)).collect())
        }
        Call::TariffCode => tariff_code(run, call, &value),
        Call::Join => join(run, call, &value),
        Call::Date => date(call, &value),
        Call::Decimals => number(&value, Decimal::ONE, call),
        Call::Kg => number(&value, Decimal::new(1, 3), call),
        _ => text_call(run, call, value),
    }
}

fn second<'a>(run: &mut Run<'a>, call: &'a CallCode) -> V<'a> {
    call.args.get(1).map_or(V::Missing, |code| run.eval(code))
}

fn size(value: &V<'_>) -> i64 {
    let size = value.len().or_else(|| value.as_str().map(|text| text.chars().count())).unwrap_or(0);
    i64::try_from(size).unwrap_or(i64::MAX)
}

fn number<'a>(value: &V<'_>, factor: Decimal, call: &CallCode) -> V<'a> {
    let scaled = value.number().and_then(|value| value.checked_mul(factor));
    scaled.map_or(V::Missing, |value| V::Dec(rescaled(value, call.whole[0].unwrap_or(0), call.rounding)))
}

fn sum<'a>(run: &mut Run<'a>, call: &'a CallCode, list: &V<'a>) -> V<'a> {
    let Some(len) = list.len() else { return V::Missing };
    let mut total = Decimal::ZERO;
    for at in 0..len {
        let Some(number) = list.entry(at).1.get(&call.field).number() else { continue };
        match total.checked_add(number) {
            Some(more) => total = more,
            None => {
                if let Some(first) = call.args.first() {
                    run.fault(first, fault::MAPPING_VALUE, "the sum of these is too large".to_owned());
                }
                return V::Missing;
            }
        }
    }
    V::Dec(total)
}

fn tariff_code<'a>(run: &mut Run<'a>, call: &'a CallCode, line: &V<'a>) -> V<'a> {
    let [list, country, code] = *call.field else { return V::Missing };
    let wanted = second(run, call);
    let codes = line.clone().get(&[list]);
    let entries = (0..codes.len().unwrap_or(0)).map(|at| codes.entry(at).1);
    entries.filter(|entry| equal(&entry.clone().get(&[country]), &wanted)).map(|entry| entry.get(&[code])).next().unwrap_or(V::Missing)
}

fn join<'a>(run: &mut Run<'a>, call: &'a CallCode, list: &V<'a>) -> V<'a> {
    let between = second(run, call);
    let between = between.as_str().unwrap_or_default();
    match list.len() {
        None => list.clone(),
        Some(1) => list.entry(0).1,
        Some(len) => {
            let mut joined = String::new();
            for at in 0..len {
                let entry = list.entry(at).1;
                let shown = if entry.as_str().is_none() { entry.display() } else { None };
                let Some(text) = entry.as_str().or(shown.as_deref()).filter(|text| !text.is_empty()) else { continue };
                if !joined.is_empty() {
                    joined.push_str(between);
                }
                joined.push_str(text);
            }
            if joined.is_empty() { V::Missing } else { V::text(joined) }
        }
    }
}

fn date<'a>(call: &CallCode, value: &V<'_>) -> V<'a> {
    let at = match value {
        V::Time(time) => time.to_zoned(TimeZone::UTC),
        V::Date(date) => match date.to_zoned(TimeZone::UTC) {
            Ok(at) => at,
            Err(_) => return V::Missing,
        },
        _ => return V::Missing,
    };
    match (&call.form, value) {
        (Form::Iso, V::Date(date)) => V::text(date.to_string()),
        (Form::Iso, _) => V::text(format!("{:.0}", at.timestamp())),
        (Form::Form102, _) => V::text(at.strftime("%Y%m%d").to_string()),
        (Form::Form304, _) => V::text(at.strftime("%Y%m%d%H%M%SZ").to_string()),
        (Form::Parts(parts), _) => jiff::fmt::strtime::format(&**parts, &at).map_or(V::Missing, V::text),
    }
}

/// Functions of one text.
fn text_call<'a>(run: &mut Run<'a>, call: &'a CallCode, value: V<'a>) -> V<'a> {
    let shown = if value.as_str().is_none() { value.display() } else { None };
    let Some(text) = value.as_str().or(shown.as_deref()) else {
        return V::Missing;
    };
    match call.call {
        Call::Upper => V::text(text.to_uppercase()),
        Call::Lower => V::text(text.to_lowercase()),
        Call::Trim => V::text(text.trim()),
        Call::Digits if text.bytes().all(|b| b.is_ascii_digit()) => value,
        Call::Digits => V::text(text.chars().filter(char::is_ascii_digit).collect::<String>()),
        Call::Substring => substring(value, call),
        Call::Cut => cut(run, call, value),
        Call::Replace => {
            let (from, to) = (second(run, call), call.args.get(2).map_or(V::Missing, |code| run.eval(code)));
            match (from.as_str(), to.as_str()) {
                (Some(from), Some(to)) if !from.is_empty() && text.contains(from) => V::text(text.replace(from, to)),
                _ => value,
            }
        }
        Call::Code => look_up(run, call, text),
        _ => V::Missing,
    }
}

fn look_up<'a>(run: &mut Run<'a>, call: &'a CallCode, key: &str) -> V<'a> {
    let Some(list) = call.codes.as_deref() else { return V::Missing };
    if let Some(value) = list.get(key) {
        if let Some(watch) = &mut run.watch {
            watch.rows.insert((list.name.clone(), key.to_owned()));
        }
        return V::Str(value);
    }
    if let Some(otherwise) = call.args.get(1) {
        return run.eval(otherwise);
    }
    if let Some(first) = call.args.first() {
        let keys = if list.keys().len() <= 30 { format!("; it has: {}", list.keys().join(", ")) } else { String::new() };
        run.fault(first, fault::MAPPING_CODE, format!("the broker's code list {} has no row for this value{keys}", list.name));
    }
    V::Missing
}

/// A part of a text that keeps borrowing where the text does.
fn part<'a>(value: &V<'a>, from: usize, to: usize) -> V<'a> {
    match value {
        V::Str(text) => V::Str(text.get(from..to).unwrap_or_default()),
        other => V::Owned(Rc::from(other.as_str().and_then(|text| text.get(from..to)).unwrap_or_default())),
    }
}

fn byte_of(text: &str, characters: usize) -> usize {
    text.char_indices().nth(characters).map_or(text.len(), |(at, _)| at)
}

fn substring<'a>(value: V<'a>, call: &CallCode) -> V<'a> {
    let Some(text) = value.as_str() else { return V::Missing };
    let from = byte_of(text, call.whole[0].unwrap_or(0) as usize);
    let to = call.whole[1].map_or(text.len(), |to| byte_of(text, to as usize));
    part(&value, from, to.max(from))
}

fn cut<'a>(run: &mut Run<'a>, call: &'a CallCode, value: V<'a>) -> V<'a> {
    let limit = call.whole[0].unwrap_or(0) as usize;
    let Some(text) = value.as_str() else { return V::Missing };
    if text.len() <= limit || text.chars().count() <= limit {
        return value;
    }
    let end = text[..byte_of(text, limit)].trim_end().len();
    if let Some(first) = call.args.first() {
        run.warn(
            first,
            fault::SHORTENED,
            format!("the broker's format holds {limit} characters here; the rest was left out of its message"),
        );
    }
    part(&value, 0, end)
}
