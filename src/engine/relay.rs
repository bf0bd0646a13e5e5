//! The relay: publishes events that were written with the transitions they tell of, and marks them after the confirm.
//! At least once: what was confirmed but not marked is published again, with the same id.
//!
//! An event's time from commit to broker is part of every request's time, so the committer hands events over in memory
//! ([`Outgoing`]) and they are published at once, several windows of confirms side by side; their marks may come a little
//! later, many in one statement. The store is read where memory does not help: after a start, for events that a dead worker
//! left, and whenever something went wrong. Memory may forget anything at any time; what is unmarked in the store is what counts.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::committer::CommitError;
use super::ports::broker::Publisher;
use super::ports::clock::{Clock, within};
use super::ports::records::Event;
use super::ports::store::{Store, StoreError, WorkerId, Write, Written};
use crate::domain::time::Time;
use crate::faults::bug;

/// The most events in one window of confirms.
const WINDOW: usize = 256;
/// The most windows side by side.
const WINDOWS: usize = 4;
/// The most events in memory that wait for their window; more are read from the store.
const MAX_WAITING: usize = 4 * WINDOW;
/// How long a confirmed event may be unmarked.
const MARK_AFTER: Duration = Duration::from_millis(100);
/// How often the store is read when nothing asks for it: what dead workers left.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// The pause after something went wrong.
const PAUSE: Duration = Duration::from_millis(500);

/// Committed events on their way from the committer to the relay.
#[derive(Debug, Default)]
pub struct Outgoing {
    waiting: Mutex<Waiting>,
    rung: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    events: VecDeque<Event>,
    /// Events were written that are not here.
    look: bool,
}

impl Outgoing {
    /// Takes the events of a batch, with what came of each write.
    pub fn hand_over(&self, batch: Vec<Write>, results: &[Result<Written, CommitError>]) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for (write, result) in batch.into_iter().zip(results) {
            let events = match (write, result) {
                (Write::Accept(accept), Ok(Written::Accepted { .. })) => accept.events,
                (Write::Advance(advance), Ok(Written::Advanced)) => advance.events,
                // Perhaps it was recorded before, or nobody knows.
                (_, Ok(Written::Rejected) | Err(CommitError::Unknown(_))) => {
                    waiting.look = true;
                    continue;
                }
                _ => continue,
            };
            if waiting.events.len() + events.len() > MAX_WAITING {
                waiting.look = true;
            } else {
                waiting.events.extend(events);
            }
        }
        let ring = waiting.look || !waiting.events.is_empty();
        drop(waiting);
        if ring {
            self.rung.notify_one();
        }
    }

    /// The next window; `None`: the store has to be read. Waits for either.
    async fn next(&self) -> Option<Vec<Event>> {
        loop {
            {
                let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                if waiting.look {
                    return None;
                }
                let window = waiting.events.len().min(WINDOW);
                if window > 0 {
                    return Some(waiting.events.drain(..window).collect());
                }
            }
            self.rung.notified().await;
        }
    }

    /// Everything so far is about to be read from the store.
    fn forget(&self) {
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = Waiting::default();
    }
}

/// What a relay works with.
pub struct Relay {
    /// Where events are marked.
    pub store: Arc<dyn Store>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The broker.
    pub publisher: Arc<dyn Publisher>,
    /// Whose events these are.
    pub worker: WorkerId,
    /// From the committer.
    pub outgoing: Arc<Outgoing>,
}

/// A piece of work that ended.
enum Done {
    /// A window: what was confirmed, and whether that was all.
    Published(Vec<Uuid>, bool),
    /// Marks; those to be made once more.
    Marked(Vec<Uuid>),
}

impl Relay {
    /// Runs until `stop`; then what was handed over is published and marked, once.
    pub async fn run(self, stop: CancellationToken) {
        let mut work: FuturesUnordered<BoxFuture<'_, Done>> = FuturesUnordered::new();
        let mut windows = 0;
        let mut unmarked: Vec<Uuid> = Vec::new();
        let mut read: HashSet<Uuid> = HashSet::new();
        let mut behind = true;
        let (mut mark_at, mut look_at) = (None::<Time>, self.clock.now());
        loop {
            let now = self.clock.now();
            if behind && work.is_empty() && now >= look_at {
                behind = self.catch_up(&mut unmarked, &mut read, &stop).await;
                look_at = self.clock.now().plus(if behind { PAUSE } else { LOOK_EVERY });
                mark_at = None;
            }
            if !unmarked.is_empty() && (unmarked.len() >= WINDOW || mark_at.is_some_and(|at| now >= at)) {
                work.push(Box::pin(self.mark(std::mem::take(&mut unmarked))));
                mark_at = None;
            }
            // Reading the store waits for the work in flight.
            let look = if behind && !work.is_empty() { now.plus(PAUSE) } else { look_at };
            let due = mark_at.map_or(look, |at| at.min(look));
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(done) = work.next(), if !work.is_empty() => match done {
                    Done::Published(ids, all) => {
                        windows -= 1;
                        unmarked.extend(ids);
                        if !unmarked.is_empty() {
                            mark_at = mark_at.or_else(|| Some(self.clock.now().plus(MARK_AFTER)));
                        }
                        if !all {
                            (behind, look_at) = (true, self.clock.now().plus(PAUSE));
                        }
                    }
                    Done::Marked(again) => {
                        mark_at = (!again.is_empty()).then(|| self.clock.now().plus(PAUSE)).or(mark_at);
                        unmarked.extend(again);
                    }
                },
                window = self.outgoing.next(), if !behind && windows < WINDOWS => if let Some(mut events) = window {
                    events.retain(|event| !read.contains(&event.id));
                    windows += 1;
                    work.push(Box::pin(self.publish(events)));
                } else {
                    (behind, look_at) = (true, self.clock.now());
                },
                () = self.clock.sleep(due.since(now)) => behind |= self.clock.now() >= look_at,
            }
        }
        while let Some(done) = work.next().await {
            match done {
                Done::Published(ids, _) => unmarked.extend(ids),
                Done::Marked(again) => unmarked.extend(again),
            }
        }
        drop(work);
        self.finish(behind, unmarked).await;
    }

    async fn publish(&self, events: Vec<Event>) -> Done {
        if events.is_empty() {
            return Done::Published(Vec::new(), true);
        }
        let acked = self.publisher.publish(&events).await;
        let ids: Vec<_> = events
            .iter()
            .zip(&acked)
            .filter(|(_, acked)| **acked || bug("marked_unconfirmed"))
            .map(|(event, _)| event.id)
            .collect();
        if ids.len() < events.len() {
            tracing::warn!(unconfirmed = events.len() - ids.len(), "events were not confirmed; they are published again");
        }
        let all = ids.len() == events.len();
        Done::Published(ids, all)
    }

    async fn mark(&self, ids: Vec<Uuid>) -> Done {
        match self.store.published(self.worker, &ids).await {
            Ok(()) => Done::Marked(Vec::new()),
            Err(error) => {
                tracing::warn!(%error, "published events cannot be marked at the moment");
                Done::Marked(ids)
            }
        }
    }

    /// Publishes what the store has, window by window; true where something is left to be done.
    async fn catch_up(&self, unmarked: &mut Vec<Uuid>, read: &mut HashSet<Uuid>, stop: &CancellationToken) -> bool {
        while self.publisher.connected() && !stop.is_cancelled() {
            match self.window(unmarked, read).await {
                Ok(Some(WINDOW)) => {}
                Ok(Some(_)) => return false,
                Ok(None) => return true,
                Err(error) => {
                    tracing::warn!(%error, "the outbox cannot be read or marked at the moment");
                    return true;
                }
            }
        }
        true
    }

    /// One window from the store; how many events it had, `None` where not all of them were confirmed.
    async fn window(&self, unmarked: &mut Vec<Uuid>, read: &mut HashSet<Uuid>) -> Result<Option<usize>, StoreError> {
        self.store.published(self.worker, unmarked).await?;
        unmarked.clear();
        // What is committed from here on may be found in both places.
        self.outgoing.forget();
        let events = self.store.unpublished(self.worker, WINDOW).await?;
        *read = events.iter().map(|event| event.id).collect();
        let found = events.len();
        let Done::Published(ids, all) = self.publish(events).await else { return Ok(None) };
        self.store.published(self.worker, &ids).await?;
        Ok(all.then_some(found))
    }

    /// The last words: what the draining worker wrote.
    async fn finish(&self, mut behind: bool, mut unmarked: Vec<Uuid>) {
        while !behind && self.publisher.connected() {
            let waiting = within(self.clock.as_ref(), Duration::ZERO, self.outgoing.next()).await;
            let Some(Some(events)) = waiting else { break };
            let Done::Published(ids, all) = self.publish(events).await else { break };
            unmarked.extend(ids);
            behind = !all;
        }
        if let Err(error) = self.store.published(self.worker, &unmarked).await {
            tracing::warn!(%error, "published events could not be marked; they are published again");
        }
    }
}
