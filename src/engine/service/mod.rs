//! The engine as the rest of the program sees it: what the API, the queue and the command line call, and the loop that
//! keeps an incarnation at work.

mod groups;
mod intake;
mod review;
mod run;
mod sink;

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::breaker::{BreakerView, Breakers};
use super::clock::Aligned;
use super::core::{Callbacks, Changes};
pub use super::intake::{Payload, Submission, Submitted};
use super::ports::broker::Publisher;
use super::ports::clock::Clock;
use super::ports::records::{Retention, outcome};
use super::ports::remote::Remote;
use super::ports::store::{Sent, Store, StoreError};
use super::processes::Processes;
use super::worker::Worker;
use crate::domain::request::signal::Signal;
use crate::domain::time::Time;
pub use review::{Acted, ReviewAnswer};

/// How often a waiter looks again when it hears nothing: changes by other workers are not heard.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// The longest that anybody waits for an answer.
const MAX_WAIT: Duration = Duration::from_mins(1);

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
    /// Names that begin so are our own queues: no outcome is sent there.
    pub own_names: String,
    /// The most requests in flight.
    pub in_flight: usize,
    /// After this long without a heartbeat another worker takes over.
    pub lease: Duration,
    /// How long a stop waits for requests in flight.
    pub drain: Duration,
    /// How long things are kept.
    pub keep: Retention,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            processes: None,
            public_url: "http://127.0.0.1:8080".to_owned(),
            own_names: "mozhao.".to_owned(),
            in_flight: 512,
            lease: Duration::from_secs(10),
            drain: Duration::from_secs(20),
            keep: Retention::default(),
        }
    }
}

struct Inner {
    store: Arc<dyn Store>,
    remote: Arc<dyn Remote>,
    publisher: Option<Arc<dyn Publisher>>,
    clock: Arc<dyn Clock>,
    /// The same clock, to be set by the database's.
    aligned: Arc<Aligned>,
    settings: Settings,
    processes: Arc<Processes>,
    breakers: Arc<Breakers>,
    callbacks: Arc<Callbacks>,
    changes: Arc<Changes>,
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

    /// Sends a signal to a request's owner and waits for the answer. `id` makes it idempotent.
    ///
    /// # Errors
    /// The store failed, or the request does not exist.
    pub async fn send(&self, request: Uuid, id: Uuid, signal: Signal, wait: Duration) -> Result<Told, EngineError> {
        self.deliver(request, id, signal, self.inner.clock.now(), wait).await
    }

    /// The same as of this time, and without waiting.
    ///
    /// # Errors
    /// There is no such request, or the store failed.
    pub async fn send_at(&self, request: Uuid, id: Uuid, signal: Signal, at: Time) -> Result<Told, EngineError> {
        self.deliver(request, id, signal, at, Duration::ZERO).await
    }

    async fn deliver(&self, request: Uuid, id: Uuid, signal: Signal, at: Time, wait: Duration) -> Result<Told, EngineError> {
        match self.inner.store.signal(id, request, &signal, at).await {
            Ok(Sent::Ended(outcome)) => Ok(Told::Ended(outcome)),
            Ok(Sent::Stored(id)) => self.answer(request, id, wait).await,
            Err(StoreError::NotFound(what)) => Err(EngineError::NotFound(what)),
            Err(error) => Err(error.into()),
        }
    }

    async fn answer(&self, request: Uuid, signal: Uuid, wait: Duration) -> Result<Told, EngineError> {
        self.worker().ring(request);
        let clock = self.inner.clock.as_ref();
        let deadline = clock.steady() + wait.min(MAX_WAIT);
        loop {
            let left = deadline.saturating_sub(clock.steady());
            let changed = self.inner.changes.wait(clock, request, left.min(LOOK_AGAIN));
            // The row first: what ends the request also answers what its owner knew of. Whatever came in between stays unanswered.
            let ended = outcome(&self.inner.store.request(request).await?.state);
            if let Some(answer) = self.inner.store.signal_answer(signal).await? {
                return Ok(Told::Answer(answer));
            }
            if let Some(ended) = ended {
                return Ok(Told::Ended(ended));
            }
            if left.is_zero() {
                return Ok(Told::Pending);
            }
            changed.await;
        }
    }

    /// Waits until something about the request may have changed, `limit` at the longest. Listens from the call on: call it,
    /// look, and wait then.
    pub fn changed(&self, request: Uuid, limit: Duration) -> impl Future<Output = ()> + '_ {
        self.inner.changes.wait(self.inner.clock.as_ref(), request, limit.min(LOOK_AGAIN))
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

    /// The breakers as this worker sees them.
    #[must_use]
    pub fn dependencies(&self) -> Vec<BreakerView> {
        self.inner.breakers.views(self.inner.clock.now())
    }

    /// How the worker is.
    #[must_use]
    pub fn status(&self) -> Status {
        let worker = self.worker();
        let draining = self.inner.stop.is_cancelled();
        Status {
            ready: !draining && !worker.fenced.is_cancelled() && worker.core.heart.fresh(self.inner.clock.steady()),
            draining,
            broker: self.inner.publisher.as_ref().map(|publisher| publisher.connected()),
            in_flight: worker.in_flight(),
            in_flight_limit: worker.limit(),
            worker: worker.core.worker,
            heartbeat_age: worker.core.heart.age(self.inner.clock.steady()),
        }
    }
}

fn not_found(error: StoreError) -> EngineError {
    match error {
        StoreError::NotFound(what) => EngineError::NotFound(what),
        error => error.into(),
    }
}
