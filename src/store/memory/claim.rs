//! Taking up due requests, and reading everything about one.

use uuid::Uuid;

use super::State;
use crate::domain::request::signal::Signal;
use crate::domain::time::Time;
use crate::engine::ports::store::{Claimed, Loaded, RequestId, SUSPECT, StoreError, WorkerId};

impl State {
    pub(super) fn claim(&mut self, worker: WorkerId, limit: usize, now: Time) -> Result<Vec<Claimed>, StoreError> {
        self.alive(worker)?;
        let carried = self.requests.values().any(|held| held.row.owner == Some(worker) && held.row.deaths >= SUSPECT);
        let due = self.open.iter().filter_map(|id| self.requests.get(id)).filter_map(|held| {
            let mine = held.row.owner == Some(worker);
            let at = held.row.wake_at.filter(|wake| *wake <= now && (mine || held.row.owner.is_none()))?;
            Some((at, held.row.id, !mine && held.row.deaths >= SUSPECT))
        });
        let (suspects, mut due): (Vec<_>, Vec<_>) = due.partition(|(.., suspect)| *suspect);
        due.sort_unstable();
        due.truncate(limit);
        // Many suspects do not stand before everybody else; the oldest goes where no other is carried.
        due.extend(suspects.into_iter().min().filter(|_| !carried));
        due.sort_unstable();
        due.truncate(limit);
        let take = |(_, id, _)| {
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
