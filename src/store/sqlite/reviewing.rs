//! Held decisions, snoozes, presences and views.

use super::SqliteStore;

crate::store::reviewing::implement_reviewing!(SqliteStore, "", "", "IN (SELECT unhex(value) FROM json_each($1))", self => self.db);
