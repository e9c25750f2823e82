//! Reads what a broker sends: notices, replies, answers to queries, all by the same rules.
//!
//! Reading decides nothing: it says what stands there. A code without a row is a fact with an
//! unknown code, never a success or failure. What cannot be read is told by a reason from a closed
//! list and nothing of its content.

use rust_decimal::Decimal;

use super::dom::{Buffers, Builder, Dom};
use super::fieldmap::FieldMap;
use super::find::{Finder, Found};
use super::instants::instant;
use super::rules::{ChargeRule, DocumentRule, NoticeRule, OpenRule, ReasonRule, Row, Rules, Time, Values};
use super::unwrap::{self, Allowance};
use super::xpath::Path;
use super::{json_body, xml};
use crate::choice;
use crate::domain::fact::{Charge, ChargeStage, DocumentRequest, Fact, Reason, Requirement};
use crate::domain::time::Timestamp;

/// Largest notice, in bytes.
pub const MAX_NOTICE_BYTES: usize = 8 * 1024 * 1024;
/// Most facts of one notice.
const MAX_FACTS: usize = 10_000;
/// Most reasons, charges, documents or lines of one fact.
const MAX_ENTRIES: usize = 1000;
/// Longest reference or code, in characters.
pub(super) const MAX_REFERENCE: usize = 100;
/// Longest text, in characters.
pub(super) const MAX_TEXT: usize = 2000;

choice! {
    /// Why a notice cannot be read.
    pub enum UnreadableReason {
        /// Not well-formed XML in UTF-8, with its namespaces declared.
        NotXml = "not_xml",
        /// Not well-formed JSON in UTF-8, or an object has the same key twice.
        NotJson = "not_json",
        /// It ends too early.
        CutOff = "cut_off",
        /// It has no content.
        Empty = "empty",
        /// It has a DOCTYPE.
        Doctype = "doctype",
        /// It refers to an entity or character that there is not.
        BadReference = "bad_reference",
        /// It has more bytes than are read.
        TooLarge = "too_large",
        /// It is deeper, or has more parts, than are read.
        TooComplex = "too_complex",
        /// A payload inside it is not in the encoding that the mapping says.
        BadEncoding = "bad_encoding",
        /// No rule of the mapping knows this kind of message.
        UnknownFormat = "unknown_format",
    }
}

/// A notice that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable {
    /// Why.
    pub reason: UnreadableReason,
}

impl From<UnreadableReason> for Unreadable {
    fn from(reason: UnreadableReason) -> Self {
        Self { reason }
    }
}

/// Reads a notice into facts, in the order of the document; `used` is told each with its shape and row.
pub(super) fn read(rules: &Rules, fields: &FieldMap, bytes: &[u8], used: Used<'_>) -> Result<Vec<Fact>, Unreadable> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(UnreadableReason::Empty.into());
    }
    let (buffers, mut left) = (Buffers::default(), Allowance::default());
    let mut dom = body(&rules.namespaces, bytes, &buffers)?;
    for rule in &rules.unwraps {
        dom = unwrap::apply(dom, rule, &buffers, &mut left)?;
    }
    let mut reader = Reader { finder: Finder::new(&dom), fields };
    for rule in &rules.notices {
        let nodes = reader.finder.find(&rule.each, Found::Node(0))?;
        if nodes.len() > MAX_FACTS {
            return Err(UnreadableReason::TooComplex.into());
        }
        if !nodes.is_empty() {
            return nodes.into_iter().map(|node| reader.fact(rule, node, used)).collect();
        }
    }
    Err(UnreadableReason::UnknownFormat.into())
}

/// The tree of a body, XML or JSON.
pub(super) fn body<'a>(namespaces: &'a [String], bytes: &'a [u8], buffers: &'a Buffers) -> Result<Dom<'a>, Unreadable> {
    let text = xml::text(bytes, MAX_NOTICE_BYTES)?;
    let mut builder = Builder::new(namespaces, bytes.len());
    if xml::is_json(bytes) { json_body::read(&mut builder, text, buffers) } else { xml::read(&mut builder, text) }?;
    Ok(builder.finish())
}

pub(super) struct Reader<'d, 'a> {
    pub(super) finder: Finder<'d, 'a>,
    pub(super) fields: &'d FieldMap,
}

/// Who counts what the rules find.
pub(super) type Used<'u> = &'u mut dyn FnMut(&NoticeRule, Option<&Row>, &Fact);

pub(super) type Read<T> = Result<T, Unreadable>;

impl Reader<'_, '_> {
    fn fact(&mut self, rule: &NoticeRule, node: Found, used: Used<'_>) -> Read<Fact> {
        let code = self.text(rule.values.code.as_ref(), node, MAX_REFERENCE)?;
        let row = self.row(rule, code.as_deref(), node)?;
        let empty = Values::default();
        let own = row.map_or(&empty, |row| &row.values);
        let shape = &rule.values;
        let mut fact = Fact {
            track: row.and_then(|row| row.track).unwrap_or(rule.track),
            status: row.and_then(|row| row.status),
            lrn: self.text(own.lrn.as_ref().or(shape.lrn.as_ref()), node, MAX_REFERENCE)?,
            mrn: self.text(own.mrn.as_ref().or(shape.mrn.as_ref()), node, MAX_REFERENCE)?,
            conversation: self.text(own.conversation.as_ref().or(shape.conversation.as_ref()), node, MAX_REFERENCE)?,
            job: self.text(own.job.as_ref().or(shape.job.as_ref()), node, MAX_REFERENCE)?,
            code,
            unknown_code: row.is_none(),
            occurred_at: self.time(own.occurred_at.as_ref().or(shape.occurred_at.as_ref()), node)?,
            deadline: self.time(own.deadline.as_ref().or(shape.deadline.as_ref()), node)?,
            ..Fact::default()
        };
        for rule in shape.reasons.iter().chain(&own.reasons) {
            self.reasons(rule, node, &mut fact.reasons)?;
        }
        let stage = row.and_then(|row| row.charges_stage);
        for rule in shape.charges.iter().chain(&own.charges) {
            self.charges(rule, node, stage, &mut fact.charges)?;
        }
        for rule in shape.documents.iter().chain(&own.documents) {
            self.documents(rule, node, &mut fact.documents)?;
        }
        if let Some(row) = row {
            self.outcome(row, node, &mut fact)?;
        }
        used(rule, row, &fact);
        Ok(fact)
    }

    fn outcome(&mut self, row: &Row, node: Found, fact: &mut Fact) -> Read<()> {
        for rule in &row.open {
            let requirement = self.requirement(rule, node)?;
            fact.open.push(requirement);
        }
        fact.closes.clone_from(&row.closes);
        fact.answers = row.answers;
        fact.result = row.result;
        fact.revocation = row.revocation;
        fact.refused = row.refused;
        fact.known = row.known;
        fact.note.clone_from(&row.note);
        Ok(())
    }

    fn row<'r>(&mut self, rule: &'r NoticeRule, code: Option<&str>, node: Found) -> Read<Option<&'r Row>> {
        for row in &rule.rows {
            let fits = row.code.as_deref().is_none_or(|wanted| Some(wanted) == code);
            if fits
                && match &row.when {
                    Some(when) => self.finder.exists(when, node)?,
                    None => true,
                }
            {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    pub(super) fn text(&mut self, path: Option<&Path>, node: Found, limit: usize) -> Read<Option<String>> {
        let Some(path) = path else { return Ok(None) };
        Ok(self.finder.text(path, node)?.map(|text| bounded(&text, limit)))
    }

    fn time(&mut self, rule: Option<&Time>, node: Found) -> Read<Option<Timestamp>> {
        let Some(rule) = rule else { return Ok(None) };
        let Some(mut text) = self.finder.text(&rule.path, node)? else { return Ok(None) };
        if let Some(time) = &rule.time {
            let Some(time) = self.finder.text(time, node)? else { return Ok(None) };
            text.to_mut().push_str(&time);
        }
        Ok(instant(&text, &rule.form, &rule.zone))
    }

    /// The nodes of a repeat, bounded; the node itself when nothing is repeated.
    pub(super) fn nodes(&mut self, each: Option<&Path>, node: Found) -> Read<Vec<Found>> {
        let mut nodes = match each {
            Some(each) => self.finder.find(each, node)?,
            None => vec![node],
        };
        nodes.truncate(MAX_ENTRIES);
        Ok(nodes)
    }

    fn reasons(&mut self, rule: &ReasonRule, node: Found, reasons: &mut Vec<Reason>) -> Read<()> {
        for node in self.nodes(rule.each.as_ref(), node)? {
            let code = self.text(rule.code.as_ref(), node, MAX_REFERENCE)?;
            let text = self.text(rule.text.as_ref(), node, MAX_TEXT)?;
            let pointer = match &rule.pointer {
                Some(pointer) => self.pointer(pointer, node)?,
                None => None,
            };
            if (code.is_some() || text.is_some()) && reasons.len() < MAX_ENTRIES {
                reasons.push(Reason { code, text, pointer });
            }
        }
        Ok(())
    }

    fn charges(&mut self, rule: &ChargeRule, node: Found, stage: Option<ChargeStage>, charges: &mut Vec<Charge>) -> Read<()> {
        for node in self.nodes(Some(&rule.each), node)? {
            let amount = self.text(Some(&rule.amount), node, MAX_REFERENCE)?;
            let Some(amount) = amount.and_then(|text| Decimal::from_str_exact(&text).ok()) else { continue };
            let charge = Charge {
                kind: self.text(rule.kind.as_ref(), node, MAX_REFERENCE)?,
                amount,
                currency: self.text(rule.currency.as_ref(), node, MAX_REFERENCE)?,
                payer: self.text(rule.payer.as_ref(), node, MAX_REFERENCE)?,
                stage: rule.stage.or(stage).unwrap_or(ChargeStage::Indicative),
            };
            if charges.len() < MAX_ENTRIES {
                charges.push(charge);
            }
        }
        Ok(())
    }

    fn documents(&mut self, rule: &DocumentRule, node: Found, documents: &mut Vec<DocumentRequest>) -> Read<()> {
        for node in self.nodes(Some(&rule.each), node)? {
            let document = DocumentRequest {
                request_id: self.text(rule.request_id.as_ref(), node, MAX_REFERENCE)?,
                code: self.text(rule.code.as_ref(), node, MAX_REFERENCE)?,
                text: self.text(rule.text.as_ref(), node, MAX_TEXT)?,
                deadline: self.time(rule.deadline.as_ref(), node)?,
            };
            if document != DocumentRequest::default() && documents.len() < MAX_ENTRIES {
                documents.push(document);
            }
        }
        Ok(())
    }

    fn requirement(&mut self, rule: &OpenRule, node: Found) -> Read<Requirement> {
        let mut lines = Vec::new();
        if let Some(path) = &rule.lines {
            for node in self.nodes(Some(path), node)? {
                let text = self.text(Some(&HERE), node, MAX_REFERENCE)?;
                lines.extend(text.and_then(|text| text.parse::<u32>().ok()));
            }
        }
        Ok(Requirement {
            kind: rule.kind,
            code: self.text(rule.code.as_ref(), node, MAX_REFERENCE)?,
            lines,
            since: None,
            deadline: self.time(rule.deadline.as_ref(), node)?,
            action_by: self.text(rule.action_by.as_ref(), node, MAX_REFERENCE)?,
        })
    }
}

/// `.`: the node itself.
pub(super) static HERE: std::sync::LazyLock<Path> = std::sync::LazyLock::new(super::xpath::here);

/// At most so many characters, none of them a control character.
pub(super) fn bounded(text: &str, limit: usize) -> String {
    // Nearly every text is as it should be: then it is taken over whole.
    if text.len() <= limit && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text.to_owned();
    }
    text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).take(limit).collect()
}
