//! Files to declarations, one after the other, with the place where each stands.
//!
//! Why it exists: whatever the file's form, what is sent is one declaration and what is told is a file and a place in it.
//! Bytes of JSON files travel as they are: judging them is the gateway's business, which sees duplicate keys and odd numbers
//! only if nobody has tidied them away before.
//!
//! Invariants: NDJSON and CSV are read as a stream, so a file may be larger than memory; lines, rows and JSON files are
//! bounded; a file that cannot be read is found before anything is sent, as far as its first row or line tells.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::csv::{CsvFault, Table};

/// Longest line of NDJSON in bytes; the gateway takes 1 MiB unless it is configured otherwise.
const MAX_LINE_BYTES: u64 = 16 << 20;
/// Largest JSON file in bytes: it is read whole. Larger sets are better NDJSON.
const MAX_JSON_BYTES: u64 = 256 << 20;

/// A declaration of a file.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// The file as it was named.
    pub file: Arc<str>,
    /// Line of the file (NDJSON, CSV: that of its first row) or place in the list (JSON), from 1.
    pub line: u64,
    /// The item's number, where one can be read.
    pub item_id: Option<String>,
    /// The JSON to send on one line, or the problem that keeps it from being sent.
    pub body: Result<Bytes, Value>,
    /// Bytes of the file that have been read with it.
    pub read_bytes: u64,
}

/// The declarations of one file; `Err` when it cannot be read further, and then nothing follows.
pub(super) type Entries = Box<dyn Iterator<Item = Result<Entry, String>> + Send>;

/// An opened file.
pub(super) struct Source {
    /// Its size in bytes, for the progress bar.
    pub bytes: u64,
    /// Its declarations.
    pub entries: Entries,
}

/// Opens a file by its ending: `.json`, `.ndjson` or `.jsonl`, `.csv`.
///
/// # Errors
/// When it cannot be read, has another ending, is no JSON, or its first row is no table head.
pub(super) fn open(path: &Path) -> Result<Source, String> {
    let name: Arc<str> = path.display().to_string().into();
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
    let file = File::open(path).map_err(|fault| format!("{name}: cannot be read: {}", fault.kind()))?;
    let meta = file.metadata().map_err(|fault| format!("{name}: cannot be read: {}", fault.kind()))?;
    if meta.is_dir() {
        return Err(format!("{name}: is a folder"));
    }
    let entries: Entries = match ending.as_str() {
        "json" => {
            let mut bytes = Vec::new();
            file.take(MAX_JSON_BYTES + 1).read_to_end(&mut bytes).map_err(|fault| format!("{name}: cannot be read: {}", fault.kind()))?;
            Box::new(json_entries(&name, bytes)?.into_iter().map(Ok))
        }
        "ndjson" | "jsonl" => Box::new(NdJson { file: name, reader: BufReader::new(file), line: 0, read_bytes: 0, done: false }),
        "csv" => Box::new(csv_entries(name, file)?),
        _ => return Err(format!("{name}: the ending has to be .json, .ndjson, .jsonl or .csv")),
    };
    Ok(Source { bytes: meta.len(), entries })
}

/// A problem of our own, in the form of the gateway's.
pub(super) fn problem(code: &str, title: &str, detail: &str, errors: impl serde::Serialize) -> Value {
    json!({ "code": code, "title": title, "detail": detail, "errors": errors })
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    item_id: Option<Cow<'a, str>>,
}

/// The item's number, if it can be read at all.
fn item_id(json: &[u8]) -> Option<String> {
    let head: Head<'_> = serde_json::from_slice(json).ok()?;
    Some(head.item_id?.chars().take(64).collect())
}

fn json_entries(file: &Arc<str>, mut bytes: Vec<u8>) -> Result<Vec<Entry>, String> {
    if bytes.len() as u64 > MAX_JSON_BYTES {
        return Err(format!("{file}: larger than {} MiB; write it as .ndjson, one declaration a line", MAX_JSON_BYTES >> 20));
    }
    if let Err(fault) = serde_json::from_slice::<serde::de::IgnoredAny>(without_bom(&bytes)) {
        return Err(format!("{file}: not JSON in UTF-8, at line {}, column {}", fault.line(), fault.column()));
    }
    // Between values line ends are blanks, and within a text they cannot stand: each declaration becomes one line.
    for byte in &mut bytes {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    let bytes = Bytes::from(bytes);
    let places = elements(&bytes);
    Ok((1..)
        .zip(places)
        .map(|(line, place)| {
            let read_bytes = place.end as u64;
            let body = bytes.slice(place);
            Entry { file: file.clone(), line, item_id: item_id(&body), body: Ok(body), read_bytes }
        })
        .collect())
}

fn without_bom(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// Where the elements of a well-formed array stand; of anything else, the whole of it.
fn elements(json: &[u8]) -> Vec<std::ops::Range<usize>> {
    let begin = json.len() - without_bom(json).trim_ascii_start().len();
    let end = json.trim_ascii_end().len();
    if json.get(begin) != Some(&b'[') {
        return std::iter::once(begin..end).collect();
    }
    let (mut found, mut depth, mut in_text, mut escaped, mut since) = (Vec::new(), 0_usize, false, false, begin + 1);
    for (at, byte) in json.iter().enumerate().take(end).skip(begin) {
        if in_text {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_text = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_text = true,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if (*byte == b',' && depth == 1) || (*byte == b']' && depth == 0) {
            found.push(since..at);
            since = at + 1;
        }
    }
    // An empty array has one place, and nothing in it.
    found.retain(|place| !json[place.clone()].trim_ascii().is_empty());
    found
}

struct NdJson<R> {
    file: Arc<str>,
    reader: R,
    line: u64,
    read_bytes: u64,
    done: bool,
}

impl<R: BufRead> Iterator for NdJson<R> {
    type Item = Result<Entry, String>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.done {
            let mut line = Vec::new();
            match self.reader.by_ref().take(MAX_LINE_BYTES + 1).read_until(b'\n', &mut line) {
                Ok(0) => self.done = true,
                Ok(read) => {
                    self.line += 1;
                    self.read_bytes += read as u64;
                    let body = if self.line == 1 { without_bom(&line) } else { &line }.trim_ascii();
                    if line.len() as u64 > MAX_LINE_BYTES {
                        self.done = true;
                        return Some(Err(format!("{}: line {} is longer than {} MiB", self.file, self.line, MAX_LINE_BYTES >> 20)));
                    }
                    if body.is_empty() {
                        continue;
                    }
                    let body = Bytes::copy_from_slice(body);
                    return Some(Ok(Entry {
                        file: self.file.clone(),
                        line: self.line,
                        item_id: item_id(&body),
                        body: Ok(body),
                        read_bytes: self.read_bytes,
                    }));
                }
                Err(fault) => {
                    self.done = true;
                    return Some(Err(format!("{}: cannot be read further: {}", self.file, fault.kind())));
                }
            }
        }
        None
    }
}

fn csv_entries(file: Arc<str>, input: File) -> Result<impl Iterator<Item = Result<Entry, String>> + Send, String> {
    let told = |faults: Vec<CsvFault>| faults.iter().map(|fault| format!("{file}: {fault}")).collect::<Vec<_>>().join("\n");
    let table = Table::open(BufReader::new(input)).map_err(told)?;
    Ok(table.map(move |group| {
        let body = group.declaration.map(|declaration| Bytes::from(declaration.to_string())).map_err(|faults| {
            let detail = "Nothing was sent. The rows of this declaration have faults, all listed with row and column; mend them.";
            problem("invalid_csv", "Invalid rows", detail, faults)
        });
        Ok(Entry { file: file.clone(), line: group.row, item_id: group.item_id, body, read_bytes: group.read_bytes })
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_falls_into_its_elements_and_their_bytes_stay() {
        for (text, expected) in [
            (r#"{"a":[1,2]}"#, vec![r#"{"a":[1,2]}"#]),
            (" [ ] ", vec![]),
            (r#"[{"a":"],[\"\\"},{"b":{"c":[]}} , 5]"#, vec![r#"{"a":"],[\"\\"}"#, r#"{"b":{"c":[]}}"#, "5"]),
            ("\u{feff}[1]", vec!["1"]),
            (r#"[{"k":1,"k":1.50}]"#, vec![r#"{"k":1,"k":1.50}"#]),
        ] {
            let found: Vec<_> = elements(text.as_bytes()).into_iter().map(|place| text[place].trim()).collect();
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn a_line_keeps_its_number_and_blank_lines_are_none() {
        let text = "\u{feff}{\"item_id\":\"A\"}\r\n\n  \nnot json\n{\"item_id\":7}";
        let lines = NdJson { file: "f".into(), reader: text.as_bytes(), line: 0, read_bytes: 0, done: false };
        let found: Vec<_> = lines.map(|entry| entry.expect("readable")).map(|entry| (entry.line, entry.item_id)).collect();
        assert_eq!(found, [(1, Some("A".to_owned())), (4, None), (5, None)]);
    }
}
