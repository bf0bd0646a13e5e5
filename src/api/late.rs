//! Sends a decision later than it was made: one that was held, or one of a batch.
//!
//! Nobody waits for the answer, so that whatever happens must come to an end by itself, and to the right one. Rights are looked at
//! again, since they may have been taken away meanwhile. An error may come after the decision was stored: it is said to have failed
//! only where the store knows nothing of it; and a store that cannot be read is believed to be mended, but not for ever.

use std::time::Duration;

use uuid::Uuid;

use super::acts::may_still;
use crate::domain::request::react::APPLIED;
use crate::domain::request::signal::Decision;
use crate::domain::time::Time;
use crate::engine::ports::batches::{Came, Progress};
use crate::engine::ports::store::{ReviewAct, StoreError};
use crate::engine::service::{Acted, Engine, EngineError};

/// After this long it is enough that a decision is stored: its owner will see it, and the ledger says what came of it.
const ENOUGH: Duration = Duration::from_mins(2);
/// For so long a store that is broken is believed to be mended.
const LONG: Duration = Duration::from_mins(10);

/// A decision whose time has come.
pub(super) struct Late {
    /// The decision, with its review.
    pub(super) decision: Decision,
    /// The review's version that was seen.
    pub(super) version: u32,
    /// Under which it is sent, each time.
    pub(super) signal_id: Uuid,
    /// When its time had come.
    pub(super) since: Time,
    /// How long its owner's answer is waited for.
    pub(super) patience: Duration,
}

/// What it came to.
pub(super) fn came(to: Progress, code: &str, why: &str) -> Came {
    Came { to, code: code.to_owned(), why: why.to_owned() }
}

/// Sends it; what came of it, or `None` where nobody has said so yet, and it is to be sent again.
///
/// # Errors
/// The store is not there at the moment.
pub(super) async fn send(engine: &Engine, late: &Late) -> Result<Option<Came>, EngineError> {
    match attempt(engine, late).await {
        Ok(came) => Ok(came),
        Err(error) => bounded(engine, late, error).await,
    }
}

async fn attempt(engine: &Engine, late: &Late) -> Result<Option<Came>, EngineError> {
    let review = match engine.store().review(late.decision.review).await {
        Ok(review) => review,
        Err(StoreError::NotFound(_)) => return Ok(Some(came(Progress::Skipped, "not_found", ""))),
        Err(error) => return Err(error.into()),
    };
    if !may_still(engine, &late.decision, late.signal_id, &review).await? {
        return Ok(Some(came(Progress::Failed, "revoked", "")));
    }
    let act = ReviewAct::Decide { version: late.version, decision: late.decision.clone() };
    let answer = match engine.review_act(&review, act, late.signal_id, late.patience).await {
        Ok(answer) => answer,
        Err(EngineError::Invalid(why)) => return Ok(Some(came(Progress::Failed, "invalid", &why))),
        Err(EngineError::NotFound(_)) => return Ok(Some(came(Progress::Skipped, "not_found", ""))),
        Err(error) => return Err(error),
    };
    Ok(Some(match answer.came {
        Acted::Applied => came(Progress::Done, "applied", ""),
        Acted::SecondNeeded => came(Progress::Done, "second_needed", ""),
        Acted::SetAside => came(Progress::Skipped, "set_aside", ""),
        Acted::Refused(why) => came(Progress::Failed, "refused", &why),
        Acted::Ended(outcome) => came(Progress::Skipped, "ended", outcome),
        Acted::Stale => came(Progress::Skipped, "stale", &format!("version {}, {}", answer.row.version, answer.row.state)),
        Acted::Taken { by } => came(Progress::Skipped, "taken", &by),
        Acted::Pending => return Ok(stored(engine, late)),
    }))
}

/// It is stored and not answered.
fn stored(engine: &Engine, late: &Late) -> Option<Came> {
    (engine.clock().now().since(late.since) >= ENOUGH).then(|| came(Progress::Done, "stored", ""))
}

/// What an error means for it: it is tried again, and ends where that is no use any more.
///
/// # Errors
/// The store is not there at the moment.
pub(super) async fn bounded(engine: &Engine, late: &Late, error: EngineError) -> Result<Option<Came>, EngineError> {
    let review = late.decision.review;
    let long = engine.clock().now().since(late.since) >= LONG;
    match &error {
        // What the store will never take.
        EngineError::Store(StoreError::Data(_)) => {}
        EngineError::Store(StoreError::Broken(_)) if long => {}
        EngineError::Store(StoreError::Broken(why)) => {
            tracing::warn!(why, %review, "a decision cannot be sent; it is tried again");
            return Ok(None);
        }
        _ => return Err(error),
    }
    // It may have failed after it was stored.
    match engine.store().signal_answer(late.signal_id).await {
        Ok(Some(word)) if word == APPLIED => return Ok(Some(came(Progress::Done, "applied", ""))),
        Ok(Some(why)) => return Ok(Some(came(Progress::Failed, "refused", &why))),
        Ok(None) => return Ok(stored(engine, late)),
        Err(StoreError::Data(_) | StoreError::Broken(_)) if !long => return Ok(None),
        Err(StoreError::NotFound(_) | StoreError::Data(_) | StoreError::Broken(_)) => {}
        Err(error) => return Err(error.into()),
    }
    tracing::error!(%error, %review, "a decision cannot be stored, and is given up");
    Ok(Some(came(Progress::Failed, "internal", "")))
}
