//! Who decided, on rows that lack it.

use super::PostgresStore;

crate::store::who::implement_who!(PostgresStore, self => self.db.others());
