//! Parked notices are read again: by an operator's order, or when a mapping has a newer version than the one that read them.
//!
//! To read again is to be `new` again: the reader takes it up with the mapping that serves, and settling it twice changes
//! nothing. Its key stays, so that a repeat of it is still a repeat.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};
use uuid::Uuid;

use super::audit::{self, Step};
use super::col;
use super::job::{Fail, Tx};
use super::refs::forget_orphan;
use super::signals::Wake;
use super::{Sqlite, StoreError};
use crate::domain::ids::NoticeId;
use crate::domain::operate::ActKind;
use crate::domain::time::Timestamp;
use crate::store::orders::{Handled, ParkedSelection};
use crate::store::types::NoticeResult;

/// Notices set back with one job.
const STEP: usize = 500;
/// Rows that one read passes over.
const LOOKED_AT: usize = 5000;

/// Where a walk over parked notices stands: when the last one came, and which it was.
type Cursor = (i64, [u8; 16]);

/// A parked notice as far as choosing needs it.
struct Parked {
    broker: String,
    mapping_version: Option<String>,
}

impl Sqlite {
    pub(in crate::store) async fn count_parked(&self, asked: ParkedSelection) -> Result<u64, StoreError> {
        self.read(move |conn| {
            let sql = "SELECT count(*) FROM notices
                       WHERE state NOT IN ('new', 'applied', 'recorded') AND state = ?1 AND (?2 IS NULL OR broker = ?2)";
            Ok(conn.prepare_cached(sql)?.query_row(params![asked.state.as_str(), asked.broker], |row| col::count(row, 0))?)
        })
        .await
    }

    pub(in crate::store) async fn reread(&self, asked: ParkedSelection, reason: Option<String>) -> Result<Handled, StoreError> {
        let (at, matched) = (self.now(), self.count_parked(asked.clone()).await?);
        let order = Order { act_id: Uuid::now_v7(), at, asked: asked.clone(), reason };
        let broker = asked.broker;
        let wanted = move |parked: &Parked| broker.as_ref().is_none_or(|broker| *broker == parked.broker);
        let done = self.walk(asked.state, wanted, Some(order)).await?;
        Ok(Handled { matched, done })
    }

    pub(in crate::store) async fn reread_outdated(&self, versions: BTreeMap<String, String>) -> Result<u64, StoreError> {
        let mut done = 0;
        for state in [NoticeResult::Unreadable, NoticeResult::UnknownCode] {
            let versions = versions.clone();
            // Without a version the fault was ours, and another mapping is no cure.
            let wanted = move |parked: &Parked| {
                parked.mapping_version.as_ref().zip(versions.get(&parked.broker)).is_some_and(|(read_by, serves)| read_by != serves)
            };
            done += self.walk(state, wanted, None).await?;
        }
        Ok(done)
    }

    /// Sets back every notice of a state that is wanted, in the order in which they came; how many.
    async fn walk(
        &self,
        state: NoticeResult,
        wanted: impl Fn(&Parked) -> bool + Clone + Send + 'static,
        order: Option<Order>,
    ) -> Result<u64, StoreError> {
        let (mut from, mut done, mut part): (Cursor, u64, u32) = ((i64::MIN, [0; 16]), 0, 1);
        loop {
            let wanted = wanted.clone();
            let (found, next) = self.read(move |conn| Ok(page(conn, state, from, wanted)?)).await?;
            if !found.is_empty() {
                let act = order.clone();
                let set = self.write(0, move |tx| step(tx, state, &found, act.as_ref().map(|act| (act, part)))).await?;
                done += set;
                part += u32::from(set > 0);
            }
            let Some(next) = next else { break };
            from = next;
        }
        if let Some(act) = order.filter(|_| part == 1) {
            // That nothing was found is an act too.
            self.write(0, move |tx| act.keep(tx, 1, 0)).await?;
        }
        Ok(done)
    }
}

/// The next notices that are wanted, and where to go on; none at the end.
fn page(
    conn: &Connection,
    state: NoticeResult,
    from: Cursor,
    wanted: impl Fn(&Parked) -> bool,
) -> rusqlite::Result<(Vec<NoticeId>, Option<Cursor>)> {
    let mut statement = conn.prepare_cached(
        "SELECT received_at, notice_id, broker, mapping_version FROM notices
         WHERE state NOT IN ('new', 'applied', 'recorded') AND state = ?1 AND (received_at, notice_id) > (?2, ?3)
         ORDER BY received_at, notice_id",
    )?;
    let mut rows = statement.query(params![state.as_str(), from.0, from.1])?;
    let (mut found, mut looked_at) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        looked_at += 1;
        if wanted(&Parked { broker: row.get(2)?, mapping_version: row.get(3)? }) {
            found.push(NoticeId(col::id(row, 1)?));
        }
        if found.len() >= STEP || looked_at >= LOOKED_AT {
            return Ok((found, Some((row.get(0)?, row.get(1)?))));
        }
    }
    Ok((found, None))
}

fn step(tx: &Tx<'_>, state: NoticeResult, notices: &[NoticeId], act: Option<(&Order, u32)>) -> Result<u64, Fail> {
    let mut done = 0;
    for notice in notices {
        // It may have found its item since the look.
        let set = tx.run(
            "UPDATE notices SET state = 'new', reason = NULL WHERE notice_id = ?1 AND state = ?2",
            params![notice.0.as_bytes(), state.as_str()],
        )?;
        if set > 0 {
            forget_orphan(tx, *notice)?;
            done += 1;
        }
    }
    if done > 0 {
        tx.wake(Wake::NOTICES);
        if let Some((order, part)) = act {
            order.keep(tx, part, done)?;
        }
    }
    Ok(done)
}

/// The act that an operator's order is kept as, one part for each step.
#[derive(Clone)]
struct Order {
    act_id: Uuid,
    at: Timestamp,
    asked: ParkedSelection,
    reason: Option<String>,
}

impl Order {
    fn keep(&self, tx: &Tx<'_>, part: u32, done: u64) -> Result<(), Fail> {
        let filter = serde_json::json!({ "state": self.asked.state.as_str(), "broker": self.asked.broker }).to_string();
        let (broker, reason) = (self.asked.broker.as_deref(), self.reason.as_deref());
        let (act_id, at, kind) = (self.act_id, self.at, ActKind::Reread);
        audit::act(tx, &Step { act_id, part, at, kind, broker, filter: Some(&filter), reason, done: Some(done) })
    }
}
