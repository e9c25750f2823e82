//! Reads JSON from outside into the same tree as XML, so that the same rules read both.
//!
//! The root element is `json`, members are child elements without a namespace, the entries of a
//! list repeat the element of their member (in a list of lists, and at the root, they are called
//! `item`), and null is absent. Numbers keep the digits that they came with: an amount or a long
//! reference must not pass through a binary fraction.

use std::borrow::Cow;

use super::dom::{Buffers, Builder, MAX_NODES, Name};
use super::reading::{Unreadable, UnreadableReason as Reason};
use crate::domain::json::{self, Json, MalformedKind};

/// The name of entries that no member gives a name to.
const ITEM: &str = "item";

/// Reads a document into the element that is open, or as the document itself.
pub(super) fn read<'a>(builder: &mut Builder<'a>, text: &'a str, buffers: &'a Buffers) -> Result<(), Unreadable> {
    if values(text) > MAX_NODES {
        return Err(Reason::TooComplex.into());
    }
    let value = json::parse(text.as_bytes()).map_err(|malformed| match malformed.kind {
        MalformedKind::CutOff => Unreadable::from(Reason::CutOff),
        MalformedKind::TooDeep => Reason::TooComplex.into(),
        MalformedKind::Syntax | MalformedKind::DuplicateKey => Reason::NotJson.into(),
    })?;
    let mut reader = Reader { builder, buffers, numbers: Numbers { rest: text } };
    reader.open("json")?;
    match value {
        Json::List(entries) => entries.into_iter().try_for_each(|entry| reader.member(ITEM, entry))?,
        value => reader.content(value)?,
    }
    reader.builder.close();
    Ok(())
}

/// At least as many values as a text of JSON holds: told before any of them is made.
fn values(text: &str) -> usize {
    let mut count = 1;
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b',' | b'[' | b'{' => count += 1,
            b'"' => skip_text(&mut bytes),
            _ => {}
        }
    }
    count
}

fn skip_text(bytes: &mut impl Iterator<Item = u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => {
                bytes.next();
            }
            _ => {}
        }
    }
}

/// The numbers of a well-formed text, in order, as they are written.
struct Numbers<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Numbers<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let mut bytes = self.rest.bytes();
        loop {
            match bytes.next()? {
                b'"' => skip_text(&mut bytes),
                b'-' | b'0'..=b'9' => break,
                _ => {}
            }
        }
        let start = self.rest.len() - bytes.len() - 1;
        let number = self.rest.get(start..)?;
        let end = number.find(|c: char| !matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E')).unwrap_or(number.len());
        let (number, rest) = number.split_at(end);
        self.rest = rest;
        Some(number)
    }
}

struct Reader<'b, 'a> {
    builder: &'b mut Builder<'a>,
    buffers: &'a Buffers,
    numbers: Numbers<'a>,
}

impl<'a> Reader<'_, 'a> {
    fn open(&mut self, name: &'a str) -> Result<(), Unreadable> {
        let attributes = self.builder.attributes_from();
        self.builder.open(Name { namespace: 0, local: name }, attributes, 0).map(|_| ())
    }

    /// A member, or an entry of a list that has the member's name.
    fn member(&mut self, name: &'a str, value: Json<'a>) -> Result<(), Unreadable> {
        match value {
            Json::Null => Ok(()),
            Json::List(entries) => entries.into_iter().try_for_each(|entry| self.entry(name, entry)),
            value => self.element(name, value),
        }
    }

    fn entry(&mut self, name: &'a str, value: Json<'a>) -> Result<(), Unreadable> {
        match value {
            Json::Null => Ok(()),
            value => self.element(name, value),
        }
    }

    fn element(&mut self, name: &'a str, value: Json<'a>) -> Result<(), Unreadable> {
        self.open(name)?;
        self.content(value)?;
        self.builder.close();
        Ok(())
    }

    fn content(&mut self, value: Json<'a>) -> Result<(), Unreadable> {
        match value {
            Json::Null => Ok(()),
            Json::Bool(flag) => self.text(Cow::Borrowed(if flag { "true" } else { "false" })),
            Json::Integer(_) | Json::Float(_) => {
                let number = self.numbers.next().ok_or(Reason::NotJson)?;
                self.text(Cow::Borrowed(number))
            }
            Json::Text(text) => self.text(text),
            Json::List(entries) => entries.into_iter().try_for_each(|entry| self.entry(ITEM, entry)),
            Json::Object(members) => members.into_iter().try_for_each(|(name, value)| {
                let name = match name {
                    Cow::Borrowed(name) => name,
                    Cow::Owned(name) => self.buffers.keep(name),
                };
                self.member(name, value)
            }),
        }
    }

    fn text(&mut self, text: Cow<'a, str>) -> Result<(), Unreadable> {
        // As in XML: blanks alone are no text.
        if text.trim_start().is_empty() { Ok(()) } else { self.builder.text(text, 0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_as_they_are_written() {
        let text = r#"{"a": -0.10, "1": "2 \" 3", "b": [1e5, 12345678901234567890123, {"c\\": 0}], "d": true}"#;
        let numbers: Vec<_> = Numbers { rest: text }.collect();
        assert_eq!(numbers, ["-0.10", "1e5", "12345678901234567890123", "0"]);
        assert_eq!(values(text), 9);
    }
}
