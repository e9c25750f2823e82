//! What `prepare` made of an intent becomes durable, if the decision still holds (ADR 0006).
//!
//! The rows may have changed since the intent was read: a verdict came, a lane sent what was queued. So the same pure
//! function decides again here, inside the one writer's transaction, and only an equal decision is written.

use rusqlite::params;

use super::accept::{Sending, insert_message, lrn_counter};
use super::col::{self, ms};
use super::events::{append, load, merge_one, save};
use super::intents::{Fresh, insert, look, standing};
use super::job::{Fail, Tx};
use super::pack::{Packed, pack};
use super::settle::{self, leave};
use super::signals::Wake;
use super::{Policy, Sqlite, StoreError, outbox, refs};
use crate::domain::clearance::ClearanceStatus;
use crate::domain::delivery::{DeliveryState, MessageKind};
use crate::domain::fact::{AnswerResult, Fact, Reason, ReferenceKind, Status, Track};
use crate::domain::ids::{ConversationId, DeclarationId, FilingId, IntentId, MessageId};
use crate::domain::intent::{Becomes, IntentState, Refusal, decide};
use crate::domain::merge::Change;
use crate::domain::security::SecurityStatus;
use crate::domain::time::Timestamp;
use crate::store::apply::{self, FilingRow};
use crate::store::intents::{IntentResult, Means, Prepared};
use crate::store::types::NewMessage;

/// An intent as far as settling it needs.
struct Intent {
    declaration_id: DeclarationId,
    filing_id: FilingId,
    broker: String,
    kind: MessageKind,
    version: u32,
    conversation_id: ConversationId,
    traceparent: Option<String>,
    looks: i64,
}

impl Sqlite {
    pub(in crate::store) async fn settle_intent(
        &self,
        id: IntentId,
        looks: i64,
        means: Means,
        prepared: Prepared,
    ) -> Result<IntentResult, StoreError> {
        let (policy, now) = (self.policy.clone(), self.now());
        let bodies: Vec<Packed> = match &prepared {
            Prepared::Made { messages, .. } => messages.iter().map(|message| pack(&message.body)).collect(),
            _ => Vec::new(),
        };
        let bytes = bodies.iter().map(|body| body.bytes.len()).sum();
        self.write(bytes, move |tx| settle_intent(tx, &policy, (id, looks), means, &prepared, &bodies, now)).await
    }
}

fn settle_intent(
    tx: &Tx<'_>,
    policy: &Policy,
    (id, looks): (IntentId, i64),
    means: Means,
    prepared: &Prepared,
    bodies: &[Packed],
    now: Timestamp,
) -> Result<IntentResult, Fail> {
    let Some(intent) = intent(tx, id)? else { return Ok(IntentResult::Done) };
    // What was read is older than what is: a new version, a consignment, a word of customs. It is still to be looked at.
    if intent.looks != looks {
        return Ok(IntentResult::Changed);
    }
    if let Prepared::Waits { why, look_at } = prepared {
        tx.run(
            "UPDATE intents SET why = ?2, look_at = ?3 WHERE intent_id = ?1 AND state = 'waiting'",
            params![id.0.as_bytes(), why.as_str(), look_at.map(ms)],
        )?;
        return Ok(IntentResult::Done);
    }
    let standing = standing(tx.conn, intent.declaration_id, intent.filing_id)?.ok_or(Fail::Fault("an intent has no filing"))?;
    let becomes = decide(intent.kind, &standing, means.makes, means.patience, now);
    let holds = match prepared {
        Prepared::Made { becomes: made, messages, .. } => becomes == *made && !lrn_taken(tx, &intent, messages)?,
        Prepared::Cancelled => becomes == Becomes::Cancelled,
        Prepared::Dropped => becomes == Becomes::Dropped,
        Prepared::Refused { why: Refusal::Faults, .. } => matches!(becomes, Becomes::Original | Becomes::Message),
        Prepared::Refused { why, .. } => becomes == Becomes::Refused(*why),
        Prepared::Waits { .. } => true,
    };
    if !holds {
        return Ok(IntentResult::Changed);
    }
    let end = match prepared {
        Prepared::Made { becomes, messages, presents } => {
            made(tx, policy, &intent, *becomes, messages, bodies, now)?;
            if *presents && *becomes == Becomes::Original {
                present_again(tx, &intent, now)?;
            }
            IntentState::Prepared
        }
        Prepared::Cancelled => {
            cancelled(tx, policy, &intent, now)?;
            IntentState::Prepared
        }
        Prepared::Refused { reasons, .. } => {
            refused(tx, policy, &intent, reasons, now)?;
            IntentState::Refused
        }
        Prepared::Dropped | Prepared::Waits { .. } => IntentState::Withdrawn,
    };
    let why = if let Prepared::Refused { why, .. } = prepared { Some(why.as_str()) } else { None };
    tx.run(
        "UPDATE intents SET state = ?2, why = ?3, look_at = NULL, settled_at = ?4 WHERE intent_id = ?1",
        params![id.0.as_bytes(), end.as_str(), why, ms(now)],
    )?;
    tx.tally(&intent.broker, Some(DeliveryState::Waiting), None);
    if end == IntentState::Withdrawn && intent.kind == MessageKind::Declaration {
        wake_filing(tx, intent.filing_id, now)?;
    }
    // The next intent of the filing is first now.
    look(tx, intent.filing_id)?;
    Ok(IntentResult::Done)
}

fn intent(tx: &Tx<'_>, id: IntentId) -> rusqlite::Result<Option<Intent>> {
    tx.row(
        "SELECT declaration_id, filing_id, broker, kind, version, conversation_id, traceparent, looks FROM intents WHERE intent_id = ?1 AND state = 'waiting'",
        [id.0.as_bytes()],
        |row| {
            Ok(Intent {
                declaration_id: DeclarationId(col::id(row, 0)?),
                filing_id: FilingId(col::id(row, 1)?),
                broker: row.get(2)?,
                kind: col::word(row, 3, MessageKind::parse)?,
                version: row.get(4)?,
                conversation_id: ConversationId(col::id(row, 5)?),
                traceparent: row.get(6)?,
                looks: row.get(7)?,
            })
        },
    )
}

/// Whether a reference of these messages was given out since: at this broker, or to another filing of the item.
fn lrn_taken(tx: &Tx<'_>, intent: &Intent, messages: &[NewMessage]) -> rusqlite::Result<bool> {
    for message in messages {
        if refs::find(tx.conn, &intent.broker, ReferenceKind::Lrn, &message.lrn)?.is_some() {
            return Ok(true);
        }
    }
    let Some(first) = messages.first().filter(|first| first.kind != MessageKind::Query) else { return Ok(false) };
    let sql = "SELECT coalesce(max(o.lrn_used), 0) FROM declarations d
               JOIN declarations o ON o.item_id = d.item_id AND o.posted_on = d.posted_on WHERE d.declaration_id = ?1";
    let used: Option<u16> = tx.row(sql, [intent.declaration_id.0.as_bytes()], |row| row.get(0))?;
    Ok(used.is_some_and(|used| lrn_counter(&first.lrn) <= used))
}

/// Writes the messages at the end of the filing's order. What they replace ends `withdrawn`.
fn made(
    tx: &Tx<'_>,
    policy: &Policy,
    intent: &Intent,
    becomes: Becomes,
    messages: &[NewMessage],
    bodies: &[Packed],
    now: Timestamp,
) -> Result<(), Fail> {
    if intent.kind != MessageKind::Query {
        withdraw(tx, intent, becomes == Becomes::Original, now)?;
    }
    let filing_id = intent.filing_id.0.as_bytes();
    let sql = "SELECT 1 + coalesce(max(place), -1), coalesce(max(cycle), 1), count(*) FROM message_filings WHERE filing_id = ?1";
    let (first, cycle, before): (i64, i64, i64) =
        tx.row(sql, [filing_id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.unwrap_or((0, 1, 0));
    let cycle = cycle + i64::from(becomes == Becomes::Original && before > 0);
    let sending = Sending {
        declaration_id: intent.declaration_id,
        broker: &intent.broker,
        conversation_id: intent.conversation_id,
        traceparent: intent.traceparent.as_deref(),
        at: now,
    };
    for ((place, message), body) in (first..).zip(messages).zip(bodies) {
        insert_message(tx, &sending, message, body)?;
        tx.run(
            "INSERT INTO message_filings (message_id, filing_id, declaration_id, place, version, cycle) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![message.message_id.0.as_bytes(), filing_id, intent.declaration_id.0.as_bytes(), place, intent.version, cycle],
        )?;
        tx.run(
            "INSERT INTO outbox (broker, message_id, state, due_at) VALUES (?1, ?2, 'queued', ?3)",
            params![intent.broker, message.message_id.0.as_bytes(), (place == first).then(|| ms(now))],
        )?;
        tx.tally(&intent.broker, None, Some(DeliveryState::Queued));
    }
    let counted = messages.iter().filter(|message| message.kind != MessageKind::Query);
    let used = counted.map(|message| lrn_counter(&message.lrn)).max().unwrap_or(0);
    tx.run(
        "UPDATE declarations SET lrn_used = max(lrn_used, ?2) WHERE declaration_id = ?1",
        params![intent.declaration_id.0.as_bytes(), used],
    )?;
    tx.wake(Wake::OUTBOX);
    let mut filing = filing(tx, intent)?;
    match (becomes, intent.kind) {
        (_, MessageKind::Query | MessageKind::Declaration) => Ok(()),
        (Becomes::Original, _) => begin_again(tx, policy, &mut filing, now),
        _ => Ok(()),
    }
}

/// What is dead, and with `queued` what waits to be sent, ends: an intent takes its place.
fn withdraw(tx: &Tx<'_>, intent: &Intent, queued: bool, now: Timestamp) -> Result<(), Fail> {
    let replaced = tx.rows(
        "SELECT m.message_id FROM message_filings f JOIN messages m ON m.message_id = f.message_id
         LEFT JOIN outbox o ON o.broker = m.broker AND o.message_id = m.message_id
         WHERE f.filing_id = ?1 AND m.kind <> 'query' AND (m.state = 'dead' OR (?2 AND o.state IN ('queued', 'waiting'))) ORDER BY f.place",
        params![intent.filing_id.0.as_bytes(), queued],
        |row| col::id(row, 0).map(MessageId),
    )?;
    for message in replaced {
        let row = settle::message(tx, message)?;
        let waiting = outbox::waiting(tx, message)?;
        let attempts = waiting.as_ref().map_or(row.attempts, |waiting| waiting.attempts);
        leave(tx, &row, waiting.as_ref(), DeliveryState::Withdrawn, row.reason, attempts, now)?;
    }
    Ok(())
}

/// What waited behind a declaration that is not made anew goes on.
fn wake_filing(tx: &Tx<'_>, filing: FilingId, now: Timestamp) -> Result<(), Fail> {
    let messages = tx.rows("SELECT message_id FROM message_filings WHERE filing_id = ?1 ORDER BY place", [filing.0.as_bytes()], |row| {
        col::id(row, 0).map(MessageId)
    })?;
    messages.into_iter().try_for_each(|message| outbox::wake_followers(tx, message, now))
}

/// A corrected declaration starts over: what customs rejected is a cycle of its own, and what was said of it before comes too late.
fn begin_again(tx: &Tx<'_>, policy: &Policy, filing: &mut FilingRow, now: Timestamp) -> Result<(), Fail> {
    let fresh = match filing.state.status {
        Status::Clearance(ClearanceStatus::Rejected) => Status::Clearance(ClearanceStatus::Pending),
        Status::Security(SecurityStatus::Rejected) => Status::Security(SecurityStatus::None),
        _ => return Ok(()),
    };
    let state = &mut filing.state;
    let previous = std::mem::replace(&mut state.status, fresh);
    state.past_mrns.extend(state.mrn.take());
    state.since = now;
    // The next word may be of the same second; repetitions of the rejection are known by their message and reference.
    state.authority_at = None;
    state.unanswered.clear();
    state.open.clear();
    let change = Change::Status { previous, new: fresh };
    let fact = Fact { track: filing.track, ..Fact::default() };
    if let Some(draft) = apply::told(filing, &fact, &change, now, policy.retention_reasons(&filing.post)) {
        append(tx, filing, &draft, now)?;
    }
    save(tx, filing)
}

/// The broker has nothing: cancelled by us.
fn cancelled(tx: &Tx<'_>, policy: &Policy, intent: &Intent, now: Timestamp) -> Result<(), Fail> {
    withdraw(tx, intent, true, now)?;
    let mut filing = filing(tx, intent)?;
    let status = match filing.track {
        Track::Security => Status::Security(SecurityStatus::Cancelled),
        Track::Clearance | Track::Export => Status::Clearance(ClearanceStatus::Cancelled),
    };
    let fact = Fact { track: filing.track, status: Some(status), ..Fact::default() };
    merge_one(tx, policy, &mut filing, &fact, now)?;
    save(tx, &filing)
}

/// The post is told that its wish cannot be carried out; the clearance stays.
fn refused(tx: &Tx<'_>, policy: &Policy, intent: &Intent, reasons: &[Reason], now: Timestamp) -> Result<(), Fail> {
    let filing = filing(tx, intent)?;
    let fact = Fact { track: filing.track, reasons: reasons.to_vec(), ..Fact::default() };
    let change = Change::Answered { kind: intent.kind, result: AnswerResult::Rejected };
    if let Some(draft) = apply::told(&filing, &fact, &change, now, policy.retention_reasons(&filing.post)) {
        append(tx, &filing, &draft, now)?;
    }
    Ok(())
}

/// The item arrived before this declaration was made: its arrival has to be told for it too.
fn present_again(tx: &Tx<'_>, intent: &Intent, now: Timestamp) -> Result<(), Fail> {
    let arrived = tx.row(
        "SELECT 1 FROM declarations WHERE declaration_id = ?1 AND arrived_at IS NOT NULL",
        [intent.declaration_id.0.as_bytes()],
        |_| Ok(()),
    )?;
    let waits = tx.row(
        "SELECT 1 FROM intents WHERE filing_id = ?1 AND state = 'waiting' AND kind = 'presentation'",
        [intent.filing_id.0.as_bytes()],
        |_| Ok(()),
    )?;
    if arrived.is_none() || waits.is_some() {
        return Ok(());
    }
    insert(
        tx,
        &Fresh {
            declaration_id: intent.declaration_id,
            filing_id: intent.filing_id,
            broker: &intent.broker,
            kind: MessageKind::Presentation,
            version: intent.version,
            reason: None,
            answer_id: None,
            conversation_id: intent.conversation_id,
            traceparent: intent.traceparent.as_deref(),
            at: now,
        },
    )
}

fn filing(tx: &Tx<'_>, intent: &Intent) -> Result<FilingRow, Fail> {
    load(tx, intent.declaration_id, intent.filing_id)?.ok_or(Fail::Fault("an intent has no filing"))
}
