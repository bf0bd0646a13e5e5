//! Rows to records.

use sqlx::postgres::PgRow;

crate::store::rows::decoders!(PgRow);
