//! The real clock and the real dice: the one place that reads either.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use uuid::Uuid;

use super::ports::clock::Clock;
use crate::domain::time::Time;

/// What [`SystemClock::steady`] counts from.
static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    fn now(&self) -> Time {
        Time(jiff::Timestamp::now().as_microsecond())
    }

    fn steady(&self) -> Duration {
        BEGINNING.elapsed()
    }

    fn id(&self) -> Uuid {
        Uuid::now_v7()
    }

    fn jitter(&self) -> f64 {
        rand::random()
    }

    async fn sleep(&self, length: Duration) {
        tokio::time::sleep(length).await;
    }
}

/// How far a clock may be behind the database's before it counts.
const TOLERANCE: i64 = 1_000_000;

/// A clock that does not stay behind the database's. What is due is decided by the database's clock, and what is to be done by the
/// worker's: a worker whose clock is behind would claim a request, find that its time has not come, give it back, and claim it again
/// for as long as its clock is behind. Its differences to the database are measured while it works ([`Aligned::align`]).
pub struct Aligned {
    machine: Arc<dyn Clock>,
    /// Microseconds that the database is ahead of the machine.
    ahead: AtomicI64,
}

impl Aligned {
    /// The machine's clock, as long as nothing else is measured.
    #[must_use]
    pub fn new(machine: Arc<dyn Clock>) -> Aligned {
        Aligned { machine, ahead: AtomicI64::new(0) }
    }

    /// The database has just answered that it is `database`: its clock was read before this call, so what it is ahead now it is
    /// certainly ahead. True where that is news to be told.
    pub fn align(&self, database: Time) -> bool {
        let ahead = database.0.saturating_sub(self.machine.now().0);
        let ahead = if ahead > TOLERANCE { ahead } else { 0 };
        let before = self.ahead.swap(ahead, Ordering::Relaxed);
        (before == 0) != (ahead == 0)
    }

    /// How far the machine is behind.
    #[must_use]
    pub fn behind(&self) -> Duration {
        Duration::from_micros(u64::try_from(self.ahead.load(Ordering::Relaxed)).unwrap_or_default())
    }
}

#[async_trait]
impl Clock for Aligned {
    fn now(&self) -> Time {
        self.machine.now().plus(self.behind())
    }

    fn steady(&self) -> Duration {
        self.machine.steady()
    }

    fn id(&self) -> Uuid {
        self.machine.id()
    }

    fn jitter(&self) -> f64 {
        self.machine.jitter()
    }

    async fn sleep(&self, length: Duration) {
        self.machine.sleep(length).await;
    }
}

#[cfg(test)]
mod aligned_tests {
    use super::*;

    /// A clock that stands.
    struct At(Time);

    #[async_trait]
    impl Clock for At {
        fn now(&self) -> Time {
            self.0
        }

        fn steady(&self) -> Duration {
            Duration::ZERO
        }

        fn id(&self) -> Uuid {
            Uuid::nil()
        }

        fn jitter(&self) -> f64 {
            0.0
        }

        async fn sleep(&self, _: Duration) {}
    }

    #[test]
    fn what_the_database_holds_due_is_due_here() {
        let second = Duration::from_secs(1);
        let clock = Aligned::new(Arc::new(At(Time(0).plus(second * 100))));
        let due = Time(0).plus(second * 105);
        assert!(clock.now() < due);
        assert!(clock.align(due), "news");
        assert!(clock.now() >= due && clock.behind() == second * 5);
        assert!(!clock.align(due.plus(second)), "known");
        assert_eq!(clock.now(), due.plus(second));
        // Ahead of the database, or next to it, it is left alone.
        assert!(clock.align(Time(0).plus(second * 100)));
        assert!(!clock.align(Time(0)));
        assert_eq!(clock.now(), Time(0).plus(second * 100));
    }
}
