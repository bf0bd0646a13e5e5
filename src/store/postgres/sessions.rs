//! Links, sessions and looks; people with a password.

use super::PostgresStore;

crate::store::sessions::implement_sessions!(PostgresStore, self => self.db.others());
crate::store::users::implement_users!(PostgresStore, " COLLATE \"C\"", self => self.db.others());
