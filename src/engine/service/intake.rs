//! Messages in: over HTTP at once, from a queue when there is room.

use std::sync::Arc;

use uuid::Uuid;

use super::{Engine, EngineError, LOOK_AGAIN};
use crate::engine::committer::CommitError;
use crate::engine::intake::{self, Rejection, Submission, Submitted};
use crate::engine::ports::store::{StoreError, Write, Written};
use crate::engine::worker::Worker;

impl Engine {
    /// Takes a message in over HTTP: stored at once, started when there is room.
    ///
    /// # Errors
    /// It was neither accepted nor rejected: try again with the same key.
    pub async fn submit(&self, submission: Submission) -> Result<Submitted, EngineError> {
        let worker = self.worker();
        let permit = worker.try_permit();
        self.take_in(&worker, submission, permit).await
    }

    /// Takes a message in from a queue: waits for room first, so that a backlog stays in the broker.
    ///
    /// # Errors
    /// It was neither accepted nor rejected: it must be delivered again.
    pub async fn submit_with_room(&self, submission: Submission) -> Result<Submitted, EngineError> {
        let worker = self.worker();
        let permit = worker.permit().await;
        self.take_in(&worker, submission, permit).await
    }

    async fn take_in(
        &self,
        worker: &Arc<Worker>,
        mut submission: Submission,
        permit: Option<tokio::sync::OwnedSemaphorePermit>,
    ) -> Result<Submitted, EngineError> {
        if self.inner.stop.is_cancelled() {
            return Err(EngineError::Busy("the worker is stopping".to_owned()));
        }
        let core = &worker.core;
        let ready = match intake::prepare(core, &mut submission, permit.is_some()) {
            Ok(ready) => ready,
            Err(rejection) => {
                self.reject(&submission, &rejection).await?;
                return Ok(Submitted::Rejected { code: rejection.code.to_owned(), detail: rejection.detail });
            }
        };
        let id = ready.fresh.state.id;
        let written = core.committer.write(Write::Accept(Box::new(ready.accept))).await;
        match written {
            Ok(Written::Accepted { turn, over_limit }) => {
                match permit {
                    Some(permit) if turn => worker.start(ready.fresh, turn, over_limit, permit),
                    _ => worker.due.notify_one(),
                }
                Ok(Submitted::Accepted(id))
            }
            Ok(Written::Duplicate(first)) => Ok(Submitted::Duplicate(first)),
            Ok(Written::KeyConflict(first)) => {
                let detail = match first {
                    Some(_) => "the same key came before with another body; a new request needs a new key".to_owned(),
                    None => "what came before with this key was rejected; send it again under a new key".to_owned(),
                };
                self.reject(&submission, &Rejection { code: "key_conflict", detail }).await?;
                Ok(Submitted::Conflict(first))
            }
            Ok(other) => Err(EngineError::Busy(format!("accepting came to {other:?}"))),
            Err(CommitError::Data(why)) => {
                tracing::error!(%why, process = submission.process, "the database refuses a message that passed every check");
                let detail = "the message passed every check, and the database cannot hold it; it is kept as rejected: please \
                              report it with its id";
                let rejection = Rejection { code: "refused_by_database", detail: detail.to_owned() };
                self.reject(&submission, &rejection).await?;
                Ok(Submitted::Rejected { code: rejection.code.to_owned(), detail: rejection.detail })
            }
            Err(CommitError::Unknown(why)) => {
                follow_up(worker.clone(), id, permit);
                Err(EngineError::Busy(why))
            }
            Err(error) => Err(EngineError::Busy(error.to_string())),
        }
    }

    /// Records a message that is no request.
    ///
    /// # Errors
    /// It could not be recorded: it must be delivered again.
    pub async fn reject(&self, submission: &Submission, rejection: &Rejection) -> Result<(), EngineError> {
        let recorded = intake::record(&self.worker().core, submission, "intake.rejected", rejection).await;
        recorded.map_err(|error| EngineError::Busy(error.to_string()))
    }
}

/// Nobody knows whether the request was accepted: if it was, it is ours and somebody must carry it.
fn follow_up(worker: Arc<Worker>, id: Uuid, permit: Option<tokio::sync::OwnedSemaphorePermit>) {
    let Some(permit) = permit else { return };
    let kill = worker.core.kill.clone();
    tokio::spawn(async move {
        while !kill.is_cancelled() {
            match worker.core.store.request(id).await {
                Ok(row) if row.owner == Some(worker.core.worker) => return worker.take_up(id, permit),
                Ok(_) | Err(StoreError::NotFound(_)) => return,
                Err(_) => worker.core.clock.sleep(LOOK_AGAIN).await,
            }
        }
    });
}
