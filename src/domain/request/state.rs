//! A request's state: what its ledger's facts add up to.
//!
//! The hard part is that three things go on at once — the way forward through the steps, the way back through the undos, and
//! what people and other systems send in between — and that a crash may cut it anywhere. So state is never stored: it is
//! rebuilt by replaying the ledger through [`State::apply`], the one place that says which fact may follow which.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use serde_json::Value;
use uuid::Uuid;

use super::chain::Hash;
use super::fact::{Accepted, Decided, EffectResult, Ending, Fact, FailureClass, Refusal, ReviewOpened, Verdict, VerdictFact};
use super::slot;
use crate::domain::process::model::{Process, StepKind};
use crate::domain::time::Time;
use crate::domain::words::Choice;

/// The most bodies that one callback keeps; later ones are told so.
pub const MAX_CALLBACKS: usize = 16;

/// A request as its ledger tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// The request.
    pub id: Uuid,
    /// The number of its last entry.
    pub seq: u64,
    /// The hash of its last entry.
    pub head: Hash,
    /// What it was accepted with; `version` and `digest` follow a move.
    pub accepted: Accepted,
    /// When it was accepted.
    pub accepted_at: Time,
    /// The payload as it is now.
    pub payload: Arc<Value>,
    /// Where it stands.
    pub phase: Phase,
    /// Set once the direction is back: how it ends when everything is undone.
    pub turned: Option<Ending>,
    /// A no that was said and not carried out yet.
    pub refusal: Option<Refusal>,
    /// A question that was raised and not asked yet.
    pub ask: Option<Ask>,
    /// Every slot that something happened at.
    pub slots: BTreeMap<String, Slot>,
    /// Steps whose effect was ever intended, in that order: undone from the last to the first.
    pub effects: Vec<String>,
    /// What came back for each callback, oldest first.
    pub callbacks: BTreeMap<String, Vec<Value>>,
    /// A person has decided something.
    pub person: bool,
    /// The review `overdue` was asked already.
    pub overdue_asked: bool,
    /// Who heard that it is too late to withdraw.
    pub withdrawal_refused: BTreeSet<String>,
}

/// Where a request stands.
#[derive(Debug, Clone, PartialEq)]
pub enum Phase {
    /// Accepted; its turn has not come.
    Queued,
    /// On its way.
    Open,
    /// Waiting for a dependency or a defect.
    Parked {
        /// The group.
        group: String,
        /// Where.
        slot: String,
        /// The cause's code.
        code: String,
    },
    /// A person was asked.
    InReview(ReviewOpened),
    /// The customer was asked for more.
    AskedCustomer {
        /// The review that it came from.
        review: String,
        /// The slot that raised it.
        slot: String,
        /// Until when.
        until: Time,
    },
    /// It has its outcome.
    Ended(Ending),
}

/// A question to a person that has to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// The slot that raised it.
    pub slot: String,
    /// The review's name.
    pub review: String,
}

/// What happened at one slot.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Slot {
    /// Attempts since the budget was last reset.
    pub attempts: u32,
    /// The first of them.
    pub first_try: Option<Time>,
    /// When the next one is due.
    pub next_try: Option<Time>,
    /// Grows when an effect is known not to have happened and is tried anew.
    pub generation: u32,
    /// When this generation's first intent was written; the key's window counts from here.
    pub first_intent: Option<Time>,
    /// What stands now.
    pub mark: Mark,
    /// What was kept of the last answer.
    pub kept: Value,
    /// How often it was parked because its own attempts were used up, since it last came to a conclusion.
    pub parks: u32,
    /// How many bodies of its callback a wait step has looked at without a conclusion.
    pub looked_at: usize,
    /// The entry that touched it last.
    pub touched: u64,
}

/// What stands at a slot.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Mark {
    /// Nothing yet, or nothing any more.
    #[default]
    Open,
    /// Concluded: passed.
    Passed {
        /// When.
        at: Time,
        /// By a person: such a verdict does not go stale.
        by_person: bool,
    },
    /// A person is asked about it, or a clause refused it.
    Undecided,
    /// Its `when` was false.
    Skipped,
    /// A wait step that was reached.
    Awaiting {
        /// When it is over.
        until: Time,
    },
    /// An effect whose call may be on its way.
    Intended {
        /// When the call gives up.
        deadline: Time,
        /// An earlier call may have taken effect: when that one gave up.
        unknown: Option<Time>,
    },
    /// An effect that may or may not have happened.
    Unknown {
        /// When its last call gave up.
        deadline: Time,
    },
    /// An effect that happened.
    Applied,
}

/// A fact that cannot follow the state: a bug of ours or a ledger that was tampered with; never a panic.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("entry {seq}: {fact} cannot follow {phase}{detail}")]
pub struct Illegal {
    /// The entry's number.
    pub seq: u64,
    /// The fact's kind.
    pub fact: &'static str,
    /// The phase it met.
    pub phase: &'static str,
    /// More, where there is more to say.
    pub detail: String,
}

impl State {
    /// The state after the first entry.
    #[must_use]
    pub fn begin(id: Uuid, accepted: Accepted, accepted_at: Time, payload: impl Into<Arc<Value>>, head: Hash) -> State {
        State {
            id,
            seq: 1,
            head,
            accepted,
            accepted_at,
            payload: payload.into(),
            phase: Phase::Queued,
            turned: None,
            refusal: None,
            ask: None,
            slots: BTreeMap::new(),
            effects: Vec::new(),
            callbacks: BTreeMap::new(),
            person: false,
            overdue_asked: false,
            withdrawal_refused: BTreeSet::new(),
        }
    }

    /// The slot's state; an untouched one where nothing happened.
    pub fn slot(&self, name: &str) -> &Slot {
        static UNTOUCHED: LazyLock<Slot> = LazyLock::new(Slot::default);
        self.slots.get(name).unwrap_or(&UNTOUCHED)
    }

    /// The slot's mark.
    #[must_use]
    pub fn mark(&self, name: &str) -> &Mark {
        self.slots.get(name).map_or(&Mark::Open, |slot| &slot.mark)
    }

    /// Has an effect happened, or may it have, that is not undone?
    #[must_use]
    pub fn has_effects(&self) -> bool {
        self.effects.iter().any(|step| self.touched(step) && !self.undone(step))
    }

    /// The effect of this step happened, or may have.
    #[must_use]
    pub fn touched(&self, step: &str) -> bool {
        matches!(self.mark(step), Mark::Applied | Mark::Intended { .. } | Mark::Unknown { .. })
    }

    /// The effect of this step was reversed, or a person said that it may stay.
    #[must_use]
    pub fn undone(&self, step: &str) -> bool {
        matches!(self.mark(&slot::undo(step)), Mark::Applied | Mark::Passed { .. })
    }

    /// Where something happened last that is not through: what lists show of it. A reconciling read is of interest only as long
    /// as what it is to tell is not known.
    #[must_use]
    pub fn current(&self) -> Option<&str> {
        let open = |name: &str, slot: &Slot| match slot::read_for(name) {
            Some(effect) => matches!(self.mark(effect), Mark::Intended { .. } | Mark::Unknown { .. }),
            None if name == slot::WORKER => false,
            None => !matches!(slot.mark, Mark::Passed { .. } | Mark::Skipped | Mark::Applied),
        };
        let slots = self.slots.iter().filter(|(name, slot)| open(name, slot));
        slots.max_by_key(|(_, slot)| slot.touched).map(|(name, _)| name.as_str())
    }

    /// Is this a wait step with a body of its callback that it has not looked at?
    #[must_use]
    pub fn looks_at_callback(&self, process: &Process, step: &str) -> bool {
        let Some(StepKind::Wait(wait)) = process.step(step).map(|step| &step.kind) else { return false };
        let came = self.callbacks.get(&wait.callback).map_or(0, Vec::len);
        came > self.slot(step).looked_at && matches!(self.mark(step), Mark::Awaiting { .. })
    }

    /// Its outcome, once it has one.
    #[must_use]
    pub fn ending(&self) -> Option<&Ending> {
        match &self.phase {
            Phase::Ended(ending) => Some(ending),
            _ => None,
        }
    }

    /// Takes one more fact in. `self` is unchanged on an error.
    ///
    /// # Errors
    /// The fact cannot follow.
    pub fn apply(&mut self, fact: &Fact, at: Time) -> Result<(), Illegal> {
        self.may_follow(fact)?;
        self.seq += 1;
        match fact {
            Fact::Accepted(_) | Fact::Noted { .. } => {}
            Fact::WithdrawalRefused { by, .. } => drop(self.withdrawal_refused.insert(by.clone())),
            Fact::Started => self.phase = Phase::Open,
            Fact::Verdict(verdict) => self.take_verdict(verdict, at),
            Fact::Skipped { step } => self.at(step).mark = Mark::Skipped,
            Fact::Failed(failed) => {
                let slot = self.at(&failed.slot);
                slot.tried(at, failed.retry_at);
                slot.attempts = failed.attempt;
                // That this call had no effect says nothing about an earlier one under the same key.
                if let Mark::Intended { unknown, .. } = slot.mark {
                    slot.mark = unknown.map_or(Mark::Open, |deadline| Mark::Unknown { deadline });
                }
            }
            Fact::Intent { slot: name, deadline, .. } => {
                if slot::is_forward(name) && !self.effects.contains(name) {
                    self.effects.push(name.clone());
                }
                let slot = self.at(name);
                slot.first_intent.get_or_insert(at);
                slot.first_try.get_or_insert(at);
                let unknown = match slot.mark {
                    Mark::Unknown { deadline } => Some(deadline),
                    _ => None,
                };
                slot.mark = Mark::Intended { deadline: *deadline, unknown };
            }
            Fact::Result(result) => {
                let slot = self.at(&result.slot);
                let deadline = match slot.mark {
                    Mark::Intended { deadline, .. } | Mark::Unknown { deadline } => deadline,
                    _ => at,
                };
                let answered = !matches!(result.via, super::fact::Via::Reconcile);
                slot.tried(at, result.retry_at);
                match result.result {
                    EffectResult::Applied => {
                        slot.mark = Mark::Applied;
                        slot.kept = result.kept.clone();
                    }
                    EffectResult::NotApplied => slot.renew(),
                    EffectResult::Unknown => {
                        slot.attempts += u32::from(answered);
                        slot.mark = Mark::Unknown { deadline };
                    }
                }
                if !answered && let Some(read) = self.slots.get_mut(&slot::reconcile(&result.slot)) {
                    // The read has answered: its next failures count anew.
                    (read.attempts, read.first_try, read.next_try) = (0, None, None);
                }
            }
            Fact::Waiting { step, until } => self.at(step).mark = Mark::Awaiting { until: *until },
            Fact::Callback { name, body } => self.callbacks.entry(name.clone()).or_default().push(body.clone()),
            Fact::CallbackIgnored { step } => self.at(step).looked_at += 1,
            Fact::ReviewOpened(opened) => {
                self.ask = None;
                self.overdue_asked |= opened.review == slot::OVERDUE;
                self.phase = Phase::InReview(opened.clone());
            }
            Fact::Decided(decided) => self.decide(decided, at),
            Fact::Supplemented { fields, .. } => {
                self.phase = Phase::Open;
                self.replace(fields);
            }
            Fact::Parked { group, slot, cause } => {
                self.at(slot).parks += u32::from(cause.class != FailureClass::Unavailable);
                let (group, slot, code) = (group.clone(), slot.clone(), cause.code.clone());
                self.phase = Phase::Parked { group, slot, code };
            }
            Fact::Resumed { .. } => {
                self.phase = if self.phase == Phase::Queued { Phase::Queued } else { Phase::Open };
                self.reset_budgets();
            }
            Fact::Moved { version, digest, .. } => {
                self.accepted.version = *version;
                self.accepted.digest.clone_from(digest);
                // What one version could not read another may.
                for slot in self.slots.values_mut().filter(|slot| matches!(slot.mark, Mark::Awaiting { .. })) {
                    slot.looked_at = 0;
                }
            }
            Fact::TurnedBack { ending } => {
                self.turned = Some(ending.clone());
                (self.refusal, self.ask, self.phase) = (None, None, Phase::Open);
                self.reset_budgets();
            }
            Fact::Ended { ending } => self.phase = Phase::Ended(ending.clone()),
        }
        Ok(())
    }

    fn take_verdict(&mut self, fact: &VerdictFact, at: Time) {
        let slot = self.at(&fact.slot);
        slot.kept = fact.kept.clone();
        (slot.attempts, slot.first_try, slot.next_try, slot.parks) = (0, None, None, 0);
        slot.mark = match &fact.verdict {
            Verdict::Pass => Mark::Passed { at, by_person: false },
            Verdict::Refuse(_) | Verdict::Review(_) => Mark::Undecided,
        };
        match &fact.verdict {
            Verdict::Pass => {}
            Verdict::Refuse(reason) => {
                let (slot, clause) = (fact.slot.clone(), fact.clause.clone());
                self.refusal.get_or_insert(Refusal { reason: reason.clone(), slot, clause, by: None });
            }
            Verdict::Review(review) => {
                self.ask.get_or_insert(Ask { slot: fact.slot.clone(), review: review.clone() });
            }
        }
    }

    fn decide(&mut self, decided: &Decided, at: Time) {
        let Phase::InReview(opened) = std::mem::replace(&mut self.phase, Phase::Open) else { return };
        self.person = true;
        let name = opened.slot;
        match decided.choice {
            Choice::Approve => self.at(&name).mark = Mark::Passed { at, by_person: true },
            Choice::Refuse => {
                let reason = decided.reason.clone().unwrap_or_default();
                self.refusal = Some(Refusal { reason, slot: name, clause: None, by: Some(decided.by.clone()) });
            }
            Choice::Retry if name == slot::OVERDUE || name == slot::HANDED_OVER => self.reset_budgets(),
            // On the way back a forward effect is not done again: whether it happened is still to be found out.
            Choice::Retry if self.turned.is_some() && slot::is_forward(&name) => self.reset_budgets(),
            Choice::Retry | Choice::NotApplied => {
                let slot = self.at(&name);
                match slot.mark {
                    Mark::Intended { .. } | Mark::Unknown { .. } => slot.renew(),
                    _ => slot.mark = Mark::Open,
                }
                self.reset_budgets();
            }
            Choice::Applied => self.at(&name).mark = Mark::Applied,
            Choice::Amend => self.replace(&decided.fields),
            Choice::AskCustomer => {
                let until = decided.until.unwrap_or(at);
                self.phase = Phase::AskedCustomer { review: opened.review, slot: name, until };
            }
        }
    }

    /// New fields: what was concluded from the old ones is concluded again. Effects stay as they are.
    fn replace(&mut self, fields: &BTreeMap<String, Value>) {
        if let Value::Object(payload) = Arc::make_mut(&mut self.payload) {
            payload.extend(fields.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        for slot in self.slots.values_mut() {
            if matches!(slot.mark, Mark::Passed { .. } | Mark::Undecided | Mark::Skipped) {
                slot.mark = Mark::Open;
                slot.looked_at = 0;
            }
        }
        (self.refusal, self.ask) = (None, None);
        self.reset_budgets();
    }

    fn reset_budgets(&mut self) {
        for slot in self.slots.values_mut() {
            (slot.attempts, slot.first_try, slot.next_try) = (0, None, None);
        }
    }

    fn at(&mut self, name: &str) -> &mut Slot {
        let slot = self.slots.entry(name.to_owned()).or_default();
        slot.touched = self.seq;
        slot
    }

    /// Which fact may meet which phase: the state machine's table.
    ///
    /// # Errors
    /// The fact cannot follow.
    pub fn may_follow(&self, fact: &Fact) -> Result<(), Illegal> {
        let fits = match (&self.phase, fact) {
            (_, Fact::Accepted(_)) | (Phase::Ended(_), _) => false,
            (_, Fact::Noted { .. } | Fact::Callback { .. } | Fact::WithdrawalRefused { .. } | Fact::Ended { .. }) => true,
            (Phase::Queued, Fact::Started | Fact::Verdict(_) | Fact::Resumed { .. } | Fact::Moved { .. }) => true,
            (Phase::Queued, _) => false,
            (_, Fact::Moved { .. }) => true,
            (_, Fact::TurnedBack { .. }) => self.turned.is_none(),
            (Phase::Open, Fact::Started | Fact::Decided(_) | Fact::Supplemented { .. }) => false,
            (Phase::Open, Fact::Intent { slot, .. }) => matches!(self.mark(slot), Mark::Open | Mark::Unknown { .. }),
            (Phase::Open, Fact::Result(result)) => {
                matches!(self.mark(&result.slot), Mark::Intended { .. } | Mark::Unknown { .. })
            }
            (Phase::Open, _) => true,
            (Phase::Parked { group, .. }, Fact::Resumed { group: resumed, .. }) => group == resumed,
            (Phase::Parked { .. } | Phase::AskedCustomer { .. }, Fact::ReviewOpened(_)) => true,
            (Phase::InReview(opened), Fact::Decided(decided)) => opened.id == decided.review,
            (Phase::AskedCustomer { .. }, Fact::Supplemented { .. }) => true,
            (Phase::Parked { .. } | Phase::InReview(_) | Phase::AskedCustomer { .. }, _) => false,
        };
        if fits {
            return Ok(());
        }
        let detail = match fact {
            Fact::Intent { slot, .. } => format!(" (slot {slot} is {:?})", self.mark(slot)),
            Fact::Result(result) => format!(" (slot {} is {:?})", result.slot, self.mark(&result.slot)),
            _ => String::new(),
        };
        Err(Illegal { seq: self.seq + 1, fact: fact.word(), phase: self.phase.word(), detail })
    }
}

impl Slot {
    fn tried(&mut self, at: Time, retry_at: Option<Time>) {
        self.first_try.get_or_insert(at);
        self.next_try = retry_at;
    }

    /// The effect did not happen: a new generation, with a new key.
    fn renew(&mut self) {
        self.mark = Mark::Open;
        self.generation += 1;
        self.first_intent = None;
    }
}

impl Phase {
    /// Its word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Phase::Queued => "queued",
            Phase::Open => "open",
            Phase::Parked { .. } => "parked",
            Phase::InReview(_) => "in_review",
            Phase::AskedCustomer { .. } => "asked_customer",
            Phase::Ended(_) => "ended",
        }
    }
}
