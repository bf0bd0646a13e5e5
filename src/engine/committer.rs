//! The group committer: all writers of one worker share it. It takes whatever is queued when the previous commit
//! ends, writes it in one transaction and answers each writer, so under load commits per request fall far below
//! one, and an idle worker never waits for a timer.
//!
//! Events of what was committed go to the relay at once, without being read back.
//!
//! Failures are sorted here: a transient one is tried again for as long as the worker may write; a refused value
//! is bisected until it stands alone; an unknown one is told to every writer, who reads the head again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::outage::Outage;
use super::ports::clock::Clock;
use super::ports::store::{Store, StoreError, WorkerId, Write, Written};
use super::relay::Outgoing;

/// The most writes in one transaction.
const MAX_BATCH: usize = 256;
/// The most writes that wait; more wait at the sender.
const MAX_QUEUED: usize = 1_024;
/// The longest pause between two tries of a transient failure.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// Why a write was not answered by the store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// The worker was declared dead: it forgets everything and starts anew.
    #[error("this worker was declared dead")]
    Fenced,
    /// The write may or may not have happened: read again.
    #[error("it is not known whether the write happened: {0}")]
    Unknown(String),
    /// The database refuses a value of this write.
    #[error("the database refused the data: {0}")]
    Data(String),
    /// The worker stops, or the database is broken beyond another try.
    #[error("the write was not made: {0}")]
    Stopped(String),
}

struct Item {
    write: Write,
    answer: oneshot::Sender<Result<Written, CommitError>>,
}

/// A handle on the committer of one worker incarnation.
#[derive(Clone)]
pub struct Committer {
    queue: mpsc::Sender<Item>,
}

impl Committer {
    /// Starts the committer's task. It ends when every handle is gone or `stop` is cancelled. `outgoing`: the relay, where
    /// there is one.
    #[must_use]
    pub fn start(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        worker: WorkerId,
        stop: CancellationToken,
        outgoing: Option<Arc<Outgoing>>,
    ) -> Committer {
        let (queue, items) = mpsc::channel(MAX_QUEUED);
        tokio::spawn(Task { store, clock, worker, stop, outgoing, outage: Outage::default() }.run(items));
        Committer { queue }
    }

    /// Writes; returns once the transaction that holds the write has committed.
    ///
    /// # Errors
    /// See [`CommitError`].
    pub async fn write(&self, write: Write) -> Result<Written, CommitError> {
        let (answer, answered) = oneshot::channel();
        let stopped = || CommitError::Stopped("the worker stops".into());
        self.queue.send(Item { write, answer }).await.map_err(|_| stopped())?;
        // Once queued it may be written: without an answer nobody knows.
        answered.await.map_err(|_| CommitError::Unknown("the worker stopped in between".into()))?
    }
}

struct Task {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    worker: WorkerId,
    stop: CancellationToken,
    outgoing: Option<Arc<Outgoing>>,
    outage: Outage,
}

impl Task {
    async fn run(self, mut items: mpsc::Receiver<Item>) {
        let mut batch = Vec::with_capacity(MAX_BATCH);
        loop {
            let taken = tokio::select! {
                biased;
                () = self.stop.cancelled() => 0,
                taken = items.recv_many(&mut batch, MAX_BATCH) => taken,
            };
            if taken == 0 {
                return;
            }
            let (writes, answers): (Vec<_>, Vec<_>) = batch.drain(..).map(|item| (item.write, item.answer)).unzip();
            metrics::histogram!("mozhao_commit_batch").record(f64::from(u32::try_from(taken).unwrap_or(u32::MAX)));
            let results = self.commit(&writes).await;
            if let Some(outgoing) = &self.outgoing {
                outgoing.hand_over(writes, &results);
            }
            for (answer, result) in answers.into_iter().zip(results) {
                // A writer that is gone does not want to know.
                drop(answer.send(result));
            }
        }
    }

    /// One answer per write.
    async fn commit(&self, writes: &[Write]) -> Vec<Result<Written, CommitError>> {
        let mut pause = Duration::from_millis(20);
        loop {
            let error = match self.store.commit(self.worker, writes).await {
                Ok(written) => {
                    self.outage.worked();
                    return written.into_iter().map(Ok).collect();
                }
                Err(error) => error,
            };
            match error {
                StoreError::Transient(why) if !self.stop.is_cancelled() => {
                    self.outage.failed("cannot commit a batch", &StoreError::Transient(why));
                    self.clock.sleep(pause).await;
                    pause = (pause * 2).min(MAX_PAUSE);
                }
                StoreError::Data(why) if writes.len() == 1 => return vec![Err(CommitError::Data(why))],
                StoreError::Data(_) => {
                    let (left, right) = writes.split_at(writes.len() / 2);
                    let mut results = Box::pin(self.commit(left)).await;
                    results.extend(Box::pin(self.commit(right)).await);
                    return results;
                }
                other => {
                    let error = match other {
                        StoreError::Fenced => CommitError::Fenced,
                        StoreError::Unknown(why) => CommitError::Unknown(why),
                        other => CommitError::Stopped(other.to_string()),
                    };
                    tracing::warn!(%error, writes = writes.len(), "a batch was not committed");
                    return writes.iter().map(|_| Err(error.clone())).collect();
                }
            }
        }
    }
}
