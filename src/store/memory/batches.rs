//! Batches of decisions.

use async_trait::async_trait;
use uuid::Uuid;

use super::{MemoryStore, State};
use crate::domain::time::Time;
use crate::engine::ports::batches::{Added, BatchRow, Batches, Came, ItemRow, Progress};
use crate::engine::ports::reviewing::ActRow;
use crate::engine::ports::store::StoreError;
use crate::store::batch::plain;

/// A batch with its items, and until when somebody works on it.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    row: BatchRow,
    items: Vec<ItemRow>,
    taken_until: Time,
}

impl State {
    /// At most `limit` batches.
    pub(super) fn sweep_batches(&mut self, before: Time, limit: usize) -> u64 {
        let over = self.batches.values().filter(|kept| kept.row.done_at.is_some_and(|at| at < before));
        let over: Vec<Uuid> = over.map(|kept| kept.row.id).take(limit).collect();
        self.batches.retain(|id, _| !over.contains(id));
        over.len() as u64
    }

    fn batch_item(&mut self, id: Uuid, review: Uuid) -> Option<&mut ItemRow> {
        self.batches.get_mut(&id)?.items.iter_mut().find(|item| item.review == review)
    }
}

#[async_trait]
impl Batches for MemoryStore {
    async fn add_batch(&self, batch: &BatchRow, items: &[ItemRow], most: usize) -> Result<Added, StoreError> {
        plain(&batch.decision.by)?;
        for item in items {
            plain(&item.came.why)?;
        }
        let mut state = self.lock().0;
        if state.batches.contains_key(&batch.id) {
            return Ok(Added::Known);
        }
        let of = |kept: &&Kept| kept.row.decision.by == batch.decision.by && kept.row.done_at.is_none();
        if state.batches.values().filter(of).count() >= most {
            return Ok(Added::TooMany);
        }
        let kept = Kept { row: batch.clone(), items: items.to_vec(), taken_until: Time(0) };
        state.batches.insert(batch.id, kept);
        Ok(Added::New)
    }

    async fn batch(&self, id: Uuid) -> Result<BatchRow, StoreError> {
        let state = self.lock().0;
        state.batches.get(&id).map(|kept| kept.row.clone()).ok_or(StoreError::NotFound("the batch"))
    }

    async fn batch_items(&self, id: Uuid) -> Result<Vec<ItemRow>, StoreError> {
        Ok(self.lock().0.batches.get(&id).map(|kept| kept.items.clone()).unwrap_or_default())
    }

    async fn batches(&self, by: Option<&str>, limit: usize) -> Result<Vec<BatchRow>, StoreError> {
        let state = self.lock().0;
        let mut rows: Vec<BatchRow> = state
            .batches
            .values()
            .map(|kept| &kept.row)
            .filter(|row| by.is_none_or(|by| row.decision.by == by))
            .cloned()
            .collect();
        rows.sort_by_key(|row| std::cmp::Reverse((row.at, row.id)));
        rows.truncate(limit);
        Ok(rows)
    }

    async fn take_batch(&self, now: Time, until: Time) -> Result<Option<BatchRow>, StoreError> {
        let mut state = self.lock().0;
        let due = state.batches.values_mut().filter(|kept| kept.row.done_at.is_none() && kept.row.start_at <= now);
        let next = due.filter(|kept| kept.taken_until <= now).min_by_key(|kept| (kept.row.start_at, kept.row.id));
        Ok(next.map(|kept| {
            kept.taken_until = until;
            kept.row.clone()
        }))
    }

    async fn leave_batch(&self, id: Uuid, at: Time) -> Result<(), StoreError> {
        if let Some(kept) = self.lock().0.batches.get_mut(&id) {
            kept.taken_until = at;
        }
        Ok(())
    }

    async fn begin_item(&self, id: Uuid, review: Uuid) -> Result<bool, StoreError> {
        let mut state = self.lock().0;
        let Some(item) = state.batch_item(id, review).filter(|item| item.came.to.open()) else { return Ok(false) };
        item.came.to = Progress::Sending;
        Ok(true)
    }

    async fn settle_item(&self, id: Uuid, review: Uuid, came: &Came) -> Result<(), StoreError> {
        plain(&came.why)?;
        let mut state = self.lock().0;
        if let Some(item) = state.batch_item(id, review).filter(|item| item.came.to == Progress::Sending) {
            item.came = came.clone();
        }
        Ok(())
    }

    async fn stop_batch(&self, id: Uuid, came: &Came, act: &ActRow) -> Result<u64, StoreError> {
        plain(&came.why)?;
        plain(&act.by)?;
        let mut state = self.lock().0;
        let Some(kept) = state.batches.get_mut(&id) else { return Ok(0) };
        let mut stopped = 0;
        for item in kept.items.iter_mut().filter(|item| item.came.to == Progress::Pending) {
            item.came = came.clone();
            stopped += 1;
        }
        if stopped > 0 {
            state.add_act(act);
        }
        Ok(stopped)
    }

    async fn close_batch(&self, id: Uuid, at: Time) -> Result<bool, StoreError> {
        let mut state = self.lock().0;
        let Some(kept) = state.batches.get_mut(&id) else { return Ok(false) };
        if kept.row.done_at.is_some() || kept.items.iter().any(|item| item.came.to.open()) {
            return Ok(false);
        }
        kept.row.done_at = Some(at);
        Ok(true)
    }

    async fn sweep_batches(&self, before: Time, limit: usize) -> Result<u64, StoreError> {
        Ok(self.lock().0.sweep_batches(before, limit))
    }
}
