//! A worker: one process that carries requests. It lives as a sequence of incarnations; each holds a row with a
//! heartbeat, and when that row is gone another worker has taken over: everything in memory is dropped and a new
//! incarnation starts.

mod loops;

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::{Notify, OwnedSemaphorePermit, RwLock, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::core::Core;
use super::drive::{Drive, DriveError, Mailbox};
use super::intake::Fresh;
use super::ports::clock::within;
use super::ports::records::{DefectRow, RequestRow, WorkerRow};
use super::ports::store::{Advance, RequestId, SUSPECT, StoreError, Summary, Write};
use crate::domain::request::fact::{Cause, FailureClass};
use crate::domain::time::Time;
use crate::domain::triage::fingerprint;
use crate::faults::bug;

/// A request under which this many workers died is parked.
const POISON: u32 = 3;
/// When a request that this worker cannot carry is looked at again.
const LATER: Duration = Duration::from_secs(30);

/// One incarnation at work.
pub struct Worker {
    /// What its drives share.
    pub core: Arc<Core>,
    /// Declared dead by another worker.
    pub fenced: CancellationToken,
    /// Rung when requests may be due.
    pub due: Arc<Notify>,
    permits: Arc<Semaphore>,
    in_flight: usize,
    running: Mutex<HashMap<RequestId, Arc<Mailbox>>>,
    tasks: TaskTracker,
    /// Suspects hold it alone, everybody else together.
    alone: Arc<RwLock<()>>,
}

/// Where a drive starts from.
enum Start {
    Stored,
    Fresh { fresh: Box<Fresh>, turn: bool, over_limit: bool },
}

impl Worker {
    /// A worker with room for `in_flight` requests.
    #[must_use]
    pub fn new(core: Arc<Core>, in_flight: usize) -> Arc<Worker> {
        Arc::new(Worker {
            core,
            fenced: CancellationToken::new(),
            due: Arc::new(Notify::new()),
            permits: Arc::new(Semaphore::new(in_flight)),
            in_flight,
            running: Mutex::default(),
            tasks: TaskTracker::new(),
            alone: Arc::default(),
        })
    }

    /// How many requests are in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight - self.permits.available_permits().min(self.in_flight)
    }

    /// Room for one more request; waits for it.
    pub async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        self.permits.clone().acquire_owned().await.ok()
    }

    /// Room for one more request, if there is any.
    #[must_use]
    pub fn try_permit(&self) -> Option<OwnedSemaphorePermit> {
        self.permits.clone().try_acquire_owned().ok()
    }

    /// Tells the request's drive, if it runs here, that signals have come; else the claim loop.
    pub fn ring(&self, request: RequestId) {
        if !self.rang(request) {
            self.due.notify_one();
        }
    }

    /// Rings the request's drive, if it runs here. Under the lock: a drive that ends looks into its mailbox under it, too.
    fn rang(&self, request: RequestId) -> bool {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.get(&request).map(|mailbox| mailbox.ring()).is_some()
    }

    /// Starts a request that was just accepted.
    pub fn start(self: &Arc<Self>, fresh: Fresh, turn: bool, over_limit: bool, permit: OwnedSemaphorePermit) {
        let id = fresh.state.id;
        self.spawn(id, Start::Fresh { fresh: Box::new(fresh), turn, over_limit }, permit);
    }

    /// Takes up a request that is this worker's in the database.
    pub fn take_up(self: &Arc<Self>, request: RequestId, permit: OwnedSemaphorePermit) {
        self.spawn(request, Start::Stored, permit);
    }

    fn spawn(self: &Arc<Self>, request: RequestId, start: Start, permit: OwnedSemaphorePermit) {
        let mailbox = Arc::new(Mailbox::default());
        {
            let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(other) = running.get(&request) {
                other.ring();
                return;
            }
            running.insert(request, mailbox.clone());
        }
        let worker = self.clone();
        // On the heap before it is handed over: a task is moved several times, and a drive has ten kilobytes.
        let drive = Box::pin(self.clone().drive(request, start, mailbox.clone()));
        self.tasks.spawn(async move {
            let ended = match AssertUnwindSafe(drive).catch_unwind().await {
                Ok(ended) => ended,
                // Whatever it held is gone with it: the request is read anew.
                Err(_) => Box::pin(worker.panicked(request)).await,
            };
            let rung = {
                let mut running = worker.running.lock().unwrap_or_else(PoisonError::into_inner);
                running.remove(&request);
                mailbox.take()
            };
            if rung {
                // Somebody rang after the drive had looked for the last time: the claim loop, which has made the request
                // ours again, or a sender, for whom it is still to be claimed.
                worker.take_up(request, permit);
                worker.due.notify_one();
            } else if bug("permit_leaked") {
                permit.forget();
            } else {
                drop(permit);
            }
            if ended {
                // Its lane's next request may be due.
                worker.due.notify_one();
            }
        });
    }

    /// True where something else may be due now.
    async fn drive(self: Arc<Self>, request: RequestId, start: Start, mailbox: Arc<Mailbox>) -> bool {
        let result = match start {
            Start::Fresh { fresh, turn, over_limit } => {
                let _together = self.alone.read().await;
                Drive::fresh(self.core.clone(), *fresh, turn, over_limit, mailbox).run(Vec::new()).await
            }
            Start::Stored => Box::pin(self.drive_stored(request, mailbox)).await,
        };
        match result {
            Ok(state) => state.ending().is_some(),
            Err(error) => {
                Box::pin(self.trouble(request, &error)).await;
                true
            }
        }
    }

    async fn drive_stored(
        &self,
        request: RequestId,
        mailbox: Arc<Mailbox>,
    ) -> Result<crate::domain::request::state::State, DriveError> {
        let loaded = loop {
            match self.core.store.load(request).await {
                Ok(loaded) => break loaded,
                Err(StoreError::Transient(_) | StoreError::Unknown(_)) if !self.core.stop.is_cancelled() => {
                    self.core.clock.sleep(Duration::from_millis(250)).await;
                }
                Err(error) => return Err(error.into()),
            }
        };
        if loaded.row.owner != Some(self.core.worker) {
            return Err(DriveError::Lost);
        }
        let (deaths, signals) = (loaded.row.deaths, loaded.signals.clone());
        let mut drive = Drive::load(self.core.clone(), loaded, mailbox)?;
        if deaths > POISON && !signals.is_empty() {
            // They were taken in alone, and the worker died again: of one of them, or of what followed.
            drive.refuse(signals, "workers died when they took this in: it was not applied").await?;
            return drive.park_poisoned(format!("workers died while they carried it, {deaths} times in a row")).await;
        }
        if deaths >= POISON && signals.is_empty() {
            return drive.park_poisoned(format!("workers died while they carried it, {POISON} times in a row")).await;
        }
        if deaths >= SUSPECT {
            let _alone = self.alone.write().await;
            return drive.run(signals).await;
        }
        let _together = self.alone.read().await;
        drive.run(signals).await
    }

    /// What becomes of a request whose drive failed.
    async fn trouble(&self, request: RequestId, error: &DriveError) {
        let cause = |code: &str| Cause {
            class: FailureClass::Broken,
            code: code.to_owned(),
            connector: None,
            status: None,
            detail: error.to_string(),
        };
        match error {
            DriveError::Lost => tracing::debug!(%request, "the request is not this worker's any more"),
            DriveError::Fenced => self.fenced.cancel(),
            DriveError::Stopped(why) => tracing::info!(%request, why, "left where it is"),
            DriveError::Store(error) => {
                tracing::warn!(%request, %error, "the request cannot be carried at the moment");
                self.set_aside(request, None).await;
            }
            DriveError::NoProcess { .. } => {
                tracing::warn!(%request, %error, "the request waits for a worker that knows its process");
                // A waiting signal makes it due again at once: not faster than this.
                self.core.clock.sleep(Duration::from_secs(1)).await;
                self.set_aside(request, None).await;
            }
            DriveError::Chain(_) => self.set_aside(request, Some(cause("ledger"))).await,
            DriveError::Illegal(_) | DriveError::Circles => self.set_aside(request, Some(cause("state"))).await,
            DriveError::Payload(_) => self.set_aside(request, Some(cause("payload"))).await,
            DriveError::Data(_) => self.set_aside(request, Some(cause("data"))).await,
        }
    }

    /// The drive panicked: the request is parked under the defect, by the ledger if that can be read.
    async fn panicked(&self, request: RequestId) -> bool {
        tracing::error!(%request, "the request's drive panicked");
        let parked = async {
            let loaded = self.core.store.load(request).await?;
            if loaded.row.owner != Some(self.core.worker) {
                return Err(DriveError::Lost);
            }
            Drive::load(self.core.clone(), loaded, Arc::default())?.park_poisoned("the worker panicked".to_owned()).await
        };
        if let Err(error) = parked.await {
            self.trouble(request, &error).await;
        }
        true
    }

    /// Gives a request up without touching its ledger: to be looked at later, or parked under a defect of ours.
    async fn set_aside(&self, request: RequestId, cause: Option<Cause>) {
        let row = match self.core.store.request(request).await {
            Ok(row) if row.owner == Some(self.core.worker) => row,
            Ok(_) => return,
            Err(error) => {
                // It stays ours in the database; the audit of owned requests finds it.
                tracing::warn!(%request, %error, "cannot give the request up at the moment");
                return;
            }
        };
        let now = self.core.clock.now();
        let advance = aside(&row, cause, now);
        if let Err(error) = self.core.committer.write(Write::Advance(Box::new(advance))).await {
            tracing::warn!(%request, %error, "cannot give the request up at the moment");
        }
    }

    /// Waits until every drive has come to a safe point, `limit` at the longest.
    pub async fn drained(&self, limit: Duration) -> bool {
        self.tasks.close();
        within(self.core.clock.as_ref(), limit, self.tasks.wait()).await.is_some()
    }

    /// How many requests it holds at most.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.in_flight
    }
}

/// This process's worker row.
#[must_use]
pub fn worker_row(id: Uuid, now: Time) -> WorkerRow {
    let host = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    let host = host.trim();
    let name = format!("{}:{}", if host.is_empty() { "host" } else { host }, std::process::id());
    WorkerRow { id, name, version: env!("CARGO_PKG_VERSION").to_owned(), started_at: now, heartbeat_at: now }
}

/// The write that gives a request up without an entry.
fn aside(row: &RequestRow, cause: Option<Cause>, now: Time) -> Advance {
    let state = match (row.state.as_str(), &cause) {
        (_, Some(_)) => "parked",
        ("queued", None) => "queued",
        ("parked", None) => "parked",
        ("in_review", None) => "in_review",
        _ => "waiting",
    };
    let slot = row.step.clone().unwrap_or_else(|| "worker".to_owned());
    let defect = cause.map(|cause| {
        let print = fingerprint(&row.process, &slot, &cause);
        DefectRow {
            fingerprint: print.hex,
            process: row.process.clone(),
            version: row.version,
            slot: slot.clone(),
            connector: None,
            class: "broken".to_owned(),
            code: cause.code,
            status: None,
            pattern: print.pattern,
            detail: cause.detail,
            sample: row.id,
            count: 1,
            first_seen: now,
            last_seen: now,
        }
    });
    let parked = defect.as_ref().map(|defect| format!("defect:{}", defect.fingerprint)).or_else(|| row.parked.clone());
    Advance {
        request: row.id,
        expect_seq: row.seq,
        entries: Vec::new(),
        summary: Summary {
            seq: row.seq,
            head: row.head,
            version: row.version,
            state,
            step: Some(slot),
            reason: defect.as_ref().map(|defect| defect.code.clone()).or_else(|| row.reason.clone()),
            parked: parked.filter(|_| state == "parked"),
            review: row.review,
            owned: false,
            wake_at: defect.is_none().then(|| now.plus(LATER)),
            ended_at: None,
            person: row.person,
            at: now,
        },
        seen: if state == "parked" { row.signalled } else { row.seen },
        quiet: false,
        consumed: Vec::new(),
        review: None,
        defect,
        payload: None,
        events: Vec::new(),
    }
}
