//! The port to the broker: what the relay publishes through, and what consumers hand to intake.

use async_trait::async_trait;

use super::records::Event;

/// Publishes events with confirms.
#[async_trait]
pub trait Publisher: Send + Sync + 'static {
    /// Publishes each event (and its copy for `reply_to`) and waits for the confirms, within a deadline. One answer per event:
    /// true only on a real ack. False means unknown: publish again later.
    async fn publish(&self, events: &[Event]) -> Vec<bool>;
    /// Is the broker reachable at the moment?
    fn connected(&self) -> bool;
}
