//! Production: any number of workers on one PostgreSQL.
//!
//! Nothing here reads first and writes later without a lock; each write is one statement for the whole batch, guarded in its
//! WHERE. Locks are taken in one order by everybody, so that there are no deadlocks: the worker's own row, inbox keys, lanes, limits,
//! requests, then what belongs to requests; within each kind in one order.

mod accept;
mod advance;
mod batches;
mod claim;
mod commit;
mod db;
mod groups;
mod migrate;
mod months;
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

use std::sync::Mutex;

use tokio::time::Instant;

use crate::engine::ports::store::StoreError;
use crate::store::port::implement_store;

const NUMBER_ON: &str = "\
    SELECT setval('lane_numbers', r.last) FROM (SELECT MAX(lane_no) AS last FROM open_requests) AS r, lane_numbers AS s
    WHERE r.last > s.last_value";

/// State in PostgreSQL.
#[derive(Debug)]
pub struct PostgresStore {
    db: db::Db,
    /// Until then no DDL is tried: somebody was in its way.
    quiet_until: Mutex<Option<Instant>>,
}

impl PostgresStore {
    /// Two transactions wait for each other only where both touch one lane.
    const SIDE_BY_SIDE: bool = true;

    /// Connects.
    ///
    /// # Errors
    /// It cannot be reached; a newer program has migrated it.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        Ok(PostgresStore { db: db::Db::open(url).await?, quiet_until: Mutex::new(None) })
    }

    /// Brings the schema up to date.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        self.db.migrate().await?;
        self.prepare().await?;
        self.fill_all_who().await
    }

    /// What is done at each start: numbers of lanes go on where the requests that are there end, and tables are made for the months
    /// that come.
    pub async fn prepare(&self) -> Result<(), StoreError> {
        self.number_on().await?;
        self.make_months_ahead().await
    }

    /// A copy that has the rows and not the sequence (logical replication, a restore of tables) would begin at one again.
    async fn number_on(&self) -> Result<(), StoreError> {
        let mut tx = self.db.others().begin().await?;
        // One after the other: who comes second finds nothing to do, and sets nothing back.
        tx.execute(sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('mozhao lane_numbers', 1))")).await?;
        tx.execute(sqlx::query(NUMBER_ON)).await?;
        tx.commit().await
    }

    /// The names of the migrations that are still to be done.
    pub async fn pending_migrations(&self) -> Result<Vec<String>, StoreError> {
        self.db.pending().await
    }
}

implement_store!(PostgresStore, "postgres");
