//! Events waiting to be published, and the feed of all events.

use std::ops::Bound;

use uuid::Uuid;

use super::State;
use crate::engine::ports::records::Event;
use crate::engine::ports::store::WorkerId;

impl State {
    pub(super) fn unpublished(&mut self, worker: WorkerId, limit: usize) -> Vec<Event> {
        let State { outbox, workers, .. } = self;
        let waiting = outbox.values_mut().filter(|out| !out.published);
        let mine = waiting.filter(|out| out.worker == worker || !workers.contains_key(&out.worker));
        mine.take(limit)
            .map(|out| {
                out.worker = worker;
                out.event.clone()
            })
            .collect()
    }

    pub(super) fn published(&mut self, worker: WorkerId, ids: &[Uuid]) {
        for id in ids {
            if let Some(out) = self.outbox.get_mut(id).filter(|out| out.worker == worker) {
                out.published = true;
            }
        }
    }

    pub(super) fn events(&self, after: Option<Uuid>, limit: usize) -> Vec<Event> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.outbox.range((from, Bound::Unbounded)).take(limit).map(|(_, out)| out.event.clone()).collect()
    }
}
