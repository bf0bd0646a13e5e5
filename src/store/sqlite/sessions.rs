//! Links, sessions and looks; people with a password.

use super::SqliteStore;

crate::store::sessions::implement_sessions!(SqliteStore, self => self.db);
crate::store::users::implement_users!(SqliteStore, "", self => self.db);
