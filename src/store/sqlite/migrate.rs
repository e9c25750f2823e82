//! Brings a database to the schema of this program, or refuses.
//!
//! The files of `migrations/sqlite` are embedded, applied in order, each in one transaction with the
//! version that it leads to, so that a crash in the middle leaves the step before.

use rusqlite::Connection;

use crate::store::options::OpenError;

/// `PRAGMA application_id`: "PreC". Keeps us from writing into somebody else's database.
const APPLICATION_ID: i64 = 0x5072_6543;

/// Every step, in order; the number of the last one is the schema's version.
const STEPS: &[&str] = &[
    include_str!("../../../migrations/sqlite/0001_start.sql"),
    include_str!("../../../migrations/sqlite/0002_conversions.sql"),
    include_str!("../../../migrations/sqlite/0003_mappings.sql"),
    include_str!("../../../migrations/sqlite/0004_intents.sql"),
    include_str!("../../../migrations/sqlite/0005_audit.sql"),
    include_str!("../../../migrations/sqlite/0006_forward.sql"),
];

/// Applies what is missing.
///
/// # Errors
/// [`OpenError::Newer`], [`OpenError::NotOurs`], or the database's refusal.
pub(super) fn migrate(conn: &mut Connection) -> Result<(), OpenError> {
    let number = |conn: &Connection, pragma: &str| conn.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0)).map_err(database);
    let known = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
    let found = number(conn, "user_version")?;
    let owner = number(conn, "application_id")?;
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(database)?;
    if owner != APPLICATION_ID && (owner != 0 || found != 0 || tables != 0) {
        return Err(OpenError::NotOurs);
    }
    if found > known {
        return Err(OpenError::Newer { found, known });
    }
    for (version, step) in (1i64..).zip(STEPS).filter(|(version, _)| *version > found) {
        let transaction = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(database)?;
        transaction.execute_batch(step).map_err(database)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(database)?;
        transaction.pragma_update(None, "user_version", version).map_err(database)?;
        transaction.commit().map_err(database)?;
    }
    Ok(())
}

/// The database's own words: they name tables and files, never a value.
pub(super) fn database(error: rusqlite::Error) -> OpenError {
    OpenError::Database(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_schema_and_a_foreign_file_are_refused() {
        let mut conn = Connection::open_in_memory().expect("memory");
        migrate(&mut conn).expect("fresh");
        migrate(&mut conn).expect("nothing to do");
        conn.pragma_update(None, "user_version", 99).expect("pragma");
        let newest = i64::try_from(STEPS.len()).expect("few");
        assert!(matches!(migrate(&mut conn), Err(OpenError::Newer { found: 99, known }) if known == newest));

        let mut foreign = Connection::open_in_memory().expect("memory");
        foreign.execute_batch("CREATE TABLE contacts (name TEXT)").expect("table");
        assert!(matches!(migrate(&mut foreign), Err(OpenError::NotOurs)));
    }
}
