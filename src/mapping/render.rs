//! Runs a program: from a declaration to the bytes of a message, or to all faults at once.
//!
//! Values go straight into the output, escaped by quick-xml, so no text can leave its element. The
//! declaration's texts were checked at intake; a character that no XML can carry is refused here
//! once more, for settings and texts of other origins pass here too.

use std::io::Write as _;

use quick_xml::escape::{escape, partial_escape};

use super::code::Code;
use super::eval::{Definition, Roots, Run};
use super::program::{Check, Each, Encoding, Op, Optional, Piece, Place, Program, SiteId};
use super::rates::Conversion;
use super::trace::{Event, Trace};
use super::value::V;
use crate::domain::declaration::Declaration;
use crate::domain::fault::{self, Fault};
use crate::domain::record::{Record, Val};

/// Largest message, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;

/// A message and what the sender should know about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rendered {
    /// The exact bytes.
    pub bytes: Vec<u8>,
    /// What was shortened or written otherwise, with the declaration's fields.
    pub warnings: Vec<Fault>,
    /// The rates that amounts were converted by, each once.
    pub conversions: Vec<Conversion>,
}

struct Writer<'a> {
    run: Run<'a>,
    out: Vec<u8>,
    too_large: bool,
    /// `None` when messages are made.
    trace: Option<Box<Trace<'a>>>,
}

pub(super) fn render<'a>(program: &'a Program, roots: Roots<'a>, capacity: usize) -> Result<Rendered, Vec<Fault>> {
    let mut writer = Writer { run: Run::new(roots, program.slots), out: Vec::with_capacity(capacity), too_large: false, trace: None };
    writer.block(&program.ops);
    writer.finish().0
}

/// Renders as [`render`] does and tells how: what was written, by what, and what was left out.
pub(super) fn render_traced<'a>(program: &'a Program, roots: Roots<'a>) -> (Result<Rendered, Vec<Fault>>, Trace<'a>) {
    let mut run = Run::new(roots, program.slots);
    run.watch = Some(Box::default());
    let mut writer = Writer { run, out: Vec::new(), too_large: false, trace: Some(Box::default()) };
    writer.block(&program.ops);
    writer.finish()
}

impl<'a> Writer<'a> {
    fn finish(mut self) -> (Result<Rendered, Vec<Fault>>, Trace<'a>) {
        if self.too_large {
            self.run.faults.push(Fault::new("", fault::MAPPING_VALUE, "the message for the broker would be too large"));
        }
        let trace = self.trace.map_or_else(Trace::default, |trace| Trace {
            watch: self.run.watch.map_or_else(Default::default, |watch| *watch),
            bytes: self.out.clone(),
            ..*trace
        });
        let rendered = if self.run.faults.is_empty() {
            Ok(Rendered { bytes: self.out, warnings: self.run.warnings, conversions: self.run.conversions })
        } else {
            Err(self.run.faults.into_vec())
        };
        (rendered, trace)
    }

    fn block(&mut self, ops: &'a [Op]) {
        for op in ops {
            match op {
                Op::Bytes(bytes) => self.out.extend_from_slice(bytes),
                Op::Value(code, place) => self.required(code, place),
                Op::Lenient(code, place) => {
                    let value = self.run.eval(code);
                    self.write(&value, code, place);
                }
                Op::OptionalAttribute(head, pieces, site) => self.optional_attribute(head, pieces, *site),
                Op::If(test, body, site) => {
                    let holds = self.run.test(test);
                    self.saw(*site, holds, Some(test));
                    if holds {
                        self.block(body);
                    }
                }
                Op::Let(slot, code) => {
                    self.run.take_broken();
                    let value = self.run.eval(code);
                    let broken = self.run.take_broken();
                    self.run.set(*slot, value, Definition::Let(code));
                    self.run.set_broken(*slot, broken);
                }
                Op::Each(each) => self.each(each),
                Op::Optional(optional) => self.optional(optional),
                Op::Otherwise(body, otherwise, site) => {
                    let before = self.out.len();
                    self.block(body);
                    let written = self.out.len() > before;
                    self.saw(*site, written, None);
                    if !written {
                        self.out.extend_from_slice(otherwise);
                    }
                }
                Op::Encode(body, encoding) => self.encode(body, *encoding),
                Op::Together(pieces) => {
                    self.together(pieces, false);
                }
                Op::Check(check) => self.check(check),
                Op::Enter(mark) => self.note(Event::Enter { at: self.out.len(), mark }),
                Op::Leave => self.note(Event::Leave { at: self.out.len() }),
            }
        }
    }

    fn note(&mut self, event: Event<'a>) {
        if let Some(trace) = &mut self.trace {
            trace.events.push(event);
        }
    }

    /// A decision went one way; when nothing is written because of it, `by` says what decided.
    fn saw(&mut self, site: SiteId, outcome: bool, by: Option<&'a Code>) {
        if self.trace.is_none() {
            return;
        }
        let inputs = by.filter(|_| !outcome).map_or_else(Vec::new, |code| self.run.inputs(code));
        if let Some(trace) = &mut self.trace {
            trace.seen.insert((site, outcome));
            if !outcome {
                trace.events.push(Event::LeftOut { site, inputs });
            }
        }
    }

    /// A document of its own, written as text. What is empty stays empty.
    fn encode(&mut self, body: &'a [Op], encoding: Encoding) {
        let (start, first) = (self.out.len(), self.trace.as_ref().map_or(0, |trace| trace.events.len()));
        self.block(body);
        if self.out.len() == start {
            return;
        }
        let document = self.out.split_off(start);
        match encoding {
            Encoding::Escaped => match std::str::from_utf8(&document) {
                Ok(text) => self.out.extend_from_slice(partial_escape(text).as_bytes()),
                Err(_) => self.too_large = true,
            },
            Encoding::Base64 => self.base64(&document),
            Encoding::GzipBase64 => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                // Writing to a vector cannot fail.
                let packed = encoder.write_all(&document).and_then(|()| encoder.finish()).unwrap_or_default();
                self.base64(&packed);
            }
        }
        if self.trace.is_some() {
            self.note(Event::Encoded { first, from: start, document });
        }
    }

    fn base64(&mut self, bytes: &[u8]) {
        use base64::Engine as _;
        self.out.extend_from_slice(base64::engine::general_purpose::STANDARD.encode(bytes).as_bytes());
    }

    fn required(&mut self, code: &'a Code, place: &'a Place) {
        let before = self.run.faults.count();
        self.run.take_broken();
        let value = self.run.eval(code);
        let broken = self.run.take_broken();
        if !self.write(&value, code, place) && self.run.faults.count() == before && !broken {
            let detail = format!("{} needs a value: {}", place.path, place.noun);
            self.run.fault(code, fault::MAPPING_MISSING, detail);
        }
    }

    /// Writes a value; whether there was anything to write.
    fn write(&mut self, value: &V<'a>, code: &'a Code, place: &'a Place) -> bool {
        let written = self.put(value, code, place);
        if self.trace.is_some() {
            let (inputs, pointer) = (self.run.inputs(code), self.run.origin(code));
            self.note(Event::Value { place, inputs, pointer });
        }
        written
    }

    fn put(&mut self, value: &V<'a>, code: &'a Code, place: &'a Place) -> bool {
        let before = self.out.len();
        // Writing to a vector cannot fail.
        let _ = match value {
            V::Missing | V::List(_) | V::Record(_) | V::Seq(_) | V::Money(..) => Ok(()),
            V::Str(text) => self.text(text, code, place),
            V::Owned(text) => self.text(text, code, place),
            V::Int(value) => write!(self.out, "{value}"),
            V::Dec(value) => write!(self.out, "{value}"),
            V::Bool(value) => write!(self.out, "{value}"),
            V::Date(date) => write!(self.out, "{date}"),
            V::Time(time) => write!(self.out, "{time:.0}"),
        };
        self.out.len() > before
    }

    fn text(&mut self, text: &str, code: &'a Code, place: &'a Place) -> std::io::Result<()> {
        if text.bytes().all(is_plain) {
            self.out.extend_from_slice(text.as_bytes());
        } else if text.chars().all(crate::domain::text::is_xml_character) {
            let escaped = if place.attribute { escape(text) } else { partial_escape(text) };
            self.out.extend_from_slice(escaped.as_bytes());
        } else {
            self.run.fault(code, fault::MAPPING_VALUE, format!("{} cannot hold a control character", place.path));
        }
        Ok(())
    }

    fn each(&mut self, each: &'a Each) {
        self.run.take_broken();
        let list = self.run.eval(&each.list);
        let broken = self.run.take_broken();
        self.run.set_broken(each.entry, broken);
        let len = list.len().unwrap_or(0);
        self.saw(each.site, len > 0, Some(&each.list));
        self.run.set(each.last, V::Int(i64::try_from(len).unwrap_or(i64::MAX)), Definition::Nothing);
        for at in 0..len {
            let (index, entry) = list.entry(at);
            self.run.set(each.entry, entry, Definition::Entry(&each.list, index));
            self.run.set(each.position, V::Int(i64::try_from(at).unwrap_or(i64::MAX).saturating_add(1)), Definition::Nothing);
            self.block(&each.body);
            if self.out.len() > MAX_MESSAGE_BYTES {
                self.too_large = true;
                return;
            }
        }
    }

    /// An element that is left out when nothing stands between its tags; its faults go with it.
    fn optional(&mut self, optional: &'a Optional) {
        let (start, faults, warnings) = (self.out.len(), self.run.faults.clone(), self.run.warnings.len());
        let events = self.trace.as_ref().map_or(0, |trace| trace.events.len());
        let conversions = self.run.conversions.len();
        self.block(&optional.open);
        let (inside, before) = (self.out.len(), self.run.faults.count());
        self.block(&optional.body);
        if self.out.len() > inside {
            self.out.extend_from_slice(&optional.close);
            self.note(Event::Leave { at: self.out.len() });
            return self.saw(optional.site, true, None);
        }
        self.out.truncate(start);
        let inputs = self.trace.as_mut().map_or_else(Vec::new, |trace| trace.forget(events));
        if let Some(trace) = &mut self.trace {
            trace.seen.insert((optional.site, false));
            trace.events.push(Event::LeftOut { site: optional.site, inputs });
        }
        if self.run.faults.count() == before {
            self.run.faults = faults;
            self.run.warnings.truncate(warnings);
            self.run.conversions.truncate(conversions);
        }
    }

    /// Writes texts and values when there is a value (`all`: when there is each); whether it did.
    fn together(&mut self, pieces: &'a [Piece], all: bool) -> bool {
        let start = self.out.len();
        let (mut values, mut written) = (0, 0);
        for piece in pieces {
            match piece {
                Piece::Literal(bytes) => self.out.extend_from_slice(bytes),
                Piece::Value(code, own) => {
                    let value = self.run.eval(code);
                    values += 1;
                    written += usize::from(self.write(&value, code, own));
                }
            }
        }
        let keep = values == 0 || (written > 0 && (!all || written == values));
        if !keep {
            self.out.truncate(start);
        }
        keep
    }

    fn optional_attribute(&mut self, head: &[u8], pieces: &'a [Piece], site: SiteId) {
        let start = self.out.len();
        self.out.extend_from_slice(head);
        let written = self.together(pieces, true);
        self.saw(site, written, None);
        if written {
            self.out.push(b'"');
        } else {
            self.out.truncate(start);
        }
    }

    fn check(&mut self, check: &'a Check) {
        self.run.take_broken();
        let holds = self.run.test(&check.that);
        // What could not be computed has been told; whether the rule holds nobody knows.
        if self.run.take_broken() {
            return;
        }
        self.saw(check.site, holds, None);
        if holds {
            return;
        }
        let around = self.run.places(&check.around);
        for pointer in pointers(self.run.roots.declaration, &check.field, &around) {
            self.run.faults.push(Fault::new(pointer, check.code.clone(), check.text.clone()));
        }
    }
}

/// Bytes that stand for themselves everywhere in XML. Bytes that begin U+FFFE, U+FFFF or a
/// control character beyond ASCII take the long way.
fn is_plain(byte: u8) -> bool {
    byte >= 0x20 && !matches!(byte, b'<' | b'>' | b'&' | b'"' | b'\'' | 0x7f | 0xc2 | 0xef)
}

/// The pointers of a field: each entry of its lists, or those of the repeats around, outermost first.
fn pointers(declaration: &Declaration, field: &[Option<String>], around: &[Vec<String>]) -> Vec<String> {
    let mut places = vec![(String::new(), Val::Record(declaration))];
    for step in field {
        let mut next = Vec::new();
        for (pointer, value) in places {
            match (step, value) {
                (Some(name), value) => {
                    let inner = match value {
                        Val::Record(record) => {
                            record.descriptor().field(name).map_or(Val::Missing, |(index, _)| Record::get(record, index))
                        }
                        _ => Val::Missing,
                    };
                    next.push((format!("{pointer}/{name}"), inner));
                }
                (None, Val::List(list)) => {
                    let near = around.iter().rev().map(|places| indexes_below(&pointer, places)).find(|indexes| !indexes.is_empty());
                    let indexes = near.unwrap_or_else(|| (0..list.len().min(fault::MAX_FAULTS)).collect());
                    next.extend(indexes.into_iter().map(|index| (format!("{pointer}/{index}"), list.get(index))));
                }
                (None, _) => next.push((pointer, Val::Missing)),
            }
        }
        places = next;
    }
    places.into_iter().map(|(pointer, _)| pointer).collect()
}

/// Which entries of a list some places are, or are in.
fn indexes_below(list: &str, places: &[String]) -> Vec<usize> {
    let index = |place: &String| place.strip_prefix(list)?.strip_prefix('/')?.split('/').next()?.parse().ok();
    let mut indexes: Vec<usize> = places.iter().filter_map(index).take(fault::MAX_FAULTS).collect();
    indexes.dedup();
    indexes
}
