//! Filings whose broker has them and of which customs has said nothing for too long.
//!
//! `awaited_since` is set in the commit that makes a filing `submitted` and cleared in the one of the first decision, so that
//! neither a crash nor a late look can tell the post of what is answered, or tell it twice.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension, params};

use super::col::{self, ms};
use super::events;
use super::job::{Fail, Tx};
use super::{Policy, Sqlite, StoreError};
use crate::domain::ids::{DeclarationId, FilingId};
use crate::domain::time::Timestamp;
use crate::store::apply;

impl Sqlite {
    pub(in crate::store) async fn awaited_since(&self, broker: String) -> Result<Option<Timestamp>, StoreError> {
        self.read(move |conn| {
            let sql = "SELECT awaited_since FROM filings WHERE broker = ?1 AND awaited_since IS NOT NULL ORDER BY awaited_since LIMIT 1";
            Ok(conn.prepare_cached(sql)?.query_row([broker], |row| col::at(row, 0)).optional()?)
        })
        .await
    }

    pub(in crate::store) async fn tell_overdue(
        &self,
        broker: String,
        since: Timestamp,
        limit: u32,
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        let policy = self.policy.clone();
        self.write(0, move |tx| tell(tx, &policy, &broker, since, limit, now)).await
    }

    pub(in crate::store) async fn overdue(&self) -> Result<BTreeMap<String, u64>, StoreError> {
        self.read(|conn| {
            let mut statement = conn.prepare_cached("SELECT broker, count(*) FROM filings WHERE overdue_at IS NOT NULL GROUP BY broker")?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, col::count(row, 1)?)))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }
}

fn tell(tx: &Tx<'_>, policy: &Policy, broker: &str, since: Timestamp, limit: u32, now: Timestamp) -> Result<usize, Fail> {
    let late = tx.rows(
        "SELECT declaration_id, filing_id FROM filings WHERE broker = ?1 AND awaited_since <= ?2 ORDER BY awaited_since LIMIT ?3",
        params![broker, ms(since), limit],
        |row| Ok((DeclarationId(col::id(row, 0)?), FilingId(col::id(row, 1)?))),
    )?;
    for (declaration, filing) in &late {
        tx.run(
            "UPDATE filings SET awaited_since = NULL, overdue_at = ?3 WHERE declaration_id = ?1 AND filing_id = ?2",
            params![declaration.0.as_bytes(), filing.0.as_bytes(), ms(now)],
        )?;
        let filing = events::load(tx, *declaration, *filing)?.ok_or(Fail::Fault("a filing is unknown"))?;
        if let Some(draft) = apply::overdue(&filing, now, policy.retention_reasons(&filing.post)) {
            events::append(tx, &filing, &draft, now)?;
        }
    }
    Ok(late.len())
}
