//! What the database says about itself, over a connection of its own.

use std::fmt::Write as _;

use anyhow::Context as _;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};

/// A connection to the benchmark's own database.
pub(crate) struct Database {
    connection: PgConnection,
}

/// How far the database has got.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    /// Transactions that wrote anything.
    transactions: i64,
    /// The write-ahead log's position.
    wal: i64,
    /// Rows inserted, updated and deleted, as far as the sessions have reported them.
    rows: i64,
}

impl Mark {
    /// Transactions, bytes of log and rows since then.
    pub(crate) fn since(self, before: Mark) -> (u64, u64, u64) {
        let spent = |now: i64, then: i64| u64::try_from(now - then).unwrap_or_default();
        (spent(self.transactions, before.transactions), spent(self.wal, before.wal), spent(self.rows, before.rows))
    }
}

impl Database {
    /// Connects.
    pub(crate) async fn open(url: &str) -> anyhow::Result<Database> {
        Ok(Database { connection: PgConnection::connect(url).await.context("cannot connect to the database")? })
    }

    /// How far it has got.
    pub(crate) async fn mark(&mut self) -> anyhow::Result<Mark> {
        let row = sqlx::query(
            "SELECT pg_snapshot_xmax(pg_current_snapshot())::TEXT::BIGINT AS transactions, (pg_current_wal_insert_lsn() - '0/0')::BIGINT AS wal,
                (SELECT tup_inserted + tup_updated + tup_deleted FROM pg_stat_database WHERE datname = current_database()) AS rows",
        )
        .fetch_one(&mut self.connection)
        .await?;
        Ok(Mark { transactions: row.try_get("transactions")?, wal: row.try_get("wal")?, rows: row.try_get("rows")? })
    }

    /// Durable transactions per second, one after the other, one row each.
    pub async fn alone(&mut self, count: usize) -> anyhow::Result<f64> {
        sqlx::query("CREATE TABLE alone (id BIGINT)").execute(&mut self.connection).await?;
        let start = std::time::Instant::now();
        for _ in 0..count {
            sqlx::query("INSERT INTO alone VALUES (1)").execute(&mut self.connection).await?;
        }
        let seconds = start.elapsed().as_secs_f64();
        sqlx::query("DROP TABLE alone").execute(&mut self.connection).await?;
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        Ok(count as f64 / seconds)
    }

    /// Equal footing for what follows.
    pub(crate) async fn checkpoint(&mut self) -> anyhow::Result<()> {
        sqlx::query("CHECKPOINT").execute(&mut self.connection).await?;
        Ok(())
    }

    /// Removes a database that nobody needs any more: vacuuming it would be charged to the next round.
    pub(crate) async fn drop_database(&mut self, url: &str) -> anyhow::Result<()> {
        let (_, name) = url.rsplit_once('/').context("a URL with a database")?;
        sqlx::query(AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"))).execute(&mut self.connection).await?;
        Ok(())
    }

    /// Makes the server count statements: needs a restart.
    pub(crate) async fn count_statements(&mut self) -> anyhow::Result<()> {
        sqlx::query("ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'").execute(&mut self.connection).await?;
        Ok(())
    }

    /// Forgets what was counted.
    pub(crate) async fn forget_statements(&mut self) -> anyhow::Result<()> {
        sqlx::query("CREATE EXTENSION IF NOT EXISTS pg_stat_statements").execute(&mut self.connection).await?;
        sqlx::query("SELECT pg_stat_statements_reset()").execute(&mut self.connection).await?;
        Ok(())
    }

    /// The statements that took the longest, as Markdown.
    pub(crate) async fn statements(&mut self) -> anyhow::Result<String> {
        let rows = sqlx::query(
            "SELECT calls, total_exec_time, total_plan_time, rows, wal_bytes::BIGINT AS wal, left(regexp_replace(query, '\\s+', ' ', 'g'), 90) AS query
             FROM pg_stat_statements ORDER BY total_exec_time + total_plan_time DESC LIMIT 25",
        );
        let rows = rows.fetch_all(&mut self.connection).await?;
        let mut table = "| calls | exec ms | plan ms | rows | WAL KiB | statement |\n|---|---|---|---|---|---|\n".to_owned();
        for row in rows {
            let (calls, exec, plan): (i64, f64, f64) =
                (row.try_get("calls")?, row.try_get("total_exec_time")?, row.try_get("total_plan_time")?);
            let (rows, wal, query): (i64, i64, String) = (row.try_get("rows")?, row.try_get("wal")?, row.try_get("query")?);
            writeln!(table, "| {calls} | {exec:.0} | {plan:.0} | {rows} | {} | {query} |", wal / 1024)?;
        }
        Ok(table)
    }
}
