//! Starting, working, stopping: the loop that keeps an incarnation at work.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::groups::publish_breaker;
use super::{Engine, Inner, Parts, Settings};
use crate::engine::breaker::Breakers;
use crate::engine::calls::Caller;
use crate::engine::clock::Aligned;
use crate::engine::committer::Committer;
use crate::engine::core::{Callbacks, Changes, Core, Heart};
use crate::engine::outage::Outage;
use crate::engine::ports::clock::{Clock, within};
use crate::engine::ports::remote::Remote;
use crate::engine::ports::store::{Store, StoreError};
use crate::engine::processes::{Processes, ProcessesError};
use crate::engine::relay::{Outgoing, Relay};
use crate::engine::worker::{Worker, worker_row};

impl Engine {
    /// Publishes the processes, registers the worker and makes it ready; [`Engine::run`] sets it to work.
    ///
    /// # Errors
    /// The processes have errors, or the store failed.
    pub async fn start(parts: Parts) -> Result<Engine, ProcessesError> {
        Engine::start_knowing(parts, Processes::default()).await
    }

    /// The same, where some published versions are known already and need not be read.
    ///
    /// # Errors
    /// As [`Engine::start`].
    pub async fn start_knowing(parts: Parts, processes: Processes) -> Result<Engine, ProcessesError> {
        let Parts { store, remote, publisher, clock, settings } = parts;
        let aligned = Arc::new(Aligned::new(clock));
        align(&aligned, store.as_ref()).await?;
        let clock: Arc<dyn Clock> = aligned.clone();
        let processes = Arc::new(processes);
        processes.load(store.as_ref(), settings.processes.as_deref(), &remote.names(), clock.now()).await?;
        let fresh: [u8; 32] = rand::random();
        let secret = store.setting("callback_secret", &fresh).await?;
        let callbacks = Arc::new(Callbacks::new(&settings.public_url, secret));
        let breakers = Arc::new(Breakers::new(remote.clone()));
        breakers.learn(&store.controls().await?);
        let (stop, kill) = (CancellationToken::new(), CancellationToken::new());
        let changes = Arc::new(Changes::default());
        let publishes = publisher.is_some();
        let shared =
            Shared { store: &store, clock: &clock, processes: &processes, remote: &remote, breakers: &breakers, publishes };
        let worker = shared.incarnate(&settings, &callbacks, &changes, &stop, &kill).await?;
        if store.kind() == "sqlite" {
            // The lock on the file is ours: whoever else has a row is gone, and its requests need not wait for the lease.
            store.rescue(worker.core.worker, Duration::ZERO).await?;
        }
        let worker = RwLock::new(worker);
        let inner = Inner {
            store,
            remote,
            publisher,
            clock,
            aligned,
            settings,
            processes,
            breakers,
            callbacks,
            changes,
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
                publishes: inner.publisher.is_some(),
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
        tasks.spawn(align_loop(inner.aligned.clone(), inner.store.clone(), lease / 5, over.clone()));
        tasks.spawn(worker.clone().claim_loop());
        tasks.spawn(worker.clone().rescue_loop(lease));
        tasks.spawn(worker.clone().group_loop());
        tasks.spawn(worker.clone().audit_loop());
        tasks.spawn(sweep_loop(inner.clone(), over.clone()));
        if let (Some(publisher), Some(outgoing)) = (&inner.publisher, &worker.core.outgoing) {
            let (store, clock, worker) = (inner.store.clone(), inner.clock.clone(), worker.core.worker);
            let relay = Relay { store, clock, publisher: publisher.clone(), worker, outgoing: outgoing.clone() };
            tasks.spawn(relay.run(over.clone()));
        } else {
            let (store, clock, worker) = (inner.store.clone(), inner.clock.clone(), worker.core.worker);
            tasks.spawn(feed_only(store, clock, worker, over.clone()));
        }
        tokio::select! {
            biased;
            () = inner.stop.cancelled() => {}
            () = worker.fenced.cancelled() => worker.core.kill.cancel(),
            () = inner.kill.cancelled() => worker.core.kill.cancel(),
        }
        let fenced = worker.fenced.is_cancelled();
        worker.core.stop.cancel();
        // What a fenced incarnation still carries cannot be written: it ends by itself, and the next incarnation does not wait for it.
        let drain = if fenced { Duration::ZERO } else { inner.settings.drain };
        tokio::select! {
            biased;
            _ = worker.drained(drain) => {}
            () = inner.kill.cancelled() => {}
        }
        worker.core.kill.cancel();
        over.cancel();
        if !fenced && let Err(error) = inner.store.deregister(worker.core.worker).await {
            tracing::warn!(%error, "the worker's row stays; another worker takes over after the lease");
        }
        beating.cancel();
        tasks.close();
        within(inner.clock.as_ref(), Duration::from_secs(5), tasks.wait()).await;
        !fenced || inner.stop.is_cancelled()
    }
}

/// What all incarnations are made of.
struct Shared<'a> {
    store: &'a Arc<dyn Store>,
    clock: &'a Arc<dyn Clock>,
    processes: &'a Arc<Processes>,
    remote: &'a Arc<dyn Remote>,
    breakers: &'a Arc<Breakers>,
    /// There is a broker.
    publishes: bool,
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
        let outgoing = self.publishes.then(Arc::<Outgoing>::default);
        let committer = Committer::start(self.store.clone(), self.clock.clone(), id, kill.clone(), outgoing.clone());
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
            outgoing,
            worker: id,
            stop,
            kill,
            heart: Heart::new(Some(settings.lease), self.clock.steady()),
            callbacks: callbacks.clone(),
            changes: changes.clone(),
            looked_for_parked: std::sync::Mutex::default(),
            outage: Outage::default(),
        };
        tracing::info!(worker = %id, "worker registered");
        Ok(Worker::new(Arc::new(core), settings.in_flight))
    }
}

/// Without a broker events are for the feed only: nobody is going to publish them.
async fn feed_only(store: Arc<dyn Store>, clock: Arc<dyn Clock>, worker: Uuid, stop: CancellationToken) {
    const EVERY: Duration = Duration::from_secs(10);
    loop {
        let last = tokio::select! {
            biased;
            () = stop.cancelled() => true,
            () = clock.sleep(EVERY) => false,
        };
        if let Err(error) = store.publish_none(worker).await {
            tracing::warn!(%error, "events that nobody publishes still wait to be published");
        }
        if last {
            return;
        }
    }
}

/// Sets our clock by the database's.
async fn align(clock: &Aligned, store: &dyn Store) -> Result<(), StoreError> {
    let asked = clock.machine();
    let database = store.now().await?;
    if clock.align(asked, database) {
        let seconds = clock.difference() / 1_000_000;
        tracing::warn!(seconds, "this machine's clock and the database's differ; the database's counts");
    }
    Ok(())
}

async fn align_loop(clock: Arc<Aligned>, store: Arc<dyn Store>, every: Duration, stop: CancellationToken) {
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = clock.sleep(every) => {}
        }
        // The heartbeat says it when the database is away.
        drop(align(&clock, store.as_ref()).await);
    }
}

/// Removes what is past its window, and learns process versions that other workers published.
async fn sweep_loop(inner: Arc<Inner>, stop: CancellationToken) {
    const EVERY: Duration = Duration::from_secs(10);
    const STEP: usize = 1_000;
    /// At most so many steps in a row: what comes in faster than this is swept when it is quieter.
    const STEPS: usize = 50;
    let outage = Outage::default();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = inner.clock.sleep(EVERY) => {}
        }
        match inner.processes.learn(inner.store.as_ref()).await {
            Ok(()) => {}
            Err(ProcessesError::Store(error)) => outage.failed("cannot look for new process versions", &error),
            Err(error) => tracing::warn!(%error, "cannot look for new process versions"),
        }
        for _ in 0..STEPS {
            match inner.store.sweep(inner.clock.now(), &inner.settings.keep, STEP).await {
                Ok(rows) => {
                    outage.worked();
                    tracing::debug!(rows, "swept");
                    if usize::try_from(rows).is_ok_and(|rows| rows < STEP) {
                        break;
                    }
                }
                Err(error) => {
                    outage.failed("cannot sweep", &error);
                    break;
                }
            }
            if stop.is_cancelled() {
                return;
            }
        }
    }
}
