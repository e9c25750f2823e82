//! What a mapping asks of the operator: `[[settings]]` in `mapping.toml`, values in the configuration.
//!
//! Settings are checked when the configuration is read, all faults at once, so that no message
//! fails for a setting that could have been seen at start. They are never secrets.

use std::sync::Arc;

use rust_decimal::Decimal;

use super::faults::nearest;
use super::operator::{CodeRows, Override};
use super::rates::Rates;
use super::value::{Ty, V};
use crate::domain::text::is_xml_character;
use crate::domain::time::Date;

/// Kinds of settings, as `type` names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingKind {
    /// `string`
    Text,
    /// `integer`
    Integer,
    /// `decimal`: a number, or a text like "12.50"
    Decimal,
    /// `boolean`
    Bool,
    /// `date`: a date, or a text like "2026-07-01"
    Date,
}

impl SettingKind {
    /// The words of `type`.
    pub const WORDS: &'static [(&'static str, Self)] =
        &[("string", Self::Text), ("integer", Self::Integer), ("decimal", Self::Decimal), ("boolean", Self::Bool), ("date", Self::Date)];

    /// The word.
    pub fn as_str(self) -> &'static str {
        Self::WORDS.iter().find(|(_, kind)| *kind == self).map_or("", |(word, _)| word)
    }

    pub(super) fn ty(self) -> Ty {
        match self {
            Self::Text => Ty::Text,
            Self::Integer => Ty::Int,
            Self::Decimal => Ty::Dec,
            Self::Bool => Ty::Bool,
            Self::Date => Ty::Date,
        }
    }
}

/// One setting that a mapping knows.
#[derive(Debug, Clone)]
pub struct SettingSpec {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub kind: SettingKind,
    /// Whether it has to be set.
    pub required: bool,
    /// Allowed values of a text; empty when any is.
    pub values: Vec<String>,
    /// An example, as TOML.
    pub example: String,
    /// What it is for.
    pub description: String,
}

/// A fault of one setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingFault {
    /// The setting.
    pub key: String,
    /// What is wrong, and what is allowed.
    pub message: String,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Text(Arc<str>),
    Integer(i64),
    Decimal(Decimal),
    Bool(bool),
    Date(Date),
}

/// Everything that the operator gives for one broker: checked settings in the order of the mapping's
/// table, other settings for some declarations, rows of code lists, and the rate table.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    pub(super) values: Vec<Option<Value>>,
    pub(super) overrides: Arc<[Override]>,
    pub(super) codes: Arc<[CodeRows]>,
    pub(super) rates: Arc<Rates>,
}

impl Settings {
    pub(super) fn get(&self, index: u16) -> V<'_> {
        match self.values.get(usize::from(index)) {
            Some(Some(Value::Text(text))) => V::Str(text),
            Some(Some(Value::Integer(value))) => V::Int(*value),
            Some(Some(Value::Decimal(value))) => V::Dec(*value),
            Some(Some(Value::Bool(value))) => V::Bool(*value),
            Some(Some(Value::Date(date))) => V::Date(*date),
            Some(None) | None => V::Missing,
        }
    }

    /// Checks a table of settings against what the mapping asks for.
    ///
    /// # Errors
    /// Every fault: unknown names, missing ones, wrong kinds.
    pub fn check(specs: &[SettingSpec], table: &toml::Table) -> Result<Self, Vec<SettingFault>> {
        let mut faults = Vec::new();
        let mut values = read_given(specs, table, &mut faults);
        for (spec, value) in specs.iter().zip(&mut values) {
            if value.is_none() && spec.required && !table.contains_key(&spec.name) {
                let message = format!("has to be set: {} (for example {})", spec.description, spec.example);
                faults.push(SettingFault { key: spec.name.clone(), message });
            }
        }
        if faults.is_empty() { Ok(Self { values, ..Self::default() }) } else { Err(faults) }
    }
}

/// The values that a table gives, in the order of the mapping's settings.
pub(super) fn read_given(specs: &[SettingSpec], table: &toml::Table, faults: &mut Vec<SettingFault>) -> Vec<Option<Value>> {
    let mut fault = |key: &str, message: String| faults.push(SettingFault { key: key.to_owned(), message });
    for key in table.keys().filter(|key| !specs.iter().any(|spec| spec.name == **key)) {
        let message = match nearest(key, specs.iter().map(|spec| spec.name.as_str())) {
            Some(name) => format!("the mapping has no such setting; did you mean {name}?"),
            None => "the mapping has no such setting".to_owned(),
        };
        fault(key, message);
    }
    let mut values = Vec::with_capacity(specs.len());
    for spec in specs {
        let given = table.get(&spec.name);
        let value = given.and_then(|value| read(spec, value));
        if given.is_some() && value.is_none() {
            fault(&spec.name, format!("has to be {}, for example {}", allowed(spec), spec.example));
        }
        values.push(value);
    }
    values
}

fn allowed(spec: &SettingSpec) -> String {
    match spec.kind {
        SettingKind::Text if !spec.values.is_empty() => format!("one of: {}", spec.values.join(", ")),
        SettingKind::Text => "a text of 1 to 500 characters without control characters".to_owned(),
        SettingKind::Integer => "a whole number".to_owned(),
        SettingKind::Decimal => "a number, or a decimal in a text".to_owned(),
        SettingKind::Bool => "true or false".to_owned(),
        SettingKind::Date => "a date".to_owned(),
    }
}

fn read(spec: &SettingSpec, value: &toml::Value) -> Option<Value> {
    match (spec.kind, value) {
        (SettingKind::Text, toml::Value::String(text)) => {
            let sound = (1..=500).contains(&text.chars().count()) && text.chars().all(is_xml_character);
            let listed = spec.values.is_empty() || spec.values.contains(text);
            (sound && listed).then(|| Value::Text(text.as_str().into()))
        }
        (SettingKind::Integer, toml::Value::Integer(value)) => Some(Value::Integer(*value)),
        (SettingKind::Decimal, toml::Value::Integer(value)) => Some(Value::Decimal(Decimal::from(*value))),
        (SettingKind::Decimal, toml::Value::Float(value)) => Decimal::from_str_exact(&value.to_string()).ok().map(Value::Decimal),
        (SettingKind::Decimal, toml::Value::String(text)) => Decimal::from_str_exact(text).ok().map(Value::Decimal),
        (SettingKind::Bool, toml::Value::Boolean(value)) => Some(Value::Bool(*value)),
        (SettingKind::Date, toml::Value::String(text)) => text.parse().ok().map(Value::Date),
        (SettingKind::Date, toml::Value::Datetime(date)) => date.to_string().parse().ok().map(Value::Date),
        _ => None,
    }
}

impl SettingSpec {
    /// Whether the example is a value that the setting takes.
    pub(super) fn takes_example(&self) -> bool {
        let table: Option<toml::Table> = toml::from_str(&format!("example = {}", self.example)).ok();
        table.and_then(|table| table.get("example").and_then(|value| read(self, value))).is_some()
    }
}
