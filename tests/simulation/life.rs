//! The life of a simulated process. A dead one never does anything again, a stalled one (SIGSTOP, a long pause of the
//! machine) goes on later as if nothing had been: whatever it does passes through [`Life::gate`].

use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use mozhao::domain::time::Time;
use mozhao::engine::ports::clock::Clock;
use mozhao::proof::clock::VirtualClock;
use uuid::Uuid;

use crate::dice::Dice;
use crate::trace::Trace;

pub(crate) struct Life {
    pub(crate) name: String,
    clock: Arc<VirtualClock>,
    state: Mutex<Pulse>,
    /// How often something was waited for at this instant.
    waits: Mutex<(Time, u32)>,
    trace: Arc<Trace>,
}

/// Whoever waits so often without time going on would burn a processor.
const SPINS: u32 = 5_000;

#[derive(Clone, Copy, PartialEq)]
enum Pulse {
    Alive,
    StalledUntil(Time),
    Dead,
}

impl Life {
    pub(crate) fn new(name: String, trace: Arc<Trace>) -> Arc<Life> {
        let clock = trace.clock.clone();
        Arc::new(Life { name, state: Mutex::new(Pulse::Alive), waits: Mutex::new((clock.now(), 0)), clock, trace })
    }

    fn waits(&self) {
        let now = self.clock.now();
        let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        *waits = if waits.0 == now { (now, waits.1 + 1) } else { (now, 0) };
        if waits.1 == SPINS {
            self.trace.violation(format!("{} spins", self.name));
            self.kill();
        }
    }

    fn pulse(&self) -> Pulse {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Passes when the process is running; never, where it is dead.
    pub(crate) async fn gate(&self) {
        loop {
            match self.pulse() {
                Pulse::Alive => return,
                Pulse::Dead => pending().await,
                Pulse::StalledUntil(until) if self.clock.now() >= until => return,
                Pulse::StalledUntil(until) => self.clock.sleep(until.since(self.clock.now())).await,
            }
        }
    }

    pub(crate) fn kill(&self) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = Pulse::Dead;
    }

    pub(crate) fn stall(&self, length: Duration) {
        let until = self.clock.now().plus(length);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if *state != Pulse::Dead {
            *state = Pulse::StalledUntil(until);
        }
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.pulse() == Pulse::Dead
    }

    pub(crate) fn is_stalled(&self) -> bool {
        matches!(self.pulse(), Pulse::StalledUntil(until) if self.clock.now() < until)
    }
}

/// Time as one process sees it: its wall clock is a little off, and its timers are never early and often late.
pub(crate) struct OwnClock {
    pub(crate) life: Arc<Life>,
    pub(crate) inner: Arc<VirtualClock>,
    /// Microseconds.
    pub(crate) off: i64,
    pub(crate) lag: u64,
    pub(crate) dice: Dice,
}

#[async_trait]
impl Clock for OwnClock {
    fn now(&self) -> Time {
        Time(self.inner.now().0 + self.off)
    }

    fn steady(&self) -> Duration {
        self.inner.steady()
    }

    fn id(&self) -> Uuid {
        self.inner.id()
    }

    fn jitter(&self) -> f64 {
        self.inner.jitter()
    }

    async fn sleep(&self, length: Duration) {
        self.life.waits();
        self.life.gate().await;
        let late = if length < Duration::from_millis(100) { Duration::ZERO } else { self.dice.millis(0, self.lag) };
        self.inner.sleep(length + late).await;
        self.life.gate().await;
    }
}
