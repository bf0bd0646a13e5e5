//! Reviewers' acts and lists of reviews.

use uuid::Uuid;

use super::State;
use crate::domain::request::signal::person;
use crate::domain::time::Time;
use crate::engine::ports::records::{DecisionFilter, ReviewFilter, ReviewRow};
use crate::engine::ports::store::{ReviewAct, ReviewPut, StoreError};
use crate::store::batch;
use crate::store::rules;

impl State {
    pub(super) fn review_act(
        &mut self,
        review: Uuid,
        act: &ReviewAct,
        signal_id: Uuid,
        at: Time,
        now: Time,
    ) -> Result<ReviewPut, StoreError> {
        batch::plain(act.by())?;
        let row = self.reviews.get(&review).ok_or(StoreError::NotFound("the review"))?.clone();
        let ended = self.held(row.request)?.row.ended_at.is_some();
        if let Some(stored) = self.signals.get(&signal_id) {
            return Ok(rules::put(row, signal_id, &stored.signal));
        }
        if ended {
            return Ok(ReviewPut::Stale(Box::new(row)));
        }
        let (put, signal) = rules::act(&row, act, signal_id, now);
        if let Some(signal) = signal {
            self.deliver(signal_id, row.request, &signal, at, now);
        }
        if let Some(record) = rules::record(&row, act, &put, signal_id, at, now) {
            self.add_act(&record);
        }
        if let Some(next) = rules::to_write(&put) {
            self.reviews.insert(review, next.clone());
        }
        Ok(put)
    }

    pub(super) fn list_reviews(&self, filter: &ReviewFilter, after: Option<(Time, Uuid)>, limit: usize) -> Vec<ReviewRow> {
        let mut rows: Vec<&ReviewRow> =
            self.reviews.values().filter(|row| matches(filter, row) && self.aside_fits(filter, row)).collect();
        rows.retain(|row| after.is_none_or(|after| (row.due_at, row.id) > after));
        rows.sort_by_key(|row| (row.due_at, row.id));
        rows.into_iter().take(limit).cloned().collect()
    }

    /// Is it put aside, as the filter asks? What arrived since for its request ends that.
    fn aside_fits(&self, filter: &ReviewFilter, row: &ReviewRow) -> bool {
        let Some((wanted, now)) = filter.snoozed else { return true };
        let since = self.snoozes.get(&row.id).filter(|snooze| snooze.until > now).map(|snooze| snooze.at);
        wanted == since.is_some_and(|since| !self.arrived(row.request, since))
    }

    /// Has anything arrived for a request since then?
    pub(super) fn arrived(&self, request: Uuid, since: Time) -> bool {
        let signals = self.requests.get(&request).into_iter().flat_map(|held| &held.signals);
        signals.filter_map(|id| self.signals.get(id)).any(|signal| signal.at > since)
    }

    pub(super) fn list_decisions(&self, filter: &DecisionFilter, before: Option<(Time, Uuid)>, limit: usize) -> Vec<ReviewRow> {
        let by = |row: &ReviewRow| match (&filter.by, &row.decision) {
            (None, _) => true,
            (Some(by), Some(decision)) => decision.by == *by || decision.first_by.as_ref() == Some(by),
            (Some(_), None) => false,
        };
        let key = |row: &ReviewRow| (row.closed_at.unwrap_or_default(), row.id);
        let mut rows: Vec<&ReviewRow> = self.reviews.values().filter(|row| row.state == "decided" && by(row)).collect();
        rows.retain(|row| filter.processes.is_empty() || filter.processes.contains(&row.process));
        rows.retain(|row| before.is_none_or(|before| key(row) < before));
        rows.sort_by_key(|row| std::cmp::Reverse(key(row)));
        rows.into_iter().take(limit).cloned().collect()
    }
}

fn matches(filter: &ReviewFilter, row: &ReviewRow) -> bool {
    let state = if filter.states.is_empty() { row.state == "open" } else { filter.states.contains(&row.state) };
    let role = match (&filter.roles, &row.role) {
        (Some(roles), Some(role)) => roles.contains(role),
        _ => true,
    };
    let unclaimed =
        filter.unclaimed_at.is_none_or(|at| row.claimed_by.is_none() || row.claimed_until.is_none_or(|until| until <= at));
    let held = filter
        .claimed_by
        .as_ref()
        .is_none_or(|(by, at)| row.claimed_by.as_ref() == Some(by) && row.claimed_until.is_some_and(|until| until > *at));
    let process = filter.processes.is_empty() || filter.processes.contains(&row.process);
    let name = filter.name.as_ref().is_none_or(|name| *name == row.name);
    let second = !filter.second || row.decision.is_some();
    let first = filter.first_by.as_ref().is_none_or(|name| row.decision.as_ref().is_some_and(|first| person(&first.by) == name));
    state
        && second
        && first
        && role
        && unclaimed
        && held
        && process
        && name
        && filter.request.is_none_or(|request| request == row.request)
}
