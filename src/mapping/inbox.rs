//! `[inbox]` of `notices.toml`: what a broker's notice is known by when it comes again, and what its broker is answered.
//!
//! Without it a notice is known by its conversation and bytes, and answered 202 without a body. A broker that writes a repeat
//! anew (another time of sending, other blanks) gives each notice an id of its own: `key` says where it stands.

use super::dom::Buffers;
use super::faults::FileFaults;
use super::find::{Finder, Found};
use super::reading;
use super::tables::Table;
use super::xpath::{self, Path, Prefixes};

/// Longest key, in characters; what is longer is no id.
const MAX_KEY: usize = 255;
/// Longest answer, in bytes.
const MAX_ANSWER: usize = 16 * 1024;

/// The rules of the inbox.
#[derive(Debug, Default)]
pub struct Inbox {
    key: Option<Path>,
    /// Those that the path names.
    namespaces: Vec<String>,
    /// Status of the answer, a 2xx.
    pub status: Option<u16>,
    /// Content type of the answer, when it has a body.
    pub content_type: Option<String>,
    /// Body of the answer.
    pub answer: String,
}

impl Inbox {
    /// Whether notices are known by an id of their own.
    pub const fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// The notice's own id; none when the rules name none, or it cannot be read: then its bytes are what it is known by.
    pub(super) fn key(&self, body: &[u8]) -> Option<String> {
        let path = self.key.as_ref()?;
        let buffers = Buffers::default();
        let dom = reading::body(&self.namespaces, body, &buffers).ok()?;
        let key = Finder::new(&dom).text(path, Found::Node(0)).ok()??;
        let key = key.trim();
        (!key.is_empty() && key.chars().count() <= MAX_KEY).then(|| key.to_owned())
    }
}

/// Reads the table `[inbox]`.
pub(super) fn read(mut table: Table<'_>, prefixes: &Prefixes, faults: &mut FileFaults<'_>) -> Inbox {
    let key = table.text("key", faults);
    let key = key.and_then(|text| xpath::parse(text.text, prefixes).map_err(|(at, remark)| faults.at(text.at + at, remark)).ok());
    let at = table.at();
    let status = table.count("status", faults).and_then(|status| u16::try_from(status).ok());
    if status.is_some_and(|status| !(200..=299).contains(&status)) {
        faults.at(at, "status is a 2xx: a notice that is stored is taken, whatever it says");
    }
    let content_type = table.text("content_type", faults).map(|text| text.text.to_owned());
    let answer = table.text("answer", faults).map_or_else(String::new, |text| text.text.to_owned());
    if answer.len() > MAX_ANSWER {
        faults.at(at, format!("an answer of at most {MAX_ANSWER} bytes"));
    }
    if !answer.is_empty() && content_type.is_none() {
        faults.at(at, "an answer with a body needs its content_type");
    }
    table.finish(faults);
    Inbox { key, namespaces: prefixes.uris.clone(), status, content_type, answer }
}
