//! The relay: publishes events that were written with the transitions they tell of, and marks them after the confirm.
//! At least once: what was confirmed but not marked is published again, with the same id.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::ports::broker::Publisher;
use super::ports::clock::Clock;
use super::ports::store::{Store, WorkerId};

/// The most events in one window of confirms.
const WINDOW: usize = 256;
/// How often the outbox is looked at when nothing is heard.
const QUIET: Duration = Duration::from_millis(500);

/// Runs until `stop`; `written` is rung when events were written.
pub async fn run(
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    publisher: Arc<dyn Publisher>,
    worker: WorkerId,
    written: Arc<Notify>,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        let full = match once(store.as_ref(), publisher.as_ref(), worker).await {
            Ok(published) => published == WINDOW,
            Err(error) => {
                tracing::warn!(%error, "the outbox cannot be read or marked at the moment");
                false
            }
        };
        if full {
            continue;
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = written.notified() => {}
            () = clock.sleep(QUIET) => {}
        }
    }
}

/// One window; how many events were published and marked.
async fn once(store: &dyn Store, publisher: &dyn Publisher, worker: WorkerId) -> Result<usize, super::ports::store::StoreError> {
    if !publisher.connected() {
        return Ok(0);
    }
    let events = store.unpublished(worker, WINDOW).await?;
    if events.is_empty() {
        return Ok(0);
    }
    let acked = publisher.publish(&events).await;
    let ids: Vec<_> = events.iter().zip(&acked).filter(|(_, acked)| **acked).map(|(event, _)| event.id).collect();
    if ids.len() < events.len() {
        tracing::warn!(unconfirmed = events.len() - ids.len(), "events were not confirmed; they are published again");
    }
    store.published(&ids).await?;
    Ok(ids.len())
}
