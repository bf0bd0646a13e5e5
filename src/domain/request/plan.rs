//! What comes next: a pure function of the process, the state and the time. It decides; the engine's driver carries
//! out. Whatever needs no I/O is decided here as facts to write.

use super::fact::{Cause, EffectResult, Ending, Fact, FailureClass, ResultFact, Verdict, VerdictFact, Via};
use super::judge;
use super::scope::{Surroundings, scope};
use super::slot::{self, DONE_WHEN};
use super::state::{Ask, Mark, Phase, Slot, State};
use crate::domain::process::Reads;
use crate::domain::process::model::{Block, Call, DoneWhen, Otherwise, Process, Reconcile, Retry, Step, StepKind};
use crate::domain::time::Time;

/// What comes next.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// Nothing, until then or until a signal; `None`: until a signal only.
    Rest(Option<Time>),
    /// These facts are to be written; no I/O is needed.
    Write(Vec<Fact>),
    /// These verify steps (indices) are to be done, side by side.
    Verify(Vec<usize>),
    /// The effect at this slot is to be intended and called.
    Effect(String),
    /// Whether the effect at this slot happened is to be read.
    Reconcile(String),
    /// The outcome is to be verified.
    Confirm,
    /// A person is to be asked.
    Ask(Ask),
    /// Our mistake: the request is to be parked under a defect.
    Defect {
        /// Where.
        slot: String,
        /// What.
        cause: Cause,
    },
}

/// An effect: a step's, or its undo's.
#[derive(Debug, Clone, Copy)]
pub struct Effect<'a> {
    /// The call.
    pub call: &'a Call,
    /// Its budget.
    pub retry: &'a Retry,
    /// The process says that the target recognises our key.
    pub idempotent: bool,
    /// The read that tells whether it happened.
    pub reconcile: Option<&'a Reconcile>,
}

/// The effect at a slot; `None` where the process has none there.
#[must_use]
pub fn effect<'a>(process: &'a Process, slot_name: &str) -> Option<Effect<'a>> {
    let step = process.step(slot::step_of(slot_name))?;
    let StepKind::Execute(execute) = &step.kind else { return None };
    if slot::is_forward(slot_name) {
        let (call, retry, idempotent) = (&execute.call, &execute.retry, execute.idempotent);
        return Some(Effect { call, retry, idempotent, reconcile: execute.reconcile.as_ref() });
    }
    let undo = execute.undo.as_deref()?;
    Some(Effect { call: &undo.call, retry: &undo.retry, idempotent: undo.idempotent, reconcile: undo.reconcile.as_ref() })
}

/// Decides what comes next.
#[must_use]
pub fn plan(process: &Process, state: &State, around: &Surroundings<'_>) -> Next {
    Planner { process, state, around }.next()
}

struct Planner<'a> {
    process: &'a Process,
    state: &'a State,
    around: &'a Surroundings<'a>,
}

/// `Err` carries the answer out of the middle of the walk.
type Walk<T> = Result<T, Next>;

impl Planner<'_> {
    fn next(&self) -> Next {
        let expires = self.state.accepted.expires_at;
        match &self.state.phase {
            Phase::Ended(_) => return Next::Rest(None),
            Phase::Queued if self.around.over_limit => return self.over_limit(),
            Phase::Queued if self.around.turn && self.around.now < expires => return Next::Write(vec![Fact::Started]),
            _ => {}
        }
        let expiring = self.state.turned.is_none() && !self.state.overdue_asked;
        if expiring && self.around.now >= expires {
            if !self.state.has_effects() {
                return Next::Write(vec![Fact::Ended { ending: Ending::Expired }]);
            }
            if !matches!(self.state.phase, Phase::InReview(_)) {
                return Next::Ask(Ask { slot: slot::OVERDUE.into(), review: slot::OVERDUE.into() });
            }
        }
        let until = expiring.then_some(expires).filter(|at| *at > self.around.now);
        match &self.state.phase {
            Phase::Queued | Phase::Parked { .. } | Phase::InReview(_) | Phase::Ended(_) => Next::Rest(until),
            Phase::AskedCustomer { review, slot, until: asked } => {
                if self.around.now >= *asked {
                    return Next::Ask(Ask { slot: slot.clone(), review: review.clone() });
                }
                Next::Rest(Some(until.map_or(*asked, |at| at.min(*asked))))
            }
            Phase::Open => {
                // Also where the walk ended early: a step that waits longer than the request has time.
                let next = self.open().unwrap_or_else(|next| next);
                match (next, until) {
                    (Next::Rest(Some(at)), Some(expires)) => Next::Rest(Some(at.min(expires))),
                    (Next::Rest(None), until) => Next::Rest(until),
                    (other, _) => other,
                }
            }
        }
    }

    fn over_limit(&self) -> Next {
        if let Some(refusal) = &self.state.refusal {
            return Next::Write(vec![Fact::Ended { ending: Ending::Refused(refusal.clone()) }]);
        }
        let Some(limit) = &self.process.limit else { return Next::Write(vec![Fact::Started]) };
        Next::Write(vec![Fact::Verdict(VerdictFact {
            slot: slot::LIMIT.into(),
            clause: Some(limit.clause.clone()),
            verdict: Verdict::Refuse(limit.refuse.clone()),
            status: None,
            evidence_sha256: None,
            kept: serde_json::Value::Null,
            rule: Some(format!("at most {} within {}", limit.max, crate::domain::time::show_duration(limit.within))),
        })])
    }

    fn open(&self) -> Walk<Next> {
        if let Some(ending) = &self.state.turned {
            return Ok(self.back(ending));
        }
        if let Some(refusal) = &self.state.refusal {
            let ending = Ending::Refused(refusal.clone());
            let fact = if self.state.has_effects() { Fact::TurnedBack { ending } } else { Fact::Ended { ending } };
            return Ok(Next::Write(vec![fact]));
        }
        if let Some(ask) = &self.state.ask {
            return Ok(Next::Ask(ask.clone()));
        }
        for block in &self.process.blocks {
            self.block(block)?;
        }
        Ok(self.confirm(&self.process.done_when))
    }

    /// `Ok` once every step of the block is through.
    fn block(&self, block: &Block) -> Walk<()> {
        let mut ready = Vec::new();
        let mut soonest: Option<Time> = None;
        for index in block.range() {
            let Some(step) = self.process.steps.get(index) else { continue };
            let at = self.state.slot(&step.name);
            if matches!(at.mark, Mark::Passed { .. } | Mark::Skipped | Mark::Applied) {
                continue;
            }
            if matches!(at.mark, Mark::Open) && !self.wanted(step)? {
                return Err(Next::Write(vec![Fact::Skipped { step: step.name.clone() }]));
            }
            match &step.kind {
                StepKind::Verify(_) => match self.later(at) {
                    None => ready.push(index),
                    Some(due) => soonest = Some(soonest.map_or(due, |at| at.min(due))),
                },
                StepKind::Execute(_) => {
                    let next = self.effect(&step.name, at, true);
                    // An unknown is cleared up first: what a check sees now may be the effect's own doing.
                    if matches!(next, Next::Effect(_)) && matches!(at.mark, Mark::Open) {
                        self.fresh(index)?;
                    }
                    return Err(next);
                }
                StepKind::Wait(_) => return Err(self.wait(step, at)),
                StepKind::Review { review } => {
                    return Err(Next::Ask(Ask { slot: step.name.clone(), review: review.clone() }));
                }
            }
        }
        if !ready.is_empty() {
            return Err(Next::Verify(ready));
        }
        soonest.map_or(Ok(()), |at| Err(Next::Rest(Some(at))))
    }

    /// Is the step's `when` true, or absent?
    fn wanted(&self, step: &Step) -> Walk<bool> {
        let Some(when) = &step.when else { return Ok(true) };
        when.test(&scope(self.state, self.around, 1, Reads::ALL))
            .map_err(|error| defect(&step.name, "expression", &error.to_string()))
    }

    /// Before an effect: verdicts that are older than their `valid_for` are formed again.
    fn fresh(&self, before: usize) -> Walk<()> {
        let stale: Vec<usize> = (0..before)
            .filter(|index| {
                let Some(step) = self.process.steps.get(*index) else { return false };
                let StepKind::Verify(verify) = &step.kind else { return false };
                match (verify.valid_for, self.state.mark(&step.name)) {
                    (Some(valid), Mark::Passed { at, by_person: false }) => self.around.now.since(*at) > valid,
                    _ => false,
                }
            })
            .collect();
        if stale.is_empty() {
            return Ok(());
        }
        let due = |index: &usize| self.process.steps.get(*index).and_then(|step| self.later(self.state.slot(&step.name)));
        let ready: Vec<usize> = stale.iter().copied().filter(|index| due(index).is_none()).collect();
        if ready.is_empty() { Err(Next::Rest(stale.iter().filter_map(due).min())) } else { Err(Next::Verify(ready)) }
    }

    /// An effect that is not applied yet. `again` is false where it must not be asked for any more (undoing).
    fn effect(&self, name: &str, at: &Slot, again: bool) -> Next {
        let Some(effect) = effect(self.process, name) else {
            return Next::Ask(Ask { slot: name.to_owned(), review: slot::UNDO_FAILED.into() });
        };
        match at.mark {
            // The worker that intended it is gone: it was this one's memory otherwise.
            Mark::Intended { .. } => Next::Write(vec![Fact::Result(ResultFact {
                slot: name.to_owned(),
                generation: at.generation,
                result: EffectResult::Unknown,
                via: Via::Takeover,
                status: None,
                evidence_sha256: None,
                kept: serde_json::Value::Null,
                cause: None,
                retry_at: None,
            })]),
            Mark::Unknown { .. } => self.unknown(name, at, effect, again),
            _ => self.later(at).map_or_else(|| Next::Effect(name.to_owned()), |due| Next::Rest(Some(due))),
        }
    }

    /// The ways out of an unknown: the same key again, the reconciling read, a person. Never a plain retry.
    fn unknown(&self, name: &str, at: &Slot, effect: Effect<'_>, again: bool) -> Next {
        if let Some(due) = self.later(at) {
            return Next::Rest(Some(due));
        }
        let window = effect.idempotent.then(|| (self.around.key_window)(&effect.call.connector)).flatten();
        // The key must still be known when the call arrives at the latest.
        let takes = effect.call.timeout.unwrap_or_default();
        let in_window =
            window.is_some_and(|window| at.first_intent.is_none_or(|first| self.around.now.since(first) + takes < window));
        if again && in_window && at.attempts < effect.retry.attempts {
            return Next::Effect(name.to_owned());
        }
        if effect.reconcile.is_some() {
            let read = self.state.slot(&slot::reconcile(name));
            return self.later(read).map_or_else(|| Next::Reconcile(name.to_owned()), |due| Next::Rest(Some(due)));
        }
        match at.mark {
            // Whoever looks before the call has given up may miss what a frozen worker is still about to do.
            Mark::Unknown { deadline } if deadline > self.around.now => Next::Rest(Some(deadline)),
            _ => Next::Ask(Ask { slot: name.to_owned(), review: slot::UNKNOWN_EFFECT.into() }),
        }
    }

    fn wait(&self, step: &Step, at: &Slot) -> Next {
        let StepKind::Wait(wait) = &step.kind else { return Next::Rest(None) };
        let Mark::Awaiting { until } = at.mark else {
            let until = self.around.now.plus(wait.within);
            return Next::Write(vec![Fact::Waiting { step: step.name.clone(), until }]);
        };
        let body = self.state.callbacks.get(&wait.callback).and_then(|bodies| bodies.get(at.looked_at));
        if let Some(body) = body {
            let scope = scope(self.state, self.around, 1, Reads::ALL);
            return match judge::callback(&step.name, wait, body, scope) {
                Ok(fact) => Next::Write(vec![fact]),
                Err(cause) => Next::Defect { slot: step.name.clone(), cause },
            };
        }
        if self.around.now < until {
            return Next::Rest(Some(until));
        }
        otherwise(&step.name, wait.clause.as_ref(), &wait.otherwise, "no callback in time")
    }

    fn confirm(&self, done: &DoneWhen) -> Next {
        let at = self.state.slot(DONE_WHEN);
        if matches!(at.mark, Mark::Passed { .. }) {
            return Next::Write(vec![Fact::Ended { ending: Ending::Done }]);
        }
        if let Some(due) = self.later(at) {
            return Next::Rest(Some(due));
        }
        if at.first_try.is_some_and(|first| self.around.now >= first.plus(done.within)) {
            return otherwise(DONE_WHEN, None, &done.otherwise, "the outcome did not show in time");
        }
        Next::Confirm
    }

    /// The way back: effects are undone from the last to the first; an unknown is cleared up before.
    fn back(&self, ending: &Ending) -> Next {
        if let Some(ask) = &self.state.ask {
            return Next::Ask(ask.clone());
        }
        for step in self.state.effects.iter().rev() {
            if !self.state.touched(step) || self.state.undone(step) {
                continue;
            }
            let at = self.state.slot(step);
            if !matches!(at.mark, Mark::Applied) {
                return self.effect(step, at, false);
            }
            let undo = slot::undo(step);
            return self.effect(&undo, self.state.slot(&undo), true);
        }
        Next::Write(vec![Fact::Ended { ending: ending.clone() }])
    }

    /// When the slot's next attempt is due, where that is later than now.
    fn later(&self, at: &Slot) -> Option<Time> {
        at.next_try.filter(|due| *due > self.around.now)
    }
}

fn defect(slot: &str, code: &str, detail: &str) -> Next {
    let cause =
        Cause { class: FailureClass::Broken, code: code.to_owned(), connector: None, status: None, detail: detail.to_owned() };
    Next::Defect { slot: slot.to_owned(), cause }
}

fn otherwise(name: &str, clause: Option<&crate::domain::words::Clause>, then: &Otherwise, why: &str) -> Next {
    let verdict = match then {
        Otherwise::Refuse(reason) => Verdict::Refuse(reason.clone()),
        Otherwise::Review(review) => Verdict::Review(review.clone()),
        Otherwise::Defect => return defect(name, "undecided", why),
    };
    Next::Write(vec![Fact::Verdict(VerdictFact {
        slot: name.to_owned(),
        clause: clause.cloned(),
        verdict,
        status: None,
        evidence_sha256: None,
        kept: serde_json::Value::Null,
        rule: Some(why.to_owned()),
    })])
}
