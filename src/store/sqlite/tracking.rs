//! What the post saw of an item. An arrival (EMD) opens the destination leg of the newest posting.

use rusqlite::params;

use super::col::ms;
use super::consignments::arrive;
use super::job::{Fail, Tx};
use super::{Sqlite, StoreError};
use crate::domain::ids::{DeclarationId, S10};
use crate::domain::time::Timestamp;
use crate::store::told::TrackingEvent;

/// EMSEVT: arrival at the inward office of exchange.
const ARRIVAL: &str = "EMD";

impl Sqlite {
    pub(in crate::store) async fn tracking(
        &self,
        post: String,
        item_id: S10,
        event: TrackingEvent,
        presenting: Vec<String>,
    ) -> Result<bool, StoreError> {
        let now = self.now();
        self.write(0, move |tx| record(tx, &post, item_id, &event, &presenting, now)).await
    }
}

fn record(tx: &Tx<'_>, post: &str, item_id: S10, event: &TrackingEvent, presenting: &[String], now: Timestamp) -> Result<bool, Fail> {
    let newest = tx.row(
        "SELECT declaration_id FROM declarations WHERE item_id = ?1 AND post = ?2 ORDER BY posted_on DESC LIMIT 1",
        params![item_id.as_str(), post],
        |row| row.get::<_, [u8; 16]>(0),
    )?;
    let Some(declaration) = newest else { return Ok(false) };
    tx.run(
        "INSERT OR REPLACE INTO tracking (declaration_id, at, event, office) VALUES (?1, ?2, ?3, ?4)",
        params![declaration, ms(event.at), event.event, event.office],
    )?;
    if event.event == ARRIVAL {
        arrive(tx, DeclarationId(uuid::Uuid::from_bytes(declaration)), event.at, presenting, now)?;
    }
    Ok(true)
}
