//! Rows to records.

use sqlx::sqlite::SqliteRow;

crate::store::rows::decoders!(SqliteRow);
