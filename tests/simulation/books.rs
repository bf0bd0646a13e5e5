//! The books: what was really accepted, committed, acknowledged and told, held against what the ledgers say — while a run goes
//! on, where a breach shows at once, and as a whole when it has come to rest (G1 to G12 of the promises).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use mozhao::domain::request::chain::{self, Entry, Hash};
use mozhao::domain::request::fact::Fact;
use mozhao::domain::request::slot;
use mozhao::domain::request::state::{Mark, State};
use mozhao::domain::time::Time;
use mozhao::engine::ports::broker::Incoming;
use mozhao::engine::ports::clock::Clock as _;
use mozhao::engine::ports::records::Event;
use mozhao::engine::ports::remote::RemoteCall;
use mozhao::engine::ports::store::{Advance, Loaded, Store, StoreError, WorkerId, Write, Written};
use mozhao::engine::processes::Processes;
use mozhao::proof::clock::VirtualClock;
use uuid::Uuid;

use crate::bank::Bank;
use crate::trace::Trace;

pub(crate) struct Books {
    pub(crate) clock: Arc<VirtualClock>,
    pub(crate) trace: Arc<Trace>,
    pub(crate) bank: Arc<Bank>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) processes: Arc<Processes>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
pub(crate) struct Inner {
    /// The request that each message key stands for; `None`: it was rejected.
    keys: BTreeMap<String, Option<Uuid>>,
    numbers: BTreeMap<Uuid, u64>,
    dead: BTreeSet<WorkerId>,
    /// Every entry that was ever committed, with the commit that held it.
    pub(crate) entries: BTreeMap<(Uuid, u64), (Hash, u64)>,
    commits: u64,
    /// Messages whose sender knows that they were taken.
    pub(crate) confirmed: BTreeSet<u64>,
    pub(crate) arrived: BTreeSet<Uuid>,
    /// What the last withdrawal of a message was told.
    pub(crate) withdrawals: BTreeMap<u64, String>,
}

/// A ledger's facts, with their times and numbers.
pub(crate) type Facts = Vec<(u64, Time, Fact)>;

/// Rebuilds a state, calling `see` before each fact.
pub(crate) fn replay(id: Uuid, loaded: &Loaded, mut see: impl FnMut(&State, u64, Time, &Fact)) -> Result<(State, Facts), String> {
    let facts: Result<Facts, _> = loaded.entries.iter().map(|entry| Ok((entry.seq, entry.at, entry.fact()?))).collect();
    let facts = facts.map_err(|error: chain::ChainError| error.to_string())?;
    let Some((_, at, Fact::Accepted(accepted))) = facts.first() else { return Err("no first entry".to_owned()) };
    let payload: serde_json::Value = serde_json::from_slice(&loaded.payload).map_err(|error| error.to_string())?;
    let mut state = State::begin(id, accepted.clone(), *at, payload, loaded.entries[0].hash);
    for (seq, at, fact) in facts.iter().skip(1) {
        see(&state, *seq, *at, fact);
        state.apply(fact, *at).map_err(|error| error.to_string())?;
    }
    Ok((state, facts))
}

/// Is the step behind us?
pub(crate) fn is_through(state: &State, step: &str) -> bool {
    matches!(state.mark(step), Mark::Passed { .. } | Mark::Skipped | Mark::Applied)
}

impl Books {
    pub(crate) fn new(clock: Arc<VirtualClock>, bank: Arc<Bank>, store: Arc<dyn Store>, processes: Arc<Processes>) -> Arc<Books> {
        Arc::new(Books { clock, trace: bank.trace.clone(), bank, store, processes, inner: Mutex::default() })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn number(&self, request: Uuid) -> Option<u64> {
        self.lock().numbers.get(&request).copied()
    }

    pub(crate) fn request(&self, n: u64) -> Option<Uuid> {
        self.lock().keys.get(&format!("m{n}")).copied().flatten()
    }

    pub(crate) fn accepted(&self) -> usize {
        self.lock().keys.values().flatten().count()
    }

    /// The database has answered a batch (whether the answer arrives or not).
    pub(crate) fn committed(&self, name: &str, worker: WorkerId, batch: &[Write], result: &Result<Vec<Written>, StoreError>) {
        let Ok(written) = result else {
            let why = result.as_ref().err().map(ToString::to_string).unwrap_or_default();
            self.trace.say(format!("{name} commits nothing: {why}"));
            return;
        };
        let mut inner = self.lock();
        inner.commits += 1;
        let commit = inner.commits;
        if inner.dead.contains(&worker) && !batch.is_empty() {
            self.trace.violation(format!("G5: {name} has committed after it was declared dead"));
        }
        for (write, written) in batch.iter().zip(written) {
            match (write, written) {
                (Write::Accept(accept), Written::Accepted { turn, .. }) => {
                    let n = accept.message.strip_prefix('m').and_then(|n| n.parse().ok()).unwrap_or_default();
                    self.trace.say(format!("m{n} {name} accepts it{}", if *turn { "" } else { ", out of turn" }));
                    if inner.keys.insert(accept.message.clone(), Some(accept.row.id)).is_some() {
                        self.trace.violation(format!("m{n} G1: accepted twice"));
                    }
                    inner.numbers.insert(accept.row.id, n);
                    self.enter(&mut inner, accept.row.id, std::slice::from_ref(&accept.first), commit);
                }
                (Write::Reject(row), Written::Rejected) => {
                    if let Some(message) = &row.message {
                        inner.keys.entry(message.clone()).or_insert(None);
                    }
                }
                (Write::Advance(advance), written) => {
                    let n = inner.numbers.get(&advance.request).copied().unwrap_or_default();
                    let words: Vec<String> = advance.entries.iter().map(word).collect();
                    let then = if advance.summary.owned { "" } else { " and release" };
                    self.trace.say(format!(
                        "m{n} {name} writes {}{then} as {}: {written:?}",
                        words.join("+"),
                        advance.summary.state
                    ));
                    if *written == Written::Advanced {
                        self.guarded(n, advance);
                        self.enter(&mut inner, advance.request, &advance.entries, commit);
                    }
                }
                _ => {}
            }
        }
    }

    /// Neither an intent nor an ending passes a signal that its owner has not seen, and a request that is given up with one is
    /// due at once.
    fn guarded(&self, n: u64, advance: &Advance) {
        // The store in memory answers at once, and nothing has come in between.
        let Some(Ok(row)) = self.store.request(advance.request).now_or_never() else { return };
        if row.signalled <= advance.seen {
            return;
        }
        let guards = |entry: &Entry| matches!(entry.fact(), Ok(Fact::Intent { .. } | Fact::Ended { .. }));
        if advance.entries.iter().any(guards) && (row.ended_at.is_none() || advance.quiet) {
            self.trace.violation(format!("m{n} an intent or an ending was written although a signal waits"));
        }
        if row.owner.is_none() && row.ended_at.is_none() && row.wake_at.is_none_or(|at| at > self.clock.now()) {
            self.trace.violation(format!("m{n} G2: it was given up although a signal waits, and nobody will look"));
        }
    }

    fn enter(&self, inner: &mut Inner, request: Uuid, entries: &[Entry], commit: u64) {
        for entry in entries {
            let gap = entry.seq > 1 && !inner.entries.contains_key(&(request, entry.seq - 1));
            let old = inner.entries.insert((request, entry.seq), (entry.hash, commit));
            if gap || old.is_some() {
                self.trace.violation(format!("G8: entry {} of {request} was written out of order or again", entry.seq));
            }
        }
    }

    pub(crate) fn rescued(&self, name: &str, dead: &[WorkerId]) {
        if !dead.is_empty() {
            self.trace.say(format!("{name} declares {} dead", dead.len()));
            self.lock().dead.extend(dead);
        }
    }

    /// The broker may forget this message.
    pub(crate) fn acknowledged(&self, message: &Incoming) {
        let key = message.message_id.clone().unwrap_or_default();
        if !self.lock().keys.contains_key(&key) {
            self.trace.violation(format!("{key} G1: acknowledged and not stored"));
        }
    }

    /// The sender was told that the message is stored as this request.
    pub(crate) fn is_stored(&self, n: u64, request: Uuid) {
        if self.request(n) != Some(request) {
            self.trace.violation(format!("m{n} G1: its sender was told of request {request}, which is not stored"));
        }
    }

    pub(crate) fn confirmed(&self, n: u64) {
        self.lock().confirmed.insert(n);
    }

    pub(crate) fn withdrawal(&self, n: u64, answer: &str) {
        self.lock().withdrawals.insert(n, answer.to_owned());
    }

    /// The event has reached the broker.
    pub(crate) fn arrived(&self, event: &Event) {
        self.lock().arrived.insert(event.id);
        if String::from_utf8_lossy(&event.body).contains("CANARY") {
            self.trace.violation(format!("G9: {} carries a sensitive value", event.topic));
        }
    }

    /// The outbox believes that these were published.
    pub(crate) fn marked(&self, ids: &[Uuid]) {
        let inner = self.lock();
        if ids.iter().any(|id| !inner.arrived.contains(id)) {
            self.trace.violation("G7: an event is marked as published that never reached the broker");
        }
    }

    /// An effect's call leaves a process: its intent is in the ledger, and so are the verdicts that it rests on.
    pub(crate) async fn effect_sent(&self, n: u64, call: &RemoteCall, sent: u32) {
        let Some(id) = self.request(n) else {
            self.trace.violation(format!("m{n}: {} is called for a message that is not stored", call.slot));
            return;
        };
        let Ok(loaded) = self.store.load(id).await else { return };
        let (state, facts) = match replay(id, &loaded, |_, _, _, _| {}) {
            Ok(replayed) => replayed,
            Err(error) => return self.trace.violation(format!("m{n}: its ledger cannot be replayed: {error}")),
        };
        let intents =
            facts.iter().filter(|(_, _, fact)| matches!(fact, Fact::Intent { slot, .. } if *slot == *call.slot)).count();
        if intents < sent as usize {
            self.trace.violation(format!("m{n} {} is called {sent} times with {intents} intents in the ledger", call.slot));
        }
        let deadline = facts.iter().rev().find_map(|(_, _, fact)| match fact {
            Fact::Intent { slot, deadline, .. } if *slot == *call.slot => Some(*deadline),
            _ => None,
        });
        // Clocks differ a little.
        if deadline.is_some_and(|deadline| self.clock.now() > deadline.plus(Duration::from_millis(500))) {
            self.trace.violation(format!("m{n} {} is called after its deadline, which others rely on", call.slot));
        }
        let process = self.processes.get(&state.accepted.process, state.accepted.version);
        if let (Mark::Intended { .. }, true, Some(process)) = (state.mark(&call.slot), slot::is_forward(&call.slot), process) {
            let before = process.steps.iter().take_while(|step| step.name != *call.slot);
            let open: Vec<&str> = before.filter(|step| !is_through(&state, &step.name)).map(|step| step.name.as_str()).collect();
            if !open.is_empty() {
                self.trace.violation(format!("m{n} {} is called before {} is through", call.slot, open.join(", ")));
            }
        }
    }
}

fn word(entry: &Entry) -> String {
    let Ok(fact) = entry.fact() else { return "?".to_owned() };
    match &fact {
        Fact::Verdict(verdict) => format!("verdict({} {:?})", verdict.slot, verdict.verdict),
        Fact::Failed(failed) => format!("failed({} {})", failed.slot, failed.cause.code),
        Fact::Intent { slot, generation, attempt, .. } => format!("intent({slot} {generation}/{attempt})"),
        Fact::Result(result) => format!("result({} {:?} {:?})", result.slot, result.result, result.via),
        Fact::ReviewOpened(opened) => format!("review_opened({} at {})", opened.review, opened.slot),
        Fact::Decided(decided) => format!("decided({:?} by {})", decided.choice, decided.by),
        Fact::Parked { group, slot, cause } => format!("parked({group} at {slot}: {})", cause.code),
        Fact::TurnedBack { ending } => format!("turned_back({})", ending.outcome()),
        Fact::Ended { ending } => format!("ended({})", ending.outcome()),
        _ => fact.word().to_owned(),
    }
}
