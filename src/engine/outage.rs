//! An outage of the database, as the log tells it. Half a dozen loops run into it several times a second; what somebody who
//! reads the log needs is when it began, that it lasts, and that it is over.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::ports::store::StoreError;

/// How often a lasting outage is named again.
const SAY_AGAIN: Duration = Duration::from_secs(30);
/// It is over when something worked and nothing has failed for this long: one loop may get through while others do not.
const QUIET: Duration = Duration::from_secs(1);

/// What is told of the outage at hand, where there is one.
#[derive(Debug, Default)]
pub struct Outage(Mutex<Option<Trouble>>);

#[derive(Debug, Clone, Copy)]
struct Trouble {
    began: Instant,
    said: Instant,
    last: Instant,
}

/// What a failure is worth saying.
#[derive(Debug, PartialEq, Eq)]
enum Say {
    Begun,
    Lasts(Duration),
    Nothing,
}

impl Outage {
    /// A call of the store failed; `what` could not be done because of it.
    pub fn failed(&self, what: &str, error: &StoreError) {
        if !matches!(error, StoreError::Transient(_) | StoreError::Unknown(_)) {
            tracing::warn!(%error, "{what}");
            return;
        }
        match self.failed_at(Instant::now()) {
            Say::Begun => tracing::warn!(%error, "{what}; it is tried again until the database answers"),
            Say::Lasts(length) => tracing::warn!(%error, seconds = length.as_secs(), "the database is still not available"),
            Say::Nothing => {}
        }
    }

    /// A call of the store worked.
    pub fn worked(&self) {
        if let Some(length) = self.worked_at(Instant::now()) {
            tracing::info!(seconds = length.as_secs(), "the database is available again");
        }
    }

    fn failed_at(&self, now: Instant) -> Say {
        let mut trouble = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(trouble) = &mut *trouble else {
            *trouble = Some(Trouble { began: now, said: now, last: now });
            return Say::Begun;
        };
        trouble.last = now;
        if now.saturating_duration_since(trouble.said) < SAY_AGAIN {
            return Say::Nothing;
        }
        trouble.said = now;
        Say::Lasts(now.saturating_duration_since(trouble.began))
    }

    /// How long it was away, where it is over now.
    fn worked_at(&self, now: Instant) -> Option<Duration> {
        let mut trouble = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let over = (*trouble).filter(|trouble| now.saturating_duration_since(trouble.last) >= QUIET)?;
        *trouble = None;
        Some(over.last.saturating_duration_since(over.began))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_told_when_it_begins_while_it_lasts_and_when_it_is_over() {
        let (outage, start) = (Outage::default(), Instant::now());
        let at = |millis: u64| start + Duration::from_millis(millis);
        assert_eq!(outage.worked_at(at(0)), None, "nothing was wrong");
        assert_eq!(outage.failed_at(at(0)), Say::Begun);
        let said = (1..700).filter(|tick| outage.failed_at(at(tick * 100)) != Say::Nothing).count();
        assert_eq!(said, 2, "70 seconds of ten failures each");
        assert_eq!(outage.worked_at(at(70_000)), None, "one call got through, others do not");
        assert_eq!(outage.failed_at(at(70_100)), Say::Nothing);
        assert_eq!(outage.worked_at(at(71_100)), Some(Duration::from_millis(70_100)));
        assert_eq!(outage.worked_at(at(71_200)), None, "said once");
        assert_eq!(outage.failed_at(at(71_300)), Say::Begun, "the next one is another");
    }
}
