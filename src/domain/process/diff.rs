//! May a request move to another version of its process?
//!
//! Only if the part already carried out reads the same in both: otherwise its ledger would cite clauses and effects that
//! the version it now claims to follow does not have. What is still to come may differ in any way; that is what the move
//! is for. Of a step already done, how it would be retried, reconciled or undone may differ too: mending an undo is a good
//! reason to move.

use super::model::{Call, Execute, Process, Step, StepKind, Verify, Wait};

/// Compares the part of two versions that `done_steps` have carried out.
///
/// # Errors
/// A sentence that names the first difference.
pub fn same_done_part(old: &Process, new: &Process, done_steps: &[String]) -> Result<(), String> {
    if old.name != new.name {
        return Err(format!("`{}` and `{}` are different processes", old.name, new.name));
    }
    if key_of(old) != key_of(new) {
        return Err("`serialize_by` differs: the request stands in its queue already".to_owned());
    }
    let mut last_new = None;
    for step in old.steps.iter().filter(|step| done_steps.contains(&step.name)) {
        let Some(at) = new.step_index(&step.name) else {
            return Err(format!("the step `{}` is done, and version {} has no such step", step.name, new.version));
        };
        // Steps done side by side may change places: their order was never told.
        if last_new.is_some_and(|last| at < last && block_of(new, at) != block_of(new, last)) {
            return Err(format!("the step `{}` was done later than version {} has it", step.name, new.version));
        }
        last_new = last_new.max(Some(at));
        same_step(step, &new.steps[at])
            .map_err(|what| format!("the step `{}` is done, and its {what} in version {}", step.name, new.version))?;
    }
    if let Some(unknown) = done_steps.iter().find(|name| old.step(name).is_none()) {
        return Err(format!("the step `{unknown}` is done, and version {} has no such step", old.version));
    }
    let Some(last) = last_new else { return Ok(()) };
    let last_block = block_of(new, last);
    let added = new.steps.iter().enumerate().find(|(at, step)| block_of(new, *at) < last_block && old.step(&step.name).is_none());
    match added {
        Some((_, step)) => Err(format!("version {} has a new step `{}` before what is already done", new.version, step.name)),
        None => Ok(()),
    }
}

fn key_of(process: &Process) -> Option<(&str, &str)> {
    process.serialize_by.as_ref().map(|by| (by.scope.as_str(), by.key.source()))
}

fn block_of(process: &Process, step: usize) -> Option<usize> {
    process.blocks.iter().position(|block| block.range().contains(&step))
}

/// Says what differs.
fn same_step(old: &Step, new: &Step) -> Result<(), &'static str> {
    check(old.when == new.when, "`when` differs")?;
    match (&old.kind, &new.kind) {
        (StepKind::Verify(old), StepKind::Verify(new)) => same_verify(old, new),
        (StepKind::Execute(old), StepKind::Execute(new)) => same_execute(old, new),
        (StepKind::Wait(old), StepKind::Wait(new)) => same_wait(old, new),
        (StepKind::Review { review: old }, StepKind::Review { review: new }) => check(old == new, "review differs"),
        _ => Err("kind differs"),
    }
}

fn same_verify(old: &Verify, new: &Verify) -> Result<(), &'static str> {
    check(old.clause == new.clause, "clause differs")?;
    check(same_option(old.call.as_ref(), new.call.as_ref()), "call differs")?;
    let rules = |verify: &Verify| {
        verify.rules.refuse_when.iter().map(|rule| (rule.when.clone(), rule.reason.clone())).collect::<Vec<_>>()
    };
    let same =
        rules(old) == rules(new) && old.rules.pass_when == new.rules.pass_when && old.rules.otherwise == new.rules.otherwise;
    check(same, "rules differ")?;
    check(old.keep == new.keep, "`keep` differs")
}

fn same_execute(old: &Execute, new: &Execute) -> Result<(), &'static str> {
    check(old.clause == new.clause, "clause differs")?;
    check(same_call(&old.call, &new.call), "call differs")?;
    check(old.keep == new.keep, "`keep` differs")
}

fn same_wait(old: &Wait, new: &Wait) -> Result<(), &'static str> {
    check(old.clause == new.clause, "clause differs")?;
    check(old.callback == new.callback, "callback differs")?;
    check(old.keep == new.keep, "`keep` differs")
}

fn check(same: bool, what: &'static str) -> Result<(), &'static str> {
    if same { Ok(()) } else { Err(what) }
}

fn same_option(old: Option<&Call>, new: Option<&Call>) -> bool {
    match (old, new) {
        (Some(old), Some(new)) => same_call(old, new),
        (None, None) => true,
        _ => false,
    }
}

/// The same request to the same system; the answer's schema, the statuses and the deadline are how it was read, not what
/// was done.
fn same_call(old: &Call, new: &Call) -> bool {
    old.connector == new.connector
        && old.method == new.method
        && old.path == new.path
        && old.headers == new.headers
        && old.body == new.body
}

#[cfg(test)]
#[path = "diff_tests.rs"]
mod tests;
