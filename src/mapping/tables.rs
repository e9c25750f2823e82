//! TOML with places: reads the tables of `mapping.toml` and `notices.toml` key by key and tells
//! unknown keys, missing ones and wrong kinds with their lines.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::faults::{FileFaults, Remark};

/// A table being read. Keys that nobody asked for are told by [`Table::finish`].
pub(super) struct Table<'t> {
    table: &'t DeTable<'t>,
    span: Range<usize>,
    asked: Vec<&'static str>,
}

/// A text of a table and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Text<'t> {
    pub text: &'t str,
    /// The offset of its first character (behind the quote).
    pub at: usize,
}

/// Parses a file; a fault of syntax is added.
pub(super) fn parse<'t>(text: &'t str, faults: &mut FileFaults<'_>) -> Option<Spanned<DeTable<'t>>> {
    match DeTable::parse(text) {
        Ok(table) => Some(table),
        Err(error) => {
            faults.at(error.span().map_or(0, |span| span.start), format!("TOML: {}", error.message()));
            None
        }
    }
}

impl<'t> Table<'t> {
    pub(super) fn new(table: &'t DeTable<'t>, span: Range<usize>) -> Self {
        Self { table, span, asked: Vec::new() }
    }

    /// Where the table stands.
    pub(super) fn at(&self) -> usize {
        self.span.start
    }

    fn value(&mut self, key: &'static str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.asked.push(key);
        self.table.get(key)
    }

    /// Whether a key is there.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.get(key).is_some()
    }

    /// Where a key's value stands.
    pub(super) fn place(&self, key: &str) -> Option<usize> {
        self.table.get(key).map(|value| value.span().start)
    }

    /// Whether a key holds a table.
    pub(super) fn is_table(&self, key: &str) -> bool {
        self.table.get(key).is_some_and(|value| value.get_ref().is_table())
    }

    /// A text.
    pub(super) fn text(&mut self, key: &'static str, faults: &mut FileFaults<'_>) -> Option<Text<'t>> {
        let value = self.value(key)?;
        match value.get_ref() {
            DeValue::String(text) => Some(Text { text, at: value.span().start + 1 }),
            _ => wrong(value, key, "a text", faults),
        }
    }

    /// A text that has to be there.
    pub(super) fn needed(&mut self, key: &'static str, faults: &mut FileFaults<'_>) -> Option<Text<'t>> {
        if !self.has(key) {
            self.asked.push(key);
            faults.at(self.span.start, format!("{key} is missing"));
            return None;
        }
        self.text(key, faults)
    }

    /// `true` or `false`.
    pub(super) fn bool(&mut self, key: &'static str, faults: &mut FileFaults<'_>) -> Option<bool> {
        let value = self.value(key)?;
        match value.get_ref() {
            DeValue::Boolean(flag) => Some(*flag),
            _ => wrong(value, key, "true or false", faults),
        }
    }

    /// A whole number from 0.
    pub(super) fn count(&mut self, key: &'static str, faults: &mut FileFaults<'_>) -> Option<u32> {
        let value = self.value(key)?;
        let number = value.get_ref().as_integer().and_then(|number| u32::from_str_radix(number.as_str(), number.radix()).ok());
        number.or_else(|| wrong(value, key, "a whole number", faults))
    }

    /// Any value, as it would be written.
    pub(super) fn written(&mut self, key: &'static str) -> Option<String> {
        match self.value(key)?.get_ref() {
            DeValue::String(text) => Some(format!("{:?}", text.as_ref())),
            DeValue::Integer(number) => Some(number.to_string()),
            DeValue::Float(number) => Some(number.to_string()),
            DeValue::Boolean(flag) => Some(flag.to_string()),
            DeValue::Datetime(date) => Some(date.to_string()),
            DeValue::Array(_) | DeValue::Table(_) => None,
        }
    }

    /// A list of texts; one text is a list of one.
    pub(super) fn texts(&mut self, key: &'static str, faults: &mut FileFaults<'_>) -> Vec<Text<'t>> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let one = |value: &'t Spanned<DeValue<'t>>, faults: &mut FileFaults<'_>| match value.get_ref() {
            DeValue::String(text) => Some(Text { text, at: value.span().start + 1 }),
            _ => wrong(value, key, "a list of texts", faults),
        };
        match value.get_ref() {
            DeValue::Array(list) => list.iter().filter_map(|entry| one(entry, faults)).collect(),
            _ => one(value, faults).into_iter().collect(),
        }
    }

    /// A table.
    pub(super) fn table(&mut self, key: &'static str, faults: &mut FileFaults<'_>) -> Option<Table<'t>> {
        let value = self.value(key)?;
        match value.get_ref() {
            DeValue::Table(table) => Some(Table::new(table, value.span())),
            _ => wrong(value, key, "a table", faults),
        }
    }

    /// A list of tables; one table is a list of one.
    pub(super) fn tables(&mut self, key: &'static str, faults: &mut FileFaults<'_>) -> Vec<Table<'t>> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let one = |value: &'t Spanned<DeValue<'t>>, faults: &mut FileFaults<'_>| match value.get_ref() {
            DeValue::Table(table) => Some(Table::new(table, value.span())),
            _ => wrong(value, key, "a table", faults),
        };
        match value.get_ref() {
            DeValue::Array(list) => list.iter().filter_map(|entry| one(entry, faults)).collect(),
            _ => one(value, faults).into_iter().collect(),
        }
    }

    /// A list of texts and of tables with a `template` and perhaps a condition `when`; one is a list of one.
    pub(super) fn messages(&mut self, key: &'static str, faults: &mut FileFaults<'_>) -> Vec<(Text<'t>, Option<Text<'t>>)> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let one = |value: &'t Spanned<DeValue<'t>>, faults: &mut FileFaults<'_>| match value.get_ref() {
            DeValue::String(text) => Some((Text { text, at: value.span().start + 1 }, None)),
            DeValue::Table(table) => {
                let mut table = Table::new(table, value.span());
                let (template, when) = (table.needed("template", faults), table.text("when", faults));
                table.finish(faults);
                template.map(|template| (template, when))
            }
            _ => wrong(value, key, "a list of templates", faults),
        };
        match value.get_ref() {
            DeValue::Array(list) => list.iter().filter_map(|entry| one(entry, faults)).collect(),
            _ => one(value, faults).into_iter().collect(),
        }
    }

    /// Every key with its table, for tables with free keys.
    pub(super) fn free_tables(self, faults: &mut FileFaults<'_>) -> Vec<(Text<'t>, Table<'t>)> {
        let mut list = Vec::new();
        for (key, value) in self.table {
            let name = Text { text: key.get_ref().as_ref(), at: key.span().start };
            match value.get_ref() {
                DeValue::Table(table) => list.push((name, Table::new(table, value.span()))),
                _ => {
                    wrong::<()>(value, name.text, "a table", faults);
                }
            }
        }
        list
    }

    /// Every key with its text, but for those that were asked for, for tables with free keys.
    pub(super) fn free_texts(self, faults: &mut FileFaults<'_>) -> Vec<(Text<'t>, Text<'t>)> {
        let mut list = Vec::new();
        for (key, value) in self.table {
            let name = Text { text: key.get_ref().as_ref(), at: key.span().start };
            if self.asked.contains(&name.text) {
                continue;
            }
            match value.get_ref() {
                DeValue::String(text) => list.push((name, Text { text, at: value.span().start + 1 })),
                _ => {
                    wrong::<()>(value, name.text, "a text", faults);
                }
            }
        }
        list
    }

    /// Tells the keys that nobody asked for.
    pub(super) fn finish(self, faults: &mut FileFaults<'_>) {
        for (key, _) in self.table {
            let name = key.get_ref().as_ref();
            if !self.asked.contains(&name) {
                faults.at(key.span().start, Remark::unknown(format!("unknown key {name}"), name, self.asked.iter().copied()));
            }
        }
    }
}

fn wrong<T>(value: &Spanned<DeValue<'_>>, key: &str, wanted: &str, faults: &mut FileFaults<'_>) -> Option<T> {
    faults.at(value.span().start, format!("{key} has to be {wanted}"));
    None
}
