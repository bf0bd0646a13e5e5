//! Taking up due requests, and reading everything about one.

use uuid::Uuid;

use super::State;
use crate::domain::request::signal::Signal;
use crate::domain::time::Time;
use crate::engine::ports::store::{Claimed, Loaded, RequestId, SUSPECT, StoreError, WorkerId};

impl State {
    pub(super) fn claim(&mut self, worker: WorkerId, limit: usize, now: Time) -> Result<Vec<Claimed>, StoreError> {
        self.alive(worker)?;
        let mut due: Vec<(Time, RequestId)> = self
            .open
            .iter()
            .filter_map(|id| self.requests.get(id))
            .filter(|held| held.row.owner.is_none_or(|owner| owner == worker))
            .filter_map(|held| Some((held.row.wake_at.filter(|wake| *wake <= now)?, held.row.id)))
            .collect();
        due.sort_unstable();
        due.truncate(limit);
        let suspect = |id: &RequestId| self.requests.get(id).is_some_and(|held| held.row.deaths >= SUSPECT);
        let free = |id: &RequestId| self.requests.get(id).is_some_and(|held| held.row.owner.is_none());
        let mut alone = self.requests.values().any(|held| held.row.owner == Some(worker) && held.row.deaths >= SUSPECT);
        due.retain(|(_, id)| !suspect(id) || !free(id) || !std::mem::replace(&mut alone, true));
        let take = |(_, id)| {
            let row = &mut self.requests.get_mut(&id)?.row;
            row.wake_at = None;
            Some(Claimed { request: id, mine_already: row.owner.replace(worker).is_some() })
        };
        Ok(due.into_iter().filter_map(take).collect())
    }

    pub(super) fn load(&self, request: RequestId) -> Result<Loaded, StoreError> {
        let held = self.held(request)?;
        Ok(Loaded {
            row: held.row.clone(),
            payload: held.payload.clone(),
            entries: held.entries.clone(),
            signals: self.signals_of(request),
        })
    }

    pub(super) fn signals_of(&self, request: RequestId) -> Vec<(Uuid, Signal)> {
        let ids = self.requests.get(&request).map(|held| held.signals.as_slice()).unwrap_or_default();
        let open = ids.iter().filter_map(|id| Some((*id, self.signals.get(id).filter(|row| row.answer.is_none())?)));
        open.map(|(id, row)| (id, row.signal.clone())).collect()
    }
}
