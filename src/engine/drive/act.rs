//! The acting half of a drive: calls, and what their answers become.

use std::time::Duration;

use futures_util::future::join_all;

use super::write::Guarded;
use super::{Drive, DriveError};
use crate::domain::expr::Scope;
use crate::domain::process::Reads;
use crate::domain::process::model::{Call, Execute, Retry, StepKind};
use crate::domain::request::fact::{Cause, EffectResult, Fact, Failed, FailureClass, ResultFact, Verdict, VerdictFact, Via};
use crate::domain::request::judge::{self, Seen};
use crate::domain::request::plan;
use crate::domain::request::scope::scope;
use crate::domain::request::slot::{self, DONE_WHEN};
use crate::domain::request::state::Mark;
use crate::domain::time::Time;
use crate::domain::triage::{Road, Tried, backoff};
use crate::engine::breaker::dependency_group;
use crate::engine::calls::{CallFailure, render};
use crate::faults::bug;

/// After so many times that a request was parked under a dependency that answers others, it has a defect of its own.
const MAX_PARKS: u32 = 2;
/// The pauses between two looks for the outcome.
const CONFIRM: Retry = Retry {
    first: Duration::from_millis(200),
    factor_percent: 200,
    max: Duration::from_secs(5),
    attempts: u32::MAX,
    within: Duration::from_hours(24),
};

/// How long a call may take. A clock that is set back between the intent and the call makes it no longer than was intended:
/// a call has its timeout at most, whatever the clock says.
fn time_left(deadline: Time, now: Time, timeout: Duration) -> Duration {
    deadline.since(now).min(timeout)
}

/// What two of the known bugs write.
fn pass_without_evidence(slot: &str) -> Fact {
    Fact::Verdict(VerdictFact {
        slot: slot.to_owned(),
        clause: None,
        verdict: Verdict::Pass,
        status: None,
        evidence_sha256: None,
        kept: serde_json::Value::Null,
        rule: None,
    })
}

impl Drive {
    fn scope_at(&self, slot: &str) -> Scope {
        let key_window = |_: &str| None;
        let reads = match self.process.step(slot) {
            Some(step) => Reads::of_step(step),
            None if slot == DONE_WHEN => Reads::of_outcome(&self.process.done_when),
            None => Reads::ALL,
        };
        let attempt = self.state.slots.get(slot).map_or(0, |slot| slot.attempts) + 1;
        scope(&self.state, &self.surroundings(&key_window), attempt, reads)
    }

    /// Renders and makes a read, with the request's trace context.
    async fn call(&self, slot: &str, call: &Call, scope: &Scope) -> Result<Seen, CallFailure> {
        let mut rendered = render(slot, call, scope, None, false)?;
        rendered.traceparent.clone_from(&self.traceparent);
        self.core.caller.call(call, &rendered).await
    }

    /// Verify steps side by side; what they conclude is taken in file order.
    pub(super) async fn verify(&mut self, steps: &[usize]) -> Result<(), DriveError> {
        let results = join_all(steps.iter().map(|index| self.verify_one(*index))).await;
        // A breaker that is tried again lets one call through at a time. Where that one was of this block, the others have not
        // failed: they are planned again, and its answer decides about them, too.
        let shut = |failure: &CallFailure| failure.cause.code == "breaker_open";
        let went = steps
            .iter()
            .zip(&results)
            .filter(|(_, result)| !matches!(result, Err(failure) if shut(failure)))
            .filter_map(|(index, _)| self.connector(*index));
        let went: Vec<String> = went.map(str::to_owned).collect();
        let mut stop: Option<(String, Cause, Road)> = None;
        for (index, result) in steps.iter().zip(results) {
            let Some(step) = self.process.steps.get(*index) else { continue };
            let name = step.name.clone();
            let StepKind::Verify(verify) = &step.kind else { continue };
            self.checkpoint |= verify.checkpoint;
            match result {
                Ok(fact) => self.push(fact)?,
                Err(failure) if shut(&failure) && failure.cause.connector.as_ref().is_some_and(|name| went.contains(name)) => {}
                Err(failure) => {
                    let retry = verify.retry.clone();
                    let road = self.failed(&name, &failure, &retry)?;
                    if !matches!(road, Road::Retry { .. } | Road::Unknown { .. }) && stop.is_none() {
                        stop = Some((name, failure.cause, road));
                    }
                }
            }
        }
        // A no, or a question, needs no other step's answer.
        if self.state.refusal.is_some() || self.state.ask.is_some() {
            return Ok(());
        }
        match stop {
            Some((name, cause, road)) => self.park(&name, cause, &road).await,
            None => Ok(()),
        }
    }

    /// The connector that a verify step calls.
    fn connector(&self, index: usize) -> Option<&str> {
        match &self.process.steps.get(index)?.kind {
            StepKind::Verify(verify) => verify.call.as_ref().map(|call| call.connector.as_str()),
            _ => None,
        }
    }

    async fn verify_one(&self, index: usize) -> Result<Fact, CallFailure> {
        let missing = || Cause {
            class: FailureClass::Broken,
            code: "no_step".to_owned(),
            connector: None,
            status: None,
            detail: "the process has no such verify step".to_owned(),
        };
        let step = self.process.steps.get(index).ok_or_else(missing)?;
        let StepKind::Verify(verify) = &step.kind else { return Err(missing().into()) };
        let scope = self.scope_at(&step.name);
        let seen = match &verify.call {
            Some(call) => match self.call(&step.name, call, &scope).await {
                Err(failure) if failure.cause.class == FailureClass::Broken && bug("broken_answer_passes") => {
                    return Ok(pass_without_evidence(&step.name));
                }
                seen => Some(seen?),
            },
            None => None,
        };
        Ok(judge::verify(&step.name, verify, seen.as_ref(), scope)?)
    }

    /// Records a failed attempt that certainly had no effect, and says where it goes.
    fn failed(&mut self, slot: &str, failure: &CallFailure, retry: &Retry) -> Result<Road, DriveError> {
        let at = self.state.slot(slot);
        let attempt = at.attempts + 1;
        let now = self.core.clock.now();
        let tried = Tried { effect: false, attempt, first_try: at.first_try.unwrap_or(now), retry };
        let road = failure.road(tried, self.core.clock.as_ref());
        let (attempt, retry_at) = match &road {
            Road::Retry { at, counted } => (if *counted { attempt } else { attempt - 1 }, Some(*at)),
            Road::Unknown { at } => (attempt, Some(*at)),
            Road::ParkDependency if failure.cause.class == FailureClass::Unavailable => (attempt - 1, None),
            Road::ParkDependency | Road::ParkDefect => (attempt, None),
        };
        let cause = failure.cause.clone();
        self.push(Fact::Failed(Failed { slot: slot.to_owned(), attempt, cause, retry_at }))?;
        Ok(road)
    }

    /// The dependency answers others, and this request came to nothing there time and again: that is a defect, and must not
    /// hold up those who wait for the dependency.
    fn is_its_own_fault(&self, slot: &str, cause: &Cause, connector: &str) -> bool {
        let answers = self.core.caller.breakers.peek(connector, self.core.clock.now()).is_ok();
        answers && cause.class != FailureClass::Unavailable && self.state.slot(slot).parks >= MAX_PARKS
    }

    async fn park(&mut self, slot: &str, cause: Cause, road: &Road) -> Result<(), DriveError> {
        match (road, &cause.connector) {
            (Road::ParkDependency, Some(connector)) if !self.is_its_own_fault(slot, &cause, connector) => {
                let group = dependency_group(connector);
                self.push(Fact::Parked { group, slot: slot.to_owned(), cause })
            }
            _ => self.park_defect(slot, cause).await,
        }
    }

    /// Intends an effect, calls it, and takes in what came of it.
    pub(super) async fn effect(&mut self, name: &str) -> Result<(), DriveError> {
        let process = self.process.clone();
        let Some(effect) = plan::effect(&process, name) else { return self.ask(name, slot::UNDO_FAILED).await };
        let now = self.core.clock.now();
        if let Err(failure) = self.core.caller.breakers.peek(&effect.call.connector, now) {
            let cause = CallFailure::from(Cause {
                class: failure.class,
                code: failure.code.to_owned(),
                connector: Some(effect.call.connector.clone()),
                status: None,
                detail: failure.detail,
            });
            let unknown = matches!(self.state.mark(name), Mark::Unknown { .. });
            if !unknown {
                let road = self.failed(name, &cause, effect.retry)?;
                return self.park(name, cause.cause, &road).await;
            }
            return self.park(name, cause.cause, &Road::ParkDependency).await;
        }
        if !self.core.heart.fresh(self.core.clock.steady()) {
            // It may take long: what the plan rested on is looked at again.
            self.checkpoint().await?;
            return self.core.may_start_effects().await;
        }
        let (generation, attempts) = (self.state.slot(name).generation, self.state.slot(name).attempts);
        let scope = self.scope_at(name);
        let window = self.core.caller.remote.key_window(&effect.call.connector);
        let of_attempt = if bug("key_changes") { attempts } else { 0 };
        let key = window.map(|_| format!("{}:{name}:{}", self.state.id, generation + of_attempt));
        let rendered = match render(name, effect.call, &scope, key, true) {
            Ok(rendered) => rendered,
            Err(cause) => return self.park_defect(name, cause).await,
        };
        let timeout = effect.call.timeout.unwrap_or_else(|| self.core.caller.remote.timeout(&effect.call.connector));
        let attempt = attempts + 1;
        let deadline = now.plus(timeout);
        let intent = Fact::Intent { slot: name.to_owned(), generation, attempt, deadline };
        if bug("skipped_intent") {
            self.push(intent)?;
        } else if self.guarded(intent).await? == Guarded::Overtaken {
            return Ok(());
        }
        // The commit may have taken long (an outage, a frozen process), and the lease with it. Whoever takes over believes in
        // the deadline: the call ends by then, or does not begin.
        let (left, until) = if bug("late_call") {
            (timeout, None)
        } else {
            self.core.may_start_effects().await?;
            let steady = self.core.clock.steady();
            let left = time_left(deadline, self.core.clock.now(), timeout);
            (left, Some(steady + left))
        };
        let result = if left.is_zero() {
            Err(CallFailure::from(Cause {
                class: FailureClass::Transient,
                code: "late".to_owned(),
                connector: Some(effect.call.connector.clone()),
                status: None,
                detail: "the call's time was over before it began".to_owned(),
            }))
        } else {
            let traceparent = self.traceparent.clone();
            let rendered = crate::engine::ports::remote::RemoteCall { traceparent, timeout: Some(left), until, ..rendered };
            self.core.caller.call(effect.call, &rendered).await
        };
        let execute = match process.step(slot::step_of(name)).map(|step| &step.kind) {
            Some(StepKind::Execute(execute)) if slot::is_forward(name) => Some(execute),
            _ => None,
        };
        self.take_effect(name, generation, attempt, execute, &effect, scope, result).await
    }

    #[expect(clippy::too_many_arguments, reason = "one place that needs everything about one attempt")]
    async fn take_effect(
        &mut self,
        name: &str,
        generation: u32,
        attempt: u32,
        execute: Option<&Execute>,
        effect: &plan::Effect<'_>,
        scope: Scope,
        result: Result<Seen, CallFailure>,
    ) -> Result<(), DriveError> {
        let judged = match result {
            Ok(seen) => judge::effect(name, generation, execute, effect.call, &seen, scope).map_err(|cause| {
                // The target took the call: whether it did what it was asked to is not known.
                CallFailure::from(Cause { class: FailureClass::Unknown, ..cause })
            }),
            Err(failure) if failure.cause.class == FailureClass::Broken && failure.cause.status.is_some_and(|s| s < 300) => {
                Err(CallFailure { cause: Cause { class: FailureClass::Unknown, ..failure.cause }, ..failure })
            }
            Err(failure) => Err(failure),
        };
        let mut failure = match judged {
            Ok(facts) => {
                for fact in facts {
                    self.push(fact)?;
                }
                return Ok(());
            }
            Err(failure) => failure,
        };
        if bug("timeout_is_failure") && failure.cause.class == FailureClass::Unknown {
            failure.cause.class = FailureClass::Transient;
        }
        let first_try = self.state.slot(name).first_try.unwrap_or_else(|| self.core.clock.now());
        let tried = Tried { effect: true, attempt, first_try, retry: effect.retry };
        if let Road::Unknown { at } = failure.road(tried, self.core.clock.as_ref()) {
            return self.push(Fact::Result(ResultFact {
                slot: name.to_owned(),
                generation,
                result: EffectResult::Unknown,
                via: Via::NoAnswer,
                status: failure.cause.status,
                evidence_sha256: None,
                kept: serde_json::Value::Null,
                cause: Some(failure.cause),
                retry_at: Some(at),
            }));
        }
        let road = self.failed(name, &failure, effect.retry)?;
        if matches!(road, Road::Retry { .. }) {
            return Ok(());
        }
        self.park(name, failure.cause, &road).await
    }

    /// Reads whether an unknown effect happened. A "did not" counts only once the call's deadline and the settle time are over.
    pub(super) async fn reconcile(&mut self, name: &str) -> Result<(), DriveError> {
        let process = self.process.clone();
        let Some(effect) = plan::effect(&process, name) else { return self.ask(name, slot::UNDO_FAILED).await };
        let Some(reconcile) = effect.reconcile else { return self.ask(name, slot::UNKNOWN_EFFECT).await };
        let read = slot::reconcile(name);
        let scope = self.scope_at(&read);
        let seen = self.call(&read, &reconcile.call, &scope).await;
        let happened = match seen.map(|seen| judge::happened(reconcile, &seen, scope).map(|yes| (yes, seen))) {
            Ok(Ok(happened)) => happened,
            Ok(Err(cause)) => return self.reconcile_failed(&read, cause.into()).await,
            Err(failure) => return self.reconcile_failed(&read, failure).await,
        };
        let (yes, seen) = happened;
        let now = self.core.clock.now();
        let at = self.state.slot(name);
        let (generation, attempts) = (at.generation, at.attempts);
        let believed = match at.mark {
            Mark::Unknown { deadline } if !bug("settle_ignored") => deadline.plus(reconcile.settle),
            _ => now,
        };
        let (result, retry_at) = match (yes, now >= believed) {
            (true, _) => (EffectResult::Applied, None),
            (false, true) => {
                (EffectResult::NotApplied, Some(now.plus(backoff(effect.retry, attempts, self.core.clock.jitter()))))
            }
            (false, false) => (EffectResult::Unknown, Some(believed)),
        };
        self.push(Fact::Result(ResultFact {
            slot: name.to_owned(),
            generation,
            result,
            via: Via::Reconcile,
            status: Some(seen.status),
            evidence_sha256: Some(seen.sha256),
            kept: serde_json::Value::Null,
            cause: None,
            retry_at,
        }))?;
        // On the way back an effect that did not happen is not wanted any more; an undo still is.
        let wanted = self.state.turned.is_none() || !slot::is_forward(name);
        if result == EffectResult::NotApplied && wanted && attempts >= effect.retry.attempts {
            let cause = Cause {
                class: FailureClass::Transient,
                code: "exhausted".to_owned(),
                connector: Some(effect.call.connector.clone()),
                status: None,
                detail: "every attempt came to nothing".to_owned(),
            };
            return self.park(name, cause, &Road::ParkDependency).await;
        }
        Ok(())
    }

    async fn reconcile_failed(&mut self, read: &str, failure: CallFailure) -> Result<(), DriveError> {
        let road = self.failed(read, &failure, &Retry::default())?;
        match road {
            Road::Retry { .. } | Road::Unknown { .. } => Ok(()),
            road => self.park(read, failure.cause, &road).await,
        }
    }

    /// Looks whether the outcome is there.
    pub(super) async fn confirm(&mut self) -> Result<(), DriveError> {
        if bug("outcome_unverified") {
            return self.push(pass_without_evidence(DONE_WHEN));
        }
        let process = self.process.clone();
        let done = &process.done_when;
        let scope = self.scope_at(DONE_WHEN);
        let seen = match &done.call {
            Some(call) => self.call(DONE_WHEN, call, &scope).await.map(Some),
            None => Ok(None),
        };
        let judged = seen.and_then(|seen| judge::done(done, seen.as_ref(), scope).map_err(CallFailure::from));
        match judged {
            Ok(Some(fact)) => self.push(fact),
            Ok(None) => {
                let at = self.state.slot(DONE_WHEN);
                let now = self.core.clock.now();
                let first = at.first_try.unwrap_or(now);
                // The longer it has taken, the longer it may take: a look is an entry in the ledger.
                let attempt = at.attempts + 1;
                let pause = backoff(&CONFIRM, attempt, self.core.clock.jitter()).max(now.since(first) / 20);
                let end = first.plus(done.within).max(now);
                let cause = Cause {
                    class: FailureClass::Transient,
                    code: "not_yet".to_owned(),
                    connector: done.call.as_ref().map(|call| call.connector.clone()),
                    status: None,
                    detail: "the outcome does not show yet".to_owned(),
                };
                let retry_at = Some(now.plus(pause).min(end));
                self.push(Fact::Failed(Failed { slot: DONE_WHEN.to_owned(), attempt, cause, retry_at }))
            }
            Err(failure) => match self.failed(DONE_WHEN, &failure, &CONFIRM)? {
                Road::Retry { .. } | Road::Unknown { .. } => Ok(()),
                road => self.park(DONE_WHEN, failure.cause, &road).await,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_never_gets_more_than_its_timeout() {
        let (timeout, second) = (Duration::from_secs(10), Duration::from_secs(1));
        let intended = Time(0).plus(Duration::from_hours(9));
        let deadline = intended.plus(timeout);
        assert_eq!(time_left(deadline, intended.plus(second), timeout), Duration::from_secs(9));
        assert_eq!(time_left(deadline, deadline, timeout), Duration::ZERO);
        assert_eq!(time_left(deadline, Time(0), timeout), timeout, "the clock was set back");
    }
}
