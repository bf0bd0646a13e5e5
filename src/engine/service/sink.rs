//! The engine as the broker's consumers see it: messages in, decisions in.

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;
use uuid::Uuid;

use super::{Engine, EngineError, LOOK_AGAIN, Payload, Submission, Told};
use crate::domain::message::{self, Incoming, Limits};
use crate::domain::request::react::APPLIED;
use crate::domain::request::signal::Decision;
use crate::engine::intake::{self, Rejection};
use crate::engine::ports::broker::{DecisionSink, IntakeSink, RefusedDecision, Taken, ToolDecision};
use crate::engine::ports::store::{ReviewAct, ReviewPut};
use crate::faults::bug;

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
        let act = ReviewAct::Decide { version: sent.version, decision };
        let why = match self.review_act(sent.review, act, id, DECISION_WAIT).await {
            Ok(answer) => match (answer.put, answer.told) {
                (ReviewPut::Done(..), None | Some(Told::Pending)) => return Taken::Stored,
                (ReviewPut::Done(..), Some(Told::Answer(answer))) if answer == APPLIED => return Taken::Stored,
                (ReviewPut::Done(..), Some(Told::Answer(answer))) => answer,
                (ReviewPut::Done(..), Some(Told::Ended(outcome))) => format!("the request has ended: {outcome}"),
                (ReviewPut::Stale(row), _) => format!("the review is {} at version {} by now", row.state, row.version),
                (ReviewPut::Taken(row), _) => match row.claimed_by {
                    Some(holder) => format!("{holder} works on it"),
                    None => "the second person must be another one".to_owned(),
                },
            },
            Err(EngineError::Invalid(why)) => why,
            Err(EngineError::NotFound(what)) => format!("{what} was not found"),
            Err(EngineError::Busy(_) | EngineError::Store(_)) => return self.taken(Err(EngineError::Busy(String::new()))),
        };
        let process = self.inner.store.review(sent.review).await.map(|row| row.process).unwrap_or_default();
        let refused = Refused {
            code: "not_applied",
            detail: why,
            tool: Some(sent.tool),
            review: Some(sent.review),
            nonce: Some(sent.nonce),
        };
        self.answer_refused(refused, process).await
    }

    async fn refuse(&self, refused: RefusedDecision) -> Taken {
        let process = match refused.review {
            Some(review) => self.inner.store.review(review).await.map(|row| row.process).unwrap_or_default(),
            None => String::new(),
        };
        let RefusedDecision { code, detail, tool, review, nonce } = refused;
        self.answer_refused(Refused { code, detail, tool, review, nonce }, process).await
    }

    async fn ready(&self) {
        IntakeSink::ready(self).await;
    }
}

/// A decision that was not applied.
struct Refused {
    code: &'static str,
    detail: String,
    tool: Option<String>,
    review: Option<Uuid>,
    nonce: Option<String>,
}

impl Engine {
    /// Records a decision that was not applied; its sender hears of it as an event.
    async fn answer_refused(&self, refused: Refused, process: String) -> Taken {
        let topic = format!("review.{}.decision_refused", if process.is_empty() { "unknown" } else { &process });
        let review = refused.review.map(|id| id.to_string()).unwrap_or_default();
        let submission = Submission {
            producer: refused.tool.unwrap_or_else(|| "unknown".to_owned()),
            message: refused.nonce,
            channel: "decisions".to_owned(),
            process,
            payload: Bytes::from(review.into_bytes()).into(),
            reply_to: None,
            correlation: None,
            traceparent: None,
        };
        let rejection = Rejection { code: refused.code, detail: refused.detail };
        let recorded = intake::record(&self.worker().core, &submission, &topic, &rejection).await;
        self.taken(recorded.map_err(|error| EngineError::Busy(error.to_string())))
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
