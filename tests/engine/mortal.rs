//! A worker that dies at a chosen point: just before or after a commit, just before or after a call reaches its target.
//! What a dead worker does hangs for ever, as it does for kill -9; what is stored and what the target did stays.

use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use mozhao::domain::request::chain::Entry;
use mozhao::domain::request::signal::Signal;
use mozhao::domain::time::Time;
use mozhao::engine::ports::balance::{Balance, Went};
use mozhao::engine::ports::records::{
    ControlRow, DefectRow, Event, Heartbeat, ProcessRow, RejectedRow, RequestFilter, RequestRow, ReviewFilter, ReviewRow,
    TokenRow, Version, WorkerRow,
};
use mozhao::engine::ports::remote::{Answer, BreakerSettings, Failure, Remote, RemoteCall};
use mozhao::engine::ports::store::{
    Claimed, Loaded, RequestId, ReviewAct, ReviewPut, Sent, Store, StoreError, WorkerId, Write, Written,
};
use uuid::Uuid;

/// When a worker dies.
pub(crate) struct Fate {
    at: usize,
    passed: AtomicUsize,
    dead: AtomicBool,
    points: Mutex<Vec<String>>,
}

impl Fate {
    /// Dies at this point, counted from 0.
    pub(crate) fn dies_at(at: usize) -> Arc<Fate> {
        Arc::new(Fate { at, passed: AtomicUsize::new(0), dead: AtomicBool::new(false), points: Mutex::default() })
    }

    /// Lives on.
    pub(crate) fn lives() -> Arc<Fate> {
        Fate::dies_at(usize::MAX)
    }

    /// Dies now.
    pub(crate) fn die(&self) {
        self.dead.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    /// The points that it passed, the one where it died included.
    pub(crate) fn points(&self) -> Vec<String> {
        self.points.lock().unwrap().clone()
    }

    async fn point(&self, name: String) {
        if self.is_dead() {
            pending::<()>().await;
        }
        self.points.lock().unwrap().push(name);
        if self.passed.fetch_add(1, Ordering::SeqCst) == self.at {
            self.dead.store(true, Ordering::SeqCst);
            pending::<()>().await;
        }
    }
}

/// A worker's way to its remote systems.
pub(crate) struct MortalRemote {
    pub(crate) inner: Arc<dyn Remote>,
    pub(crate) fate: Arc<Fate>,
}

#[async_trait]
impl Remote for MortalRemote {
    async fn call(&self, call: &RemoteCall) -> Result<Answer, Failure> {
        self.fate.point(format!("before the call {}", call.slot)).await;
        let answer = self.inner.call(call).await;
        self.fate.point(format!("after the call {}", call.slot)).await;
        answer
    }

    fn timeout(&self, connector: &str) -> Duration {
        self.inner.timeout(connector)
    }

    fn key_window(&self, connector: &str) -> Option<Duration> {
        self.inner.key_window(connector)
    }

    fn breaker(&self, connector: &str) -> BreakerSettings {
        self.inner.breaker(connector)
    }

    fn names(&self) -> Vec<String> {
        self.inner.names()
    }
}

/// A worker's way to its store.
pub(crate) struct MortalStore {
    pub(crate) inner: Arc<dyn Store>,
    pub(crate) fate: Arc<Fate>,
}

fn words(batch: &[Write]) -> String {
    let word = |write: &Write| match write {
        Write::Accept(_) => "accepted".to_owned(),
        Write::Reject(_) => "rejected".to_owned(),
        Write::Advance(advance) => {
            let facts: Vec<&str> = advance.entries.iter().map(|entry| entry.fact().unwrap().word()).collect();
            if advance.summary.owned { facts.join("+") } else { format!("{} and release", facts.join("+")) }
        }
    };
    batch.iter().map(word).collect::<Vec<_>>().join(", ")
}

#[async_trait]
impl Store for MortalStore {
    async fn commit(&self, worker: WorkerId, batch: &[Write]) -> Result<Vec<Written>, StoreError> {
        self.fate.point(format!("before the commit of {}", words(batch))).await;
        let written = self.inner.commit(worker, batch).await;
        self.fate.point(format!("after the commit of {}", words(batch))).await;
        written
    }

    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn sessions(&self) -> &dyn mozhao::engine::ports::sessions::Sessions {
        self.inner.sessions()
    }

    fn reviewing(&self) -> &dyn mozhao::engine::ports::reviewing::Reviewing {
        self.inner.reviewing()
    }

    fn batches(&self) -> &dyn mozhao::engine::ports::batches::Batches {
        self.inner.batches()
    }

    async fn now(&self) -> Result<Time, StoreError> {
        self.inner.now().await
    }

    async fn register(&self, worker: &WorkerRow) -> Result<(), StoreError> {
        self.inner.register(worker).await
    }

    async fn heartbeat(&self, worker: WorkerId) -> Result<Heartbeat, StoreError> {
        self.inner.heartbeat(worker).await
    }

    async fn rescue(&self, by: WorkerId, lease: Duration) -> Result<Vec<WorkerId>, StoreError> {
        self.inner.rescue(by, lease).await
    }

    async fn deregister(&self, worker: WorkerId) -> Result<(), StoreError> {
        self.inner.deregister(worker).await
    }

    async fn claim(&self, worker: WorkerId, limit: usize) -> Result<Vec<Claimed>, StoreError> {
        self.inner.claim(worker, limit).await
    }

    async fn owned(&self, worker: WorkerId, limit: usize) -> Result<Vec<RequestId>, StoreError> {
        self.inner.owned(worker, limit).await
    }

    async fn load(&self, request: RequestId) -> Result<Loaded, StoreError> {
        self.inner.load(request).await
    }

    async fn signals(&self, request: RequestId) -> Result<Vec<(Uuid, Signal)>, StoreError> {
        self.inner.signals(request).await
    }

    async fn signal(&self, id: Uuid, request: RequestId, signal: &Signal, at: Time) -> Result<Sent, StoreError> {
        self.inner.signal(id, request, signal, at).await
    }

    async fn signal_answer(&self, id: Uuid) -> Result<Option<String>, StoreError> {
        self.inner.signal_answer(id).await
    }

    async fn review_act(&self, review: Uuid, act: &ReviewAct, signal_id: Uuid, at: Time) -> Result<ReviewPut, StoreError> {
        self.inner.review_act(review, act, signal_id, at).await
    }

    async fn unpublished(&self, worker: WorkerId, limit: usize) -> Result<Vec<Event>, StoreError> {
        self.inner.unpublished(worker, limit).await
    }

    async fn publish_none(&self, worker: WorkerId) -> Result<(), StoreError> {
        self.inner.publish_none(worker).await
    }

    async fn published(&self, by: Uuid, ids: &[Uuid]) -> Result<(), StoreError> {
        self.inner.published(by, ids).await
    }

    async fn events(&self, after: Option<Uuid>, limit: usize) -> Result<Vec<Event>, StoreError> {
        self.inner.events(after, limit).await
    }

    async fn request(&self, request: RequestId) -> Result<RequestRow, StoreError> {
        self.inner.request(request).await
    }

    async fn entries(&self, request: RequestId, after: u64, limit: usize) -> Result<Vec<Entry>, StoreError> {
        self.inner.entries(request, after, limit).await
    }

    async fn entries_of(&self, requests: &[RequestId], limit: usize) -> Result<Vec<(RequestId, Entry)>, StoreError> {
        self.inner.entries_of(requests, limit).await
    }

    async fn requests(
        &self,
        filter: &RequestFilter,
        before: Option<RequestId>,
        limit: usize,
    ) -> Result<Vec<RequestRow>, StoreError> {
        self.inner.requests(filter, before, limit).await
    }

    async fn end_of_walk(&self, filter: &RequestFilter, before: Option<RequestId>) -> Result<Option<RequestId>, StoreError> {
        self.inner.end_of_walk(filter, before).await
    }

    async fn review(&self, review: Uuid) -> Result<ReviewRow, StoreError> {
        self.inner.review(review).await
    }

    async fn reviews(
        &self,
        filter: &ReviewFilter,
        after: Option<(Time, Uuid)>,
        limit: usize,
    ) -> Result<Vec<ReviewRow>, StoreError> {
        self.inner.reviews(filter, after, limit).await
    }

    async fn decisions(
        &self,
        filter: &mozhao::engine::ports::records::DecisionFilter,
        before: Option<(Time, Uuid)>,
        limit: usize,
    ) -> Result<Vec<ReviewRow>, StoreError> {
        self.inner.decisions(filter, before, limit).await
    }

    async fn rejected(&self, before: Option<Uuid>, limit: usize) -> Result<Vec<RejectedRow>, StoreError> {
        self.inner.rejected(before, limit).await
    }

    async fn lately(&self, processes: &[String], since: Time, limit: usize) -> Result<Vec<Went>, StoreError> {
        self.inner.lately(processes, since, limit).await
    }

    async fn balance(&self) -> Result<Balance, StoreError> {
        self.inner.balance().await
    }

    async fn workers(&self) -> Result<Vec<WorkerRow>, StoreError> {
        self.inner.workers().await
    }

    async fn defects(&self, processes: &[String], limit: usize) -> Result<Vec<DefectRow>, StoreError> {
        self.inner.defects(processes, limit).await
    }

    async fn defect(&self, fingerprint: &str) -> Result<DefectRow, StoreError> {
        self.inner.defect(fingerprint).await
    }

    async fn controls(&self) -> Result<Vec<ControlRow>, StoreError> {
        self.inner.controls().await
    }

    async fn put_control(&self, row: &ControlRow) -> Result<bool, StoreError> {
        self.inner.put_control(row).await
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
        self.inner.resume_some(group, signal, at, before, after, limit).await
    }

    async fn parked_groups(&self) -> Result<Vec<String>, StoreError> {
        self.inner.parked_groups().await
    }

    async fn parked_under(&self, group: &str, cap: u64) -> Result<u64, StoreError> {
        self.inner.parked_under(group, cap).await
    }

    async fn publish_process(&self, row: &ProcessRow) -> Result<String, StoreError> {
        self.inner.publish_process(row).await
    }

    async fn processes(&self, limit: usize) -> Result<Vec<Version>, StoreError> {
        self.inner.processes(limit).await
    }

    async fn process(&self, name: &str, version: u32) -> Result<ProcessRow, StoreError> {
        self.inner.process(name, version).await
    }

    async fn add_token(&self, token: &TokenRow) -> Result<(), StoreError> {
        self.inner.add_token(token).await
    }

    async fn token(&self, sha256: &[u8; 32]) -> Result<TokenRow, StoreError> {
        self.inner.token(sha256).await
    }

    async fn tokens(&self) -> Result<Vec<TokenRow>, StoreError> {
        self.inner.tokens().await
    }

    async fn revoke_token(&self, name: &str, at: Time) -> Result<bool, StoreError> {
        self.inner.revoke_token(name, at).await
    }

    async fn setting(&self, name: &str, fresh: &[u8]) -> Result<Vec<u8>, StoreError> {
        self.inner.setting(name, fresh).await
    }

    async fn sweep(&self, now: Time, limit: usize) -> Result<u64, StoreError> {
        self.inner.sweep(now, limit).await
    }
}
