//! What a post sees of its own: a declaration, an item, the messages. Another post's id is unknown here.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::col;
use super::events::{references, state};
use super::job::Fail;
use super::ops::hex;
use super::{Sqlite, StoreError};
use crate::domain::delivery::{DeadReason, DeliveryState, MessageKind};
use crate::domain::fact::Track;
use crate::domain::ids::{ConversationId, DeclarationId, EventId, FilingId, MessageId, NoticeId, S10};
use crate::store::types::NoticeResult;
use crate::store::view::{AttemptView, DeclarationView, FilingRecord, HistoryEntry, MessageView, MessagesView, NoticeView};

/// Events, messages or notices shown of one declaration; the first ones.
const MAX_SHOWN: i64 = 1000;
/// Bytes of contents shown with the messages of one declaration; what is beyond has only its hash.
const MAX_CONTENT_BYTES: usize = 32 * 1024 * 1024;

impl Sqlite {
    pub(in crate::store) async fn declaration(&self, post: String, id: DeclarationId) -> Result<Option<DeclarationView>, StoreError> {
        self.read(move |conn| declaration(conn, &post, id)).await
    }

    pub(in crate::store) async fn item(&self, post: String, item_id: S10) -> Result<Option<DeclarationView>, StoreError> {
        self.read(move |conn| {
            let sql = "SELECT declaration_id FROM declarations WHERE item_id = ?1 AND post = ?2 ORDER BY posted_on DESC LIMIT 1";
            let newest = conn
                .prepare_cached(sql)?
                .query_row(params![item_id.as_str(), post], |row| col::id(row, 0).map(DeclarationId))
                .optional()?;
            newest.map_or(Ok(None), |id| declaration(conn, &post, id))
        })
        .await
    }

    pub(in crate::store) async fn messages(
        &self,
        post: String,
        id: DeclarationId,
        with_content: bool,
    ) -> Result<Option<MessagesView>, StoreError> {
        self.read(move |conn| {
            let sql = "SELECT 1 FROM declarations WHERE declaration_id = ?1 AND post = ?2";
            if conn.prepare_cached(sql)?.query_row(params![id.0.as_bytes(), post], |_| Ok(())).optional()?.is_none() {
                return Ok(None);
            }
            let mut room = if with_content { MAX_CONTENT_BYTES } else { 0 };
            let messages = messages(conn, &post, id, &mut room)?;
            let notices = notices(conn, &post, id, &mut room)?;
            Ok(Some(MessagesView { messages, notices }))
        })
        .await
    }
}

fn declaration(conn: &Connection, post: &str, id: DeclarationId) -> Result<Option<DeclarationView>, Fail> {
    let found = conn
        .prepare_cached(
            "SELECT d.item_id, d.posted_on, d.version, b.size, b.bytes, v.warnings, v.conversation_id, v.received_at, d.arrived_at
             FROM declarations d
             JOIN versions v ON v.declaration_id = d.declaration_id AND v.version = d.version
             JOIN bodies b ON b.body_id = v.body_id
             WHERE d.declaration_id = ?1 AND d.post = ?2",
        )?
        .query_row(params![id.0.as_bytes(), post], |row| {
            Ok(DeclarationView {
                post: post.to_owned(),
                declaration_id: id,
                item_id: col::word(row, 0, S10::parse)?,
                posted_on: col::date(row, 1)?,
                version: row.get(2)?,
                body: col::body(row, 3)?,
                warnings_json: row.get(5)?,
                conversation_id: ConversationId(col::id(row, 6)?),
                received_at: col::at(row, 7)?,
                arrived_at: col::maybe_at(row, 8)?,
                filings: Vec::new(),
                history: Vec::new(),
                intents: Vec::new(),
                transport: None,
            })
        })
        .optional()?;
    let Some(mut view) = found else { return Ok(None) };
    view.filings = filings(conn, id)?;
    view.history = history(conn, id)?;
    view.intents = super::intents::of_declaration(conn, id)?;
    view.transport = super::consignments::transport_of(conn, post, view.item_id, view.posted_on)?;
    Ok(Some(view))
}

fn filings(conn: &Connection, id: DeclarationId) -> Result<Vec<FilingRecord>, Fail> {
    let mut statement = conn.prepare_cached(
        "SELECT filing_id, track, broker, rule, why, created_at, state FROM filings WHERE declaration_id = ?1 ORDER BY filing_id",
    )?;
    let mut filings: Vec<FilingRecord> = statement
        .query_map([id.0.as_bytes()], |row| {
            let (track, created_at) = (col::word(row, 1, Track::parse)?, col::at(row, 5)?);
            Ok(FilingRecord {
                filing_id: FilingId(col::id(row, 0)?),
                track,
                broker: row.get(2)?,
                rule: row.get(3)?,
                why: row.get(4)?,
                created_at,
                state: state(row, 6, track, created_at)?,
                delivery: DeliveryState::Waiting,
                dead_reason: None,
                waits_for: None,
                messages: Vec::new(),
                references: Vec::new(),
            })
        })?
        .collect::<Result<_, _>>()?;
    for filing in &mut filings {
        filing.references = references(conn, filing.filing_id)?;
        filing.messages = super::intents::messages_of(conn, filing.filing_id)?;
        filing.waits_for = super::intents::declaration_waits(conn, filing.filing_id)?;
        // The first that is not settled well stands for the filing; when all are, the last.
        let sql = "SELECT coalesce(o.state, m.state), m.reason FROM message_filings f
                   JOIN messages m ON m.message_id = f.message_id
                   LEFT JOIN outbox o ON o.broker = m.broker AND o.message_id = m.message_id
                   WHERE f.filing_id = ?1 AND m.kind <> 'query'
                   ORDER BY m.state IN ('delivered', 'withdrawn'), CASE WHEN m.state IN ('delivered', 'withdrawn') THEN -f.place ELSE f.place END
                   LIMIT 1";
        let read = |row: &Row<'_>| Ok((col::word(row, 0, DeliveryState::parse)?, dead_reason(row, 1)?));
        if let Some((delivery, reason)) = conn.prepare_cached(sql)?.query_row([filing.filing_id.0.as_bytes()], read).optional()? {
            (filing.delivery, filing.dead_reason) = (delivery, reason);
        } else if filing.waits_for.is_none() {
            // Taken back before it was a message.
            filing.delivery = DeliveryState::Withdrawn;
        }
    }
    Ok(filings)
}

fn dead_reason(row: &Row<'_>, index: usize) -> rusqlite::Result<Option<DeadReason>> {
    Ok(row.get::<_, Option<String>>(index)?.and_then(|word| DeadReason::parse(&word)))
}

fn history(conn: &Connection, id: DeclarationId) -> Result<Vec<HistoryEntry>, Fail> {
    let mut statement = conn.prepare_cached(
        "SELECT position, event_id, type, filing_id, track, status, occurred_at, received_at FROM events
         WHERE declaration_id = ?1 ORDER BY position LIMIT ?2",
    )?;
    let rows = statement.query_map(params![id.0.as_bytes(), MAX_SHOWN], |row| {
        Ok(HistoryEntry {
            position: row.get(0)?,
            event_id: EventId(col::id(row, 1)?),
            event_type: row.get(2)?,
            filing_id: FilingId(col::id(row, 3)?),
            track: col::word(row, 4, Track::parse)?,
            status: row.get(5)?,
            occurred_at: col::maybe_at(row, 6)?,
            received_at: col::at(row, 7)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn messages(conn: &Connection, post: &str, id: DeclarationId, room: &mut usize) -> Result<Vec<MessageView>, Fail> {
    let mut statement = conn.prepare_cached(
        "SELECT m.message_id, m.broker, m.kind, coalesce(o.state, m.state), m.reason, m.content_type, b.size, m.body_hash,
                m.mapping, m.mapping_version, m.lrn, m.created_at, m.settled_at,
                CASE WHEN EXISTS (SELECT 1 FROM message_filings x JOIN declarations d ON d.declaration_id = x.declaration_id
                                  WHERE x.message_id = m.message_id AND d.post <> ?3) THEN NULL ELSE m.body_id END,
                m.conversions
         FROM filings f
         JOIN message_filings c ON c.filing_id = f.filing_id
         JOIN messages m ON m.message_id = c.message_id
         JOIN bodies b ON b.body_id = m.body_id
         LEFT JOIN outbox o ON o.broker = m.broker AND o.message_id = m.message_id
         WHERE f.declaration_id = ?1 GROUP BY m.message_id ORDER BY m.message_id LIMIT ?2",
    )?;
    let mut messages: Vec<(MessageView, Option<i64>)> = statement
        .query_map(params![id.0.as_bytes(), MAX_SHOWN, post], |row| {
            let message = MessageView {
                message_id: MessageId(col::id(row, 0)?),
                filing_ids: Vec::new(),
                broker: row.get(1)?,
                kind: col::word(row, 2, MessageKind::parse)?,
                state: col::word(row, 3, DeliveryState::parse)?,
                dead_reason: dead_reason(row, 4)?,
                content_type: row.get(5)?,
                size: col::count(row, 6)?,
                sha256: hex(&row.get::<_, [u8; 32]>(7)?),
                mapping: row.get(8)?,
                mapping_version: row.get(9)?,
                lrn: row.get(10)?,
                created_at: col::at(row, 11)?,
                settled_at: col::maybe_at(row, 12)?,
                conversions: row.get(14)?,
                attempts: Vec::new(),
                content: None,
            };
            Ok((message, row.get(13)?))
        })?
        .collect::<Result<_, _>>()?;
    for (message, body_id) in &mut messages {
        let sql = "SELECT filing_id FROM message_filings WHERE message_id = ?1 AND declaration_id = ?2 ORDER BY filing_id";
        message.filing_ids = conn
            .prepare_cached(sql)?
            .query_map(params![message.message_id.0.as_bytes(), id.0.as_bytes()], |row| col::id(row, 0).map(FilingId))?
            .collect::<Result<_, _>>()?;
        message.attempts = attempts(conn, message.message_id)?;
        message.content = content(conn, *body_id, message.size, room)?;
    }
    Ok(messages.into_iter().map(|(message, _)| message).collect())
}

fn attempts(conn: &Connection, message: MessageId) -> Result<Vec<AttemptView>, Fail> {
    let mut statement = conn.prepare_cached(
        "SELECT number, started_at, finished_at, outcome, http_status, spent, notice_id FROM attempts WHERE message_id = ?1
         ORDER BY number LIMIT ?2",
    )?;
    let rows = statement.query_map(params![message.0.as_bytes(), MAX_SHOWN], |row| {
        Ok(AttemptView {
            number: row.get(0)?,
            started_at: col::at(row, 1)?,
            finished_at: col::at(row, 2)?,
            outcome: row.get(3)?,
            http_status: row.get(4)?,
            spent: row.get(5)?,
            notice_id: row.get::<_, Option<[u8; 16]>>(6)?.map(|id| NoticeId(uuid::Uuid::from_bytes(id))),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn notices(conn: &Connection, post: &str, id: DeclarationId, room: &mut usize) -> Result<Vec<NoticeView>, Fail> {
    let mut statement = conn.prepare_cached(
        "SELECT n.notice_id, l.message_id, n.broker, n.via, n.content_type, n.size, n.body_hash, n.received_at, n.state, n.reason,
                n.mapping_version, CASE WHEN n.post = ?3 THEN n.body_id END
         FROM filings f
         JOIN message_filings c ON c.filing_id = f.filing_id
         JOIN notice_messages l ON l.message_id = c.message_id
         JOIN notices n ON n.notice_id = l.notice_id
         WHERE f.declaration_id = ?1 GROUP BY n.notice_id ORDER BY n.received_at, n.notice_id LIMIT ?2",
    )?;
    let mut notices: Vec<(NoticeView, Option<i64>)> = statement
        .query_map(params![id.0.as_bytes(), MAX_SHOWN, post], |row| {
            let notice = NoticeView {
                notice_id: NoticeId(col::id(row, 0)?),
                message_id: MessageId(col::id(row, 1)?),
                broker: row.get(2)?,
                via: row.get(3)?,
                content_type: row.get(4)?,
                size: col::count(row, 5)?,
                sha256: hex(&row.get::<_, [u8; 32]>(6)?),
                received_at: col::at(row, 7)?,
                result: NoticeResult::parse(&row.get::<_, String>(8)?),
                reason: row.get(9)?,
                mapping_version: row.get(10)?,
                content: None,
            };
            Ok((notice, row.get(11)?))
        })?
        .collect::<Result<_, _>>()?;
    for (notice, body_id) in &mut notices {
        notice.content = content(conn, *body_id, notice.size, room)?;
    }
    Ok(notices.into_iter().map(|(notice, _)| notice).collect())
}

/// The bytes, as long as there is room for them in the answer. What speaks of another post's items too
/// comes without a body: nobody may see them.
fn content(conn: &Connection, body_id: Option<i64>, size: u64, room: &mut usize) -> Result<Option<bytes::Bytes>, Fail> {
    let Some(body_id) = body_id else { return Ok(None) };
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    if *room == 0 || size > *room {
        return Ok(None);
    }
    *room -= size;
    let bytes = conn.prepare_cached("SELECT size, bytes FROM bodies WHERE body_id = ?1")?.query_row([body_id], |row| col::body(row, 0));
    Ok(bytes.optional()?)
}
