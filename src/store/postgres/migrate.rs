//! Changing the schema beside everybody's work.
//!
//! DDL needs a table for itself, for a moment. While it waits for that behind one long transaction, everybody who comes later waits
//! behind it, so it waits briefly, lets go, and tries again. An index is built beside readers and writers, outside a transaction;
//! an attempt that broke off leaves an index that is kept up to date and serves nobody: it is dropped before the next one.

use std::time::Duration;

use sqlx::migrate::MigrateError;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection as _};
use tokio::time::{Instant, sleep};

use super::db::{connect, fault};
use crate::engine::ports::store::StoreError;
use crate::store::schema;

/// How long DDL waits for a table before it lets those behind it go first.
const BRIEF: &str = "SET lock_timeout = '2s'";
/// How long the building of an index waits for transactions that began before it. It stops nobody meanwhile but other DDL.
const PATIENT: &str = "SET lock_timeout = '5min'";
/// How long a migration is tried again.
const TRIES: Duration = Duration::from_mins(1);
/// Between two tries, and two looks whether another program has finished.
const PAUSE: Duration = Duration::from_millis(200);
/// How long another program's migrations are waited for.
const OTHERS: Duration = Duration::from_mins(30);
/// One program migrates at a time. The lock is tried and not waited for: see [`schema::migrator`].
const LOCK: &str = "SELECT pg_try_advisory_lock(hashtextextended('mozhao migrations', 0))";
const UNLOCK: &str = "SELECT pg_advisory_unlock(hashtextextended('mozhao migrations', 0))";
const APPLIED: &str = "SELECT to_regclass('_sqlx_migrations') IS NOT NULL";
const VERSIONS: &str = "SELECT version FROM _sqlx_migrations WHERE success";
const INVALID: &str = "SELECT EXISTS (SELECT 1 FROM pg_index WHERE indexrelid = to_regclass($1) AND NOT indisvalid)";

/// Brings the schema up to date.
pub(super) async fn migrate(options: &PgConnectOptions) -> Result<(), StoreError> {
    let mut conn = connect(options).await?;
    let end = Instant::now() + OTHERS;
    while !sqlx::query_scalar::<_, bool>(LOCK).fetch_one(&mut conn).await.map_err(|error| fault(&error))? {
        if Instant::now() >= end {
            return Err(StoreError::Transient("another program has been migrating the database for half an hour".into()));
        }
        sleep(PAUSE).await;
    }
    // Whatever a server or a role has set: an index on a large table takes its time.
    run(&mut conn, "SET statement_timeout = 0").await?;
    let done = steps(&mut conn).await;
    // Closing the connection releases it as well.
    let _released = sqlx::query(UNLOCK).execute(&mut conn).await;
    done?;
    conn.close().await.map_err(|error| fault(&error))
}

async fn steps(conn: &mut PgConnection) -> Result<(), StoreError> {
    let mut applied: Vec<i64> = Vec::new();
    if sqlx::query_scalar(APPLIED).fetch_one(&mut *conn).await.map_err(|error| fault(&error))? {
        applied = sqlx::query_scalar(VERSIONS).fetch_all(&mut *conn).await.map_err(|error| fault(&error))?;
    }
    let migrator = schema::migrator(schema::POSTGRES);
    for (number, _, sql) in schema::POSTGRES.iter().filter(|(number, ..)| !applied.contains(number)) {
        let end = Instant::now() + TRIES;
        loop {
            let alone = schema::alone(sql);
            if let Some(index) = schema::index_of(sql).filter(|_| alone) {
                drop_invalid(conn, index).await?;
            }
            run(conn, if alone { PATIENT } else { BRIEF }).await?;
            // `run_to` cannot be spawned: its future is not general enough over the connection.
            match migrator.run_direct(Some(*number), &mut *conn, false).await {
                Ok(()) => break,
                Err(error) if in_the_way(&error) && Instant::now() < end => sleep(PAUSE).await,
                Err(error) => return Err(StoreError::Broken(format!("cannot migrate: {error}"))),
            }
        }
    }
    Ok(())
}

async fn drop_invalid(conn: &mut PgConnection, index: &'static str) -> Result<(), StoreError> {
    let invalid = sqlx::query_scalar(INVALID).bind(index).fetch_one(&mut *conn).await;
    if invalid.map_err(|error| fault(&error))? {
        run(conn, PATIENT).await?;
        run(conn, &format!("DROP INDEX CONCURRENTLY IF EXISTS {index}")).await?;
    }
    Ok(())
}

async fn run(conn: &mut PgConnection, sql: &str) -> Result<(), StoreError> {
    let done = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(conn).await;
    done.map(drop).map_err(|error| fault(&error))
}

/// Somebody's transaction was in the way: a lock not granted in time, or a deadlock.
fn in_the_way(error: &MigrateError) -> bool {
    let (MigrateError::ExecuteMigration(error, _) | MigrateError::Execute(error)) = error else { return false };
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code == "55P03" || code == "40P01")
}
