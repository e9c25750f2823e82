//! Faults of a mapping's own files: where, what, and what was probably meant.
//!
//! They are for the author of a mapping, not for a sender: they may quote the mapping's text, and
//! they are told all at once. A position is a line and a column from 1, counted in characters, of
//! the file as it lies there (not of the text after entities were resolved).

use std::fmt;

use serde::Serialize;

/// More faults than this in one mapping are not listed.
pub const MAX_MAPPING_FAULTS: usize = 200;

/// One fault of a mapping's file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MappingFault {
    /// The file, relative to the mappings folder: `hmrc-cds/declaration.xml`.
    pub file: String,
    /// Line from 1; 0 when the file as a whole is meant.
    pub line: u32,
    /// Column from 1, in characters; 0 when the line as a whole is meant.
    pub column: u32,
    /// What is wrong and what is allowed.
    pub message: String,
    /// What was probably meant.
    pub suggestion: Option<String>,
}

impl MappingFault {
    /// A fault of a file or folder as a whole.
    pub fn whole(file: &str, message: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line: 0, column: 0, message: message.into(), suggestion: None }
    }

    /// Where it is: `hmrc-cds/declaration.xml:3:7`.
    pub fn place(&self) -> String {
        format!("{}:{}:{}", self.file, self.line, self.column)
    }

    /// What is wrong, with the suggestion.
    pub fn told(&self) -> String {
        match &self.suggestion {
            Some(suggestion) => format!("{} (did you mean {suggestion}?)", self.message),
            None => self.message.clone(),
        }
    }
}

impl fmt::Display for MappingFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place(), self.told())
    }
}

/// A message with an optional suggestion, before it has a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// What is wrong.
    pub message: String,
    /// What was probably meant.
    pub suggestion: Option<String>,
}

impl Remark {
    /// A remark without a suggestion.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), suggestion: None }
    }

    /// A remark about an unknown name; suggests the nearest of those that there are.
    pub fn unknown<'n>(message: impl Into<String>, name: &str, known: impl IntoIterator<Item = &'n str>) -> Self {
        Self { message: message.into(), suggestion: nearest(name, known) }
    }
}

impl From<String> for Remark {
    fn from(message: String) -> Self {
        Self::new(message)
    }
}

impl From<&str> for Remark {
    fn from(message: &str) -> Self {
        Self::new(message)
    }
}

/// The nearest of some names, when it is near enough to be worth telling.
pub fn nearest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<String> {
    known
        .into_iter()
        .map(|candidate| {
            // One slip of the fingers is near even in a short name.
            let slip = strsim::damerau_levenshtein(name, candidate) == 1;
            (strsim::jaro_winkler(name, candidate).max(if slip { 0.8 } else { 0.0 }), candidate)
        })
        .filter(|(similarity, _)| *similarity > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate.to_owned())
}

/// Collects the faults of one file.
#[derive(Debug)]
pub struct FileFaults<'f> {
    file: String,
    text: &'f str,
    list: Vec<MappingFault>,
    warnings: Vec<MappingFault>,
}

impl<'f> FileFaults<'f> {
    /// For a file of this name and text.
    pub fn new(file: impl Into<String>, text: &'f str) -> Self {
        Self { file: file.into(), text, list: Vec::new(), warnings: Vec::new() }
    }

    /// Adds a fault at a byte offset of the text; the same fault at the same place is told once.
    pub fn at(&mut self, offset: usize, remark: impl Into<Remark>) {
        let (line, column) = line_column(self.text, offset);
        self.push(line, column, remark.into());
    }

    /// Adds what is no fault but probably not meant.
    pub fn warn(&mut self, offset: usize, remark: impl Into<Remark>) {
        let (line, column) = line_column(self.text, offset);
        let Remark { message, suggestion } = remark.into();
        if self.warnings.len() < MAX_MAPPING_FAULTS {
            self.warnings.push(MappingFault { file: self.file.clone(), line, column, message, suggestion });
        }
    }

    /// The warnings so far, in the order of the file.
    pub fn take_warnings(&mut self) -> Vec<MappingFault> {
        self.warnings.sort_by_key(|warning| (warning.line, warning.column));
        std::mem::take(&mut self.warnings)
    }

    /// The line of a byte offset, from 1.
    pub fn line(&self, offset: usize) -> u32 {
        line_column(self.text, offset).0
    }

    /// Adds a fault of a line.
    pub fn at_line(&mut self, line: u32, remark: impl Into<Remark>) {
        self.push(line, 1, remark.into());
    }

    fn push(&mut self, line: u32, column: u32, remark: Remark) {
        let Remark { message, suggestion } = remark;
        let fault = MappingFault { file: self.file.clone(), line, column, message, suggestion };
        if self.list.len() < MAX_MAPPING_FAULTS && !self.list.contains(&fault) {
            self.list.push(fault);
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The faults in the order of the file.
    pub fn into_vec(mut self) -> Vec<MappingFault> {
        self.list.sort_by_key(|fault| (fault.line, fault.column));
        self.list
    }
}

/// Line and column (characters, from 1) of a byte offset.
pub fn line_column(text: &str, offset: usize) -> (u32, u32) {
    let mut end = offset.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let before = &text[..end];
    let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX))
}

/// A text taken out of a file, with the way back from its offsets to those of the file: entities
/// that were resolved make the two differ.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Located {
    /// The text with entities resolved.
    pub text: String,
    /// Pairs (offset in the text, offset in the file), ascending; between two pairs both advance alike.
    map: Vec<(usize, usize)>,
}

impl Located {
    /// Appends a text that stands in the file as it is.
    pub fn push_str(&mut self, text: &str, offset: usize) {
        self.map.push((self.text.len(), offset));
        self.text.push_str(text);
    }

    /// The offset in the file of an offset in the text.
    pub fn offset(&self, at: usize) -> usize {
        match self.map.iter().rev().find(|(text, _)| *text <= at) {
            Some((text, file)) => file + (at - text),
            None => 0,
        }
    }

    /// The part between two offsets of the text.
    pub fn slice(&self, from: usize, to: usize) -> Self {
        let mut map = vec![(0, self.offset(from))];
        map.extend(self.map.iter().filter(|(text, _)| *text > from && *text < to).map(|(text, file)| (text - from, *file)));
        Self { text: self.text.get(from..to).unwrap_or_default().to_owned(), map }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_and_survive_entities() {
        assert_eq!(line_column("ab\ncé d", 7), (2, 4));
        let mut located = Located::default();
        located.push_str("a ", 10);
        located.push_str("<", 12);
        located.push_str(" b", 16);
        assert_eq!(located.text, "a < b");
        assert_eq!((located.offset(0), located.offset(2), located.offset(4)), (10, 12, 17));
        assert_eq!(located.slice(2, 5).offset(2), 17);
    }
}
