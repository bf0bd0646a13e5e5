//! What the drives of one worker incarnation share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::calls::Caller;
use super::committer::Committer;
use super::drive::DriveError;
use super::outage::Outage;
use super::ports::clock::{Clock, within};
use super::ports::store::{Store, WorkerId};
use super::processes::Processes;
use super::relay::Outgoing;
use crate::domain::process::model::Process;
use crate::domain::time::Time;

/// How many places waiters for changes are spread over.
const SHARDS: usize = 256;

/// What the drives of one incarnation share.
pub struct Core {
    /// Durable state.
    pub store: Arc<dyn Store>,
    /// Time, ids, dice.
    pub clock: Arc<dyn Clock>,
    /// The known processes.
    pub processes: Arc<Processes>,
    /// Remote systems.
    pub caller: Caller,
    /// All writes.
    pub committer: Committer,
    /// Events on their way to the relay, where there is one.
    pub outgoing: Option<Arc<Outgoing>>,
    /// This incarnation.
    pub worker: WorkerId,
    /// Drain: come to a safe point and release.
    pub stop: CancellationToken,
    /// Stop at once.
    pub kill: CancellationToken,
    /// Whether effects may be started.
    pub heart: Heart,
    /// Callback addresses.
    pub callbacks: Arc<Callbacks>,
    /// Waiters for changes.
    pub changes: Arc<Changes>,
    /// When the group loop looked for parked requests that nobody would resume.
    pub looked_for_parked: Mutex<Option<Time>>,
    /// What the loops say about an outage of the database.
    pub outage: Outage,
}

impl Core {
    /// The addresses of a request's callbacks.
    #[must_use]
    pub fn callback_urls(&self, request: Uuid, process: &Process) -> BTreeMap<String, String> {
        process.callbacks().map(|name| (name.to_owned(), self.callbacks.url(request, name))).collect()
    }

    /// Tells whoever waits that something about the request has changed.
    pub fn tell(&self, request: Uuid) {
        self.changes.tell(request);
    }

    /// Waits until the last heartbeat is fresh enough to start an effect.
    ///
    /// # Errors
    /// The worker stops, or was declared dead, in the meantime.
    pub async fn may_start_effects(&self) -> Result<(), DriveError> {
        while !self.heart.fresh(self.clock.steady()) {
            tokio::select! {
                biased;
                () = self.kill.cancelled() => return Err(DriveError::Stopped("no fresh heartbeat".into())),
                () = self.heart.renewed.notified() => {}
            }
        }
        Ok(())
    }
}

/// The heartbeat as this process knows it, by its monotonic clock ([`Clock::steady`]): nothing is started when it is older than two thirds
/// of the lease, because another worker may be about to take over.
#[derive(Debug)]
pub struct Heart {
    beats: Mutex<Beats>,
    lease: Option<Duration>,
    renewed: Notify,
}

#[derive(Debug, Clone, Copy)]
struct Beats {
    last: Duration,
    /// When the present row of beats without a gap began.
    since: Duration,
}

impl Beats {
    fn beat(&mut self, sent: Duration, lease: Duration) {
        if !self.fresh(sent, lease) {
            self.since = sent;
        }
        self.last = sent;
    }

    fn fresh(&self, now: Duration, lease: Duration) -> bool {
        now.saturating_sub(self.last) < lease * 2 / 3
    }

    fn whole_lease(&self, now: Duration, lease: Duration) -> bool {
        self.fresh(now, lease) && now.saturating_sub(self.since) >= lease
    }
}

impl Heart {
    /// Beaten just now; `None`: there is no lease (process tests).
    #[must_use]
    pub fn new(lease: Option<Duration>, now: Duration) -> Heart {
        Heart { beats: Mutex::new(Beats { last: now, since: now }), lease, renewed: Notify::new() }
    }

    /// A heartbeat that was sent at `sent` has succeeded.
    pub fn beat(&self, sent: Duration) {
        let lease = self.lease.unwrap_or(Duration::from_hours(24));
        self.beats.lock().unwrap_or_else(PoisonError::into_inner).beat(sent, lease);
        self.renewed.notify_waiters();
    }

    fn beats(&self) -> Beats {
        *self.beats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How old the last successful heartbeat is.
    #[must_use]
    pub fn age(&self, now: Duration) -> Duration {
        now.saturating_sub(self.beats().last)
    }

    /// May an effect be started?
    #[must_use]
    pub fn fresh(&self, now: Duration) -> bool {
        self.lease.is_none_or(|lease| self.beats().fresh(now, lease))
    }

    /// May another worker be declared dead? Only after a whole lease of beats without a gap: after an outage of the database
    /// everybody's heartbeat is old, and the first to come back would take the living for dead.
    #[must_use]
    pub fn may_rescue(&self, now: Duration) -> bool {
        self.lease.is_some_and(|lease| self.beats().whole_lease(now, lease))
    }
}

/// Addresses for callbacks, with tokens that only we can make: HMAC-SHA256 over request and name under a secret that
/// lives in the database, so that they exist from the start and every worker knows them.
pub struct Callbacks {
    base: String,
    secret: Vec<u8>,
}

impl Callbacks {
    /// `base` is the public address without a slash at its end.
    #[must_use]
    pub fn new(base: &str, secret: Vec<u8>) -> Callbacks {
        Callbacks { base: base.trim_end_matches('/').to_owned(), secret }
    }

    /// The address for this request and callback.
    #[must_use]
    pub fn url(&self, request: Uuid, name: &str) -> String {
        format!("{}/v1/callbacks/{request}/{name}/{}", self.base, self.token(request, name))
    }

    /// Is this the token of that callback? In constant time.
    #[must_use]
    pub fn fits(&self, request: Uuid, name: &str, token: &str) -> bool {
        self.token(request, name).as_bytes().ct_eq(token.as_bytes()).into()
    }

    fn token(&self, request: Uuid, name: &str) -> String {
        // HMAC takes a key of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.secret) else { return String::new() };
        mac.update(request.as_bytes());
        mac.update(name.as_bytes());
        let mut token = hex::encode(mac.finalize().into_bytes());
        token.truncate(40);
        token
    }
}

/// Wakes those who wait for a request to change. Waiters are spread over a fixed number of places, so some wake for
/// nothing; they look and wait again.
pub struct Changes {
    shards: Vec<Notify>,
}

impl Default for Changes {
    fn default() -> Self {
        Changes { shards: (0..SHARDS).map(|_| Notify::new()).collect() }
    }
}

impl Changes {
    fn shard(&self, request: Uuid) -> &Notify {
        let last = request.as_bytes()[15];
        &self.shards[usize::from(last) % SHARDS]
    }

    /// Something about the request has changed.
    pub fn tell(&self, request: Uuid) {
        self.shard(request).notify_waiters();
    }

    /// Waits for a change, `limit` at the longest. It listens from the call on, not from the first poll: call it, look, and
    /// wait then, so that no change gets lost in between. Changes by other workers are not heard: `limit` bounds how late
    /// they are seen.
    pub fn wait<'a>(&'a self, clock: &'a dyn Clock, request: Uuid, limit: Duration) -> impl Future<Output = ()> + 'a {
        let heard = self.shard(request).notified();
        async move {
            within(clock, limit, heard).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_makes_a_rescuer_wait_a_whole_lease() {
        let (lease, begin) = (Duration::from_secs(3), Duration::from_hours(1));
        let at = |fifths: u32| begin + lease / 5 * fifths;
        let mut beats = Beats { last: begin, since: begin };
        for fifths in 1..=5 {
            assert!(!beats.whole_lease(at(fifths - 1), lease));
            beats.beat(at(fifths), lease);
        }
        assert!(beats.whole_lease(at(5), lease));
        // The database is away for longer than the lease.
        assert!(!beats.fresh(at(11), lease) && !beats.whole_lease(at(11), lease));
        for fifths in 11..=15 {
            beats.beat(at(fifths), lease);
            assert!(beats.fresh(at(fifths), lease) && !beats.whole_lease(at(fifths), lease));
        }
        beats.beat(at(16), lease);
        assert!(beats.whole_lease(at(16), lease));
    }
}
