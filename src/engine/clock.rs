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

/// How far a clock may differ from the database's before it counts.
const TOLERANCE: i64 = 1_000_000;
/// What of a UUIDv7 is its time: the milliseconds above these bits.
const BELOW_TIME: u32 = 80;

/// A clock that goes by the database's. What is due is decided by the database's clock, and what is to be done by the worker's: a
/// worker whose clock is behind would claim a request, find that its time has not come, give it back, and claim it again for as long
/// as its clock is behind; one whose clock is ahead would have its retries and deadlines wait for as long as it is ahead, and
/// whoever takes over from it, too. The difference to the database is measured while the worker works ([`Aligned::align`]).
pub struct Aligned {
    machine: Arc<dyn Clock>,
    /// Microseconds that the database is ahead of the machine; negative where it is behind.
    ahead: AtomicI64,
}

impl Aligned {
    /// The machine's clock, as long as nothing else is measured.
    #[must_use]
    pub fn new(machine: Arc<dyn Clock>) -> Aligned {
        Aligned { machine, ahead: AtomicI64::new(0) }
    }

    /// What the machine says, whatever was measured.
    #[must_use]
    pub fn machine(&self) -> Time {
        self.machine.now()
    }

    /// The database has just answered that it is `database`, asked after the machine's `asked`: its clock was read in between, so what it
    /// is ahead of now, or behind `asked`, it certainly is. True where that is news to be told.
    pub fn align(&self, asked: Time, database: Time) -> bool {
        let answered = self.machine.now();
        if answered.0.saturating_sub(asked.0) > TOLERANCE {
            // It says too little: what is known is better.
            return false;
        }
        let (ahead, behind) = (database.0.saturating_sub(answered.0), asked.0.saturating_sub(database.0));
        let ahead = match (ahead > TOLERANCE, behind > TOLERANCE) {
            (true, _) => ahead,
            (false, true) => -behind,
            (false, false) => 0,
        };
        let before = self.ahead.swap(ahead, Ordering::Relaxed);
        (before == 0) != (ahead == 0)
    }

    /// Microseconds that the database is ahead of the machine; negative where it is behind.
    #[must_use]
    pub fn difference(&self) -> i64 {
        self.ahead.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Clock for Aligned {
    fn now(&self) -> Time {
        Time(self.machine.now().0.saturating_add(self.difference()))
    }

    fn steady(&self) -> Duration {
        self.machine.steady()
    }

    /// In the order of this clock: what reads by ids finds those of several workers in the order of their times.
    fn id(&self) -> Uuid {
        let (id, difference) = (self.machine.id(), self.difference() / 1_000);
        if difference == 0 {
            return id;
        }
        let (time, rest) = (id.as_u128() >> BELOW_TIME, id.as_u128() & ((1 << BELOW_TIME) - 1));
        let time = i64::try_from(time).unwrap_or(i64::MAX).saturating_add(difference);
        Uuid::from_u128(u128::from(u64::try_from(time).unwrap_or_default()) << BELOW_TIME | rest)
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
    fn the_database_says_what_time_it_is() {
        let at = |seconds: u64| Time(0).plus(Duration::from_secs(seconds));
        let clock = Aligned::new(Arc::new(At(at(100))));
        assert!(clock.now() < at(105));
        assert!(clock.align(clock.machine(), at(105)), "news");
        assert_eq!(clock.now(), at(105));
        assert!(!clock.align(clock.machine(), at(106)), "known");
        assert_eq!(clock.now(), at(106));
        // Next to it, it is left alone.
        assert!(clock.align(clock.machine(), at(100)));
        assert_eq!((clock.now(), clock.difference()), (at(100), 0));
        assert!(clock.align(clock.machine(), at(40)), "ahead");
        assert_eq!(clock.now(), at(40));
        // An answer that took long says too little.
        assert!(!clock.align(at(40), at(40)));
        assert_eq!(clock.now(), at(40));
    }

    #[test]
    fn ids_are_in_the_order_of_the_clock() {
        let clock = Aligned::new(Arc::new(SystemClock));
        let before = clock.id();
        for (hour, seconds) in [(-3_600, 3_600), (3_600, -3_600)] {
            let now = clock.machine();
            clock.align(now, Time(now.0 + hour * 1_000_000));
            let other = clock.id();
            assert_eq!(other.get_version_num(), 7);
            assert_eq!(other > before, hour > 0);
            let time = |id: Uuid| i64::try_from(id.as_u128() >> BELOW_TIME).unwrap_or_default();
            let differ = time(other) - time(before) + seconds * 1_000;
            // What passed between the question and the answer is not counted as ahead, which may cost the millisecond.
            assert!((-1..60_000).contains(&differ), "{differ}");
        }
    }
}
