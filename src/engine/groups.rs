//! Groups: the dependencies and defects that requests are parked under, and how they come back.
//!
//! The hard part is coming back without a stampede: when a dependency recovers or a fix is there, one request goes
//! first (the canary); only when it got through are the others resumed, at a rate. What happens next is decided in
//! one pure function over the group's durable control row; every worker runs the loop, and the row's version lets
//! exactly one of them act at a time.

use std::sync::PoisonError;
use std::time::Duration;

use uuid::Uuid;

use super::canary::{self, Progress};
use super::core::Core;
use super::ports::records::ControlRow;
use super::ports::store::StoreError;
use crate::domain::request::signal::Signal;
use crate::domain::time::Time;

/// How many requests a second come back, where nobody said otherwise.
pub const DEFAULT_RATE: u32 = 50;
/// How often the loop looks.
pub const TICK: Duration = Duration::from_millis(250);
/// The most requests that one tick resumes.
const MAX_STEP: u32 = 500;
/// A canary that says nothing for this long is given up, and another goes.
const CANARY_TIME: Duration = Duration::from_mins(2);
/// A step that lost its worker between choosing and sending a canary is done again after this.
const CHOOSING_TIME: Duration = Duration::from_secs(5);
/// The longest time between two canaries of a dependency.
const MAX_WAIT: Duration = Duration::from_mins(5);
/// How often the loop looks for requests that are parked under a dependency whose group is closed.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What is to be done about a group now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    None,
    /// Send one request ahead.
    Canary,
    /// The canary got through: resume the others at the rate.
    Resume,
    /// The canary came back: wait longer (dependency), or stop (defect).
    Failed,
    /// Resume this many more.
    More(u32),
    /// Everybody is back.
    Close,
}

/// Decides the next step of a group. `parked` is how many wait (capped); `canary` is what became of the canary, `None`
/// where it is not to be found.
#[must_use]
pub fn step(row: &ControlRow, parked: u64, canary: Option<Progress>, now: Time) -> Step {
    match row.state.as_str() {
        "open" | "waiting" => match row.probe_at {
            Some(at) if now >= at && parked > 0 => Step::Canary,
            Some(at) if now >= at.plus(Duration::from_mins(1)) => Step::Close,
            _ => Step::None,
        },
        "half_open" => match canary {
            _ if row.canary.is_none() => {
                let late = now.since(row.changed_at) > CHOOSING_TIME;
                if late && parked == 0 {
                    Step::Close
                } else if late {
                    Step::Canary
                } else {
                    Step::None
                }
            }
            Some(Progress::OnTheWay) if now.since(row.changed_at) <= CANARY_TIME => Step::None,
            None | Some(Progress::OnTheWay | Progress::Elsewhere) => Step::Canary,
            Some(Progress::Back) => Step::Failed,
            Some(Progress::Through) => Step::Resume,
        },
        "resuming" => {
            let micros = u64::try_from(now.since(row.changed_at).as_micros()).unwrap_or(u64::MAX);
            let due = micros.saturating_mul(u64::from(row.rate.max(1))) / 1_000_000;
            match u32::try_from(due).unwrap_or(u32::MAX).min(MAX_STEP) {
                0 => Step::None,
                _ if parked == 0 => Step::Close,
                more => Step::More(more),
            }
        }
        _ => Step::None,
    }
}

/// One look at all groups.
///
/// # Errors
/// The store failed.
pub async fn tick(core: &Core) -> Result<(), StoreError> {
    let rows = core.store.controls().await?;
    core.caller.breakers.learn(&rows);
    note_parked(core, &rows).await?;
    for row in rows.into_iter().filter(|row| matches!(row.state.as_str(), "open" | "waiting" | "half_open" | "resuming")) {
        let now = core.store.now().await?;
        let parked = core.store.parked_under(&row.group, 1).await?;
        let canary = match row.canary {
            Some(id) if row.state == "half_open" => match core.store.request(id).await {
                Ok(request) => Some(canary::look(core.store.as_ref(), &request, &row.group).await?),
                Err(StoreError::NotFound(_)) => None,
                Err(error) => return Err(error),
            },
            _ => None,
        };
        let step = step(&row, parked, canary, now);
        if step != Step::None {
            take(core, row, &step, now).await?;
        }
    }
    Ok(())
}

async fn take(core: &Core, row: ControlRow, step: &Step, now: Time) -> Result<(), StoreError> {
    let mut next = ControlRow { changed_at: now, version: row.version + 1, ..row.clone() };
    match step {
        Step::None => return Ok(()),
        Step::Canary => {
            (next.state, next.canary) = ("half_open".into(), None);
            next.since = row.since.or(Some(now));
        }
        Step::Resume => (next.state, next.canary) = ("resuming".into(), None),
        Step::Failed => {
            // The canary stays noted: the next one is the one after it, since it may be the canary's own fault. For the same
            // reason this opens no breaker: if the dependency is down, theirs have opened.
            if let Some(connector) = row.group.strip_prefix("dependency:") {
                next.state = "waiting".into();
                next.probe_at = Some(now.plus(wait(row.since, core.caller.breakers.open_for(connector), now)));
            } else {
                (next.state, next.reason) = ("stopped".into(), "the first request that was resumed failed again".into());
            }
        }
        Step::More(_) => {}
        Step::Close => (next.state, next.canary, next.probe_at, next.since) = ("closed".into(), None, None, None),
    }
    if !core.store.put_control(&next, None).await? {
        return Ok(());
    }
    tracing::info!(group = next.group, from = row.state, to = next.state, ?step, "group");
    let before = if next.group.starts_with("dependency:") { now } else { next.since.unwrap_or(now) };
    let signal = Signal::Resume { by: row.by.clone(), group: row.group.clone(), to_version: row.to_version };
    match step {
        Step::Canary => {
            let last = row.canary.unwrap_or_default();
            let mut sent = core.store.resume_some(&row.group, &signal, now, before, last, 1).await?;
            if sent.is_empty() {
                sent = core.store.resume_some(&row.group, &signal, now, before, Uuid::nil(), 1).await?;
            }
            let row = ControlRow { canary: sent.first().copied(), version: next.version + 1, ..next };
            // Who is left was parked after this resume began (by the clock of the worker that parked them): it is over, and does
            // not stand in the way of the next one.
            let over = sent.is_empty() && now.since(before) > CANARY_TIME;
            let row = if over { ControlRow { state: "closed".into(), probe_at: None, since: None, ..row } } else { row };
            core.store.put_control(&row, None).await?;
        }
        Step::More(more) => {
            let limit = usize::try_from(*more).unwrap_or(1);
            let sent = core.store.resume_some(&row.group, &signal, now, before, Uuid::nil(), limit).await?;
            if sent.is_empty() && !row.group.starts_with("dependency:") {
                // Who is left was parked after the resume began: not part of it.
                let row = ControlRow { state: "closed".into(), version: next.version + 1, ..next };
                core.store.put_control(&row, None).await?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// Requests that are parked under a dependency whose group is closed: it gets a row, or nobody would ever resume them.
/// They are looked for in the database, for whoever parked them may be gone.
async fn note_parked(core: &Core, rows: &[ControlRow]) -> Result<(), StoreError> {
    let due = {
        let mut looked = core.looked_for_parked.lock().unwrap_or_else(PoisonError::into_inner);
        let now = core.clock.now();
        let due = looked.is_none_or(|at| now < at || now.since(at) >= LOOK_EVERY);
        if due {
            *looked = Some(now);
        }
        due
    };
    if !due {
        return Ok(());
    }
    for group in core.store.parked_groups().await? {
        let Some(connector) = group.strip_prefix("dependency:") else { continue };
        let row = rows.iter().find(|row| row.group == group);
        if row.is_some_and(|row| row.state != "closed") {
            continue;
        }
        let now = core.store.now().await?;
        let probe_at = now.plus(core.caller.breakers.open_for(connector));
        let fresh = opened(&group, "requests are parked", Some(probe_at), row, now);
        core.store.put_control(&ControlRow { state: "waiting".to_owned(), ..fresh }, None).await?;
    }
    Ok(())
}

/// How long until the next canary of a dependency: the longer it has been going on, the longer.
#[must_use]
pub fn wait(since: Option<Time>, open_for: Duration, now: Time) -> Duration {
    (since.map_or(Duration::ZERO, |since| now.since(since)) / 4).min(MAX_WAIT).max(open_for)
}

/// A control row that says that a dependency is down.
#[must_use]
pub fn opened(group: &str, reason: &str, probe_at: Option<Time>, old: Option<&ControlRow>, now: Time) -> ControlRow {
    ControlRow {
        group: group.to_owned(),
        state: "open".to_owned(),
        reason: reason.to_owned(),
        by: "probe".to_owned(),
        // Who was the last one: the next is another.
        canary: old.and_then(|row| row.canary),
        probe_at,
        rate: old.map_or(DEFAULT_RATE, |row| row.rate),
        to_version: None,
        since: old.filter(|row| row.state != "closed").and_then(|row| row.since).or(Some(now)),
        changed_at: now,
        version: old.map_or(1, |row| row.version + 1),
    }
}
