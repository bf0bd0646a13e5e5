//! What a signal means for a request: the facts that its owner writes, and what the sender is told. Pure; the owner
//! is the only one who calls it, so whatever raced has met its order here.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use super::amend;
use super::fact::{Decided, Ending, Fact, ReviewOpened};
use super::signal::{Decision, Signal};
use super::slot;
use super::state::{MAX_CALLBACKS, Phase, State};
use crate::domain::process::SchemaFault;
use crate::domain::process::model::{Process, ReviewSpec, StepKind};
use crate::domain::time::Time;
use crate::domain::words::Choice;

/// What a sender is told when everything went well.
pub const APPLIED: &str = "applied";
/// How long a customer who was asked has, where the review's own time is shorter.
const CUSTOMER_TIME: Duration = Duration::from_hours(72);

/// A signal's consequences.
#[derive(Debug, Clone, PartialEq)]
pub struct Reaction {
    /// To be written, in this order.
    pub facts: Vec<Fact>,
    /// [`APPLIED`], or why not.
    pub answer: String,
}

fn applied(facts: Vec<Fact>) -> Reaction {
    Reaction { facts, answer: APPLIED.to_owned() }
}

fn told(answer: impl Into<String>) -> Reaction {
    Reaction { facts: Vec::new(), answer: answer.into() }
}

/// Decides what a signal means. `id` is used where a review opens; `moved` is the digest of the version that a `Resume`
/// names, or why the request cannot move there; `aside`, the group that the request was set aside under without an entry.
#[must_use]
pub fn react(
    process: &Process,
    state: &State,
    signal: &Signal,
    now: Time,
    id: Uuid,
    moved: Option<&Result<String, String>>,
    aside: Option<&str>,
) -> Reaction {
    if let Some(ending) = state.ending() {
        return told(format!("the request has already ended: {}", ending.outcome()));
    }
    match signal {
        Signal::Withdraw { by, note } => withdraw(process, state, by, note.clone()),
        Signal::Callback { name, body } => callback(process, state, name, body),
        Signal::Supplement { fields, by } => supplement(process, state, fields, by),
        Signal::Decide(decision) => decide(process, state, decision, now),
        Signal::Resume { by, group, to_version } => resume(state, by, group, *to_version, moved, aside),
        Signal::RetryNow { by } => match &state.phase {
            Phase::Parked { group, .. } => applied(vec![Fact::Resumed { by: by.clone(), group: group.clone() }]),
            Phase::Open => applied(vec![Fact::Resumed { by: by.clone(), group: "retry".into() }]),
            _ => told("nothing is waiting to be tried again"),
        },
        Signal::MoveToReview { by, note } => {
            if !matches!(state.phase, Phase::Parked { .. } | Phase::Open | Phase::AskedCustomer { .. }) {
                return told("the request is not waiting for anything but a person or its turn");
            }
            let Some(opened) = open_review(process, slot::HANDED_OVER, slot::HANDED_OVER, id, now) else {
                return told("the process has no such review");
            };
            let note = Fact::Noted { by: by.clone(), text: note.clone() };
            applied(vec![note, Fact::ReviewOpened(opened)])
        }
        Signal::Note { by, text } => applied(vec![Fact::Noted { by: by.clone(), text: text.clone() }]),
    }
}

/// The fact that asks a person; `None` where the process does not know the review.
#[must_use]
pub fn open_review(process: &Process, slot: &str, review: &str, id: Uuid, now: Time) -> Option<ReviewOpened> {
    let spec: &ReviewSpec = process.reviews.get(review)?;
    Some(ReviewOpened {
        id,
        review: review.to_owned(),
        slot: slot.to_owned(),
        options: spec.options.clone(),
        due: now.plus(spec.due),
        four_eyes: spec.four_eyes,
    })
}

/// Before the point of no return — the first intent of an effect without undo — a withdrawal wins.
fn withdraw(process: &Process, state: &State, by: &str, note: Option<String>) -> Reaction {
    if state.turned.is_some() {
        return told("the request is already being undone");
    }
    let final_step = state.effects.iter().find(|step| {
        let undoable =
            matches!(process.step(step).map(|step| &step.kind), Some(StepKind::Execute(execute)) if execute.undo.is_some());
        state.touched(step) && !undoable
    });
    if let Some(step) = final_step {
        let why = format!("too late: `{step}` has been started and cannot be undone");
        // Once for each who asks: asking again makes the ledger no longer.
        let fact = Fact::WithdrawalRefused { by: by.to_owned(), why: why.clone() };
        let facts = if state.withdrawal_refused.contains(by) { vec![] } else { vec![fact] };
        return Reaction { facts, answer: why };
    }
    let ending = Ending::Withdrawn { by: by.to_owned(), note };
    let fact = if state.has_effects() { Fact::TurnedBack { ending } } else { Fact::Ended { ending } };
    applied(vec![fact])
}

fn callback(process: &Process, state: &State, name: &str, body: &Value) -> Reaction {
    if !process.callbacks().any(|known| known == name) {
        return told("the process has no such callback");
    }
    if let Err(faults) = check_callback(process, name, body) {
        let faults: Vec<String> = faults.iter().map(|fault| fault.message.clone()).collect();
        return told(format!("the callback's body does not fit its schema: {}", faults.join("; ")));
    }
    if state.callbacks.get(name).is_some_and(|bodies| bodies.len() >= MAX_CALLBACKS) {
        return told(format!("this callback has come {MAX_CALLBACKS} times; no more are kept"));
    }
    applied(vec![Fact::Callback { name: name.to_owned(), body: body.clone() }])
}

/// Does a callback's body fit what the step that waits for it declares? Also asked where it comes in, so that its sender hears
/// at once.
///
/// # Errors
/// What does not fit; free of values.
pub fn check_callback(process: &Process, name: &str, body: &Value) -> Result<(), Vec<SchemaFault>> {
    let declared = process.steps.iter().find_map(|step| match &step.kind {
        StepKind::Wait(wait) if wait.callback == name => wait.answer.as_ref(),
        _ => None,
    });
    declared.map_or(Ok(()), |schema| schema.validate(body))
}

fn supplement(process: &Process, state: &State, fields: &BTreeMap<String, Value>, by: &str) -> Reaction {
    if !matches!(state.phase, Phase::AskedCustomer { .. }) {
        return told("nothing was asked of the customer");
    }
    match amend::check(process, state, fields) {
        Err(why) => told(why),
        Ok(()) => applied(vec![Fact::Supplemented { fields: fields.clone(), by: by.to_owned() }]),
    }
}

fn decide(process: &Process, state: &State, decision: &Decision, now: Time) -> Reaction {
    let Phase::InReview(opened) = &state.phase else {
        return refused(decision, "the request is not in review any more".to_owned());
    };
    if opened.id != decision.review {
        return refused(decision, "another question is open by now".to_owned());
    }
    if let Err(why) = check_decision(process, &opened.options, Some(state), decision) {
        return refused(decision, why);
    }
    let asked = process.reviews.get(&opened.review).map_or(CUSTOMER_TIME, |spec| spec.due.max(CUSTOMER_TIME));
    let facts = vec![Fact::Decided(Decided {
        review: decision.review,
        choice: decision.choice,
        by: decision.by.clone(),
        first_by: decision.first_by.clone(),
        first_note: decision.first_note.clone(),
        reason: decision.reason.clone().filter(|_| decision.choice == Choice::Refuse),
        note: decision.note.clone(),
        fields: if decision.choice == Choice::Amend { decision.fields.clone() } else { BTreeMap::new() },
        until: (decision.choice == Choice::AskCustomer).then(|| now.plus(asked)),
    })];
    applied(facts)
}

/// The ledger says so: whoever sent it may not wait for the answer any more, and with four eyes it was somebody else's decision, too.
fn refused(decision: &Decision, why: String) -> Reaction {
    let makers = decision.first_by.iter().chain([&decision.by]).cloned().collect::<Vec<_>>().join(" and ");
    let text = format!("a decision of {makers} ({}) was not applied: {why}", decision.choice.as_str());
    Reaction { facts: vec![Fact::Noted { by: decision.by.clone(), text }], answer: why }
}

/// Is this a well-formed decision for this question? Also asked before a decision is stored, so that its sender hears at once;
/// an amendment needs the state for it.
///
/// # Errors
/// What is wrong and how to mend it.
pub fn check_decision(process: &Process, options: &[Choice], state: Option<&State>, decision: &Decision) -> Result<(), String> {
    if !options.contains(&decision.choice) {
        let list: Vec<&str> = options.iter().map(|choice| choice.as_str()).collect();
        return Err(format!("`{}` is not an option here; the options are {}", decision.choice.as_str(), list.join(", ")));
    }
    match decision.choice {
        Choice::Refuse => match &decision.reason {
            None => Err("a refusal names a reason: one of the process's `reasons`".to_owned()),
            Some(reason) if !process.reasons.contains_key(reason) => {
                let known: Vec<&str> = process.reasons.keys().map(String::as_str).collect();
                Err(format!("`{reason}` is not a reason of this process; the reasons are {}", known.join(", ")))
            }
            Some(_) => Ok(()),
        },
        Choice::Amend if decision.fields.is_empty() => Err("an amendment names the fields that change".to_owned()),
        Choice::Amend => state.map_or(Ok(()), |state| amend::check(process, state, &decision.fields)),
        Choice::AskCustomer if decision.note.trim().is_empty() => Err("say in the note what the customer is asked".to_owned()),
        _ => Ok(()),
    }
}

fn resume(
    state: &State,
    by: &str,
    group: &str,
    to_version: Option<u32>,
    moved: Option<&Result<String, String>>,
    aside: Option<&str>,
) -> Reaction {
    match &state.phase {
        Phase::Parked { group: parked, .. } if parked == group => {}
        // Set aside before its first step was written, it is still queued.
        Phase::Open | Phase::Queued if aside == Some(group) => {}
        Phase::Parked { group: parked, .. } => return told(format!("the request is parked under {parked} by now")),
        _ => return told("the request is not parked any more"),
    }
    let mut facts = vec![Fact::Resumed { by: by.to_owned(), group: group.to_owned() }];
    if let (Some(version), Some(moved)) = (to_version.filter(|version| *version != state.accepted.version), moved) {
        match moved {
            Err(why) => return told(why.clone()),
            Ok(digest) => facts.insert(0, Fact::Moved { version, digest: digest.clone(), by: by.to_owned() }),
        }
    }
    applied(facts)
}
