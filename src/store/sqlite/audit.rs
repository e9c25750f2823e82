//! The chain grows with every commit: jobs push digests, the writer seals them into one link.
//!
//! The head is kept in memory and read back at start and after a commit that failed, so that a link costs one row. What a
//! link proves names it (`link_id`), so that whoever checks a row need not search the chain.

use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use super::col::ms;
use super::job::{Fail, Tx};
use super::{Sqlite, StoreError};
use crate::domain::audit::{self, Entry, Hash, Salt, genesis, seal};
use crate::domain::ids::{DeclarationId, MessageId};
use crate::domain::operate::ActKind;
use crate::domain::time::Timestamp;
use crate::store::audit::Act;

/// Where the writer's chain stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    chain: Uuid,
    number: u64,
    hash: Hash,
    link_id: i64,
}

impl Head {
    /// The end of the chain that the last writer of this file left, or the beginning of one.
    pub(super) fn load(conn: &Connection) -> rusqlite::Result<Self> {
        let last = conn
            .query_row("SELECT chain, number, hash, link_id FROM links ORDER BY link_id DESC LIMIT 1", [], |row| {
                let number = u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0);
                Ok(Self { chain: super::col::id(row, 0)?, number, hash: row.get(2)?, link_id: row.get(3)? })
            })
            .optional()?;
        Ok(last.unwrap_or_else(|| {
            let chain = Uuid::now_v7();
            Self { chain, number: 0, hash: genesis(chain), link_id: 0 }
        }))
    }

    /// The id that the next link will have.
    pub(super) fn next_link(&self) -> i64 {
        self.link_id + 1
    }

    /// Adds a link to the open transaction; the head once that is committed.
    pub(super) fn append(&self, conn: &Connection, at: Timestamp, entries: &[u8]) -> rusqlite::Result<Self> {
        // The time that is sealed is the time that is kept: milliseconds.
        let (at, number, link_id) = (crate::domain::time::from_millis(ms(at)), self.number + 1, self.next_link());
        let hash = seal(self.chain, &self.hash, number, at, entries);
        conn.prepare_cached("INSERT INTO links (link_id, chain, number, at, previous, entries, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
            .execute(params![
                link_id,
                self.chain.as_bytes(),
                i64::try_from(number).unwrap_or(i64::MAX),
                ms(at),
                self.hash,
                entries,
                hash
            ])?;
        Ok(Self { chain: self.chain, number, hash, link_id })
    }
}

/// Random bytes of the system (122 of the 128 bits are).
pub(super) fn new_salt() -> Salt {
    *Uuid::new_v4().as_bytes()
}

/// The salt of an item; none when it was erased, or is older than the chain.
fn salt_of(tx: &Tx<'_>, declaration: DeclarationId) -> Result<Option<Salt>, Fail> {
    Ok(tx.row("SELECT salt FROM salts WHERE declaration_id = ?1", [declaration.0.as_bytes()], |row| row.get(0))?)
}

/// Keeps the salt of a new item.
pub(super) fn keep_salt(tx: &Tx<'_>, declaration: DeclarationId, salt: &Salt) -> Result<(), Fail> {
    tx.run("INSERT INTO salts (declaration_id, salt) VALUES (?1, ?2)", params![declaration.0.as_bytes(), salt])?;
    Ok(())
}

/// Chains a later version of a declaration. Its row names `tx.link_id`.
pub(super) fn version(tx: &Tx<'_>, declaration: DeclarationId, version: u32, body: &[u8]) -> Result<(), Fail> {
    if let Some(salt) = salt_of(tx, declaration)? {
        tx.chain(audit::of_version(&salt, declaration, version, body));
    }
    Ok(())
}

/// Chains a message of an item. Its row names `tx.link_id`.
pub(super) fn message(tx: &Tx<'_>, declaration: DeclarationId, message: MessageId, body_hash: &Hash) -> Result<(), Fail> {
    if let Some(salt) = salt_of(tx, declaration)? {
        tx.chain(audit::of_message(&salt, message, body_hash));
    }
    Ok(())
}

/// One step of an operator's order.
pub(super) struct Step<'a> {
    pub(super) act_id: Uuid,
    pub(super) part: u32,
    pub(super) at: Timestamp,
    pub(super) kind: ActKind,
    pub(super) broker: Option<&'a str>,
    pub(super) filter: Option<&'a str>,
    pub(super) reason: Option<&'a str>,
    pub(super) done: Option<u64>,
}

impl Step<'_> {
    /// The entry that proves all of it.
    pub(super) fn entry(&self, salt: &Salt) -> Entry {
        let optional = |text: Option<&str>| text.map_or(vec![0], |text| [&[1], text.as_bytes()].concat());
        let done = self.done.map_or(vec![0], |done| [&[1][..], &done.to_be_bytes()].concat());
        let (broker, filter, reason) = (optional(self.broker), optional(self.filter), optional(self.reason));
        let (part, at) = (self.part.to_be_bytes(), ms(self.at).to_be_bytes());
        audit::of_act(salt, self.act_id, &[&part, &at, self.kind.as_str().as_bytes(), &broker, &filter, &reason, &done])
    }
}

/// Keeps and chains an act.
pub(super) fn act(tx: &Tx<'_>, step: &Step<'_>) -> Result<(), Fail> {
    let salt = new_salt();
    tx.run(
        "INSERT INTO acts (act_id, part, at, act, broker, filter, reason, done, salt, link_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![
            step.act_id.as_bytes(),
            step.part,
            ms(step.at),
            step.kind.as_str(),
            step.broker,
            step.filter,
            step.reason,
            step.done.map(|done| i64::try_from(done).unwrap_or(i64::MAX)),
            salt,
            tx.link_id
        ],
    )?;
    tx.chain(step.entry(&salt));
    Ok(())
}

impl Sqlite {
    pub(in crate::store) async fn record_act(&self, new: Act) -> Result<(), StoreError> {
        let (at, act_id) = (self.now(), Uuid::now_v7());
        self.write(0, move |tx| {
            let (broker, reason) = (new.broker.as_deref(), new.reason.as_deref());
            act(tx, &Step { act_id, part: 1, at, kind: new.kind, broker, filter: None, reason, done: None })
        })
        .await
    }
}
