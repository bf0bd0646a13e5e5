//! Events waiting to be published, and the feed of all events.

use sqlx::Row as _;
use uuid::Uuid;

use super::{PostgresStore, rows};
use crate::engine::ports::records::Event;
use crate::engine::ports::store::{StoreError, WorkerId};
use crate::store::rows::{event_columns, int};

/// Who has events waiting and is gone. One step in the index per worker, however many events wait.
const GONE: &str = "\
    WITH RECURSIVE waiting (worker) AS (
        (SELECT worker FROM unpublished ORDER BY worker LIMIT 1)
        UNION ALL
        SELECT (SELECT u.worker FROM unpublished u WHERE u.worker > waiting.worker ORDER BY u.worker LIMIT 1)
        FROM waiting WHERE waiting.worker IS NOT NULL)
    SELECT worker FROM waiting
    WHERE worker IS NOT NULL AND worker <> $1 AND worker NOT IN (SELECT id FROM workers)";
const ADOPT: &str = "\
    WITH theirs AS (
        SELECT id FROM unpublished WHERE worker = ANY($2::UUID[]) ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED)
    UPDATE unpublished SET worker = $1 WHERE worker = ANY($2::UUID[]) AND id = ANY(ARRAY(SELECT id FROM theirs))";
const WAITING: &str = concat!(
    "SELECT ",
    event_columns!(),
    " FROM outbox WHERE id = ANY(ARRAY(SELECT id FROM unpublished WHERE worker = $1 ORDER BY id LIMIT $2)) ORDER BY id"
);
const MARK: &str = "DELETE FROM unpublished WHERE worker = $1 AND id = ANY($2::UUID[])";
const DROP: &str = "DELETE FROM unpublished WHERE worker = $1";
const FEED: &str = concat!("SELECT ", event_columns!(), " FROM outbox WHERE $1::UUID IS NULL OR id > $1 ORDER BY id LIMIT $2");

impl PostgresStore {
    pub(super) async fn take_unpublished(&self, worker: WorkerId, limit: usize) -> Result<Vec<Event>, StoreError> {
        let limit = int(limit)?;
        let gone: Vec<Uuid> = self.db.engine().read(sqlx::query(GONE).bind(worker), |row| row.try_get("worker")).await?;
        if !gone.is_empty() {
            self.db.engine().write(sqlx::query(ADOPT).bind(worker).bind(gone).bind(limit)).await?;
        }
        self.db.engine().read(sqlx::query(WAITING).bind(worker).bind(limit), rows::event).await
    }

    /// One statement is one transaction: where it is not known whether it happened, events are published once more.
    pub(super) async fn mark_published(&self, worker: WorkerId, ids: &[Uuid]) -> Result<(), StoreError> {
        if !ids.is_empty() {
            self.db.engine().read(sqlx::query(MARK).bind(worker).bind(ids), |_| Ok(())).await?;
        }
        Ok(())
    }

    pub(super) async fn drop_unpublished(&self, worker: WorkerId) -> Result<(), StoreError> {
        self.db.others().write(sqlx::query(DROP).bind(worker)).await?;
        Ok(())
    }

    pub(super) async fn feed(&self, after: Option<Uuid>, limit: usize) -> Result<Vec<Event>, StoreError> {
        self.db.others().read(sqlx::query(FEED).bind(after).bind(int(limit)?), rows::event).await
    }
}
