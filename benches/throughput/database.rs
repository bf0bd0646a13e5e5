//! What the database says about itself, over a connection of its own.

use std::fmt::Write as _;

use anyhow::Context as _;
use mozhao::domain::time::Time;
use mozhao::store::postgres::PostgresStore;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};

use super::scale::Ground;

/// Numbers, times and ids (UUIDv7) of done requests.
macro_rules! past {
    () => {
        "(SELECT n, (ms * 1000)::BIGINT AS at,
            (lpad(to_hex(ms), 12, '0') || '7' || lpad(to_hex(n % 4096), 3, '0') || '8' || substr(md5(n::TEXT), 1, 15))::UUID AS id
          FROM (SELECT n, (extract(epoch FROM now()) * 1000)::BIGINT - 86400000 - (365::BIGINT * 86400000) / $3 * ($3 - n) AS ms
                FROM generate_series($1::BIGINT, $2::BIGINT) AS n) AS numbered) AS past"
    };
}

/// Requests of history in one statement.
const CHUNK: i64 = 50_000;
/// What done requests have left: their numbers are $1 to $2 of $3, spread evenly over the last year. The bytes are about as many as
/// in life; nobody reads them.
const HISTORY: [&str; 5] = [
    concat!(
        "INSERT INTO requests (id, process, version, customer, producer, message, channel, lane, lane_no, turn, over_limit, seq, head, state,
            signalled, seen, deaths, person, accepted_at, updated_at, expires_at, ended_at)
         SELECT id, 'bench', 1, 'h-' || n % 100000, 'amqp:guest', 'history-' || n, 'bench', 'customer:h-' || n % 100000, 1 + n / 100000, true, false,
            9, decode(repeat(md5(n::TEXT), 2), 'hex'), 'done', 0, 0, 0, false, at, at, at, at FROM ",
        past!()
    ),
    concat!("INSERT INTO payloads (request, body) SELECT id, decode(repeat(md5(n::TEXT), 25), 'hex') FROM ", past!()),
    concat!(
        "INSERT INTO entries (request, seq, packed)
         SELECT id, seq, decode(repeat(md5(n::TEXT), 40), 'hex') FROM (VALUES (1), (2), (4), (7)) AS e (seq), ",
        past!()
    ),
    concat!(
        "INSERT INTO inbox (producer, message, body_sha256, request, at)
         SELECT 'amqp:guest', 'history-' || n, decode(repeat(md5(n::TEXT), 2), 'hex'), id, at FROM ",
        past!()
    ),
    // Events are kept for a week.
    concat!(
        "INSERT INTO outbox (id, request, seq, topic, body, at)
         SELECT id, id, 9, 'request.bench.done', decode(repeat(md5(n::TEXT), 35), 'hex'), at FROM ",
        past!(),
        " WHERE n > $3 - $3 / 52"
    ),
];

/// Requests $1 to $2 that are parked under a defect, and behind each, in its lane, one that waits for its turn.
const BACKLOG: [&str; 3] = [
    "INSERT INTO requests (id, process, version, customer, producer, message, channel, lane, lane_no, turn, over_limit, seq, head, state, step,
        reason, parked, wake_at, signalled, seen, deaths, person, accepted_at, updated_at, expires_at)
     SELECT md5('p' || n)::UUID, 'bench', 1, 'b-' || n, 'amqp:guest', 'parked-' || n, 'bench', 'customer:b-' || n, 1, true, false, 3,
        decode(repeat(md5(n::TEXT), 2), 'hex'), 'parked', 'card', 'status', 'defect:backlog', mozhao_now() + 604800000000, 0, 0, 0, false,
        mozhao_now(), mozhao_now(), mozhao_now() + 604800000000 FROM generate_series($1::BIGINT, $2::BIGINT) AS n",
    "INSERT INTO requests (id, process, version, customer, producer, message, channel, lane, lane_no, turn, over_limit, seq, head, state,
        wake_at, signalled, seen, deaths, person, accepted_at, updated_at, expires_at)
     SELECT md5('q' || n)::UUID, 'bench', 1, 'b-' || n, 'amqp:guest', 'queued-' || n, 'bench', 'customer:b-' || n, 2, false, false, 1,
        decode(repeat(md5(n::TEXT), 2), 'hex'), 'queued', mozhao_now() + 604800000000, 0, 0, 0, false,
        mozhao_now(), mozhao_now(), mozhao_now() + 604800000000 FROM generate_series($1::BIGINT, $2::BIGINT) AS n",
    "INSERT INTO payloads (request, body) SELECT md5(kind || n)::UUID, decode(repeat(md5(n::TEXT), 25), 'hex')
     FROM (VALUES ('p'), ('q')) AS k (kind), generate_series($1::BIGINT, $2::BIGINT) AS n",
];

/// A connection to the benchmark's own database.
pub(crate) struct Database {
    connection: PgConnection,
    url: String,
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
        let connection = PgConnection::connect(url).await.context("cannot connect to the database")?;
        Ok(Database { connection, url: url.to_owned() })
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

    /// Lays the ground for a measurement.
    pub(crate) async fn lay(&mut self, ground: Ground) -> anyhow::Result<()> {
        match ground {
            Ground::Empty => Ok(()),
            Ground::History(count) => self.history(count).await,
            Ground::Backlog(count) => self.backlog(count).await,
        }
    }

    async fn backlog(&mut self, count: usize) -> anyhow::Result<()> {
        for statement in BACKLOG {
            sqlx::query(statement).bind(1_i64).bind(i64::try_from(count)?).execute(&mut self.connection).await?;
        }
        sqlx::raw_sql("VACUUM ANALYZE").execute(&mut self.connection).await?;
        Ok(())
    }

    /// Writes `count` requests that were done in the last year, from 100,000 customers, with everything that belongs to them.
    async fn history(&mut self, count: usize) -> anyhow::Result<()> {
        let count = i64::try_from(count)?;
        // As they would have been made while it came.
        let year_ago: i64 = sqlx::query_scalar("SELECT mozhao_now() - 366 * 86400000000").fetch_one(&mut self.connection).await?;
        PostgresStore::open(&self.url).await?.make_months(Time(year_ago), 13).await?;
        let mut from = 0;
        while from < count {
            let to = (from + CHUNK).min(count);
            for statement in HISTORY {
                sqlx::query(statement).bind(from).bind(to - 1).bind(count).execute(&mut self.connection).await?;
            }
            from = to;
        }
        if count > 0 {
            sqlx::raw_sql("VACUUM ANALYZE").execute(&mut self.connection).await?;
        }
        Ok(())
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
