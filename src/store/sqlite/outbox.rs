//! Events waiting to be published, and the feed of all events.

use sqlx::Row as _;
use uuid::Uuid;

use super::{SqliteStore, rows};
use crate::engine::ports::records::Event;
use crate::engine::ports::store::{StoreError, WorkerId};
use crate::faults::bug;
use crate::store::rows::{event_columns, int};

/// Who has events waiting and is gone. One step in the index per worker, however many events wait.
const GONE: &str = "\
    WITH RECURSIVE waiting (worker) AS (
        SELECT MIN(worker) FROM unpublished
        UNION ALL
        SELECT (SELECT MIN(u.worker) FROM unpublished u WHERE u.worker > waiting.worker)
        FROM waiting WHERE waiting.worker IS NOT NULL)
    SELECT worker FROM waiting
    WHERE worker IS NOT NULL AND worker <> ?1 AND worker NOT IN (SELECT id FROM workers)";
const ORPHANS: &str = "SELECT id FROM unpublished WHERE worker = ?1 ORDER BY id LIMIT ?2";
const ADOPT: &str = "UPDATE unpublished SET worker = ?3 WHERE worker = ?1 AND id = ?2";
const WAITING: &str = concat!(
    "SELECT ",
    event_columns!(),
    " FROM outbox WHERE id IN (SELECT id FROM unpublished WHERE worker = ?1 ORDER BY id LIMIT ?2) ORDER BY id"
);
const MARK: &str = "DELETE FROM unpublished WHERE worker = ?1 AND id = ?2";
const DROP: &str = "DELETE FROM unpublished WHERE worker = ?1";
const FEED: &str = concat!("SELECT ", event_columns!(), " FROM outbox WHERE ?1 IS NULL OR id > ?1 ORDER BY id LIMIT ?2");

impl SqliteStore {
    pub(super) async fn take_unpublished(&self, worker: WorkerId, limit: usize) -> Result<Vec<Event>, StoreError> {
        let limit = int(limit)?;
        let gone: Vec<Uuid> = self.db.read(sqlx::query(GONE).bind(worker), |row| row.try_get("worker")).await?;
        if !gone.is_empty() && !bug("events_left") {
            let mut tx = self.db.begin().await?;
            for worker_gone in gone {
                let orphans = sqlx::query(ORPHANS).bind(worker_gone).bind(limit);
                let orphans: Vec<Uuid> = tx.read(orphans, |row| row.try_get("id")).await?;
                for id in orphans {
                    tx.execute(sqlx::query(ADOPT).bind(worker_gone).bind(id).bind(worker)).await?;
                }
            }
            tx.commit().await?;
        }
        let waiting = self.db.read(sqlx::query(WAITING).bind(worker).bind(limit), rows::event).await?;
        if bug("marked_early") {
            self.mark_published(worker, &waiting.iter().map(|event| event.id).collect::<Vec<_>>()).await?;
        }
        Ok(waiting)
    }

    pub(super) async fn mark_published(&self, worker: WorkerId, ids: &[Uuid]) -> Result<(), StoreError> {
        let mut tx = self.db.begin().await?;
        for id in ids {
            tx.execute(sqlx::query(MARK).bind(worker).bind(id)).await?;
        }
        tx.commit().await
    }

    pub(super) async fn drop_unpublished(&self, worker: WorkerId) -> Result<(), StoreError> {
        self.db.write(sqlx::query(DROP).bind(worker)).await?;
        Ok(())
    }

    pub(super) async fn feed(&self, after: Option<Uuid>, limit: usize) -> Result<Vec<Event>, StoreError> {
        self.db.read(sqlx::query(FEED).bind(after).bind(int(limit)?), rows::event).await
    }
}
