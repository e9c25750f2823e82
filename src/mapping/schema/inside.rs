//! Documents inside of a document: what the schema of an envelope lets pass unseen (`processContents="skip"`,
//! `xs:anyType`), found by its name and held to a schema of its own.
//!
//! An element is judged as the document that it would be alone: the namespaces that hold around it go onto its
//! start tag, and what is said of it is led back to its place in the whole.

use std::collections::HashMap;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::Violation;

/// What was found of a document: its root, and the documents inside.
#[derive(Debug)]
pub(super) struct Found {
    /// Path of the root.
    pub root: String,
    /// Where the root begins.
    pub at: usize,
    pub pieces: Vec<Piece>,
}

/// A document inside of another, or the whole of it when its root has the name.
#[derive(Debug)]
pub(super) struct Piece {
    /// Its name without prefix.
    pub name: String,
    path: String,
    from: usize,
    to: usize,
    /// Where the name in its start tag ends.
    named: usize,
    /// Declarations of the namespaces around it.
    added: String,
}

impl Piece {
    /// The document.
    pub fn document(&self, whole: &[u8]) -> Vec<u8> {
        let part = |from: usize, to: usize| whole.get(from..to).unwrap_or_default();
        [part(self.from, self.named), self.added.as_bytes(), part(self.named, self.to)].concat()
    }

    /// Something said of the document, as said of the whole.
    pub fn in_whole(&self, violation: Violation) -> Violation {
        let below = violation.path.get(1..).and_then(|path| path.find('/').and_then(|at| path.get(at..))).unwrap_or_default();
        let within = if violation.offset < self.named - self.from + self.added.len() {
            violation.offset.min(self.named - self.from)
        } else {
            violation.offset - self.added.len()
        };
        Violation { path: format!("{}{below}", self.path), offset: self.from + within, ..violation }
    }
}

/// Looks for the documents whose names are wanted; `None` when it is no well-formed document.
pub(super) fn find(message: &[u8], wanted: impl Fn(&str) -> bool) -> Option<Found> {
    let text = std::str::from_utf8(message).ok()?;
    let (text, mark) = text.strip_prefix('\u{feff}').map_or((text, 0), |rest| (rest, '\u{feff}'.len_utf8()));
    let mut reader = Reader::from_str(text);
    let mut walk = Walk { found: None, open: Vec::new(), path: String::new(), scopes: Vec::new() };
    loop {
        let from = mark + usize::try_from(reader.buffer_position()).ok()?;
        let event = reader.read_event().ok()?;
        let to = mark + usize::try_from(reader.buffer_position()).ok()?;
        match event {
            Event::Start(start) => walk.start(&start, from, &wanted)?,
            Event::Empty(start) => {
                walk.start(&start, from, &wanted)?;
                walk.end(to)?;
            }
            Event::End(_) => walk.end(to)?,
            Event::Eof => break,
            _ => {}
        }
    }
    walk.found.filter(|_| walk.open.is_empty())
}

struct Open {
    /// Length of the path before it.
    path: usize,
    /// Length of the scopes before it.
    scopes: usize,
    children: HashMap<String, usize>,
    piece: Option<usize>,
}

struct Walk {
    found: Option<Found>,
    open: Vec<Open>,
    path: String,
    /// Declarations of namespaces as they are written, innermost last: the attribute's name, and its value in quotes.
    scopes: Vec<(String, String)>,
}

impl Walk {
    fn start(&mut self, start: &BytesStart<'_>, from: usize, wanted: &impl Fn(&str) -> bool) -> Option<()> {
        let mut open = Open { path: self.path.len(), scopes: self.scopes.len(), children: HashMap::new(), piece: None };
        for attribute in start.attributes() {
            let attribute = attribute.ok()?;
            let key = attribute.key.as_ref();
            if key == "xmlns" || key.starts_with("xmlns:") {
                let quote = if attribute.value.contains('"') { '\'' } else { '"' };
                self.scopes.push((key.to_owned(), format!("{quote}{}{quote}", attribute.value)));
            }
        }
        let name = start.name();
        let whole = name.as_ref();
        let local = whole.split_once(':').map_or(whole, |(_, local)| local);
        self.path.push('/');
        self.path.push_str(local);
        if let Some(parent) = self.open.last_mut() {
            let count = parent.children.entry(local.to_owned()).or_default();
            *count += 1;
            if *count > 1 {
                self.path.push_str(&format!("[{count}]"));
            }
        }
        let found = self.found.get_or_insert_with(|| Found { root: self.path.clone(), at: from, pieces: Vec::new() });
        if wanted(local) {
            let named = from + 1 + whole.len();
            let added = added(&self.scopes, open.scopes);
            open.piece = Some(found.pieces.len());
            found.pieces.push(Piece { name: local.to_owned(), path: self.path.clone(), from, to: named, named, added });
        }
        self.open.push(open);
        Some(())
    }

    fn end(&mut self, to: usize) -> Option<()> {
        let open = self.open.pop()?;
        if let Some(piece) = open.piece.and_then(|at| self.found.as_mut()?.pieces.get_mut(at)) {
            piece.to = to;
        }
        self.path.truncate(open.path);
        self.scopes.truncate(open.scopes);
        Some(())
    }
}

/// The declarations that hold around an element and that it does not make itself; its own begin at a place.
fn added(scopes: &[(String, String)], own: usize) -> String {
    let mut added = String::new();
    for (at, (key, value)) in scopes.iter().enumerate().take(own) {
        if !scopes.iter().skip(at + 1).any(|(later, _)| later == key) {
            added.push_str(&format!(" {key}={value}"));
        }
    }
    added
}
