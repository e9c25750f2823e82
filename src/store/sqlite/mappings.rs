//! Versions of the mappings: few rows, written at a start or a reload, never on the road of a message.
//!
//! A version stays while a message names it. Nothing on the hot path writes that down: it is looked up once,
//! when a version is about to be removed, and the finding is kept, so that no look is made twice.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use super::col::{self, ms};
use super::job::{Fail, Tx};
use super::migrate::database;
use super::pack::{Packed, pack};
use super::{Sqlite, StoreError};
use crate::domain::time::Timestamp;
use crate::store::mappings::{KEPT_MAPPING_VERSIONS, KeptMapping, MappingVersion};
use crate::store::options::OpenError;

/// Versions that one call of the pruning looks at.
const LOOKED_AT: i64 = 8;

impl Sqlite {
    pub(in crate::store) async fn keep_mappings(&self, versions: Vec<MappingVersion>) -> Result<usize, StoreError> {
        let now = self.now();
        let packed: Vec<(MappingVersion, Packed)> = versions.into_iter().map(|version| (version.clone(), pack(&version.files))).collect();
        let bytes = packed.iter().map(|(_, files)| files.bytes.len()).sum();
        self.write(bytes, move |tx| {
            let mut new = 0;
            for (version, files) in &packed {
                new += usize::from(keep(tx, version, files, now)?);
            }
            Ok(new)
        })
        .await
    }

    pub(in crate::store) async fn newest_mappings(&self, except: Vec<String>) -> Result<Vec<MappingVersion>, StoreError> {
        self.read(move |conn| Ok(newest(conn, &except)?)).await
    }

    pub(in crate::store) async fn kept_mappings(&self) -> Result<Vec<KeptMapping>, StoreError> {
        self.read(|conn| {
            let mut statement = conn.prepare_cached(
                "SELECT name, version, kept_at FROM (
                   SELECT name, version, kept_at, turn, row_number() OVER (PARTITION BY name ORDER BY turn DESC) AS place FROM mappings)
                 WHERE place <= ?1 ORDER BY name, turn DESC",
            )?;
            let rows = statement.query_map([KEPT_MAPPING_VERSIONS], |row| {
                Ok(KeptMapping { name: row.get(0)?, version: row.get(1)?, kept_at: col::at(row, 2)? })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    pub(in crate::store) async fn prune_mappings(&self) -> Result<usize, StoreError> {
        // The look is made beside the writer: it may pass over every message.
        let (named, unnamed) = self.read(candidates).await?;
        if named.is_empty() && unnamed.is_empty() {
            return Ok(0);
        }
        self.write(0, move |tx| {
            for id in &named {
                tx.run("UPDATE mappings SET named = 1 WHERE mapping_id = ?1", [id])?;
            }
            let mut removed = 0;
            for id in &unnamed {
                // Asked again: it may have been taken into use since the look.
                removed += tx.run(
                    "DELETE FROM mappings WHERE mapping_id = ?1 AND ?2 <=
                       (SELECT count(*) FROM mappings n WHERE n.name = mappings.name AND n.turn > mappings.turn)",
                    params![id, KEPT_MAPPING_VERSIONS],
                )?;
            }
            Ok(removed)
        })
        .await
    }
}

/// Whether the version was not known before.
fn keep(tx: &Tx<'_>, new: &MappingVersion, files: &Packed, now: Timestamp) -> Result<bool, Fail> {
    let size = i64::try_from(files.size).unwrap_or(i64::MAX);
    let newest = tx.row("SELECT turn, hash, size, bytes FROM mappings WHERE name = ?1 ORDER BY turn DESC LIMIT 1", [&new.name], |row| {
        // What was damaged on the disk does not compare, and is written anew.
        let whole = row.get::<_, i64>(2)? == size && row.get_ref(3)?.as_blob().is_ok_and(|bytes| bytes == &files.bytes[..]);
        Ok((row.get::<_, i64>(0)?, row.get::<_, [u8; 32]>(1)? == new.hash && whole))
    })?;
    let turn = match newest {
        Some((_, true)) => return Ok(false),
        Some((turn, false)) => turn + 1,
        None => 1,
    };
    let known = tx.run(
        "UPDATE mappings SET turn = ?3, kept_at = ?4, size = ?5, bytes = ?6 WHERE name = ?1 AND hash = ?2",
        params![new.name, new.hash, turn, ms(now), size, &files.bytes[..]],
    )?;
    if known == 0 {
        tx.run(
            "INSERT INTO mappings (name, hash, version, size, bytes, kept_at, turn) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![new.name, new.hash, new.version, size, &files.bytes[..], ms(now), turn],
        )?;
    }
    Ok(known == 0)
}

fn newest(conn: &Connection, except: &[String]) -> rusqlite::Result<Vec<MappingVersion>> {
    let mut statement = conn.prepare(
        "SELECT name, version, hash, size, bytes FROM mappings m
         WHERE turn = (SELECT max(turn) FROM mappings n WHERE n.name = m.name) ORDER BY name",
    )?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        if except.contains(&name) {
            continue;
        }
        // Bytes that are not what was packed are given as they are: their hash will not be the right one.
        let files = col::body(row, 3).or_else(|_| row.get::<_, Vec<u8>>(4).map(Bytes::from))?;
        found.push(MappingVersion { name, version: row.get(1)?, hash: row.get(2)?, files });
    }
    Ok(found)
}

/// Versions beyond the newest of their name that are not known to be named: those that a message names, and those that none does.
fn candidates(conn: &Connection) -> Result<(Vec<i64>, Vec<i64>), Fail> {
    let mut statement = conn.prepare_cached(
        "SELECT mapping_id, name, version FROM (
           SELECT mapping_id, name, version, named, row_number() OVER (PARTITION BY name ORDER BY turn DESC) AS place FROM mappings)
         WHERE place > ?1 AND named = 0 LIMIT ?2",
    )?;
    let found: Vec<(i64, String, String)> = statement
        .query_map(params![KEPT_MAPPING_VERSIONS, LOOKED_AT], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    let (mut named, mut unnamed) = (Vec::new(), Vec::new());
    for (id, name, version) in found {
        let sql = "SELECT 1 FROM messages WHERE mapping = ?1 AND mapping_version = ?2 LIMIT 1";
        let message = conn.prepare_cached(sql)?.query_row(params![name, version], |_| Ok(())).optional()?;
        if message.is_some() { named.push(id) } else { unnamed.push(id) }
    }
    Ok((named, unnamed))
}

/// The file for a reader that leaves nothing behind: without a log nobody has it open, and SQLite need not put one beside it.
fn address(file: &Path) -> String {
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    let quiet = if Path::new(&log).exists() { "" } else { "?immutable=1" };
    let escaped = file.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    format!("file:{escaped}{quiet}")
}

/// Reads beside whoever uses the file.
pub(in crate::store) fn peek_newest_mappings(file: &Path, except: &[String]) -> Result<Vec<MappingVersion>, OpenError> {
    if !file.exists() {
        return Ok(Vec::new());
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let conn = Connection::open_with_flags(address(file), flags).map_err(database)?;
    conn.busy_timeout(Duration::from_secs(5)).map_err(database)?;
    let tables: i64 = conn
        .query_row("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'mappings'", [], |row| row.get(0))
        .map_err(database)?;
    if tables == 0 {
        return Ok(Vec::new());
    }
    newest(&conn, except).map_err(database)
}
