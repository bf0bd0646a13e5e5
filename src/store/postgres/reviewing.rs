//! Held decisions, snoozes and views.

use super::PostgresStore;

crate::store::reviewing::implement_reviewing!(PostgresStore, self => self.db.others());
