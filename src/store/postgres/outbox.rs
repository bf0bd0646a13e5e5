//! Events waiting to be published, and the feed of all events.

use sqlx::Row as _;
use uuid::Uuid;

use super::commit::alive;
use super::{PostgresStore, rows};
use crate::engine::ports::records::Event;
use crate::engine::ports::store::{StoreError, WorkerId};
use crate::faults::bug;
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
/// Rows whose events are the oldest: none of a row's events is older than its `first`.
const THEIRS: &str = "\
    SELECT worker, first, ids FROM unpublished WHERE worker = ANY($1::UUID[]) ORDER BY first LIMIT $2 FOR UPDATE SKIP LOCKED";
const EMPTIED: &str = "DELETE FROM unpublished WHERE worker = $1 AND first = $2";
const KEEP: &str = "UPDATE unpublished SET ids = $3 WHERE worker = $1 AND first = $2";
const PUT: &str = "INSERT INTO unpublished (worker, first, ids) VALUES ($1, $2, $3)";
const WAITING: &str = concat!(
    "SELECT ",
    event_columns!(),
    " FROM outbox WHERE id = ANY(ARRAY(
        SELECT id FROM (SELECT ids FROM unpublished WHERE worker = $1 ORDER BY first LIMIT $2) AS oldest, unnest(ids) AS id
        ORDER BY id LIMIT $2)) ORDER BY id"
);
/// Rows with nothing left go, others keep the rest. Only rows whose oldest event is not younger than the youngest mark can hold one.
/// They are locked first: of two that mark events of one row, the second begins with what the first has left.
const MARK: &str = "\
    WITH mine AS MATERIALIZED (
        SELECT first, ids FROM unpublished WHERE worker = $1 AND first <= $3 ORDER BY first FOR UPDATE),
    marked AS MATERIALIZED (
        SELECT mine.first, array_agg(i.id) FILTER (WHERE m.id IS NULL) AS rest
        FROM mine CROSS JOIN LATERAL unnest(mine.ids) AS i (id) LEFT JOIN unnest($2::UUID[]) AS m (id) ON m.id = i.id
        GROUP BY mine.first HAVING COUNT(m.id) > 0),
    done AS (
        DELETE FROM unpublished AS u USING marked
        WHERE u.worker = $1 AND u.first = ANY(ARRAY(SELECT first FROM marked)) AND u.first = marked.first AND marked.rest IS NULL)
    UPDATE unpublished AS u SET ids = marked.rest FROM marked
    WHERE u.worker = $1 AND u.first = ANY(ARRAY(SELECT first FROM marked)) AND u.first = marked.first AND marked.rest IS NOT NULL";
const DROP: &str = "DELETE FROM unpublished WHERE worker = $1";
const FEED: &str = concat!("SELECT ", event_columns!(), " FROM outbox WHERE $1::UUID IS NULL OR id > $1 ORDER BY id LIMIT $2");

impl PostgresStore {
    pub(super) async fn take_unpublished(&self, worker: WorkerId, limit: usize) -> Result<Vec<Event>, StoreError> {
        let limit = int(limit)?;
        let gone: Vec<Uuid> = self.db.engine().read(sqlx::query(GONE).bind(worker), |row| row.try_get("worker")).await?;
        if !gone.is_empty() && !bug("events_left") {
            self.adopt(worker, &gone, limit).await?;
        }
        let waiting = self.db.engine().read(sqlx::query(WAITING).bind(worker).bind(limit), rows::event).await?;
        if bug("marked_early") {
            self.mark_published(worker, &waiting.iter().map(|event| event.id).collect::<Vec<_>>()).await?;
        }
        Ok(waiting)
    }

    /// Takes over the oldest events of the gone, `limit` at most.
    async fn adopt(&self, worker: WorkerId, gone: &[Uuid], limit: i64) -> Result<(), StoreError> {
        let mut tx = self.db.engine().begin().await?;
        // Who has been declared dead itself (frozen, and awake again) takes nothing over.
        if !alive(&mut tx, worker).await? {
            return tx.rollback().await;
        }
        let row = |row: &sqlx::postgres::PgRow| Ok((row.try_get("worker")?, row.try_get("first")?, row.try_get("ids")?));
        let rows: Vec<(Uuid, Uuid, Vec<Uuid>)> = tx.read(sqlx::query(THEIRS).bind(gone).bind(limit), row).await?;
        let mut oldest: Vec<Uuid> = rows.iter().flat_map(|(_, _, ids)| ids).copied().collect();
        oldest.sort_unstable();
        oldest.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let (Some(first), Some(last)) = (oldest.first(), oldest.last()) else {
            return tx.rollback().await;
        };
        for (owner, key, ids) in rows.iter().filter(|(_, key, _)| key <= last) {
            // What is left keeps its key, which is still not younger than any of it.
            let rest: Vec<Uuid> = ids.iter().copied().filter(|id| id > last).collect();
            let query = if rest.is_empty() {
                sqlx::query(EMPTIED).bind(owner).bind(key)
            } else {
                sqlx::query(KEEP).bind(owner).bind(key).bind(rest)
            };
            tx.execute(query).await?;
        }
        tx.execute(sqlx::query(PUT).bind(worker).bind(first).bind(&oldest)).await?;
        tx.commit().await
    }

    /// One statement is one transaction: where it is not known whether it happened, events are published once more.
    pub(super) async fn mark_published(&self, worker: WorkerId, ids: &[Uuid]) -> Result<(), StoreError> {
        if let Some(youngest) = ids.iter().max() {
            self.db.engine().read(sqlx::query(MARK).bind(worker).bind(ids).bind(youngest), |_| Ok(())).await?;
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
