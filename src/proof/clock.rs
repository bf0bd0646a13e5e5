//! Time that moves only when somebody says so, ids and dice that depend only on a seed.
//!
//! The hard part is knowing when time may move: not while anything could still happen at this instant. A
//! single-threaded runtime knows: it parks its thread exactly when no task can run. [`run`] hooks into that moment and
//! wakes whoever waits in [`VirtualClock::quiet`], who then decides how far time goes. Nothing ever waits in real time.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use crate::domain::time::Time;
use crate::engine::ports::clock::Clock;

/// When every world begins: 2026-01-01T00:00:00Z.
pub const BEGINNING: Time = Time(1_767_225_600_000_000);

/// A clock that stands still until it is moved.
pub struct VirtualClock {
    inner: Mutex<Inner>,
}

struct Inner {
    now: Time,
    dice: u64,
    ids: u64,
    next: u64,
    /// Who sleeps until when.
    sleepers: BTreeMap<(Time, u64), Waker>,
    /// Who waits until nothing can happen at this instant any more.
    quiet: Option<Waker>,
    is_quiet: bool,
}

impl VirtualClock {
    /// A clock at [`BEGINNING`]; the same seed gives the same ids and dice.
    #[must_use]
    pub fn new(seed: u64) -> Arc<VirtualClock> {
        let inner = Inner {
            now: BEGINNING,
            dice: seed ^ 0x9e37_79b9_7f4a_7c15,
            ids: seed << 32,
            next: 0,
            sleepers: BTreeMap::new(),
            quiet: None,
            is_quiet: false,
        };
        Arc::new(VirtualClock { inner: Mutex::new(inner) })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until nothing else can happen at this instant.
    pub async fn quiet(&self) {
        poll_fn(|context| {
            let mut inner = self.lock();
            if std::mem::take(&mut inner.is_quiet) {
                return Poll::Ready(());
            }
            inner.quiet = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// When the next sleeper wakes.
    #[must_use]
    pub fn next_waking(&self) -> Option<Time> {
        self.lock().sleepers.keys().next().map(|(at, _)| *at)
    }

    /// Moves time forward and wakes whose time has come. Time never moves back.
    pub fn advance_to(&self, at: Time) {
        let mut inner = self.lock();
        inner.now = inner.now.max(at);
        let after = (Time(inner.now.0.saturating_add(1)), 0);
        let later = inner.sleepers.split_off(&after);
        let due = std::mem::replace(&mut inner.sleepers, later);
        drop(inner);
        due.into_values().for_each(Waker::wake);
    }

    /// The runtime has nothing to do.
    fn idle(&self) {
        let mut inner = self.lock();
        inner.is_quiet = inner.quiet.is_some();
        let waker = inner.quiet.take();
        let asleep = inner.sleepers.keys().next().map(|(at, _)| *at);
        drop(inner);
        match (waker, asleep) {
            (Some(waker), _) => waker.wake(),
            // Nobody directs (a store that sleeps while it is being asked, say): time goes on by itself.
            (None, Some(at)) => self.advance_to(at),
            (None, None) => {}
        }
    }

    fn sleep_until(&self, at: Time) -> Sleeper<'_> {
        Sleeper { clock: self, at, key: None }
    }
}

#[async_trait]
impl Clock for VirtualClock {
    fn now(&self) -> Time {
        self.lock().now
    }

    fn steady(&self) -> Duration {
        self.lock().now.since(BEGINNING)
    }

    fn id(&self) -> Uuid {
        let mut inner = self.lock();
        inner.ids += 1;
        let mut random = [0; 10];
        random[2..].copy_from_slice(&inner.ids.to_be_bytes());
        let millis = u64::try_from(inner.now.0 / 1_000).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }

    fn jitter(&self) -> f64 {
        let mut inner = self.lock();
        // SplitMix64.
        inner.dice = inner.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = inner.dice;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        f64::from(u32::try_from(z >> 32).unwrap_or(0)) / (f64::from(u32::MAX) + 1.0)
    }

    async fn sleep(&self, length: Duration) {
        let at = self.now().plus(length);
        self.sleep_until(at).await;
    }
}

/// Waits for a point in time; gives its place up when it is dropped.
struct Sleeper<'c> {
    clock: &'c VirtualClock,
    at: Time,
    key: Option<(Time, u64)>,
}

impl Future for Sleeper<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.clock.lock();
        if inner.now >= self.at {
            return Poll::Ready(());
        }
        let key = self.key.unwrap_or_else(|| {
            inner.next += 1;
            (self.at, inner.next)
        });
        inner.sleepers.insert(key, context.waker().clone());
        drop(inner);
        self.key = Some(key);
        Poll::Pending
    }
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.clock.lock().sleepers.remove(&key);
        }
    }
}

/// Runs a future on a runtime of its own, in this thread, in the clock's time. When it ends, everything that it started is gone.
///
/// # Errors
/// The runtime could not be built, or the future panicked.
pub fn run<T: Send + 'static>(clock: &Arc<VirtualClock>, future: impl Future<Output = T> + Send + 'static) -> std::io::Result<T> {
    let idle = clock.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().on_thread_park(move || idle.idle()).build()?;
    // Spawned, so that the runtime is idle only when this is: a future that `block_on` holds itself is not counted.
    let task = runtime.spawn(future);
    runtime.block_on(task).map_err(std::io::Error::other)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn time_stands_still_until_nothing_can_happen() {
        let clock = VirtualClock::new(1);
        let inside = clock.clone();
        let seen = run(&clock, async move {
            let clock = inside;
            let log = Arc::new(Mutex::new(Vec::new()));
            for seconds in [30, 10, 20] {
                let (clock, log) = (clock.clone(), log.clone());
                tokio::spawn(async move {
                    clock.sleep(Duration::from_secs(seconds)).await;
                    log.lock().unwrap().push((seconds, clock.now().since(BEGINNING)));
                });
            }
            clock.quiet().await;
            assert!(log.lock().unwrap().is_empty());
            while let Some(at) = clock.next_waking() {
                clock.advance_to(at);
                clock.quiet().await;
            }
            log.lock().unwrap().clone()
        });
        let at = Duration::from_secs;
        assert_eq!(seen.unwrap(), [(10, at(10)), (20, at(20)), (30, at(30))]);
    }

    #[test]
    fn a_sleep_that_is_given_up_leaves_nothing_behind() {
        let clock = VirtualClock::new(1);
        let inside = clock.clone();
        run(&clock, async move {
            let sleep = inside.sleep(Duration::from_secs(5));
            tokio::select! {
                () = sleep => {}
                () = inside.quiet() => {}
            }
        })
        .unwrap();
        assert_eq!(clock.next_waking(), None);
        assert_eq!(clock.now(), BEGINNING);
    }

    #[test]
    fn the_same_seed_gives_the_same_ids_and_dice() {
        let draw = |seed| {
            let clock = VirtualClock::new(seed);
            (clock.id(), clock.id(), clock.jitter().to_bits(), clock.jitter().to_bits())
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        let (first, second, ..) = draw(7);
        assert!(first < second && first.get_version_num() == 7);
    }
}
