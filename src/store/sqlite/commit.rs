//! One batch in one transaction: the fence, then new requests and rejections, then steps, then the lanes that were released.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::SqliteStore;
use super::db::{self, Tx};
use crate::engine::ports::records::Event;
use crate::engine::ports::store::{StoreError, WorkerId, Write, Written};
use crate::faults::bug;
use crate::store::batch::{self, Tally};
use crate::store::rows::int;

const FENCE: &str = "SELECT 1 FROM workers WHERE id = ?1";
/// It becomes the turn of the lane's first open request.
const HAND_OVER: &str = "\
    UPDATE requests SET turn = 1, wake_at = ?2
    WHERE lane = ?1 AND ended_at IS NULL AND NOT turn
        AND lane_no = (SELECT MIN(r.lane_no) FROM requests r WHERE r.lane = ?1 AND r.ended_at IS NULL)";
const SEND: &str = "\
    INSERT INTO outbox (id, request, seq, topic, body, reply_to, correlation, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
const TO_PUBLISH: &str = "INSERT INTO unpublished (worker, id) VALUES (?1, ?2)";
const TALLY: &str = "\
    INSERT INTO tallies (worker, name, n) VALUES (?1, ?2, ?3) ON CONFLICT (worker, name) DO UPDATE SET n = n + excluded.n";

impl SqliteStore {
    pub(super) async fn write_batch(&self, worker: WorkerId, batch: &[Write]) -> Result<Vec<Written>, StoreError> {
        let mut parts = batch::parts(batch)?;
        let mut tx = self.db.begin().await?;
        if !alive(&mut tx, worker).await? {
            tx.rollback().await?;
            return Err(StoreError::Fenced);
        }
        let now = db::now();
        let mut tally = Tally::default();
        for (place, accept) in &parts.accepts {
            parts.answers[*place] = super::accept::accept(&mut tx, worker, accept, &mut tally).await?;
        }
        for (place, reject) in &parts.rejects {
            super::accept::reject(&mut tx, worker, reject, &mut tally).await?;
            parts.answers[*place] = Written::Rejected;
        }
        let mut lanes = BTreeSet::new();
        for (place, advance) in &parts.advances {
            let (written, lane) = super::advance::advance(&mut tx, worker, advance, now).await?;
            if written == Written::Advanced {
                tally.end(&advance.summary);
                lanes.extend(lane.filter(|_| advance.summary.ended_at.is_some()));
            }
            parts.answers[*place] = written;
        }
        for lane in &lanes {
            if !bug("turn_kept") {
                tx.execute(sqlx::query(HAND_OVER).bind(lane).bind(now.0)).await?;
            }
        }
        for (name, n) in tally.into_counts() {
            tx.execute(sqlx::query(TALLY).bind(worker).bind(name).bind(n)).await?;
        }
        tx.commit().await?;
        Ok(parts.answers)
    }
}

/// Does the worker's row exist?
pub(super) async fn alive(tx: &mut Tx<'_>, worker: WorkerId) -> Result<bool, StoreError> {
    Ok(tx.first(sqlx::query(FENCE).bind(worker), |_| Ok(())).await?.is_some() || bug("fence_unread"))
}

/// Puts events into the outbox.
pub(super) async fn send(tx: &mut Tx<'_>, worker: Uuid, events: &[Event]) -> Result<(), StoreError> {
    for event in events {
        let row = sqlx::query(SEND).bind(event.id).bind(event.request).bind(int(event.seq)?);
        let row = row.bind(&event.topic).bind(&event.body[..]).bind(&event.reply_to).bind(&event.correlation).bind(event.at.0);
        tx.execute(row).await?;
        tx.execute(sqlx::query(TO_PUBLISH).bind(worker).bind(event.id)).await?;
    }
    Ok(())
}
