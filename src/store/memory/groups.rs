//! Defects, controls, and the requests parked under a group.

use std::collections::BTreeSet;

use super::State;
use crate::domain::request::signal::Signal;
use crate::domain::time::Time;
use crate::engine::ports::clock::Clock;
use crate::engine::ports::records::{ControlRow, DefectRow};
use crate::engine::ports::reviewing::ActRow;
use crate::engine::ports::store::{RequestId, StoreError};
use crate::store::batch;

impl State {
    pub(super) fn list_defects(&self, processes: &[String], limit: usize) -> Vec<DefectRow> {
        let wanted = |row: &&DefectRow| processes.is_empty() || processes.contains(&row.process);
        let mut rows: Vec<&DefectRow> = self.defects.values().filter(wanted).collect();
        rows.sort_by_key(|row| (std::cmp::Reverse(row.last_seen), row.fingerprint.clone()));
        rows.into_iter().take(limit).cloned().collect()
    }

    pub(super) fn put_control(&mut self, row: &ControlRow, act: Option<&ActRow>) -> Result<bool, StoreError> {
        batch::check_control(row)?;
        let stored = self.controls.get(&row.group).map_or(0, |old| old.version);
        if row.version != stored + 1 {
            return Ok(false);
        }
        self.controls.insert(row.group.clone(), row.clone());
        if let Some(act) = act {
            self.add_act(act);
        }
        Ok(true)
    }

    pub(super) fn resume_some(
        &mut self,
        group: &str,
        signal: &Signal,
        at: Time,
        (before, after): (Time, RequestId),
        limit: usize,
        clock: &dyn Clock,
    ) -> Vec<RequestId> {
        let parked = self.open_rows().filter(|row| row.parked.as_deref() == Some(group) && row.updated_at < before);
        let chosen: Vec<RequestId> =
            parked.filter(|row| row.signalled == row.seen && row.id > after).map(|row| row.id).take(limit).collect();
        for request in &chosen {
            self.deliver(clock.id(), *request, signal, at, clock.now());
        }
        chosen
    }

    pub(super) fn parked_groups(&self) -> Vec<String> {
        let groups: BTreeSet<&String> = self.open_rows().filter_map(|row| row.parked.as_ref()).collect();
        groups.into_iter().cloned().collect()
    }

    pub(super) fn parked_under(&self, group: &str, cap: u64) -> u64 {
        let parked = self.open_rows().filter(|row| row.parked.as_deref() == Some(group));
        parked.zip(0..cap).count() as u64
    }
}
