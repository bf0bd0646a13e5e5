//! The engine as the broker's consumers see it: messages in, decisions in.

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;
use uuid::Uuid;

use super::{Acted, Engine, EngineError, LOOK_AGAIN, Payload, Submission};
use crate::domain::message::{self, Incoming, Limits};
use crate::domain::request::signal::{Decision, person};
use crate::engine::intake::{self, Rejection};
use crate::engine::ports::broker::{DecisionSink, IntakeSink, RefusedDecision, Taken, ToolDecision};
use crate::engine::ports::records::ReviewRow;
use crate::engine::ports::store::{ReviewAct, StoreError};
use crate::faults::bug;

/// The code of a decision that came too late, or from somebody whom it is not for.
const NOT_APPLIED: &str = "not_applied";
/// How long a tool's decision waits for the request's owner before it counts as taken.
const DECISION_WAIT: std::time::Duration = std::time::Duration::from_secs(5);

#[async_trait]
impl IntakeSink for Engine {
    async fn take(&self, message: Incoming) -> Taken {
        let limits = Limits { own_names: self.inner.settings.own_names.clone(), ..Limits::default() };
        let taken = match message::read(&message, "amqp", &limits) {
            Ok(envelope) => {
                let submission = Submission {
                    producer: envelope.producer,
                    message: Some(envelope.message),
                    channel: envelope.channel,
                    process: envelope.process,
                    payload: Payload { raw: message.body, value: Some(Value::Object(envelope.payload)) },
                    reply_to: envelope.reply_to,
                    correlation: envelope.correlation,
                    traceparent: envelope.traceparent,
                };
                if bug("ack_before_commit") {
                    let engine = self.clone();
                    tokio::spawn(async move { engine.submit_with_room(submission).await });
                    return Taken::Stored;
                }
                self.submit_with_room(submission).await.map(drop)
            }
            Err(unreadable) => {
                let submission = Submission {
                    producer: unreadable.producer,
                    message: unreadable.message,
                    channel: unreadable.channel,
                    process: unreadable.process.unwrap_or_default(),
                    payload: message.body.into(),
                    reply_to: unreadable.reply_to,
                    correlation: unreadable.correlation,
                    traceparent: None,
                };
                self.reject(&submission, &Rejection { code: unreadable.code.as_str(), detail: unreadable.detail }).await
            }
        };
        self.taken(taken)
    }

    async fn ready(&self) {
        while !self.status().ready && !self.inner.stop.is_cancelled() {
            self.inner.clock.sleep(LOOK_AGAIN).await;
        }
    }
}

#[async_trait]
impl DecisionSink for Engine {
    async fn decide(&self, sent: ToolDecision) -> Taken {
        let (tool, review, nonce) = (sent.tool.clone(), sent.review, sent.nonce.clone());
        let refused = match self.apply(sent).await {
            Ok(None) => return Taken::Stored,
            Ok(Some(refused)) => refused,
            Err(error) => return self.taken(Err(error)),
        };
        let Rejection { code, detail } = refused;
        self.refuse(RefusedDecision { code, detail, tool: Some(tool), review: Some(review), nonce: Some(nonce) }).await
    }

    /// Records a decision that was not applied; its sender hears of it as an event.
    async fn refuse(&self, refused: RefusedDecision) -> Taken {
        let process = match refused.review {
            Some(review) => self.inner.store.review(review).await.map(|row| row.process).unwrap_or_default(),
            None => String::new(),
        };
        let topic = format!("review.{}.decision_refused", if process.is_empty() { "unknown" } else { &process });
        let review = refused.review.map(|id| id.to_string()).unwrap_or_default();
        let submission = Submission {
            // Not the tool's name itself: a message with the same id that the tool sends as a request is another.
            producer: format!("decisions:{}", refused.tool.as_deref().unwrap_or("unknown")),
            message: refused.nonce,
            channel: "decisions".to_owned(),
            process,
            // What makes one answer another.
            payload: Bytes::from(format!("{review} {}", refused.code)).into(),
            reply_to: None,
            correlation: None,
            traceparent: None,
        };
        let rejection = Rejection { code: refused.code, detail: refused.detail };
        let recorded = intake::record(&self.worker().core, &submission, &topic, &rejection).await;
        self.taken(recorded.map_err(|error| EngineError::Busy(error.to_string())))
    }

    async fn ready(&self) {
        IntakeSink::ready(self).await;
    }
}

impl Engine {
    /// Applies a tool's decision; `Some` says why it has no effect.
    async fn apply(&self, sent: ToolDecision) -> Result<Option<Rejection>, EngineError> {
        let refuse = |code: &'static str, detail: String| Ok(Some(Rejection { code, detail }));
        let review = match self.inner.store.review(sent.review).await {
            Ok(review) => review,
            Err(StoreError::NotFound(what)) => return refuse(NOT_APPLIED, format!("{what} was not found")),
            Err(error) => return Err(error.into()),
        };
        if let Some(why) = self.tool_may_not(&sent.tool, &review).await? {
            return refuse("not_allowed", why);
        }
        let decision = Decision {
            review: sent.review,
            choice: sent.choice,
            by: format!("{}@{}", sent.reviewer, sent.tool),
            first_by: None,
            first_note: None,
            reason: sent.reason,
            note: sent.note,
            fields: sent.fields,
        };
        // The same decision sent twice is the same signal.
        let id = Uuid::new_v5(&sent.review, format!("{}:{}", sent.tool, sent.nonce).as_bytes());
        let maker = decision.by.clone();
        let act = ReviewAct::Decide { version: sent.version, decision };
        let answer = match self.review_act(&review, act, id, DECISION_WAIT).await {
            Ok(answer) => answer,
            Err(EngineError::Invalid(why)) => return refuse(NOT_APPLIED, why),
            Err(error) => return Err(error),
        };
        let row = answer.row;
        match answer.came {
            Acted::Applied | Acted::SecondNeeded | Acted::Pending => Ok(None),
            Acted::Refused(why) => refuse(NOT_APPLIED, why),
            Acted::Ended(outcome) => refuse(NOT_APPLIED, format!("the request has ended: {outcome}")),
            Acted::SetAside => {
                let why = "the first person decided otherwise: both decisions are in the ledger, and two must decide anew";
                refuse("set_aside", why.to_owned())
            }
            Acted::Stale => refuse(NOT_APPLIED, format!("the review is {} at version {} by now", row.state, row.version)),
            Acted::Taken { by } if person(&by) == person(&maker) => {
                refuse(NOT_APPLIED, "the second person must be another one".to_owned())
            }
            Acted::Taken { by } => refuse(NOT_APPLIED, format!("{by} works on it")),
        }
    }

    /// Why a tool may not decide this review: its rights are those of the token that has its name.
    async fn tool_may_not(&self, tool: &str, review: &ReviewRow) -> Result<Option<String>, EngineError> {
        let Some(token) = self.inner.store.tokens().await?.into_iter().find(|token| token.name == tool) else {
            let mend = format!("`mozhao token create {tool} --role reviewer` gives it rights");
            return Ok(Some(format!("no token is named {tool}, so it may decide nothing; {mend}")));
        };
        let role = review.role.as_deref();
        Ok(if let Some(why) = token.over(self.inner.clock.now()) {
            Some(format!("the token {tool} {why}"))
        } else if !token.decides() {
            Some(format!("the token {tool} has not the role reviewer"))
        } else if !token.covers(&review.process) {
            Some(format!("the token {tool} is not good for the process {}", review.process))
        } else if !token.has_review_role(role) {
            Some(format!("the token {tool} has not the reviewers' role {}, which the review asks for", role.unwrap_or_default()))
        } else {
            None
        })
    }

    fn taken(&self, result: Result<(), EngineError>) -> Taken {
        match result {
            Ok(()) => Taken::Stored,
            Err(_) if self.inner.stop.is_cancelled() => Taken::Stop,
            Err(error) => {
                tracing::warn!(%error, "a message was not stored; it comes again");
                Taken::NotStored
            }
        }
    }
}
