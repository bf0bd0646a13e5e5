//! What can be written into a request's ledger. State is what these facts, replayed in order, add up to.
//!
//! The JSON form is part of the stored format: a field is only ever added with a default, never renamed or
//! given another meaning, or old ledgers could not be replayed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::domain::time::Time;
use crate::domain::words::{Choice, Clause};

/// One thing that happened to a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Fact {
    /// The request was accepted; always the first entry.
    Accepted(Accepted),
    /// Its turn came; always the second entry unless it ended while queued.
    Started,
    /// A verify or wait step concluded.
    Verdict(VerdictFact),
    /// The step's `when` was false.
    Skipped {
        /// The step.
        step: String,
    },
    /// An attempt failed, and certainly had no effect.
    Failed(Failed),
    /// An effect is about to be tried.
    Intent {
        /// `<step>` or `undo.<step>`.
        slot: String,
        /// Grows when an effect is known not to have happened and is tried anew; part of the key.
        generation: u32,
        /// Counted from 1 within the retry budget.
        attempt: u32,
        /// When the call gives up.
        deadline: Time,
    },
    /// What an attempt of an effect came to.
    Result(ResultFact),
    /// A wait step was reached.
    Waiting {
        /// The step.
        step: String,
        /// When the wait is over.
        until: Time,
    },
    /// A callback came in.
    Callback {
        /// The callback's name.
        name: String,
        /// Its body, with sensitive parts as they are kept.
        body: Value,
    },
    /// A callback's body neither passed nor was refused.
    CallbackIgnored {
        /// The wait step that looked at it.
        step: String,
    },
    /// A person is asked.
    ReviewOpened(ReviewOpened),
    /// A person decided.
    Decided(Decided),
    /// The customer sent what was asked for.
    Supplemented {
        /// Fields of the payload that are replaced.
        fields: BTreeMap<String, Value>,
        /// Who sent it.
        by: String,
    },
    /// The request waits for a dependency or a defect.
    Parked {
        /// `dependency:<name>` or `defect:<fingerprint>`.
        group: String,
        /// Where it stopped.
        slot: String,
        /// What is known of the cause; free of sensitive values.
        cause: Cause,
    },
    /// The request goes on after it was parked.
    Resumed {
        /// `probe`, or who resumed it.
        by: String,
        /// The group it was parked under.
        group: String,
    },
    /// The request was moved to another version of its process.
    Moved {
        /// The version from now on.
        version: u32,
        /// That version's digest.
        digest: String,
        /// Who moved it.
        by: String,
    },
    /// The direction changes: what was applied is undone, then the request ends like this.
    TurnedBack {
        /// How it will end.
        ending: Ending,
    },
    /// A withdrawal came too late.
    WithdrawalRefused {
        /// Who asked.
        by: String,
        /// Why not, for people.
        why: String,
    },
    /// A note by a person.
    Noted {
        /// Who.
        by: String,
        /// What.
        text: String,
    },
    /// The request's outcome.
    Ended {
        /// How it ended.
        ending: Ending,
    },
}

impl Fact {
    /// The kind's word, as it is stored.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Fact::Accepted(_) => "accepted",
            Fact::Started => "started",
            Fact::Verdict(_) => "verdict",
            Fact::Skipped { .. } => "skipped",
            Fact::Failed(_) => "failed",
            Fact::Intent { .. } => "intent",
            Fact::Result(_) => "result",
            Fact::Waiting { .. } => "waiting",
            Fact::Callback { .. } => "callback",
            Fact::CallbackIgnored { .. } => "callback_ignored",
            Fact::ReviewOpened(_) => "review_opened",
            Fact::Decided(_) => "decided",
            Fact::Supplemented { .. } => "supplemented",
            Fact::Parked { .. } => "parked",
            Fact::Resumed { .. } => "resumed",
            Fact::Moved { .. } => "moved",
            Fact::TurnedBack { .. } => "turned_back",
            Fact::WithdrawalRefused { .. } => "withdrawal_refused",
            Fact::Noted { .. } => "noted",
            Fact::Ended { .. } => "ended",
        }
    }
}

/// The first entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Accepted {
    /// The process.
    pub process: String,
    /// The version that the request is pinned to.
    pub version: u32,
    /// That version's digest.
    pub digest: String,
    /// Who sent it: the broker's validated user, the token's name, or the declared source.
    pub producer: String,
    /// The producer's id of the message.
    pub message: String,
    /// `amqp`, `http`, or the sender's `app_id`.
    pub channel: String,
    /// Whose request it is.
    pub customer: String,
    /// SHA-256 of the canonical payload, hex; the payload is beside the ledger so that it can be erased.
    pub payload_sha256: String,
    /// When an open request expires.
    pub expires_at: Time,
}

/// A verdict with its clause and evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VerdictFact {
    /// `<step>`, `limit` (the process's limit) or `done_when`.
    pub slot: String,
    /// The rule that it rests on; `None` only for `done_when` and for wait steps that cannot refuse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clause: Option<Clause>,
    /// What was concluded.
    pub verdict: Verdict,
    /// The status of the answer that it saw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// SHA-256 of the whole answer, hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence_sha256: Option<String>,
    /// What of the answer is kept, masked.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub kept: Value,
    /// The expression of the rule that decided, for evidence tables; `None` where nothing matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

/// What a verify step concluded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It conforms.
    Pass,
    /// A clause says no, for this reason.
    Refuse(String),
    /// A person is needed, with this question.
    Review(String),
}

/// A failed attempt without effect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failed {
    /// Which call.
    pub slot: String,
    /// Counted from 1 within the retry budget.
    pub attempt: u32,
    /// What is known of the cause.
    pub cause: Cause,
    /// When it is tried again; `None`: not by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Time>,
}

/// What is known of a technical failure. Free of sensitive values: codes, names and statuses only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// How sure we are that nothing happened.
    pub class: FailureClass,
    /// A stable word: `timeout`, `refused`, `status`, `schema`, `expression` …
    pub code: String,
    /// The connector, where a call failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connector: Option<String>,
    /// The status, where there was an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// For people.
    pub detail: String,
}

/// Kinds of technical failure (promises: failure classes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// Certainly nothing happened; worth another try.
    Transient,
    /// The breaker is open or a limit is full: no attempt was made.
    Unavailable,
    /// Certainly nothing happened; another try would be the same.
    Permanent,
    /// It may have happened.
    Unknown,
    /// Our own mistake, or a changed contract.
    Broken,
    /// Workers died or panicked with it.
    Poison,
}

/// What an attempt of an effect came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResultFact {
    /// `<step>` or `undo.<step>`.
    pub slot: String,
    /// Which effect.
    pub generation: u32,
    /// What it came to.
    pub result: EffectResult,
    /// How we know.
    pub via: Via,
    /// The status of the answer, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// SHA-256 of the whole answer, hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence_sha256: Option<String>,
    /// What of the answer is kept, masked.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub kept: Value,
    /// Why it is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// When an unknown is looked at again; `None`: at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Time>,
}

/// Whether an effect took place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EffectResult {
    /// It did.
    Applied,
    /// It did not.
    NotApplied,
    /// Nobody knows yet.
    Unknown,
}

/// How we know what an effect came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// The target answered.
    Answer,
    /// The target gave no usable answer.
    NoAnswer,
    /// The worker that made the call is gone.
    Takeover,
    /// The reconciling read.
    Reconcile,
}

/// A question put to a person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReviewOpened {
    /// The review's id.
    pub id: Uuid,
    /// Its name in the process.
    pub review: String,
    /// The slot that raised it.
    pub slot: String,
    /// What may be answered.
    pub options: Vec<Choice>,
    /// By when.
    pub due: Time,
    /// Two different people must agree.
    pub four_eyes: bool,
}

/// A decision by a person. With four eyes, what the second one confirmed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decided {
    /// The review.
    pub review: Uuid,
    /// What was decided.
    pub choice: Choice,
    /// Who decided.
    pub by: String,
    /// Who decided first, where two had to agree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_by: Option<String>,
    /// What the first wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_note: Option<String>,
    /// The refusal's reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why, in the reviewer's words; or what the customer is asked.
    pub note: String,
    /// Fields of the payload that are replaced (amend).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, Value>,
    /// Until when the customer may answer (ask the customer).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
}

/// How a request ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Ending {
    /// The outcome was reached and verified.
    Done,
    /// A clause or a person said no.
    Refused(Refusal),
    /// The sender took it back.
    Withdrawn {
        /// Who.
        by: String,
        /// Why, in their words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    /// Its time was up with nothing applied.
    Expired,
}

impl Ending {
    /// The outcome's word.
    #[must_use]
    pub fn outcome(&self) -> &'static str {
        match self {
            Ending::Done => "done",
            Ending::Refused(_) => "refused",
            Ending::Withdrawn { .. } => "withdrawn",
            Ending::Expired => "expired",
        }
    }
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The name in the process's `reasons`.
    pub reason: String,
    /// The slot that refused.
    pub slot: String,
    /// The clause that it rests on; `None` where a person refused at a step without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clause: Option<Clause>,
    /// The person who refused, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}
