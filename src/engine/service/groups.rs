//! Groups by hand and by breaker: resume, trip, reset, and what a breaker tells the other workers.

use std::sync::Arc;

use super::{Engine, EngineError, ResumeHow, not_found};
use crate::domain::time::Time;
use crate::engine::breaker::{Change, dependency_group};
use crate::engine::calls::OnChange;
use crate::engine::groups::{DEFAULT_RATE, opened, wait};
use crate::engine::ports::records::ControlRow;
use crate::engine::ports::reviewing::ActRow;
use crate::engine::ports::store::{Store, StoreError};

/// How often a person's word about a dependency is tried while others write its row.
const DECIDES: u32 = 20;

/// A dependency as a person's word finds it: now, its row, whether requests wait for it.
struct Found {
    at: Time,
    row: Option<ControlRow>,
    parked: bool,
}

impl Engine {
    /// Brings the requests of a group back: one first, then the others at a rate.
    ///
    /// # Errors
    /// The group is not known, a resume is under way, or the store failed.
    pub async fn resume_group(&self, group: &str, how: ResumeHow) -> Result<ControlRow, EngineError> {
        let now = self.inner.store.now().await?;
        if let Some(fingerprint) = group.strip_prefix("defect:") {
            let defect = self.inner.store.defect(fingerprint).await.map_err(not_found)?;
            if let Some(version) = how.to_version
                && self.inner.processes.get(&defect.process, version).is_none()
            {
                return Err(EngineError::Invalid(format!("{} has no version {version}", defect.process)));
            }
        } else {
            self.known_dependency(group)?;
        }
        if self.inner.store.parked_under(group, 1).await? == 0 {
            return Err(EngineError::Invalid("no request is parked there".to_owned()));
        }
        let old = self.control(group).await?;
        // A canary of a defect that has not come through is given up for the new resume: it may be for another version.
        let under_way = |row: &ControlRow| row.state == "resuming" || (row.state == "half_open" && !group.starts_with("defect:"));
        if old.as_ref().is_some_and(under_way) {
            return Err(EngineError::Invalid(
                "a resume of this group is under way; wait for its end, or reset the dependency".to_owned(),
            ));
        }
        let row = ControlRow {
            by: how.by,
            reason: "resumed".to_owned(),
            probe_at: Some(now),
            rate: how.rate.unwrap_or(DEFAULT_RATE).clamp(1, 10_000),
            to_version: how.to_version,
            since: Some(now),
            ..opened(group, "", None, old.as_ref(), now)
        };
        let to = how.to_version.map(|version| format!(", to version {version}")).unwrap_or_default();
        let detail = format!("{group}: {} a second{to}", row.rate);
        self.put(row, "group_resumed", detail).await?.ok_or_else(overtaken)
    }

    /// Opens a dependency's breaker by hand: it stays open until it is reset.
    ///
    /// # Errors
    /// The dependency is not known, or the store failed.
    pub async fn trip(&self, dependency: &str, by: &str, reason: &str) -> Result<ControlRow, EngineError> {
        self.decide(dependency, "dependency_tripped", (by, reason), |group, found| {
            opened(group, reason, None, found.row.as_ref(), found.at)
        })
        .await
    }

    /// Closes a dependency's breaker; what is parked comes back, one first.
    ///
    /// # Errors
    /// The dependency is not known, or the store failed.
    pub async fn reset(&self, dependency: &str, by: &str, reason: &str) -> Result<ControlRow, EngineError> {
        self.decide(dependency, "dependency_reset", (by, reason), |group, found| {
            let row = opened(group, reason, Some(found.at), found.row.as_ref(), found.at);
            if found.parked { row } else { ControlRow { state: "closed".to_owned(), probe_at: None, ..row } }
        })
        .await
    }

    /// Puts what a person decided of a dependency. Workers write the row, too (a breaker, a canary, the next rate): the person's word
    /// stands, so it is made anew of what is there.
    async fn decide(
        &self,
        dependency: &str,
        what: &str,
        (by, reason): (&str, &str),
        row: impl Fn(&str, &Found) -> ControlRow,
    ) -> Result<ControlRow, EngineError> {
        let group = dependency_group(dependency);
        self.known_dependency(&group)?;
        for _ in 0..DECIDES {
            let (at, there) = (self.inner.store.now().await?, self.control(&group).await?);
            let parked = self.inner.store.parked_under(&group, 1).await? > 0;
            let row = ControlRow { by: by.to_owned(), ..row(&group, &Found { at, row: there, parked }) };
            if let Some(row) = self.put(row, what, format!("{dependency}: {reason}")).await? {
                return Ok(row);
            }
        }
        Err(overtaken())
    }

    /// A group's control row.
    ///
    /// # Errors
    /// The store failed.
    pub async fn control(&self, group: &str) -> Result<Option<ControlRow>, EngineError> {
        Ok(self.inner.store.controls().await?.into_iter().find(|row| row.group == group))
    }

    fn known_dependency(&self, group: &str) -> Result<(), EngineError> {
        let name = group.strip_prefix("dependency:").unwrap_or(group);
        let known = self.inner.remote.names().iter().any(|known| known == name);
        if known { Ok(()) } else { Err(EngineError::NotFound("dependency")) }
    }

    /// Puts what a person decided: the row tells the last one only, the record all of them. `None`: it was changed meanwhile.
    async fn put(&self, row: ControlRow, what: &str, detail: String) -> Result<Option<ControlRow>, EngineError> {
        let (id, at, by) = (self.inner.clock.id(), row.changed_at, row.by.clone());
        let act = ActRow { id, at, by, what: what.to_owned(), request: None, review: None, detail };
        if !self.inner.store.put_control(&row, Some(&act)).await? {
            return Ok(None);
        }
        self.inner.breakers.learn(std::slice::from_ref(&row));
        Ok(Some(row))
    }
}

fn overtaken() -> EngineError {
    EngineError::Invalid("somebody else changed it at the same moment; look at it again".to_owned())
}

/// Tells the other workers what this one's breaker found. The row is advice: losing the race to another change is fine.
pub(super) fn publish_breaker(store: Arc<dyn Store>) -> OnChange {
    Arc::new(move |connector, change| {
        let (store, group) = (store.clone(), dependency_group(connector));
        tracing::warn!(connector, ?change, "breaker");
        tokio::spawn(async move {
            if let Err(error) = note_breaker(store.as_ref(), &group, change).await {
                tracing::warn!(group, %error, "the breaker's change could not be written");
            }
        });
    })
}

async fn note_breaker(store: &dyn Store, group: &str, change: Change) -> Result<(), StoreError> {
    let now = store.now().await?;
    let old = store.controls().await?.into_iter().find(|row| row.group == group);
    let state = old.as_ref().map_or("closed", |row| row.state.as_str());
    let row = match change {
        // Tripped by a person: until it is reset.
        _ if state == "open" && old.as_ref().is_some_and(|row| row.probe_at.is_none()) => return Ok(()),
        Change::Opened(until) if state != "open" => {
            let row = opened(group, "calls failed in a row", Some(until), old.as_ref(), now);
            let probe_at = until.max(now.plus(wait(row.since, until.since(now), now)));
            ControlRow { by: "breaker".into(), probe_at: Some(probe_at), ..row }
        }
        // What is parked comes back now: the group loop sends a canary and then the others.
        Change::Closed if matches!(state, "open" | "waiting") && store.parked_under(group, 1).await? > 0 => {
            opened(group, "answers again", Some(now), old.as_ref(), now)
        }
        Change::Closed if state == "open" => {
            let row = opened(group, "answers again", None, old.as_ref(), now);
            ControlRow { state: "closed".into(), by: "breaker".into(), ..row }
        }
        _ => return Ok(()),
    };
    store.put_control(&row, None).await.map(drop)
}
