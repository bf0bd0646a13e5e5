//! What comes from outside: signals.

use sqlx::Row as _;
use uuid::Uuid;

use super::db::Tx;
use super::{PostgresStore, rows};
use crate::domain::request::signal::Signal;
use crate::domain::time::Time;
use crate::engine::ports::store::{RequestId, Sent, StoreError};
use crate::faults::bug;
use crate::store::mistake::sql;
use crate::store::rules;

/// Whoever sends a signal, takes a step or ends a request holds its row meanwhile.
const LOCK: &str = "SELECT state FROM open_requests WHERE id = $1 FOR NO KEY UPDATE";
/// A statement of its own: it sees the end that was waited for. What has ended does not change.
const ENDED: &str = "SELECT state FROM past_requests WHERE id = $1";
/// A statement of its own, after the lock: one in the same statement would look at the time before it was granted.
const KNOWN: &str = "SELECT id, body FROM signals WHERE id = $1";
const BUMP: &str = "\
    UPDATE open_requests SET signalled = signalled + 1, wake_at = mozhao_now() WHERE id = $1 AND ended_at IS NULL RETURNING signalled";
const STORE: &str = "INSERT INTO signals (id, request, no, at, body) VALUES ($1, $2, $3, $4, $5)";
const ANSWER: &str = "SELECT answer FROM signals WHERE id = $1";

impl PostgresStore {
    pub(super) async fn send_signal(&self, id: Uuid, request: RequestId, signal: &Signal, at: Time) -> Result<Sent, StoreError> {
        let mut tx = self.db.others().begin().await?;
        let Some(state) = lock(&mut tx, request).await? else {
            tx.rollback().await?;
            return Err(StoreError::NotFound("the request"));
        };
        if known(&mut tx, id).await?.is_some() {
            tx.rollback().await?;
            return Ok(Sent::Stored(id));
        }
        if let Some(outcome) = rules::outcome(&state) {
            tx.rollback().await?;
            return Ok(Sent::Ended(outcome));
        }
        deliver(&mut tx, id, request, signal, at).await?;
        tx.commit().await?;
        Ok(Sent::Stored(id))
    }

    pub(super) async fn answer_of(&self, id: Uuid) -> Result<Option<String>, StoreError> {
        let rows = self.db.others().read(sqlx::query(ANSWER).bind(id), |row| row.try_get("answer")).await?;
        rows.into_iter().next().ok_or(StoreError::NotFound("the signal"))
    }
}

/// Locks an open request's row, or finds that it has ended: its state.
pub(super) async fn lock(tx: &mut Tx<'_>, request: RequestId) -> Result<Option<String>, StoreError> {
    let lock = sql(LOCK, "review_unlocked", "FOR NO KEY UPDATE", "");
    let open = tx.first(sqlx::query(lock).bind(request), |row| row.try_get("state")).await?;
    if open.is_some() {
        return Ok(open);
    }
    tx.first(sqlx::query(ENDED).bind(request), |row| row.try_get("state")).await
}

/// The signal with this id, where it was stored before.
pub(super) async fn known(tx: &mut Tx<'_>, id: Uuid) -> Result<Option<Signal>, StoreError> {
    let known = tx.first(sqlx::query(KNOWN).bind(id), rows::signal).await?;
    Ok(known.map(|(_, signal)| signal).filter(|_| !bug("signal_forgotten")))
}

/// Stores a signal for an open request whose row is locked, and makes it due.
pub(super) async fn deliver(tx: &mut Tx<'_>, id: Uuid, request: RequestId, signal: &Signal, at: Time) -> Result<(), StoreError> {
    let Some(no) = tx.first(sqlx::query(BUMP).bind(request), |row| row.try_get::<i64, _>("signalled")).await? else {
        return Ok(());
    };
    let body = serde_json::to_vec(signal).map_err(|error| StoreError::Data(error.to_string()))?;
    tx.execute(sqlx::query(STORE).bind(id).bind(request).bind(no).bind(at.0).bind(body)).await?;
    Ok(())
}
