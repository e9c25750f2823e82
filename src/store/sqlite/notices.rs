//! Notices: stored first, read second, correlated and merged in one commit.
//!
//! A notice can come before the answer to its own submission: then it is an orphan, keeps the
//! references that it names, and is read again as soon as one of them is bound. It can come twice,
//! late or unreadable: it is stored all the same, and its broker's channel never waits for us.

use rusqlite::params;
use sha2::{Digest, Sha256};

use super::audit::new_salt;
use super::col::{self, ms};
use super::events::merge_facts;
use super::job::{Fail, Tx};
use super::pack::{Packed, pack};
use super::refs;
use super::settle::{delivered_by_verdict, link, message, refused_later};
use super::signals::Wake;
use super::{Policy, Sqlite, StoreError};
use crate::domain::audit::{Salt, of_notice};
use crate::domain::fact::{Fact, ReferenceKind};
use crate::domain::ids::{MessageId, NoticeId};
use crate::domain::time::Timestamp;
use crate::store::types::{NewNotice, NoticeResult, NoticeRow, Reading, Taken};

/// Bodies that one look may bring along.
const MAX_READ_BYTES: usize = 16 * 1024 * 1024;

impl Sqlite {
    pub(in crate::store) async fn take_notice(&self, new: NewNotice) -> Result<Taken, StoreError> {
        let hash: [u8; 32] = Sha256::digest(&new.body).into();
        let (body, salt) = (pack(&new.body), new_salt());
        self.write(body.bytes.len(), move |tx| take(tx, &new, &hash, &body, &salt)).await
    }

    pub(in crate::store) async fn notices_to_read(&self, except: Vec<String>, limit: usize) -> Result<Vec<NoticeRow>, StoreError> {
        self.read(move |conn| {
            let mut statement = conn.prepare_cached(
                "SELECT n.notice_id, n.broker, n.content_type, b.size, b.bytes, n.conversation, n.received_at
                 FROM notices n JOIN bodies b ON b.body_id = n.body_id WHERE n.state = 'new' ORDER BY n.received_at, n.notice_id",
            )?;
            let mut rows = statement.query([])?;
            let (mut found, mut bytes) = (Vec::new(), 0);
            while found.len() < limit && bytes < MAX_READ_BYTES {
                let Some(row) = rows.next()? else { break };
                if except.iter().any(|broker| row.get_ref(1).is_ok_and(|found| found.as_str().is_ok_and(|found| found == broker))) {
                    continue;
                }
                let notice = NoticeRow {
                    notice_id: NoticeId(col::id(row, 0)?),
                    broker: row.get(1)?,
                    content_type: row.get(2)?,
                    body: col::body(row, 3)?,
                    conversation: row.get(5)?,
                    received_at: col::at(row, 6)?,
                };
                bytes += notice.body.len();
                found.push(notice);
            }
            Ok(found)
        })
        .await
    }

    pub(in crate::store) async fn settle_notice(&self, notice: NoticeId, reading: Reading) -> Result<NoticeResult, StoreError> {
        let policy = self.policy.clone();
        self.write(0, move |tx| settle(tx, &policy, notice, &reading)).await
    }
}

fn take(tx: &Tx<'_>, new: &NewNotice, hash: &[u8; 32], body: &Packed, salt: &Salt) -> Result<Taken, Fail> {
    let repeated =
        tx.run("UPDATE notices SET repeats = repeats + 1 WHERE broker = ?1 AND dedupe_key = ?2", params![new.broker, new.dedupe_key])?;
    if repeated > 0 {
        return Ok(Taken { duplicate: true });
    }
    let body_id = tx.keep(body)?;
    tx.run(
        "INSERT INTO notices (notice_id, broker, via, dedupe_key, content_type, body_id, body_hash, size, conversation, received_at, state,
                              salt, link_id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 'new', ?11, ?12)",
        params![
            new.notice_id.0.as_bytes(),
            new.broker,
            new.via,
            new.dedupe_key,
            new.content_type,
            body_id,
            hash,
            i64::try_from(new.body.len()).unwrap_or(i64::MAX),
            new.conversation.as_ref().filter(|c| c.len() <= refs::MAX_REFERENCE),
            ms(new.received_at),
            salt,
            tx.link_id
        ],
    )?;
    tx.chain(of_notice(salt, new.notice_id, hash));
    tx.wake(Wake::NOTICES);
    Ok(Taken { duplicate: false })
}

/// A stored notice as far as settling it needs.
struct Stored {
    notice_id: NoticeId,
    broker: String,
    conversation: Option<String>,
    received_at: Timestamp,
}

fn settle(tx: &Tx<'_>, policy: &Policy, id: NoticeId, reading: &Reading) -> Result<NoticeResult, Fail> {
    let found = tx.row("SELECT state, broker, conversation, received_at FROM notices WHERE notice_id = ?1", [id.0.as_bytes()], |row| {
        let stored = Stored { notice_id: id, broker: row.get(1)?, conversation: row.get(2)?, received_at: col::at(row, 3)? };
        Ok((row.get::<_, String>(0)?, stored))
    })?;
    let (state, stored) = found.ok_or(Fail::Fault("a notice is unknown"))?;
    if let Some(before) = NoticeResult::parse(&state) {
        return Ok(before);
    }
    let (outcome, version, reason) = match reading {
        Reading::Unreadable { reason, mapping_version } => (NoticeResult::Unreadable.into(), mapping_version.as_deref(), Some(*reason)),
        Reading::Facts { mapping_version, facts } => (apply(tx, policy, &stored, facts)?, Some(mapping_version.as_str()), None),
    };
    let Outcome { result, state } = outcome;
    tx.run(
        "UPDATE notices SET state = ?2, reason = ?3, mapping_version = ?4 WHERE notice_id = ?1",
        params![id.0.as_bytes(), state.as_str(), reason, version],
    )?;
    Ok(result)
}

/// What a notice did, and the state that it is kept in: with one fact applied and another without its
/// item, it did something and still waits.
struct Outcome {
    result: NoticeResult,
    state: NoticeResult,
}

impl From<NoticeResult> for Outcome {
    fn from(result: NoticeResult) -> Self {
        Self { result, state: result }
    }
}

fn apply(tx: &Tx<'_>, policy: &Policy, notice: &Stored, facts: &[Fact]) -> Result<Outcome, Fail> {
    let bare = [Fact::default()];
    // A notice without facts still belongs to the message of its conversation.
    let read = if facts.is_empty() { &bare[..] } else { facts };
    let mut applied = false;
    // A fact can bind the reference that an earlier one of the same notice is known by: what has no item
    // yet is tried again as long as others find theirs, and waits only after that.
    let mut waiting: Vec<&Fact> = read.iter().collect();
    loop {
        let before = waiting.len();
        let mut left = Vec::new();
        for fact in waiting {
            if let Some(message) = correlate(tx, notice, fact)? {
                link(tx, message, notice.notice_id)?;
                applied |= apply_one(tx, policy, message, fact, notice.received_at)?;
            } else {
                left.push(fact);
            }
        }
        waiting = left;
        if waiting.is_empty() || waiting.len() == before {
            break;
        }
    }
    for fact in &waiting {
        for (kind, value) in keys(notice, fact) {
            refs::await_reference(tx, &notice.broker, kind, value, notice.notice_id)?;
        }
    }
    let orphan = !waiting.is_empty();
    let result = if applied {
        NoticeResult::Applied
    } else if orphan {
        NoticeResult::Orphan
    } else if !facts.is_empty() && facts.iter().all(|fact| fact.unknown_code) {
        NoticeResult::UnknownCode
    } else {
        NoticeResult::Recorded
    };
    Ok(Outcome { result, state: if orphan { NoticeResult::Orphan } else { result } })
}

/// What a fact can be known by, in the order of trust: the broker's own conversation with one message,
/// the authority's reference, ours, the broker's job.
fn keys<'a>(notice: &'a Stored, fact: &'a Fact) -> impl Iterator<Item = (ReferenceKind, &'a str)> {
    let conversations = [fact.conversation.as_deref(), notice.conversation.as_deref()].map(|v| (ReferenceKind::Conversation, v));
    let others =
        [(ReferenceKind::Mrn, fact.mrn.as_deref()), (ReferenceKind::Lrn, fact.lrn.as_deref()), (ReferenceKind::Job, fact.job.as_deref())];
    conversations.into_iter().chain(others).filter_map(|(kind, value)| value.map(|value| (kind, value)))
}

fn correlate(tx: &Tx<'_>, notice: &Stored, fact: &Fact) -> Result<Option<MessageId>, Fail> {
    for (kind, value) in keys(notice, fact) {
        if let Some(message) = refs::find(tx.conn, &notice.broker, kind, value)? {
            return Ok(Some(message));
        }
    }
    Ok(None)
}

/// Applies one fact to its message; whether it changed anything.
fn apply_one(tx: &Tx<'_>, policy: &Policy, id: MessageId, fact: &Fact, at: Timestamp) -> Result<bool, Fail> {
    let mut row = message(tx, id)?;
    refs::bind_told(tx, &row.broker, fact, id, at)?;
    if fact.refused {
        return refused_later(tx, policy, &mut row, fact, at);
    }
    // Only what customs or the broker decided about the message proves that they have it; a remark does not.
    let verdict = !fact.unknown_code && (fact.status.is_some() || fact.result.is_some());
    let delivered = verdict && delivered_by_verdict(tx, &mut row, at)?;
    let merged = merge_facts(tx, policy, &row, std::slice::from_ref(fact), at)?;
    Ok(delivered || merged)
}
