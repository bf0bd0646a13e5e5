//! Names of slots: where in a process something happens. Step names are `snake_case` and contain no dot.

/// The verification of the outcome.
pub const DONE_WHEN: &str = "done_when";
/// The process's limit.
pub const LIMIT: &str = "limit";
/// The question what to do with a request that is past its time; also that review's name.
pub const OVERDUE: &str = "overdue";
/// The question of a colleague who put the request to a person; also that review's name.
pub const HANDED_OVER: &str = "handed_over";
/// Where a request is parked under which workers died: no place of the process.
pub const WORKER: &str = "worker";
/// The built-in review for an effect that nobody knows about.
pub const UNKNOWN_EFFECT: &str = "unknown_effect";
/// The built-in review for an effect that cannot be undone.
pub const UNDO_FAILED: &str = "undo_failed";

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
