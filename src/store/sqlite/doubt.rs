//! Messages in doubt at a broker that drops no repeats: it is asked whether it has them.
//!
//! A question is an intent of kind `query`; the station that renders makes it a message, which goes the way of every message
//! but holds up nobody. Its answer, or a notice that comes meanwhile, settles what it was asked about: known, then the message
//! is delivered; not known, then it is queued again with the same bytes under the same id. A question ends with its doubt.

use rusqlite::{Connection, OptionalExtension, params};

use super::col::{self, ms};
use super::intents::{self, Fresh};
use super::job::{Fail, Tx};
use super::settle::{MessageRow, leave, message};
use super::signals::Wake;
use super::{Policy, Sqlite, StoreError, notices, outbox};
use crate::domain::delivery::{DeliveryState, MessageKind};
use crate::domain::fact::Fact;
use crate::domain::ids::{ConversationId, DeclarationId, FilingId, MessageId};
use crate::domain::time::Timestamp;

impl Sqlite {
    pub(in crate::store) async fn ask(&self, id: MessageId, now: Timestamp, again_at: Timestamp) -> Result<(), StoreError> {
        self.write(0, move |tx| ask(tx, id, now, again_at)).await
    }
}

fn ask(tx: &Tx<'_>, id: MessageId, now: Timestamp, again_at: Timestamp) -> Result<(), Fail> {
    // A verdict may have settled it since the lane looked.
    if outbox::waiting(tx, id)?.is_none_or(|waiting| waiting.state != DeliveryState::InDoubt) {
        return Ok(());
    }
    tx.run(
        "UPDATE outbox SET due_at = ?2 WHERE message_id = ?1 AND broker = (SELECT broker FROM messages WHERE message_id = ?1)",
        params![id.0.as_bytes(), ms(again_at)],
    )?;
    let about = tx.row(
        "SELECT f.declaration_id, f.filing_id, f.version, m.broker, m.conversation_id, m.traceparent
         FROM message_filings f JOIN messages m ON m.message_id = f.message_id WHERE f.message_id = ?1
           AND NOT EXISTS (SELECT 1 FROM intents i WHERE i.filing_id = f.filing_id AND i.state = 'waiting' AND i.kind = 'query')
           AND NOT EXISTS (SELECT 1 FROM message_filings q JOIN messages asked ON asked.message_id = q.message_id AND asked.kind = 'query'
                           JOIN outbox o ON o.broker = asked.broker AND o.message_id = asked.message_id WHERE q.filing_id = f.filing_id)
         ORDER BY f.filing_id LIMIT 1",
        [id.0.as_bytes()],
        |row| {
            let ids = (DeclarationId(col::id(row, 0)?), FilingId(col::id(row, 1)?), ConversationId(col::id(row, 4)?));
            Ok((ids, row.get::<_, u32>(2)?, row.get::<_, String>(3)?, row.get::<_, Option<String>>(5)?))
        },
    )?;
    let Some(((declaration_id, filing_id, conversation_id), version, broker, traceparent)) = about else { return Ok(()) };
    intents::insert(
        tx,
        &Fresh {
            declaration_id,
            filing_id,
            broker: &broker,
            kind: MessageKind::Query,
            version,
            reason: None,
            answer_id: None,
            conversation_id,
            traceparent: traceparent.as_deref(),
            at: now,
        },
    )
}

/// What a query is about: the message of its filing that is in doubt, else the newest.
pub(super) fn asked_about(tx: &Tx<'_>, query: MessageId) -> Result<Option<MessageId>, Fail> {
    Ok(tx.row(
        "SELECT m.message_id FROM message_filings q
         JOIN message_filings f ON f.filing_id = q.filing_id
         JOIN messages m ON m.message_id = f.message_id AND m.kind <> 'query'
         LEFT JOIN outbox o ON o.broker = m.broker AND o.message_id = m.message_id AND o.state = 'in_doubt'
         WHERE q.message_id = ?1 ORDER BY o.message_id IS NULL, f.place DESC LIMIT 1",
        [query.0.as_bytes()],
        |row| col::id(row, 0).map(MessageId),
    )?)
}

/// The LRN of what a query of a filing is about.
pub(super) fn lrn_in_doubt(conn: &Connection, filing: FilingId) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT m.lrn FROM message_filings f
               JOIN messages m ON m.message_id = f.message_id AND m.kind <> 'query'
               LEFT JOIN outbox o ON o.broker = m.broker AND o.message_id = m.message_id AND o.state = 'in_doubt'
               WHERE f.filing_id = ?1 ORDER BY o.message_id IS NULL, f.place DESC LIMIT 1";
    conn.prepare_cached(sql)?.query_row([filing.0.as_bytes()], |row| row.get(0)).optional()
}

/// The answer to a query: what each fact is about is found by what it names, else it is what was asked about.
pub(super) fn answered(tx: &Tx<'_>, policy: &Policy, query: &MessageRow, facts: &[Fact], at: Timestamp) -> Result<bool, Fail> {
    let mut changed = false;
    for fact in facts {
        let target = notices::named(tx, &query.broker, fact)?.unwrap_or(query.message_id);
        changed |= notices::apply_one(tx, policy, target, fact, at)?;
    }
    Ok(changed)
}

/// The broker says that it does not have a message: what was in doubt goes again. Whether this changed anything.
pub(super) fn unknown_there(tx: &Tx<'_>, row: &MessageRow, at: Timestamp) -> Result<bool, Fail> {
    let moved = tx.run(
        "UPDATE outbox SET state = 'queued', due_at = ?3 WHERE broker = ?1 AND message_id = ?2 AND state = 'in_doubt'",
        params![row.broker, row.message_id.0.as_bytes(), ms(at)],
    )?;
    if moved == 0 {
        return Ok(false);
    }
    tx.tally(&row.broker, Some(DeliveryState::InDoubt), Some(DeliveryState::Queued));
    tx.wake(Wake::OUTBOX);
    end_queries(tx, row, at)?;
    intents::look_by_message(tx, row.message_id)?;
    Ok(true)
}

/// The doubt is over: what would ask about it is not sent any more.
pub(super) fn end_queries(tx: &Tx<'_>, row: &MessageRow, at: Timestamp) -> Result<(), Fail> {
    let ended = tx.run(
        "UPDATE intents SET state = 'withdrawn', look_at = NULL, settled_at = ?2 WHERE state = 'waiting' AND kind = 'query'
           AND filing_id IN (SELECT filing_id FROM message_filings WHERE message_id = ?1)",
        params![row.message_id.0.as_bytes(), ms(at)],
    )?;
    for _ in 0..ended {
        tx.tally(&row.broker, Some(DeliveryState::Waiting), None);
    }
    let queries = tx.rows(
        "SELECT m.message_id FROM message_filings f JOIN message_filings q ON q.filing_id = f.filing_id
         JOIN messages m ON m.message_id = q.message_id AND m.kind = 'query'
         JOIN outbox o ON o.broker = m.broker AND o.message_id = m.message_id AND o.state <> 'sending'
         WHERE f.message_id = ?1",
        [row.message_id.0.as_bytes()],
        |row| col::id(row, 0).map(MessageId),
    )?;
    for query in queries {
        let (row, waiting) = (message(tx, query)?, outbox::waiting(tx, query)?);
        let attempts = waiting.as_ref().map_or(row.attempts, |waiting| waiting.attempts);
        leave(tx, &row, waiting.as_ref(), DeliveryState::Withdrawn, None, attempts, at)?;
    }
    Ok(())
}
