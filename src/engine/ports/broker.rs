//! The port to the broker: what the relay publishes through, and what consumers hand to intake.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::Value;
use uuid::Uuid;

use super::records::Event;
pub use crate::domain::message::Incoming;
use crate::domain::time::Time;
use crate::domain::words::Choice;

/// Publishes events with confirms.
#[async_trait]
pub trait Publisher: Send + Sync + 'static {
    /// Publishes each event (and its copy for `reply_to`) and waits for the confirms, within a deadline. One answer per event:
    /// true only on a real ack. False means unknown: publish again later.
    async fn publish(&self, events: &[Event]) -> Vec<bool>;
    /// Is the broker reachable at the moment?
    fn connected(&self) -> bool;
}

/// What became of a message. There is no "try again": the broker delivers again by itself what was not acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// A commit holds it (as a request, a repetition of one, or rejected): acknowledge it.
    Stored,
    /// No commit, or nobody knows: no acknowledgement. The channel is dropped, and everything unacknowledged comes
    /// again once [`IntakeSink::ready`] has returned.
    NotStored,
    /// As [`Taken::NotStored`], and take no more: we are stopping.
    Stop,
}

/// What consumers hand messages to. Many are taken side by side, as many as the in-flight limit says.
#[async_trait]
pub trait IntakeSink: Send + Sync + 'static {
    /// Stores a message, whatever it is: what cannot be read is stored as rejected.
    async fn take(&self, message: Incoming) -> Taken;
    /// Returns when storing is likely to work: asked before consuming begins, and again after [`Taken::NotStored`].
    async fn ready(&self) {}
}

/// A decision that a reviewers' tool sent, its signature checked.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolDecision {
    /// The tool that signed it.
    pub tool: String,
    /// The person who decided, as the tool says.
    pub reviewer: String,
    /// The review.
    pub review: Uuid,
    /// The review's version that the person saw: another one refuses the decision, and so every replay.
    pub version: u32,
    /// What was decided.
    pub choice: Choice,
    /// The refusal's reason.
    pub reason: Option<String>,
    /// Why; or what the customer is asked.
    pub note: String,
    /// Fields that are replaced (amend).
    pub fields: BTreeMap<String, Value>,
    /// The tool's own id of the decision, repeated in the answer.
    pub nonce: String,
    /// When it was signed, by the tool's clock.
    pub at: Time,
}

/// A message of the decisions queue that is no decision, or one that had no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedDecision {
    /// A stable word: `bad_json`, `bad_decision`, `unknown_tool`, `bad_signature`, `too_old`, `too_large`, `not_allowed`, `not_applied`, `set_aside` …
    pub code: &'static str,
    /// What is wrong with it. Holds no value of the message.
    pub detail: String,
    /// The tool that it names. Not proven where the code is about its form or its signature.
    pub tool: Option<String>,
    /// The review that it names. Not proven where the code is about its form or its signature.
    pub review: Option<Uuid>,
    /// The tool's own id of it. Not proven where the code is about its form or its signature.
    pub nonce: Option<String>,
}

/// What applies tools' decisions. The answer is an event (`review.<process>.decided` or `decision_refused`).
#[async_trait]
pub trait DecisionSink: Send + Sync + 'static {
    /// Applies a decision, or answers why not; [`Taken::Stored`] once either is committed.
    async fn decide(&self, decision: ToolDecision) -> Taken;
    /// Answers a message that is no decision.
    async fn refuse(&self, refused: RefusedDecision) -> Taken;
    /// As [`IntakeSink::ready`].
    async fn ready(&self) {}
}
