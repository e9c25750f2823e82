//! Facts become states and events: loaded, merged by the domain, written with their positions.
//!
//! A position is given out inside the one writer's transaction, one higher than the post's last, so a
//! reader can neither see a gap nor skip what commits late. An event and the webhooks that wait for it
//! are written together.

use rusqlite::{Connection, OptionalExtension, params};

use super::col::{self, ms};
use super::intents::look;
use super::job::{Fail, Told, Tx};
use super::refs;
use super::settle::MessageRow;
use super::signals::Wake;
use super::webhooks::fan_out;
use super::{Policy, Sqlite, StoreError};
use crate::domain::delivery::{DeadReason, DeliveryState, MessageKind};
use crate::domain::fact::{Fact, ReferenceKind, Track};
use crate::domain::ids::{DeclarationId, FilingId, MessageId};
use crate::domain::merge::FilingState;
use crate::domain::time::Timestamp;
use crate::store::apply::{self, Draft, FilingRow};
use crate::store::told::EventPage;

/// Bytes of events that one page may bring along.
const MAX_PAGE_BYTES: usize = 8 * 1024 * 1024;

impl Sqlite {
    pub(in crate::store) async fn events_after(&self, post: String, after: Option<i64>, limit: usize) -> Result<EventPage, StoreError> {
        self.read(move |conn| {
            let (oldest, newest) = conn
                .prepare_cached("SELECT oldest, newest FROM logs WHERE post = ?1")?
                .query_row([&post], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?
                .unwrap_or((0, 0));
            let mut statement =
                conn.prepare_cached("SELECT position, json FROM events WHERE post = ?1 AND position > ?2 ORDER BY position")?;
            let mut rows = statement.query(params![post, after.unwrap_or(0)])?;
            let (mut events, mut bytes) = (Vec::new(), 0);
            while events.len() < limit && bytes < MAX_PAGE_BYTES {
                let Some(row) = rows.next()? else { break };
                let json: String = row.get(1)?;
                bytes += json.len();
                events.push((row.get(0)?, json));
            }
            Ok(EventPage { events, oldest, newest })
        })
        .await
    }
}

/// Merges facts into the filings that a message covers; whether anything changed. A delivered declaration
/// is `submitted` by that alone, unless more is known of it. What the facts name is bound before, so that
/// their own events carry it.
pub(super) fn merge_facts(tx: &Tx<'_>, policy: &Policy, message: &MessageRow, facts: &[Fact], at: Timestamp) -> Result<bool, Fail> {
    let mut changed = false;
    for mut filing in filings_of(tx, message.message_id)? {
        let mut moved = false;
        let track = filing.track;
        let corrected = is_corrected(tx, message.message_id, filing.filing_id)?;
        for fact in facts.iter().filter(|fact| fact.track == track && !(corrected && fact.is_rejection())) {
            moved |= merge_one(tx, policy, &mut filing, &apply::about(message.kind, fact), at)?;
        }
        if message.kind == MessageKind::Declaration && message.state == DeliveryState::Delivered && all_declared(tx, filing.filing_id)? {
            moved |= merge_one(tx, policy, &mut filing, &apply::submitted(track), at)?;
        }
        if moved {
            save(tx, &filing)?;
            look(tx, filing.filing_id)?;
        }
        changed |= moved;
    }
    Ok(changed)
}

/// Whether a corrected declaration has taken the place of this message's: a rejection of it comes too late.
fn is_corrected(tx: &Tx<'_>, message: MessageId, filing: FilingId) -> Result<bool, Fail> {
    let sql = "SELECT (SELECT cycle FROM message_filings WHERE message_id = ?1 AND filing_id = ?2)
                      < (SELECT max(cycle) FROM message_filings WHERE filing_id = ?2)";
    Ok(tx.row(sql, params![message.0.as_bytes(), filing.0.as_bytes()], |row| row.get::<_, Option<bool>>(0))?.flatten().unwrap_or(false))
}

pub(super) fn merge_one(tx: &Tx<'_>, policy: &Policy, filing: &mut FilingRow, fact: &Fact, at: Timestamp) -> Result<bool, Fail> {
    let awaited = filing.awaits_decision();
    let change = apply::merge_fact(filing, fact, at, policy.retention_reasons(&filing.post));
    for draft in &change.drafts {
        append(tx, filing, draft, at)?;
    }
    if awaited != filing.awaits_decision() {
        tx.run(
            "UPDATE filings SET awaited_since = ?3, overdue_at = NULL WHERE declaration_id = ?1 AND filing_id = ?2",
            params![filing.declaration_id.0.as_bytes(), filing.filing_id.0.as_bytes(), (!awaited).then(|| ms(at))],
        )?;
    }
    if let Some(kind) = change.turned_down {
        turned_down(tx, filing.filing_id, kind)?;
    }
    Ok(change.changed)
}

/// Customs did not accept an amendment: what it has is still the version before.
fn turned_down(tx: &Tx<'_>, filing: FilingId, kind: MessageKind) -> Result<(), Fail> {
    tx.run(
        "UPDATE messages SET reason = 'not_accepted' WHERE message_id = (
           SELECT m.message_id FROM message_filings f JOIN messages m ON m.message_id = f.message_id
           WHERE f.filing_id = ?1 AND m.kind = ?2 AND m.state = 'delivered' ORDER BY f.place DESC LIMIT 1)",
        params![filing.0.as_bytes(), kind.as_str()],
    )?;
    Ok(())
}

/// Tells every filing of a dead message that it is: refused, or given up.
pub(super) fn delivery_ended(
    tx: &Tx<'_>,
    policy: &Policy,
    message: &MessageRow,
    reason: DeadReason,
    facts: &[Fact],
    at: Timestamp,
) -> Result<(), Fail> {
    for filing in filings_of(tx, message.message_id)? {
        if let Some(draft) = apply::delivery_ended(&filing, reason, facts, at, policy.retention_reasons(&filing.post)) {
            append(tx, &filing, &draft, at)?;
        }
    }
    Ok(())
}

/// Whether corrected declarations have taken the place of a message in all its filings.
pub(super) fn is_replaced(tx: &Tx<'_>, message: MessageId) -> Result<bool, Fail> {
    for filing in filings_of(tx, message)? {
        if !is_corrected(tx, message, filing.filing_id)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether an amendment, a cancellation or a presentation is not to be sent any more as it is: its filing ended or was rejected.
pub(super) fn is_pointless(tx: &Tx<'_>, message: &MessageRow) -> Result<bool, Fail> {
    if !is_follow_up(message.kind) {
        return Ok(false);
    }
    let filings = filings_of(tx, message.message_id)?;
    Ok(filings.iter().all(|filing| filing.state.is_final() || filing.is_rejected()))
}

fn is_follow_up(kind: MessageKind) -> bool {
    matches!(kind, MessageKind::Amendment | MessageKind::Cancellation | MessageKind::Presentation)
}

/// Whether customs owes an answer to an amendment, a cancellation or a presentation.
pub(super) fn expect_answer(tx: &Tx<'_>, message: &MessageRow, expected: bool) -> Result<(), Fail> {
    if !is_follow_up(message.kind) {
        return Ok(());
    }
    for mut filing in filings_of(tx, message.message_id)? {
        let unanswered = &mut filing.state.unanswered;
        unanswered.retain(|kind| *kind != message.kind);
        if expected {
            unanswered.push(message.kind);
        }
        save(tx, &filing)?;
        look(tx, filing.filing_id)?;
    }
    Ok(())
}

/// The filings that a message covers, with all that their events tell.
fn filings_of(tx: &Tx<'_>, message: MessageId) -> Result<Vec<FilingRow>, Fail> {
    let covered = tx.rows(
        "SELECT declaration_id, filing_id FROM message_filings WHERE message_id = ?1 ORDER BY filing_id",
        [message.0.as_bytes()],
        |row| Ok((DeclarationId(col::id(row, 0)?), FilingId(col::id(row, 1)?))),
    )?;
    let mut filings = Vec::with_capacity(covered.len());
    for (declaration, filing) in covered {
        filings.extend(load(tx, declaration, filing)?);
    }
    Ok(filings)
}

/// A filing with all that its events tell.
pub(super) fn load(tx: &Tx<'_>, declaration: DeclarationId, filing: FilingId) -> Result<Option<FilingRow>, Fail> {
    let found = tx.row(
        "SELECT d.post, d.item_id, d.posted_on, d.version, d.arrived_at, f.track, f.broker, f.created_at, f.state
         FROM filings f JOIN declarations d ON d.declaration_id = f.declaration_id
         WHERE f.declaration_id = ?1 AND f.filing_id = ?2",
        params![declaration.0.as_bytes(), filing.0.as_bytes()],
        |row| {
            let (track, created_at) = (col::word(row, 5, Track::parse)?, col::at(row, 7)?);
            Ok(FilingRow {
                post: row.get(0)?,
                declaration_id: declaration,
                item_id: row.get(1)?,
                posted_on: col::date(row, 2)?,
                version: row.get(3)?,
                arrived: row.get::<_, Option<i64>>(4)?.is_some(),
                filing_id: filing,
                track,
                broker: row.get(6)?,
                created_at,
                state: state(row, 8, track, created_at)?,
                references: Vec::new(),
            })
        },
    )?;
    let Some(mut row) = found else { return Ok(None) };
    row.references = references(tx.conn, filing)?;
    Ok(Some(row))
}

/// A filing's merged state; that of a new one when nothing was merged yet.
pub(super) fn state(row: &rusqlite::Row<'_>, index: usize, track: Track, created_at: Timestamp) -> rusqlite::Result<FilingState> {
    match row.get_ref(index)? {
        rusqlite::types::ValueRef::Null => Ok(FilingState::new(track, created_at)),
        _ => col::word(row, index, |text| serde_json::from_str(text).ok()),
    }
}

/// Every reference of a filing's messages: first ours, then those that the broker and customs gave.
pub(super) fn references(conn: &Connection, filing: FilingId) -> rusqlite::Result<Vec<(ReferenceKind, String)>> {
    let mut statement = conn.prepare_cached(
        "SELECT m.message_id, m.lrn FROM message_filings f JOIN messages m ON m.message_id = f.message_id
         WHERE f.filing_id = ?1 AND m.kind <> 'query' ORDER BY f.place",
    )?;
    let messages: Vec<(MessageId, String)> =
        statement.query_map([filing.0.as_bytes()], |row| Ok((MessageId(col::id(row, 0)?), row.get(1)?)))?.collect::<Result<_, _>>()?;
    let mut all = Vec::new();
    for (message, lrn) in messages {
        all.push((ReferenceKind::Lrn, lrn));
        all.extend(refs::of_message(conn, message)?);
    }
    Ok(all)
}

/// Whether every message that declares the filing has reached the broker.
fn all_declared(tx: &Tx<'_>, filing: FilingId) -> Result<bool, Fail> {
    let open = tx.row(
        "SELECT 1 FROM message_filings f JOIN messages m ON m.message_id = f.message_id
         WHERE f.filing_id = ?1 AND m.kind = 'declaration' AND m.state NOT IN ('delivered', 'withdrawn')
           AND f.cycle = (SELECT max(cycle) FROM message_filings WHERE filing_id = ?1) LIMIT 1",
        [filing.0.as_bytes()],
        |_| Ok(()),
    )?;
    Ok(open.is_none())
}

pub(super) fn save(tx: &Tx<'_>, filing: &FilingRow) -> Result<(), Fail> {
    let state = serde_json::to_string(&filing.state).map_err(|_| Fail::Fault("a filing's state cannot be written"))?;
    tx.run(
        "UPDATE filings SET status = ?3, state = ?4 WHERE declaration_id = ?1 AND filing_id = ?2",
        params![filing.declaration_id.0.as_bytes(), filing.filing_id.0.as_bytes(), filing.status_word(), state],
    )?;
    // The item is free again when its main filing (clearance, or the only one) is cancelled.
    tx.run(
        "UPDATE declarations SET cancelled = ?2 WHERE declaration_id = ?1 AND cancelled <> ?2
         AND (?3 = 'clearance' OR NOT EXISTS (SELECT 1 FROM filings WHERE declaration_id = ?1 AND track = 'clearance'))",
        params![filing.declaration_id.0.as_bytes(), filing.is_cancelled(), filing.track.as_str()],
    )?;
    Ok(())
}

/// Writes an event at the end of its post's log and at the webhooks that want it.
pub(super) fn append(tx: &Tx<'_>, filing: &FilingRow, draft: &Draft, at: Timestamp) -> Result<(), Fail> {
    let position: i64 = tx
        .row(
            "INSERT INTO logs (post, newest, oldest) VALUES (?1, 1, 1) ON CONFLICT (post) DO UPDATE SET newest = newest + 1 RETURNING newest",
            [&filing.post],
            |row| row.get(0),
        )?
        .ok_or(Fail::Fault("no position was given"))?;
    tx.run(
        "INSERT INTO events (post, position, event_id, type, item_id, declaration_id, filing_id, track, status, occurred_at, received_at, json)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        params![
            filing.post,
            position,
            draft.event_id.0.as_bytes(),
            draft.event_type,
            filing.item_id,
            filing.declaration_id.0.as_bytes(),
            filing.filing_id.0.as_bytes(),
            filing.track.as_str(),
            draft.status,
            draft.occurred_at.map(ms),
            ms(at),
            draft.json
        ],
    )?;
    tx.tell(Told {
        track: filing.track,
        status: draft.status.unwrap_or(if draft.event_type.ends_with(".overdue") { "overdue" } else { "delivery" }),
        broker: draft.decided.then(|| filing.broker.clone()),
        took: at.duration_since(filing.created_at).as_secs_f64(),
    });
    tx.wake(Wake::EVENTS);
    fan_out(tx, &filing.post, position, &filing.item_id, &draft.event_type)
}
