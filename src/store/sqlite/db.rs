//! SQLite itself: one connection that writes, a few that read, and what its errors mean.
//!
//! A transaction that writes starts with BEGIN IMMEDIATE, so it holds the file's write lock from its first statement on: inside,
//! reading first and writing later is safe. That is the difference to PostgreSQL, where every statement guards itself.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteRow, SqliteSynchronous};
use sqlx::{Connection as _, Sqlite};

use crate::domain::time::Time;
use crate::engine::ports::store::StoreError;
use crate::store::Role;
use crate::store::pool::{Lease, Pool};
use crate::store::rows::Read;
use crate::store::schema;

/// How long a call waits for a connection, and a statement for the lock of another process (`mozhao token`, a backup).
const WAIT: Duration = Duration::from_secs(10);
/// Connections that read.
const READERS: usize = 4;

/// A statement with its arguments.
pub(super) type Query<'q> = sqlx::query::Query<'q, Sqlite, SqliteArguments>;

/// The file.
#[derive(Debug)]
pub(super) struct Db {
    options: SqliteConnectOptions,
    writer: Pool<SqliteConnection>,
    readers: Pool<SqliteConnection>,
    /// Held for as long as this process works on the file; the system releases it however the process ends.
    _lock: Option<File>,
}

impl Db {
    /// Opens or creates the file.
    pub(super) async fn open(path: &Path, role: Role) -> Result<Db, StoreError> {
        let lock = match role {
            Role::Worker => Some(lock(path)?),
            Role::Tool => None,
        };
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // With NORMAL a power cut may take back commits that were acknowledged.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(WAIT);
        let db = Db { options, writer: Pool::new(1, WAIT), readers: Pool::new(READERS, WAIT), _lock: lock };
        db.pending().await?;
        Ok(db)
    }

    /// Brings the schema up to date.
    pub(super) async fn migrate(&self) -> Result<(), StoreError> {
        self.pending().await?;
        let mut lease = self.writer.lease(connect(&self.options)).await?;
        let done = schema::migrator(schema::SQLITE).run(&mut lease.conn).await;
        done.map_err(|error| StoreError::Broken(format!("cannot migrate: {error}")))?;
        lease.give_back();
        Ok(())
    }

    /// The migrations that the file lacks.
    pub(super) async fn pending(&self) -> Result<Vec<String>, StoreError> {
        let mut lease = self.writer.lease(connect(&self.options)).await?;
        let found: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM sqlite_schema WHERE name = '_sqlx_migrations'")
            .fetch_one(&mut lease.conn)
            .await
            .map_err(|error| fault(&error))?;
        let mut applied: Vec<i64> = Vec::new();
        if found == 1 {
            let query = sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success");
            applied = query.fetch_all(&mut lease.conn).await.map_err(|error| fault(&error))?;
        }
        lease.give_back();
        schema::pending(schema::SQLITE, &applied)
    }

    /// One statement that reads.
    pub(super) async fn read<T>(&self, query: Query<'_>, one: impl Fn(&SqliteRow) -> Read<T>) -> Result<Vec<T>, StoreError> {
        let mut lease = self.readers.lease(connect(&self.options)).await?;
        let rows = query.fetch_all(&mut lease.conn).await.map_err(|error| fault(&error))?;
        lease.give_back();
        rows.iter().map(one).collect::<Read<_>>().map_err(|error| fault(&error))
    }

    /// A transaction that writes.
    pub(super) async fn begin(&self) -> Result<Tx<'_>, StoreError> {
        let mut lease = self.writer.lease(connect(&self.options)).await?;
        sqlx::query("BEGIN IMMEDIATE").execute(&mut lease.conn).await.map_err(|error| fault(&error))?;
        Ok(Tx { lease })
    }

    /// One statement that writes; how many rows it changed.
    pub(super) async fn write(&self, query: Query<'_>) -> Result<u64, StoreError> {
        let mut tx = self.begin().await?;
        let changed = tx.execute(query).await?;
        tx.commit().await?;
        Ok(changed)
    }
}

/// A transaction that holds the write lock. Dropping it closes its connection, which rolls back.
#[derive(Debug)]
pub(super) struct Tx<'a> {
    lease: Lease<'a, SqliteConnection>,
}

impl Tx<'_> {
    /// Runs a statement; how many rows it changed.
    pub(super) async fn execute(&mut self, query: Query<'_>) -> Result<u64, StoreError> {
        let done = query.execute(&mut self.lease.conn).await.map_err(|error| fault(&error))?;
        Ok(done.rows_affected())
    }

    /// Reads rows.
    pub(super) async fn read<T>(&mut self, query: Query<'_>, one: impl Fn(&SqliteRow) -> Read<T>) -> Result<Vec<T>, StoreError> {
        let rows = query.fetch_all(&mut self.lease.conn).await.map_err(|error| fault(&error))?;
        rows.iter().map(one).collect::<Read<_>>().map_err(|error| fault(&error))
    }

    /// Reads one row or none.
    pub(super) async fn first<T>(
        &mut self,
        query: Query<'_>,
        one: impl Fn(&SqliteRow) -> Read<T>,
    ) -> Result<Option<T>, StoreError> {
        let row = query.fetch_optional(&mut self.lease.conn).await.map_err(|error| fault(&error))?;
        row.as_ref().map(one).transpose().map_err(|error| fault(&error))
    }

    /// Commits.
    pub(super) async fn commit(mut self) -> Result<(), StoreError> {
        let done = sqlx::query("COMMIT").execute(&mut self.lease.conn).await;
        done.map_err(|error| match fault(&error) {
            // Busy or full at COMMIT: still open, and rolled back when the connection closes.
            StoreError::Transient(why) if !why.contains("I/O") => StoreError::Transient(why),
            other => StoreError::Unknown(other.to_string()),
        })?;
        self.lease.give_back();
        Ok(())
    }

    /// Ends it without a change.
    pub(super) async fn rollback(mut self) -> Result<(), StoreError> {
        sqlx::query("ROLLBACK").execute(&mut self.lease.conn).await.map_err(|error| fault(&error))?;
        self.lease.give_back();
        Ok(())
    }
}

async fn connect(options: &SqliteConnectOptions) -> Result<SqliteConnection, StoreError> {
    SqliteConnection::connect_with(options).await.map_err(|error| fault(&error))
}

/// Takes the lock that makes this process the file's only worker.
fn lock(path: &Path) -> Result<File, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let broken = |error: std::io::Error| StoreError::Broken(format!("cannot lock {}: {error}", name.display()));
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir()) {
        let folder = folder.display();
        return Err(StoreError::Broken(format!("there is no folder {folder} for the database: make it, or mend `database.url`")));
    }
    let file = File::create(&name).map_err(broken)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse(format!(
            "another worker has {} open: a SQLite database is worked on by one process (it holds the lock on {}). Stop it first, talk to \
             it over HTTP, or use PostgreSQL for several workers",
            path.display(),
            name.display()
        ))),
        Err(TryLockError::Error(error)) => Err(broken(error)),
    }
}

/// The database's clock. SQLite has none of its own: it lives in this process, and so does its clock.
#[allow(clippy::disallowed_methods, reason = "this is the database's clock")]
pub(super) fn now() -> Time {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Time(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// What an error means for the caller.
pub(super) fn fault(error: &sqlx::Error) -> StoreError {
    let text = error.to_string();
    match error {
        sqlx::Error::Database(database) => {
            let code = database.code().and_then(|code| code.parse::<i32>().ok()).unwrap_or_default();
            match code & 0xff {
                // ABORT, BUSY, LOCKED, NOMEM, READONLY, INTERRUPT, FULL, CANTOPEN, PROTOCOL.
                4..=9 | 13..=15 => StoreError::Transient(text),
                10 => StoreError::Transient(format!("I/O: {text}")),
                // TOOBIG, CONSTRAINT, MISMATCH, RANGE.
                18 | 19 | 20 | 25 => StoreError::Data(text),
                _ => StoreError::Broken(text),
            }
        }
        sqlx::Error::Encode(_) => StoreError::Data(text),
        sqlx::Error::Io(_) | sqlx::Error::WorkerCrashed => StoreError::Transient(text),
        _ => StoreError::Broken(text),
    }
}
