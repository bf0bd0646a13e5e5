//! Waiting for a condition, always with a deadline. The only place in the tests that sleeps: a
//! process outside of ours gives no signal to wait on, so we look at it every few milliseconds.

use std::future::Future;
use std::time::{Duration, Instant};

/// How often a condition is looked at.
const PERIOD: Duration = Duration::from_millis(20);

/// Lets time pass: not to wait for anything, but because slowness is the fault.
pub async fn let_pass(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Waits until `condition` gives `Some`; panics with `what` when `deadline` has passed.
pub async fn until_some<T, F, Fut>(what: &str, deadline: Duration, mut condition: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    let start = Instant::now();
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(start.elapsed() < deadline, "waited {deadline:?} in vain: {what}");
        tokio::time::sleep(PERIOD).await;
    }
}

/// Waits until `condition` is true; panics with `what` when `deadline` has passed.
pub async fn until<F, Fut>(what: &str, deadline: Duration, mut condition: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    until_some(what, deadline, || {
        let now = condition();
        async move { now.await.then_some(()) }
    })
    .await;
}

/// As [`until`], for a condition that needs no `await`.
pub async fn until_true(what: &str, deadline: Duration, mut condition: impl FnMut() -> bool) {
    until(what, deadline, || std::future::ready(condition())).await;
}
