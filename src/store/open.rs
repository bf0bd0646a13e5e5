//! A store by its URL.

use std::path::Path;
use std::sync::Arc;

use super::Role;
use super::postgres::PostgresStore;
use super::sqlite::SqliteStore;
use crate::engine::ports::store::{Store, StoreError};

/// An open database, before it is known whether its schema is up to date.
#[derive(Debug, Clone)]
pub enum Opened {
    /// `sqlite://PATH`.
    Sqlite(Arc<SqliteStore>),
    /// `postgres://…`.
    Postgres(Arc<PostgresStore>),
}

impl Opened {
    /// Connects; changes nothing.
    ///
    /// # Errors
    /// An unknown scheme, a database that cannot be reached, a schema newer than this program.
    pub async fn connect(url: &str, role: Role) -> Result<Opened, StoreError> {
        if let Some(path) = url.strip_prefix("sqlite://") {
            return Ok(Opened::Sqlite(Arc::new(SqliteStore::open(Path::new(path), role).await?)));
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Opened::Postgres(Arc::new(PostgresStore::open(url).await?)));
        }
        // The URL may hold a password: only its scheme is shown.
        let scheme = url.split(':').next().unwrap_or_default();
        Err(StoreError::Broken(format!("database.url: `{scheme}:` is not supported; write sqlite://PATH or postgres://…")))
    }

    /// The names of the migrations that are still to be done.
    pub async fn pending_migrations(&self) -> Result<Vec<String>, StoreError> {
        match self {
            Opened::Sqlite(store) => store.pending_migrations().await,
            Opened::Postgres(store) => store.pending_migrations().await,
        }
    }

    /// Brings the schema up to date.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        match self {
            Opened::Sqlite(store) => store.migrate().await,
            Opened::Postgres(store) => store.migrate().await,
        }
    }

    /// The port.
    #[must_use]
    pub fn store(&self) -> Arc<dyn Store> {
        match self {
            Opened::Sqlite(store) => store.clone(),
            Opened::Postgres(store) => store.clone(),
        }
    }
}

/// Connects and brings the schema up to date.
///
/// # Errors
/// As [`Opened::connect`], and a migration that fails.
pub async fn open(url: &str, role: Role) -> Result<Arc<dyn Store>, StoreError> {
    let opened = Opened::connect(url, role).await?;
    // Not where nothing is to be done: the server would log a notice about it at each start.
    if !opened.pending_migrations().await?.is_empty() {
        opened.migrate().await?;
    } else if let Opened::Postgres(store) = &opened {
        store.prepare().await?;
    }
    Ok(opened.store())
}
