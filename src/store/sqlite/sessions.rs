//! Links, sessions and looks.

use super::SqliteStore;

crate::store::sessions::implement_sessions!(SqliteStore, self => self.db);
