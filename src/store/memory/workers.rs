//! Workers' rows, and what becomes of requests whose worker is gone.

use std::time::Duration;

use super::State;
use crate::domain::time::Time;
use crate::engine::ports::records::{Heartbeat, WorkerRow};
use crate::engine::ports::store::{StoreError, WorkerId};
use crate::store::{batch, rules};

impl State {
    pub(super) fn register(&mut self, worker: &WorkerRow, now: Time) -> Result<(), StoreError> {
        batch::plain(&worker.name)?;
        if self.workers.contains_key(&worker.id) {
            return Err(StoreError::Data(format!("worker {} is registered already", worker.id)));
        }
        self.workers.insert(worker.id, WorkerRow { heartbeat_at: now, ..worker.clone() });
        Ok(())
    }

    pub(super) fn heartbeat(&mut self, worker: WorkerId, now: Time) -> Heartbeat {
        let Some(row) = self.workers.get_mut(&worker) else { return Heartbeat::Gone };
        row.heartbeat_at = now;
        Heartbeat::Alive
    }

    pub(super) fn rescue(&mut self, by: WorkerId, lease: Duration, now: Time) -> Result<Vec<WorkerId>, StoreError> {
        self.alive(by)?;
        let stale = |row: &&WorkerRow| row.id != by && row.heartbeat_at < now.minus(lease);
        let dead: Vec<WorkerId> = self.workers.values().filter(stale).map(|row| row.id).collect();
        for worker in &dead {
            self.workers.remove(worker);
        }
        self.release_orphans(now, 1);
        Ok(dead)
    }

    pub(super) fn deregister(&mut self, worker: WorkerId, now: Time) {
        self.workers.remove(&worker);
        self.release(|owner| owner == worker, now, 0);
    }

    fn release_orphans(&mut self, now: Time, deaths: u32) {
        let living: Vec<WorkerId> = self.workers.keys().copied().collect();
        self.release(|owner| !living.contains(&owner), now, deaths);
    }

    fn release(&mut self, lost: impl Fn(WorkerId) -> bool, now: Time, deaths: u32) {
        for id in &self.open {
            let Some(held) = self.requests.get_mut(id).filter(|held| held.row.owner.is_some_and(&lost)) else { continue };
            held.row.owner = None;
            held.row.deaths += deaths;
            held.row.wake_at = Some(rules::wake_orphan(&held.row, now));
        }
    }
}
