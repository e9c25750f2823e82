//! Following chains link by link: what is wrong with the first bad one, and what the good ones add up to.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{ENTRY_BYTES, Entry, Hash, Link, genesis, seal};
use crate::choice;
use crate::domain::time::Timestamp;

choice! {
    /// What is wrong.
    pub enum Why {
        /// A link is missing before this one, or this one stands twice.
        Gap = "gap",
        /// It does not hold the hash of the link before it.
        Previous = "previous",
        /// Its own hash is not that of its content.
        Hash = "hash",
        /// Its entries are none.
        Entries = "entries",
        /// The line is not a link.
        Line = "line",
        /// What is stored has no entry in the link that it names.
        Missing = "missing",
        /// What is stored is not what was chained.
        Differs = "differs",
    }
}

/// A bad link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bad {
    /// Its chain.
    pub chain: Uuid,
    /// Its number.
    pub number: u64,
    /// What is wrong with it.
    pub why: Why,
}

/// What the links of one chain add up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainSum {
    /// Its id.
    pub chain: Uuid,
    /// Number of the first link seen; 1 when the chain was seen from its beginning.
    pub first: u64,
    /// Links.
    pub links: u64,
    /// Entries.
    pub entries: u64,
    /// Time of the first link seen.
    pub first_at: Timestamp,
    /// Time of the last.
    pub last_at: Timestamp,
}

/// Follows chains; links of one chain come in order.
#[derive(Debug, Default)]
pub struct Checker {
    chains: BTreeMap<Uuid, (ChainSum, Hash)>,
    may_begin_later: bool,
}

impl Checker {
    /// For an export that may begin in the middle of a chain: the first link of a chain is believed as to what is before it.
    pub fn partial() -> Self {
        Self { chains: BTreeMap::new(), may_begin_later: true }
    }

    /// Follows the next link.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn follow(&mut self, link: &Link) -> Result<(), Bad> {
        let bad = |why| Err(Bad { chain: link.chain, number: link.number, why });
        let (next, previous) = match self.chains.get(&link.chain) {
            Some((sum, hash)) => (sum.first + sum.links, *hash),
            None if self.may_begin_later && link.number > 1 => (link.number, link.previous),
            None => (1, genesis(link.chain)),
        };
        if link.number != next {
            return bad(Why::Gap);
        }
        if link.previous != previous {
            return bad(Why::Previous);
        }
        if seal(link.chain, &link.previous, link.number, link.at, &link.entries) != link.hash {
            return bad(Why::Hash);
        }
        if Entry::read_all(&link.entries).is_none_or(|entries| entries.is_empty()) {
            return bad(Why::Entries);
        }
        let new = ChainSum { chain: link.chain, first: link.number, links: 0, entries: 0, first_at: link.at, last_at: link.at };
        let (sum, hash) = self.chains.entry(link.chain).or_insert((new, link.hash));
        sum.links += 1;
        sum.entries += u64::try_from(link.entries.len() / ENTRY_BYTES).unwrap_or(u64::MAX);
        (sum.last_at, *hash) = (link.at, link.hash);
        Ok(())
    }

    /// What was followed so far, by chain.
    pub fn sums(&self) -> Vec<ChainSum> {
        self.chains.values().map(|(sum, _)| *sum).collect()
    }
}
