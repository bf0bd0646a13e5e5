//! Links, sessions and looks.

use super::PostgresStore;

crate::store::sessions::implement_sessions!(PostgresStore, self => self.db.others());
