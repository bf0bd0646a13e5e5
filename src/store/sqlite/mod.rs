//! The embedded default: one file, one worker process, no server.
//!
//! Command-line tools may open the file beside the worker ([`Role::Tool`]) for short transactions; a second worker is
//! refused. Before a restarted worker claims anything it calls [`rescue`](crate::engine::ports::store::Store::rescue) with a lease of zero: whoever had rows
//! here is gone, because the lock on the file is ours.

mod accept;
mod advance;
mod batches;
mod claim;
mod commit;
mod db;
mod groups;
mod outbox;
mod outside;
mod queries;
mod reviewing;
mod reviews;
mod rows;
mod sessions;
mod settings;
mod who;
mod workers;

use std::path::Path;

use crate::engine::ports::store::StoreError;
use crate::store::Role;
use crate::store::port::implement_store;

/// State in a SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    db: db::Db,
}

impl SqliteStore {
    /// It has one writer.
    const SIDE_BY_SIDE: bool = false;

    /// Opens the file, or creates it.
    ///
    /// # Errors
    /// Another worker has it open; it cannot be opened; a newer program has migrated it.
    pub async fn open(path: &Path, role: Role) -> Result<Self, StoreError> {
        Ok(SqliteStore { db: db::Db::open(path, role).await? })
    }

    /// Brings the schema up to date.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        self.db.migrate().await?;
        self.fill_all_who().await
    }

    /// The names of the migrations that are still to be done.
    pub async fn pending_migrations(&self) -> Result<Vec<String>, StoreError> {
        self.db.pending().await
    }
}

implement_store!(SqliteStore, "sqlite");
