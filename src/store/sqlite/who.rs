//! Who decided, on rows that lack it.

use super::SqliteStore;

crate::store::who::implement_who!(SqliteStore, self => self.db);
