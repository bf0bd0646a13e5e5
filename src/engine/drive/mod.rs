//! Carries one request as far as it goes: plan, act, write, until it rests or ends.
//!
//! What is hard here is what must be durable when. Verdicts may wait in memory until the next effect, question, rest
//! or end, since repeating a check is harmless. An intent must be in the ledger before its call, in one commit with
//! the verdicts it rests on, and only while no signal waits that could forbid it. A result may wait for the next
//! write, since a crash in between leaves an intent without result, which is an unknown and is cleared up.

mod act;
mod write;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use uuid::Uuid;

use super::core::Core;
use super::intake::Fresh;
use super::ports::records::DefectRow;
use super::ports::store::{Consumed, Loaded, ReviewChange, StoreError};
use crate::domain::process::{model::Process, same_done_part};
use crate::domain::request::chain::{self, ChainError};
use crate::domain::request::fact::{Cause, EffectResult, Fact, FailureClass, ResultFact, Via};
use crate::domain::request::plan::{Next, plan};
use crate::domain::request::react::{APPLIED, react};
use crate::domain::request::scope::Surroundings;
use crate::domain::request::signal::Signal;
use crate::domain::request::slot;
use crate::domain::request::state::{Illegal, Mark, Phase, State};
use crate::domain::time::Time;
use crate::faults::bug;

/// A rest that is shorter than this is waited out in memory.
const SHORT_REST: Duration = Duration::from_secs(2);
/// A request that makes this many turns without resting has lost its way.
const MAX_TURNS: u32 = 10_000;

/// Why a drive stopped before its request came to rest.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// The request is not ours any more, or the whole worker was declared dead.
    #[error("the request belongs to another worker")]
    Lost,
    /// The whole worker was declared dead.
    #[error("this worker was declared dead")]
    Fenced,
    /// The worker stops; the request is released or found by others.
    #[error("the worker stops: {0}")]
    Stopped(String),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The ledger is damaged.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The ledger or the planner contradicts the state machine.
    #[error(transparent)]
    Illegal(#[from] Illegal),
    /// The process's version is not known to this worker.
    #[error("{process} version {version} is not known to this worker")]
    NoProcess {
        /// The process.
        process: String,
        /// The version.
        version: u32,
    },
    /// The payload cannot be read.
    #[error("the stored payload is not JSON: {0}")]
    Payload(String),
    /// The database refuses what the request wants to write.
    #[error("the database refused the data: {0}")]
    Data(String),
    /// It goes round in circles.
    #[error("{MAX_TURNS} turns without coming to rest")]
    Circles,
}

/// What others may say to a running drive.
#[derive(Debug, Default)]
pub struct Mailbox {
    waiting: AtomicBool,
    notify: Notify,
}

impl Mailbox {
    /// Signals have come.
    pub fn ring(&self) {
        self.waiting.store(true, Ordering::Release);
        self.notify.notify_one();
    }

    /// Have any come since the last look?
    pub fn take(&self) -> bool {
        self.waiting.swap(false, Ordering::AcqRel)
    }
}

/// One request on its way. Created by [`Drive::load`] or from what intake has in its hands.
#[expect(clippy::struct_excessive_bools, reason = "what goes with the buffer, and two columns of the row")]
pub struct Drive {
    core: Arc<Core>,
    process: Arc<Process>,
    /// The state with everything in `buffer` applied.
    state: State,
    /// What is not written yet, with its time.
    buffer: Vec<(Fact, Time)>,
    /// The buffer holds a verdict that must be durable before anything is called or waited for.
    checkpoint: bool,
    /// The head in the database.
    durable_seq: u64,
    durable_head: chain::Hash,
    /// How many signals were consumed, `consumed` included.
    seen: u64,
    consumed: Vec<Consumed>,
    /// Rows that go with the buffer.
    review: Option<ReviewChange>,
    defect: Option<DefectRow>,
    payload_changed: bool,
    turn: bool,
    over_limit: bool,
    reply_to: Option<String>,
    correlation: Option<String>,
    traceparent: Option<String>,
    callbacks: BTreeMap<String, String>,
    /// The group that its row is parked under, where its ledger does not know of it.
    aside: Option<String>,
    mailbox: Arc<Mailbox>,
}

impl Drive {
    /// Rebuilds a request from its ledger.
    ///
    /// # Errors
    /// A damaged ledger, or a process that is not known here.
    pub fn load(core: Arc<Core>, loaded: Loaded, mailbox: Arc<Mailbox>) -> Result<Drive, DriveError> {
        let state = replay(&loaded)?;
        let row = loaded.row;
        let (process, version) = (state.accepted.process.clone(), state.accepted.version);
        let found = core.processes.get(&process, version).ok_or(DriveError::NoProcess { process, version })?;
        Ok(Drive {
            durable_seq: state.seq,
            durable_head: state.head,
            seen: unseen(row.signalled, loaded.signals.len()),
            turn: row.turn,
            over_limit: row.over_limit,
            reply_to: row.reply_to,
            correlation: row.correlation,
            traceparent: row.traceparent,
            callbacks: core.callback_urls(row.id, &found),
            aside: row.parked.filter(|_| !matches!(state.phase, Phase::Parked { .. })),
            process: found,
            core,
            state,
            buffer: Vec::new(),
            checkpoint: false,
            consumed: Vec::new(),
            review: None,
            defect: None,
            payload_changed: false,
            mailbox,
        })
    }

    /// Starts from what intake has in its hands, without reading it back.
    #[must_use]
    pub fn fresh(core: Arc<Core>, fresh: Fresh, turn: bool, over_limit: bool, mailbox: Arc<Mailbox>) -> Drive {
        let Fresh { process, state, reply_to, correlation, traceparent } = fresh;
        Drive {
            durable_seq: state.seq,
            durable_head: state.head,
            seen: 0,
            turn,
            over_limit,
            reply_to,
            correlation,
            traceparent,
            callbacks: core.callback_urls(state.id, &process),
            aside: None,
            process,
            core,
            state,
            buffer: Vec::new(),
            checkpoint: false,
            consumed: Vec::new(),
            review: None,
            defect: None,
            payload_changed: false,
            mailbox,
        }
    }

    /// Answers signals without taking them in; the ledger tells of it.
    ///
    /// # Errors
    /// See [`DriveError`].
    pub async fn refuse(&mut self, signals: Vec<(Uuid, Signal)>, why: &str) -> Result<(), DriveError> {
        if self.state.ending().is_some() {
            return Ok(());
        }
        for (signal, what) in signals {
            self.seen += 1;
            self.reopen(&what).await?;
            self.consumed.push(Consumed { signal, answer: why.to_owned() });
        }
        self.push(Fact::Noted { by: "mozhao".to_owned(), text: why.to_owned() })?;
        self.flush().await
    }

    /// Parks the request as one that kills its workers, and releases it.
    ///
    /// # Errors
    /// See [`DriveError`].
    pub async fn park_poisoned(mut self, detail: String) -> Result<State, DriveError> {
        match self.state.phase {
            Phase::Open => {}
            // It may kill in its first step, before anything is written.
            Phase::Queued if self.turn && !self.over_limit => self.push(Fact::Started)?,
            // It rests; until when, the plan says.
            _ => return self.run(Vec::new()).await,
        }
        let cause = Cause { class: FailureClass::Poison, code: "poison".to_owned(), connector: None, status: None, detail };
        self.park_defect(slot::WORKER, cause).await?;
        self.release(Some(self.state.accepted.expires_at)).await?;
        Ok(self.state)
    }

    /// Carries the request on until it rests or ends. When this returns `Ok` the request is released.
    ///
    /// # Errors
    /// See [`DriveError`]; nothing in memory is worth keeping then.
    pub async fn run(mut self, signals: Vec<(Uuid, Signal)>) -> Result<State, DriveError> {
        crate::faults::panic_at(&self.state.accepted.message);
        self.consume(signals).await?;
        for _ in 0..MAX_TURNS {
            if self.state.ending().is_none() && self.mailbox.take() {
                self.read_signals().await?;
            }
            if self.state.ending().is_some() {
                return Ok(self.state);
            }
            if self.core.stop.is_cancelled() {
                // Leave at a safe point: everything known is written, and whoever claims it goes on.
                self.release(Some(self.core.clock.now())).await?;
                return Ok(self.state);
            }
            if self.turn_once().await? {
                return Ok(self.state);
            }
        }
        Err(DriveError::Circles)
    }

    /// One turn; true once the request is released.
    async fn turn_once(&mut self) -> Result<bool, DriveError> {
        match self.plan() {
            Next::Rest(until) => return self.rest(until).await,
            Next::Write(facts) => {
                for fact in facts {
                    if matches!(fact, Fact::Ended { .. }) {
                        return self.end(fact).await;
                    }
                    self.open_rows(&fact).await?;
                    self.push(fact)?;
                }
            }
            Next::Verify(steps) => {
                self.checkpoint().await?;
                self.verify(&steps).await?;
            }
            Next::Effect(slot) if slot.starts_with("undo.") && bug("undo_skipped") => self.pretend(&slot)?,
            // Its intent takes the verdicts with it.
            Next::Effect(slot) => self.effect(&slot).await?,
            Next::Reconcile(slot) => {
                self.checkpoint().await?;
                self.reconcile(&slot).await?;
            }
            Next::Confirm => {
                if self.process.done_when.call.is_some() {
                    self.checkpoint().await?;
                }
                self.confirm().await?;
            }
            Next::Ask(ask) => self.ask(&ask.slot, &ask.review).await?,
            Next::Defect { slot, cause } => {
                if self.state.looks_at_callback(&self.process, &slot) {
                    // The body that no rule can read is not looked at again by this version: whoever resumes the request brings
                    // it back to its wait, not to the same failure.
                    self.push(Fact::CallbackIgnored { step: slot.clone() })?;
                }
                self.park_defect(&slot, cause).await?;
            }
        }
        Ok(false)
    }

    /// What one of the known bugs does instead of an effect.
    fn pretend(&mut self, slot: &str) -> Result<(), DriveError> {
        let generation = self.state.slot(slot).generation;
        let deadline = self.core.clock.now();
        self.push(Fact::Intent { slot: slot.to_owned(), generation, attempt: 1, deadline })?;
        self.push(Fact::Result(ResultFact {
            slot: slot.to_owned(),
            generation,
            result: EffectResult::Applied,
            via: Via::Answer,
            status: Some(200),
            evidence_sha256: None,
            kept: serde_json::Value::Null,
            cause: None,
            retry_at: None,
        }))
    }

    fn plan(&self) -> Next {
        let key_window = |connector: &str| {
            let remote = &self.core.caller.remote;
            let window = remote.key_window(connector).map(|window| window.saturating_sub(remote.timeout(connector)));
            if bug("window_ignored") { window.map(|_| Duration::from_hours(24)) } else { window }
        };
        plan(&self.process, &self.state, &self.surroundings(&key_window))
    }

    fn surroundings<'a>(&'a self, key_window: &'a dyn Fn(&str) -> Option<Duration>) -> Surroundings<'a> {
        Surroundings {
            now: self.core.clock.now(),
            callbacks: &self.callbacks,
            key_window,
            turn: self.turn,
            over_limit: self.over_limit,
        }
    }

    /// Waits a short rest out in memory; releases the request for a longer one. True once it is released.
    async fn rest(&mut self, until: Option<Time>) -> Result<bool, DriveError> {
        let now = self.core.clock.now();
        let short = until.map(|at| at.since(now)).filter(|length| *length <= SHORT_REST);
        let Some(length) = short else {
            self.release(until).await?;
            return Ok(true);
        };
        self.flush().await?;
        tokio::select! {
            biased;
            () = self.core.stop.cancelled() => {}
            () = self.mailbox.notify.notified() => {}
            () = self.core.clock.sleep(length) => {}
        }
        Ok(false)
    }

    /// Reads and consumes new signals. How many were seen is worked out anew: the row is read first, so a signal that comes
    /// in between makes the number too low, never too high; a guarded write is then refused once more, and this runs again.
    async fn read_signals(&mut self) -> Result<(), DriveError> {
        let row = self.core.store.request(self.state.id).await?;
        let mut signals = self.core.store.signals(self.state.id).await?;
        signals.retain(|(id, _)| !self.consumed.iter().any(|done| done.signal == *id));
        self.seen = unseen(row.signalled, signals.len());
        self.consume(signals).await
    }

    /// Reacts to signals in their order, each exactly once.
    async fn consume(&mut self, signals: Vec<(Uuid, Signal)>) -> Result<(), DriveError> {
        for (id, signal) in signals {
            let moved = self.target_version(&signal);
            let now = self.core.clock.now();
            // It comes back once.
            let aside = self.aside.take_if(|group| matches!(&signal, Signal::Resume { group: from, .. } if from == group));
            let fresh = self.core.clock.id();
            let reaction = react(&self.process, &self.state, &signal, now, fresh, moved.as_ref(), aside.as_deref());
            self.seen += 1;
            let ignored = bug("withdrawal_ignored") && matches!(signal, Signal::Withdraw { .. });
            if reaction.answer != APPLIED {
                self.reopen(&signal).await?;
            }
            for fact in reaction.facts.into_iter().filter(|_| !ignored) {
                self.open_rows(&fact).await?;
                self.push(fact)?;
            }
            self.consumed.push(Consumed { signal: id, answer: reaction.answer });
            if self.state.ending().is_none() {
                // Its sender waits for the answer.
                self.flush().await?;
            }
        }
        if self.state.ending().is_some() && !self.consumed.is_empty() {
            // With the answers to those that came too late.
            self.release(None).await?;
        }
        Ok(())
    }

    /// Where this is a decision on the question that is open, and it is not applied, the question is asked anew: whoever decided it
    /// made its row wait for this answer, and nobody else could decide any more.
    async fn reopen(&mut self, signal: &Signal) -> Result<(), DriveError> {
        let (Signal::Decide(decision), Phase::InReview(opened)) = (signal, &self.state.phase) else { return Ok(()) };
        if decision.review != opened.id {
            return Ok(());
        }
        let change = ReviewChange::Reopened(opened.id);
        if self.review.is_some() {
            self.flush().await?;
        }
        self.review = Some(change);
        Ok(())
    }

    /// The digest of the version that a `Resume` names, or why the request cannot move there. The process follows when the
    /// fact is pushed.
    fn target_version(&self, signal: &Signal) -> Option<Result<String, String>> {
        let Signal::Resume { to_version: Some(version), .. } = signal else { return None };
        let name = &self.state.accepted.process;
        let Some(target) = self.core.processes.get(name, *version) else {
            return Some(Err(format!("{name} has no version {version}")));
        };
        let done: Vec<String> = self.state.effects.iter().filter(|step| self.state.touched(step)).cloned().collect();
        Some(same_done_part(&self.process, &target, &done).map(|()| target.digest.clone()))
    }
}

/// Rebuilds a request's state from its ledger.
///
/// # Errors
/// A damaged ledger.
pub fn replay(loaded: &Loaded) -> Result<State, DriveError> {
    let id = loaded.row.id;
    chain::verify(id, &loaded.entries)?;
    let payload: serde_json::Value =
        serde_json::from_slice(&loaded.payload).map_err(|error| DriveError::Payload(error.to_string()))?;
    let mut entries = loaded.entries.iter();
    let Some(first) = entries.next() else { return Err(ChainError::OutOfOrder { expected: 1, found: 0 }.into()) };
    let Fact::Accepted(accepted) = first.fact()? else {
        return Err(ChainError::OutOfOrder { expected: 1, found: 2 }.into());
    };
    let mut state = State::begin(id, accepted, first.at, payload, first.hash);
    for entry in entries {
        // The stored payload is the newest one: corrections must not be applied to it again, which is harmless, since
        // they replace whole fields with what is there already.
        state.apply(&entry.fact()?, entry.at)?;
        state.head = entry.hash;
    }
    if bug("takeover_is_failure") {
        for slot in state.slots.values_mut().filter(|slot| matches!(slot.mark, Mark::Intended { .. })) {
            slot.mark = Mark::Open;
        }
    }
    Ok(state)
}

/// How many signals were consumed, where so many were ever sent and so many still wait.
fn unseen(signalled: u64, waiting: usize) -> u64 {
    signalled.saturating_sub(u64::try_from(waiting).unwrap_or(u64::MAX))
}
