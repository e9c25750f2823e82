//! One commit makes a declaration durable: what it says, the bytes to send, where they wait and the
//! answer that the client gets, and gets again when it asks again.
//!
//! This is the hot path: the bodies are appended, each index is written once, and nothing is read
//! that a repeat would not need.

use jiff::Span;
use rusqlite::{Connection, OptionalExtension, params};

use super::col;
use super::job::{Fail, Tx};
use super::pack::{Packed, pack};
use super::refs;
use super::signals::Wake;
use super::{Sqlite, StoreError, audit, intents};
use crate::domain::audit::{Entry, Salt, of_version};
use crate::domain::delivery::{DeliveryState, MessageKind};
use crate::domain::fact::ReferenceKind;
use crate::domain::ids::{ConversationId, DeclarationId, S10};
use crate::domain::time::{Date, Timestamp};
use crate::store::types::{Accepted, IdempotencyKey, NewDeclaration, NewFiling, NewMessage};

/// How long a client's key is kept: a day, after which it is new again.
const KEY_LIFE_MS: i64 = 24 * 60 * 60 * 1000;
/// Old keys removed with one job.
const KEYS_PER_PURGE: i64 = 500;

impl Sqlite {
    pub(in crate::store) async fn accept(&self, new: NewDeclaration) -> Result<Accepted, StoreError> {
        let bodies = Bodies::of(&new);
        self.take_in(bodies.len(), move |tx| accept(tx, &new, &bodies)).await
    }

    pub(in crate::store) async fn find_replay(
        &self,
        post: String,
        key: Option<IdempotencyKey>,
        item_id: S10,
        posted_on: Date,
        content_hash: [u8; 32],
    ) -> Result<Option<Accepted>, StoreError> {
        let now = self.now();
        self.read(move |conn| {
            if let Some(key) = &key
                && let Some(known) = known_key(conn, &post, key, now)?
            {
                return Ok(Some(known));
            }
            let sql = "SELECT declaration_id FROM declarations WHERE item_id = ?1 AND posted_on = ?2 AND post = ?3 AND content_hash = ?4";
            let declaration = conn
                .prepare_cached(sql)?
                .query_row(params![item_id.as_str(), posted_on.to_string(), post, content_hash], |row| row.get::<_, [u8; 16]>(0))
                .optional()?;
            declaration.map(|id| answer(conn, &id, 1)).transpose()
        })
        .await
    }

    pub(in crate::store) async fn find_key(&self, post: String, key: IdempotencyKey) -> Result<Option<Accepted>, StoreError> {
        let now = self.now();
        self.read(move |conn| known_key(conn, &post, &key, now)).await
    }

    pub(in crate::store) async fn lrn_counter(&self, item_id: S10, posted_on: Date) -> Result<u16, StoreError> {
        self.read(move |conn| {
            let sql = "SELECT coalesce(max(lrn_used), 0) FROM declarations WHERE item_id = ?1 AND posted_on = ?2";
            let used = conn.prepare_cached(sql)?.query_row(params![item_id.as_str(), posted_on.to_string()], |row| row.get(0))?;
            Ok(used)
        })
        .await
    }

    pub(in crate::store) async fn purge_keys(&self) -> Result<usize, StoreError> {
        let before = col::ms(self.now()) - KEY_LIFE_MS;
        self.write(0, move |tx| {
            // Keys stand in order of age, so the first that is young enough ends the search.
            let sql = "DELETE FROM keys WHERE used_at < ?1 AND key_no IN (SELECT key_no FROM keys ORDER BY key_no LIMIT ?2)";
            Ok(tx.run(sql, params![before, KEYS_PER_PURGE])?)
        })
        .await
    }
}

/// The bodies of a declaration, packed before the queue.
struct Bodies {
    body: Packed,
    answer: Packed,
    /// In the order of filings and their messages.
    messages: Vec<Packed>,
    /// What the item's digests are salted with, and the first of them.
    salt: Salt,
    proof: Entry,
}

impl Bodies {
    fn of(new: &NewDeclaration) -> Self {
        let salt = audit::new_salt();
        Self {
            body: pack(&new.body),
            answer: pack(&new.answer),
            messages: messages(new).map(|(_, message)| pack(&message.body)).collect(),
            salt,
            proof: of_version(&salt, new.declaration_id, 1, &new.body),
        }
    }

    fn len(&self) -> usize {
        let messages: usize = self.messages.iter().map(|message| message.bytes.len()).sum();
        self.body.bytes.len() + self.answer.bytes.len() + messages
    }
}

fn accept(tx: &Tx<'_>, new: &NewDeclaration, bodies: &Bodies) -> Result<Accepted, Fail> {
    if let Some(key) = &new.key
        && let Some(known) = known_key(tx.conn, &new.post, key, new.received_at)?
    {
        return Ok(known);
    }
    if let Some(known) = known_item(tx, new)? {
        return Ok(known);
    }
    if lrn_taken(tx, new)? {
        return Ok(Accepted::LrnTaken);
    }
    insert_declaration(tx, new, bodies)?;
    let mut packed = bodies.messages.iter();
    for filing in &new.filings {
        insert_filing(tx, new, filing, &mut packed)?;
    }
    if let Some(key) = &new.key {
        insert_key(tx, &new.post, key, new.declaration_id, 1, None, new.received_at)?;
    }
    tx.wake(Wake::OUTBOX);
    Ok(Accepted::Stored)
}

pub(super) fn known_key(conn: &Connection, post: &str, key: &IdempotencyKey, now: Timestamp) -> Result<Option<Accepted>, Fail> {
    let sql =
        "SELECT body_hash, declaration_id, version, answer_id FROM keys WHERE post = ?1 AND route = ?2 AND key = ?3 AND used_at >= ?4";
    let found = conn
        .prepare_cached(sql)?
        .query_row(params![post, key.route, key.key, col::ms(now) - KEY_LIFE_MS], |row| {
            Ok((row.get::<_, [u8; 32]>(0)?, row.get::<_, [u8; 16]>(1)?, row.get::<_, i64>(2)?, row.get::<_, Option<i64>>(3)?))
        })
        .optional()?;
    match found {
        None => Ok(None),
        Some((hash, ..)) if hash != key.body_hash => Ok(Some(Accepted::KeyReused)),
        // A cancellation makes no version; its answer stands by itself.
        Some((.., Some(answer_id))) => {
            let sql = "SELECT size, bytes FROM bodies WHERE body_id = ?1";
            Ok(Some(Accepted::Replay(conn.prepare_cached(sql)?.query_row([answer_id], |row| col::body(row, 0))?)))
        }
        Some((_, declaration, version, None)) => answer(conn, &declaration, version).map(Some),
    }
}

/// Whether the item, or another posting of its S10 within the re-use time, is known.
fn known_item(tx: &Tx<'_>, new: &NewDeclaration) -> Result<Option<Accepted>, Fail> {
    let days = Span::new().days(new.reuse_after_days.min(36_500));
    let first = new.posted_on.saturating_sub(days);
    let last = new.posted_on.saturating_add(days);
    let postings = tx.rows(
        "SELECT declaration_id, posted_on, content_hash, cancelled FROM declarations
         WHERE item_id = ?1 AND posted_on BETWEEN ?2 AND ?3 AND post = ?4",
        params![new.item_id.as_str(), first.to_string(), last.to_string(), new.post],
        |row| Ok((row.get::<_, [u8; 16]>(0)?, col::date(row, 1)?, row.get::<_, [u8; 32]>(2)?, row.get::<_, bool>(3)?)),
    )?;
    if let Some((declaration, _, hash, _)) = postings.iter().find(|(_, posted_on, ..)| *posted_on == new.posted_on) {
        if *hash != new.content_hash {
            return Ok(Some(Accepted::ItemConflict));
        }
        if let Some(key) = &new.key {
            insert_key(tx, &new.post, key, DeclarationId(uuid::Uuid::from_bytes(*declaration)), 1, None, new.received_at)?;
        }
        return answer(tx.conn, declaration, 1).map(Some);
    }
    let within = |posted_on: Date| posted_on > first && posted_on < last;
    let known = !new.is_return && postings.iter().any(|(_, posted_on, _, cancelled)| !cancelled && within(*posted_on));
    Ok(known.then_some(Accepted::ItemKnown))
}

/// The stored answer to a version, byte for byte.
fn answer(conn: &Connection, declaration: &[u8; 16], version: i64) -> Result<Accepted, Fail> {
    let sql =
        "SELECT b.size, b.bytes FROM versions v JOIN bodies b ON b.body_id = v.answer_id WHERE v.declaration_id = ?1 AND v.version = ?2";
    let bytes = conn.prepare_cached(sql)?.query_row(params![declaration, version], |row| col::body(row, 0)).optional()?;
    bytes.map(Accepted::Replay).ok_or(Fail::Fault("an answer is missing"))
}

/// Checked before anything is written, so that nothing has to be taken back.
fn lrn_taken(tx: &Tx<'_>, new: &NewDeclaration) -> Result<bool, Fail> {
    for (filing, message) in messages(new) {
        if refs::find(tx.conn, &filing.broker, ReferenceKind::Lrn, &message.lrn)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn messages(new: &NewDeclaration) -> impl Iterator<Item = (&NewFiling, &NewMessage)> {
    new.filings.iter().flat_map(|filing| filing.messages.iter().map(move |message| (filing, message)))
}

/// The counter at the end of an LRN: two characters in base 36.
pub(super) fn lrn_counter(lrn: &str) -> u16 {
    let tail = lrn.len().checked_sub(2).and_then(|start| lrn.get(start..));
    tail.and_then(|tail| u16::from_str_radix(tail, 36).ok()).unwrap_or(0)
}

fn insert_declaration(tx: &Tx<'_>, new: &NewDeclaration, bodies: &Bodies) -> Result<(), Fail> {
    let lrn_used = messages(new).map(|(_, message)| lrn_counter(&message.lrn)).max().unwrap_or(0);
    tx.run(
        "INSERT INTO declarations (declaration_id, post, item_id, posted_on, content_hash, lrn_used) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![new.declaration_id.0.as_bytes(), new.post, new.item_id.as_str(), new.posted_on.to_string(), new.content_hash, lrn_used],
    )?;
    audit::keep_salt(tx, new.declaration_id, &bodies.salt)?;
    tx.chain(bodies.proof);
    let body_id = tx.keep(&bodies.body)?;
    let answer_id = tx.keep(&bodies.answer)?;
    tx.run(
        "INSERT INTO versions (declaration_id, version, body_id, answer_id, content_hash, warnings, conversation_id, traceparent, received_at,
                               link_id)
         VALUES (?1, 1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            new.declaration_id.0.as_bytes(),
            body_id,
            answer_id,
            new.content_hash,
            new.warnings_json,
            new.conversation_id.0.as_bytes(),
            new.traceparent,
            col::ms(new.received_at),
            tx.link_id
        ],
    )?;
    Ok(())
}

fn insert_filing<'b>(
    tx: &Tx<'_>,
    new: &NewDeclaration,
    filing: &NewFiling,
    packed: &mut impl Iterator<Item = &'b Packed>,
) -> Result<(), Fail> {
    tx.run(
        "INSERT INTO filings (declaration_id, filing_id, track, broker, rule, why, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            new.declaration_id.0.as_bytes(),
            filing.filing_id.0.as_bytes(),
            filing.track.as_str(),
            filing.broker,
            filing.rule,
            filing.why,
            col::ms(new.received_at)
        ],
    )?;
    if filing.waits {
        waits_for_transport(tx, new, filing)?;
    }
    let sending = Sending {
        declaration_id: new.declaration_id,
        broker: &filing.broker,
        conversation_id: new.conversation_id,
        traceparent: new.traceparent.as_deref(),
        at: new.received_at,
    };
    for ((place, message), body) in (0i64..).zip(&filing.messages).zip(packed) {
        insert_message(tx, &sending, message, body)?;
        tx.run(
            "INSERT INTO message_filings (message_id, filing_id, declaration_id, place) VALUES (?1, ?2, ?3, ?4)",
            params![message.message_id.0.as_bytes(), filing.filing_id.0.as_bytes(), new.declaration_id.0.as_bytes(), place],
        )?;
        // Only the first of a filing is due; the others become so when the one before is settled.
        tx.run(
            "INSERT INTO outbox (broker, message_id, state, due_at) VALUES (?1, ?2, 'queued', ?3)",
            params![filing.broker, message.message_id.0.as_bytes(), (place == 0).then(|| col::ms(new.received_at))],
        )?;
        tx.tally(&filing.broker, None, Some(DeliveryState::Queued));
    }
    Ok(())
}

/// A declaration that is made when its consignment closes. Looked at once at once: it may be closed already.
fn waits_for_transport(tx: &Tx<'_>, new: &NewDeclaration, filing: &NewFiling) -> Result<(), Fail> {
    intents::insert(
        tx,
        &intents::Fresh {
            declaration_id: new.declaration_id,
            filing_id: filing.filing_id,
            broker: &filing.broker,
            kind: MessageKind::Declaration,
            version: 1,
            reason: None,
            answer_id: None,
            conversation_id: new.conversation_id,
            traceparent: new.traceparent.as_deref(),
            at: new.received_at,
        },
    )
}

/// What all messages of one commit have in common.
pub(super) struct Sending<'a> {
    pub(super) declaration_id: DeclarationId,
    pub(super) broker: &'a str,
    pub(super) conversation_id: ConversationId,
    pub(super) traceparent: Option<&'a str>,
    pub(super) at: Timestamp,
}

/// Keeps a message and binds its LRN.
pub(super) fn insert_message(tx: &Tx<'_>, sending: &Sending<'_>, message: &NewMessage, body: &Packed) -> Result<(), Fail> {
    let body_id = tx.keep(body)?;
    tx.run(
        "INSERT INTO messages (message_id, broker, kind, state, content_type, body_id, body_hash, mapping, mapping_version, lrn,
                               conversation_id, traceparent, created_at, conversions, link_id)
         VALUES (?1, ?2, ?3, 'queued', ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        params![
            message.message_id.0.as_bytes(),
            sending.broker,
            message.kind.as_str(),
            message.content_type,
            body_id,
            message.body_hash,
            message.mapping,
            message.mapping_version,
            message.lrn,
            sending.conversation_id.0.as_bytes(),
            sending.traceparent,
            col::ms(sending.at),
            message.conversions,
            tx.link_id
        ],
    )?;
    audit::message(tx, sending.declaration_id, message.message_id, &message.body_hash)?;
    refs::bind(tx, sending.broker, ReferenceKind::Lrn, &message.lrn, message.message_id, sending.at)
}

pub(super) fn insert_key(
    tx: &Tx<'_>,
    post: &str,
    key: &IdempotencyKey,
    declaration: DeclarationId,
    version: u32,
    answer_id: Option<i64>,
    at: Timestamp,
) -> Result<(), Fail> {
    // An expired key that is still there makes room for its successor, which stands at the end again.
    tx.run(
        "INSERT OR REPLACE INTO keys (post, route, key, body_hash, declaration_id, version, answer_id, used_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![post, key.route, key.key, key.body_hash, declaration.0.as_bytes(), version, answer_id, col::ms(at)],
    )?;
    Ok(())
}
