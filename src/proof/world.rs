//! A whole engine in one thread: the real intake, drives, committer and worker over a store in memory, in virtual time.
//! The world's director decides when time moves and what comes from outside; everything between is the engine's own.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::clock::VirtualClock;
use crate::domain::request::fact::Fact;
use crate::domain::request::react::check_decision;
use crate::domain::request::signal::{Decision, Signal};
use crate::domain::time::Time;
use crate::engine::breaker::Breakers;
use crate::engine::calls::Caller;
use crate::engine::committer::{CommitError, Committer};
use crate::engine::core::{Callbacks, Changes, Core, Heart};
use crate::engine::drive::replay;
use crate::engine::intake::{self, Rejection, Submission};
use crate::engine::outage::Outage;
use crate::engine::ports::clock::Clock;
use crate::engine::ports::records::{RequestFilter, RequestRow, ReviewFilter, ReviewRow};
use crate::engine::ports::remote::Remote;
use crate::engine::ports::store::{ReviewAct, ReviewPut, Sent, Store, StoreError, Write, Written};
use crate::engine::processes::Processes;
use crate::engine::worker::{Worker, worker_row};

/// The most requests that are in flight in a world.
const IN_FLIGHT: usize = 64;
/// The most requests of a world that are looked after.
const MAX_REQUESTS: usize = 10_000;

/// Why a world could not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// The message is no request.
    #[error("the request was rejected ({}): {}", .0.code, .0.detail)]
    Rejected(Rejection),
    /// A decision that the engine does not look at.
    #[error("the decision is not well formed: {0}")]
    Decision(String),
    /// No such question is open.
    #[error("the review `{0}` is not open")]
    NotAsked(String),
    /// The write failed.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An answer that cannot be.
    #[error("{0}")]
    Odd(String),
}

/// What a world is made of.
pub struct Parts {
    /// Time.
    pub clock: Arc<VirtualClock>,
    /// Durable state; outlives the worker.
    pub store: Arc<dyn Store>,
    /// Remote systems.
    pub remote: Arc<dyn Remote>,
    /// The known processes.
    pub processes: Arc<Processes>,
}

/// An engine with one incarnation of a worker. Lives inside [`super::clock::run`].
pub struct World {
    /// Time.
    pub clock: Arc<VirtualClock>,
    /// Durable state.
    pub store: Arc<dyn Store>,
    /// The incarnation at work.
    pub worker: Arc<Worker>,
    sent: u32,
}

impl World {
    /// Registers an incarnation. A second world over the same store is a second worker.
    ///
    /// # Errors
    /// The store failed.
    pub async fn begin(parts: Parts) -> Result<World, WorldError> {
        let Parts { clock, store, remote, processes } = parts;
        let id = clock.id();
        store.register(&worker_row(id, clock.now())).await?;
        let kill = CancellationToken::new();
        let committer = Committer::start(store.clone(), clock.clone(), id, kill.clone(), None);
        let core = Core {
            store: store.clone(),
            clock: clock.clone(),
            processes,
            caller: Caller {
                breakers: Arc::new(Breakers::new(remote.clone())),
                remote,
                clock: clock.clone(),
                changed: Arc::new(|_, _| {}),
            },
            committer,
            outgoing: None,
            worker: id,
            stop: CancellationToken::new(),
            kill,
            heart: Heart::new(None, clock.steady()),
            callbacks: Arc::new(Callbacks::new("https://mozhao.example", b"test".to_vec())),
            changes: Arc::new(Changes::default()),
            looked_for_parked: Mutex::default(),
            outage: Outage::default(),
        };
        Ok(World { clock, store, worker: Worker::new(Arc::new(core), IN_FLIGHT), sent: 0 })
    }

    /// A message with this payload, under a key of its own.
    pub fn submission(&mut self, process: &str, payload: &serde_json::Value) -> Submission {
        self.sent += 1;
        Submission {
            producer: "test".to_owned(),
            message: Some(format!("m{}", self.sent)),
            channel: "test".to_owned(),
            process: process.to_owned(),
            payload: Bytes::from(payload.to_string()).into(),
            reply_to: None,
            correlation: None,
            traceparent: None,
        }
    }

    /// Takes a message in as the engine does, and starts its request. `run_now` is false for one that is only stored.
    ///
    /// # Errors
    /// It was rejected, or could not be stored.
    pub async fn accept(&self, submission: &Submission, run_now: bool) -> Result<Uuid, WorldError> {
        let core = &self.worker.core;
        let permit = self.worker.try_permit().filter(|_| run_now);
        let ready = intake::prepare(core, &mut submission.clone(), permit.is_some()).map_err(WorldError::Rejected)?;
        let id = ready.fresh.state.id;
        match core.committer.write(Write::Accept(Box::new(ready.accept))).await? {
            Written::Accepted { turn, over_limit } => {
                if let Some(permit) = permit.filter(|_| turn) {
                    self.worker.start(ready.fresh, turn, over_limit, permit);
                }
                Ok(id)
            }
            Written::Duplicate(first) => Ok(first),
            other => Err(WorldError::Odd(format!("accepting came to {other:?}"))),
        }
    }

    /// Sends a signal to a request's owner.
    ///
    /// # Errors
    /// The store failed.
    pub async fn signal(&self, request: Uuid, signal: &Signal) -> Result<(Uuid, Sent), WorldError> {
        let id = self.clock.id();
        let sent = self.store.signal(id, request, signal, self.clock.now()).await?;
        self.worker.ring(request);
        Ok((id, sent))
    }

    /// Decides the open review of this name, as a reviewer does who has just looked at it.
    ///
    /// # Errors
    /// It is not open, or the decision is not well formed.
    pub async fn decide(&self, request: Uuid, review: &str, mut decision: Decision) -> Result<ReviewPut, WorldError> {
        let row = self.open_review(request, review).await?.ok_or_else(|| WorldError::NotAsked(review.to_owned()))?;
        decision.review = row.id;
        let process = self.worker.core.processes.get(&row.process, row.process_version);
        let process = process.ok_or_else(|| WorldError::Odd("the review's process is not known".to_owned()))?;
        let state = replay(&self.store.load(request).await?).map_err(|error| WorldError::Odd(error.to_string()))?;
        check_decision(&process, &row.options, Some(&state), &decision).map_err(WorldError::Decision)?;
        let act = ReviewAct::Decide { version: row.version, decision };
        let put = self.store.review_act(row.id, &act, self.clock.id(), self.clock.now()).await?;
        self.worker.ring(request);
        Ok(put)
    }

    /// The request's open review of this name.
    ///
    /// # Errors
    /// The store failed.
    pub async fn open_review(&self, request: Uuid, name: &str) -> Result<Option<ReviewRow>, WorldError> {
        let filter = ReviewFilter {
            request: Some(request),
            name: Some(name.to_owned()),
            states: vec!["open".to_owned()],
            ..ReviewFilter::default()
        };
        Ok(self.store.reviews(&filter, None, 1).await?.pop())
    }

    /// Lets everything happen that is due by `until`, and moves the clock there.
    ///
    /// # Errors
    /// The store failed.
    pub async fn run_until(&self, until: Time) -> Result<(), WorldError> {
        self.run_while(until, || true).await
    }

    /// The same, but stops where it is as soon as `go_on` is false.
    ///
    /// # Errors
    /// The store failed.
    pub async fn run_while(&self, until: Time, go_on: impl Fn() -> bool) -> Result<(), WorldError> {
        loop {
            self.clock.quiet().await;
            if !go_on() {
                return Ok(());
            }
            if self.worker.claim_due().await > 0 {
                continue;
            }
            let due = self.next_due().await?;
            // What is due now and was not claimed waits for its turn: time passes until then.
            let due = due.filter(|at| *at > self.clock.now());
            let next = [due, self.clock.next_waking()].into_iter().flatten().min();
            match next.filter(|at| *at <= until) {
                Some(at) => self.clock.advance_to(at),
                None => break,
            }
        }
        self.clock.advance_to(until);
        Ok(())
    }

    /// Lets what is in flight come to rest: calls that take time, pauses that are waited out in memory. Stops where
    /// something waits that nobody will wake.
    pub async fn settle(&self) {
        loop {
            self.clock.quiet().await;
            match self.clock.next_waking().filter(|_| self.worker.in_flight() > 0) {
                Some(at) => self.clock.advance_to(at),
                None => return,
            }
        }
    }

    /// Runs for a length of time, and lets come to rest what is in flight then.
    ///
    /// # Errors
    /// The store failed.
    pub async fn run_for(&self, length: Duration) -> Result<(), WorldError> {
        self.run_until(self.clock.now().plus(length)).await?;
        self.settle().await;
        Ok(())
    }

    /// When the next request is due that rests.
    async fn next_due(&self) -> Result<Option<Time>, WorldError> {
        let open = ["queued", "running", "waiting", "parked", "in_review"].map(str::to_owned).to_vec();
        let filter = RequestFilter { states: open, ..RequestFilter::default() };
        let rows = self.store.requests(&filter, None, MAX_REQUESTS).await?;
        Ok(rows.iter().filter(|row| row.owner.is_none()).filter_map(|row| row.wake_at).min())
    }

    /// A request's row.
    ///
    /// # Errors
    /// The store failed.
    pub async fn row(&self, request: Uuid) -> Result<RequestRow, WorldError> {
        Ok(self.store.request(request).await?)
    }

    /// A request's ledger as facts with their times. The chain is verified.
    ///
    /// # Errors
    /// The store failed, or the ledger is damaged.
    pub async fn facts(&self, request: Uuid) -> Result<Vec<(Time, Fact)>, WorldError> {
        let loaded = self.store.load(request).await?;
        let odd = |error: crate::domain::request::chain::ChainError| WorldError::Odd(error.to_string());
        crate::domain::request::chain::verify(request, &loaded.entries).map_err(odd)?;
        loaded.entries.iter().map(|entry| Ok((entry.at, entry.fact().map_err(odd)?))).collect()
    }
}
