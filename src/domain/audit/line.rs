//! A link as a line of an export: JSON with everything that checking it needs, readable by a person.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Entry, EntryKind, Hash, Link};
use crate::domain::time::{from_millis, rfc3339};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    chain: Uuid,
    number: u64,
    at: Cow<'a, str>,
    previous: Cow<'a, str>,
    entries: Vec<LineEntry<'a>>,
    hash: Cow<'a, str>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LineEntry<'a> {
    kind: EntryKind,
    subject: Uuid,
    digest: Cow<'a, str>,
}

/// The line of a link, without its end; `None` when its entries are none.
pub fn to_line(link: &Link) -> Option<String> {
    let entry = |entry: Entry| LineEntry { kind: entry.kind, subject: entry.subject, digest: hex(&entry.digest).into() };
    let line = Line {
        chain: link.chain,
        number: link.number,
        at: rfc3339(link.at).into(),
        previous: hex(&link.previous).into(),
        entries: Entry::read_all(&link.entries)?.into_iter().map(entry).collect(),
        hash: hex(&link.hash).into(),
    };
    serde_json::to_string(&line).ok()
}

/// The link of a line; `None` when it is none.
pub fn from_line(line: &str) -> Option<Link> {
    let line: Line<'_> = serde_json::from_str(line).ok()?;
    let mut entries = Vec::new();
    for entry in &line.entries {
        Entry { kind: entry.kind, subject: entry.subject, digest: unhex(&entry.digest)? }.write(&mut entries);
    }
    let at: crate::domain::time::Timestamp = line.at.parse().ok()?;
    Some(Link {
        chain: line.chain,
        number: line.number,
        // The form of our times has milliseconds; what is finer was not written by us and must not pass unseen.
        at: Some(at).filter(|at| *at == from_millis(at.as_millisecond()))?,
        previous: unhex(&line.previous)?,
        entries,
        hash: unhex(&line.hash)?,
    })
}

/// Lower-case hex.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        text.extend([byte >> 4, byte & 15].map(|nibble| char::from_digit(u32::from(nibble), 16).unwrap_or('0')));
        text
    })
}

fn unhex(text: &str) -> Option<Hash> {
    let mut hash = Hash::default();
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != hash.len() || !rest.is_empty() {
        return None;
    }
    for (byte, [high, low]) in hash.iter_mut().zip(pairs) {
        let digit = |digit: u8| char::from(digit).to_digit(16).filter(|_| !digit.is_ascii_uppercase());
        *byte = u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()?;
    }
    Some(hash)
}
