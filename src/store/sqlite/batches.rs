//! Batches of decisions.

use super::SqliteStore;

crate::store::batches::implement_batches!(SqliteStore, "", self => self.db);
