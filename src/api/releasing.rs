//! Sends held decisions when their time has come, in whichever worker runs, and tells what came to nothing.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::late::{Late, came, send};
use crate::domain::request::signal::{Decision, Signal, person};
use crate::engine::ports::batches::{Came, Progress};
use crate::engine::ports::records::outcome;
use crate::engine::ports::reviewing::{EndRow, HeldRow};
use crate::engine::ports::store::StoreError;
use crate::engine::service::{Engine, EngineError};

/// How often held decisions are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How long a decision waits for the request's owner, for so long after its time has come.
const PATIENCE: Duration = Duration::from_secs(1);
/// See [`PATIENCE`].
const PROMPT: Duration = Duration::from_secs(2);
/// How many are sent in one go.
const AT_ONCE: usize = 50;

/// Sends held decisions when their time has come, until `stopping`. Any worker sends anybody's.
pub async fn keep(engine: Engine, stopping: CancellationToken) {
    loop {
        tokio::select! {
            biased;
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        if let Err(error) = release(&engine).await {
            tracing::warn!(%error, "held decisions cannot be sent at the moment");
        }
    }
}

/// Sends those whose time has come; how many are over.
///
/// # Errors
/// The store failed; what was not sent stays and is sent later, under the same id. One that cannot be sent keeps none from it.
pub async fn release(engine: &Engine) -> Result<usize, EngineError> {
    let due = engine.store().reviewing().due_held(engine.clock().now(), AT_ONCE).await?;
    let (mut many, mut failed) = (0, None);
    for held in due {
        match one(engine, &held).await {
            Ok(over) => many += usize::from(over),
            Err(error) => failed = Some(error),
        }
    }
    failed.map_or(Ok(many), Err)
}

/// Sends one; whether it is over.
async fn one(engine: &Engine, held: &HeldRow) -> Result<bool, EngineError> {
    if !still(engine, held).await? {
        return Ok(false);
    }
    let now = engine.clock().now();
    let late = Late {
        decision: held.decision.clone(),
        version: held.version,
        signal_id: held.signal_id,
        since: held.release_at,
        patience: if now.since(held.release_at) < PROMPT { PATIENCE } else { Duration::ZERO },
    };
    let Some(came) = send(engine, &late).await? else { return Ok(false) };
    if came.to == Progress::Done {
        engine.store().reviewing().drop_held(held.decision.review, held.signal_id).await?;
        return Ok(true);
    }
    let came = if came.code == "stale" { met(engine, held, came).await? } else { came };
    tell(engine, held, came).await
}

/// Is it still to be sent? Another worker may have been faster, and somebody else's decision may be held there by now.
async fn still(engine: &Engine, held: &HeldRow) -> Result<bool, EngineError> {
    let now = engine.store().reviewing().held(held.decision.review).await?;
    Ok(now.is_some_and(|now| now.signal_id == held.signal_id))
}

/// What it met that was stale by the time it was sent: the end, another one's decision, or a question that had changed.
async fn met(engine: &Engine, held: &HeldRow, stale: Came) -> Result<Came, EngineError> {
    if let Some(outcome) = outcome(&engine.store().request(held.request).await?.state) {
        return Ok(came(Progress::Skipped, "ended", outcome));
    }
    let review = engine.store().review(held.decision.review).await?;
    Ok(match review.decision.as_ref().filter(|_| review.state != "open") {
        Some(other) => came(Progress::Skipped, "decided", &other.by),
        None => stale,
    })
}

/// Tells its maker, and whoever reads the request's ledger, that a held decision came to nothing; false where somebody else has.
async fn tell(engine: &Engine, held: &HeldRow, came: Came) -> Result<bool, EngineError> {
    let Came { code, why, .. } = came;
    let Decision { review, ref by, choice, .. } = held.decision;
    let words = match code.as_str() {
        "stale" => "the question had changed".to_owned(),
        "taken" if person(&why) == person(by) => format!("{why} had decided first, and the second must be another person"),
        "taken" if why.is_empty() => "somebody else had taken it over".to_owned(),
        "taken" => format!("{why} had taken it over"),
        "decided" => format!("{why} had decided"),
        "ended" => format!("the request had ended ({why})"),
        "revoked" => "who made it may not decide this any more".to_owned(),
        "not_found" => "there is no such question".to_owned(),
        "internal" => "it could not be stored".to_owned(),
        _ => why.clone(),
    };
    // While it was sent another worker may have done the same, and more.
    if !still(engine, held).await? {
        return Ok(false);
    }
    tracing::warn!(%review, by, code, why, "a held decision was not applied");
    // Of these two the ledger says so already: the store has written that two disagree, the owner what it refused.
    if !matches!(code.as_str(), "set_aside" | "refused") {
        let text = format!("a decision of {by}, made at {}, was not applied: {words}", held.at);
        let signal = Signal::Note { by: by.clone(), text };
        // The same id each time: said once. Where the request has ended, its ledger is closed, and the review says it.
        let id = Uuid::new_v5(&held.signal_id, b"not applied");
        match engine.send(held.request, id, signal, Duration::ZERO).await {
            Ok(_) | Err(EngineError::NotFound(_) | EngineError::Store(StoreError::Data(_))) => {}
            Err(error) => return Err(error),
        }
    }
    let ended_at = engine.clock().now();
    let end = EndRow { review, by: by.clone(), choice, at: held.at, ended_at, code, why };
    engine.store().reviewing().end_held(held.signal_id, &end).await?;
    Ok(true)
}
