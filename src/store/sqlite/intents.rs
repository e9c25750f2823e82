//! Intents: kept when a post wants something, looked at when something of their filing changed (ADR 0006).
//!
//! Only the first waiting intent of a filing is ever carried out. What a filing changes sets `look_at`, in the same
//! transaction; the look itself decides nothing that the commit of [`super::prepared`] does not decide again.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::accept::{insert_key, known_key};
use super::col::{self, ms};
use super::events::state;
use super::job::{Fail, Tx};
use super::pack::pack;
use super::signals::Wake;
use super::{Sqlite, StoreError, audit};
use crate::domain::delivery::{DeadReason, DeliveryState, MessageKind};
use crate::domain::fact::Track;
use crate::domain::ids::{ConversationId, DeclarationId, FilingId, IntentId, MessageId, S10};
use crate::domain::intent::{Sent, Standing};
use crate::domain::time::Timestamp;
use crate::store::intents::{IntentRow, IntentView, NewIntent, Wanted};

impl Sqlite {
    pub(in crate::store) async fn want(&self, new: NewIntent) -> Result<Wanted, StoreError> {
        let bytes = new.answer.len() + new.amended.as_ref().map_or(0, |amended| amended.body.len());
        self.take_in(bytes, move |tx| want(tx, &new)).await
    }

    pub(in crate::store) async fn find_wanted(
        &self,
        declaration: DeclarationId,
        amended: Option<[u8; 32]>,
    ) -> Result<Option<bytes::Bytes>, StoreError> {
        self.read(move |conn| match amended {
            Some(hash) => Ok(same_version(conn, declaration, &hash)?),
            None => Ok(open_cancellation(conn, declaration)?),
        })
        .await
    }

    pub(in crate::store) async fn intents_due(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<(IntentId, Option<IntentRow>)>, StoreError> {
        self.read(move |conn| {
            let mut statement = conn.prepare_cached(
                "SELECT intent_id FROM intents WHERE state = 'waiting' AND look_at <= ?1 ORDER BY look_at, intent_id LIMIT ?2",
            )?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let ids: Vec<IntentId> =
                statement.query_map(params![ms(now), limit], |row| col::id(row, 0).map(IntentId))?.collect::<Result<_, _>>()?;
            let mut rows = Vec::with_capacity(ids.len());
            for id in ids {
                let row = intent_row(conn, id).unwrap_or_else(|fail| {
                    tracing::error!(intent_id = %id, ?fail, "an intent cannot be read");
                    None
                });
                rows.push((id, row));
            }
            Ok(rows)
        })
        .await
    }

    pub(in crate::store) async fn rest_intent(&self, id: IntentId, until: Timestamp) -> Result<(), StoreError> {
        self.write(0, move |tx| {
            tx.run("UPDATE intents SET look_at = ?2 WHERE intent_id = ?1 AND state = 'waiting'", params![id.0.as_bytes(), ms(until)])?;
            Ok(())
        })
        .await
    }

    pub(in crate::store) async fn next_intent(&self) -> Result<Option<Timestamp>, StoreError> {
        self.read(|conn| {
            let sql = "SELECT min(look_at) FROM intents WHERE state = 'waiting' AND look_at IS NOT NULL";
            Ok(conn.prepare_cached(sql)?.query_row([], |row| col::maybe_at(row, 0))?)
        })
        .await
    }
}

/// Something of this filing changed: its waiting intents are looked at.
pub(super) fn look(tx: &Tx<'_>, filing: FilingId) -> Result<(), Fail> {
    if tx.run("UPDATE intents SET look_at = 0, looks = looks + 1 WHERE filing_id = ?1 AND state = 'waiting'", [filing.0.as_bytes()])? > 0 {
        tx.wake(Wake::INTENTS);
    }
    Ok(())
}

/// The same for every filing of a message.
pub(super) fn look_by_message(tx: &Tx<'_>, message: MessageId) -> Result<(), Fail> {
    let sql = "UPDATE intents SET look_at = 0, looks = looks + 1 WHERE state = 'waiting' AND filing_id IN (SELECT filing_id FROM message_filings WHERE message_id = ?1)";
    if tx.run(sql, [message.0.as_bytes()])? > 0 {
        tx.wake(Wake::INTENTS);
    }
    Ok(())
}

/// What an intent row says of itself when it is made.
pub(super) struct Fresh<'a> {
    pub(super) declaration_id: DeclarationId,
    pub(super) filing_id: FilingId,
    pub(super) broker: &'a str,
    pub(super) kind: MessageKind,
    pub(super) version: u32,
    pub(super) reason: Option<(&'a str, Option<&'a str>)>,
    pub(super) answer_id: Option<i64>,
    pub(super) conversation_id: ConversationId,
    pub(super) traceparent: Option<&'a str>,
    pub(super) at: Timestamp,
}

/// Keeps an intent; it is looked at at once.
pub(super) fn insert(tx: &Tx<'_>, new: &Fresh<'_>) -> Result<(), Fail> {
    tx.run(
        "INSERT INTO intents (intent_id, declaration_id, filing_id, broker, kind, version, reason_code, reason_text, answer_id,
                              conversation_id, traceparent, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        params![
            IntentId::new().0.as_bytes(),
            new.declaration_id.0.as_bytes(),
            new.filing_id.0.as_bytes(),
            new.broker,
            new.kind.as_str(),
            new.version,
            new.reason.map(|(code, _)| code),
            new.reason.and_then(|(_, text)| text),
            new.answer_id,
            new.conversation_id.0.as_bytes(),
            new.traceparent,
            ms(new.at)
        ],
    )?;
    tx.tally(new.broker, None, Some(DeliveryState::Waiting));
    tx.wake(Wake::INTENTS);
    Ok(())
}

fn want(tx: &Tx<'_>, new: &NewIntent) -> Result<Wanted, Fail> {
    if let Some(key) = &new.key
        && let Some(known) = known_key(tx.conn, &new.post, key, new.received_at)?
    {
        return Ok(match known {
            crate::store::Accepted::Replay(answer) => Wanted::Replay(answer),
            _ => Wanted::KeyReused,
        });
    }
    let sql = "SELECT version FROM declarations WHERE declaration_id = ?1 AND post = ?2";
    let version: Option<u32> = tx.row(sql, params![new.declaration_id.0.as_bytes(), new.post], |row| row.get(0))?;
    if version != Some(new.version) {
        return Ok(Wanted::Changed);
    }
    let repeated = match &new.amended {
        Some(amended) => same_version(tx.conn, new.declaration_id, &amended.content_hash)?,
        None => open_cancellation(tx.conn, new.declaration_id)?,
    };
    if let Some(answer) = repeated {
        return Ok(Wanted::Replay(answer));
    }
    let answer_id = tx.keep(&pack(&new.answer))?;
    let version = if new.amended.is_some() { insert_version(tx, new, answer_id)? } else { new.version };
    for (filing, broker) in &new.filings {
        want_of_filing(tx, new, *filing, broker, version, answer_id)?;
    }
    if let Some(key) = &new.key {
        insert_key(tx, &new.post, key, new.declaration_id, version, Some(answer_id), new.received_at)?;
    }
    Ok(Wanted::Stored)
}

fn want_of_filing(tx: &Tx<'_>, new: &NewIntent, filing: FilingId, broker: &str, version: u32, answer_id: i64) -> Result<(), Fail> {
    if new.kind == MessageKind::Amendment {
        // A declaration that still waits for its consignment is made from the newest version when it comes.
        let sql = "UPDATE intents SET version = ?2, look_at = 0, looks = looks + 1 WHERE filing_id = ?1 AND state = 'waiting' AND kind = 'declaration'";
        if tx.run(sql, params![filing.0.as_bytes(), version])? > 0 {
            tx.wake(Wake::INTENTS);
            return Ok(());
        }
    } else {
        // What waits for a consignment or a mapping is not waited for, when it is to be cancelled.
        let sql = "UPDATE intents SET state = 'withdrawn', look_at = NULL, settled_at = ?2 WHERE filing_id = ?1 AND state = 'waiting'
                     AND (kind = 'declaration' OR (kind = 'amendment' AND why IN ('transport', 'mapping')))";
        for _ in 0..tx.run(sql, params![filing.0.as_bytes(), ms(new.received_at)])? {
            tx.tally(broker, Some(DeliveryState::Waiting), None);
        }
    }
    insert(
        tx,
        &Fresh {
            declaration_id: new.declaration_id,
            filing_id: filing,
            broker,
            kind: new.kind,
            version,
            reason: Some((new.reason.code.as_str(), new.reason.text.as_deref())),
            answer_id: (new.kind == MessageKind::Cancellation).then_some(answer_id),
            conversation_id: new.conversation_id,
            traceparent: new.traceparent.as_deref(),
            at: new.received_at,
        },
    )
}

fn insert_version(tx: &Tx<'_>, new: &NewIntent, answer_id: i64) -> Result<u32, Fail> {
    let Some(amended) = &new.amended else { return Ok(new.version) };
    let body_id = tx.keep(&pack(&amended.body))?;
    let version = new.version + 1;
    audit::version(tx, new.declaration_id, version, &amended.body)?;
    tx.run(
        "INSERT INTO versions (declaration_id, version, body_id, answer_id, content_hash, warnings, conversation_id, traceparent,
                               received_at, reason_code, reason_text, link_id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        params![
            new.declaration_id.0.as_bytes(),
            version,
            body_id,
            answer_id,
            amended.content_hash,
            amended.warnings_json,
            new.conversation_id.0.as_bytes(),
            new.traceparent,
            ms(new.received_at),
            new.reason.code.as_str(),
            new.reason.text,
            tx.link_id
        ],
    )?;
    tx.run("UPDATE declarations SET version = ?2 WHERE declaration_id = ?1", params![new.declaration_id.0.as_bytes(), version])?;
    Ok(version)
}

/// The answer to the newest version, when its content is this.
fn same_version(conn: &Connection, declaration: DeclarationId, hash: &[u8; 32]) -> rusqlite::Result<Option<bytes::Bytes>> {
    let sql = "SELECT b.size, b.bytes FROM declarations d
               JOIN versions v ON v.declaration_id = d.declaration_id AND v.version = d.version
               JOIN bodies b ON b.body_id = v.answer_id WHERE d.declaration_id = ?1 AND v.content_hash = ?2";
    conn.prepare_cached(sql)?.query_row(params![declaration.0.as_bytes(), hash], |row| col::body(row, 0)).optional()
}

/// The answer to a cancellation that waits, is unanswered, or came to pass; one that was refused is over.
fn open_cancellation(conn: &Connection, declaration: DeclarationId) -> rusqlite::Result<Option<bytes::Bytes>> {
    let sql = "SELECT b.size, b.bytes FROM intents i JOIN bodies b ON b.body_id = i.answer_id
               JOIN filings f ON f.declaration_id = i.declaration_id AND f.filing_id = i.filing_id
               WHERE i.declaration_id = ?1 AND i.kind = 'cancellation'
                 AND (i.state = 'waiting' OR (i.state = 'prepared' AND (f.status = 'cancelled'
                      OR EXISTS (SELECT 1 FROM json_each(f.state, '$.unanswered') WHERE value = 'cancellation'))))
               ORDER BY i.intent_id DESC LIMIT 1";
    conn.prepare_cached(sql)?.query_row([declaration.0.as_bytes()], |row| col::body(row, 0)).optional()
}

fn intent_row(conn: &Connection, id: IntentId) -> Result<Option<IntentRow>, Fail> {
    let sql = "SELECT i.kind, d.post, i.declaration_id, i.filing_id, f.track, i.broker, d.item_id, d.posted_on, i.version, b.size, b.bytes,
                      i.reason_code, i.reason_text, i.conversation_id, i.traceparent, i.looks
               FROM intents i
               JOIN declarations d ON d.declaration_id = i.declaration_id
               JOIN filings f ON f.declaration_id = i.declaration_id AND f.filing_id = i.filing_id
               JOIN versions v ON v.declaration_id = i.declaration_id AND v.version = i.version
               JOIN bodies b ON b.body_id = v.body_id
               WHERE i.intent_id = ?1";
    let found = conn.prepare_cached(sql)?.query_row([id.0.as_bytes()], |row| bare_row(row, id)).optional()?;
    let Some(mut row) = found else { return Ok(None) };
    row.standing = standing(conn, row.declaration_id, row.filing_id)?.ok_or(Fail::Fault("an intent has no filing"))?;
    row.is_behind = !matches!(row.kind, MessageKind::Query | MessageKind::Presentation) && is_behind(conn, row.filing_id, id)?;
    row.previous = previous(conn, &row)?;
    row.mrn = row.standing.state.mrn.clone().or(known_mrn(conn, row.filing_id)?);
    row.transport = super::consignments::transport_of(conn, &row.post, row.item_id, row.posted_on)?;
    if row.kind == MessageKind::Query {
        row.about = super::doubt::lrn_in_doubt(conn, row.filing_id)?;
    }
    let sql = "SELECT 1 + coalesce(max(lrn_used), 0) FROM declarations WHERE item_id = ?1 AND posted_on = ?2";
    let item = params![row.item_id.as_str(), row.posted_on.to_string()];
    row.next_lrn = conn.prepare_cached(sql)?.query_row(item, |row| row.get(0))?;
    Ok(Some(row))
}

fn bare_row(row: &Row<'_>, intent_id: IntentId) -> rusqlite::Result<IntentRow> {
    let track = col::word(row, 4, Track::parse)?;
    let code: Option<String> = row.get(11)?;
    let text: Option<String> = row.get(12)?;
    Ok(IntentRow {
        intent_id,
        kind: col::word(row, 0, MessageKind::parse)?,
        post: row.get(1)?,
        declaration_id: DeclarationId(col::id(row, 2)?),
        filing_id: FilingId(col::id(row, 3)?),
        track,
        broker: row.get(5)?,
        item_id: col::word(row, 6, S10::parse)?,
        posted_on: col::date(row, 7)?,
        version: row.get(8)?,
        body: col::body(row, 9)?,
        previous: None,
        transport: None,
        reason: code.map(|code| (code, text)),
        mrn: None,
        about: None,
        standing: Standing { messages: Vec::new(), state: crate::domain::merge::FilingState::new(track, Timestamp::UNIX_EPOCH) },
        is_behind: false,
        next_lrn: 1,
        conversation_id: ConversationId(col::id(row, 13)?),
        traceparent: row.get(14)?,
        looks: row.get(15)?,
    })
}

/// Where a filing stands; none when it is unknown.
pub(super) fn standing(conn: &Connection, declaration: DeclarationId, filing: FilingId) -> Result<Option<Standing>, Fail> {
    let sql = "SELECT track, created_at, state FROM filings WHERE declaration_id = ?1 AND filing_id = ?2";
    let found = conn
        .prepare_cached(sql)?
        .query_row(params![declaration.0.as_bytes(), filing.0.as_bytes()], |row| {
            let track = col::word(row, 0, Track::parse)?;
            let created_at = col::at(row, 1)?;
            state(row, 2, track, created_at)
        })
        .optional()?;
    let Some(state) = found else { return Ok(None) };
    Ok(Some(Standing { messages: messages_of(conn, filing)?, state }))
}

/// The messages of a filing's present cycle in order, without status queries: a corrected declaration starts over.
pub(super) fn messages_of(conn: &Connection, filing: FilingId) -> rusqlite::Result<Vec<Sent>> {
    conn.prepare_cached(
        "SELECT m.kind, coalesce(o.state, m.state), m.reason, m.settled_at FROM message_filings f
         JOIN messages m ON m.message_id = f.message_id
         LEFT JOIN outbox o ON o.broker = m.broker AND o.message_id = m.message_id
         WHERE f.filing_id = ?1 AND m.kind <> 'query' AND f.cycle = (SELECT max(cycle) FROM message_filings WHERE filing_id = ?1)
         ORDER BY f.place",
    )?
    .query_map([filing.0.as_bytes()], |row| {
        Ok(Sent {
            kind: col::word(row, 0, MessageKind::parse)?,
            state: col::word(row, 1, DeliveryState::parse)?,
            reason: row.get::<_, Option<String>>(2)?.and_then(|word| DeadReason::parse(&word)),
            settled_at: col::maybe_at(row, 3)?,
        })
    })?
    .collect()
}

/// What a declaration waits for that is no message yet; none when it does not.
pub(super) fn declaration_waits(conn: &Connection, filing: FilingId) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT coalesce(why, 'transport') FROM intents WHERE filing_id = ?1 AND state = 'waiting' AND kind = 'declaration' LIMIT 1";
    conn.prepare_cached(sql)?.query_row([filing.0.as_bytes()], |row| row.get(0)).optional()
}

/// A question and a presentation hold up nobody: they may wait for what stands behind them.
fn is_behind(conn: &Connection, filing: FilingId, intent: IntentId) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM intents WHERE filing_id = ?1 AND state = 'waiting' AND kind NOT IN ('query', 'presentation') AND intent_id < ?2 LIMIT 1";
    Ok(conn.prepare_cached(sql)?.query_row(params![filing.0.as_bytes(), intent.0.as_bytes()], |_| Ok(())).optional()?.is_some())
}

/// The version that the broker has: that of the last message it took and customs did not reject.
fn previous(conn: &Connection, row: &IntentRow) -> rusqlite::Result<Option<bytes::Bytes>> {
    let sql = "SELECT b.size, b.bytes FROM message_filings f
               JOIN messages m ON m.message_id = f.message_id
               JOIN versions v ON v.declaration_id = f.declaration_id AND v.version = f.version
               JOIN bodies b ON b.body_id = v.body_id
               WHERE f.filing_id = ?1 AND m.state = 'delivered' AND m.kind IN ('declaration', 'amendment') AND m.reason IS NULL
               ORDER BY f.place DESC LIMIT 1";
    conn.prepare_cached(sql)?.query_row([row.filing_id.0.as_bytes()], |row| col::body(row, 0)).optional()
}

fn known_mrn(conn: &Connection, filing: FilingId) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT r.value FROM message_filings f JOIN refs r ON r.message_id = f.message_id AND r.kind <> 'lrn'
               WHERE f.filing_id = ?1 AND r.kind = 'mrn' AND f.cycle = (SELECT max(cycle) FROM message_filings WHERE filing_id = ?1) ORDER BY f.place DESC LIMIT 1";
    conn.prepare_cached(sql)?.query_row([filing.0.as_bytes()], |row| row.get(0)).optional()
}

/// Intents of a declaration, oldest first.
pub(super) fn of_declaration(conn: &Connection, id: DeclarationId) -> rusqlite::Result<Vec<IntentView>> {
    conn.prepare_cached(
        "SELECT filing_id, kind, version, state, why, created_at, settled_at FROM intents WHERE declaration_id = ?1 AND kind <> 'query'
         ORDER BY intent_id LIMIT 1000",
    )?
    .query_map([id.0.as_bytes()], |row| {
        Ok(IntentView {
            filing_id: FilingId(col::id(row, 0)?),
            kind: col::word(row, 1, MessageKind::parse)?,
            version: row.get(2)?,
            state: row.get(3)?,
            why: row.get(4)?,
            created_at: col::at(row, 5)?,
            settled_at: col::maybe_at(row, 6)?,
        })
    })?
    .collect()
}
