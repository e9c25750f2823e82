//! `notices.toml` compiled: how a notice becomes facts. Shapes and rows are read here, what they
//! are made of (paths, instants, reasons, …) in [`super::rules_parts`].

use std::sync::Arc;

use jiff::tz::TimeZone;

use super::codes::CodeList;
use super::faults::{FileFaults, Remark};
use super::instants::TimeForm;
use super::program::Encoding;
use super::tables::{self, Table};
use super::xpath::{Path, Prefixes};
use crate::domain::fact::{AnswerResult, Answers, ChargeStage, RequirementKind, Status, Track};

/// Everything that a mapping reads.
#[derive(Debug, Default)]
pub(super) struct Rules {
    /// The namespaces of all paths, which number them.
    pub namespaces: Vec<String>,
    pub unwraps: Vec<Unwrap>,
    pub notices: Vec<NoticeRule>,
    pub poll: Option<super::poll::Poll>,
    pub inbox: super::inbox::Inbox,
}

/// Elements that hold a document of its own, read in its place.
#[derive(Debug)]
pub(super) struct Unwrap {
    pub path: Path,
    pub encoding: Encoding,
}

/// One shape of message.
#[derive(Debug)]
pub(super) struct NoticeRule {
    /// Its line in the file.
    pub line: u32,
    /// Every code that the format's documentation names, when a list says so.
    pub known: Option<Arc<CodeList>>,
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
    /// Its line in the file.
    pub line: u32,
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

/// A path to an instant, its form, and the zone of texts without one.
#[derive(Debug)]
pub(super) struct Time {
    pub path: Path,
    /// A text that is appended, where date and time of day stand apart.
    pub time: Option<Path>,
    pub form: TimeForm,
    pub zone: TimeZone,
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
    /// The texts that a path finds, joined by `/`; `ours` when each is a place in our message.
    Path { path: Path, ours: bool },
    /// A chain of sections, each with its index, the last with its tag: `42A/68A[2]/145`. With
    /// the names that they have in our message it is a place in it.
    Chain { each: Path, section: Path, index: Option<Path>, tag: Option<Path>, names: Option<Arc<CodeList>> },
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
pub(super) fn read<'t>(text: &'t str, codes: &[Arc<CodeList>], faults: &mut FileFaults<'t>) -> Rules {
    let mut rules = Rules::default();
    let Some(parsed) = tables::parse(text, faults) else { return rules };
    let mut table = Table::new(parsed.get_ref(), 0..0);
    let mut prefixes = Prefixes::default();
    if let Some(inner) = table.table("namespaces", faults) {
        for (prefix, uri) in inner.free_texts(faults) {
            prefixes.add(prefix.text, uri.text);
        }
    }
    rules.poll = table.table("poll", faults).and_then(|inner| super::poll::read(inner, &prefixes, faults));
    rules.inbox = table.table("inbox", faults).map(|inner| super::inbox::read(inner, &prefixes, faults)).unwrap_or_default();
    let (unwraps, notices) = (table.tables("unwrap", faults), table.tables("notice", faults));
    if notices.is_empty() {
        faults.at(0, "at least one [[notice]] is needed");
    }
    let mut reader = Reader { prefixes: &prefixes, codes, faults };
    rules.unwraps.extend(unwraps.into_iter().filter_map(|inner| reader.unwrap(inner)));
    rules.notices.extend(notices.into_iter().filter_map(|inner| reader.notice(inner)));
    table.finish(faults);
    rules.namespaces = prefixes.uris;
    rules
}

pub(super) struct Reader<'r, 't> {
    pub(super) prefixes: &'r Prefixes,
    pub(super) codes: &'r [Arc<CodeList>],
    pub(super) faults: &'r mut FileFaults<'t>,
}

impl Reader<'_, '_> {
    fn notice(&mut self, mut table: Table<'_>) -> Option<NoticeRule> {
        let line = self.faults.line(table.at());
        table.needed("name", self.faults);
        let known = self.known_codes(&mut table);
        let each = self.place(&mut table, "each");
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
        Some(NoticeRule { line, known, each: each?, track, values, rows })
    }

    /// The list of codes that `codes` names.
    fn known_codes(&mut self, table: &mut Table<'_>) -> Option<Arc<CodeList>> {
        let name = table.text("codes", self.faults)?;
        let found = self.codes.iter().find(|list| list.name == name.text).cloned();
        if found.is_none() {
            let message = format!("there is no code list codes/{}.csv", name.text);
            self.faults.at(name.at, Remark::unknown(message, name.text, self.codes.iter().map(|list| list.name.as_str())));
        }
        found
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
        let line = self.faults.line(table.at());
        let own_track = self.word(&mut table, "track", Track::WORDS, Track::parse);
        let track = own_track.unwrap_or(track);
        let code = table.text("code", self.faults).map(|text| text.text.to_owned());
        let when = self.optional_place(&mut table, "when");
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
            line,
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
}
