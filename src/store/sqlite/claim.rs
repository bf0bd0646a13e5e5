//! Taking up due requests, and reading everything about one.

use sqlx::Row as _;
use uuid::Uuid;

use super::commit::alive;
use super::{SqliteStore, db, rows};
use crate::domain::request::signal::Signal;
use crate::engine::ports::store::{Claimed, Loaded, RequestId, SUSPECT, StoreError, WorkerId};

/// Suspects are looked for apart, by an index of their own, so that many of them do not stand before everybody else; the oldest
/// goes where no other is carried.
const DUE: &str = "\
    WITH calm AS (
        SELECT id, wake_at, owner IS NOT NULL AS mine FROM requests
        WHERE wake_at <= ?2 AND (owner = ?1 OR owner IS NULL AND deaths < 2)
        ORDER BY wake_at, id LIMIT ?3),
    suspect AS (
        SELECT id, wake_at, FALSE AS mine FROM requests
        WHERE deaths >= 2 AND wake_at <= ?2 AND owner IS NULL
            AND NOT EXISTS (SELECT 1 FROM requests WHERE owner = ?1 AND deaths >= 2)
        ORDER BY wake_at, id LIMIT 1)
    SELECT * FROM calm UNION ALL SELECT * FROM suspect ORDER BY wake_at, id LIMIT ?3";
const _: () = assert!(SUSPECT == 2, "as the statement and its index have it");
const TAKE: &str = "UPDATE requests SET owner = ?2, wake_at = NULL WHERE id = ?1";
const OWNED: &str = "SELECT id FROM requests WHERE owner = ?1 ORDER BY id LIMIT ?2";
const PAYLOAD: &str = "SELECT body FROM payloads WHERE request = ?1";
/// Up to the row's head: entries written after the row was read belong to another picture.
const ENTRIES: &str = "SELECT seq, at, body, hash FROM entries WHERE request = ?1 AND seq <= ?2 ORDER BY seq";
const SIGNALS: &str = "SELECT id, body FROM signals WHERE request = ?1 AND consumed_at IS NULL ORDER BY no";

impl SqliteStore {
    pub(super) async fn take_due(&self, worker: WorkerId, limit: usize) -> Result<Vec<Claimed>, StoreError> {
        let mut tx = self.db.begin().await?;
        if !alive(&mut tx, worker).await? {
            tx.rollback().await?;
            return Err(StoreError::Fenced);
        }
        let due = sqlx::query(DUE).bind(worker).bind(db::now().0).bind(crate::store::rows::int(limit)?);
        let claim =
            |row: &sqlx::sqlite::SqliteRow| Ok(Claimed { request: row.try_get("id")?, mine_already: row.try_get("mine")? });
        let due = tx.read(due, claim).await?;
        if due.is_empty() {
            tx.rollback().await?;
            return Ok(due);
        }
        for claimed in &due {
            tx.execute(sqlx::query(TAKE).bind(claimed.request).bind(worker)).await?;
        }
        tx.commit().await?;
        Ok(due)
    }

    pub(super) async fn list_owned(&self, worker: WorkerId, limit: usize) -> Result<Vec<RequestId>, StoreError> {
        let owned = sqlx::query(OWNED).bind(worker).bind(crate::store::rows::int(limit)?);
        self.db.read(owned, |row| row.try_get("id")).await
    }

    pub(super) async fn load_all(&self, request: RequestId) -> Result<Loaded, StoreError> {
        let row = self.one_request(request).await?;
        let payload = self.db.read(sqlx::query(PAYLOAD).bind(request), |row| row.try_get::<Vec<u8>, _>("body")).await?;
        let payload = payload.into_iter().next().ok_or_else(|| match row.ended_at {
            // Both went in between: they are kept no longer.
            Some(_) => StoreError::NotFound("the request"),
            None => StoreError::Broken(format!("request {request} has no payload")),
        })?;
        let entries = sqlx::query(ENTRIES).bind(request).bind(crate::store::rows::int(row.seq)?);
        let entries = self.db.read(entries, rows::entry).await?;
        Ok(Loaded { row, payload: payload.into(), entries, signals: self.unconsumed(request).await? })
    }

    pub(super) async fn unconsumed(&self, request: RequestId) -> Result<Vec<(Uuid, Signal)>, StoreError> {
        self.db.read(sqlx::query(SIGNALS).bind(request), rows::signal).await
    }
}
