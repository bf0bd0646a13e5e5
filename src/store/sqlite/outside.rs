//! What comes from outside: signals.

use sqlx::Row as _;
use uuid::Uuid;

use super::db::{self, Tx};
use super::{SqliteStore, rows};
use crate::domain::request::signal::Signal;
use crate::domain::time::Time;
use crate::engine::ports::store::{RequestId, Sent, StoreError};
use crate::faults::bug;
use crate::store::rules;

const KNOWN: &str = "SELECT id, body FROM signals WHERE id = ?1";
const STATE: &str = "SELECT state FROM requests WHERE id = ?1";
const BUMP: &str =
    "UPDATE requests SET signalled = signalled + 1, wake_at = ?2 WHERE id = ?1 AND ended_at IS NULL RETURNING signalled";
const STORE: &str = "INSERT INTO signals (id, request, no, at, body) VALUES (?1, ?2, ?3, ?4, ?5)";
const ANSWER: &str = "SELECT answer FROM signals WHERE id = ?1";

impl SqliteStore {
    pub(super) async fn send_signal(&self, id: Uuid, request: RequestId, signal: &Signal, at: Time) -> Result<Sent, StoreError> {
        let mut tx = self.db.begin().await?;
        let state: Option<String> = tx.first(sqlx::query(STATE).bind(request), |row| row.try_get("state")).await?;
        let Some(state) = state else {
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
        let rows = self.db.read(sqlx::query(ANSWER).bind(id), |row| row.try_get("answer")).await?;
        rows.into_iter().next().ok_or(StoreError::NotFound("the signal"))
    }
}

/// The signal with this id, where it was stored before.
pub(super) async fn known(tx: &mut Tx<'_>, id: Uuid) -> Result<Option<Signal>, StoreError> {
    let known = tx.first(sqlx::query(KNOWN).bind(id), rows::signal).await?;
    Ok(known.map(|(_, signal)| signal).filter(|_| !bug("signal_forgotten")))
}

/// Stores a signal for an open request and makes it due; false where it has ended.
pub(super) async fn deliver(
    tx: &mut Tx<'_>,
    id: Uuid,
    request: RequestId,
    signal: &Signal,
    at: Time,
) -> Result<bool, StoreError> {
    let bump = sqlx::query(BUMP).bind(request).bind(db::now().0);
    let Some(no) = tx.first(bump, |row| row.try_get::<i64, _>("signalled")).await? else { return Ok(false) };
    let body = serde_json::to_vec(signal).map_err(|error| StoreError::Data(error.to_string()))?;
    tx.execute(sqlx::query(STORE).bind(id).bind(request).bind(no).bind(at.0).bind(body)).await?;
    Ok(true)
}
