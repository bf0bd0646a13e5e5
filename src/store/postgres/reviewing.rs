//! Held decisions, snoozes and views.

use super::PostgresStore;

crate::store::reviewing::implement_reviewing!(PostgresStore, " FOR UPDATE SKIP LOCKED", " COLLATE \"C\"", self => self.db.others());
