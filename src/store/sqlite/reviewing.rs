//! Held decisions, snoozes and views.

use super::SqliteStore;

crate::store::reviewing::implement_reviewing!(SqliteStore, "", "", self => self.db);
