//! Batches of decisions.

use super::PostgresStore;

crate::store::batches::implement_batches!(PostgresStore, self => self.db.others());
