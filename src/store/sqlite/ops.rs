//! What operators see and do: backlog with its age, dead letters, parked notices, pauses, health.
//!
//! Counts are kept as they change, so that a look costs the same with ten messages or ten million.
//! Lists carry ids, states and codes; no value of a declaration but the item's id, no text of a broker.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, params};

use super::col::{self, ms};
use super::signals::Wake;
use super::{Sqlite, StoreError};
use crate::domain::delivery::{DeadReason, DeliveryState, MessageKind};
use crate::domain::ids::{DeclarationId, MessageId, NoticeId};
use crate::domain::time::{Timestamp, rfc3339};
use crate::store::told::{BacklogRow, DeadLetter, DeadLetterFilter, ParkedNotice, Pause};
use crate::store::types::NoticeResult;

impl Sqlite {
    pub(in crate::store) async fn backlog(&self) -> Result<Vec<BacklogRow>, StoreError> {
        self.read(|conn| {
            let tallies: Vec<(String, DeliveryState, u64)> = conn
                .prepare_cached("SELECT broker, state, count FROM tallies WHERE count > 0 ORDER BY broker, state")?
                .query_map([], |row| Ok((row.get(0)?, col::word(row, 1, DeliveryState::parse)?, col::count(row, 2)?)))?
                .collect::<Result<_, _>>()?;
            let with_age = |(broker, state, count): (String, DeliveryState, u64)| {
                let oldest_at = oldest(conn, &broker, state)?;
                Ok(BacklogRow { broker, state, count, oldest_at })
            };
            Ok(tallies.into_iter().map(with_age).collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    pub(in crate::store) async fn dead_letters(&self, filter: DeadLetterFilter) -> Result<Vec<DeadLetter>, StoreError> {
        self.read(move |conn| {
            let mut statement = conn.prepare_cached(
                "SELECT m.message_id, m.broker, d.post, d.declaration_id, d.item_id, m.kind, m.reason, m.settled_at, m.attempts,
                        (SELECT http_status FROM attempts a WHERE a.message_id = m.message_id ORDER BY number DESC LIMIT 1),
                        (SELECT outcome FROM attempts a WHERE a.message_id = m.message_id ORDER BY number DESC LIMIT 1),
                        m.mapping, m.mapping_version
                 FROM messages m
                 JOIN declarations d ON d.declaration_id =
                      (SELECT f.declaration_id FROM message_filings f WHERE f.message_id = m.message_id ORDER BY f.filing_id LIMIT 1)
                 WHERE m.state = 'dead' AND (?1 IS NULL OR m.broker = ?1) AND (?2 IS NULL OR m.reason = ?2) AND (?3 IS NULL OR d.post = ?3)
                 ORDER BY m.settled_at DESC LIMIT ?4",
            )?;
            let reason = filter.reason.map(DeadReason::as_str);
            let rows = statement.query_map(params![filter.broker, reason, filter.post, i64::from(filter.limit)], |row| {
                Ok(DeadLetter {
                    message_id: MessageId(col::id(row, 0)?),
                    broker: row.get(1)?,
                    post: row.get(2)?,
                    declaration_id: DeclarationId(col::id(row, 3)?),
                    item_id: row.get(4)?,
                    kind: col::word(row, 5, MessageKind::parse)?,
                    reason: col::word(row, 6, DeadReason::parse)?,
                    since: col::at(row, 7)?,
                    attempts: row.get(8)?,
                    last_status: row.get(9)?,
                    last_outcome: row.get(10)?,
                    mapping: row.get(11)?,
                    mapping_version: row.get(12)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    pub(in crate::store) async fn parked_notices(&self, state: Option<NoticeResult>, limit: u32) -> Result<Vec<ParkedNotice>, StoreError> {
        self.read(move |conn| {
            let mut statement = conn.prepare_cached(
                "SELECT notice_id, broker, state, reason, received_at, size, body_hash, mapping_version FROM notices
                 WHERE state NOT IN ('new', 'applied', 'recorded') AND (?1 IS NULL OR state = ?1) ORDER BY received_at DESC LIMIT ?2",
            )?;
            let rows = statement.query_map(params![state.map(NoticeResult::as_str), limit], |row| {
                Ok(ParkedNotice {
                    notice_id: NoticeId(col::id(row, 0)?),
                    broker: row.get(1)?,
                    state: row.get(2)?,
                    reason: row.get(3)?,
                    received_at: rfc3339(col::at(row, 4)?),
                    size: col::count(row, 5)?,
                    sha256: hex(&row.get::<_, [u8; 32]>(6)?),
                    mapping_version: row.get(7)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    pub(in crate::store) async fn pause(&self, broker: String, reason: Option<String>) -> Result<(), StoreError> {
        let now = self.now();
        self.write(0, move |tx| {
            tx.run(
                "INSERT INTO broker_controls (broker, reason, paused_at) VALUES (?1, ?2, ?3)
                 ON CONFLICT (broker) DO UPDATE SET reason = excluded.reason",
                params![broker, reason, ms(now)],
            )?;
            tx.wake(Wake::OUTBOX);
            Ok(())
        })
        .await
    }

    pub(in crate::store) async fn resume(&self, broker: String) -> Result<(), StoreError> {
        self.write(0, move |tx| {
            tx.run("DELETE FROM broker_controls WHERE broker = ?1", [&broker])?;
            tx.wake(Wake::OUTBOX);
            Ok(())
        })
        .await
    }

    pub(in crate::store) async fn paused(&self) -> Result<BTreeMap<String, Pause>, StoreError> {
        self.read(|conn| {
            let mut statement = conn.prepare_cached("SELECT broker, reason, paused_at FROM broker_controls")?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, Pause { reason: row.get(1)?, since: col::at(row, 2)? })))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Asks the flags; only after a failed commit it asks the disk, so that recovery is seen without traffic.
    pub(in crate::store) async fn check(&self) -> Result<(), StoreError> {
        if self.health.is_broken() {
            return Err(StoreError::Unavailable("the disk failed"));
        }
        if !self.health.has_space() {
            return Err(StoreError::Unavailable("the disk is nearly full"));
        }
        if !self.health.is_failing() {
            return Ok(());
        }
        self.write(0, |tx| {
            tx.run("UPDATE pulse SET beat = beat + 1", [])?;
            Ok(())
        })
        .await
    }
}

fn oldest(conn: &Connection, broker: &str, state: DeliveryState) -> rusqlite::Result<Option<Timestamp>> {
    // Ids are in order of time, so the first row of each search is the oldest.
    let sql = match state {
        DeliveryState::Queued => {
            "SELECT m.created_at FROM outbox o JOIN messages m ON m.message_id = o.message_id
             WHERE o.broker = ?1 AND o.state = ?2 ORDER BY o.message_id LIMIT 1"
        }
        // Nothing of it is a message yet.
        DeliveryState::Waiting => {
            "SELECT created_at FROM intents WHERE broker = ?1 AND state = 'waiting' AND state = ?2 ORDER BY created_at LIMIT 1"
        }
        DeliveryState::Sending | DeliveryState::InDoubt => {
            "SELECT m.created_at FROM outbox o JOIN messages m ON m.message_id = o.message_id
             WHERE o.broker = ?1 AND o.state = ?2 AND o.state <> 'queued' ORDER BY o.message_id LIMIT 1"
        }
        DeliveryState::Dead => {
            "SELECT created_at FROM messages WHERE broker = ?1 AND state = 'dead' AND state = ?2 ORDER BY settled_at LIMIT 1"
        }
        DeliveryState::Delivered | DeliveryState::Withdrawn => return Ok(None),
    };
    conn.prepare_cached(sql)?.query_row(params![broker, state.as_str()], |row| col::at(row, 0)).optional()
}

/// Lower-case hex of a hash.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        text.extend([byte >> 4, byte & 15].map(|nibble| char::from_digit(u32::from(nibble), 16).unwrap_or('0')));
        text
    })
}
