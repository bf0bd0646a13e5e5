//! Acts on reviews: what is asked of the store, and what came of it once the request's owner has answered, in one vocabulary for
//! everybody who acts: the API, tools over the queue, held decisions and batches.

use std::time::Duration;

use uuid::Uuid;

use super::{Engine, EngineError, Told};
use crate::domain::request::react::{APPLIED, check_decision};
use crate::domain::request::signal::{Decision, person};
use crate::domain::words::Choice;
use crate::engine::drive::replay;
use crate::engine::ports::records::ReviewRow;
use crate::engine::ports::store::{ReviewAct, ReviewPut};

/// What came of an act on a review.
#[derive(Debug, Clone, PartialEq)]
pub struct ReviewAnswer {
    /// The row as it is now.
    pub row: Box<ReviewRow>,
    /// What the act came to.
    pub came: Acted,
}

/// What an act on a review came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acted {
    /// It happened; a decision was applied by the request's owner.
    Applied,
    /// The first of two decisions is kept: another person must come to the same.
    SecondNeeded,
    /// The first person decided otherwise: both decisions are in the ledger, and two must decide anew.
    SetAside,
    /// The decision is stored, and the request's owner has not answered yet.
    Pending,
    /// The request's owner did not apply the decision: why. The question is asked anew.
    Refused(String),
    /// The decision was stored, and the request had ended so before its owner looked at it.
    Ended(&'static str),
    /// Nothing was done: the review is not what was seen, or not open.
    Stale,
    /// Nothing was done: somebody works on it, or whoever acts has decided first.
    Taken {
        /// Who works on it, or as whom they decided.
        by: String,
    },
}

impl Engine {
    /// Would a decision on this review be well formed?
    ///
    /// # Errors
    /// An ill-formed decision, or the store failed.
    pub async fn check_decision(&self, review: &ReviewRow, decision: &Decision) -> Result<(), EngineError> {
        // A version that another worker published a moment ago: its owner looks at the decision in any case, and asks anew where it
        // cannot be applied.
        let Some(process) = self.inner.processes.get(&review.process, review.process_version) else { return Ok(()) };
        // Only an amendment depends on what has happened so far.
        let state = match decision.choice {
            Choice::Amend => {
                let loaded = self.inner.store.load(review.request).await?;
                Some(replay(&loaded).map_err(|error| EngineError::Invalid(error.to_string()))?)
            }
            _ => None,
        };
        check_decision(&process, &review.options, state.as_ref(), decision).map_err(EngineError::Invalid)
    }

    /// Acts on a review that was read just now; a decision goes to the request's owner, and its answer is waited for.
    ///
    /// # Errors
    /// An ill-formed decision, or the store failed. A decision may have been stored then: the same `id` tells.
    pub async fn review_act(
        &self,
        review: &ReviewRow,
        act: ReviewAct,
        id: Uuid,
        wait: Duration,
    ) -> Result<ReviewAnswer, EngineError> {
        if let ReviewAct::Decide { decision, .. } = &act {
            self.check_decision(review, decision).await?;
        }
        let put = self.inner.store.review_act(review.id, &act, id, self.inner.clock.now()).await?;
        let answer = match put {
            ReviewPut::Done(row, Some(signal)) => {
                let told = self.answer(row.request, signal, wait).await?;
                // The owner has closed it in the meantime, or asks anew.
                let row = Box::new(self.inner.store.review(review.id).await?);
                ReviewAnswer { row, came: decided(told) }
            }
            ReviewPut::Done(row, None) => {
                let came = if matches!(act, ReviewAct::Decide { .. }) { Acted::SecondNeeded } else { Acted::Applied };
                ReviewAnswer { row, came }
            }
            ReviewPut::SetAside(row) => ReviewAnswer { row, came: Acted::SetAside },
            ReviewPut::Stale(row) => ReviewAnswer { row, came: Acted::Stale },
            ReviewPut::Taken(row) => {
                let came = Acted::Taken { by: taken_by(&row, act.by()) };
                ReviewAnswer { row, came }
            }
        };
        self.inner.changes.tell(review.request);
        Ok(answer)
    }
}

fn decided(told: Told) -> Acted {
    match told {
        Told::Answer(word) if word == APPLIED => Acted::Applied,
        Told::Answer(why) => Acted::Refused(why),
        Told::Ended(outcome) => Acted::Ended(outcome),
        Told::Pending => Acted::Pending,
    }
}

/// Who had it, where somebody's act was turned down: as whom they decided first themselves, or who works on it.
fn taken_by(row: &ReviewRow, actor: &str) -> String {
    let first = row.decision.as_ref().map(|first| &first.by);
    let own = first.filter(|first| person(first) == person(actor));
    own.or(row.claimed_by.as_ref()).or(first).cloned().unwrap_or_default()
}
