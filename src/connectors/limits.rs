//! A connector's places and pace. Waiting for either is no attempt: a call that gets no place in time was certainly
//! not made, and says so ([`FailureClass::Unavailable`](crate::domain::request::fact::FailureClass), `busy`).

use std::sync::Arc;
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::config::ConnectorConfig;
use super::sizes::Rate;

/// Why no place was had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Busy {
    /// All places were taken.
    Concurrency,
    /// The pace did not allow it.
    Rate,
}

impl Busy {
    /// The setting that is used up.
    pub(super) fn limit(self) -> &'static str {
        match self {
            Busy::Concurrency => "concurrency",
            Busy::Rate => "rate",
        }
    }
}

/// How many calls run, and how fast they follow each other.
pub(super) struct Limits {
    places: Arc<Semaphore>,
    pace: Option<DefaultDirectRateLimiter>,
}

impl Limits {
    pub(super) fn new(config: &ConnectorConfig) -> Limits {
        let pace = config.rate.and_then(quota).map(RateLimiter::direct);
        Limits { places: Arc::new(Semaphore::new(config.concurrency)), pace }
    }

    /// Waits for a place, then for the pace, until `deadline`. Dropping the permit gives the place back.
    pub(super) async fn enter(&self, deadline: Instant) -> Result<OwnedSemaphorePermit, Busy> {
        let place = if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            place
        } else {
            let place = timeout_at(deadline, Arc::clone(&self.places).acquire_owned()).await;
            // The semaphore is never closed: its error cannot happen, and would mean that there is no place.
            place.ok().and_then(Result::ok).ok_or(Busy::Concurrency)?
        };
        if let Some(pace) = &self.pace {
            timeout_at(deadline, pace.until_ready()).await.map_err(|_| Busy::Rate)?;
        }
        Ok(place)
    }
}

/// Evenly spaced, with a burst of a tenth of a second's worth: a target that counts per second sees no doubled second.
fn quota(rate: Rate) -> Option<Quota> {
    let gap = rate.per / rate.count.get();
    let burst = Duration::from_millis(100).as_nanos() / gap.as_nanos().max(1);
    let burst = u32::try_from(burst).ok().and_then(std::num::NonZeroU32::new).unwrap_or(std::num::NonZeroU32::MIN);
    Quota::with_period(gap.max(Duration::from_nanos(1))).map(|quota| quota.allow_burst(burst))
}
