//! Held decisions, snoozes and views.

use async_trait::async_trait;
use uuid::Uuid;

use super::{MemoryStore, State};
use crate::domain::time::Time;
use crate::engine::ports::reviewing::{HeldRow, Reviewing, SnoozeRow, ViewRow};
use crate::engine::ports::store::StoreError;
use crate::store::batch::plain;

impl State {
    /// At most `limit` rows.
    pub(super) fn sweep_snoozes(&mut self, before: Time, limit: usize) -> u64 {
        let over = self.snoozes.values().filter(|row| row.until < before).map(|row| row.review);
        let over: Vec<Uuid> = over.take(limit).collect();
        self.snoozes.retain(|review, _| !over.contains(review));
        over.len() as u64
    }
}

#[async_trait]
impl Reviewing for MemoryStore {
    async fn hold(&self, held: &HeldRow) -> Result<bool, StoreError> {
        plain(&held.decision.by)?;
        let mut state = self.lock().0;
        if state.held.contains_key(&held.decision.review) {
            return Ok(false);
        }
        state.held.insert(held.decision.review, (held.clone(), false));
        Ok(true)
    }

    async fn take_back(&self, review: Uuid, by: &str, now: Time) -> Result<Option<HeldRow>, StoreError> {
        let mut state = self.lock().0;
        match state.held.get(&review) {
            Some((held, false)) if held.decision.by == by && held.release_at > now => {
                Ok(state.held.remove(&review).map(|(held, _)| held))
            }
            _ => Ok(None),
        }
    }

    async fn held(&self, review: Uuid) -> Result<Option<HeldRow>, StoreError> {
        Ok(self.lock().0.held.get(&review).map(|(held, _)| held.clone()))
    }

    async fn due_held(&self, now: Time, limit: usize) -> Result<Vec<HeldRow>, StoreError> {
        let mut state = self.lock().0;
        let mut due: Vec<_> = state.held.values_mut().filter(|(held, _)| held.release_at <= now).collect();
        due.sort_by_key(|(held, _)| held.release_at);
        due.truncate(limit);
        Ok(due
            .into_iter()
            .map(|(held, releasing)| {
                *releasing = true;
                held.clone()
            })
            .collect())
    }

    async fn drop_held(&self, review: Uuid, signal_id: Uuid) -> Result<(), StoreError> {
        let mut state = self.lock().0;
        if state.held.get(&review).is_some_and(|(held, _)| held.signal_id == signal_id) {
            state.held.remove(&review);
        }
        Ok(())
    }

    async fn snooze(&self, snooze: &SnoozeRow) -> Result<(), StoreError> {
        plain(&snooze.by)?;
        plain(&snooze.note)?;
        self.lock().0.snoozes.insert(snooze.review, snooze.clone());
        Ok(())
    }

    async fn wake(&self, review: Uuid) -> Result<bool, StoreError> {
        Ok(self.lock().0.snoozes.remove(&review).is_some())
    }

    async fn snoozed(&self, review: Uuid) -> Result<Option<SnoozeRow>, StoreError> {
        Ok(self.lock().0.snoozes.get(&review).cloned())
    }

    async fn sweep_snoozes(&self, before: Time, limit: usize) -> Result<u64, StoreError> {
        Ok(self.lock().0.sweep_snoozes(before, limit))
    }

    async fn add_view(&self, view: &ViewRow) -> Result<bool, StoreError> {
        for text in [&view.name, &view.query, &view.by] {
            plain(text)?;
        }
        let mut state = self.lock().0;
        if state.views.values().any(|known| known.place == view.place && known.name == view.name) {
            return Ok(false);
        }
        state.views.insert(view.id, view.clone());
        Ok(true)
    }

    async fn views(&self, place: &str, limit: usize) -> Result<Vec<ViewRow>, StoreError> {
        let mut views: Vec<ViewRow> = self.lock().0.views.values().filter(|view| view.place == place).cloned().collect();
        views.sort_by(|one, other| one.name.cmp(&other.name));
        views.truncate(limit);
        Ok(views)
    }

    async fn view(&self, id: Uuid) -> Result<ViewRow, StoreError> {
        self.lock().0.views.get(&id).cloned().ok_or(StoreError::NotFound("the view"))
    }

    async fn rename_view(&self, id: Uuid, name: &str) -> Result<bool, StoreError> {
        plain(name)?;
        let mut state = self.lock().0;
        let place = state.views.get(&id).ok_or(StoreError::NotFound("the view"))?.place.clone();
        if state.views.values().any(|known| known.id != id && known.place == place && known.name == name) {
            return Ok(false);
        }
        if let Some(view) = state.views.get_mut(&id) {
            name.clone_into(&mut view.name);
        }
        Ok(true)
    }

    async fn remove_view(&self, id: Uuid) -> Result<bool, StoreError> {
        Ok(self.lock().0.views.remove(&id).is_some())
    }
}
