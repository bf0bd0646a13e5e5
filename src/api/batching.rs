//! Works off batches of decisions, in whichever worker runs.
//!
//! Nothing here remembers anything: a turn takes a batch, sends what is open of it, each under the id that it was given when the
//! batch was made, and writes down what came of it. A worker that dies in between leaves an item that the next one sends again,
//! which the store answers as it answered the first time. Whether the decider may decide was looked at when the batch was made, and
//! is again before each is sent: rights may be taken away meanwhile; whether the review still is what they saw, the store says under its row's lock, as for a single decision.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::late::{Late, bounded, came, send};
use crate::domain::request::signal::Decision;
use crate::engine::ports::batches::{BatchRow, Came, ItemRow, Progress};
use crate::engine::ports::reviewing::HeldRow;
use crate::engine::service::{Engine, EngineError};

/// How often somebody looks for a batch.
const LOOK: Duration = Duration::from_secs(1);
/// How long a batch belongs to who took it; longer than a turn.
const LEASE: Duration = Duration::from_secs(30);
/// After this long, a turn begins no further item.
const TURN: Duration = Duration::from_secs(15);
/// How long a decision waits for the request's owner, the first time.
const PATIENCE: Duration = Duration::from_secs(5);

/// Somebody's decision on it waits.
pub(super) fn held(other: &HeldRow) -> Came {
    came(Progress::Skipped, "held", &other.decision.by)
}

/// Works off batches until `stopping`.
pub async fn work_batches(engine: Engine, stopping: CancellationToken) {
    loop {
        let more = match turn(&engine).await {
            Ok(more) => more,
            Err(error) => {
                tracing::warn!(%error, "a batch of decisions cannot be worked off at the moment");
                false
            }
        };
        let pause = if more { Duration::ZERO } else { LOOK };
        tokio::select! {
            biased;
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Works on one batch, if there is one; whether it makes sense to go on at once.
///
/// # Errors
/// The store failed; what was begun is sent again later, under the same ids.
pub async fn turn(engine: &Engine) -> Result<bool, EngineError> {
    let (batches, now) = (engine.store().batches(), engine.clock().now());
    let Some(batch) = batches.take_batch(now, now.plus(LEASE)).await? else { return Ok(false) };
    let (mut rest, mut waits) = (false, false);
    // What nobody has answered yet is asked about last, so that it keeps nothing from being sent.
    let mut items = batches.batch_items(batch.id).await?;
    items.sort_by_key(|item| item.came.to == Progress::Sending);
    for item in items {
        if engine.clock().now() >= now.plus(TURN) {
            rest = true;
            break;
        }
        if !item.came.to.open() || !batches.begin_item(batch.id, item.review).await? {
            continue;
        }
        match decide(engine, &batch, &item).await? {
            Some(came) => batches.settle_item(batch.id, item.review, &came).await?,
            None => waits = true,
        }
    }
    let now = engine.clock().now();
    if !rest && !waits {
        batches.close_batch(batch.id, now).await?;
    }
    batches.leave_batch(batch.id, if rest { now } else { now.plus(LOOK) }).await?;
    Ok(!waits)
}

/// Sends one decision; what came of it, or `None` where nobody has said so yet.
async fn decide(engine: &Engine, batch: &BatchRow, item: &ItemRow) -> Result<Option<Came>, EngineError> {
    let first = item.came.to == Progress::Pending;
    let late = Late {
        decision: Decision { review: item.review, ..batch.decision.clone() },
        version: item.version,
        signal_id: item.signal_id,
        since: batch.start_at,
        patience: if first { PATIENCE } else { Duration::ZERO },
    };
    // What was sent before may have come to anything since; somebody may hold a decision on what it has led to.
    if first {
        match engine.store().reviewing().held(item.review).await {
            Ok(None) => {}
            Ok(Some(other)) => return Ok(Some(held(&other))),
            Err(error) => return bounded(engine, &late, error.into()).await,
        }
    }
    send(engine, &late).await
}
