//! Held decisions, snoozes, presences and views.

use super::PostgresStore;

crate::store::reviewing::implement_reviewing!(PostgresStore, " FOR UPDATE SKIP LOCKED", " COLLATE \"C\"", "= ANY($1)", self => self.db.others());
