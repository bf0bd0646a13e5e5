//! Points between two durable facts, by name: before and after every call of the database, of a remote system and of the
//! broker that changes something, and at every one that reads. At a chosen one the process is killed, frozen, or told of an error.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use mozhao::domain::request::chain::Entry;
use mozhao::domain::request::fact::{Fact, FailureClass};
use mozhao::domain::request::signal::Signal;
use mozhao::domain::time::Time;
use mozhao::engine::ports::balance::{Balance, Went};
use mozhao::engine::ports::batches::Batches;
use mozhao::engine::ports::records::{
    ControlRow, DecisionFilter, DefectRow, Event, Heartbeat, ProcessRow, RejectedRow, RequestFilter, RequestRow, Retention,
    ReviewFilter, ReviewRow, TokenRow, Version, WorkerRow,
};
use mozhao::engine::ports::remote::{Answer, Failure, Remote, RemoteCall};
use mozhao::engine::ports::reviewing::Reviewing;
use mozhao::engine::ports::store::{
    Claimed, Loaded, RequestId, ReviewAct, ReviewPut, Sent, Store, StoreError, WorkerId, Write, Written,
};
use uuid::Uuid;

use crate::harness::child::signal_if_there;
use crate::wrapped_people::{PointBatches, PointReviewing};
use crate::wrapped_store::Kind;
use crate::{the_rest_of_the_remote, wrapped_store};

/// What happens at the chosen point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blow {
    Kill,
    Error,
    Stall,
}

/// The chosen point: its name, and which time it is passed (from 1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chosen {
    pub(crate) blow: Blow,
    pub(crate) hit: u32,
    pub(crate) name: String,
}

/// The name under which steps are counted, whatever they are.
pub(crate) const STEP: &str = "step";

/// Commits and calls, before and after: what a run passes as often however long it waits.
pub(crate) fn is_step(point: &str) -> bool {
    let what = point.split_once(' ').map_or(point, |(_, what)| what);
    what.starts_with("commit ") || what.starts_with("call ")
}

/// The file that whoever continues a stopped process writes before.
pub(crate) fn woken(folder: &Path, pid: u32) -> PathBuf {
    folder.join(format!("woken.{pid}"))
}

pub(crate) struct Points {
    chosen: Option<Chosen>,
    passed: Mutex<BTreeMap<String, u32>>,
    /// Every name in the order in which it was passed.
    log: PathBuf,
    /// Is there when a stop is over: see [`woken`].
    woken: PathBuf,
    /// Of all processes together: batches that were begun and written, workers that were declared dead.
    journal: PathBuf,
}

impl Points {
    pub(crate) fn new(chosen: Option<Chosen>, folder: &Path) -> Arc<Points> {
        let (pid, journal) = (std::process::id(), folder.join("journal"));
        let log = folder.join(format!("points.{pid}"));
        Arc::new(Points { chosen, passed: Mutex::default(), log, woken: woken(folder, pid), journal })
    }

    /// Was this point passed?
    pub(crate) fn has(&self, name: &str) -> bool {
        self.passed.lock().unwrap().contains_key(name)
    }

    /// Passes a point; true where an error is to be told.
    pub(crate) fn pass(&self, name: &str) -> bool {
        let hit = |name: &str| {
            let mut passed = self.passed.lock().unwrap();
            let hit = passed.entry(name.to_owned()).or_default();
            *hit += 1;
            *hit
        };
        append(&self.log, name);
        let by_name = (name, hit(name));
        let by_step = is_step(name).then(|| (STEP, hit(STEP)));
        let is_it = |chosen: &&Chosen| [Some(by_name), by_step].contains(&Some((&chosen.name, chosen.hit)));
        let Some(chosen) = self.chosen.as_ref().filter(is_it) else { return false };
        match chosen.blow {
            Blow::Error => return true,
            Blow::Kill => std::process::abort(),
            // Its own SIGSTOP: it goes on when somebody continues it. A process of several threads stops when one of them, not
            // always this one, comes to run: this one waits where it is meant to stop.
            Blow::Stall => {
                assert!(signal_if_there("STOP", &std::process::id().to_string()));
                while !self.woken.exists() {
                    std::thread::yield_now();
                }
            }
        }
        false
    }
}

impl Points {
    /// A call of the database with its points: a read has one, since before and after it the same is durable; without the reply
    /// of a change nobody knows.
    pub(crate) async fn through<T>(
        &self,
        kind: Kind,
        name: &str,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let why = || "the line broke".to_owned();
        let first = if kind == Kind::Read { "at" } else { "before" };
        if self.pass(&format!("{first} {name}")) {
            return Err(StoreError::Transient(why()));
        }
        let result = call.await;
        if kind == Kind::Change && self.pass(&format!("after {name}")) {
            return Err(StoreError::Unknown(why()));
        }
        result
    }
}

pub(crate) fn append(path: &PathBuf, line: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// The store behind the points, but for its parts that only people's work goes through: these have points, too.
pub(crate) struct Behind {
    store: Arc<dyn Store>,
    reviewing: PointReviewing,
    batches: PointBatches,
}

impl Behind {
    fn reviewing(&self) -> &dyn Reviewing {
        &self.reviewing
    }

    fn batches(&self) -> &dyn Batches {
        &self.batches
    }
}

impl std::ops::Deref for Behind {
    type Target = dyn Store;

    fn deref(&self) -> &Self::Target {
        self.store.as_ref()
    }
}

pub(crate) struct PointStore {
    inner: Behind,
    points: Arc<Points>,
}

impl PointStore {
    pub(crate) fn new(store: Arc<dyn Store>, points: Arc<Points>) -> PointStore {
        let reviewing = PointReviewing { inner: store.clone(), points: points.clone() };
        let batches = PointBatches { inner: store.clone(), points: points.clone() };
        PointStore { inner: Behind { store, reviewing, batches }, points }
    }

    async fn through<T>(
        &self,
        kind: Kind,
        name: &str,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.points.through(kind, name, call).await
    }

    async fn through_commit(&self, worker: WorkerId, batch: &[Write]) -> Result<Vec<Written>, StoreError> {
        let call = async {
            let what = format!("{worker} {}", Uuid::now_v7());
            append(&self.points.journal, &format!("begin {what}"));
            let written = self.inner.commit(worker, batch).await?;
            append(&self.points.journal, &format!("wrote {what}"));
            Ok(written)
        };
        self.through(Kind::Change, &format!("commit of {}", words(batch)), call).await
    }

    async fn through_rescue(&self, by: WorkerId, lease: Duration) -> Result<Vec<WorkerId>, StoreError> {
        let call = async {
            let dead = self.inner.rescue(by, lease).await?;
            for worker in &dead {
                append(&self.points.journal, &format!("dead {worker}"));
            }
            Ok(dead)
        };
        self.through(Kind::Change, "rescue", call).await
    }

    async fn through_published(&self, worker: WorkerId, ids: &[Uuid]) -> Result<(), StoreError> {
        let name = if ids.is_empty() { "mark of nothing" } else { "mark of events" };
        self.through(Kind::Change, name, self.inner.published(worker, ids)).await
    }
}

/// The writes of a batch, each named by its last fact: the facts of one write become durable together, and how many writes share a
/// batch is a matter of time.
fn words(batch: &[Write]) -> String {
    let word = |write: &Write| match write {
        Write::Accept(_) => "accepted".to_owned(),
        Write::Reject(_) => "rejected".to_owned(),
        Write::Advance(advance) => advance.entries.last().map_or("nothing".to_owned(), |entry| label(&entry.fact().unwrap())),
    };
    let mut words: Vec<String> = batch.iter().map(word).collect();
    // What was accepted, rejected or taken in beside it is another request's.
    words.dedup();
    words.join(", ")
}

/// A fact's word; of an intent with its slot, of an ending with the outcome.
fn label(fact: &Fact) -> String {
    match fact {
        Fact::Intent { slot, .. } => format!("intent {slot}"),
        Fact::Ended { ending } => format!("ended {}", ending.outcome()),
        other => other.word().to_owned(),
    }
}

wrapped_store!(PointStore);

pub(crate) struct PointRemote<R> {
    pub(crate) inner: R,
    pub(crate) points: Arc<Points>,
}

fn failure(class: FailureClass, code: &'static str) -> Failure {
    Failure { class, code, status: None, detail: "the line broke".to_owned(), retry_after: None }
}

#[async_trait]
impl<R: Remote> Remote for PointRemote<R> {
    async fn call(&self, call: &RemoteCall) -> Result<Answer, Failure> {
        let first = if call.effect { "before" } else { "at" };
        if self.points.pass(&format!("{first} call {}", call.slot)) {
            return Err(failure(FailureClass::Transient, "connect"));
        }
        let answer = self.inner.call(call).await;
        if call.effect && self.points.pass(&format!("after call {}", call.slot)) {
            return Err(failure(FailureClass::Unknown, "reset"));
        }
        answer
    }

    the_rest_of_the_remote!();
}
