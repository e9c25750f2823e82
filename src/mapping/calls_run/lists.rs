//! Functions of lists. Each looks at every entry once, so that what a message costs grows with its
//! lines and not with their square.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::rc::Rc;

use super::second;
use crate::mapping::code::{CallCode, Extra, Key};
use crate::mapping::eval::Run;
use crate::mapping::functions::Call;
use crate::mapping::value::{V, equal};

pub(super) fn run<'a>(run: &mut Run<'a>, call: &'a CallCode, value: &V<'a>) -> V<'a> {
    match call.call {
        Call::Pick => {
            let wanted = second(run, call);
            entries(value).map(|(_, entry)| entry).find(|entry| equal(&entry.clone().get(&call.field), &wanted)).unwrap_or(V::Missing)
        }
        Call::Where => {
            let wanted = second(run, call);
            V::Seq(entries(value).filter(|(_, entry)| equal(&entry.clone().get(&call.field), &wanted)).collect())
        }
        Call::TariffCode => tariff_code(run, call, value),
        Call::Join => join(run, call, value),
        Call::GroupBy => group_by(call, value),
        Call::Ungrouped if value.len().is_some() => numbered(entries(value).map(|entry| vec![entry])),
        _ => V::Missing,
    }
}

/// The entries of a list, each with its index in the declaration's list.
pub(super) fn entries<'v, 'a>(list: &'v V<'a>) -> impl Iterator<Item = (u32, V<'a>)> + 'v {
    (0..list.len().unwrap_or(0)).map(|at| list.entry(at))
}

fn tariff_code<'a>(run: &mut Run<'a>, call: &'a CallCode, line: &V<'a>) -> V<'a> {
    let [list, country, code] = *call.field else { return V::Missing };
    let wanted = second(run, call);
    let codes = line.clone().get(&[list]);
    let mut found = entries(&codes).map(|(_, entry)| entry).filter(|entry| equal(&entry.clone().get(&[country]), &wanted));
    found.next().map_or(V::Missing, |entry| entry.get(&[code]))
}

fn join<'a>(run: &mut Run<'a>, call: &'a CallCode, list: &V<'a>) -> V<'a> {
    let between = second(run, call);
    let between = between.as_str().unwrap_or_default();
    match list.len() {
        None => list.clone(),
        Some(1) => list.entry(0).1,
        Some(_) => {
            let mut joined = String::new();
            for (_, entry) in entries(list) {
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

fn group_by<'a>(call: &'a CallCode, list: &V<'a>) -> V<'a> {
    let (Extra::Keys(keys), Some(len)) = (&call.extra, list.len()) else { return V::Missing };
    let mut groups: Vec<Vec<(u32, V<'a>)>> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::with_capacity(len);
    for (index, entry) in entries(list) {
        let mut key = String::new();
        for one in keys {
            add_key(&mut key, one, &entry);
        }
        let group = *known.entry(key).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        if let Some(group) = groups.get_mut(group) {
            group.push((index, entry));
        }
    }
    numbered(groups.into_iter())
}

/// Adds one field to a key; with its length, so that no two different lists of values read alike.
fn add_key(key: &mut String, field: &Key, entry: &V<'_>) {
    let value = entry.clone().get(&field.field);
    let shown = match &value {
        V::Dec(number) => Some(number.normalize().to_string()),
        other if other.as_str().is_none() => other.display(),
        _ => None,
    };
    match value.as_str().or(shown.as_deref()) {
        None => key.push('-'),
        Some(text) => {
            let end = field.characters.and_then(|count| text.char_indices().nth(count as usize)).map_or(text.len(), |(at, _)| at);
            // Writing to a text cannot fail.
            let _ = write!(key, "{end}:{}", &text[..end]);
        }
    }
}

fn numbered<'a>(groups: impl Iterator<Item = Vec<(u32, V<'a>)>>) -> V<'a> {
    let group = |(number, entries): (u32, Vec<(u32, V<'a>)>)| (number, V::Seq(Rc::from(entries)));
    V::Seq((0u32..).zip(groups).map(group).collect())
}
