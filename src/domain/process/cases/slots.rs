//! Which slots of a process can be called, and which can conclude something.

use crate::domain::process::model::{Process, StepKind};
use crate::domain::request::slot;

/// The slots that make calls.
pub(super) fn called(process: &Process) -> Vec<String> {
    let mut slots = Vec::new();
    for step in &process.steps {
        match &step.kind {
            StepKind::Verify(verify) if verify.call.is_some() => slots.push(step.name.clone()),
            StepKind::Execute(execute) => {
                slots.push(step.name.clone());
                if execute.reconcile.is_some() {
                    slots.push(slot::reconcile(&step.name));
                }
                let Some(undo) = &execute.undo else { continue };
                let name = slot::undo(&step.name);
                if undo.reconcile.is_some() {
                    slots.push(slot::reconcile(&name));
                }
                slots.push(name);
            }
            _ => {}
        }
    }
    if process.done_when.call.is_some() {
        slots.push(slot::DONE_WHEN.to_owned());
    }
    slots
}

/// The slots that conclude something.
pub(super) fn concluding(process: &Process) -> Vec<String> {
    let concludes = |kind: &StepKind| match kind {
        StepKind::Verify(_) | StepKind::Wait(_) => true,
        StepKind::Execute(execute) => !execute.refuse_when.is_empty(),
        StepKind::Review { .. } => false,
    };
    let mut slots: Vec<String> =
        process.steps.iter().filter(|step| concludes(&step.kind)).map(|step| step.name.clone()).collect();
    slots.push(slot::DONE_WHEN.to_owned());
    if process.limit.is_some() {
        slots.push(slot::LIMIT.to_owned());
    }
    slots
}
