//! How long a broker asked to be left alone, kept over a restart.

use rusqlite::{OptionalExtension, params};

use super::col::{self, ms};
use super::job::{Fail, Tx};
use super::{Sqlite, StoreError};
use crate::domain::time::Timestamp;
use crate::store::types::BrokerHold;

impl Sqlite {
    pub(in crate::store) async fn hold(&self, broker: String, hold: BrokerHold) -> Result<(), StoreError> {
        self.write(0, move |tx| keep(tx, &broker, hold)).await
    }

    pub(in crate::store) async fn held(&self, broker: String) -> Result<Option<BrokerHold>, StoreError> {
        self.read(move |conn| {
            let mut statement = conn.prepare_cached("SELECT held_at, held_until FROM broker_holds WHERE broker = ?1")?;
            let read = |row: &rusqlite::Row<'_>| Ok(BrokerHold { at: col::at(row, 0)?, until: col::at(row, 1)? });
            Ok(statement.query_row([broker], read).optional()?)
        })
        .await
    }

    pub(in crate::store) async fn rein_in(&self, broker: String, farthest: Timestamp, now: Timestamp) -> Result<usize, StoreError> {
        self.write(0, move |tx| {
            Ok(tx.run(
                "UPDATE outbox SET due_at = ?3 WHERE broker = ?1 AND due_at > ?2 AND state IN ('queued', 'in_doubt')",
                params![broker, ms(farthest), ms(now)],
            )?)
        })
        .await
    }
}

/// The later end counts, unless the clock was put back since the earlier one was noted.
pub(super) fn keep(tx: &Tx<'_>, broker: &str, hold: BrokerHold) -> Result<(), Fail> {
    tx.run(
        "INSERT INTO broker_holds (broker, held_at, held_until) VALUES (?1, ?2, ?3)
         ON CONFLICT (broker) DO UPDATE SET held_at = excluded.held_at, held_until = excluded.held_until
         WHERE excluded.held_until > held_until OR excluded.held_at < held_at",
        params![broker, ms(hold.at), ms(hold.until)],
    )?;
    Ok(())
}
