//! The engine as the rest of the program sees it: what the API, the queue and the command line call, and the loop that
//! keeps an incarnation at work.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::breaker::{BreakerView, Breakers, dependency_group};
use super::calls::Caller;
use super::committer::{CommitError, Committer};
use super::core::{Callbacks, Changes, Core, Heart};
use super::groups::{DEFAULT_RATE, opened};
use super::intake::{self, Rejection};
pub use super::intake::{Submission, Submitted};
use super::ports::broker::Publisher;
use super::ports::clock::Clock;
use super::ports::records::{ControlRow, RequestRow};
use super::ports::remote::Remote;
use super::ports::store::{ReviewAct, ReviewPut, Sent, Store, StoreError, Written};
use super::processes::{Processes, ProcessesError};
use super::relay;
use super::worker::{Worker, worker_row};
use crate::domain::request::react::check_decision;
use crate::domain::request::signal::Signal;
use crate::domain::time::Time;

/// How often a waiter looks again when it hears nothing: changes by other workers are not heard.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// The longest that anybody waits for an answer.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// Why a call of the engine failed.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was asked is not well formed.
    #[error("{0}")]
    Invalid(String),
    /// It does not exist.
    #[error("{0} was not found")]
    NotFound(&'static str),
    /// Not at the moment; the same call may succeed later.
    #[error("{0}")]
    Busy(String),
}

/// What a signal's sender is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// `applied`, or why not.
    Answer(String),
    /// Stored; the owner has not answered yet.
    Pending,
    /// The request has ended with this outcome.
    Ended(&'static str),
}

/// What came of an act on a review.
#[derive(Debug, Clone, PartialEq)]
pub struct ReviewAnswer {
    /// The row, and whether the act happened.
    pub put: ReviewPut,
    /// What the request's owner answered to a decision.
    pub told: Option<Told>,
}

/// How a group is resumed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResumeHow {
    /// Who.
    pub by: String,
    /// Requests per second.
    pub rate: Option<u32>,
    /// Move them to this version first.
    pub to_version: Option<u32>,
}

/// How the worker is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// It takes requests.
    pub ready: bool,
    /// It is stopping.
    pub draining: bool,
    /// The broker is connected; `None`: there is none.
    pub broker: Option<bool>,
    /// Requests in flight.
    pub in_flight: usize,
    /// The most of them.
    pub in_flight_limit: usize,
    /// The incarnation.
    pub worker: Uuid,
    /// How old the last successful heartbeat is.
    pub heartbeat_age: Duration,
}

/// What an engine is made of.
pub struct Parts {
    /// Durable state.
    pub store: Arc<dyn Store>,
    /// Remote systems.
    pub remote: Arc<dyn Remote>,
    /// The broker, where there is one.
    pub publisher: Option<Arc<dyn Publisher>>,
    /// Time, ids, dice.
    pub clock: Arc<dyn Clock>,
    /// Settings.
    pub settings: Settings,
}

/// An engine's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The folder of process files.
    pub processes: Option<PathBuf>,
    /// The public address, for callbacks.
    pub public_url: String,
    /// The most requests in flight.
    pub in_flight: usize,
    /// After this long without a heartbeat another worker takes over.
    pub lease: Duration,
    /// How long a stop waits for requests in flight.
    pub drain: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            processes: None,
            public_url: "http://127.0.0.1:8080".to_owned(),
            in_flight: 256,
            lease: Duration::from_secs(10),
            drain: Duration::from_secs(20),
        }
    }
}

struct Inner {
    store: Arc<dyn Store>,
    remote: Arc<dyn Remote>,
    publisher: Option<Arc<dyn Publisher>>,
    clock: Arc<dyn Clock>,
    settings: Settings,
    processes: Arc<Processes>,
    breakers: Arc<Breakers>,
    callbacks: Arc<Callbacks>,
    changes: Arc<Changes>,
    written: Arc<Notify>,
    /// The incarnation at work.
    worker: RwLock<Arc<Worker>>,
    stop: CancellationToken,
    kill: CancellationToken,
}

/// A handle on the engine.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

impl Engine {
    /// Publishes the processes, registers the worker and makes it ready; [`Engine::run`] sets it to work.
    ///
    /// # Errors
    /// The processes have errors, or the store failed.
    pub async fn start(parts: Parts) -> Result<Engine, ProcessesError> {
        let Parts { store, remote, publisher, clock, settings } = parts;
        let processes = Arc::new(Processes::default());
        processes.load(store.as_ref(), settings.processes.as_deref(), &remote.names(), clock.now()).await?;
        let fresh: [u8; 32] = rand::random();
        let secret = store.setting("callback_secret", &fresh).await?;
        let callbacks = Arc::new(Callbacks::new(&settings.public_url, secret));
        let breakers = Arc::new(Breakers::new(remote.clone()));
        breakers.learn(&store.controls().await?);
        let (stop, kill) = (CancellationToken::new(), CancellationToken::new());
        let changes = Arc::new(Changes::default());
        let shared = Shared { store: &store, clock: &clock, processes: &processes, remote: &remote, breakers: &breakers };
        let worker = shared.incarnate(&settings, &callbacks, &changes, &stop, &kill).await?;
        if store.kind() == "sqlite" {
            // The lock on the file is ours: whoever else has a row is gone, and its requests need not wait for the lease.
            store.rescue(worker.core.worker, Duration::ZERO).await?;
        }
        let (written, worker) = (Arc::new(Notify::new()), RwLock::new(worker));
        let inner = Inner {
            store,
            remote,
            publisher,
            clock,
            settings,
            processes,
            breakers,
            callbacks,
            changes,
            written,
            worker,
            stop,
            kill,
        };
        Ok(Engine { inner: Arc::new(inner) })
    }

    /// Works until `stop`; a fenced incarnation is followed by a new one. Ends within the drain time, or at once on `kill`.
    ///
    /// # Errors
    /// The store failed while registering a new incarnation.
    pub async fn run(&self) -> Result<(), StoreError> {
        loop {
            let worker = self.worker();
            let ended = self.work(&worker).await;
            if ended {
                return Ok(());
            }
            let inner = &self.inner;
            let shared = Shared {
                store: &inner.store,
                clock: &inner.clock,
                processes: &inner.processes,
                remote: &inner.remote,
                breakers: &inner.breakers,
            };
            let next = loop {
                let next = shared.incarnate(&inner.settings, &inner.callbacks, &inner.changes, &inner.stop, &inner.kill).await;
                match next {
                    Ok(next) => break next,
                    Err(error) if self.inner.stop.is_cancelled() => return Err(error),
                    Err(error) => {
                        tracing::warn!(%error, "cannot register the worker anew at the moment");
                        self.inner.clock.sleep(Duration::from_secs(1)).await;
                    }
                }
            };
            *self.inner.worker.write().unwrap_or_else(PoisonError::into_inner) = next;
        }
    }

    /// Runs one incarnation; true where the whole worker is to end.
    async fn work(&self, worker: &Arc<Worker>) -> bool {
        let inner = &self.inner;
        let (lease, beating) = (inner.settings.lease, CancellationToken::new());
        let over = CancellationToken::new();
        let tasks = tokio_util::task::TaskTracker::new();
        tasks.spawn(worker.clone().heartbeat_loop(lease, beating.clone()));
        tasks.spawn(worker.clone().claim_loop());
        tasks.spawn(worker.clone().rescue_loop(lease));
        tasks.spawn(worker.clone().group_loop());
        tasks.spawn(sweep_loop(inner.store.clone(), inner.clock.clone(), inner.processes.clone(), over.clone()));
        if let Some(publisher) = &inner.publisher {
            let (store, clock) = (inner.store.clone(), inner.clock.clone());
            tasks.spawn(relay::run(store, clock, publisher.clone(), worker.core.worker, inner.written.clone(), over.clone()));
        }
        tokio::select! {
            () = inner.stop.cancelled() => {}
            () = worker.fenced.cancelled() => worker.core.kill.cancel(),
            () = inner.kill.cancelled() => worker.core.kill.cancel(),
        }
        let fenced = worker.fenced.is_cancelled();
        worker.core.stop.cancel();
        tokio::select! {
            _ = worker.drained(inner.settings.drain) => {}
            () = inner.kill.cancelled() => {}
        }
        worker.core.kill.cancel();
        over.cancel();
        if !fenced && let Err(error) = inner.store.deregister(worker.core.worker).await {
            tracing::warn!(%error, "the worker's row stays; another worker takes over after the lease");
        }
        beating.cancel();
        tasks.close();
        drop(tokio::time::timeout(Duration::from_secs(5), tasks.wait()).await);
        !fenced || inner.stop.is_cancelled()
    }

    /// Stops: first call drains, [`Engine::kill`] stops at once.
    pub fn stop(&self) {
        self.inner.stop.cancel();
    }

    /// Stops at once; nothing that is stored is lost.
    pub fn kill(&self) {
        self.inner.stop.cancel();
        self.inner.kill.cancel();
    }

    /// Durable state, for reads.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.inner.store
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.clock
    }

    /// The known processes.
    #[must_use]
    pub fn processes(&self) -> &Processes {
        &self.inner.processes
    }

    fn worker(&self) -> Arc<Worker> {
        self.inner.worker.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes a message in over HTTP: stored at once, started when there is room.
    ///
    /// # Errors
    /// It was neither accepted nor rejected: try again with the same key.
    pub async fn submit(&self, submission: Submission) -> Result<Submitted, EngineError> {
        let worker = self.worker();
        let permit = worker.try_permit();
        self.take_in(&worker, submission, permit).await
    }

    /// Takes a message in from a queue: waits for room first, so that a backlog stays in the broker.
    ///
    /// # Errors
    /// It was neither accepted nor rejected: it must be delivered again.
    pub async fn submit_with_room(&self, submission: Submission) -> Result<Submitted, EngineError> {
        let worker = self.worker();
        let permit = worker.permit().await;
        self.take_in(&worker, submission, permit).await
    }

    async fn take_in(
        &self,
        worker: &Arc<Worker>,
        submission: Submission,
        permit: Option<tokio::sync::OwnedSemaphorePermit>,
    ) -> Result<Submitted, EngineError> {
        if self.inner.stop.is_cancelled() {
            return Err(EngineError::Busy("the worker is stopping".to_owned()));
        }
        let core = &worker.core;
        let ready = match intake::prepare(core, &submission, permit.is_some()) {
            Ok(ready) => ready,
            Err(rejection) => {
                self.reject(&submission, &submission.payload.clone(), &rejection).await?;
                return Ok(Submitted::Rejected { code: rejection.code.to_owned(), detail: rejection.detail });
            }
        };
        let id = ready.fresh.row.id;
        let written = core.committer.write(super::ports::store::Write::Accept(Box::new(ready.accept))).await;
        self.inner.written.notify_one();
        match written {
            Ok(Written::Accepted { turn, over_limit, .. }) => {
                match permit {
                    Some(permit) if turn => worker.start(ready.fresh, turn, over_limit, permit),
                    _ => worker.due.notify_one(),
                }
                Ok(Submitted::Accepted(id))
            }
            Ok(Written::Duplicate(Some(first))) => Ok(Submitted::Duplicate(first)),
            Ok(Written::Duplicate(None)) => {
                let detail = "the same message was rejected before".to_owned();
                Ok(Submitted::Rejected { code: "rejected_before".to_owned(), detail })
            }
            Ok(Written::KeyConflict(first)) => {
                let detail = "the same key came before with another body; a new request needs a new key".to_owned();
                self.reject(&submission, &submission.payload.clone(), &Rejection { code: "key_conflict", detail }).await?;
                Ok(Submitted::Conflict(first))
            }
            Ok(other) => Err(EngineError::Busy(format!("accepting came to {other:?}"))),
            Err(CommitError::Data(why)) => {
                let rejection = Rejection { code: "refused_by_database", detail: why };
                self.reject(&submission, &submission.payload.clone(), &rejection).await?;
                Ok(Submitted::Rejected { code: rejection.code.to_owned(), detail: rejection.detail })
            }
            Err(CommitError::Unknown(why)) => {
                self.follow_up(worker.clone(), id, permit);
                Err(EngineError::Busy(why))
            }
            Err(error) => Err(EngineError::Busy(error.to_string())),
        }
    }

    /// Nobody knows whether the request was accepted: if it was, it is ours and somebody must carry it.
    fn follow_up(&self, worker: Arc<Worker>, id: Uuid, permit: Option<tokio::sync::OwnedSemaphorePermit>) {
        let Some(permit) = permit else { return };
        let kill = worker.core.kill.clone();
        tokio::spawn(async move {
            while !kill.is_cancelled() {
                match worker.core.store.request(id).await {
                    Ok(row) if row.owner == Some(worker.core.worker) => return worker.take_up(id, permit),
                    Ok(_) | Err(StoreError::NotFound(_)) => return,
                    Err(_) => worker.core.clock.sleep(LOOK_AGAIN).await,
                }
            }
        });
    }

    /// Records a message that is no request.
    ///
    /// # Errors
    /// It could not be recorded: it must be delivered again.
    pub async fn reject(&self, submission: &Submission, raw: &[u8], rejection: &Rejection) -> Result<(), EngineError> {
        let recorded = intake::record(&self.worker().core, submission, raw, rejection).await;
        self.inner.written.notify_one();
        recorded.map_err(|error| EngineError::Busy(error.to_string()))
    }

    /// Sends a signal to a request's owner and waits for the answer. `id` makes it idempotent.
    ///
    /// # Errors
    /// The store failed, or the request does not exist.
    pub async fn send(&self, request: Uuid, id: Uuid, signal: Signal, wait: Duration) -> Result<Told, EngineError> {
        match self.inner.store.signal(id, request, &signal, self.inner.clock.now()).await {
            Ok(Sent::Ended(outcome)) => Ok(Told::Ended(outcome)),
            Ok(Sent::Stored(id)) => self.answer(request, id, wait).await,
            Err(StoreError::NotFound(what)) => Err(EngineError::NotFound(what)),
            Err(error) => Err(error.into()),
        }
    }

    async fn answer(&self, request: Uuid, signal: Uuid, wait: Duration) -> Result<Told, EngineError> {
        self.worker().ring(request);
        let deadline = tokio::time::Instant::now() + wait.min(MAX_WAIT);
        loop {
            if let Some(answer) = self.inner.store.signal_answer(signal).await? {
                return Ok(Told::Answer(answer));
            }
            let left = deadline.saturating_duration_since(tokio::time::Instant::now());
            if left.is_zero() {
                return Ok(Told::Pending);
            }
            self.inner.changes.wait(request, left.min(LOOK_AGAIN)).await;
        }
    }

    /// Acts on a review; a decision goes to the request's owner, and its answer is waited for.
    ///
    /// # Errors
    /// An ill-formed decision, or the store failed.
    pub async fn review_act(&self, review: Uuid, act: ReviewAct, id: Uuid, wait: Duration) -> Result<ReviewAnswer, EngineError> {
        let row = self.inner.store.review(review).await.map_err(|error| match error {
            StoreError::NotFound(what) => EngineError::NotFound(what),
            error => error.into(),
        })?;
        if let ReviewAct::Decide { decision, .. } = &act {
            let process = self.inner.processes.get(&row.process, row.process_version);
            let process = process.ok_or(EngineError::NotFound("process version"))?;
            let payload = self.inner.store.load(row.request).await?.payload;
            let payload = serde_json::from_slice(&payload).map_err(|error| EngineError::Invalid(error.to_string()))?;
            check_decision(&process, &row.options, Some(&payload), decision).map_err(EngineError::Invalid)?;
        }
        let put = self.inner.store.review_act(review, &act, id, self.inner.clock.now()).await?;
        let told = match &put {
            ReviewPut::Done(row, Some(signal)) => Some(self.answer(row.request, *signal, wait).await?),
            _ => None,
        };
        self.inner.changes.tell(row.request);
        Ok(ReviewAnswer { put, told })
    }

    /// Waits until something about the request may have changed, `limit` at the longest.
    pub async fn changed(&self, request: Uuid, limit: Duration) {
        self.inner.changes.wait(request, limit.min(LOOK_AGAIN)).await;
    }

    /// The address of a request's callback.
    #[must_use]
    pub fn callback_url(&self, request: Uuid, name: &str) -> String {
        self.inner.callbacks.url(request, name)
    }

    /// Is this the token of that callback?
    #[must_use]
    pub fn callback_token_fits(&self, request: Uuid, name: &str, token: &str) -> bool {
        self.inner.callbacks.fits(request, name, token)
    }

    /// Brings the requests of a group back: one first, then the others at a rate.
    ///
    /// # Errors
    /// The group is not known, a resume is under way, or the store failed.
    pub async fn resume_group(&self, group: &str, how: ResumeHow) -> Result<ControlRow, EngineError> {
        let now = self.inner.store.now().await?;
        if let Some(fingerprint) = group.strip_prefix("defect:") {
            let defect = self.inner.store.defect(fingerprint).await.map_err(not_found)?;
            if let Some(version) = how.to_version
                && self.inner.processes.get(&defect.process, version).is_none()
            {
                return Err(EngineError::Invalid(format!("{} has no version {version}", defect.process)));
            }
        } else {
            self.known_dependency(group)?;
        }
        if self.inner.store.parked_under(group, 1).await? == 0 {
            return Err(EngineError::Invalid("no request is parked there".to_owned()));
        }
        let old = self.control(group).await?;
        if old.as_ref().is_some_and(|row| matches!(row.state.as_str(), "half_open" | "resuming")) {
            return Err(EngineError::Busy("a resume of this group is under way".to_owned()));
        }
        let row = ControlRow {
            by: how.by,
            reason: "resumed".to_owned(),
            probe_at: Some(now),
            rate: how.rate.unwrap_or(DEFAULT_RATE).clamp(1, 10_000),
            to_version: how.to_version,
            since: Some(now),
            ..opened(group, "", None, old.as_ref(), now)
        };
        self.put(row).await
    }

    /// Opens a dependency's breaker by hand: it stays open until it is reset.
    ///
    /// # Errors
    /// The dependency is not known, or the store failed.
    pub async fn trip(&self, dependency: &str, by: &str, reason: &str) -> Result<ControlRow, EngineError> {
        let group = dependency_group(dependency);
        self.known_dependency(&group)?;
        let (now, old) = (self.inner.store.now().await?, self.control(&group).await?);
        self.put(ControlRow { by: by.to_owned(), ..opened(&group, reason, None, old.as_ref(), now) }).await
    }

    /// Closes a dependency's breaker; what is parked comes back, one first.
    ///
    /// # Errors
    /// The dependency is not known, or the store failed.
    pub async fn reset(&self, dependency: &str, by: &str, reason: &str) -> Result<ControlRow, EngineError> {
        let group = dependency_group(dependency);
        self.known_dependency(&group)?;
        let (now, old) = (self.inner.store.now().await?, self.control(&group).await?);
        let parked = self.inner.store.parked_under(&group, 1).await? > 0;
        let row = ControlRow { by: by.to_owned(), ..opened(&group, reason, Some(now), old.as_ref(), now) };
        let row = if parked { row } else { ControlRow { state: "closed".to_owned(), probe_at: None, ..row } };
        self.put(row).await
    }

    /// The breakers as this worker sees them.
    #[must_use]
    pub fn dependencies(&self) -> Vec<BreakerView> {
        self.inner.breakers.views(self.inner.clock.now())
    }

    /// A group's control row.
    ///
    /// # Errors
    /// The store failed.
    pub async fn control(&self, group: &str) -> Result<Option<ControlRow>, EngineError> {
        Ok(self.inner.store.controls().await?.into_iter().find(|row| row.group == group))
    }

    /// How the worker is.
    #[must_use]
    pub fn status(&self) -> Status {
        let worker = self.worker();
        let draining = self.inner.stop.is_cancelled();
        Status {
            ready: !draining && !worker.fenced.is_cancelled() && worker.core.heart.fresh(),
            draining,
            broker: self.inner.publisher.as_ref().map(|publisher| publisher.connected()),
            in_flight: worker.in_flight(),
            in_flight_limit: worker.limit(),
            worker: worker.core.worker,
            heartbeat_age: worker.core.heart.age(),
        }
    }

    fn known_dependency(&self, group: &str) -> Result<(), EngineError> {
        let name = group.strip_prefix("dependency:").unwrap_or(group);
        let known = self.inner.remote.names().iter().any(|known| known == name);
        if known { Ok(()) } else { Err(EngineError::NotFound("dependency")) }
    }

    async fn put(&self, row: ControlRow) -> Result<ControlRow, EngineError> {
        if !self.inner.store.put_control(&row).await? {
            return Err(EngineError::Busy("somebody else changed it at the same moment; look again".to_owned()));
        }
        self.inner.breakers.learn(std::slice::from_ref(&row));
        Ok(row)
    }
}

fn not_found(error: StoreError) -> EngineError {
    match error {
        StoreError::NotFound(what) => EngineError::NotFound(what),
        error => error.into(),
    }
}

/// What all incarnations are made of.
struct Shared<'a> {
    store: &'a Arc<dyn Store>,
    clock: &'a Arc<dyn Clock>,
    processes: &'a Arc<Processes>,
    remote: &'a Arc<dyn Remote>,
    breakers: &'a Arc<Breakers>,
}

impl Shared<'_> {
    async fn incarnate(
        &self,
        settings: &Settings,
        callbacks: &Arc<Callbacks>,
        changes: &Arc<Changes>,
        stop: &CancellationToken,
        kill: &CancellationToken,
    ) -> Result<Arc<Worker>, StoreError> {
        let id = self.clock.id();
        self.store.register(&worker_row(id, self.clock.now())).await?;
        let (stop, kill) = (stop.child_token(), kill.child_token());
        let committer = Committer::start(self.store.clone(), self.clock.clone(), id, kill.clone());
        let core = Core {
            store: self.store.clone(),
            clock: self.clock.clone(),
            processes: self.processes.clone(),
            caller: Caller {
                remote: self.remote.clone(),
                breakers: self.breakers.clone(),
                clock: self.clock.clone(),
                changed: publish_breaker(self.store.clone()),
            },
            committer,
            worker: id,
            stop,
            kill,
            heart: Heart::new(Some(settings.lease)),
            callbacks: callbacks.clone(),
            changes: changes.clone(),
            parked_under: std::sync::Mutex::default(),
        };
        tracing::info!(worker = %id, "worker registered");
        Ok(Worker::new(Arc::new(core), settings.in_flight))
    }
}

/// Tells the other workers what this one's breaker found. The row is advice: losing the race to another change is fine.
fn publish_breaker(store: Arc<dyn Store>) -> Arc<dyn Fn(&str, super::breaker::Change) + Send + Sync> {
    Arc::new(move |connector, change| {
        let (store, group) = (store.clone(), dependency_group(connector));
        tracing::warn!(connector, ?change, "breaker");
        tokio::spawn(async move {
            if let Err(error) = note_breaker(store.as_ref(), &group, change).await {
                tracing::warn!(group, %error, "the breaker's change could not be written");
            }
        });
    })
}

async fn note_breaker(store: &dyn Store, group: &str, change: super::breaker::Change) -> Result<(), StoreError> {
    use super::breaker::Change;
    let now = store.now().await?;
    let old = store.controls().await?.into_iter().find(|row| row.group == group);
    let state = old.as_ref().map_or("closed", |row| row.state.as_str());
    let row = match change {
        Change::Opened(until) if state != "open" => {
            ControlRow { by: "breaker".into(), ..opened(group, "calls failed in a row", Some(until), old.as_ref(), now) }
        }
        // What is parked comes back now: the group loop sends a canary and then the others.
        Change::Closed if state == "open" && store.parked_under(group, 1).await? > 0 => {
            opened(group, "answers again", Some(now), old.as_ref(), now)
        }
        Change::Closed if state == "open" => {
            let row = opened(group, "answers again", None, old.as_ref(), now);
            ControlRow { state: "closed".into(), by: "breaker".into(), ..row }
        }
        _ => return Ok(()),
    };
    store.put_control(&row).await.map(drop)
}

/// Removes what is past its window, and learns process versions that other workers published.
async fn sweep_loop(store: Arc<dyn Store>, clock: Arc<dyn Clock>, processes: Arc<Processes>, stop: CancellationToken) {
    const EVERY: Duration = Duration::from_secs(10);
    const STEP: usize = 1_000;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = clock.sleep(EVERY) => {}
        }
        if let Err(error) = processes.learn(store.as_ref()).await {
            tracing::warn!(%error, "cannot look for new process versions at the moment");
        }
        match store.sweep(clock.now(), STEP).await {
            Ok(0) => {}
            Ok(rows) => tracing::debug!(rows, "swept"),
            Err(error) => tracing::warn!(%error, "cannot sweep at the moment"),
        }
    }
}

/// Has this request come to rest or ended? For `?wait=`.
#[must_use]
pub fn settled(row: &RequestRow) -> bool {
    row.ended_at.is_some()
}

/// When the customer was promised an outcome.
#[must_use]
pub fn promise_due(row: &RequestRow, promise: Duration) -> Time {
    row.accepted_at.plus(promise)
}
