//! Webhooks: which events wait at which subscription.
//!
//! The rows are written in the transaction of their event, so that none is forgotten. Per subscription
//! and item only the oldest undelivered event has a due time: the order of an item holds, other items
//! go on. Each subscription brings only its share to a look, so that a slow target starves nobody.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::json;

use super::col::{self, ms};
use super::job::{Fail, Tx};
use super::signals::Wake;
use super::{Sqlite, StoreError};
use crate::domain::ids::{EventId, SubscriptionId};
use crate::domain::masked::Masked;
use crate::domain::time::Timestamp;
use crate::store::told::{DeliveryRow, DeliverySettlement, Subscription};

/// Subscriptions that a post may have.
/// What one subscription brings to one look.
const SHARE: usize = 16;
/// Deliveries of an ended subscription removed with one job.
const PURGE_STEP: i64 = 1000;

/// No try is put off for longer than this: twice the longest delay of the schedule.
const FARTHEST_MS: i64 = 48 * 60 * 60 * 1000;

impl Sqlite {
    pub(in crate::store) async fn add_subscription(&self, new: Subscription, max: u32) -> Result<bool, StoreError> {
        self.write(0, move |tx| {
            let types = json!(new.types).to_string();
            let added = tx.run(
                "INSERT INTO subscriptions (subscription_id, post, url, types, secret, created_at, state)
                 SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE (SELECT count(*) FROM subscriptions WHERE post = ?2 AND state <> 'removed') < ?8",
                params![
                    new.subscription_id.0.as_bytes(),
                    new.post,
                    new.url,
                    types,
                    new.secret.expose(),
                    ms(new.created_at),
                    new.state,
                    max
                ],
            )?;
            Ok(added == 1)
        })
        .await
    }

    pub(in crate::store) async fn subscriptions(&self, post: String) -> Result<Vec<Subscription>, StoreError> {
        self.read(move |conn| {
            let sql = "SELECT subscription_id, post, url, types, secret, created_at, state FROM subscriptions
                       WHERE post = ?1 AND state <> 'removed' ORDER BY subscription_id";
            let mut statement = conn.prepare_cached(sql)?;
            let rows = statement.query_map([post], |row| {
                Ok(Subscription {
                    subscription_id: SubscriptionId(col::id(row, 0)?),
                    post: row.get(1)?,
                    url: row.get(2)?,
                    types: col::word(row, 3, |text| serde_json::from_str(text).ok())?,
                    secret: Masked::new(row.get(4)?),
                    created_at: col::at(row, 5)?,
                    state: row.get(6)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    pub(in crate::store) async fn remove_subscription(&self, post: String, id: SubscriptionId) -> Result<bool, StoreError> {
        self.write(0, move |tx| {
            // What still waits for it is removed in steps; then the row goes too.
            let removed = tx.run(
                "UPDATE subscriptions SET state = 'removed', secret = x'' WHERE subscription_id = ?1 AND post = ?2 AND state <> 'removed'",
                params![id.0.as_bytes(), post],
            )?;
            Ok(removed == 1)
        })
        .await
    }

    pub(in crate::store) async fn end_subscription(&self, id: SubscriptionId, state: &'static str) -> Result<(), StoreError> {
        self.write(0, move |tx| {
            tx.run("UPDATE subscriptions SET state = ?2 WHERE subscription_id = ?1 AND state = 'active'", params![id.0.as_bytes(), state])?;
            Ok(())
        })
        .await
    }

    pub(in crate::store) async fn queue_test_event(
        &self,
        post: String,
        id: SubscriptionId,
        event: EventId,
        json: String,
    ) -> Result<bool, StoreError> {
        let now = self.now();
        self.write(0, move |tx| queue_test(tx, &post, id, event, &json, now)).await
    }

    pub(in crate::store) async fn due_deliveries(
        &self,
        now: Timestamp,
        busy: HashSet<(SubscriptionId, i64)>,
        limit: usize,
    ) -> Result<Vec<DeliveryRow>, StoreError> {
        // Each look begins one target further, so that a full one passes nobody over for ever.
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        self.read(move |conn| Ok(due(conn, turn, now, &busy, limit)?)).await
    }

    pub(in crate::store) async fn next_delivery_due(&self, after: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        self.read(move |conn| {
            let sql = "SELECT min((SELECT min(d.due_at) FROM deliveries d WHERE d.subscription_id = s.subscription_id AND d.due_at > ?1))
                       FROM subscriptions s WHERE s.state = 'active'";
            Ok(conn.prepare_cached(sql)?.query_row([ms(after)], |row| col::maybe_at(row, 0))?)
        })
        .await
    }

    pub(in crate::store) async fn settle_delivery(
        &self,
        id: SubscriptionId,
        position: i64,
        settlement: DeliverySettlement,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(0, move |tx| settle(tx, id, position, &settlement, now)).await
    }

    pub(in crate::store) async fn purge_deliveries(&self) -> Result<usize, StoreError> {
        self.write(0, move |tx| {
            let ended =
                tx.rows("SELECT subscription_id FROM subscriptions WHERE state <> 'active'", [], |row| row.get::<_, [u8; 16]>(0))?;
            let mut removed = 0;
            for id in ended {
                removed += tx.run(
                    "DELETE FROM deliveries WHERE subscription_id = ?1
                     AND (item_id, position) IN (SELECT item_id, position FROM deliveries WHERE subscription_id = ?1 LIMIT ?2)",
                    params![id, PURGE_STEP],
                )?;
                tx.run(
                    "DELETE FROM subscriptions WHERE subscription_id = ?1 AND state = 'removed'
                     AND NOT EXISTS (SELECT 1 FROM deliveries WHERE subscription_id = ?1)",
                    [id],
                )?;
            }
            Ok(removed)
        })
        .await
    }
}

/// Whether a subscription wants a type: named itself, by a `*` at the end, or by naming none.
fn wants(types: &[String], event_type: &str) -> bool {
    types.is_empty()
        || types.iter().any(|wanted| match wanted.strip_suffix('*') {
            Some(start) => event_type.starts_with(start),
            None => wanted == event_type,
        })
}

/// Puts a new event at every subscription of its post that wants it. A first try is due by its position, which is long ago
/// by any clock: events come in their order, and no leap of the clock holds one back.
pub(super) fn fan_out(tx: &Tx<'_>, post: &str, position: i64, item_id: &str, event_type: &str) -> Result<(), Fail> {
    let subscriptions =
        tx.rows("SELECT subscription_id, types FROM subscriptions WHERE post = ?1 AND state = 'active'", [post], |row| {
            Ok((row.get::<_, [u8; 16]>(0)?, col::word(row, 1, |text| serde_json::from_str::<Vec<String>>(text).ok())?))
        })?;
    for (id, _) in subscriptions.iter().filter(|(_, types)| wants(types, event_type)) {
        tx.run(
            "INSERT INTO deliveries (subscription_id, item_id, position, due_at)
             SELECT ?1, ?2, ?3, CASE WHEN EXISTS (SELECT 1 FROM deliveries WHERE subscription_id = ?1 AND item_id = ?2) THEN NULL ELSE ?3 END",
            params![id, item_id, position],
        )?;
        tx.wake(Wake::DELIVERIES);
    }
    Ok(())
}

fn queue_test(tx: &Tx<'_>, post: &str, id: SubscriptionId, event: EventId, json: &str, now: Timestamp) -> Result<bool, Fail> {
    let number = tx.row(
        "UPDATE subscriptions SET tests = tests + 1 WHERE subscription_id = ?1 AND post = ?2 AND state = 'active' RETURNING tests",
        params![id.0.as_bytes(), post],
        |row| row.get::<_, i64>(0),
    )?;
    let Some(number) = number else { return Ok(false) };
    // Tests of one subscription follow one another like the events of one item.
    tx.run(
        "INSERT INTO deliveries (subscription_id, item_id, position, due_at, event_id, json)
         SELECT ?1, '', ?2, CASE WHEN EXISTS (SELECT 1 FROM deliveries WHERE subscription_id = ?1 AND item_id = '') THEN NULL ELSE ?3 END, ?4, ?5",
        params![id.0.as_bytes(), -number, ms(now), event.0.as_bytes(), json],
    )?;
    tx.wake(Wake::DELIVERIES);
    Ok(true)
}

struct Target {
    id: SubscriptionId,
    post: String,
    url: String,
    secret: Vec<u8>,
}

fn due(
    conn: &Connection,
    turn: usize,
    now: Timestamp,
    busy: &HashSet<(SubscriptionId, i64)>,
    limit: usize,
) -> rusqlite::Result<Vec<DeliveryRow>> {
    let mut targets: Vec<Target> = conn
        .prepare_cached("SELECT subscription_id, post, url, secret FROM subscriptions WHERE state = 'active' ORDER BY subscription_id")?
        .query_map([], |row| Ok(Target { id: SubscriptionId(col::id(row, 0)?), post: row.get(1)?, url: row.get(2)?, secret: row.get(3)? }))?
        .collect::<Result<_, _>>()?;
    if !targets.is_empty() {
        let first = turn % targets.len();
        targets.rotate_left(first);
    }
    let mut found = Vec::new();
    for target in &targets {
        let before = found.len();
        due_between(conn, target, (i64::MIN, ms(now)), busy, limit, &mut found)?;
        if found.len() == before {
            // Later than any delay reaches: noted by a clock that was put back since.
            due_between(conn, target, (ms(now) + FARTHEST_MS, i64::MAX), busy, limit, &mut found)?;
        }
        if found.len() >= limit {
            break;
        }
    }
    Ok(found)
}

fn due_between(
    conn: &Connection,
    target: &Target,
    (first, last): (i64, i64),
    busy: &HashSet<(SubscriptionId, i64)>,
    limit: usize,
    found: &mut Vec<DeliveryRow>,
) -> rusqlite::Result<()> {
    let mut statement = conn.prepare_cached(
        "SELECT d.position, coalesce(d.event_id, e.event_id), coalesce(d.json, e.json), d.attempts, d.first_at
         FROM deliveries d LEFT JOIN events e ON e.post = ?2 AND e.position = d.position
         WHERE d.subscription_id = ?1 AND d.due_at BETWEEN ?3 AND ?4 ORDER BY d.due_at",
    )?;
    let mut rows = statement.query(params![target.id.0.as_bytes(), target.post, first, last])?;
    // What is on its way counts too: a hanging target must not hold more than its share of the senders.
    let mut share = SHARE.saturating_sub(busy.iter().filter(|(id, _)| *id == target.id).count());
    while share > 0 && found.len() < limit {
        let Some(row) = rows.next()? else { break };
        let position: i64 = row.get(0)?;
        if busy.contains(&(target.id, position)) {
            continue;
        }
        found.push(DeliveryRow {
            subscription_id: target.id,
            position,
            event_id: EventId(col::id(row, 1)?).to_string(),
            json: row.get(2)?,
            url: target.url.clone(),
            secret: Masked::new(target.secret.clone()),
            attempts: row.get(3)?,
            first_at: col::maybe_at(row, 4)?,
        });
        share -= 1;
    }
    Ok(())
}

fn settle(tx: &Tx<'_>, id: SubscriptionId, position: i64, settlement: &DeliverySettlement, now: Timestamp) -> Result<(), Fail> {
    let Some(item) = item_of(tx, id, position)? else { return Ok(()) };
    match settlement {
        DeliverySettlement::Retry { due_at } => {
            tx.run(
                "UPDATE deliveries SET due_at = ?4, attempts = attempts + 1, first_at = coalesce(first_at, ?5)
                 WHERE subscription_id = ?1 AND item_id = ?2 AND position = ?3",
                params![id.0.as_bytes(), item, position, ms(*due_at), ms(now)],
            )?;
        }
        DeliverySettlement::Done | DeliverySettlement::GiveUp => {
            tx.run(
                "DELETE FROM deliveries WHERE subscription_id = ?1 AND item_id = ?2 AND position = ?3",
                params![id.0.as_bytes(), item, position],
            )?;
            let woken = tx.run(
                "UPDATE deliveries SET due_at = position WHERE subscription_id = ?1 AND item_id = ?2 AND due_at IS NULL
                 AND position = (SELECT min(position) FROM deliveries WHERE subscription_id = ?1 AND item_id = ?2)",
                params![id.0.as_bytes(), item],
            )?;
            if woken == 0 {
                return Ok(());
            }
        }
        DeliverySettlement::Gone => {
            tx.run("UPDATE subscriptions SET state = 'gone' WHERE subscription_id = ?1 AND state = 'active'", [id.0.as_bytes()])?;
        }
    }
    tx.wake(Wake::DELIVERIES);
    Ok(())
}

/// The item of a delivery: by its event, or by a search when retention took the event away.
fn item_of(tx: &Tx<'_>, id: SubscriptionId, position: i64) -> rusqlite::Result<Option<String>> {
    if position < 0 {
        return Ok(Some(String::new()));
    }
    let by_event = tx.row(
        "SELECT e.item_id FROM subscriptions s JOIN events e ON e.post = s.post AND e.position = ?2 WHERE s.subscription_id = ?1",
        params![id.0.as_bytes(), position],
        |row| row.get(0),
    )?;
    if by_event.is_some() {
        return Ok(by_event);
    }
    let sql = "SELECT item_id FROM deliveries WHERE subscription_id = ?1 AND position = ?2";
    tx.conn.prepare_cached(sql)?.query_row(params![id.0.as_bytes(), position], |row| row.get(0)).optional()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_at_the_end_stands_for_any_rest() {
        for (types, event, wanted) in [
            (vec![], "clearance.released", true),
            (vec!["clearance.*"], "clearance.released", true),
            (vec!["clearance.*"], "security.control", false),
            (vec!["clearance.released"], "clearance.released", true),
            (vec!["clearance.releas"], "clearance.released", false),
            (vec!["*"], "test", true),
        ] {
            let types: Vec<String> = types.into_iter().map(str::to_owned).collect();
            assert_eq!(wants(&types, event), wanted, "{types:?} {event}");
        }
    }
}
