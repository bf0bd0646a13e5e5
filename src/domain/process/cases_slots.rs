//! What a process's cases may name: the slots that make calls, the steps that conclude verdicts, the connectors.

use std::collections::BTreeSet;

use super::model::{Call, Process, Reconcile, StepKind};
use crate::domain::request::slot;

/// Names that a test file may use.
#[derive(Debug, Default)]
pub(super) struct Slots {
    /// Slots with a call.
    pub(super) calls: BTreeSet<String>,
    /// Verify and wait steps, and `done_when`.
    pub(super) verdicts: BTreeSet<String>,
    /// Connectors that the process calls.
    pub(super) connectors: BTreeSet<String>,
}

impl Slots {
    fn call(&mut self, name: String, call: &Call) {
        self.calls.insert(name);
        self.connectors.insert(call.connector.clone());
    }

    fn reconcile(&mut self, of: &str, reconcile: Option<&Reconcile>) {
        if let Some(reconcile) = reconcile {
            self.call(slot::reconcile(of), &reconcile.call);
        }
    }
}

pub(super) fn slots(process: &Process) -> Slots {
    let mut slots = Slots::default();
    for step in &process.steps {
        match &step.kind {
            StepKind::Verify(verify) => {
                slots.verdicts.insert(step.name.clone());
                if let Some(call) = &verify.call {
                    slots.call(step.name.clone(), call);
                }
            }
            StepKind::Execute(execute) => {
                slots.call(step.name.clone(), &execute.call);
                slots.reconcile(&step.name, execute.reconcile.as_ref());
                if let Some(undo) = &execute.undo {
                    let name = slot::undo(&step.name);
                    slots.reconcile(&name, undo.reconcile.as_ref());
                    slots.call(name, &undo.call);
                }
            }
            StepKind::Wait(_) => {
                slots.verdicts.insert(step.name.clone());
            }
            StepKind::Review { .. } => {}
        }
    }
    slots.verdicts.insert(slot::DONE_WHEN.to_owned());
    if let Some(call) = &process.done_when.call {
        slots.call(slot::DONE_WHEN.to_owned(), call);
    }
    slots
}
