//! The official schema of a format: what every message is held to before it is committed.
//!
//! Why it exists: a broker answers a malformed message hours later and to the wrong people; the sender of the
//! declaration hears of it here, at once, with the field. Invariants:
//!
//! - a folder of schemas is read once, whole and bounded; nothing outside of it is opened, nothing ever comes
//!   from a network, and a schema that lacks a part is refused instead of validating less than it says;
//! - what is said of a violation is in our words, made of the schema: no value of the message, and no text of
//!   the validator, which repeats values;
//! - an envelope whose schema does not look into it hides nothing: the documents inside have schemas of their own
//!   (`[schemas.inside]`);
//! - a compiled schema cannot be shared between threads, so each schema has threads of its own, one for each
//!   core, which hold it compiled and take messages from one bounded queue. Whoever asks waits and works not.
//!
//! Only this module knows the crate `xsd_schema`. Why that one: `docs/adr/0005-schema.md`.

mod blocks;
mod engine;
mod explain;
mod folder;
mod inside;
mod judge;
mod pool;
mod set;
mod words;

use std::path::Path;
use std::sync::Arc;

pub use judge::Judge;
pub use set::Schemas;

/// Most violations that are told of one message.
pub const MAX_VIOLATIONS: usize = 32;

/// One thing of a message that its schema forbids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The rule of XML Schema that is broken: `cvc-maxLength-valid`.
    pub rule: &'static str,
    /// Where: `/MetaData/Declaration/GoodsItem[2]/Commodity/@unit`, names without prefixes.
    pub path: String,
    /// Where its element begins, in bytes.
    pub offset: usize,
    /// What the schema asks for, in our words; never a value of the message.
    pub detail: String,
}

impl Violation {
    /// Whether the schema does not know the root of the document: it is one for other documents.
    pub fn is_unknown_root(&self) -> bool {
        self.rule == "cvc-elt.1" && self.path.matches('/').count() == 1
    }

    /// The last two names of the path: enough to find it beside the place in the template.
    pub fn short_path(&self) -> &str {
        self.path.rmatch_indices('/').nth(1).map_or(self.path.trim_start_matches('/'), |(at, _)| &self.path[at + 1..])
    }
}

/// No verdict: the validator failed. Not a word about the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the schema's validator gave no verdict")]
pub struct NoVerdict;

/// A compiled schema with the threads that validate by it. A clone is the same schema; the threads end with
/// the last one.
#[derive(Debug, Clone)]
pub struct Schema {
    pool: Arc<pool::Pool>,
}

impl Schema {
    /// Reads and compiles the schema whose root file lies at a path below a folder.
    ///
    /// # Errors
    /// Everything that makes it unusable: a missing file, a part that it names and does not have, a fault of
    /// the schema itself.
    pub fn load(folder: &Path, root: &str) -> Result<Self, Vec<String>> {
        let files = folder::Folder::open(folder).map_err(|fault| vec![fault])?;
        let pool = pool::Pool::start(Arc::new(files), root.to_owned())?;
        Ok(Self { pool: Arc::new(pool) })
    }

    /// What a message breaks; blocks until a validator has looked at it. Not from async code.
    ///
    /// # Errors
    /// When the validator fails.
    pub fn validate(&self, message: &[u8]) -> Result<Vec<Violation>, NoVerdict> {
        self.pool.ask_blocking(bytes::Bytes::copy_from_slice(message))
    }

    /// The same for async code: waits for a place in the queue and for the verdict, without work on this thread.
    ///
    /// # Errors
    /// When the validator fails.
    pub async fn check(&self, message: bytes::Bytes) -> Result<Vec<Violation>, NoVerdict> {
        self.pool.ask(message).await
    }
}

#[cfg(test)]
mod tests;
