//! Durable state that is not durable: everything in one map behind one lock, for process tests and simulations.
//!
//! The lock is the transaction: a method checks first, and changes only when nothing can fail any more. Time is the
//! clock that is handed in, so that a test's virtual clock is the database's clock.

mod batches;
mod claim;
mod commit;
mod groups;
mod outbox;
mod outside;
mod queries;
mod reviewing;
mod reviews;
mod sessions;
mod settings;
mod users;
mod workers;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use crate::domain::request::chain::{Entry, Hash};
use crate::domain::request::signal::Signal;
use crate::domain::time::Time;
use crate::engine::ports::balance::{Balance, Went};
use crate::engine::ports::batches::Batches;
use crate::engine::ports::clock::Clock;
use crate::engine::ports::records::{
    ControlRow, DecisionFilter, DefectRow, Event, Heartbeat, ProcessRow, RejectedRow, RequestFilter, RequestRow, Retention,
    ReviewFilter, ReviewRow, TokenRow, Version, WorkerRow,
};
use crate::engine::ports::reviewing::{ActRow, EndRow, HeldRow, Reviewing, SnoozeRow, ViewRow};
use crate::engine::ports::sessions::{LinkRow, LookRow, SessionRow, Sessions};
use crate::engine::ports::store::{
    Claimed, Loaded, RequestId, ReviewAct, ReviewPut, Sent, Store, StoreError, WorkerId, Write, Written,
};
use crate::engine::ports::users::{Tries, UserRow};

/// State in memory.
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

impl MemoryStore {
    /// An empty store on this clock.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        MemoryStore { clock, state: Mutex::default() }
    }

    /// The state and the time. A panic elsewhere while the lock was held leaves the state as it was: changes come last.
    fn lock(&self) -> (MutexGuard<'_, State>, Time) {
        (self.state.lock().unwrap_or_else(PoisonError::into_inner), self.clock.now())
    }
}

/// The tables.
#[derive(Debug, Default)]
struct State {
    workers: BTreeMap<WorkerId, WorkerRow>,
    requests: BTreeMap<RequestId, Held>,
    /// Requests that have not ended.
    open: BTreeSet<RequestId>,
    inbox: BTreeMap<(String, String), Key>,
    rejected: BTreeMap<Uuid, RejectedRow>,
    /// The last number that a request got in its lane.
    last_number: u64,
    limits: BTreeMap<(String, Time), Count>,
    signals: BTreeMap<Uuid, SignalRow>,
    reviews: BTreeMap<Uuid, ReviewRow>,
    outbox: BTreeMap<Uuid, Outgoing>,
    defects: BTreeMap<String, DefectRow>,
    controls: BTreeMap<String, ControlRow>,
    processes: BTreeMap<(String, u32), ProcessRow>,
    tokens: BTreeMap<String, TokenRow>,
    settings: BTreeMap<String, Vec<u8>>,
    links: BTreeMap<[u8; 32], LinkRow>,
    sessions: BTreeMap<[u8; 32], SessionRow>,
    looks: BTreeMap<Uuid, LookRow>,
    held: BTreeMap<Uuid, (HeldRow, Option<Time>)>,
    snoozes: BTreeMap<Uuid, SnoozeRow>,
    held_ends: BTreeMap<Uuid, EndRow>,
    /// Until when somebody is believed to have a review open.
    presences: BTreeMap<(Uuid, String), Time>,
    acts: BTreeMap<Uuid, ActRow>,
    /// Sessions whose rights were taken away.
    revoked: BTreeSet<[u8; 32]>,
    views: BTreeMap<Uuid, ViewRow>,
    batches: BTreeMap<Uuid, batches::Kept>,
    users: BTreeMap<String, UserRow>,
    tries: BTreeMap<u16, Tries>,
    tallies: BTreeMap<&'static str, u64>,
}

/// A request with its payload, ledger and signals (in the order they came).
#[derive(Debug)]
struct Held {
    row: RequestRow,
    payload: Arc<[u8]>,
    entries: Vec<Entry>,
    signals: Vec<Uuid>,
}

/// An inbox row.
#[derive(Debug)]
struct Key {
    body_sha256: Hash,
    request: Option<RequestId>,
    at: Time,
}

/// A limit's count in one window.
#[derive(Debug)]
struct Count {
    n: u32,
    until: Time,
}

/// A signal, and what became of it.
#[derive(Debug)]
struct SignalRow {
    request: RequestId,
    signal: Signal,
    /// When it was sent.
    at: Time,
    /// When it was consumed, and what its sender is told.
    answer: Option<(Time, String)>,
}

/// An event in the outbox.
#[derive(Debug)]
struct Outgoing {
    worker: WorkerId,
    event: Event,
    published: bool,
}

impl State {
    fn held(&self, request: RequestId) -> Result<&Held, StoreError> {
        self.requests.get(&request).ok_or(StoreError::NotFound("the request"))
    }

    fn tally(&mut self, name: &'static str, n: u64) {
        *self.tallies.entry(name).or_default() += n;
    }

    fn alive(&self, worker: WorkerId) -> Result<(), StoreError> {
        if self.workers.contains_key(&worker) { Ok(()) } else { Err(StoreError::Fenced) }
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn kind(&self) -> &'static str {
        "memory"
    }

    async fn now(&self) -> Result<Time, StoreError> {
        Ok(self.clock.now())
    }

    async fn register(&self, worker: &WorkerRow) -> Result<(), StoreError> {
        let (mut state, now) = self.lock();
        state.register(worker, now)
    }

    async fn heartbeat(&self, worker: WorkerId) -> Result<Heartbeat, StoreError> {
        let (mut state, now) = self.lock();
        Ok(state.heartbeat(worker, now))
    }

    async fn rescue(&self, by: WorkerId, lease: Duration) -> Result<Vec<WorkerId>, StoreError> {
        let (mut state, now) = self.lock();
        state.rescue(by, lease, now)
    }

    async fn deregister(&self, worker: WorkerId) -> Result<(), StoreError> {
        let (mut state, now) = self.lock();
        state.deregister(worker, now);
        Ok(())
    }

    async fn commit(&self, worker: WorkerId, batch: &[Write]) -> Result<Vec<Written>, StoreError> {
        let (mut state, now) = self.lock();
        state.commit(worker, batch, now)
    }

    async fn claim(&self, worker: WorkerId, limit: usize) -> Result<Vec<Claimed>, StoreError> {
        let (mut state, now) = self.lock();
        state.claim(worker, limit, now)
    }

    async fn owned(&self, worker: WorkerId, limit: usize) -> Result<Vec<RequestId>, StoreError> {
        let state = self.lock().0;
        let owned = state.requests.iter().filter(|(_, held)| held.row.owner == Some(worker));
        Ok(owned.map(|(id, _)| *id).take(limit).collect())
    }

    async fn load(&self, request: RequestId) -> Result<Loaded, StoreError> {
        self.lock().0.load(request)
    }

    async fn signals(&self, request: RequestId) -> Result<Vec<(Uuid, Signal)>, StoreError> {
        Ok(self.lock().0.signals_of(request))
    }

    async fn signal(&self, id: Uuid, request: RequestId, signal: &Signal, at: Time) -> Result<Sent, StoreError> {
        let (mut state, now) = self.lock();
        state.signal(id, request, signal, at, now)
    }

    async fn signal_answer(&self, id: Uuid) -> Result<Option<String>, StoreError> {
        self.lock().0.signal_answer(id)
    }

    async fn review_act(&self, review: Uuid, act: &ReviewAct, signal_id: Uuid, at: Time) -> Result<ReviewPut, StoreError> {
        let (mut state, now) = self.lock();
        state.review_act(review, act, signal_id, at, now)
    }

    async fn unpublished(&self, worker: WorkerId, limit: usize) -> Result<Vec<Event>, StoreError> {
        Ok(self.lock().0.unpublished(worker, limit))
    }

    async fn publish_none(&self, worker: WorkerId) -> Result<(), StoreError> {
        self.lock().0.outbox.values_mut().filter(|out| out.worker == worker).for_each(|out| out.published = true);
        Ok(())
    }

    async fn published(&self, worker: WorkerId, ids: &[Uuid]) -> Result<(), StoreError> {
        self.lock().0.published(worker, ids);
        Ok(())
    }

    async fn events(&self, after: Option<Uuid>, limit: usize) -> Result<Vec<Event>, StoreError> {
        Ok(self.lock().0.events(after, limit))
    }

    async fn request(&self, request: RequestId) -> Result<RequestRow, StoreError> {
        Ok(self.lock().0.held(request)?.row.clone())
    }

    async fn entries(&self, request: RequestId, after: u64, limit: usize) -> Result<Vec<Entry>, StoreError> {
        Ok(self.lock().0.entries(request, after, limit))
    }

    async fn entries_of(&self, requests: &[RequestId], limit: usize) -> Result<Vec<(RequestId, Entry)>, StoreError> {
        Ok(self.lock().0.entries_of(requests, limit))
    }

    async fn requests(
        &self,
        filter: &RequestFilter,
        before: Option<RequestId>,
        limit: usize,
    ) -> Result<Vec<RequestRow>, StoreError> {
        Ok(self.lock().0.list(filter, before, limit))
    }

    async fn end_of_walk(&self, _: &RequestFilter, _: Option<RequestId>) -> Result<Option<RequestId>, StoreError> {
        Ok(None)
    }

    async fn review(&self, review: Uuid) -> Result<ReviewRow, StoreError> {
        self.lock().0.reviews.get(&review).cloned().ok_or(StoreError::NotFound("the review"))
    }

    async fn reviews(
        &self,
        filter: &ReviewFilter,
        after: Option<(Time, Uuid)>,
        limit: usize,
    ) -> Result<Vec<ReviewRow>, StoreError> {
        Ok(self.lock().0.list_reviews(filter, after, limit))
    }

    async fn decisions(
        &self,
        filter: &DecisionFilter,
        before: Option<(Time, Uuid)>,
        limit: usize,
    ) -> Result<Vec<ReviewRow>, StoreError> {
        Ok(self.lock().0.list_decisions(filter, before, limit))
    }

    async fn rejected(&self, before: Option<Uuid>, limit: usize) -> Result<Vec<RejectedRow>, StoreError> {
        Ok(self.lock().0.list_rejected(before, limit))
    }

    async fn lately(&self, processes: &[String], since: Time, limit: usize) -> Result<Vec<Went>, StoreError> {
        Ok(self.lock().0.lately(processes, since, limit))
    }

    async fn balance(&self) -> Result<Balance, StoreError> {
        let (state, now) = self.lock();
        Ok(state.balance(now))
    }

    async fn workers(&self) -> Result<Vec<WorkerRow>, StoreError> {
        Ok(self.lock().0.workers.values().cloned().collect())
    }

    async fn defects(&self, processes: &[String], limit: usize) -> Result<Vec<DefectRow>, StoreError> {
        Ok(self.lock().0.list_defects(processes, limit))
    }

    async fn defect(&self, fingerprint: &str) -> Result<DefectRow, StoreError> {
        self.lock().0.defects.get(fingerprint).cloned().ok_or(StoreError::NotFound("the defect"))
    }

    async fn controls(&self) -> Result<Vec<ControlRow>, StoreError> {
        Ok(self.lock().0.controls.values().cloned().collect())
    }

    async fn put_control(&self, row: &ControlRow, act: Option<&ActRow>) -> Result<bool, StoreError> {
        self.lock().0.put_control(row, act)
    }

    async fn resume_some(
        &self,
        group: &str,
        signal: &Signal,
        at: Time,
        before: Time,
        after: RequestId,
        limit: usize,
    ) -> Result<Vec<RequestId>, StoreError> {
        Ok(self.lock().0.resume_some(group, signal, at, (before, after), limit, self.clock.as_ref()))
    }

    async fn parked_groups(&self) -> Result<Vec<String>, StoreError> {
        Ok(self.lock().0.parked_groups())
    }

    async fn parked_under(&self, group: &str, cap: u64) -> Result<u64, StoreError> {
        Ok(self.lock().0.parked_under(group, cap))
    }

    async fn publish_process(&self, row: &ProcessRow) -> Result<String, StoreError> {
        self.lock().0.publish_process(row)
    }

    async fn processes(&self, limit: usize) -> Result<Vec<Version>, StoreError> {
        Ok(self.lock().0.list_processes(limit))
    }

    async fn process(&self, name: &str, version: u32) -> Result<ProcessRow, StoreError> {
        let found = self.lock().0.processes.get(&(name.to_owned(), version)).cloned();
        found.ok_or(StoreError::NotFound("the process"))
    }

    async fn add_token(&self, token: &TokenRow) -> Result<(), StoreError> {
        self.lock().0.add_token(token)
    }

    async fn token(&self, sha256: &[u8; 32]) -> Result<TokenRow, StoreError> {
        self.lock().0.token(sha256)
    }

    async fn tokens(&self) -> Result<Vec<TokenRow>, StoreError> {
        Ok(self.lock().0.tokens.values().cloned().collect())
    }

    async fn revoke_token(&self, name: &str, at: Time) -> Result<bool, StoreError> {
        Ok(self.lock().0.revoke_token(name, at))
    }

    async fn setting(&self, name: &str, fresh: &[u8]) -> Result<Vec<u8>, StoreError> {
        Ok(self.lock().0.setting(name, fresh))
    }

    async fn sweep(&self, now: Time, keep: &Retention, limit: usize) -> Result<u64, StoreError> {
        Ok(self.lock().0.sweep(now, keep, limit))
    }

    fn sessions(&self) -> &dyn Sessions {
        self
    }

    fn reviewing(&self) -> &dyn Reviewing {
        self
    }

    fn batches(&self) -> &dyn Batches {
        self
    }
}
