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
    ControlRow, DecisionFilter, DefectRow, Event, Heartbeat, ProcessRow, RejectedRow, RequestFilter, RequestRow, Retention,
    ReviewFilter, ReviewRow, TokenRow, Version, WorkerRow,
};
use mozhao::engine::ports::remote::{Answer, Failure, Remote, RemoteCall};
use mozhao::engine::ports::store::{
    Claimed, Loaded, RequestId, ReviewAct, ReviewPut, Sent, Store, StoreError, WorkerId, Write, Written,
};
use uuid::Uuid;

use crate::wrapped_store::Kind;
use crate::{the_rest_of_the_remote, wrapped_store};

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

    the_rest_of_the_remote!();
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

impl MortalStore {
    async fn through<T>(&self, _: Kind, _: &str, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        call.await
    }

    async fn through_commit(&self, worker: WorkerId, batch: &[Write]) -> Result<Vec<Written>, StoreError> {
        self.fate.point(format!("before the commit of {}", words(batch))).await;
        let written = self.inner.commit(worker, batch).await;
        self.fate.point(format!("after the commit of {}", words(batch))).await;
        written
    }

    async fn through_rescue(&self, by: WorkerId, lease: Duration) -> Result<Vec<WorkerId>, StoreError> {
        self.inner.rescue(by, lease).await
    }

    async fn through_published(&self, worker: WorkerId, ids: &[Uuid]) -> Result<(), StoreError> {
        self.inner.published(worker, ids).await
    }
}

wrapped_store!(MortalStore);
