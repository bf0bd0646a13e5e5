//! Time and randomness as arguments: the engine reads both only through this port, and waits only through it, so that
//! process tests and simulations can run on a virtual clock.

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use crate::domain::time::Time;

/// The clock and the source of ids.
#[async_trait]
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn now(&self) -> Time;
    /// Time since some fixed point, by a clock that never jumps and never runs back: for leases and deadlines in memory.
    fn steady(&self) -> Duration;
    /// A new UUIDv7.
    fn id(&self) -> Uuid;
    /// A number in `0.0..1.0`, for jitter.
    fn jitter(&self) -> f64;
    /// Waits.
    async fn sleep(&self, length: Duration);
}

/// What `work` came to, or `None` where it took longer than `limit`. Something that is ready at once is never late.
pub async fn within<T>(clock: &dyn Clock, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        done = work => Some(done),
        () = clock.sleep(limit) => None,
    }
}
