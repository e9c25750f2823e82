//! What a mapping asks of the operator: `[[settings]]` in `mapping.toml`, values in the configuration.
//!
//! Settings are checked when the configuration is read, all faults at once, so that no message
//! fails for a setting that could have been seen at start. They are never secrets.

use rust_decimal::Decimal;

use super::faults::nearest;
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
enum Value {
    Text(String),
    Integer(i64),
    Decimal(Decimal),
    Bool(bool),
    Date(Date),
}

/// Checked settings, in the order of the mapping's table.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings(Vec<Option<Value>>);

impl Settings {
    pub(super) fn get(&self, index: u16) -> V<'_> {
        match self.0.get(usize::from(index)) {
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
        let fault = |key: &str, message: String| SettingFault { key: key.to_owned(), message };
        for key in table.keys().filter(|key| !specs.iter().any(|spec| spec.name == **key)) {
            let message = match nearest(key, specs.iter().map(|spec| spec.name.as_str())) {
                Some(name) => format!("the mapping has no such setting; did you mean {name}?"),
                None => "the mapping has no such setting".to_owned(),
            };
            faults.push(fault(key, message));
        }
        let mut values = Vec::with_capacity(specs.len());
        for spec in specs {
            let value = match table.get(&spec.name) {
                None if spec.required => {
                    faults.push(fault(&spec.name, format!("has to be set: {} (for example {})", spec.description, spec.example)));
                    None
                }
                None => None,
                Some(value) => {
                    let read = read(spec, value);
                    if read.is_none() {
                        faults.push(fault(&spec.name, format!("has to be {}, for example {}", allowed(spec), spec.example)));
                    }
                    read
                }
            };
            values.push(value);
        }
        if faults.is_empty() { Ok(Self(values)) } else { Err(faults) }
    }
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
            (sound && listed).then(|| Value::Text(text.clone()))
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
