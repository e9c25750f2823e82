//! What an operator says of one broker beside its settings: other settings for some declarations
//! (`[[overrides]]`), rows of the mapping's code lists (`[codes.LIST]`), and the rate table.
//!
//! All of it is checked against the mapping when it is read, every fault at once with its key. What
//! is in force for a declaration is found once per message; without overrides that costs nothing.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::codes::{CodeList, MAX_ROWS};
use super::condition::Condition;
use super::faults::nearest;
use super::rates::Rates;
use super::settings::{SettingFault, SettingSpec, Settings, Value, read_given};
use super::{ConditionFault, PostContext};
use crate::domain::declaration::Declaration;
use crate::domain::text::is_xml_character;

/// Most overrides of one broker: each is asked for every message.
const MAX_OVERRIDES: usize = 1000;

/// What an operator gives for one broker, as it was read.
#[derive(Debug, Clone)]
pub struct Operator<'o> {
    /// `[brokers.X.settings]`
    pub settings: &'o toml::Table,
    /// `[[brokers.X.overrides]]`: the condition, and the settings when it holds.
    pub overrides: Vec<(&'o str, &'o toml::Table)>,
    /// `[brokers.X.codes.LIST]`
    pub codes: Vec<(&'o str, &'o toml::Table)>,
    /// `[mappings] rates`
    pub rates: Arc<Rates>,
}

/// Settings in force when a condition holds: their places in the mapping's table, and their values.
#[derive(Debug)]
pub(super) struct Override {
    when: Condition,
    values: Vec<(usize, Value)>,
}

/// Rows of a code list that replace or add to those of the mapping.
#[derive(Debug)]
pub(super) struct CodeRows {
    list: String,
    rows: HashMap<String, String>,
}

impl Operator<'_> {
    pub(super) fn settings(&self, specs: &[SettingSpec], lists: &[Arc<CodeList>]) -> Result<Settings, Vec<SettingFault>> {
        let mut faults = Vec::new();
        let values = match Settings::check(specs, self.settings) {
            Ok(settings) => settings.values,
            Err(found) => {
                faults.extend(below("settings", found));
                Vec::new()
            }
        };
        if self.overrides.len() > MAX_OVERRIDES {
            faults.push(SettingFault { key: "overrides".to_owned(), message: format!("at most {MAX_OVERRIDES}") });
        }
        let overrides = self.overrides.iter().take(MAX_OVERRIDES).enumerate();
        let overrides: Vec<Override> = overrides.filter_map(|(at, given)| read_override(specs, at, *given, &mut faults)).collect();
        let codes: Vec<CodeRows> = self.codes.iter().filter_map(|(list, rows)| read_rows(lists, list, rows, &mut faults)).collect();
        if faults.is_empty() {
            Ok(Settings { values, overrides: overrides.into(), codes: codes.into(), rates: Arc::clone(&self.rates) })
        } else {
            Err(faults)
        }
    }
}

fn below(place: &str, faults: Vec<SettingFault>) -> impl Iterator<Item = SettingFault> {
    faults.into_iter().map(move |fault| SettingFault { key: format!("{place}.{}", fault.key), message: fault.message })
}

fn read_override(
    specs: &[SettingSpec],
    at: usize,
    (when, table): (&str, &toml::Table),
    faults: &mut Vec<SettingFault>,
) -> Option<Override> {
    let mut found = Vec::new();
    let values = read_given(specs, table, &mut found);
    let sound = found.is_empty();
    faults.extend(below(&format!("overrides.{at}.settings"), found));
    if table.is_empty() {
        faults.push(SettingFault { key: format!("overrides.{at}.settings"), message: "names at least one setting".to_owned() });
    }
    let condition = Condition::compile(when).map_err(|told| {
        let fault = |fault: ConditionFault| SettingFault { key: format!("overrides.{at}.when"), message: fault.to_string() };
        faults.extend(told.into_iter().map(fault));
    });
    let values = values.into_iter().enumerate().filter_map(|(place, value)| Some((place, value?))).collect();
    condition.ok().filter(|_| sound).map(|when| Override { when, values })
}

fn read_rows(lists: &[Arc<CodeList>], list: &str, table: &toml::Table, faults: &mut Vec<SettingFault>) -> Option<CodeRows> {
    let mut fault = |key: String, message: String| faults.push(SettingFault { key, message });
    if !lists.iter().any(|known| known.name == list) {
        let message = match nearest(list, lists.iter().map(|list| list.name.as_str())) {
            Some(name) => format!("the mapping has no such code list; did you mean {name}?"),
            None => "the mapping has no such code list".to_owned(),
        };
        fault(format!("codes.{list}"), message);
        return None;
    }
    if table.len() > MAX_ROWS {
        fault(format!("codes.{list}"), format!("at most {MAX_ROWS} rows"));
        return None;
    }
    let mut rows = HashMap::with_capacity(table.len());
    for (key, value) in table {
        match value.as_str().filter(|text| text.len() <= 2000 && text.chars().all(is_xml_character)) {
            Some(text) => {
                rows.insert(key.clone(), text.to_owned());
            }
            None => fault(format!("codes.{list}.{key}"), "has to be a text of at most 2000 bytes without control characters".to_owned()),
        }
    }
    Some(CodeRows { list: list.to_owned(), rows })
}

impl Settings {
    /// The settings for one declaration of a post: of the overrides that hold, the first that names
    /// a setting decides it.
    pub(super) fn in_force(&self, declaration: &Declaration, post: PostContext<'_>) -> Cow<'_, Self> {
        let mut chosen: BTreeMap<usize, &Value> = BTreeMap::new();
        for given in self.overrides.iter().filter(|given| given.when.matches(declaration, post)) {
            for (place, value) in &given.values {
                chosen.entry(*place).or_insert(value);
            }
        }
        if chosen.is_empty() {
            return Cow::Borrowed(self);
        }
        let mut settings = self.clone();
        for (place, value) in chosen {
            if let Some(slot) = settings.values.get_mut(place) {
                *slot = Some(value.clone());
            }
        }
        Cow::Owned(settings)
    }

    /// The operator's own value of a key of a code list.
    pub(super) fn code(&self, list: &str, key: &str) -> Option<&str> {
        let rows = self.codes.iter().find(|rows| rows.list == list)?;
        rows.rows.get(key).map(String::as_str)
    }

    pub(super) fn rates(&self) -> &Rates {
        &self.rates
    }
}

/// `[[overrides]]`, `[codes.LIST]` and `[[rates]]` of a case's `settings.toml`.
#[derive(Debug, Clone, Default)]
pub(super) struct Given {
    overrides: Vec<(String, toml::Table)>,
    codes: Vec<(String, toml::Table)>,
    rates: Arc<Rates>,
}

impl Given {
    /// Takes them out of a table; what is left are the broker's settings.
    pub(super) fn take(table: &mut toml::Table) -> Result<Self, SettingFault> {
        let wrong = |key: &str, message: &str| SettingFault { key: key.to_owned(), message: message.to_owned() };
        let mut given = Self::default();
        if let Some(value) = table.remove("overrides") {
            let shape = || wrong("overrides", "each has a text `when` and a table `settings`, and nothing else");
            for one in value.as_array().ok_or_else(shape)? {
                let one = one.as_table().filter(|one| one.len() == 2).ok_or_else(shape)?;
                let when = one.get("when").and_then(toml::Value::as_str).ok_or_else(shape)?;
                let settings = one.get("settings").and_then(toml::Value::as_table).ok_or_else(shape)?;
                given.overrides.push((when.to_owned(), settings.clone()));
            }
        }
        if let Some(value) = table.remove("codes") {
            let shape = || wrong("codes", "has a table for each code list");
            for (list, rows) in value.as_table().ok_or_else(shape)? {
                given.codes.push((list.clone(), rows.as_table().ok_or_else(shape)?.clone()));
            }
        }
        if let Some(value) = table.remove("rates") {
            let rows = value.as_array().ok_or_else(|| wrong("rates", "is a list of tables"))?;
            let rates = Rates::from_tables(rows);
            given.rates = Arc::new(rates.map_err(|faults| faults.into_iter().next().unwrap_or_else(|| wrong("rates", "is faulty")))?);
        }
        Ok(given)
    }

    /// Together with the settings.
    pub(super) fn operator<'o>(&'o self, settings: &'o toml::Table) -> Operator<'o> {
        let borrowed = |list: &'o [(String, toml::Table)]| list.iter().map(|(name, table)| (name.as_str(), table)).collect();
        Operator { settings, overrides: borrowed(&self.overrides), codes: borrowed(&self.codes), rates: Arc::clone(&self.rates) }
    }
}
