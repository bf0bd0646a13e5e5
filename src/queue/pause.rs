//! Delays between attempts in this process, by the crate `backoff`: nothing else names it. What must survive a restart
//! (the retries of steps) is reckoned by the domain instead.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff as _;

/// The first delay.
const FIRST: Duration = Duration::from_millis(100);
/// The longest delay before jitter: a worker consumes again within five seconds of the broker's return.
const LONGEST: Duration = Duration::from_secs(2);

/// Growing, jittered, capped delays without a last one.
#[derive(Debug)]
pub(super) struct Pause(ExponentialBackoff);

impl Pause {
    pub(super) fn new() -> Pause {
        let mut inner = ExponentialBackoff {
            initial_interval: FIRST,
            current_interval: FIRST,
            randomization_factor: 0.5,
            multiplier: 2.0,
            max_interval: LONGEST,
            // Never give up: a worker without its broker has nothing better to do.
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        };
        inner.reset();
        Pause(inner)
    }

    /// The next delay.
    pub(super) fn next(&mut self) -> Duration {
        self.0.next_backoff().unwrap_or(LONGEST)
    }

    /// All is well: begin with the shortest delay next time.
    pub(super) fn reset(&mut self) {
        self.0.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_a_cap_and_never_end() {
        let mut pause = Pause::new();
        let delays: Vec<_> = (0..1000).map(|_| pause.next()).collect();
        assert!(delays[0] <= FIRST * 3 / 2, "{:?}", delays[0]);
        assert!(delays.iter().all(|delay| *delay <= LONGEST * 3 / 2));
        assert!(delays[900..].iter().any(|delay| *delay > LONGEST));
        pause.reset();
        assert!(pause.next() <= FIRST * 3 / 2);
    }
}
