//! Held decisions, snoozes, presences and views.

use async_trait::async_trait;
use uuid::Uuid;

use super::{MemoryStore, State};
use crate::domain::time::Time;
use crate::engine::ports::reviewing::{ActRow, EndRow, HeldRow, PresenceRow, Reviewing, SnoozeRow, ViewRow};
use crate::engine::ports::store::StoreError;
use crate::store::batch::plain;
use crate::store::rules;

impl State {
    /// At most `limit` rows.
    pub(super) fn sweep_snoozes(&mut self, before: Time, limit: usize) -> u64 {
        let over = self.snoozes.values().filter(|row| row.until < before).map(|row| row.review);
        let over: Vec<Uuid> = over.take(limit).collect();
        self.snoozes.retain(|review, _| !over.contains(review));
        over.len() as u64
    }

    /// At most `limit` rows.
    pub(super) fn sweep_ends(&mut self, before: Time, limit: usize) -> u64 {
        let over = self.held_ends.values().filter(|row| row.ended_at < before).map(|row| row.review);
        let over: Vec<Uuid> = over.take(limit).collect();
        self.held_ends.retain(|review, _| !over.contains(review));
        over.len() as u64
    }

    /// At most `limit` rows.
    pub(super) fn sweep_presences(&mut self, now: Time, limit: usize) -> u64 {
        let over = self.presences.iter().filter(|(_, until)| **until <= now).map(|(key, _)| key.clone());
        let over: Vec<_> = over.take(limit).collect();
        self.presences.retain(|key, _| !over.contains(key));
        over.len() as u64
    }

    pub(super) fn add_act(&mut self, act: &ActRow) {
        self.acts.insert(act.id, act.clone());
    }
}

fn check(act: &ActRow) -> Result<(), StoreError> {
    plain(&act.by)?;
    plain(&act.detail)
}

#[async_trait]
impl Reviewing for MemoryStore {
    async fn hold(&self, held: &HeldRow) -> Result<bool, StoreError> {
        plain(&held.decision.by)?;
        let mut state = self.lock().0;
        if state.held.contains_key(&held.decision.review) {
            return Ok(false);
        }
        state.held.insert(held.decision.review, (held.clone(), None));
        Ok(true)
    }

    async fn take_back(&self, review: Uuid, now: Time, act: &ActRow) -> Result<Option<HeldRow>, StoreError> {
        check(act)?;
        let mut state = self.lock().0;
        match state.held.get(&review) {
            Some((held, None)) if held.decision.by == act.by && held.release_at > now => {
                let act = rules::undone(act, &held.decision);
                state.add_act(&act);
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
        due.sort_by_key(|(held, tried)| (tried.is_some(), tried.unwrap_or(held.release_at), held.release_at));
        due.truncate(limit);
        let tell = |(held, tried): &mut (HeldRow, Option<Time>)| {
            *tried = Some(now);
            held.clone()
        };
        let mut told: Vec<HeldRow> = due.into_iter().map(tell).collect();
        told.sort_by_key(|held| held.release_at);
        Ok(told)
    }

    async fn drop_held(&self, review: Uuid, signal_id: Uuid) -> Result<(), StoreError> {
        let mut state = self.lock().0;
        if state.held.get(&review).is_some_and(|(held, _)| held.signal_id == signal_id) {
            state.held.remove(&review);
        }
        Ok(())
    }

    async fn end_held(&self, signal_id: Uuid, end: &EndRow) -> Result<(), StoreError> {
        for text in [&end.by, &end.code, &end.why] {
            plain(text)?;
        }
        let mut state = self.lock().0;
        if state.held.get(&end.review).is_some_and(|(held, _)| held.signal_id == signal_id) {
            state.held.remove(&end.review);
            state.held_ends.insert(end.review, end.clone());
        }
        Ok(())
    }

    async fn held_end(&self, review: Uuid) -> Result<Option<EndRow>, StoreError> {
        Ok(self.lock().0.held_ends.get(&review).cloned())
    }

    async fn sweep_ends(&self, before: Time, limit: usize) -> Result<u64, StoreError> {
        Ok(self.lock().0.sweep_ends(before, limit))
    }

    async fn snooze(&self, snooze: &SnoozeRow, act: &ActRow) -> Result<(), StoreError> {
        plain(&snooze.by)?;
        plain(&snooze.note)?;
        check(act)?;
        let mut state = self.lock().0;
        state.add_act(act);
        state.snoozes.insert(snooze.review, snooze.clone());
        Ok(())
    }

    async fn wake(&self, review: Uuid, act: &ActRow) -> Result<bool, StoreError> {
        check(act)?;
        let mut state = self.lock().0;
        if state.snoozes.remove(&review).is_none() {
            return Ok(false);
        }
        state.add_act(act);
        Ok(true)
    }

    async fn snoozed(&self, reviews: &[Uuid], now: Time) -> Result<Vec<SnoozeRow>, StoreError> {
        let state = self.lock().0;
        let arrived =
            |snooze: &SnoozeRow| state.reviews.get(&snooze.review).is_some_and(|row| state.arrived(row.request, snooze.at));
        let mut rows: Vec<SnoozeRow> = reviews.iter().filter_map(|review| state.snoozes.get(review)).cloned().collect();
        rows.retain(|row| row.until > now && !arrived(row));
        rows.sort_by_key(|row| row.review);
        Ok(rows)
    }

    async fn sweep_snoozes(&self, before: Time, limit: usize) -> Result<u64, StoreError> {
        Ok(self.lock().0.sweep_snoozes(before, limit))
    }

    async fn be_present(&self, row: &PresenceRow) -> Result<(), StoreError> {
        plain(&row.by)?;
        self.lock().0.presences.insert((row.review, row.by.clone()), row.until);
        Ok(())
    }

    async fn present(&self, reviews: &[Uuid], now: Time, limit: usize) -> Result<Vec<PresenceRow>, StoreError> {
        let state = self.lock().0;
        let there = state.presences.iter().filter(|((review, _), until)| reviews.contains(review) && **until > now);
        let row =
            |((review, by), until): (&(Uuid, String), &Time)| PresenceRow { review: *review, by: by.clone(), until: *until };
        Ok(there.map(row).take(limit).collect())
    }

    async fn sweep_presences(&self, now: Time, limit: usize) -> Result<u64, StoreError> {
        Ok(self.lock().0.sweep_presences(now, limit))
    }

    async fn add_view(&self, view: &ViewRow, act: &ActRow) -> Result<bool, StoreError> {
        for text in [&view.name, &view.query, &view.by] {
            plain(text)?;
        }
        check(act)?;
        let mut state = self.lock().0;
        if state.views.values().any(|known| known.place == view.place && known.name == view.name) {
            return Ok(false);
        }
        state.add_act(act);
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

    async fn rename_view(&self, id: Uuid, name: &str, act: &ActRow) -> Result<bool, StoreError> {
        plain(name)?;
        check(act)?;
        let mut state = self.lock().0;
        let place = state.views.get(&id).ok_or(StoreError::NotFound("the view"))?.place.clone();
        if state.views.values().any(|known| known.id != id && known.place == place && known.name == name) {
            return Ok(false);
        }
        state.add_act(act);
        if let Some(view) = state.views.get_mut(&id) {
            name.clone_into(&mut view.name);
        }
        Ok(true)
    }

    async fn remove_view(&self, id: Uuid, act: &ActRow) -> Result<bool, StoreError> {
        check(act)?;
        let mut state = self.lock().0;
        if state.views.remove(&id).is_none() {
            return Ok(false);
        }
        state.add_act(act);
        Ok(true)
    }

    async fn acts(&self, by: Option<&str>, before: Option<Uuid>, limit: usize) -> Result<Vec<ActRow>, StoreError> {
        let state = self.lock().0;
        let rows = state.acts.values().rev().filter(|row| before.is_none_or(|before| row.id < before));
        Ok(rows.filter(|row| by.is_none_or(|by| row.by == by)).take(limit).cloned().collect())
    }
}
