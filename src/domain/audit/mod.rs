//! The chain of evidence: what stands in a link, how a link holds the one before, what an export looks like.
//!
//! Why it exists: that a declaration, a message, a notice or an operator's act was what it is and when must be provable
//! later, also to somebody who does not trust the database. Each commit adds one link: digests of what it made durable,
//! sealed together with the hash of the link before. To change, leave out or insert anything, every later link would have to
//! be made anew, and an export taken before shows it.
//!
//! Digests are salted with random bytes that are kept beside the data: when data and salt are erased, the chain still
//! verifies and tells nothing of what was erased.
//!
//! Must not: hold a clock or a text of the outside. The store and the command line check by the same functions.

mod check;
mod line;
#[cfg(test)]
mod tests;

use sha2::{Digest, Sha256};
use uuid::Uuid;

pub use check::{Bad, ChainSum, Checker, Why};
pub use line::{from_line, to_line};

use super::delivery::DeliveryState;
use super::ids::{DeclarationId, MessageId, NoticeId};
use super::time::Timestamp;
use crate::choice;

/// A SHA-256.
pub type Hash = [u8; 32];
/// What digests are salted with: random, 16 bytes.
pub type Salt = [u8; 16];

choice! {
    /// What an entry is about. Its code in a link is its place in this list, from 1.
    pub enum EntryKind {
        /// A version of a declaration, as it came.
        Declaration = "declaration",
        /// A message that was made.
        Message = "message",
        /// A message that was settled, or queued again.
        Settlement = "settlement",
        /// A notice, as it came.
        Notice = "notice",
        /// What an operator ordered.
        Act = "act",
    }
}

impl EntryKind {
    fn code(self) -> u8 {
        Self::ALL.iter().position(|kind| *kind == self).and_then(|place| u8::try_from(place + 1).ok()).unwrap_or(0)
    }

    fn of_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code).checked_sub(1)?).copied()
    }
}

/// Bytes of an entry in a link.
pub const ENTRY_BYTES: usize = 1 + 16 + 32;

/// One thing that a commit made durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub kind: EntryKind,
    /// Its id.
    pub subject: Uuid,
    /// Its digest.
    pub digest: Hash,
}

impl Entry {
    /// Adds its bytes.
    pub fn write(&self, bytes: &mut Vec<u8>) {
        bytes.push(self.kind.code());
        bytes.extend_from_slice(self.subject.as_bytes());
        bytes.extend_from_slice(&self.digest);
    }

    /// Every entry of a link; `None` when the bytes are not entries.
    pub fn read_all(bytes: &[u8]) -> Option<Vec<Self>> {
        let (entries, rest) = bytes.as_chunks::<ENTRY_BYTES>();
        let read = |entry: &[u8; ENTRY_BYTES]| {
            let (code, rest) = entry.split_first()?;
            let (subject, digest) = rest.split_first_chunk::<16>()?;
            Some(Self { kind: EntryKind::of_code(*code)?, subject: Uuid::from_bytes(*subject), digest: digest.try_into().ok()? })
        };
        if rest.is_empty() { entries.iter().map(read).collect() } else { None }
    }
}

/// One link: what one commit added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Chain; each writer has its own.
    pub chain: Uuid,
    /// From 1, without gaps.
    pub number: u64,
    /// When it was committed.
    pub at: Timestamp,
    /// Hash of the link before it; [`genesis`] for the first.
    pub previous: Hash,
    /// Its entries' bytes.
    pub entries: Vec<u8>,
    /// [`seal`] of all that.
    pub hash: Hash,
}

/// What the first link of a chain holds as the hash before it.
pub fn genesis(chain: Uuid) -> Hash {
    Sha256::digest(chain.as_bytes()).into()
}

/// The hash of a link: SHA-256 of the chain's id, the previous hash, number and time (milliseconds since 1970) as 8 bytes each, the highest
/// first, and the entries.
pub fn seal(chain: Uuid, previous: &Hash, number: u64, at: Timestamp, entries: &[u8]) -> Hash {
    let mut hash = Sha256::new();
    hash.update(chain.as_bytes());
    hash.update(previous);
    hash.update(number.to_be_bytes());
    hash.update(at.as_millisecond().to_be_bytes());
    hash.update(entries);
    hash.finalize().into()
}

/// Parts that follow one another are told apart by their lengths.
fn digest(parts: &[&[u8]]) -> Hash {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// A version of a declaration, by its body as it came.
pub fn of_version(salt: &Salt, id: DeclarationId, version: u32, body: &[u8]) -> Entry {
    let digest = digest(&[salt, id.0.as_bytes(), &version.to_be_bytes(), body]);
    Entry { kind: EntryKind::Declaration, subject: id.0, digest }
}

/// A message, by the hash of its bytes.
pub fn of_message(salt: &Salt, id: MessageId, body_hash: &Hash) -> Entry {
    Entry { kind: EntryKind::Message, subject: id.0, digest: digest(&[salt, id.0.as_bytes(), body_hash]) }
}

/// Where a message ended, or that it lives again. It is about our own states and needs no salt.
pub fn of_settlement(id: MessageId, state: DeliveryState) -> Entry {
    Entry { kind: EntryKind::Settlement, subject: id.0, digest: digest(&[id.0.as_bytes(), state.as_str().as_bytes()]) }
}

/// A notice, by the hash of its bytes.
pub fn of_notice(salt: &Salt, id: NoticeId, body_hash: &Hash) -> Entry {
    Entry { kind: EntryKind::Notice, subject: id.0, digest: digest(&[salt, id.0.as_bytes(), body_hash]) }
}

/// An operator's act, by all that is kept of it.
pub fn of_act(salt: &Salt, id: Uuid, parts: &[&[u8]]) -> Entry {
    let all: Vec<&[u8]> = [&salt[..], id.as_bytes()].into_iter().chain(parts.iter().copied()).collect();
    Entry { kind: EntryKind::Act, subject: id, digest: digest(&all) }
}
