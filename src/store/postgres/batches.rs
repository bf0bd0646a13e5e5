//! Batches of decisions.

use super::PostgresStore;

crate::store::batches::implement_batches!(PostgresStore, "SELECT pg_advisory_xact_lock(hashtextextended($1, 1))", self => self.db.others());
