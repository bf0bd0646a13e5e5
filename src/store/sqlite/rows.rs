//! Rows to records.

use sqlx::sqlite::SqliteRow;

use crate::domain::request::chain::Entry;

crate::store::rows::decoders!(SqliteRow);

/// A row of `entries`.
pub(super) fn entry(row: &SqliteRow) -> Read<Entry> {
    Ok(Entry { seq: number(row, "seq")?, at: time(row, "at")?, body: row.try_get("body")?, hash: hash(row, "hash")? })
}
