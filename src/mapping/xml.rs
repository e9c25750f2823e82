//! Reads XML from outside into a tree.
//!
//! DOCTYPE and entities of its own are refused, namespaces are resolved, and white space between
//! elements is dropped. Nothing here follows a reference or opens anything.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::events::attributes::Attributes;
use quick_xml::events::{BytesStart, Event};

use super::dom::{Builder, Dom, Name};
use super::reading::{Unreadable, UnreadableReason as Reason};
use super::template::entity;

/// Most attributes of one element.
const MAX_ATTRIBUTES: usize = 256;
/// Most declarations of namespaces in force at one place.
const MAX_SCOPES: usize = 512;
/// A name whose prefix is not looked up yet.
const UNRESOLVED: u32 = u32::MAX;

type Read<T> = Result<T, Unreadable>;

impl<'a> Dom<'a> {
    /// Reads an XML document of at most `limit` bytes.
    ///
    /// # Errors
    /// Why it cannot be read; never a part of it.
    pub(super) fn read(bytes: &'a [u8], limit: usize) -> Read<Self> {
        let mut builder = Builder::new(&[], bytes.len().min(limit));
        read(&mut builder, text(bytes, limit)?)?;
        Ok(builder.finish())
    }
}

/// The text of a document of at most `limit` bytes, without a byte order mark.
pub(super) fn text(bytes: &[u8], limit: usize) -> Read<&str> {
    if bytes.len() > limit {
        return Err(Reason::TooLarge.into());
    }
    let text = std::str::from_utf8(bytes).map_err(|error| match error.error_len() {
        None => Unreadable::from(Reason::CutOff),
        Some(_) => Unreadable::from(not_read(bytes)),
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// Whether bytes are meant as JSON: the first of them opens an object or a list.
pub(super) fn is_json(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    matches!(bytes.trim_ascii_start().first(), Some(b'{' | b'['))
}

fn not_read(bytes: &[u8]) -> Reason {
    if is_json(bytes) { Reason::NotJson } else { Reason::NotXml }
}

/// Reads a document into the element that is open, or as the document itself.
pub(super) fn read<'a>(builder: &mut Builder<'a>, text: &'a str) -> Read<()> {
    let base = builder.depth();
    let scopes = vec![("", 0, 0), ("xml", 1, 0)];
    let mut parser = Parser { builder, text, base, scopes, pending: None, pending_at: 0 };
    let mut reader = Reader::from_str(text);
    loop {
        let before = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
        match reader.read_event() {
            Ok(Event::Eof) => return parser.finish(),
            Ok(event) => parser.event(event, before)?,
            // Every error of syntax is one of an end that came too early.
            Err(quick_xml::Error::Syntax(_)) if parser.is_open() || text.trim_start().starts_with('<') => {
                return Err(Reason::CutOff.into());
            }
            Err(_) => return Err(Reason::NotXml.into()),
        }
    }
}

struct Parser<'b, 'a> {
    builder: &'b mut Builder<'a>,
    text: &'a str,
    /// How many elements were open before.
    base: usize,
    /// Prefix, number of its namespace, and the depth of the element that declares it.
    scopes: Vec<(&'a str, u32, usize)>,
    pending: Option<Cow<'a, str>>,
    pending_at: usize,
}

impl<'a> Parser<'_, 'a> {
    fn is_open(&self) -> bool {
        self.builder.depth() > self.base
    }

    fn event(&mut self, event: Event<'a>, at: usize) -> Read<()> {
        match event {
            Event::Start(start) => self.open(&start, at)?,
            Event::Empty(start) => {
                self.open(&start, at)?;
                self.close()?;
            }
            Event::End(_) => self.close()?,
            Event::Text(text) => self.push(text.into_inner(), at),
            Event::CData(data) => self.push(data.into_inner(), at),
            Event::GeneralRef(name) => {
                let c = entity(&name).ok_or(Reason::BadReference)?;
                self.push(Cow::Owned(c.to_string()), at);
            }
            Event::DocType(_) => return Err(Reason::Doctype.into()),
            Event::Decl(_) | Event::Comment(_) | Event::PI(_) | Event::Eof => {}
        }
        Ok(())
    }

    fn push(&mut self, text: Cow<'a, str>, at: usize) {
        match &mut self.pending {
            Some(pending) => pending.to_mut().push_str(&text),
            None => {
                self.pending_at = at;
                self.pending = Some(text);
            }
        }
    }

    fn flush(&mut self) -> Read<()> {
        let Some(text) = self.pending.take() else { return Ok(()) };
        if text.trim_start().is_empty() {
            return Ok(());
        }
        if !self.is_open() {
            return Err(Reason::NotXml.into());
        }
        self.builder.text(text, self.pending_at)
    }

    fn open(&mut self, start: &BytesStart<'_>, at: usize) -> Read<()> {
        self.flush()?;
        if !self.is_open() && !self.builder.is_empty() {
            return Err(Reason::NotXml.into());
        }
        // The tag as it stands in the text: so its parts outlive the event.
        let tag = self.text.get(at + 1..at + 1 + start.len()).ok_or(Reason::NotXml)?;
        debug_assert_eq!(tag, &**start);
        let length = start.name().as_ref().len();
        let from = self.builder.attributes_from();
        if tag.len() > length {
            self.attributes(tag, length, from)?;
        }
        let name = self.name(&tag[..length], true)?;
        self.builder.open(name, from, at).map(|_| ())
    }

    fn attributes(&mut self, tag: &'a str, length: usize, from: usize) -> Read<()> {
        let depth = self.builder.depth() + 1;
        let mut count = 0;
        for attribute in Attributes::new(tag, length) {
            let attribute = attribute.map_err(|_| Unreadable::from(Reason::NotXml))?;
            let value = resolve(attribute.value)?;
            let name = attribute.key.into_inner();
            let prefix = if name == "xmlns" { Some("") } else { name.strip_prefix("xmlns:") };
            match prefix {
                Some(prefix) => {
                    let number = self.builder.number(value)?;
                    self.scopes.push((prefix, number, depth));
                }
                None => self.builder.attribute(Name { namespace: UNRESOLVED, local: name }, value),
            }
            count += 1;
            if count > MAX_ATTRIBUTES || self.scopes.len() > MAX_SCOPES {
                return Err(Reason::TooComplex.into());
            }
        }
        // The element's own declarations hold for its attributes too: names come last.
        let mut added = 0;
        while let Some(raw) = self.builder.attributes_mut(from).get(added).map(|(name, _)| name.local) {
            let name = self.name(raw, false)?;
            let list = self.builder.attributes_mut(from);
            if list[..added].iter().any(|(known, _)| *known == name) {
                return Err(Reason::NotXml.into());
            }
            list[added].0 = name;
            added += 1;
        }
        Ok(())
    }

    fn name(&self, raw: &'a str, element: bool) -> Read<Name<'a>> {
        let (prefix, local) = raw.split_once(':').unwrap_or(("", raw));
        if local.is_empty() || local.contains(':') {
            return Err(Reason::NotXml.into());
        }
        if prefix.is_empty() && !element {
            return Ok(Name { namespace: 0, local });
        }
        // An empty text has no address worth comparing: on some processors that alone costs more
        // than all else that is done for an element.
        let same = |known: &str| known.len() == prefix.len() && (prefix.is_empty() || known == prefix);
        let bound = self.scopes.iter().rev().find(|(known, ..)| same(known));
        let (_, namespace, _) = bound.ok_or(Reason::NotXml)?;
        Ok(Name { namespace: *namespace, local })
    }

    fn close(&mut self) -> Read<()> {
        self.flush()?;
        if !self.is_open() {
            return Err(Reason::NotXml.into());
        }
        let depth = self.builder.depth();
        while self.scopes.last().is_some_and(|(_, _, declared)| *declared == depth) {
            self.scopes.pop();
        }
        self.builder.close();
        Ok(())
    }

    fn finish(mut self) -> Read<()> {
        if self.is_open() {
            return Err(Reason::CutOff.into());
        }
        self.flush()?;
        if self.builder.is_empty() { Err(Reason::NotXml.into()) } else { Ok(()) }
    }
}

/// Resolves the entities of an attribute's value.
fn resolve(raw: Cow<'_, str>) -> Read<Cow<'_, str>> {
    if !raw.contains('&') {
        return Ok(raw);
    }
    let mut value = String::with_capacity(raw.len());
    let mut rest = &*raw;
    while let Some(at) = rest.find('&') {
        value.push_str(&rest[..at]);
        let end = rest[at..].find(';').ok_or(Reason::BadReference)? + at;
        value.push(entity(&rest[at + 1..end]).ok_or(Reason::BadReference)?);
        rest = &rest[end + 1..];
    }
    value.push_str(rest);
    Ok(Cow::Owned(value))
}
