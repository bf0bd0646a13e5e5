//! PostgreSQL itself: connections, transactions with a deadline, and what its errors mean.
//!
//! A query on a silently dead connection never returns, and whoever is cancelled inside a transaction leaves it open. So every
//! statement goes through here: the server ends what it does too long (`statement_timeout`, `lock_timeout`, and for a frozen worker
//! `idle_in_transaction_session_timeout`, below any lease), and where the server is silent our own deadline closes the connection.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgRow};
use sqlx::{Connection as _, Postgres};
use tokio::time::{Instant, timeout_at};

use super::migrate::migrate;
use crate::engine::ports::store::StoreError;
use crate::store::pool::{Lease, Pool};
use crate::store::rows::Read;
use crate::store::schema;

/// How long a call waits for a connection of the pool, and then for a new one.
const WAIT: Duration = Duration::from_secs(5);
/// How long a call may take, the wait for its connection included. With the two seconds between heartbeats of the default lease, a
/// database that says nothing is noticed within the ten seconds that we promise.
const DEADLINE: Duration = Duration::from_millis(7_500);
/// The server's own bounds, in milliseconds; below [`DEADLINE`], so that an answer says which one it was.
const BOUNDS: [(&str, &str); 4] =
    [("statement_timeout", "7000"), ("lock_timeout", "4000"), ("idle_in_transaction_session_timeout", "2500"), ("jit", "off")];
/// Statements of the engine find their rows by index. They are planned while the tables are empty and kept as these grow: the
/// planner believes then that reading a whole table, or a whole index, is cheaper than looking a few rows up. So scans are off;
/// where rows are to be found by a list of keys, the list is also given as `= ANY($n)`, which an index can be asked for; and
/// what was found is joined to what goes with it by a hash, since nested loops compare everything with everything.
/// One plan serves every batch: to plan each anew, for the number of rows that it has, costs more than it can win.
const BY_INDEX: [(&str, &str); 4] = [
    ("enable_seqscan", "off"),
    ("enable_nestloop", "off"),
    ("enable_mergejoin", "off"),
    ("plan_cache_mode", "force_generic_plan"),
];
/// Lists have many optional filters: each is planned with the ones that it has.
const BY_FILTER: [(&str, &str); 1] = [("plan_cache_mode", "force_custom_plan")];
/// Connections for the engine: commits, heartbeats, claims. Nobody else may take them: without a heartbeat the worker is lost.
const ENGINE: usize = 6;
/// Connections for looks at one request: the engine's own, and those of whoever follows or reads a request.
const LOOKS: usize = 6;
/// Connections for everybody else.
const OTHERS: usize = 8;

/// A statement with its arguments.
pub(super) type Query<'q> = sqlx::query::Query<'q, Postgres, PgArguments>;

/// The server.
#[derive(Debug)]
pub(super) struct Db {
    engine: Side,
    looks: Side,
    others: Side,
    options: PgConnectOptions,
}

/// Connections of one kind.
#[derive(Debug)]
pub(super) struct Side {
    options: PgConnectOptions,
    pool: Pool<PgConnection>,
}

impl Db {
    /// Connects once, to see that it can, and that the schema is not newer than this program.
    pub(super) async fn open(url: &str) -> Result<Db, StoreError> {
        let options = PgConnectOptions::from_str(url).map_err(|error| StoreError::Broken(format!("database.url: {error}")))?;
        let options = options.application_name("mozhao");
        let bounded = options.clone().options(BOUNDS);
        let db = Db {
            engine: Side { options: bounded.clone().options(BY_INDEX), pool: Pool::new(ENGINE, WAIT) },
            looks: Side { options: bounded.clone().options(BY_INDEX), pool: Pool::new(LOOKS, WAIT) },
            others: Side { options: bounded.options(BY_FILTER), pool: Pool::new(OTHERS, WAIT) },
            options,
        };
        db.pending().await?;
        Ok(db)
    }

    /// For commits, heartbeats and claims.
    pub(super) fn engine(&self) -> &Side {
        &self.engine
    }

    /// For looks at one request.
    pub(super) fn looks(&self) -> &Side {
        &self.looks
    }

    /// For everybody else.
    pub(super) fn others(&self) -> &Side {
        &self.others
    }

    /// Brings the schema up to date. Several processes may do this at once: one does, and the others wait.
    pub(super) async fn migrate(&self) -> Result<(), StoreError> {
        self.pending().await?;
        migrate(&self.options).await
    }

    /// The migrations that the database lacks.
    pub(super) async fn pending(&self) -> Result<Vec<String>, StoreError> {
        let found = sqlx::query("SELECT to_regclass('_sqlx_migrations') IS NOT NULL AS found");
        let found: Vec<bool> = self.others.read(found, |row| sqlx::Row::try_get(row, "found")).await?;
        let mut applied: Vec<i64> = Vec::new();
        if found == [true] {
            let versions = sqlx::query("SELECT version FROM _sqlx_migrations WHERE success");
            applied = self.others.read(versions, |row| sqlx::Row::try_get(row, "version")).await?;
            let old = sqlx::query("SELECT to_regclass('lane_numbers') IS NULL AS old");
            let old: Vec<bool> = self.others.read(old, |row| sqlx::Row::try_get(row, "old")).await?;
            if applied.contains(&1) && old == [true] {
                let why = "the database was made by a build from before the first version, with another schema; make a new one";
                return Err(StoreError::Broken(why.to_owned()));
            }
        }
        schema::pending(schema::POSTGRES, &applied)
    }
}

impl Side {
    /// One statement that reads.
    pub(super) async fn read<T>(&self, query: Query<'_>, one: impl Fn(&PgRow) -> Read<T>) -> Result<Vec<T>, StoreError> {
        let end = Instant::now() + DEADLINE;
        let mut lease = self.lease(end).await?;
        let rows = match within(end, query.fetch_all(&mut lease.conn)).await {
            Ok(rows) => rows,
            Err(error) => {
                lease.clear_others();
                return Err(error);
            }
        };
        lease.give_back();
        rows.iter().map(one).collect::<Read<_>>().map_err(|error| fault(&error))
    }

    /// A transaction.
    pub(super) async fn begin(&self) -> Result<Tx<'_>, StoreError> {
        let end = Instant::now() + DEADLINE;
        let mut tx = Tx { lease: self.lease(end).await?, end };
        // Whoever waited for a lock sees in its next statement what was committed meanwhile; a role or a database may be set otherwise.
        tx.execute(sqlx::query("BEGIN ISOLATION LEVEL READ COMMITTED")).await?;
        Ok(tx)
    }

    async fn lease(&self, end: Instant) -> Result<Lease<'_, PgConnection>, StoreError> {
        timeout_at(end, self.pool.lease(connect(&self.options))).await.unwrap_or_else(|_| Err(late()))
    }

    /// One statement that writes; how many rows it changed.
    pub(super) async fn write(&self, query: Query<'_>) -> Result<u64, StoreError> {
        let mut tx = self.begin().await?;
        let changed = tx.execute(query).await?;
        tx.commit().await?;
        Ok(changed)
    }
}

/// A transaction. Dropping it closes its connection, which rolls back.
#[derive(Debug)]
pub(super) struct Tx<'a> {
    lease: Lease<'a, PgConnection>,
    end: Instant,
}

impl Tx<'_> {
    /// Runs a statement; how many rows it changed.
    pub(super) async fn execute(&mut self, query: Query<'_>) -> Result<u64, StoreError> {
        let done = within(self.end, query.execute(&mut self.lease.conn)).await;
        Ok(self.checked(done)?.rows_affected())
    }

    /// Reads rows.
    pub(super) async fn read<T>(&mut self, query: Query<'_>, one: impl Fn(&PgRow) -> Read<T>) -> Result<Vec<T>, StoreError> {
        self.rows(query).await?.iter().map(one).collect::<Read<_>>().map_err(|error| fault(&error))
    }

    /// Reads rows as they come.
    pub(super) async fn rows(&mut self, query: Query<'_>) -> Result<Vec<PgRow>, StoreError> {
        let rows = within(self.end, query.fetch_all(&mut self.lease.conn)).await;
        self.checked(rows)
    }

    /// Reads one row or none.
    pub(super) async fn first<T>(&mut self, query: Query<'_>, one: impl Fn(&PgRow) -> Read<T>) -> Result<Option<T>, StoreError> {
        Ok(self.read(query, one).await?.into_iter().next())
    }

    /// Commits. Whatever goes wrong from here on, short of a refusal by the server, leaves it open whether it did.
    pub(super) async fn commit(mut self) -> Result<(), StoreError> {
        match within(self.end, sqlx::query("COMMIT").execute(&mut self.lease.conn)).await {
            Ok(_) => {
                self.lease.give_back();
                Ok(())
            }
            Err(StoreError::Transient(why)) if why.starts_with(REFUSED) => Err(StoreError::Transient(why)),
            Err(StoreError::Data(why)) => Err(StoreError::Data(why)),
            Err(error) => {
                self.lease.clear_others();
                Err(StoreError::Unknown(error.to_string()))
            }
        }
    }

    /// Ends it without a change.
    pub(super) async fn rollback(mut self) -> Result<(), StoreError> {
        self.execute(sqlx::query("ROLLBACK")).await?;
        self.lease.give_back();
        Ok(())
    }

    fn checked<T>(&self, answer: Result<T, StoreError>) -> Result<T, StoreError> {
        // A dead connection is seldom alone.
        if matches!(&answer, Err(StoreError::Transient(why)) if !why.starts_with(REFUSED)) {
            self.lease.clear_others();
        }
        answer
    }
}

/// Begins the text of an error with which the server rolled the transaction back.
const REFUSED: &str = "rolled back: ";

pub(super) async fn connect(options: &PgConnectOptions) -> Result<PgConnection, StoreError> {
    PgConnection::connect_with(options).await.map_err(|error| fault(&error))
}

async fn within<T>(end: Instant, work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, StoreError> {
    match timeout_at(end, work).await {
        Ok(done) => done.map_err(|error| fault(&error)),
        Err(_) => Err(late()),
    }
}

fn late() -> StoreError {
    StoreError::Transient(format!("no answer within {DEADLINE:?}"))
}

/// What an error means for the caller, before COMMIT.
pub(super) fn fault(error: &sqlx::Error) -> StoreError {
    let text = error.to_string();
    match error {
        sqlx::Error::Database(database) => {
            let code = database.code().unwrap_or_default();
            let text = format!("{text} (SQLSTATE {code})");
            match code.get(..2).unwrap_or_default() {
                // A check without a name is a partition's bound: the table for this month was made at the same moment.
                "23" if code == "23514" && database.constraint().is_none() => StoreError::Transient(text),
                // Data exception, integrity constraint, a row too large for its index.
                "22" | "23" | "54" => StoreError::Data(text),
                // Serialization failure, deadlock, a lock not granted.
                "40" => StoreError::Transient(format!("{REFUSED}{text}")),
                // Connection, resources, operator intervention (shutdown, cancelled), system error, lock timeout.
                "08" | "53" | "55" | "57" | "58" => StoreError::Transient(text),
                // Read-only (a standby, or a full disk's emergency), killed while idle in a transaction.
                "25" => StoreError::Transient(text),
                _ => StoreError::Broken(text),
            }
        }
        sqlx::Error::Encode(_) => StoreError::Data(text),
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::Tls(_) => StoreError::Transient(text),
        _ => StoreError::Broken(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_transient_and_a_wrong_column_is_not() {
        let io = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        assert!(matches!(fault(&sqlx::Error::Io(io)), StoreError::Transient(_)));
        assert!(matches!(fault(&sqlx::Error::ColumnNotFound("x".into())), StoreError::Broken(_)));
        assert!(matches!(fault(&sqlx::Error::Encode("x".into())), StoreError::Data(_)));
    }
}
