//! What comes from outside: signals.

use uuid::Uuid;

use super::{SignalRow, State};
use crate::domain::request::signal::Signal;
use crate::domain::time::Time;
use crate::engine::ports::store::{RequestId, Sent, StoreError};
use crate::store::rules;

impl State {
    pub(super) fn signal(
        &mut self,
        id: Uuid,
        request: RequestId,
        signal: &Signal,
        at: Time,
        now: Time,
    ) -> Result<Sent, StoreError> {
        let row = &self.held(request)?.row;
        if self.signals.contains_key(&id) {
            return Ok(Sent::Stored(id));
        }
        if let Some(outcome) = rules::outcome(&row.state) {
            return Ok(Sent::Ended(outcome));
        }
        self.deliver(id, request, signal, at, now);
        Ok(Sent::Stored(id))
    }

    /// Stores a signal for an open request and makes it due.
    pub(super) fn deliver(&mut self, id: Uuid, request: RequestId, signal: &Signal, at: Time, now: Time) {
        let Some(held) = self.requests.get_mut(&request) else { return };
        held.row.signalled += 1;
        held.row.wake_at = Some(now);
        held.signals.push(id);
        self.signals.insert(id, SignalRow { request, signal: signal.clone(), at, answer: None });
    }

    pub(super) fn signal_answer(&self, id: Uuid) -> Result<Option<String>, StoreError> {
        let row = self.signals.get(&id).ok_or(StoreError::NotFound("the signal"))?;
        Ok(row.answer.as_ref().map(|(_, answer)| answer.clone()))
    }
}
