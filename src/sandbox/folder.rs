//! A broker of another format, played by the notice cases of a mapping's folder.
//!
//! Why it exists: the desk speaks HMRC's format only, and whoever writes a mapping for another wants to see its item
//! travel the whole road. The folder holds what that broker says already: its notice cases. They are sent as they lie
//! there, with this message's references in the place of the case's own.
//!
//! Invariants: nothing of the mapping's rules is used, only texts are replaced; what a message declares is not looked at
//! beyond its LRN; files are read once, at the start, and bounded.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::SandboxError;
use super::message::Message;

/// Largest file of a case.
const MAX_BYTES: u64 = 1 << 20;
/// Item id (13), posting date (6), counter (2).
const LRN_CHARS: usize = 21;
/// Characters of an authority's reference that say year and country; the same for every declaration.
const FIXED_MRN_CHARS: usize = 4;

/// Which cases of which folder are played.
#[derive(Debug, Clone)]
pub struct FolderOptions {
    /// The mapping's folder.
    pub folder: PathBuf,
    /// The case that is the synchronous reply; none: 202 without a body.
    pub reply: Option<String>,
    /// The cases that are called back, in order.
    pub notices: Vec<String>,
}

/// A notice case, ready to be sent.
#[derive(Debug, Clone)]
struct Case {
    name: String,
    text: String,
    content_type: &'static str,
    lrns: BTreeSet<String>,
    mrns: BTreeSet<String>,
    conversations: BTreeSet<String>,
}

/// What is sent for a message: the case with its references.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    /// The case.
    pub case: String,
    pub body: Vec<u8>,
    pub content_type: &'static str,
}

/// The cases that are played.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    reply: Option<Case>,
    notices: Vec<Case>,
}

impl Folder {
    /// Reads the chosen cases.
    ///
    /// # Errors
    /// When one is not there, or is none.
    pub(super) fn read(options: &FolderOptions) -> Result<Self, SandboxError> {
        let cases = options.folder.join("notices");
        let read = |name: &String| Case::read(&cases, name);
        Ok(Self {
            reply: options.reply.as_ref().map(read).transpose()?,
            notices: options.notices.iter().map(read).collect::<Result<_, _>>()?,
        })
    }

    /// The synchronous reply to a message.
    pub(super) fn reply(&self, lrn: &str, conversation: Uuid) -> Option<Told> {
        self.reply.as_ref().map(|case| case.about(lrn, conversation))
    }

    /// What is called back for a message, in order.
    pub(super) fn notices(&self, lrn: &str, conversation: Uuid) -> Vec<Told> {
        self.notices.iter().map(|case| case.about(lrn, conversation)).collect()
    }
}

impl Case {
    fn read(cases: &Path, name: &str) -> Result<Self, SandboxError> {
        let folder = cases.join(name);
        let (file, content_type) = match folder.join("notice.json") {
            json if json.is_file() => (json, "application/json"),
            _ => (folder.join("notice.xml"), "application/xml; charset=UTF-8"),
        };
        if !file.is_file() {
            return Err(SandboxError::Case { name: name.to_owned(), known: known(cases) });
        }
        let text = bounded(&file)?;
        let facts: serde_json::Value = serde_json::from_str(&bounded(&folder.join("expected.json"))?).unwrap_or_default();
        let found = |key: &str| -> BTreeSet<String> {
            let facts = facts.as_array().into_iter().flatten();
            facts.filter_map(|fact| fact.get(key)?.as_str().map(str::to_owned)).filter(|text| !text.is_empty()).collect()
        };
        let (lrns, mrns, conversations) = (found("lrn"), found("mrn"), found("conversation"));
        Ok(Self { name: name.to_owned(), text, content_type, lrns, mrns, conversations })
    }

    fn about(&self, lrn: &str, conversation: Uuid) -> Told {
        let mut text = self.text.clone();
        for own in &self.mrns {
            text = text.replace(own, &reference(own, lrn));
        }
        for own in &self.conversations {
            text = text.replace(own, &conversation.to_string());
        }
        for own in &self.lrns {
            text = text.replace(own, lrn);
        }
        Told { case: self.name.clone(), body: text.into_bytes(), content_type: self.content_type }
    }
}

/// The authority's reference of a declaration in the form of the case's: other digits, the same for all of its notices.
fn reference(own: &str, lrn: &str) -> String {
    let hash: [u8; 32] = Sha256::digest(lrn.as_bytes()).into();
    let mut digits = hash.iter().cycle();
    let other = |(at, c): (usize, char)| match c {
        '0'..='9' if at >= FIXED_MRN_CHARS => char::from(b'0' + digits.next().copied().unwrap_or_default() % 10),
        c => c,
    };
    own.chars().enumerate().map(other).collect()
}

fn known(cases: &Path) -> String {
    let mut names: Vec<String> = std::fs::read_dir(cases)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok().map(|entry| entry.file_name().to_string_lossy().into_owned()))
        .collect();
    names.sort();
    names.join(", ")
}

fn bounded(path: &Path) -> Result<String, SandboxError> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text))
        .map_err(|source| SandboxError::File { file: path.display().to_string(), source })?;
    Ok(text)
}

/// Finds the gateway's reference in a message of any format: item id, posting date and two characters.
///
/// # Errors
/// In words that repeat nothing of the message.
pub(super) fn message(body: &[u8]) -> Result<Message, &'static str> {
    let alphanumeric = |at: Option<&u8>| at.is_some_and(u8::is_ascii_alphanumeric);
    let found = body.windows(LRN_CHARS).enumerate().find(|(at, window)| {
        let before = at.checked_sub(1).and_then(|before| body.get(before));
        is_lrn(window) && !alphanumeric(before) && !alphanumeric(body.get(at + LRN_CHARS))
    });
    let (_, lrn) = found.ok_or("no LRN (item id, posting date, two characters) stands in the message")?;
    let lrn = String::from_utf8_lossy(lrn).into_owned();
    Ok(Message { lrn, type_code: String::new(), mrn: None, is_additional: false })
}

fn is_lrn(window: &[u8]) -> bool {
    let letter = |range: std::ops::Range<usize>| window.get(range).is_some_and(|part| part.iter().all(u8::is_ascii_uppercase));
    let digit = |range: std::ops::Range<usize>| window.get(range).is_some_and(|part| part.iter().all(u8::is_ascii_digit));
    let counter = window.get(19..21).is_some_and(|part| part.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()));
    letter(0..2) && digit(2..11) && letter(11..13) && digit(13..19) && counter
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lrn_is_found_in_any_format_and_stands_where_the_case_has_its_own() {
        let lrn = "CP123456785KR261120A1";
        for body in [format!("<A><Ref>{lrn}</Ref></A>"), format!("{{\"ref\":\"{lrn}\"}}")] {
            assert_eq!(message(body.as_bytes()).expect("found").lrn, lrn);
        }
        for body in [format!("<A>{lrn}9</A>"), "<A>CP123456785KR</A>".to_owned()] {
            assert!(message(body.as_bytes()).is_err(), "{body}");
        }
        let set = |text: &str| BTreeSet::from([text.to_owned()]);
        let case = Case {
            name: "accepted".to_owned(),
            text: "<S ref=\"EE123456785KR26112001\" c=\"conv\" mrn=\"26CH0000000000001A\"/>".to_owned(),
            content_type: "application/xml",
            lrns: set("EE123456785KR26112001"),
            mrns: set("26CH0000000000001A"),
            conversations: set("conv"),
        };
        let folder = Folder { reply: Some(case.clone()), notices: vec![case.clone(), case] };
        let told = folder.notices(lrn, Uuid::nil());
        assert_eq!((&told[0], folder.reply(lrn, Uuid::nil()).as_ref()), (&told[1], Some(&told[0])));
        let text = String::from_utf8_lossy(&told[0].body).into_owned();
        let mrn = reference("26CH0000000000001A", lrn);
        assert_eq!(text, format!("<S ref=\"{lrn}\" c=\"{}\" mrn=\"{mrn}\"/>", Uuid::nil()));
        assert!(mrn.starts_with("26CH") && mrn.ends_with('A') && mrn != "26CH0000000000001A");
        assert_ne!(mrn, reference("26CH0000000000001A", "CP123456785KR261120A2"));
    }
}
