//! `notices.toml` compiled: how a notice becomes facts.

use super::faults::{FileFaults, Remark};
use super::tables::{self, Table, Text};
use super::xpath::{self, Path};
use crate::domain::fact::{AnswerResult, Answers, ChargeStage, RequirementKind, Status, Track};

/// Everything that a mapping reads.
#[derive(Debug, Default)]
pub(super) struct Rules {
    pub notices: Vec<NoticeRule>,
    pub poll: Option<super::poll::Poll>,
}

/// One shape of message.
#[derive(Debug)]
pub(super) struct NoticeRule {
    pub each: Path,
    pub track: Track,
    pub values: Values,
    pub rows: Vec<Row>,
}

/// What can be read of the shape as of a row; a row's own rule comes first.
#[derive(Debug, Default)]
pub(super) struct Values {
    pub code: Option<Path>,
    pub lrn: Option<Path>,
    pub mrn: Option<Path>,
    pub conversation: Option<Path>,
    pub job: Option<Path>,
    pub occurred_at: Option<Time>,
    pub deadline: Option<Time>,
    pub reasons: Vec<ReasonRule>,
    pub charges: Vec<ChargeRule>,
    pub documents: Vec<DocumentRule>,
}

/// One row of the table of codes.
#[derive(Debug)]
pub(super) struct Row {
    /// `None` fits any code.
    pub code: Option<String>,
    pub when: Option<Path>,
    pub track: Option<Track>,
    pub status: Option<Status>,
    pub note: Option<String>,
    pub answers: Option<Answers>,
    pub result: Option<AnswerResult>,
    pub charges_stage: Option<ChargeStage>,
    pub open: Vec<OpenRule>,
    pub closes: Vec<RequirementKind>,
    pub revocation: bool,
    pub refused: bool,
    pub values: Values,
}

/// A path to an instant, and its form.
#[derive(Debug)]
pub(super) struct Time {
    pub path: Path,
    pub form: TimeForm,
}

/// Forms of instants in notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimeForm {
    /// `yyyymmddhhmmss` with `Z`, `+01` or `+0100`.
    Form304,
    /// `yyyymmdd`
    Form102,
    /// ISO 8601; without a zone it is UTC.
    Iso,
}

#[derive(Debug)]
pub(super) struct ReasonRule {
    pub each: Option<Path>,
    pub code: Option<Path>,
    pub text: Option<Path>,
    pub pointer: Option<PointerRule>,
}

/// Where a reason points at.
#[derive(Debug)]
pub(super) enum PointerRule {
    /// The texts that a path finds, joined by `/`.
    Path(Path),
    /// A chain of sections, each with its index, the last with its tag: `42A/68A[2]/145`.
    Chain { each: Path, section: Path, index: Option<Path>, tag: Option<Path> },
}

#[derive(Debug)]
pub(super) struct ChargeRule {
    pub each: Path,
    pub kind: Option<Path>,
    pub amount: Path,
    pub currency: Option<Path>,
    pub payer: Option<Path>,
    pub stage: Option<ChargeStage>,
}

#[derive(Debug)]
pub(super) struct DocumentRule {
    pub each: Path,
    pub request_id: Option<Path>,
    pub code: Option<Path>,
    pub text: Option<Path>,
    pub deadline: Option<Time>,
}

#[derive(Debug)]
pub(super) struct OpenRule {
    pub kind: RequirementKind,
    pub code: Option<Path>,
    pub lines: Option<Path>,
    pub deadline: Option<Time>,
    pub action_by: Option<Path>,
}

/// Reads `notices.toml`.
pub(super) fn read<'t>(text: &'t str, faults: &mut FileFaults<'t>) -> Rules {
    let mut rules = Rules::default();
    let Some(parsed) = tables::parse(text, faults) else { return rules };
    let mut table = Table::new(parsed.get_ref(), 0..0);
    let mut namespaces = Vec::new();
    if let Some(inner) = table.table("namespaces", faults) {
        for (prefix, uri) in inner.free_texts(faults) {
            namespaces.push((prefix.text.to_owned(), uri.text.to_owned()));
        }
    }
    rules.poll = table.table("poll", faults).and_then(|inner| super::poll::read(inner, &namespaces, faults));
    let notices = table.tables("notice", faults);
    if notices.is_empty() {
        faults.at(0, "at least one [[notice]] is needed");
    }
    for inner in notices {
        let mut reader = Reader { namespaces: &namespaces, faults };
        if let Some(rule) = reader.notice(inner) {
            rules.notices.push(rule);
        }
    }
    table.finish(faults);
    rules
}

struct Reader<'r, 't> {
    namespaces: &'r [(String, String)],
    faults: &'r mut FileFaults<'t>,
}

impl Reader<'_, '_> {
    fn notice(&mut self, mut table: Table<'_>) -> Option<NoticeRule> {
        table.needed("name", self.faults);
        let each = self.needed(&mut table, "each");
        let track = self.word(&mut table, "track", Track::WORDS, Track::parse).unwrap_or(Track::Clearance);
        let values = self.values(&mut table, true);
        let mut rows: Vec<Row> = Vec::new();
        for inner in table.tables("status", self.faults) {
            let at = inner.at();
            let row = self.row(inner, track);
            let shadowed = rows.iter().any(|before| before.when.is_none() && (before.code.is_none() || before.code == row.code));
            if shadowed {
                self.faults.at(at, "this row is never used: a row before it fits whenever it does");
            }
            rows.push(row);
        }
        if rows.is_empty() {
            self.faults.at(table.at(), "at least one [[notice.status]] is needed");
        }
        table.finish(self.faults);
        Some(NoticeRule { each: each?, track, values, rows })
    }

    fn values(&mut self, table: &mut Table<'_>, shape: bool) -> Values {
        let code = if shape { self.path(table, "code") } else { None };
        Values {
            code,
            lrn: self.path(table, "lrn"),
            mrn: self.path(table, "mrn"),
            conversation: self.path(table, "conversation"),
            job: self.path(table, "job"),
            occurred_at: self.time(table, "occurred_at"),
            deadline: self.time(table, "deadline"),
            reasons: table.tables("reasons", self.faults).into_iter().filter_map(|inner| self.reason(inner, true)).collect(),
            charges: table.tables("charges", self.faults).into_iter().filter_map(|inner| self.charge(inner)).collect(),
            documents: table.tables("documents", self.faults).into_iter().filter_map(|inner| self.document(inner)).collect(),
        }
    }

    fn row(&mut self, mut table: Table<'_>, track: Track) -> Row {
        let own_track = self.word(&mut table, "track", Track::WORDS, Track::parse);
        let track = own_track.unwrap_or(track);
        let code = table.text("code", self.faults).map(|text| text.text.to_owned());
        let when = self.path(&mut table, "when");
        let words = match track {
            Track::Security => crate::domain::security::SecurityStatus::WORDS,
            Track::Clearance | Track::Export => crate::domain::clearance::ClearanceStatus::WORDS,
        };
        let status = self.word(&mut table, "status", words, |word| Status::parse(track, word));
        let mut values = self.values(&mut table, false);
        let reasons = table.tables("reason", self.faults);
        values.reasons.extend(reasons.into_iter().filter_map(|inner| self.reason(inner, false)));
        let open = table.tables("open", self.faults).into_iter().filter_map(|inner| self.open(inner)).collect();
        let mut closes = Vec::new();
        for word in table.texts("closes", self.faults) {
            closes.extend(self.parsed(&word, RequirementKind::WORDS, RequirementKind::parse));
        }
        let row = Row {
            code,
            when,
            track: own_track,
            status,
            note: table.text("note", self.faults).map(|text| text.text.to_owned()),
            answers: self.word(&mut table, "answers", Answers::WORDS, Answers::parse),
            result: self.word(&mut table, "result", AnswerResult::WORDS, AnswerResult::parse),
            charges_stage: self.word(&mut table, "charges_stage", ChargeStage::WORDS, ChargeStage::parse),
            open,
            closes,
            revocation: table.bool("revocation", self.faults).unwrap_or(false),
            refused: table.bool("refused", self.faults).unwrap_or(false),
            values,
        };
        if !["status", "note", "answers", "refused"].iter().any(|key| table.has(key)) {
            self.faults.at(table.at(), "a row says status, note, answers or refused");
        }
        table.finish(self.faults);
        row
    }

    fn reason(&mut self, mut table: Table<'_>, repeated: bool) -> Option<ReasonRule> {
        let each = if repeated { Some(self.needed(&mut table, "each")) } else { self.path(&mut table, "each").map(Some) };
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
            return self.path(table, "pointer").map(PointerRule::Path);
        }
        let mut inner = table.table("pointer", self.faults)?;
        let (each, section) = (self.needed(&mut inner, "each"), self.needed(&mut inner, "section"));
        let (index, tag) = (self.path(&mut inner, "index"), self.path(&mut inner, "tag"));
        inner.finish(self.faults);
        Some(PointerRule::Chain { each: each?, section: section?, index, tag })
    }

    fn charge(&mut self, mut table: Table<'_>) -> Option<ChargeRule> {
        let (each, amount) = (self.needed(&mut table, "each"), self.needed(&mut table, "amount"));
        let kind = self.path(&mut table, "type");
        let currency = self.path(&mut table, "currency");
        let payer = self.path(&mut table, "payer");
        let stage = self.word(&mut table, "stage", ChargeStage::WORDS, ChargeStage::parse);
        table.finish(self.faults);
        Some(ChargeRule { each: each?, kind, amount: amount?, currency, payer, stage })
    }

    fn document(&mut self, mut table: Table<'_>) -> Option<DocumentRule> {
        let each = self.needed(&mut table, "each");
        let request_id = self.path(&mut table, "request_id");
        let (code, text) = (self.path(&mut table, "code"), self.path(&mut table, "text"));
        let deadline = self.time(&mut table, "deadline");
        table.finish(self.faults);
        Some(DocumentRule { each: each?, request_id, code, text, deadline })
    }

    fn open(&mut self, mut table: Table<'_>) -> Option<OpenRule> {
        if !table.has("kind") {
            self.faults.at(table.at(), "kind is missing");
        }
        let kind = self.word(&mut table, "kind", RequirementKind::WORDS, RequirementKind::parse);
        let (code, lines) = (self.path(&mut table, "code"), self.path(&mut table, "lines"));
        let (deadline, action_by) = (self.time(&mut table, "deadline"), self.path(&mut table, "action_by"));
        table.finish(self.faults);
        Some(OpenRule { kind: kind?, code, lines, deadline, action_by })
    }

    fn time(&mut self, table: &mut Table<'_>, key: &'static str) -> Option<Time> {
        let mut inner = table.table(key, self.faults)?;
        let path = self.needed(&mut inner, "path");
        const FORMS: &[(&str, TimeForm)] = &[("304", TimeForm::Form304), ("102", TimeForm::Form102), ("iso", TimeForm::Iso)];
        let form = inner.needed("format", self.faults);
        let found = form.as_ref().and_then(|word| FORMS.iter().find(|(name, _)| *name == word.text));
        if let (Some(word), None) = (&form, found) {
            self.faults.at(word.at, "a form of an instant is 304, 102 or iso");
        }
        inner.finish(self.faults);
        Some(Time { path: path?, form: found?.1 })
    }

    fn needed(&mut self, table: &mut Table<'_>, key: &'static str) -> Option<Path> {
        let text = table.needed(key, self.faults)?;
        self.parse(&text)
    }

    fn path(&mut self, table: &mut Table<'_>, key: &'static str) -> Option<Path> {
        let text = table.text(key, self.faults)?;
        self.parse(&text)
    }

    fn parse(&mut self, text: &Text<'_>) -> Option<Path> {
        match xpath::parse(text.text, self.namespaces) {
            Ok(path) => Some(path),
            Err((at, remark)) => {
                self.faults.at(text.at + at, remark);
                None
            }
        }
    }

    fn word<T>(
        &mut self,
        table: &mut Table<'_>,
        key: &'static str,
        words: &[&'static str],
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let text = table.text(key, self.faults)?;
        self.parsed(&text, words, parse)
    }

    fn parsed<T>(&mut self, text: &Text<'_>, words: &[&'static str], parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let parsed = parse(text.text);
        if parsed.is_none() {
            let message = format!("one of: {}", words.join(", "));
            self.faults.at(text.at, Remark::unknown(message, text.text, words.iter().copied()));
        }
        parsed
    }
}
