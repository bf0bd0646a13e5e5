//! Time and randomness as arguments: the engine reads both only through this port, so that process tests and
//! simulations can run on a virtual clock.

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use crate::domain::time::Time;

/// The clock and the source of ids.
#[async_trait]
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn now(&self) -> Time;
    /// A new UUIDv7.
    fn id(&self) -> Uuid;
    /// A number in `0.0..1.0`, for jitter.
    fn jitter(&self) -> f64;
    /// Waits.
    async fn sleep(&self, length: Duration);
}
