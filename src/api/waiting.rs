//! `?wait=`: an answer that is held back until something has changed, or the time is up.
//!
//! The engine wakes us for what this worker does; a request may as well move in another worker, so the row is looked at
//! again every second. Only so many wait at once: the rest get an answer at once, which is correct, only less fresh.

use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::Api;
use crate::engine::ports::records::RequestRow;
use crate::engine::ports::store::StoreError;

/// How often a row is looked at again when nothing woke us.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Has the request its outcome?
pub(super) fn is_ended(row: &RequestRow) -> bool {
    row.ended_at.is_some()
}

impl Api {
    /// The request's row as soon as it has ended, or as it is when `limit` is over.
    pub(super) async fn wait_for_end(&self, id: Uuid, limit: Duration) -> Result<RequestRow, StoreError> {
        let (store, stopping) = (self.engine().store(), &self.settings().stopping);
        let until = Instant::now() + limit;
        let mut place = None;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let changed = self.engine().changed(id, left.min(LOOK_AGAIN));
            let row = store.request(id).await?;
            if is_ended(&row) || left.is_zero() || stopping.is_cancelled() {
                return Ok(row);
            }
            if place.is_none() {
                let Ok(free) = self.0.waiters.clone().try_acquire_owned() else { return Ok(row) };
                place = Some(free);
            }
            tokio::select! {
                () = changed => {}
                () = stopping.cancelled() => {}
            }
        }
    }
}
