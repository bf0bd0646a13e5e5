//! The real clock and the real dice: the one place that reads either.

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::ports::clock::Clock;
use crate::domain::time::Time;

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    fn now(&self) -> Time {
        Time(jiff::Timestamp::now().as_microsecond())
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
