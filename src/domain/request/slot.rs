//! Names of slots: where in a process something happens. Step names are `snake_case` and contain no dot. The built-in reviews
//! that belong to no step are asked at slots of their own names.

pub use crate::domain::process::{HANDED_OVER, OVERDUE, UNDO_FAILED, UNKNOWN_EFFECT};

/// The verification of the outcome.
pub const DONE_WHEN: &str = "done_when";
/// The process's limit.
pub const LIMIT: &str = "limit";
/// Where a request is parked under which workers died: no place of the process.
pub const WORKER: &str = "worker";

/// The slot of a step's undo.
#[must_use]
pub fn undo(step: &str) -> String {
    format!("undo.{step}")
}

/// The slot of the read that tells whether the effect at `slot` happened.
#[must_use]
pub fn reconcile(slot: &str) -> String {
    format!("reconcile.{slot}")
}

/// The effect that a reconciling read tells about.
#[must_use]
pub fn read_for(slot: &str) -> Option<&str> {
    slot.strip_prefix("reconcile.")
}

/// Is this a step's own slot (not an undo's, a reconcile's or a built-in one)?
#[must_use]
pub fn is_forward(slot: &str) -> bool {
    !slot.contains('.') && ![DONE_WHEN, LIMIT, OVERDUE, HANDED_OVER].contains(&slot)
}

/// The step that a slot belongs to.
#[must_use]
pub fn step_of(slot: &str) -> &str {
    slot.rsplit('.').next().unwrap_or(slot)
}
