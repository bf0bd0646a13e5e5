//! The group committer: all writers of one worker share it. It takes whatever is queued when the previous commit
//! ends, writes it in one transaction and answers each writer, so under load commits per request fall far below
//! one, and an idle worker never waits for a timer.
//!
//! Where the store commits side by side, new requests and steps have a queue each: a transaction is a dozen round trips one after the
//! other, in which one of two processors has little to do. No write waits for one of the other queue: a request's first step is made
//! once its acceptance was answered.
//!
//! Events of what was committed go to the relay at once, without being read back.
//!
//! Failures are sorted here: a transient one is tried again for as long as the worker may write, in halves where the try took
//! long; a refused value is bisected until it stands alone; an unknown one is told to every writer, who reads the head again. A
//! batch that is in hand for too long stops the heartbeat ([`Committer::in_hand`]): a worker that cannot write is not alive.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::outage::Outage;
use super::ports::clock::Clock;
use super::ports::records::Event;
use super::ports::store::{Store, StoreError, WorkerId, Write, Written};
use super::relay::Outgoing;

/// The most writes in one transaction.
const MAX_BATCH: usize = 256;
/// The most bytes in one transaction, but for a single write that has more: what the database certainly does well within its time.
const MAX_BYTES: usize = 8 * 1024 * 1024;
/// A try that failed after this long was too much at once, or nothing would be lost by two smaller ones.
const TOO_LONG: Duration = Duration::from_secs(3);
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
    /// New requests, and messages that never became one.
    incoming: mpsc::Sender<Item>,
    /// Steps: the same queue where the store makes one commit at a time.
    steps: mpsc::Sender<Item>,
    clock: Arc<dyn Clock>,
    /// One for each queue.
    in_hand: [InHand; 2],
}

/// Since when there is a batch.
type InHand = Arc<Mutex<Option<Duration>>>;

impl Committer {
    /// Starts the committer's task, or two. They end when every handle is gone or `stop` is cancelled. `outgoing`: the relay, where
    /// there is one.
    #[must_use]
    pub fn start(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        worker: WorkerId,
        stop: CancellationToken,
        outgoing: Option<Arc<Outgoing>>,
    ) -> Committer {
        let in_hand: [InHand; 2] = Default::default();
        let [of_incoming, of_steps] = in_hand.clone();
        let steps = store.side_by_side().then(|| {
            let (store, clock, stop, outgoing) = (store.clone(), clock.clone(), stop.clone(), outgoing.clone());
            Task { store, clock, worker, stop, outgoing, in_hand: of_steps, outage: Outage::default() }.start()
        });
        let incoming =
            Task { store, clock: clock.clone(), worker, stop, outgoing, in_hand: of_incoming, outage: Outage::default() }.start();
        let steps = steps.unwrap_or_else(|| incoming.clone());
        Committer { incoming, steps, clock, in_hand }
    }

    /// For how long the oldest batch that is in hand has been tried; `None`: there is none.
    #[must_use]
    pub fn in_hand(&self) -> Option<Duration> {
        let since = self.in_hand.iter().filter_map(|since| *since.lock().unwrap_or_else(PoisonError::into_inner)).min()?;
        Some(self.clock.steady().saturating_sub(since))
    }

    /// Writes; returns once the transaction that holds the write has committed.
    ///
    /// # Errors
    /// See [`CommitError`].
    pub async fn write(&self, write: Write) -> Result<Written, CommitError> {
        let (answer, answered) = oneshot::channel();
        let stopped = || CommitError::Stopped("the worker stops".into());
        let queue = if matches!(write, Write::Advance(_)) { &self.steps } else { &self.incoming };
        queue.send(Item { write, answer }).await.map_err(|_| stopped())?;
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
    in_hand: InHand,
    outage: Outage,
}

impl Task {
    /// Starts it; the queue that it takes its writes from.
    fn start(self) -> mpsc::Sender<Item> {
        let (queue, items) = mpsc::channel(MAX_QUEUED);
        tokio::spawn(self.run(items));
        queue
    }

    async fn run(self, mut items: mpsc::Receiver<Item>) {
        let mut batch = Vec::with_capacity(MAX_BATCH);
        loop {
            // What did not fit the last time goes first.
            if batch.is_empty() {
                let taken = tokio::select! {
                    biased;
                    () = self.stop.cancelled() => 0,
                    taken = items.recv_many(&mut batch, MAX_BATCH) => taken,
                };
                if taken == 0 {
                    return;
                }
            }
            let (writes, answers): (Vec<_>, Vec<_>) =
                batch.drain(..fitting(&batch)).map(|item| (item.write, item.answer)).unzip();
            metrics::histogram!("mozhao_commit_batch").record(f64::from(u32::try_from(writes.len()).unwrap_or(u32::MAX)));
            self.hold(Some(self.clock.steady()));
            let results = self.commit(&writes).await;
            self.hold(None);
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
            let begun = self.clock.steady();
            let error = match self.store.commit(self.worker, writes).await {
                Ok(written) => {
                    self.outage.worked();
                    return written.into_iter().map(Ok).collect();
                }
                Err(error) => error,
            };
            match error {
                StoreError::Transient(why)
                    if !self.stop.is_cancelled() && writes.len() > 1 && self.clock.steady().saturating_sub(begun) >= TOO_LONG =>
                {
                    tracing::warn!(%why, writes = writes.len(), "a batch took too long; it is tried in halves");
                    return self.halves(writes).await;
                }
                StoreError::Transient(why) if !self.stop.is_cancelled() => {
                    self.outage.failed("cannot commit a batch", &StoreError::Transient(why));
                    self.clock.sleep(pause).await;
                    pause = (pause * 2).min(MAX_PAUSE);
                }
                StoreError::Data(why) if writes.len() == 1 => return vec![Err(CommitError::Data(why))],
                StoreError::Data(_) => return self.halves(writes).await,
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

    /// Each half as if it had come by itself.
    async fn halves(&self, writes: &[Write]) -> Vec<Result<Written, CommitError>> {
        let (left, right) = writes.split_at(writes.len() / 2);
        let mut results = Box::pin(self.commit(left)).await;
        results.extend(Box::pin(self.commit(right)).await);
        results
    }

    fn hold(&self, since: Option<Duration>) {
        *self.in_hand.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }
}

/// How many of the first items go into one transaction: at least one.
fn fitting(items: &[Item]) -> usize {
    let mut bytes = 0;
    let fits = |item: &&Item| {
        bytes += weight(&item.write);
        bytes <= MAX_BYTES
    };
    items.iter().take_while(fits).count().max(1).min(items.len())
}

/// The bytes of a write that can be many: what else it has is bounded by the process.
fn weight(write: &Write) -> usize {
    let events = |events: &[Event]| events.iter().map(|event| event.body.len()).sum::<usize>();
    match write {
        Write::Accept(accept) => accept.payload.len() + accept.first.body.len() + events(&accept.events),
        Write::Reject(reject) => reject.raw.len() + events(&reject.events),
        Write::Advance(advance) => {
            let entries = advance.entries.iter().map(|entry| entry.body.len()).sum::<usize>();
            entries + events(&advance.events) + advance.payload.as_ref().map_or(0, |payload| payload.len())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Time;
    use crate::engine::ports::records::RejectedRow;

    fn item(bytes: usize) -> Item {
        let row = RejectedRow {
            id: WorkerId::nil(),
            producer: String::new(),
            message: None,
            channel: String::new(),
            process: None,
            code: String::new(),
            detail: String::new(),
            raw: vec![0; bytes].into(),
            raw_len: 0,
            raw_sha256: [0; 32],
            at: Time(0),
            events: Vec::new(),
        };
        Item { write: Write::Reject(Box::new(row)), answer: oneshot::channel().0 }
    }

    #[test]
    fn a_batch_is_bounded_in_bytes_and_never_empty() {
        let items = |bytes: &[usize]| bytes.iter().map(|bytes| item(*bytes)).collect::<Vec<_>>();
        assert_eq!(fitting(&items(&[1, 1, 1])), 3);
        assert_eq!(fitting(&items(&[MAX_BYTES - 1, 1, 1])), 2);
        assert_eq!(fitting(&items(&[MAX_BYTES + 1, 1])), 1, "a single one that is too large goes alone");
        assert_eq!(fitting(&items(&[1, MAX_BYTES])), 1);
    }
}
