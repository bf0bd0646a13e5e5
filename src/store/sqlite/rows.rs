//! Rows to records.

use sqlx::sqlite::SqliteRow;

use crate::domain::request::chain::Entry;
use crate::engine::ports::store::StoreError;
use crate::store::rows::json_text;

crate::store::rows::decoders!(SqliteRow);

/// A row of `entries`.
pub(super) fn entry(row: &SqliteRow) -> Read<Entry> {
    Ok(Entry { seq: number(row, "seq")?, at: time(row, "at")?, body: row.try_get("body")?, hash: hash(row, "hash")? })
}

/// Ids, as one argument of a statement.
pub(super) fn ids(ids: &[Uuid]) -> Result<String, StoreError> {
    json_text(&ids.iter().map(|id| id.simple().to_string()).collect::<Vec<_>>())
}
