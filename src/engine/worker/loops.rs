//! What a worker does beside carrying requests: claim, beat, rescue, bring groups back, audit itself.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Worker;
use crate::engine::groups;
use crate::engine::ports::records::Heartbeat;
use crate::engine::ports::store::RequestId;
use crate::faults::bug;

/// How often due requests are looked for when nothing is heard.
const CLAIM_EVERY: Duration = Duration::from_millis(200);
/// The most requests that one claim takes.
const CLAIM_MAX: usize = 64;
/// A batch that has been in hand for so many leases: this worker writes nothing any more, and another may do better.
const STUCK: u32 = 3;
/// How often the worker looks for requests that it owns and does not carry.
const AUDIT_EVERY: Duration = Duration::from_secs(5);

impl Worker {
    /// Looks for due requests until the worker stops.
    pub async fn claim_loop(self: Arc<Self>) {
        loop {
            tokio::select! {
                biased;
                () = self.core.stop.cancelled() => return,
                () = self.fenced.cancelled() => return,
                () = self.due.notified() => {}
                () = self.core.clock.sleep(CLAIM_EVERY) => {}
            }
            self.claim_due().await;
        }
    }

    /// Takes up the requests that are due now, as many as there is room for; how many those were.
    pub async fn claim_due(self: &Arc<Self>) -> usize {
        let mut taken = 0;
        loop {
            let free = self.permits.available_permits().min(CLAIM_MAX);
            if free == 0 || self.core.stop.is_cancelled() {
                return taken;
            }
            let claimed = match self.core.store.claim(self.core.worker, free).await {
                Ok(claimed) => claimed,
                Err(error) => {
                    self.core.outage.failed("cannot look for due requests", &error);
                    return taken;
                }
            };
            let more = claimed.len() == free;
            taken += claimed.len();
            for claimed in claimed {
                if !self.rang(claimed.request) {
                    let Some(permit) = self.permit().await else { return taken };
                    self.take_up(claimed.request, permit);
                }
            }
            if !more {
                return taken;
            }
        }
    }

    /// Renews the heartbeat until the worker ends; a lost row fences the worker.
    pub async fn heartbeat_loop(self: Arc<Self>, lease: Duration, until: CancellationToken) {
        loop {
            let sent = self.core.clock.steady();
            if let Some(held) = self.core.committer.in_hand().filter(|held| *held > lease * STUCK) {
                tracing::error!(?held, "a batch cannot be written; no heartbeat until it is");
            } else {
                match self.core.store.heartbeat(self.core.worker).await {
                    Ok(Heartbeat::Alive) => {
                        self.core.heart.beat(sent);
                        self.core.outage.worked();
                    }
                    Ok(Heartbeat::Gone) => {
                        tracing::error!(worker = %self.core.worker, "another worker declared this one dead; it starts anew");
                        self.fenced.cancel();
                        return;
                    }
                    Err(error) => {
                        tracing::debug!(%error, "the heartbeat could not be renewed");
                        self.core.outage.failed("cannot renew the heartbeat", &error);
                    }
                }
            }
            let pausing = self.core.clock.steady();
            let ended = tokio::select! {
                biased;
                () = until.cancelled() => true,
                () = self.core.clock.sleep(lease / 5) => false,
            };
            // Before anything else, whoever was first to notice what came of it.
            let paused = self.core.clock.steady().saturating_sub(pausing);
            if paused > lease {
                tracing::warn!(?paused, "this worker did not run for longer than its lease");
            }
            if ended {
                return;
            }
        }
    }

    /// Takes over from dead workers, while this one is alive without interruption.
    pub async fn rescue_loop(self: Arc<Self>, lease: Duration) {
        loop {
            tokio::select! {
                biased;
                () = self.core.stop.cancelled() => return,
                () = self.fenced.cancelled() => return,
                () = self.core.clock.sleep(lease / 3) => {}
            }
            if bug("rescue_off") || !self.core.heart.may_rescue(self.core.clock.steady()) {
                continue;
            }
            match self.core.store.rescue(self.core.worker, lease).await {
                Ok(dead) if dead.is_empty() => {}
                Ok(dead) => {
                    tracing::warn!(?dead, "took over from workers that are gone");
                    self.due.notify_one();
                }
                Err(error) => self.core.outage.failed("cannot look for dead workers", &error),
            }
        }
    }

    /// Looks after groups until the worker stops.
    pub async fn group_loop(self: Arc<Self>) {
        loop {
            tokio::select! {
                biased;
                () = self.core.stop.cancelled() => return,
                () = self.fenced.cancelled() => return,
                () = self.core.clock.sleep(groups::TICK) => {}
            }
            match groups::tick(&self.core).await {
                Ok(()) => {}
                Err(error) => self.core.outage.failed("cannot look after parked requests", &error),
            }
        }
    }

    /// Takes up requests that are the worker's in the database and that it does not carry: left when the store failed just as
    /// a request was to be given up.
    pub async fn audit_loop(self: Arc<Self>) {
        let mut audit = Audit::default();
        loop {
            tokio::select! {
                biased;
                () = self.core.stop.cancelled() => return,
                () = self.fenced.cancelled() => return,
                () = self.core.clock.sleep(AUDIT_EVERY) => {}
            }
            let owned = match self.core.store.owned(self.core.worker, self.in_flight * 2).await {
                Ok(owned) => owned,
                Err(error) => {
                    self.core.outage.failed("cannot audit the worker's requests", &error);
                    continue;
                }
            };
            let carried = |id: &RequestId| self.running.lock().unwrap_or_else(PoisonError::into_inner).contains_key(id);
            for request in audit.twice(owned.into_iter().filter(|id| !carried(id)).collect()) {
                tracing::warn!(%request, "owned and not carried: taken up again");
                let Some(permit) = self.permit().await else { return };
                self.take_up(request, permit);
            }
        }
    }
}

/// Requests that are owned and not carried, twice in a row: between a commit and the start of its drive a request is
/// owned for a moment, so once says nothing.
#[derive(Debug, Default)]
struct Audit {
    suspects: Vec<RequestId>,
}

impl Audit {
    /// The requests to take up; `idle` are those that are owned and not carried now.
    fn twice(&mut self, idle: Vec<RequestId>) -> Vec<RequestId> {
        let twice = idle.iter().filter(|id| self.suspects.contains(id)).copied().collect();
        self.suspects = idle;
        twice
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_idle_twice_in_a_row_is_taken_up() {
        let id = RequestId::from_u128;
        let mut audit = Audit::default();
        assert!(audit.twice(vec![id(1), id(2)]).is_empty());
        assert_eq!(audit.twice(vec![id(2), id(3)]), vec![id(2)]);
        assert!(audit.twice(vec![id(1)]).is_empty(), "not twice in a row");
    }
}
