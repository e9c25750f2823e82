//! References: unique per (broker, kind, value), each pointing to one message.
//!
//! A notice can only touch messages of the broker that it came by, because it is looked up here with
//! that broker. A reference that comes for a second message stays with the first and is remembered as a
//! conflict. A new reference calls back the orphans that waited for it, in the same transaction.

use rusqlite::{Connection, OptionalExtension, params};

use super::col;
use super::job::{Fail, Tx};
use super::signals::Wake;
use crate::domain::fact::{Fact, ReferenceKind};
use crate::domain::ids::{MessageId, NoticeId};
use crate::domain::time::Timestamp;

/// Longest reference that is kept; what is longer is no reference of customs or of a broker.
pub(super) const MAX_REFERENCE: usize = 256;

/// The message of a reference.
pub(super) fn find(conn: &Connection, broker: &str, kind: ReferenceKind, value: &str) -> rusqlite::Result<Option<MessageId>> {
    conn.prepare_cached("SELECT message_id FROM refs WHERE broker = ?1 AND kind = ?2 AND value = ?3")?
        .query_row(params![broker, kind.as_str(), value], |row| col::id(row, 0).map(MessageId))
        .optional()
}

/// Binds a reference to a message, unless another has it.
pub(super) fn bind(tx: &Tx<'_>, broker: &str, kind: ReferenceKind, value: &str, message: MessageId, at: Timestamp) -> Result<(), Fail> {
    if value.is_empty() || value.len() > MAX_REFERENCE {
        return Ok(());
    }
    let bound = tx.run(
        "INSERT INTO refs (broker, kind, value, message_id) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
        params![broker, kind.as_str(), value, message.0.as_bytes()],
    )?;
    if bound == 1 {
        return call_orphans(tx, broker, kind, value);
    }
    if find(tx.conn, broker, kind, value)? != Some(message) {
        tx.run(
            "INSERT OR IGNORE INTO ref_conflicts (broker, kind, value, message_id, seen_at) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![broker, kind.as_str(), value, message.0.as_bytes(), col::ms(at)],
        )?;
        tracing::warn!(
            preclear.broker = broker,
            preclear.reference = kind.as_str(),
            "a reference came for a second message; the first keeps it"
        );
    }
    Ok(())
}

/// Binds what a fact names to the message that it is about: the first that holds two references ties
/// them together.
pub(super) fn bind_told(tx: &Tx<'_>, broker: &str, fact: &Fact, message: MessageId, at: Timestamp) -> Result<(), Fail> {
    let told = [(ReferenceKind::Conversation, &fact.conversation), (ReferenceKind::Mrn, &fact.mrn), (ReferenceKind::Job, &fact.job)];
    for (kind, value) in told {
        if let Some(value) = value {
            bind(tx, broker, kind, value, message, at)?;
        }
    }
    Ok(())
}

/// References of a message beside its LRN, oldest kind of order: as they are kept.
pub(super) fn of_message(conn: &Connection, message: MessageId) -> rusqlite::Result<Vec<(ReferenceKind, String)>> {
    conn.prepare_cached("SELECT kind, value FROM refs WHERE message_id = ?1 AND kind <> 'lrn' ORDER BY kind, value")?
        .query_map([message.0.as_bytes()], |row| Ok((col::word(row, 0, ReferenceKind::parse)?, row.get(1)?)))?
        .collect()
}

/// Orphans that wait for this reference are read again.
fn call_orphans(tx: &Tx<'_>, broker: &str, kind: ReferenceKind, value: &str) -> Result<(), Fail> {
    let waiting = tx.rows(
        "SELECT notice_id FROM orphan_refs WHERE broker = ?1 AND kind = ?2 AND value = ?3",
        params![broker, kind.as_str(), value],
        |row| col::id(row, 0).map(NoticeId),
    )?;
    for notice in waiting {
        tx.run("UPDATE notices SET state = 'new' WHERE notice_id = ?1", [notice.0.as_bytes()])?;
        forget_orphan(tx, notice)?;
        tx.wake(Wake::NOTICES);
    }
    Ok(())
}

/// A notice that is read again waits for nothing.
pub(super) fn forget_orphan(tx: &Tx<'_>, notice: NoticeId) -> Result<(), Fail> {
    tx.run("DELETE FROM orphan_refs WHERE notice_id = ?1", [notice.0.as_bytes()])?;
    Ok(())
}

/// Keeps what an orphan waits for.
pub(super) fn await_reference(tx: &Tx<'_>, broker: &str, kind: ReferenceKind, value: &str, notice: NoticeId) -> Result<(), Fail> {
    if !value.is_empty() && value.len() <= MAX_REFERENCE {
        tx.run(
            "INSERT OR IGNORE INTO orphan_refs (broker, kind, value, notice_id) VALUES (?1, ?2, ?3, ?4)",
            params![broker, kind.as_str(), value, notice.0.as_bytes()],
        )?;
    }
    Ok(())
}
