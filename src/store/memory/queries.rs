//! Reads for people and programs.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::time::Duration;

use uuid::Uuid;

use super::State;
use crate::domain::request::chain::Entry;
use crate::domain::time::Time;
use crate::engine::ports::balance::{Balance, Counted, Went};
use crate::engine::ports::records::{RejectedRow, RequestFilter, RequestRow};
use crate::engine::ports::store::RequestId;

impl State {
    pub(super) fn entries(&self, request: RequestId, after: u64, limit: usize) -> Vec<Entry> {
        let all = self.requests.get(&request).map(|held| held.entries.as_slice()).unwrap_or_default();
        all.iter().filter(|entry| entry.seq > after).take(limit).cloned().collect()
    }

    pub(super) fn entries_of(&self, requests: &[RequestId], limit: usize) -> Vec<(RequestId, Entry)> {
        let ids: BTreeSet<RequestId> = requests.iter().copied().collect();
        let held = ids.into_iter().rev().filter_map(|id| self.requests.get(&id).map(|held| (id, held)));
        held.flat_map(|(id, held)| held.entries.iter().map(move |entry| (id, entry.clone()))).take(limit).collect()
    }

    pub(super) fn list(&self, filter: &RequestFilter, before: Option<RequestId>, limit: usize) -> Vec<RequestRow> {
        let upper = before.map_or(Bound::Unbounded, Bound::Excluded);
        let rows = self.requests.range((Bound::Unbounded, upper)).rev().map(|(_, held)| &held.row);
        rows.filter(|row| matches(filter, row)).take(limit).cloned().collect()
    }

    pub(super) fn list_rejected(&self, before: Option<Uuid>, limit: usize) -> Vec<RejectedRow> {
        let upper = before.map_or(Bound::Unbounded, Bound::Excluded);
        self.rejected.range((Bound::Unbounded, upper)).rev().take(limit).map(|(_, row)| row.clone()).collect()
    }

    pub(super) fn lately(&self, processes: &[String], since: Time, limit: usize) -> Vec<Went> {
        let filter = RequestFilter { processes: processes.to_vec(), after: Some(since), ..RequestFilter::default() };
        let went = |row: RequestRow| Went {
            process: row.process,
            state: row.state,
            reason: row.reason,
            person: row.person,
            accepted_at: row.accepted_at,
            ended_at: row.ended_at,
        };
        self.list(&filter, None, limit).into_iter().map(went).collect()
    }

    pub(super) fn balance(&self, now: Time) -> Balance {
        let tally = |name: &str| self.tallies.get(name).copied().unwrap_or_default();
        let mut balance = Balance {
            accepted: tally("accepted"),
            done: tally("done"),
            refused: tally("refused"),
            withdrawn: tally("withdrawn"),
            expired: tally("expired"),
            rejected: tally("rejected"),
            automated: tally("automated"),
            removed: tally("removed"),
            unpublished: self.outbox.values().filter(|out| !out.published).count() as u64,
            ..Balance::default()
        };
        let late = now.minus(Duration::from_mins(1));
        for row in self.open_rows() {
            balance.overdue += u64::from(row.owner.is_none() && row.wake_at.is_some_and(|wake| wake < late));
        }
        for place in self.places() {
            balance.add(place);
        }
        balance
    }

    fn places(&self) -> Vec<Counted> {
        let mut counts: BTreeMap<_, u64> = BTreeMap::new();
        for row in self.open_rows() {
            let key = (row.process.clone(), row.state.clone(), row.parked.clone(), row.step.clone());
            *counts.entry(key).or_default() += 1;
        }
        let group = |((process, state, parked, step), count)| Counted { process, state, parked, step, count };
        counts.into_iter().map(group).collect()
    }

    pub(super) fn open_rows(&self) -> impl Iterator<Item = &RequestRow> {
        self.open.iter().filter_map(|id| self.requests.get(id)).map(|held| &held.row)
    }
}

fn matches(filter: &RequestFilter, row: &RequestRow) -> bool {
    let listed = |list: &[String], value: &String| list.is_empty() || list.contains(value);
    let same = |wanted: &Option<String>, value: Option<&String>| wanted.is_none() || wanted.as_ref() == value;
    listed(&filter.processes, &row.process)
        && listed(&filter.states, &row.state)
        && same(&filter.customer, Some(&row.customer))
        && same(&filter.producer, Some(&row.producer))
        && filter.message.as_ref().is_none_or(|id| filter.producer.is_some() && *id == row.message)
        && same(&filter.reason, row.reason.as_ref())
        && same(&filter.parked, row.parked.as_ref())
        && same(&filter.step, row.step.as_ref())
        && filter.before.is_none_or(|before| row.accepted_at < before)
        && filter.after.is_none_or(|after| row.accepted_at >= after)
}
