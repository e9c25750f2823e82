//! Functions of one text.

use std::rc::Rc;

use super::second;
use crate::domain::fault;
use crate::mapping::code::{CallCode, Extra};
use crate::mapping::eval::Run;
use crate::mapping::functions::Call;
use crate::mapping::value::V;
use crate::mapping::{latin, streets};

pub(super) fn run<'a>(run: &mut Run<'a>, call: &'a CallCode, value: V<'a>) -> V<'a> {
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
        Call::StreetPart => street_part(call, text),
        Call::Wrap => wrap(text, call.whole[0].unwrap_or(1) as usize),
        Call::Split => {
            let separator = second(run, call);
            let separator = separator.as_str().filter(|separator| !separator.is_empty()).unwrap_or("\0");
            texts(text.split(separator).map(str::trim).filter(|part| !part.is_empty()))
        }
        Call::Latin => written(run, call, latin::latin(text), &value),
        Call::Ascii => written(run, call, latin::ascii(text), &value),
        Call::Alphabet => alphabet(run, call, text, &value),
        Call::PadLeft => {
            let fill = second(run, call);
            let Some(fill) = fill.as_str().and_then(|fill| fill.chars().next()) else { return V::Missing };
            let gap = (call.whole[0].unwrap_or(0) as usize).saturating_sub(text.chars().count());
            V::text(std::iter::repeat_n(fill, gap).chain(text.chars()).collect::<String>())
        }
        _ => V::Missing,
    }
}

fn look_up<'a>(run: &mut Run<'a>, call: &'a CallCode, key: &str) -> V<'a> {
    let Extra::Codes(list) = &call.extra else { return V::Missing };
    let operators = run.roots.settings.and_then(|settings| settings.code(&list.name, key));
    if let Some(value) = operators.or_else(|| list.get(key)) {
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

/// A list of texts; each has its own place as its index.
fn texts<'a, 't>(parts: impl Iterator<Item = &'t str>) -> V<'a> {
    V::Seq((0u32..).zip(parts.map(V::text)).collect())
}

fn street_part<'a>(call: &CallCode, text: &str) -> V<'a> {
    let (name, number) = streets::parts(text);
    match (&call.extra, number) {
        (Extra::StreetName(true), _) => V::text(name),
        (_, Some(number)) => V::text(number),
        (_, None) => V::Missing,
    }
}

fn wrap<'a>(text: &str, limit: usize) -> V<'a> {
    let mut lines: Vec<String> = Vec::new();
    let mut room = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        match lines.last_mut() {
            Some(line) if length < room => {
                line.push(' ');
                line.push_str(word);
                room -= length + 1;
            }
            _ => {
                let mut rest = word;
                while !rest.is_empty() {
                    let (line, after) = rest.split_at(byte_of(rest, limit));
                    room = limit.saturating_sub(line.chars().count());
                    lines.push(line.to_owned());
                    rest = after;
                }
            }
        }
    }
    texts(lines.iter().map(String::as_str))
}

/// A text in Latin letters, with a warning when it was not.
fn written<'a>(run: &mut Run<'a>, call: &'a CallCode, written: Option<latin::Written>, value: &V<'a>) -> V<'a> {
    let Some(latin::Written { text, unknown }) = written else { return value.clone() };
    if let Some(first) = call.args.first() {
        let detail = "the broker's format takes Latin letters here; its message has the text in them, the declaration keeps the original";
        run.warn(first, fault::TRANSLITERATED, detail.to_owned());
        if unknown {
            run.warn(first, fault::REPLACED, "characters without Latin letters became ? in the broker's message".to_owned());
        }
    }
    some(text)
}

fn alphabet<'a>(run: &mut Run<'a>, call: &'a CallCode, text: &str, value: &V<'a>) -> V<'a> {
    let Extra::Alphabet(alphabet) = &call.extra else { return V::Missing };
    let Some(kept) = alphabet.kept(text) else { return value.clone() };
    if let Some(first) = call.args.first() {
        let detail = "the broker's format does not take all characters of this text; its message has others in their place, or none";
        run.warn(first, fault::REPLACED, detail.to_owned());
    }
    some(latin::folded(&kept))
}

/// A text of which nothing is left is missing.
fn some<'a>(text: String) -> V<'a> {
    if text.is_empty() { V::Missing } else { V::text(text) }
}
