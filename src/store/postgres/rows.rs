//! Rows to records.

use sqlx::postgres::PgRow;

use crate::domain::request::chain::Entry;
use crate::store::pack::unpack;

crate::store::rows::decoders!(PgRow);

/// A row of `entries`.
pub(super) fn entries(row: &PgRow) -> Read<Vec<Entry>> {
    Ok(unpack(number(row, "seq")?, row.try_get("packed")?))
}
