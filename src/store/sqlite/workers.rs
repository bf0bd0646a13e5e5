//! Workers' rows, and what becomes of requests whose worker is gone.

use std::time::Duration;

use sqlx::Row as _;
use uuid::Uuid;

use super::commit::alive;
use super::db::{self, Tx};
use super::{SqliteStore, rows};
use crate::engine::ports::records::{Heartbeat, WorkerRow};
use crate::engine::ports::store::{StoreError, WorkerId};
use crate::store::batch;

const REGISTER: &str = "INSERT INTO workers (id, name, version, started_at, heartbeat_at) VALUES (?1, ?2, ?3, ?4, ?5)";
const RENEW: &str = "UPDATE workers SET heartbeat_at = ?2 WHERE id = ?1";
const WORKERS: &str = "SELECT id, name, version, started_at, heartbeat_at FROM workers ORDER BY id";
const STALE: &str = "DELETE FROM workers WHERE id <> ?1 AND heartbeat_at < ?2 RETURNING id";
const REMOVE: &str = "DELETE FROM workers WHERE id = ?1";
const ORPHANED: &str = "SELECT DISTINCT owner FROM requests WHERE owner IS NOT NULL AND owner NOT IN (SELECT id FROM workers)";
/// `rules::wake_orphan` in SQL.
const RELEASE: &str = "\
    UPDATE requests
    SET owner = NULL, deaths = deaths + ?3, wake_at = CASE WHEN turn OR signalled > seen THEN ?2 ELSE expires_at END
    WHERE owner = ?1";
const FOLD: &str = "\
    INSERT INTO tallies (worker, name, n)
    SELECT zeroblob(16), name, n FROM tallies WHERE worker = ?1
    ON CONFLICT (worker, name) DO UPDATE SET n = n + excluded.n";
const FOLDED: &str = "DELETE FROM tallies WHERE worker = ?1";

impl SqliteStore {
    pub(super) async fn add_worker(&self, worker: &WorkerRow) -> Result<(), StoreError> {
        batch::plain(&worker.name)?;
        let query = sqlx::query(REGISTER).bind(worker.id).bind(&worker.name).bind(&worker.version);
        self.db.write(query.bind(worker.started_at.0).bind(db::now().0)).await?;
        Ok(())
    }

    pub(super) async fn renew(&self, worker: WorkerId) -> Result<Heartbeat, StoreError> {
        let renewed = self.db.write(sqlx::query(RENEW).bind(worker).bind(db::now().0)).await?;
        Ok(if renewed == 1 { Heartbeat::Alive } else { Heartbeat::Gone })
    }

    pub(super) async fn list_workers(&self) -> Result<Vec<WorkerRow>, StoreError> {
        self.db.read(sqlx::query(WORKERS), rows::worker).await
    }

    pub(super) async fn take_over(&self, by: WorkerId, lease: Duration) -> Result<Vec<WorkerId>, StoreError> {
        let mut tx = self.db.begin().await?;
        if !alive(&mut tx, by).await? {
            tx.rollback().await?;
            return Err(StoreError::Fenced);
        }
        let stale = sqlx::query(STALE).bind(by).bind(db::now().minus(lease).0);
        let mut dead: Vec<Uuid> = tx.read(stale, |row| row.try_get("id")).await?;
        dead.sort_unstable();
        let mut owners: Vec<Uuid> = tx.read(sqlx::query(ORPHANED), |row| row.try_get("owner")).await?;
        owners.extend(&dead);
        for owner in owners {
            release(&mut tx, owner, 1).await?;
        }
        tx.commit().await?;
        Ok(dead)
    }

    pub(super) async fn remove_worker(&self, worker: WorkerId) -> Result<(), StoreError> {
        let mut tx = self.db.begin().await?;
        tx.execute(sqlx::query(REMOVE).bind(worker)).await?;
        release(&mut tx, worker, 0).await?;
        tx.commit().await
    }
}

/// Makes an owner's requests unowned and due, and folds its counters into those of workers that are gone.
async fn release(tx: &mut Tx<'_>, owner: WorkerId, deaths: i64) -> Result<(), StoreError> {
    tx.execute(sqlx::query(RELEASE).bind(owner).bind(db::now().0).bind(deaths)).await?;
    tx.execute(sqlx::query(FOLD).bind(owner)).await?;
    tx.execute(sqlx::query(FOLDED).bind(owner)).await?;
    Ok(())
}
