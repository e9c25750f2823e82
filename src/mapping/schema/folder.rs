//! The files of a schema: read on demand from one folder, kept, and never from anywhere else.
//!
//! The names of files are locations of a scheme of their own, so that no location of a schema can become a
//! path: `..` ends at the folder's root, and whatever has another scheme (`http:`, `file:`) is refused.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use xsd_schema::{EmbeddedLoader, SchemaError, SchemaLoader, SchemaResult, decode_xml_bytes};

use super::blocks;

/// Locations of files of the folder begin with it.
const SCHEME: &str = "schema-folder:///";
/// Largest file.
const MAX_FILE_BYTES: u64 = 16 << 20;
/// Most bytes of all files together.
const MAX_BYTES: usize = 64 << 20;

/// A folder of schemas. What was read once stays as it was: all validators of a schema are made of the same bytes.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    read: Mutex<BTreeMap<String, String>>,
    /// What could not be had, and why: the parser keeps only the first.
    refused: Mutex<Vec<String>>,
}

impl Folder {
    /// The folder at a path; symbolic links are followed here, and later only within it.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let unusable = |why: String| format!("the folder of schemas {} cannot be read: {why}", path.display());
        let root = path.canonicalize().map_err(|error| unusable(error.kind().to_string()))?;
        if !root.is_dir() {
            return Err(unusable("it is no folder".to_owned()));
        }
        Ok(Self { root, read: Mutex::default(), refused: Mutex::default() })
    }

    /// The location of a file of the folder.
    pub(super) fn location(file: &str) -> String {
        format!("{SCHEME}{}", file.trim_start_matches("./"))
    }

    /// A text without the scheme of locations, for people.
    pub(super) fn plain(text: &str) -> String {
        text.replace(SCHEME, "")
    }

    /// What could not be had since the last question.
    pub(super) fn refused(&self) -> Vec<String> {
        std::mem::take(&mut *self.refused.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn text(&self, location: &str) -> Result<String, String> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(text) = read.get(location) {
            return Ok(text.clone());
        }
        let text = blocks::as_ranges(&self.file(location)?);
        if read.values().map(String::len).sum::<usize>() + text.len() > MAX_BYTES {
            return Err(format!("the files of a schema have at most {MAX_BYTES} bytes together"));
        }
        read.insert(location.to_owned(), text.clone());
        Ok(text)
    }

    fn file(&self, location: &str) -> Result<String, String> {
        let Some(name) = location.strip_prefix(SCHEME) else {
            return Err("only files of the folder of schemas are read".to_owned());
        };
        let name = decoded(name).ok_or("its name is no UTF-8")?;
        let unreadable = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::NotFound => "the file is not in the folder of schemas".to_owned(),
            kind => kind.to_string(),
        };
        let path = self.root.join(name.trim_start_matches('/')).canonicalize().map_err(unreadable)?;
        if !path.starts_with(&self.root) {
            return Err("it leads out of the folder of schemas".to_owned());
        }
        let about = path.metadata().map_err(unreadable)?;
        if !about.is_file() || about.len() > MAX_FILE_BYTES {
            return Err(format!("a file of at most {MAX_FILE_BYTES} bytes"));
        }
        let bytes = std::fs::read(path).map_err(unreadable)?;
        decode_xml_bytes(bytes).map_err(|_| "its encoding is not the one that it says".to_owned())
    }
}

/// A name of a location with its percent-encoded bytes.
fn decoded(name: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = |at: usize| tail.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        match (first, hex(0), hex(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push(u8::try_from(high * 16 + low).ok()?);
                rest = tail.get(2..)?;
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

/// The folder as the schema's parser asks for files. The schema of `xml:lang` and its kin, which the W3C asks
/// everybody not to fetch, is built in.
#[derive(Debug)]
pub(super) struct Loader(pub std::sync::Arc<Folder>);

impl SchemaLoader for Loader {
    fn load(&self, location: &str) -> SchemaResult<String> {
        if EmbeddedLoader.can_load(location) {
            return EmbeddedLoader.load(location);
        }
        self.0.text(location).map_err(|why| {
            let told = format!("{}: {why}", Folder::plain(location));
            self.0.refused.lock().unwrap_or_else(PoisonError::into_inner).push(told.clone());
            SchemaError::resolution(told)
        })
    }

    fn can_load(&self, _location: &str) -> bool {
        true
    }
}
