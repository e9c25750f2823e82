//! The parts of `notices.toml` that shapes and rows are made of: paths, instants, reasons with
//! their pointers, charges, documents, requirements, payloads.

use super::faults::Remark;
use super::instants::{self, TimeForm};
use super::program::Encoding;
use super::rules::{ChargeRule, DocumentRule, OpenRule, PointerRule, Reader, ReasonRule, Time, Unwrap};
use super::tables::{Table, Text};
use super::xpath::{self, Path};
use crate::domain::fact::{ChargeStage, RequirementKind};

impl Reader<'_, '_> {
    pub(super) fn unwrap(&mut self, mut table: Table<'_>) -> Option<Unwrap> {
        let path = self.place(&mut table, "path");
        let word = table.needed("encoding", self.faults);
        let find = |word: &str| Encoding::WORDS.iter().find(|(known, _)| *known == word).map(|(_, encoding)| *encoding);
        let encoding = word.and_then(|word| self.parsed(&word, &Encoding::WORDS.map(|(word, _)| word), find));
        table.finish(self.faults);
        Some(Unwrap { path: path?, encoding: encoding? })
    }

    pub(super) fn reason(&mut self, mut table: Table<'_>, repeated: bool) -> Option<ReasonRule> {
        let each = if repeated { Some(self.place(&mut table, "each")) } else { self.optional_place(&mut table, "each").map(Some) };
        let code = self.path(&mut table, "code");
        let text = self.path(&mut table, "text");
        let pointer = self.pointer(&mut table);
        if code.is_none() && text.is_none() {
            self.faults.at(table.at(), "a reason has a code or a text");
        }
        table.finish(self.faults);
        match each {
            Some(each) => Some(ReasonRule { each: Some(each?), code, text, pointer }),
            None => Some(ReasonRule { each: None, code, text, pointer }),
        }
    }

    fn pointer(&mut self, table: &mut Table<'_>) -> Option<PointerRule> {
        if !table.is_table("pointer") {
            return self.path(table, "pointer").map(|path| PointerRule::Path { path, ours: false });
        }
        let mut inner = table.table("pointer", self.faults)?;
        let rule = if inner.has("path") || inner.has("notation") { self.located(&mut inner) } else { self.chain(&mut inner) };
        inner.finish(self.faults);
        rule
    }

    /// A pointer that is a path in our message.
    fn located(&mut self, table: &mut Table<'_>) -> Option<PointerRule> {
        let path = self.needed(table, "path");
        let ours = self.word(table, "notation", &["path"], |word| (word == "path").then_some(true));
        Some(PointerRule::Path { path: path?, ours: ours.unwrap_or(false) })
    }

    /// A pointer that is a chain of sections.
    fn chain(&mut self, table: &mut Table<'_>) -> Option<PointerRule> {
        let (each, section) = (self.place(table, "each"), self.needed(table, "section"));
        let (index, tag) = (self.path(table, "index"), self.path(table, "tag"));
        let mut names = None;
        if let Some(name) = table.text("names", self.faults) {
            names = self.codes.iter().find(|list| list.name == name.text).cloned();
            if names.is_none() {
                let known = self.codes.iter().map(|list| list.name.as_str());
                let remark = Remark::unknown(format!("there is no code list codes/{}.csv", name.text), name.text, known);
                self.faults.at(name.at, remark);
            }
        }
        Some(PointerRule::Chain { each: each?, section: section?, index, tag, names })
    }

    pub(super) fn charge(&mut self, mut table: Table<'_>) -> Option<ChargeRule> {
        let (each, amount) = (self.place(&mut table, "each"), self.needed(&mut table, "amount"));
        let kind = self.path(&mut table, "type");
        let currency = self.path(&mut table, "currency");
        let payer = self.path(&mut table, "payer");
        let stage = self.word(&mut table, "stage", ChargeStage::WORDS, ChargeStage::parse);
        table.finish(self.faults);
        Some(ChargeRule { each: each?, kind, amount: amount?, currency, payer, stage })
    }

    pub(super) fn document(&mut self, mut table: Table<'_>) -> Option<DocumentRule> {
        let each = self.place(&mut table, "each");
        let request_id = self.path(&mut table, "request_id");
        let (code, text) = (self.path(&mut table, "code"), self.path(&mut table, "text"));
        let deadline = self.time(&mut table, "deadline");
        table.finish(self.faults);
        Some(DocumentRule { each: each?, request_id, code, text, deadline })
    }

    pub(super) fn open(&mut self, mut table: Table<'_>) -> Option<OpenRule> {
        if !table.has("kind") {
            self.faults.at(table.at(), "kind is missing");
        }
        let kind = self.word(&mut table, "kind", RequirementKind::WORDS, RequirementKind::parse);
        let (code, lines) = (self.path(&mut table, "code"), self.path(&mut table, "lines"));
        let (deadline, action_by) = (self.time(&mut table, "deadline"), self.path(&mut table, "action_by"));
        table.finish(self.faults);
        Some(OpenRule { kind: kind?, code, lines, deadline, action_by })
    }

    pub(super) fn time(&mut self, table: &mut Table<'_>, key: &'static str) -> Option<Time> {
        let mut inner = table.table(key, self.faults)?;
        let (path, time) = (self.needed(&mut inner, "path"), self.path(&mut inner, "time"));
        let form = inner.needed("format", self.faults).and_then(|word| match TimeForm::parse(word.text) {
            Ok(form) => Some(form),
            Err((at, remark)) => {
                self.faults.at(word.at + at, remark);
                None
            }
        });
        let mut zone = jiff::tz::TimeZone::UTC;
        if let Some(word) = inner.text("zone", self.faults) {
            match instants::zone(word.text) {
                Ok(known) => zone = known,
                Err(remark) => self.faults.at(word.at, remark),
            }
            if form.as_ref().is_some_and(|form| !form.takes_zone()) {
                self.faults.at(word.at, "seconds since 1970 are counted in UTC: they have no zone");
            }
        }
        inner.finish(self.faults);
        Some(Time { path: path?, time, form: form?, zone })
    }

    /// A path to nodes: a text alone would find nothing, ever.
    pub(super) fn place(&mut self, table: &mut Table<'_>, key: &'static str) -> Option<Path> {
        let text = table.needed(key, self.faults)?;
        self.nodes(&text)
    }

    /// A path to nodes, when it is given.
    pub(super) fn optional_place(&mut self, table: &mut Table<'_>, key: &'static str) -> Option<Path> {
        let text = table.text(key, self.faults)?;
        self.nodes(&text)
    }

    fn nodes(&mut self, text: &Text<'_>) -> Option<Path> {
        let path = self.parse(text)?;
        if matches!(path, Path::Union(_)) {
            return Some(path);
        }
        self.faults.at(text.at, "a path to elements is expected here, not a text");
        None
    }

    fn needed(&mut self, table: &mut Table<'_>, key: &'static str) -> Option<Path> {
        let text = table.needed(key, self.faults)?;
        self.parse(&text)
    }

    pub(super) fn path(&mut self, table: &mut Table<'_>, key: &'static str) -> Option<Path> {
        let text = table.text(key, self.faults)?;
        self.parse(&text)
    }

    fn parse(&mut self, text: &Text<'_>) -> Option<Path> {
        match xpath::parse(text.text, self.prefixes) {
            Ok(path) => Some(path),
            Err((at, remark)) => {
                self.faults.at(text.at + at, remark);
                None
            }
        }
    }

    pub(super) fn word<T>(
        &mut self,
        table: &mut Table<'_>,
        key: &'static str,
        words: &[&'static str],
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let text = table.text(key, self.faults)?;
        self.parsed(&text, words, parse)
    }

    pub(super) fn parsed<T>(&mut self, text: &Text<'_>, words: &[&'static str], parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let parsed = parse(text.text);
        if parsed.is_none() {
            let message = format!("one of: {}", words.join(", "));
            self.faults.at(text.at, Remark::unknown(message, text.text, words.iter().copied()));
        }
        parsed
    }
}
