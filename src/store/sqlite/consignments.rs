//! Consignments: the dispatch, MAWB or bulk that items travel in. When it closes, declarations that wait for their
//! transport are looked at; when it arrives, so are presentations.

use rusqlite::{Connection, OptionalExtension, params};

use super::col::{self, ms};
use super::intents::{Fresh, insert, look};
use super::job::{Fail, Tx};
use super::{Sqlite, StoreError};
use crate::domain::delivery::MessageKind;
use crate::domain::ids::{ConversationId, DeclarationId, FilingId, S10};
use crate::domain::time::{Date, Timestamp};
use crate::store::intents::{ConsignmentItem, ConsignmentView, NewConsignment};

impl Sqlite {
    pub(in crate::store) async fn put_consignment(&self, new: NewConsignment) -> Result<bool, StoreError> {
        let bytes = new.transport.len() + new.items.len() * 64;
        self.take_in(bytes, move |tx| put(tx, &new)).await
    }

    pub(in crate::store) async fn consignment(&self, post: String, id: String) -> Result<Option<ConsignmentView>, StoreError> {
        self.read(move |conn| Ok(view(conn, &post, &id)?)).await
    }

    pub(in crate::store) async fn consignment_arrived(
        &self,
        post: String,
        id: String,
        at: Timestamp,
        presenting: Vec<String>,
    ) -> Result<bool, StoreError> {
        let now = self.now();
        self.write(0, move |tx| arrived(tx, &post, &id, at, &presenting, now)).await
    }
}

/// Replaces what was said of the consignment; false when it is closed already and not only more is said now.
fn put(tx: &Tx<'_>, new: &NewConsignment) -> Result<bool, Fail> {
    let key = params![new.post, new.consignment_id];
    let closed = tx.row("SELECT closed FROM consignments WHERE post = ?1 AND consignment_id = ?2", key, |row| row.get::<_, bool>(0))?;
    if closed == Some(true) && !completes(tx, new)? {
        return Ok(false);
    }
    tx.run(
        "INSERT INTO consignments (post, consignment_id, type, transport, closed, created_at, changed_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)
         ON CONFLICT (post, consignment_id) DO UPDATE
         SET type = excluded.type, transport = excluded.transport, closed = excluded.closed, changed_at = excluded.changed_at",
        params![new.post, new.consignment_id, new.kind, new.transport, new.closed, ms(new.received_at)],
    )?;
    tx.run("DELETE FROM consignment_items WHERE post = ?1 AND consignment_id = ?2", params![new.post, new.consignment_id])?;
    for item in &new.items {
        tx.run(
            "INSERT OR REPLACE INTO consignment_items (post, consignment_id, item_id, posted_on, receptacle_id) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![new.post, new.consignment_id, item.item_id.as_str(), item.posted_on.to_string(), item.receptacle_id],
        )?;
        if new.closed {
            for filing in filings_of_item(tx, &new.post, item.item_id, item.posted_on)? {
                look(tx, filing)?;
            }
        }
    }
    let key = params![new.post, new.consignment_id];
    let sql = "SELECT arrived_at FROM consignments WHERE post = ?1 AND consignment_id = ?2";
    if let Some(at) = tx.row(sql, key, |row| col::maybe_at(row, 0))?.flatten() {
        arrive_all(tx, &new.post, &new.consignment_id, at, &new.presenting, new.received_at)?;
    }
    Ok(true)
}

/// Whether what is said now holds all that was said before: a closed consignment may be completed, not changed.
fn completes(tx: &Tx<'_>, new: &NewConsignment) -> Result<bool, Fail> {
    let Some(known) = view(tx.conn, &new.post, &new.consignment_id)? else { return Ok(true) };
    let members = |text: &str| serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text).unwrap_or_default();
    let (before, after) = (members(&known.transport), members(&new.transport));
    let keeps_transport = before.iter().filter(|(_, value)| !value.is_null()).all(|(name, value)| after.get(name) == Some(value));
    let has = |item: &ConsignmentItem| {
        new.items
            .iter()
            .any(|kept| kept.item_id == item.item_id && kept.posted_on == item.posted_on && kept.receptacle_id == item.receptacle_id)
    };
    Ok(new.closed && known.kind == new.kind && keeps_transport && known.items.iter().all(|(item, _)| has(item)))
}

fn view(conn: &Connection, post: &str, id: &str) -> rusqlite::Result<Option<ConsignmentView>> {
    let sql =
        "SELECT type, transport, closed, arrived_at, created_at, changed_at FROM consignments WHERE post = ?1 AND consignment_id = ?2";
    let found = conn
        .prepare_cached(sql)?
        .query_row(params![post, id], |row| {
            Ok(ConsignmentView {
                kind: row.get(0)?,
                transport: row.get(1)?,
                closed: row.get(2)?,
                arrived_at: col::maybe_at(row, 3)?,
                items: Vec::new(),
                created_at: col::at(row, 4)?,
                changed_at: col::at(row, 5)?,
            })
        })
        .optional()?;
    let Some(mut view) = found else { return Ok(None) };
    view.items = conn
        .prepare_cached(
            "SELECT i.item_id, i.posted_on, i.receptacle_id, d.declaration_id FROM consignment_items i
             LEFT JOIN declarations d ON d.item_id = i.item_id AND d.posted_on = i.posted_on AND d.post = i.post
             WHERE i.post = ?1 AND i.consignment_id = ?2 ORDER BY i.item_id, i.posted_on",
        )?
        .query_map(params![post, id], |row| {
            let item =
                ConsignmentItem { item_id: col::word(row, 0, S10::parse)?, posted_on: col::date(row, 1)?, receptacle_id: row.get(2)? };
            let declaration = row.get::<_, Option<[u8; 16]>>(3)?.map(|id| DeclarationId(uuid::Uuid::from_bytes(id)));
            Ok((item, declaration))
        })?
        .collect::<Result<_, _>>()?;
    Ok(Some(view))
}

/// What the closed consignments of an item say of its transport, with the receptacle. An item can travel in several, a dispatch and
/// the bulk that it is part of: what changed last counts more.
pub(super) fn transport_of(conn: &Connection, post: &str, item_id: S10, posted_on: Date) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT json_patch(json_object('consignment_id', c.consignment_id, 'receptacle_id', i.receptacle_id), c.transport)
               FROM consignment_items i JOIN consignments c ON c.post = i.post AND c.consignment_id = i.consignment_id
               WHERE i.item_id = ?2 AND i.posted_on = ?3 AND i.post = ?1 AND c.closed ORDER BY c.changed_at LIMIT 16";
    let parts: Vec<String> = conn
        .prepare_cached(sql)?
        .query_map(params![post, item_id.as_str(), posted_on.to_string()], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut merged = serde_json::Map::new();
    for part in &parts {
        let Ok(serde_json::Value::Object(members)) = serde_json::from_str(part) else { continue };
        merged.extend(members.into_iter().filter(|(_, value)| !value.is_null()));
    }
    Ok((!parts.is_empty()).then(|| serde_json::Value::Object(merged).to_string()))
}

fn filings_of_item(tx: &Tx<'_>, post: &str, item_id: S10, posted_on: Date) -> rusqlite::Result<Vec<FilingId>> {
    tx.rows(
        "SELECT f.filing_id FROM declarations d JOIN filings f ON f.declaration_id = d.declaration_id
         WHERE d.item_id = ?1 AND d.posted_on = ?2 AND d.post = ?3",
        params![item_id.as_str(), posted_on.to_string(), post],
        |row| col::id(row, 0).map(FilingId),
    )
}

/// False when the consignment is unknown.
fn arrived(tx: &Tx<'_>, post: &str, id: &str, at: Timestamp, presenting: &[String], now: Timestamp) -> Result<bool, Fail> {
    let known = tx.run(
        "UPDATE consignments SET arrived_at = coalesce(min(arrived_at, ?3), ?3) WHERE post = ?1 AND consignment_id = ?2",
        params![post, id, ms(at)],
    )?;
    if known == 0 {
        return Ok(false);
    }
    arrive_all(tx, post, id, at, presenting, now)?;
    Ok(true)
}

fn arrive_all(tx: &Tx<'_>, post: &str, id: &str, at: Timestamp, presenting: &[String], now: Timestamp) -> Result<(), Fail> {
    let items =
        tx.rows("SELECT item_id, posted_on FROM consignment_items WHERE post = ?1 AND consignment_id = ?2", params![post, id], |row| {
            Ok((col::word(row, 0, S10::parse)?, col::date(row, 1)?))
        })?;
    for (item_id, posted_on) in items {
        let sql = "SELECT declaration_id FROM declarations WHERE item_id = ?1 AND posted_on = ?2 AND post = ?3";
        let found = tx.row(sql, params![item_id.as_str(), posted_on.to_string(), post], |row| col::id(row, 0).map(DeclarationId))?;
        if let Some(declaration) = found {
            arrive(tx, declaration, at, presenting, now)?;
        }
    }
    Ok(())
}

/// An item arrived: destination-leg events may be proposed, and who wants to be told gets a presentation; told again, those get
/// another that did not take the one before.
pub(super) fn arrive(tx: &Tx<'_>, declaration: DeclarationId, at: Timestamp, presenting: &[String], now: Timestamp) -> Result<(), Fail> {
    tx.run(
        "UPDATE declarations SET arrived_at = coalesce(min(arrived_at, ?2), ?2) WHERE declaration_id = ?1",
        params![declaration.0.as_bytes(), ms(at)],
    )?;
    let filings = tx.rows(
        "SELECT f.filing_id, f.broker, d.version, v.conversation_id, v.traceparent FROM filings f
         JOIN declarations d ON d.declaration_id = f.declaration_id
         JOIN versions v ON v.declaration_id = d.declaration_id AND v.version = d.version WHERE f.declaration_id = ?1
           AND NOT EXISTS (SELECT 1 FROM intents i WHERE i.filing_id = f.filing_id AND i.kind = 'presentation' AND i.state = 'waiting')
           AND NOT EXISTS (SELECT 1 FROM message_filings c JOIN messages m ON m.message_id = c.message_id
                           WHERE c.filing_id = f.filing_id AND m.kind = 'presentation' AND m.state NOT IN ('dead', 'withdrawn') AND m.reason IS NULL
                             AND c.cycle = (SELECT max(cycle) FROM message_filings WHERE filing_id = f.filing_id))",
        [declaration.0.as_bytes()],
        |row| {
            Ok((
                FilingId(col::id(row, 0)?),
                row.get::<_, String>(1)?,
                row.get::<_, u32>(2)?,
                ConversationId(col::id(row, 3)?),
                row.get::<_, Option<String>>(4)?,
            ))
        },
    )?;
    for (filing_id, broker, version, conversation_id, traceparent) in filings.iter().filter(|filing| presenting.contains(&filing.1)) {
        insert(
            tx,
            &Fresh {
                declaration_id: declaration,
                filing_id: *filing_id,
                broker,
                kind: MessageKind::Presentation,
                version: *version,
                reason: None,
                answer_id: None,
                conversation_id: *conversation_id,
                traceparent: traceparent.as_deref(),
                at: now,
            },
        )?;
    }
    Ok(())
}
