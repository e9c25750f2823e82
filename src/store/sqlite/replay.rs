//! Dead letters live again, are taken back, or are said to be delivered: by an operator's order and by nothing else.
//!
//! Who is meant is looked up beside the writer, page by page; each step then asks every message again inside its
//! transaction, for it may have been settled meanwhile. A message that dies again while the order runs is not taken a
//! second time: only what was dead at its beginning is meant.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use super::audit;
use super::col::{self, ms};
use super::events::{expect_answer, merge_facts};
use super::intents::look_by_message;
use super::job::{Fail, Tx};
use super::outbox::{Waiting, wake_followers};
use super::settle::{MessageRow, leave, message};
use super::signals::Wake;
use super::{Policy, Sqlite, StoreError};
use crate::domain::audit::of_settlement;
use crate::domain::delivery::{DeadReason, DeliveryState};
use crate::domain::ids::{IntentId, MessageId};
use crate::domain::operate::{ActKind, ReplayMode};
use crate::domain::time::{Timestamp, from_millis};
use crate::store::orders::{DeadSelection, Handled, Replay};

/// Messages handled with one job.
const STEP: u64 = 200;

/// Where the next replayed message of each broker has its place, in microseconds since 1970: a second mass replay queues
/// behind the first. It shapes the flow and no more, so a restart may forget it.
pub(super) type Paces = BTreeMap<String, i64>;

/// What becomes of the messages.
#[derive(Clone)]
enum Deed {
    Replay(Replay),
    Purge,
}

/// The act that an order is kept as, one part for each step.
#[derive(Clone)]
struct Order {
    act_id: Uuid,
    part: u32,
    at: Timestamp,
    kind: ActKind,
    broker: Option<String>,
    filter: String,
    reason: Option<String>,
}

impl Order {
    fn new(kind: ActKind, selection: &DeadSelection, mode: Option<ReplayMode>, reason: Option<String>, at: Timestamp) -> Self {
        let (broker, filter) = (selection.broker.clone(), selection.described(mode));
        Self { act_id: Uuid::now_v7(), part: 1, at, kind, broker, filter, reason }
    }

    fn keep(&self, tx: &Tx<'_>, done: u64) -> Result<(), Fail> {
        let Self { act_id, part, at, kind, broker, filter, reason } = self;
        let (broker, filter, reason) = (broker.as_deref(), Some(filter.as_str()), reason.as_deref());
        audit::act(tx, &audit::Step { act_id: *act_id, part: *part, at: *at, kind: *kind, broker, filter, reason, done: Some(done) })
    }
}

/// A page's end: broker, since when dead, message.
type Cursor = (String, i64, [u8; 16]);

impl Sqlite {
    pub(in crate::store) async fn count_dead(&self, selection: DeadSelection) -> Result<u64, StoreError> {
        self.read(move |conn| Ok(count(conn, &selection)?.0)).await
    }

    pub(in crate::store) async fn replay_dead(
        &self,
        selection: DeadSelection,
        replay: Replay,
        reason: Option<String>,
    ) -> Result<Handled, StoreError> {
        let act = Order::new(ActKind::Replay, &selection, Some(replay.mode), reason, self.now());
        self.for_each_dead(selection, Deed::Replay(replay), act).await
    }

    pub(in crate::store) async fn purge_dead(&self, selection: DeadSelection, reason: String) -> Result<Handled, StoreError> {
        let act = Order::new(ActKind::Purge, &selection, None, Some(reason), self.now());
        self.for_each_dead(selection, Deed::Purge, act).await
    }

    async fn for_each_dead(&self, selection: DeadSelection, deed: Deed, mut act: Order) -> Result<Handled, StoreError> {
        let asked = selection.clone();
        let (matched, before) = self.read(move |conn| Ok(count(conn, &asked)?)).await?;
        let mut handled = Handled { matched, done: 0 };
        let mut cursor: Cursor = (String::new(), i64::MIN, [0; 16]);
        let limit = selection.limit.unwrap_or(u64::MAX);
        while handled.done < limit {
            let (asked, from) = (selection.clone(), cursor.clone());
            let most = STEP.min(limit - handled.done);
            let page = self.read(move |conn| Ok(page(conn, &asked, before, &from, most)?)).await?;
            let Some(last) = page.last() else { break };
            cursor = last.clone();
            let ids: Vec<MessageId> = page.iter().map(|(.., id)| MessageId(Uuid::from_bytes(*id))).collect();
            let done = self.step(ids, deed.clone(), before, act.clone()).await?;
            handled.done += done;
            act.part += u32::from(done > 0);
        }
        if act.part == 1 {
            // That nothing was found is an act too.
            self.write(0, move |tx| act.keep(tx, 0)).await?;
        }
        Ok(handled)
    }

    /// One commit of an order; how many messages it changed.
    async fn step(&self, ids: Vec<MessageId>, deed: Deed, before: i64, act: Order) -> Result<u64, StoreError> {
        let policy = self.policy.clone();
        let paces = self.paces.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (done, paces) = self
            .write(0, move |tx| {
                let (mut done, mut paces) = (0, paces.clone());
                for id in &ids {
                    done += u64::from(one(tx, &policy, *id, &deed, before, act.at, &mut paces)?);
                }
                if done > 0 {
                    act.keep(tx, done)?;
                }
                Ok((done, paces))
            })
            .await?;
        let mut kept = self.paces.lock().unwrap_or_else(PoisonError::into_inner);
        for (broker, next) in paces {
            let place = kept.entry(broker).or_insert(next);
            *place = next.max(*place);
        }
        Ok(done)
    }
}

/// Every statement that asks for dead letters asks the same; the first column of the index is given where it is known.
macro_rules! dead {
    ($columns:literal, $rest:literal) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM messages m WHERE m.state = 'dead' AND m.settled_at <= ?1 AND (?2 IS NULL OR m.broker = ?2)
                AND (?3 IS NULL OR m.reason = ?3) AND (?4 IS NULL OR m.message_id = ?4)
                AND (?5 IS NULL OR EXISTS (SELECT 1 FROM message_filings f JOIN declarations d ON d.declaration_id = f.declaration_id
                                           WHERE f.message_id = m.message_id AND d.post = ?5)) ",
            $rest
        )
    };
}

/// How many, and when the last of them died: what dies later is not meant, whatever the clock does meanwhile.
fn count(conn: &Connection, asked: &DeadSelection) -> rusqlite::Result<(u64, i64)> {
    let before = asked.dead_before.map_or(i64::MAX, ms);
    let reason = asked.reason.map(DeadReason::as_str);
    let message = asked.message_id.map(|id| *id.0.as_bytes());
    conn.prepare_cached(dead!("count(*), coalesce(max(m.settled_at), 0)", ""))?
        .query_row(params![before, asked.broker, reason, message, asked.post], |row| Ok((col::count(row, 0)?, row.get(1)?)))
}

fn page(conn: &Connection, asked: &DeadSelection, before: i64, from: &Cursor, most: u64) -> rusqlite::Result<Vec<Cursor>> {
    let reason = asked.reason.map(DeadReason::as_str);
    let message = asked.message_id.map(|id| *id.0.as_bytes());
    // In the order of the index of dead messages, so that a page costs what it holds.
    let sql = dead!(
        "m.broker, m.settled_at, m.message_id",
        "AND (m.broker, m.settled_at, m.message_id) > (?6, ?7, ?8) ORDER BY m.broker, m.settled_at, m.message_id LIMIT ?9"
    );
    let limit = i64::try_from(most).unwrap_or(i64::MAX);
    conn.prepare_cached(sql)?
        .query_map(params![before, asked.broker, reason, message, asked.post, from.0, from.1, from.2, limit], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?
        .collect()
}

/// Does it to one message, if it is still dead since then; whether it was.
fn one(tx: &Tx<'_>, policy: &Policy, id: MessageId, deed: &Deed, before: i64, now: Timestamp, paces: &mut Paces) -> Result<bool, Fail> {
    let since = tx
        .conn
        .prepare_cached("SELECT settled_at FROM messages WHERE message_id = ?1 AND state = 'dead' AND settled_at <= ?2")?
        .query_row(params![id.0.as_bytes(), before], |row| row.get::<_, i64>(0))
        .optional()?;
    if since.is_none() {
        return Ok(false);
    }
    let row = message(tx, id)?;
    match deed {
        Deed::Purge => {
            leave(tx, &row, None, DeliveryState::Withdrawn, None, row.attempts, now)?;
            wake_followers(tx, id, now)?;
        }
        Deed::Replay(replay) => match replay.mode {
            ReplayMode::SameBytes => queue_again(tx, &row, replay, now, paces)?,
            ReplayMode::Remap => make_anew(tx, &row, None, now)?,
            ReplayMode::SettleDelivered => {
                leave(tx, &row, None, DeliveryState::Delivered, None, row.attempts, now)?;
                let row = MessageRow { state: DeliveryState::Delivered, reason: None, ..row };
                merge_facts(tx, policy, &row, &[], now)?;
            }
        },
    }
    Ok(true)
}

/// The same bytes under the same id, as if it had never been tried.
fn queue_again(tx: &Tx<'_>, row: &MessageRow, replay: &Replay, now: Timestamp, paces: &mut Paces) -> Result<(), Fail> {
    let id = row.message_id.0.as_bytes();
    let behind = tx.row(
        "SELECT 1 FROM message_filings own
         JOIN message_filings earlier ON earlier.filing_id = own.filing_id AND earlier.place < own.place
         JOIN messages m ON m.message_id = earlier.message_id
         WHERE own.message_id = ?1 AND m.kind <> 'query' AND m.state NOT IN ('delivered', 'withdrawn') LIMIT 1",
        [id],
        |_| Ok(()),
    )?;
    let due_at = behind.is_none().then(|| place(&row.broker, replay, now, paces));
    tx.run(
        "INSERT INTO outbox (broker, message_id, state, due_at) VALUES (?1, ?2, 'queued', ?3)",
        params![row.broker, id, due_at.map(ms)],
    )?;
    tx.run("UPDATE messages SET state = 'queued', reason = CASE WHEN reason = 'unresolved' THEN reason END, settled_at = NULL, attempts = 0 WHERE message_id = ?1", [id])?;
    // What went on after it had been delivered and was refused later waits for it again, unless it was sent already.
    tx.run(
        "UPDATE outbox SET due_at = NULL WHERE broker = ?1 AND state = 'queued' AND due_at IS NOT NULL AND message_id IN (
           SELECT later.message_id FROM message_filings own
           JOIN message_filings later ON later.filing_id = own.filing_id AND later.place > own.place
           JOIN messages m ON m.message_id = later.message_id AND m.kind <> 'query'
           WHERE own.message_id = ?2)",
        params![row.broker, id],
    )?;
    tx.chain(of_settlement(row.message_id, DeliveryState::Queued));
    tx.tally(&row.broker, Some(DeliveryState::Dead), Some(DeliveryState::Queued));
    tx.wake(Wake::OUTBOX);
    look_by_message(tx, row.message_id)?;
    expect_answer(tx, row, true)
}

/// The next place of a broker's replayed messages.
fn place(broker: &str, replay: &Replay, now: Timestamp, paces: &mut Paces) -> Timestamp {
    let spacing = replay.spacing.get(broker).map_or(0, |spacing| i64::try_from(spacing.as_micros()).unwrap_or(i64::MAX));
    let next = paces.entry(broker.to_owned()).or_insert(i64::MIN);
    let at = (*next).max(ms(now).saturating_mul(1000));
    *next = at.saturating_add(spacing);
    // Rounded up: no earlier than its place.
    from_millis(at.saturating_add(999).div_euclid(1000))
}

/// Takes the message back and asks for another in each of its filings. A filing that waits for one already gets no second:
/// what is made anew is the whole declaration, of however many messages.
pub(super) fn make_anew(tx: &Tx<'_>, row: &MessageRow, waiting: Option<&Waiting>, now: Timestamp) -> Result<(), Fail> {
    let filings =
        tx.rows("SELECT filing_id FROM message_filings WHERE message_id = ?1 ORDER BY filing_id", [row.message_id.0.as_bytes()], |row| {
            row.get::<_, [u8; 16]>(0)
        })?;
    for filing in filings {
        let asked = tx.run(
            "INSERT INTO intents (intent_id, declaration_id, filing_id, broker, kind, version, conversation_id, traceparent, state, created_at,
                                  reason_code, reason_text, answer_id)
             SELECT ?1, f.declaration_id, f.filing_id, m.broker, m.kind, d.version, m.conversation_id, m.traceparent, 'waiting', ?2,
                    w.reason_code, w.reason_text, w.answer_id
             FROM message_filings f JOIN messages m ON m.message_id = f.message_id JOIN declarations d ON d.declaration_id = f.declaration_id
             LEFT JOIN intents w ON w.intent_id = (SELECT max(i.intent_id) FROM intents i
                                                   WHERE i.declaration_id = f.declaration_id AND i.filing_id = f.filing_id AND i.kind = m.kind)
             WHERE f.message_id = ?3 AND f.filing_id = ?4
               AND NOT EXISTS (SELECT 1 FROM intents i WHERE i.filing_id = f.filing_id AND i.kind = m.kind AND i.state = 'waiting')",
            params![IntentId::new().0.as_bytes(), ms(now), row.message_id.0.as_bytes(), filing],
        )?;
        if asked > 0 {
            tx.tally(&row.broker, None, Some(DeliveryState::Waiting));
        }
    }
    tx.wake(Wake::INTENTS);
    // Last, so that what stands behind it sees the wish and goes on waiting.
    leave(tx, row, waiting, DeliveryState::Withdrawn, None, row.attempts, now)
}
