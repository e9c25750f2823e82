//! What waits to be sent: the lane asks what is due, says that it begins, and is told what a crash left.
//!
//! `outbox` holds exactly the messages that are not settled. Only the first unsettled message of a
//! filing has a due time, so that looking for work never walks over what has to wait, and a dead
//! message at the head of one filing costs the others nothing.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, params};

use super::col::{self, ms};
use super::job::{Fail, Tx};
use super::settle::message as message_row;
use super::signals::Wake;
use super::{Sqlite, StoreError, events, replay};
use crate::domain::delivery::{DeliveryState, MessageKind};
use crate::domain::ids::{ConversationId, MessageId};
use crate::domain::time::Timestamp;
use crate::store::types::OutboxRow;

/// Bodies that one look may bring along; the rest comes with the next look.
const MAX_DUE_BYTES: usize = 16 * 1024 * 1024;
/// Messages taken over from a crash with one job.
const RECOVER_STEP: i64 = 200;

/// The live part of an unsettled message.
pub(super) struct Waiting {
    pub(super) broker: String,
    pub(super) state: DeliveryState,
    pub(super) was: Option<DeliveryState>,
    pub(super) begun_at: Option<Timestamp>,
    pub(super) attempts: u32,
}

impl Sqlite {
    pub(in crate::store) async fn due(
        &self,
        broker: String,
        now: Timestamp,
        busy: HashSet<MessageId>,
        limit: usize,
    ) -> Result<Vec<OutboxRow>, StoreError> {
        self.read(move |conn| Ok(due(conn, &broker, now, &busy, limit)?)).await
    }

    pub(in crate::store) async fn next_due(&self, broker: String) -> Result<Option<Timestamp>, StoreError> {
        self.read(move |conn| {
            let sql = "SELECT due_at FROM outbox WHERE broker = ?1 AND due_at IS NOT NULL AND state IN ('queued', 'in_doubt')
                       ORDER BY due_at LIMIT 1";
            Ok(conn.prepare_cached(sql)?.query_row([broker], |row| col::at(row, 0)).optional()?)
        })
        .await
    }

    pub(in crate::store) async fn hasten(&self, broker: String, now: Timestamp) -> Result<(), StoreError> {
        self.write(0, move |tx| {
            tx.run(
                "UPDATE outbox SET due_at = ?2 WHERE broker = ?1 AND due_at > ?2 AND state IN ('queued', 'in_doubt')",
                params![broker, ms(now)],
            )?;
            tx.wake(Wake::OUTBOX);
            Ok(())
        })
        .await
    }

    pub(in crate::store) async fn begin_attempt(&self, message: MessageId, now: Timestamp) -> Result<Option<u32>, StoreError> {
        self.write(0, move |tx| {
            // A verdict may have settled it since the lane looked.
            let due = |w: &Waiting| matches!(w.state, DeliveryState::Queued | DeliveryState::InDoubt);
            let Some(waiting) = waiting(tx, message)?.filter(due) else { return Ok(None) };
            let row = message_row(tx, message)?;
            if waiting.state == DeliveryState::Queued && events::is_pointless(tx, &row)? {
                // It ended, or was rejected, while this waited: what was wanted is decided anew.
                replay::make_anew(tx, &row, Some(&waiting), now)?;
                return Ok(None);
            }
            // An earlier message of its filing may live again since then.
            let begun = tx.run(
                "UPDATE outbox SET was = state, state = 'sending', begun_at = ?3
                 WHERE broker = ?1 AND message_id = ?2 AND due_at IS NOT NULL",
                params![waiting.broker, message.0.as_bytes(), ms(now)],
            )?;
            if begun == 0 {
                return Ok(None);
            }
            tx.tally(&waiting.broker, Some(waiting.state), Some(DeliveryState::Sending));
            events::expect_answer(tx, &row, true)?;
            Ok(Some(waiting.attempts + 1))
        })
        .await
    }

    pub(in crate::store) async fn release(&self, message: MessageId) -> Result<(), StoreError> {
        self.write(0, move |tx| {
            // A verdict may have settled it meanwhile: then there is nothing to undo.
            let Some(waiting) = waiting(tx, message)?.filter(|w| w.state == DeliveryState::Sending) else { return Ok(()) };
            let back = waiting.was.unwrap_or(DeliveryState::Queued);
            tx.run(
                "UPDATE outbox SET state = ?3, was = NULL, begun_at = NULL WHERE broker = ?1 AND message_id = ?2",
                params![waiting.broker, message.0.as_bytes(), back.as_str()],
            )?;
            tx.tally(&waiting.broker, Some(DeliveryState::Sending), Some(back));
            tx.wake(Wake::OUTBOX);
            if back == DeliveryState::Queued {
                events::expect_answer(tx, &message_row(tx, message)?, false)?;
            }
            super::intents::look_by_message(tx, message)
        })
        .await
    }

    pub(in crate::store) async fn recover(&self, now: Timestamp) -> Result<usize, StoreError> {
        let mut total = 0;
        loop {
            let taken = self.write(0, move |tx| recover(tx, now)).await?;
            total += taken;
            if taken == 0 {
                return Ok(total);
            }
        }
    }
}

fn due(conn: &Connection, broker: &str, now: Timestamp, busy: &HashSet<MessageId>, limit: usize) -> rusqlite::Result<Vec<OutboxRow>> {
    let mut ids = conn.prepare_cached(
        "SELECT message_id FROM outbox WHERE broker = ?1 AND due_at <= ?2 AND state IN ('queued', 'in_doubt') ORDER BY due_at, message_id",
    )?;
    let mut rows = ids.query(params![broker, ms(now)])?;
    let (mut found, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        if found.len() >= limit || bytes >= MAX_DUE_BYTES {
            break;
        }
        let message = MessageId(col::id(row, 0)?);
        if !busy.contains(&message) {
            let row = outbox_row(conn, broker, message)?;
            bytes += row.body.len();
            found.push(row);
        }
    }
    Ok(found)
}

fn outbox_row(conn: &Connection, broker: &str, message: MessageId) -> rusqlite::Result<OutboxRow> {
    let sql = "SELECT m.kind, o.state, b.size, b.bytes, m.content_type, m.mapping, m.conversation_id, m.traceparent, o.attempts, o.first_attempt_at
               FROM outbox o JOIN messages m ON m.message_id = o.message_id JOIN bodies b ON b.body_id = m.body_id
               WHERE o.broker = ?1 AND o.message_id = ?2";
    conn.prepare_cached(sql)?.query_row(params![broker, message.0.as_bytes()], |row| {
        Ok(OutboxRow {
            message_id: message,
            kind: col::word(row, 0, MessageKind::parse)?,
            state: col::word(row, 1, DeliveryState::parse)?,
            body: col::body(row, 2)?,
            content_type: row.get(4)?,
            mapping: row.get(5)?,
            conversation_id: ConversationId(col::id(row, 6)?),
            traceparent: row.get(7)?,
            attempts: row.get(8)?,
            first_attempt_at: col::maybe_at(row, 9)?,
        })
    })
}

/// The live part of a message; `None` when it is settled or unknown.
pub(super) fn waiting(tx: &Tx<'_>, message: MessageId) -> rusqlite::Result<Option<Waiting>> {
    tx.row(
        "SELECT o.broker, o.state, o.was, o.begun_at, o.attempts
         FROM messages m JOIN outbox o ON o.broker = m.broker AND o.message_id = m.message_id WHERE m.message_id = ?1",
        [message.0.as_bytes()],
        |row| {
            Ok(Waiting {
                broker: row.get(0)?,
                state: col::word(row, 1, DeliveryState::parse)?,
                was: row.get::<_, Option<String>>(2)?.and_then(|word| DeliveryState::parse(&word)),
                begun_at: col::maybe_at(row, 3)?,
                attempts: row.get(4)?,
            })
        },
    )
}

/// What was being sent when the process died may have arrived: it is in doubt, and the attempt counts.
fn recover(tx: &Tx<'_>, now: Timestamp) -> Result<usize, Fail> {
    let sending =
        tx.rows("SELECT broker, message_id FROM outbox WHERE state = 'sending' AND state <> 'queued' LIMIT ?1", [RECOVER_STEP], |row| {
            Ok((row.get::<_, String>(0)?, MessageId(col::id(row, 1)?)))
        })?;
    for (broker, message) in &sending {
        tx.run(
            "INSERT INTO attempts (message_id, number, started_at, finished_at, outcome, spent)
             SELECT ?2, 1 + (SELECT count(*) FROM attempts WHERE message_id = ?2), coalesce(begun_at, ?3), ?3, 'interrupted', 1
             FROM outbox WHERE broker = ?1 AND message_id = ?2",
            params![broker, message.0.as_bytes(), ms(now)],
        )?;
        tx.run(
            "UPDATE outbox SET state = 'in_doubt', was = NULL, begun_at = NULL, due_at = ?3, attempts = attempts + 1,
                               first_attempt_at = coalesce(first_attempt_at, begun_at, ?3)
             WHERE broker = ?1 AND message_id = ?2",
            params![broker, message.0.as_bytes(), ms(now)],
        )?;
        tx.tally(broker, Some(DeliveryState::Sending), Some(DeliveryState::InDoubt));
        tx.wake(Wake::OUTBOX);
    }
    Ok(sending.len())
}

/// After a message left the way, the next of its filings is due, if it is first in all it covers.
pub(super) fn wake_followers(tx: &Tx<'_>, message: MessageId, now: Timestamp) -> Result<(), Fail> {
    let followers = tx.rows(
        "SELECT (SELECT later.message_id FROM message_filings later JOIN messages m ON m.message_id = later.message_id
                 WHERE later.filing_id = own.filing_id AND later.place > own.place AND m.kind <> 'query'
                   AND m.state NOT IN ('delivered', 'withdrawn')
                 ORDER BY later.place LIMIT 1)
         FROM message_filings own WHERE own.message_id = ?1",
        [message.0.as_bytes()],
        |row| row.get::<_, Option<[u8; 16]>>(0),
    )?;
    for follower in followers.into_iter().flatten() {
        // `messages.state` says `queued` for everything unsettled, and a dead message blocks what comes after it. So does a
        // declaration that is to be made anew: it takes the place of what waits.
        let woken = tx.run(
            "UPDATE outbox SET due_at = ?2
             WHERE message_id = ?1 AND due_at IS NULL AND broker = (SELECT broker FROM messages WHERE message_id = ?1)
               AND NOT EXISTS (
                 SELECT 1 FROM message_filings own
                 JOIN message_filings earlier ON earlier.filing_id = own.filing_id AND earlier.place < own.place
                 JOIN messages m ON m.message_id = earlier.message_id
                 WHERE own.message_id = ?1 AND m.kind <> 'query' AND m.state NOT IN ('delivered', 'withdrawn'))
               AND NOT EXISTS (
                 SELECT 1 FROM message_filings own JOIN intents i ON i.filing_id = own.filing_id
                 WHERE own.message_id = ?1 AND i.state = 'waiting' AND i.kind = 'declaration')",
            params![follower, ms(now)],
        )?;
        if woken > 0 {
            tx.wake(Wake::OUTBOX);
        }
    }
    Ok(())
}
