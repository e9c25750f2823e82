//! How an attempt, or a verdict, leaves its message: one commit for the attempt, the state, the
//! references, what the answer told, and the events that follow from it.

use rusqlite::params;
use sha2::{Digest, Sha256};

use super::audit::new_salt;
use super::col::{self, ms};
use super::events::merge_facts;
use super::job::{Fail, Tx};
use super::outbox::{self, Waiting};
use super::pack::{Packed, pack};
use super::refs;
use super::signals::Wake;
use super::{Policy, Sqlite, StoreError, doubt, events, holds, intents};
use crate::domain::audit::{of_notice, of_settlement};
use crate::domain::delivery::{DeadReason, DeliveryState, MessageKind};
use crate::domain::fact::Fact;
use crate::domain::ids::{MessageId, NoticeId};
use crate::domain::time::Timestamp;
use crate::store::types::{AttemptRecord, BrokerHold, Settlement};

/// A message as far as settling it needs.
pub(super) struct MessageRow {
    pub(super) message_id: MessageId,
    pub(super) broker: String,
    pub(super) kind: MessageKind,
    /// `queued` for all that is not settled; the live state stands in the outbox.
    pub(super) state: DeliveryState,
    pub(super) reason: Option<DeadReason>,
    pub(super) attempts: u32,
}

impl Sqlite {
    pub(in crate::store) async fn settle(
        &self,
        message: MessageId,
        attempt: AttemptRecord,
        settlement: Settlement,
    ) -> Result<(), StoreError> {
        let policy = self.policy.clone();
        let reply = attempt.reply.as_ref().filter(|(_, body)| !body.is_empty()).map(|(_, body)| pack(body));
        let bytes = reply.as_ref().map_or(0, |reply| reply.bytes.len());
        self.write(bytes, move |tx| settle(tx, &policy, message, &attempt, reply.as_ref(), &settlement)).await
    }
}

/// A message by its id.
pub(super) fn message(tx: &Tx<'_>, message: MessageId) -> Result<MessageRow, Fail> {
    tx.row("SELECT broker, kind, state, reason, attempts FROM messages WHERE message_id = ?1", [message.0.as_bytes()], |row| {
        Ok(MessageRow {
            message_id: message,
            broker: row.get(0)?,
            kind: col::word(row, 1, MessageKind::parse)?,
            state: col::word(row, 2, DeliveryState::parse)?,
            reason: row.get::<_, Option<String>>(3)?.and_then(|word| DeadReason::parse(&word)),
            attempts: row.get(4)?,
        })
    })?
    .ok_or(Fail::Fault("a message is unknown"))
}

fn settle(
    tx: &Tx<'_>,
    policy: &Policy,
    id: MessageId,
    attempt: &AttemptRecord,
    reply: Option<&Packed>,
    settlement: &Settlement,
) -> Result<(), Fail> {
    let mut row = message(tx, id)?;
    // Gone from the outbox: a verdict settled it while it was being sent. The attempt is kept all the same.
    let waiting = outbox::waiting(tx, id)?;
    let at = attempt.finished_at;
    let spent = !matches!(settlement, Settlement::Retry { spent: false, .. });
    let number = record_attempt(tx, id, attempt, spent)?;
    if let Some(until) = attempt.held_until {
        holds::keep(tx, &row.broker, BrokerHold { at, until })?;
    }
    let changed = match (waiting, settlement) {
        (Some(waiting), Settlement::Retry { due_at, spent }) => {
            // What was in doubt stays so: that this try was not taken says nothing of the one before.
            let back = if waiting.was == Some(DeliveryState::InDoubt) { DeliveryState::InDoubt } else { DeliveryState::Queued };
            requeue(tx, &row, &waiting, back, *due_at, spent.then_some(attempt.started_at))?;
            false
        }
        (Some(waiting), Settlement::InDoubt { due_at }) => {
            requeue(tx, &row, &waiting, DeliveryState::InDoubt, *due_at, Some(attempt.started_at))?;
            false
        }
        // Nobody is told that a question was refused: what it was about is still in doubt, and asked about again.
        (Some(waiting), Settlement::Dead { .. }) if row.kind == MessageKind::Query => {
            leave(tx, &row, Some(&waiting), DeliveryState::Withdrawn, None, waiting.attempts + 1, at)?;
            false
        }
        (Some(waiting), Settlement::Dead { reason, facts }) => {
            leave(tx, &row, Some(&waiting), DeliveryState::Dead, Some(*reason), waiting.attempts + 1, at)?;
            events::delivery_ended(tx, policy, &row, *reason, facts, at)?;
            false
        }
        (waiting, Settlement::Delivered { references, facts }) => {
            if let Some(waiting) = &waiting {
                leave(tx, &row, Some(waiting), DeliveryState::Delivered, None, waiting.attempts + 1, at)?;
                row.state = DeliveryState::Delivered;
            }
            for (kind, value) in references {
                refs::bind(tx, &row.broker, *kind, value, id, at)?;
            }
            if row.kind == MessageKind::Query {
                doubt::answered(tx, policy, &row, facts, at)?
            } else {
                for fact in facts {
                    refs::bind_told(tx, &row.broker, fact, id, at)?;
                }
                merge_facts(tx, policy, &row, facts, at)?
            }
        }
        (None, _) => false,
    };
    keep_reply(tx, &row, attempt, reply, number, changed)
}

fn record_attempt(tx: &Tx<'_>, message: MessageId, attempt: &AttemptRecord, spent: bool) -> Result<i64, Fail> {
    let number: i64 = tx
        .row("SELECT coalesce(max(number), 0) + 1 FROM attempts WHERE message_id = ?1", [message.0.as_bytes()], |row| row.get(0))?
        .unwrap_or(1);
    tx.run(
        "INSERT INTO attempts (message_id, number, started_at, finished_at, outcome, http_status, spent) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            message.0.as_bytes(),
            number,
            ms(attempt.started_at),
            ms(attempt.finished_at),
            attempt.outcome,
            attempt.http_status,
            spent
        ],
    )?;
    Ok(number)
}

/// The broker's answer is a notice that came by `reply`; it was read before it is kept.
fn keep_reply(
    tx: &Tx<'_>,
    row: &MessageRow,
    attempt: &AttemptRecord,
    reply: Option<&Packed>,
    number: i64,
    changed: bool,
) -> Result<(), Fail> {
    let (Some((content_type, body)), Some(reply)) = (&attempt.reply, reply) else { return Ok(()) };
    let notice = NoticeId::new();
    let mut dedupe = Sha256::new();
    dedupe.update(b"reply");
    dedupe.update(row.message_id.0.as_bytes());
    dedupe.update(number.to_be_bytes());
    let hash: [u8; 32] = Sha256::digest(body).into();
    let dedupe: [u8; 32] = dedupe.finalize().into();
    let (body_id, salt) = (tx.keep(reply)?, new_salt());
    tx.run(
        "INSERT INTO notices (notice_id, broker, via, dedupe_key, content_type, body_id, body_hash, size, received_at, state,
                              mapping_version, salt, link_id)
         VALUES (?1, ?2, 'reply', ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        params![
            notice.0.as_bytes(),
            row.broker,
            dedupe,
            content_type,
            body_id,
            hash,
            i64::try_from(body.len()).unwrap_or(i64::MAX),
            ms(attempt.finished_at),
            if changed { "applied" } else { "recorded" },
            attempt.mapping_version,
            salt,
            tx.link_id
        ],
    )?;
    tx.chain(of_notice(&salt, notice, &hash));
    link(tx, row.message_id, notice)?;
    tx.run(
        "UPDATE attempts SET notice_id = ?3 WHERE message_id = ?1 AND number = ?2",
        params![row.message_id.0.as_bytes(), number, notice.0.as_bytes()],
    )?;
    Ok(())
}

/// A notice speaks of a message, and so of the items of a post.
pub(super) fn link(tx: &Tx<'_>, message: MessageId, notice: NoticeId) -> Result<(), Fail> {
    tx.run(
        "INSERT OR IGNORE INTO notice_messages (message_id, notice_id) VALUES (?1, ?2)",
        params![message.0.as_bytes(), notice.0.as_bytes()],
    )?;
    tx.run(
        "UPDATE notices SET post = (
           SELECT CASE WHEN min(d.post) = max(d.post) AND coalesce(notices.post, d.post) = d.post THEN d.post ELSE '*' END
           FROM message_filings f JOIN declarations d ON d.declaration_id = f.declaration_id WHERE f.message_id = ?1)
         WHERE notice_id = ?2",
        params![message.0.as_bytes(), notice.0.as_bytes()],
    )?;
    Ok(())
}

fn requeue(
    tx: &Tx<'_>,
    row: &MessageRow,
    waiting: &Waiting,
    state: DeliveryState,
    due_at: Timestamp,
    spent_at: Option<Timestamp>,
) -> Result<(), Fail> {
    tx.run(
        "UPDATE outbox SET state = ?3, was = NULL, begun_at = NULL, due_at = ?4, attempts = attempts + ?5,
                           first_attempt_at = coalesce(first_attempt_at, ?6)
         WHERE broker = ?1 AND message_id = ?2",
        params![row.broker, row.message_id.0.as_bytes(), state.as_str(), ms(due_at), u8::from(spent_at.is_some()), spent_at.map(ms)],
    )?;
    tx.tally(&row.broker, Some(waiting.state), Some(state));
    tx.wake(Wake::OUTBOX);
    if state == DeliveryState::Queued {
        events::expect_answer(tx, row, false)?;
    }
    intents::look_by_message(tx, row.message_id)
}

/// Takes a message out of the outbox for good. `waiting` is none when it had left it before.
pub(super) fn leave(
    tx: &Tx<'_>,
    row: &MessageRow,
    waiting: Option<&Waiting>,
    state: DeliveryState,
    reason: Option<DeadReason>,
    attempts: u32,
    at: Timestamp,
) -> Result<(), Fail> {
    if waiting.is_some() {
        tx.run("DELETE FROM outbox WHERE broker = ?1 AND message_id = ?2", params![row.broker, row.message_id.0.as_bytes()])?;
    }
    tx.run(
        "UPDATE messages SET state = ?2, reason = ?3, settled_at = ?4, attempts = ?5 WHERE message_id = ?1",
        params![row.message_id.0.as_bytes(), state.as_str(), reason.map(DeadReason::as_str), ms(at), attempts],
    )?;
    tx.chain(of_settlement(row.message_id, state));
    tx.tally(&row.broker, Some(waiting.map_or(row.state, |w| w.state)), Some(state));
    if row.kind != MessageKind::Query && waiting.is_some_and(|waiting| waiting.state == DeliveryState::InDoubt) {
        doubt::end_queries(tx, row, at)?;
    }
    let given_up = state == DeliveryState::Withdrawn || state == DeliveryState::Dead && reason != Some(DeadReason::Unresolved);
    if given_up || row.state == DeliveryState::Dead {
        // What the broker did not take is not answered by customs; what it has after all is.
        events::expect_answer(tx, row, !given_up)?;
    }
    if matches!(state, DeliveryState::Delivered | DeliveryState::Withdrawn) {
        outbox::wake_followers(tx, row.message_id, at)?;
    }
    intents::look_by_message(tx, row.message_id)
}

/// A verdict proves that the broker has the message: it is delivered and not sent again. Given up as
/// exhausted or unresolved, it comes back to life; refused stays refused. Whether this changed anything.
pub(super) fn delivered_by_verdict(tx: &Tx<'_>, row: &mut MessageRow, at: Timestamp) -> Result<bool, Fail> {
    let waiting = outbox::waiting(tx, row.message_id)?;
    let revived = row.state == DeliveryState::Dead && row.reason != Some(DeadReason::Refused);
    if waiting.is_none() && !revived {
        return Ok(false);
    }
    // An attempt that is on its way is counted when it is settled; here only what is known.
    let attempts = waiting.as_ref().map_or(row.attempts, |w| w.attempts + u32::from(w.begun_at.is_some()));
    leave(tx, row, waiting.as_ref(), DeliveryState::Delivered, None, attempts, at)?;
    (row.state, row.reason, row.attempts) = (DeliveryState::Delivered, None, attempts);
    Ok(true)
}

/// A technical refusal read later: the message is dead, and the post is told. Whether this changed anything.
pub(super) fn refused_later(tx: &Tx<'_>, policy: &Policy, row: &mut MessageRow, fact: &Fact, at: Timestamp) -> Result<bool, Fail> {
    // Of a declaration that was corrected since it comes too late.
    if matches!(row.state, DeliveryState::Dead | DeliveryState::Withdrawn) || events::is_replaced(tx, row.message_id)? {
        return Ok(false);
    }
    let waiting = outbox::waiting(tx, row.message_id)?;
    let attempts = waiting.as_ref().map_or(row.attempts, |w| w.attempts + u32::from(w.begun_at.is_some()));
    leave(tx, row, waiting.as_ref(), DeliveryState::Dead, Some(DeadReason::Refused), attempts, at)?;
    (row.state, row.reason, row.attempts) = (DeliveryState::Dead, Some(DeadReason::Refused), attempts);
    events::delivery_ended(tx, policy, row, DeadReason::Refused, std::slice::from_ref(fact), at)?;
    Ok(true)
}
