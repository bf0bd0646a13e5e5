//! Workers' rows, and what becomes of requests whose worker is gone.

use std::time::Duration;

use sqlx::Row as _;
use uuid::Uuid;

use super::commit::alive;
use super::db::Tx;
use super::{PostgresStore, rows};
use crate::engine::ports::records::{Heartbeat, WorkerRow};
use crate::engine::ports::store::{StoreError, WorkerId};
use crate::store::rows::int;

const REGISTER: &str = "INSERT INTO workers (id, name, version, started_at, heartbeat_at) VALUES ($1, $2, $3, $4, mozhao_now())";
const RENEW: &str = "UPDATE workers SET heartbeat_at = mozhao_now() WHERE id = $1";
const WORKERS: &str = "SELECT id, name, version, started_at, heartbeat_at FROM workers ORDER BY id";
const STALE: &str = "SELECT id FROM workers WHERE id <> $1 AND heartbeat_at < mozhao_now() - $2 ORDER BY id";
/// Waits for the dead worker's batch in flight, if there is one, and excludes every later one. Looks at the heartbeat again.
const BURY: &str = "DELETE FROM workers WHERE id = $1 AND heartbeat_at < mozhao_now() - $2";
const REMOVE: &str = "DELETE FROM workers WHERE id = $1";
/// A worker's row is there before it owns anything and never comes back: who is listed here is gone for good.
const ORPHANED: &str = "\
    SELECT DISTINCT r.owner FROM open_requests r
    WHERE r.owner IS NOT NULL AND NOT EXISTS (SELECT 1 FROM workers w WHERE w.id = r.owner)";
/// `rules::wake_orphan` in SQL.
const RELEASE: &str = "\
    WITH lost AS (SELECT id FROM open_requests WHERE owner = $1 ORDER BY id FOR NO KEY UPDATE)
    UPDATE open_requests AS r
    SET owner = NULL, deaths = r.deaths + $2,
        wake_at = CASE WHEN r.turn OR r.signalled > r.seen THEN mozhao_now() ELSE r.expires_at END
    FROM lost WHERE r.id = lost.id AND r.id = ANY(ARRAY(SELECT id FROM lost))";
const FOLD: &str = "\
    WITH gone AS (DELETE FROM tallies WHERE worker = $1 RETURNING name, n)
    INSERT INTO tallies AS t (worker, name, n)
    SELECT '00000000-0000-0000-0000-000000000000'::UUID, name, n FROM gone ORDER BY name
    ON CONFLICT (worker, name) DO UPDATE SET n = t.n + EXCLUDED.n";

impl PostgresStore {
    pub(super) async fn add_worker(&self, worker: &WorkerRow) -> Result<(), StoreError> {
        let query = sqlx::query(REGISTER).bind(worker.id).bind(&worker.name).bind(&worker.version);
        self.db.engine().write(query.bind(worker.started_at.0)).await?;
        Ok(())
    }

    pub(super) async fn renew(&self, worker: WorkerId) -> Result<Heartbeat, StoreError> {
        let renewed = self.db.engine().write(sqlx::query(RENEW).bind(worker)).await?;
        Ok(if renewed == 1 { Heartbeat::Alive } else { Heartbeat::Gone })
    }

    pub(super) async fn list_workers(&self) -> Result<Vec<WorkerRow>, StoreError> {
        self.db.others().read(sqlx::query(WORKERS), rows::worker).await
    }

    /// One transaction per dead worker, so that one whose batch hangs does not keep the others from being rescued.
    pub(super) async fn take_over(&self, by: WorkerId, lease: Duration) -> Result<Vec<WorkerId>, StoreError> {
        let lease = int(lease.as_micros())?;
        let mut tx = self.db.engine().begin().await?;
        if !alive(&mut tx, by).await? {
            tx.rollback().await?;
            return Err(StoreError::Fenced);
        }
        let stale: Vec<Uuid> = tx.read(sqlx::query(STALE).bind(by).bind(lease), |row| row.try_get("id")).await?;
        tx.rollback().await?;
        let mut dead = Vec::new();
        let mut failed = None;
        for worker in stale {
            match self.bury(by, worker, lease).await {
                Ok(buried) => dead.extend(buried.then_some(worker)),
                Err(StoreError::Transient(why)) => failed = Some(why),
                Err(other) => return Err(other),
            }
        }
        if let Some(why) = failed.filter(|_| dead.is_empty()) {
            return Err(StoreError::Transient(why));
        }
        let owners: Vec<Uuid> = self.db.engine().read(sqlx::query(ORPHANED), |row| row.try_get("owner")).await?;
        for owner in owners {
            let mut tx = self.db.engine().begin().await?;
            release(&mut tx, owner, 1).await?;
            tx.commit().await?;
        }
        Ok(dead)
    }

    async fn bury(&self, by: WorkerId, worker: WorkerId, lease: i64) -> Result<bool, StoreError> {
        let mut tx = self.db.engine().begin().await?;
        if !alive(&mut tx, by).await? {
            tx.rollback().await?;
            return Err(StoreError::Fenced);
        }
        let buried = tx.execute(sqlx::query(BURY).bind(worker).bind(lease)).await? == 1;
        if buried {
            release(&mut tx, worker, 1).await?;
        }
        tx.commit().await?;
        Ok(buried)
    }

    pub(super) async fn remove_worker(&self, worker: WorkerId) -> Result<(), StoreError> {
        let mut tx = self.db.engine().begin().await?;
        tx.execute(sqlx::query(REMOVE).bind(worker)).await?;
        release(&mut tx, worker, 0).await?;
        tx.commit().await
    }
}

/// Makes an owner's requests unowned and due, and folds its counters into those of workers that are gone.
async fn release(tx: &mut Tx<'_>, owner: WorkerId, deaths: i64) -> Result<(), StoreError> {
    tx.execute(sqlx::query(RELEASE).bind(owner).bind(deaths)).await?;
    tx.execute(sqlx::query(FOLD).bind(owner)).await?;
    Ok(())
}
