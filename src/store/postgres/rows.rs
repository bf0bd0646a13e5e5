//! Rows to records.

use sqlx::postgres::PgRow;

use crate::domain::request::chain::Entry;
use crate::engine::ports::store::StoreError;
use crate::store::pack::unpack;

crate::store::rows::decoders!(PgRow);

/// A row of `entries`.
pub(super) fn entries(row: &PgRow) -> Read<Vec<Entry>> {
    Ok(unpack(number(row, "seq")?, row.try_get("packed")?))
}

/// Ids, as one argument of a statement.
#[expect(clippy::unnecessary_wraps, reason = "SQLite has them as text")]
pub(super) fn ids(ids: &[Uuid]) -> Result<Vec<Uuid>, StoreError> {
    Ok(ids.to_vec())
}
