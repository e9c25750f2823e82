//! Checking and showing the evidence, in short reads beside the writer.
//!
//! First every link, by chain and number; then every stored row against the link that it names. Memory is bounded by a page
//! and by the entries of one link. What comes while a check runs is sound or is found by the next one.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, Row, params};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::audit::Step;
use super::col;
use super::job::Fail;
use super::{Sqlite, StoreError};
use crate::domain::audit::{self, Bad, Checker, Entry, EntryKind, Hash, Link, Salt, Why};
use crate::domain::ids::{DeclarationId, MessageId, NoticeId};
use crate::domain::operate::ActKind;
use crate::store::audit::{ActRow, BadEvidence, Verified};

/// Links of one read.
const LINKS: usize = 64;
/// Rows of one read.
const ROWS: usize = 200;
/// Bytes of links that one page of an export may bring along.
const MAX_PAGE_BYTES: usize = 2 * 1024 * 1024;

/// Where a walk over rows stands: the row's key, as two columns.
type Place = ([u8; 16], i64);

/// A stored row to be held against its link.
struct Proof {
    place: Place,
    link_id: Option<i64>,
    /// What its link has to hold; none when the row cannot be what was chained.
    entry: Option<Entry>,
}

/// The entries of the link that was looked at last: rows in the order of their ids mostly share it.
#[derive(Default)]
struct Known {
    link_id: i64,
    entries: HashSet<(EntryKind, Uuid, Hash)>,
    subjects: HashSet<(EntryKind, Uuid)>,
}

impl Sqlite {
    pub(in crate::store) async fn verify_audit(&self) -> Result<Verified, StoreError> {
        let (checker, bad) = self.follow_links().await?;
        let mut verified = Verified { chains: checker.sums(), rows: 0, bad: bad.map(BadEvidence::Link) };
        for kind in [EntryKind::Declaration, EntryKind::Message, EntryKind::Notice, EntryKind::Act] {
            if verified.bad.is_none() {
                verified.bad = self.hold_rows(kind, &mut verified.rows).await?;
            }
        }
        Ok(verified)
    }

    async fn follow_links(&self) -> Result<(Checker, Option<Bad>), StoreError> {
        // What is added meanwhile is left to the next check, so that this one ends.
        let newest =
            self.read(|conn| Ok(conn.query_row("SELECT coalesce(max(link_id), 0) FROM links", [], |row| row.get::<_, i64>(0))?)).await?;
        let (mut checker, mut after) = (Checker::default(), None);
        loop {
            let (next, checked, bad) = self
                .read(move |conn| {
                    let mut checker = checker;
                    let page = links(conn, after, newest, LINKS)?;
                    let bad = page.iter().find_map(|link| checker.follow(link).err());
                    Ok((page.last().map(|link| (link.chain, link.number)), checker, bad))
                })
                .await?;
            checker = checked;
            if bad.is_some() || next.is_none() {
                return Ok((checker, bad));
            }
            after = next;
        }
    }

    async fn hold_rows(&self, kind: EntryKind, count: &mut u64) -> Result<Option<BadEvidence>, StoreError> {
        let mut place: Place = ([0; 16], i64::MIN);
        let mut known = Known::default();
        loop {
            let (next, held, bad, back) = self
                .read(move |conn| {
                    let (mut held, mut next, mut known) = (0, None, known);
                    for proof in proofs(conn, kind, place)? {
                        next = Some(proof.place);
                        held += 1;
                        if let Some(why) = known.judge(conn, &proof, kind)? {
                            let subject = Uuid::from_bytes(proof.place.0);
                            return Ok((next, held, Some(BadEvidence::Row { kind, subject, why }), known));
                        }
                    }
                    Ok((next, held, None, known))
                })
                .await?;
            *count += held;
            known = back;
            match next {
                Some(next) if bad.is_none() => place = next,
                _ => return Ok(bad),
            }
        }
    }

    pub(in crate::store) async fn audit_links(&self, after: Option<(Uuid, u64)>, limit: usize) -> Result<Vec<Link>, StoreError> {
        self.read(move |conn| Ok(links(conn, after, i64::MAX, limit)?)).await
    }

    pub(in crate::store) async fn acts(&self, limit: u32) -> Result<Vec<ActRow>, StoreError> {
        self.read(move |conn| {
            let mut statement = conn.prepare_cached(
                "SELECT act_id, min(at), act, broker, filter, reason, sum(done) FROM acts GROUP BY act_id ORDER BY act_id DESC LIMIT ?1",
            )?;
            let rows = statement.query_map([limit], |row| {
                Ok(ActRow {
                    act_id: col::id(row, 0)?,
                    at: col::at(row, 1)?,
                    kind: col::word(row, 2, ActKind::parse)?,
                    broker: row.get(3)?,
                    filter: row.get(4)?,
                    reason: row.get(5)?,
                    done: row.get::<_, Option<i64>>(6)?.and_then(|done| u64::try_from(done).ok()),
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }
}

fn links(conn: &Connection, after: Option<(Uuid, u64)>, newest: i64, limit: usize) -> rusqlite::Result<Vec<Link>> {
    let (chain, number) = after.map_or(([0; 16], -1), |(chain, number)| (*chain.as_bytes(), i64::try_from(number).unwrap_or(i64::MAX)));
    let mut statement = conn.prepare_cached(
        "SELECT chain, number, at, previous, entries, hash FROM links
         WHERE (chain, number) > (?1, ?2) AND link_id <= ?3 ORDER BY chain, number",
    )?;
    let mut rows = statement.query(params![chain, number, newest])?;
    let (mut found, mut bytes) = (Vec::new(), 0);
    while found.len() < limit && bytes < MAX_PAGE_BYTES {
        let Some(row) = rows.next()? else { break };
        let number = u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0);
        let entries: Vec<u8> = row.get(4)?;
        bytes += entries.len();
        found.push(Link { chain: col::id(row, 0)?, number, at: col::at(row, 2)?, previous: row.get(3)?, entries, hash: row.get(5)? });
    }
    Ok(found)
}

/// The next rows of a kind that have a salt.
fn proofs(conn: &Connection, kind: EntryKind, after: Place) -> Result<Vec<Proof>, Fail> {
    let sql = match kind {
        EntryKind::Declaration => {
            "SELECT v.declaration_id, v.version, v.link_id, s.salt, b.size, b.bytes
             FROM versions v JOIN salts s ON s.declaration_id = v.declaration_id LEFT JOIN bodies b ON b.body_id = v.body_id
             WHERE (v.declaration_id, v.version) > (?1, ?2) ORDER BY v.declaration_id, v.version"
        }
        EntryKind::Message => {
            "SELECT m.message_id, 0, m.link_id,
                    (SELECT s.salt FROM message_filings f JOIN salts s ON s.declaration_id = f.declaration_id
                     WHERE f.message_id = m.message_id ORDER BY f.filing_id LIMIT 1) AS salt, b.size, b.bytes, m.body_hash
             FROM messages m LEFT JOIN bodies b ON b.body_id = m.body_id
             WHERE (m.message_id, 0) > (?1, ?2) AND salt IS NOT NULL ORDER BY m.message_id"
        }
        EntryKind::Notice => {
            "SELECT n.notice_id, 0, n.link_id, n.salt, b.size, b.bytes, n.body_hash
             FROM notices n LEFT JOIN bodies b ON b.body_id = n.body_id
             WHERE (n.notice_id, 0) > (?1, ?2) AND n.salt IS NOT NULL ORDER BY n.notice_id"
        }
        EntryKind::Act | EntryKind::Settlement => {
            "SELECT act_id, part, link_id, salt, at, act, broker, filter, reason, done FROM acts
             WHERE (act_id, part) > (?1, ?2) ORDER BY act_id, part"
        }
    };
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(params![after.0, after.1])?;
    let mut found = Vec::new();
    while found.len() < ROWS {
        let Some(row) = rows.next()? else { break };
        let place = (row.get(0)?, row.get(1)?);
        found.push(Proof { place, link_id: row.get(2)?, entry: entry(row, kind, place).ok().flatten() });
    }
    Ok(found)
}

/// What a row says that it is. A row that cannot be read back, or whose bytes are not those of its hash, says nothing.
fn entry(row: &Row<'_>, kind: EntryKind, place: Place) -> rusqlite::Result<Option<Entry>> {
    let (id, salt) = (Uuid::from_bytes(place.0), row.get::<_, Salt>(3)?);
    if matches!(kind, EntryKind::Act | EntryKind::Settlement) {
        return act_entry(row, place, &salt).map(Some);
    }
    let body = col::body(row, 4)?;
    if kind == EntryKind::Declaration {
        let version = u32::try_from(place.1).unwrap_or(0);
        return Ok(Some(audit::of_version(&salt, DeclarationId(id), version, &body)));
    }
    let hash: Hash = Sha256::digest(&body).into();
    let entry = if kind == EntryKind::Message {
        audit::of_message(&salt, MessageId(id), &hash)
    } else {
        audit::of_notice(&salt, NoticeId(id), &hash)
    };
    Ok((row.get::<_, Hash>(6)? == hash).then_some(entry))
}

fn act_entry(row: &Row<'_>, place: Place, salt: &Salt) -> rusqlite::Result<Entry> {
    let (broker, filter, reason): (Option<String>, Option<String>, Option<String>) = (row.get(6)?, row.get(7)?, row.get(8)?);
    let step = Step {
        act_id: Uuid::from_bytes(place.0),
        part: u32::try_from(place.1).unwrap_or(0),
        at: col::at(row, 4)?,
        kind: col::word(row, 5, ActKind::parse)?,
        broker: broker.as_deref(),
        filter: filter.as_deref(),
        reason: reason.as_deref(),
        done: row.get::<_, Option<i64>>(9)?.map(|done| u64::try_from(done).unwrap_or(0)),
    };
    Ok(step.entry(salt))
}

impl Known {
    /// What is wrong with a row, if anything is.
    fn judge(&mut self, conn: &Connection, proof: &Proof, kind: EntryKind) -> Result<Option<Why>, Fail> {
        let Some(link_id) = proof.link_id else { return Ok(Some(Why::Missing)) };
        if self.link_id != link_id {
            self.load(conn, link_id)?;
        }
        let subject = Uuid::from_bytes(proof.place.0);
        let known = proof.entry.is_some_and(|entry| self.entries.contains(&(entry.kind, entry.subject, entry.digest)));
        if known {
            return Ok(None);
        }
        Ok(Some(if self.subjects.contains(&(kind, subject)) { Why::Differs } else { Why::Missing }))
    }

    fn load(&mut self, conn: &Connection, link_id: i64) -> Result<(), Fail> {
        let bytes: Option<Vec<u8>> =
            conn.prepare_cached("SELECT entries FROM links WHERE link_id = ?1")?.query_row([link_id], |row| row.get(0)).optional()?;
        let entries = bytes.and_then(|bytes| Entry::read_all(&bytes)).unwrap_or_default();
        self.link_id = link_id;
        self.subjects = entries.iter().map(|entry| (entry.kind, entry.subject)).collect();
        self.entries = entries.into_iter().map(|entry| (entry.kind, entry.subject, entry.digest)).collect();
        Ok(())
    }
}
