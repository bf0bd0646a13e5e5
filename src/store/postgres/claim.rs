//! Taking up due requests, and reading everything about one.

use sqlx::Row as _;
use uuid::Uuid;

use super::commit::alive;
use super::{PostgresStore, rows};
use crate::domain::request::signal::Signal;
use crate::engine::ports::store::{Claimed, Loaded, RequestId, SUSPECT, StoreError, WorkerId};
use crate::store::mistake::sql;
use crate::store::rows::int;

/// Never waits: what another claim or a step holds is left for the next time. Suspects are looked for apart, by an index of
/// their own, so that many of them do not stand before everybody else; the oldest goes where no other is carried.
const CLAIM: &str = "\
    WITH calm AS (
        SELECT id, wake_at, owner IS NOT NULL AS mine FROM open_requests
        WHERE wake_at <= mozhao_now() AND (owner = $1 OR owner IS NULL AND deaths < 2)
        ORDER BY wake_at, id LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED),
    suspect AS (
        SELECT id, wake_at, FALSE AS mine FROM open_requests
        WHERE deaths >= 2 AND wake_at <= mozhao_now() AND owner IS NULL
            AND NOT EXISTS (SELECT 1 FROM open_requests WHERE owner = $1 AND deaths >= 2)
        ORDER BY wake_at, id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED),
    taken AS (SELECT * FROM calm UNION ALL SELECT * FROM suspect ORDER BY wake_at, id LIMIT $2)
    UPDATE open_requests AS r SET owner = $1, wake_at = NULL FROM taken WHERE r.id = taken.id AND r.id = ANY(ARRAY(SELECT id FROM taken))
    RETURNING r.id, taken.wake_at, taken.mine";
const _: () = assert!(SUSPECT == 2, "as the statement and its index have it");
const OWNED: &str = "SELECT id FROM open_requests WHERE owner = $1 ORDER BY id LIMIT $2";
const PAYLOAD: &str = "SELECT body FROM payloads WHERE request = $1";
/// Up to the row's head: entries written after the row was read belong to another picture.
const ENTRIES: &str = "SELECT seq, packed FROM entries WHERE request = $1 AND seq <= $2 ORDER BY seq";
const SIGNALS: &str = "SELECT id, body FROM signals WHERE request = $1 AND consumed_at IS NULL ORDER BY no";

impl PostgresStore {
    pub(super) async fn take_due(&self, worker: WorkerId, limit: usize) -> Result<Vec<Claimed>, StoreError> {
        let mut tx = self.db.engine().begin().await?;
        if !alive(&mut tx, worker).await? {
            tx.rollback().await?;
            return Err(StoreError::Fenced);
        }
        let due = |row: &sqlx::postgres::PgRow| {
            Ok((row.try_get::<i64, _>("wake_at")?, row.try_get::<Uuid, _>("id")?, row.try_get::<bool, _>("mine")?))
        };
        let claim = sql(CLAIM, "claim_unlocked", "FOR NO KEY UPDATE SKIP LOCKED", "");
        let mut due = tx.read(sqlx::query(claim).bind(worker).bind(int(limit)?), due).await?;
        tx.commit().await?;
        due.sort_unstable();
        Ok(due.into_iter().map(|(_, request, mine_already)| Claimed { request, mine_already }).collect())
    }

    pub(super) async fn list_owned(&self, worker: WorkerId, limit: usize) -> Result<Vec<RequestId>, StoreError> {
        let owned = sqlx::query(OWNED).bind(worker).bind(int(limit)?);
        self.db.engine().read(owned, |row| row.try_get("id")).await
    }

    pub(super) async fn load_all(&self, request: RequestId) -> Result<Loaded, StoreError> {
        let row = self.one_request(request).await?;
        let side = self.db.looks();
        let payload = side.read(sqlx::query(PAYLOAD).bind(request), |row| row.try_get::<Vec<u8>, _>("body")).await?;
        let payload = payload.into_iter().next().ok_or_else(|| match row.ended_at {
            // Both went in between: they are kept no longer.
            Some(_) => StoreError::NotFound("the request"),
            None => StoreError::Broken(format!("request {request} has no payload")),
        })?;
        let entries = side.read(sqlx::query(ENTRIES).bind(request).bind(int(row.seq)?), rows::entries).await?.concat();
        Ok(Loaded { row, payload: payload.into(), entries, signals: self.unconsumed(request).await? })
    }

    pub(super) async fn unconsumed(&self, request: RequestId) -> Result<Vec<(Uuid, Signal)>, StoreError> {
        self.db.looks().read(sqlx::query(SIGNALS).bind(request), rows::signal).await
    }
}
