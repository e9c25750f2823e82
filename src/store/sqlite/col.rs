//! How our values stand in columns: ids as 16 bytes, instants as milliseconds, states as their words.

use bytes::Bytes;
use rusqlite::types::Type;
use rusqlite::{Error, Result, Row};
use uuid::Uuid;

use super::pack::unpack;
use crate::domain::time::{Date, Timestamp, from_millis};

pub(super) fn id(row: &Row<'_>, index: usize) -> Result<Uuid> {
    row.get::<_, [u8; 16]>(index).map(Uuid::from_bytes)
}

pub(super) fn at(row: &Row<'_>, index: usize) -> Result<Timestamp> {
    row.get(index).map(from_millis)
}

pub(super) fn maybe_at(row: &Row<'_>, index: usize) -> Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(index)?.map(from_millis))
}

/// A body: its size and its bytes stand in two columns beside one another.
pub(super) fn body(row: &Row<'_>, size_index: usize) -> Result<Bytes> {
    let size = usize::try_from(row.get::<_, i64>(size_index)?).map_err(|_| broken(size_index))?;
    let bytes = row.get_ref(size_index + 1)?.as_blob().map_err(|_| broken(size_index + 1))?;
    unpack(size, bytes).ok_or_else(|| broken(size_index + 1))
}

/// A number that is never negative.
pub(super) fn count(row: &Row<'_>, index: usize) -> Result<u64> {
    row.get::<_, i64>(index).map(|count| u64::try_from(count).unwrap_or(0))
}

/// A word of a closed list.
pub(super) fn word<T>(row: &Row<'_>, index: usize, parse: impl FnOnce(&str) -> Option<T>) -> Result<T> {
    let text = row.get_ref(index)?.as_str().map_err(|_| broken(index))?;
    parse(text).ok_or_else(|| broken(index))
}

pub(super) fn date(row: &Row<'_>, index: usize) -> Result<Date> {
    word(row, index, |text| text.parse().ok())
}

/// A column that cannot be read back; says which, never what stands there.
pub(super) fn broken(index: usize) -> Error {
    Error::FromSqlConversionFailure(index, Type::Text, "not what this program wrote".into())
}

pub(super) fn ms(at: Timestamp) -> i64 {
    at.as_millisecond()
}
