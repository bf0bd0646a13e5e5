//! Test files: what a process must do, as data.
//!
//! `card_unbind.test.yaml` stands next to `card_unbind.yaml` and lists cases: what a customer asks for, what the remote
//! systems answer, what happens from outside and when, and what must come of it. A test that does not mean what its author
//! thinks is worse than none, so the file is read as strictly as the process itself: a slot that the process does not
//! have, a reason that nobody gives, or a decision that nobody is asked for is an error at its place.
//!
//! Times (`after`, `advance`) count from the moment when the request is accepted. A case runs until its last event and its
//! `advance`, whichever is later; what is due after that does not happen any more.

mod events;
mod read;
mod slots;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::domain::words::Choice;

pub use read::parse_cases;

/// The cases of one file.
#[derive(Debug, Clone)]
pub struct CaseFile {
    /// The process that they are about.
    pub process: String,
    /// What is special about remote systems; the others are [`ConnectorSpec::default`].
    pub connectors: BTreeMap<String, ConnectorSpec>,
    /// The cases, in file order.
    pub cases: Vec<Case>,
}

impl CaseFile {
    /// How many cases there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.cases.len()
    }

    /// Is there no case? A file that was read has one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cases.is_empty()
    }
}

/// How a remote system behaves in all cases of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectorSpec {
    /// How long a call without an answer takes, where the process does not say.
    pub timeout: Duration,
    /// How long it recognises our keys; `None`: it ignores them.
    pub keys: Option<Duration>,
    /// Statuses that say that nothing was applied and another try may help.
    pub retry_on: Vec<u16>,
    /// Statuses that say that nothing was applied and another try would be the same.
    pub safe_on: Vec<u16>,
}

impl Default for ConnectorSpec {
    fn default() -> Self {
        let (timeout, keys) = (Duration::from_secs(2), Some(Duration::from_hours(24)));
        ConnectorSpec { timeout, keys, retry_on: Vec::new(), safe_on: Vec::new() }
    }
}

/// One case.
#[derive(Debug, Clone)]
pub struct Case {
    /// What it shows, as a sentence.
    pub name: String,
    /// Where it stands, from 1.
    pub line: usize,
    /// The payload.
    pub request: Value,
    /// So many requests with the same payload were accepted, and withdrawn, just before: for limits.
    pub earlier: u32,
    /// The answers by slot, consumed attempt by attempt; one with `until` repeats until then, the last one for ever.
    pub answers: BTreeMap<String, Vec<Scripted>>,
    /// What happens from outside, in order of time.
    pub events: Vec<Event>,
    /// How long it runs, if longer than to the last event.
    pub advance: Duration,
    /// What must come of it.
    pub expect: Expect,
    /// What verify steps, waits and the outcome's check must conclude at last.
    pub verdicts: BTreeMap<String, Concluded>,
    /// How often each slot must be called.
    pub calls: BTreeMap<String, u32>,
}

impl Case {
    /// How long the case runs.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.events.iter().map(|event| event.after).fold(self.advance, Duration::max)
    }
}

/// What one attempt meets.
#[derive(Debug, Clone, PartialEq)]
pub struct Scripted {
    /// What the remote system does.
    pub reply: Reply,
    /// It does so on every call until then, counted from the acceptance.
    pub until: Option<Duration>,
}

impl From<Reply> for Scripted {
    fn from(reply: Reply) -> Self {
        Scripted { reply, until: None }
    }
}

/// What a remote system does when it is called.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// It answers.
    Answer {
        /// The status.
        status: u16,
        /// The body; `None`: empty.
        body: Option<Value>,
        /// It asks to be left alone for so long (429, 503).
        retry_after: Option<Duration>,
        /// It takes so long to answer.
        takes: Duration,
    },
    /// It does not.
    Fail(Fail),
}

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fail {
    /// No answer within the call's time: it may have happened.
    Timeout,
    /// The connection was refused: it certainly did not happen.
    Refused,
    /// The connection broke after the call was sent: it may have happened.
    Reset,
    /// The answer is no JSON: it may have happened.
    Garbage,
}

impl Fail {
    /// All of them, by name.
    pub const ALL: [(&'static str, Fail); 4] =
        [("timeout", Fail::Timeout), ("refused", Fail::Refused), ("reset", Fail::Reset), ("garbage", Fail::Garbage)];
}

/// Something from outside.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// When, counted from the acceptance.
    pub after: Duration,
    /// Where it stands, from 1.
    pub line: usize,
    /// What.
    pub what: Happening,
}

/// What happens from outside.
#[derive(Debug, Clone, PartialEq)]
pub enum Happening {
    /// A callback comes.
    Callback {
        /// Its name.
        name: String,
        /// Its body.
        body: Value,
    },
    /// A reviewer decides.
    Decision {
        /// The review's name.
        review: String,
        /// What.
        choice: Choice,
        /// Who.
        by: String,
        /// A refusal's reason.
        reason: Option<String>,
        /// Why, or what the customer is asked.
        note: String,
        /// Fields that change.
        fields: BTreeMap<String, Value>,
        /// What becomes of it.
        told: Told,
    },
    /// The request is taken back.
    Withdrawal {
        /// By whom.
        by: String,
    },
    /// The customer sends what was asked for.
    Supplement {
        /// Fields that change.
        fields: BTreeMap<String, Value>,
        /// Who.
        by: String,
    },
    /// What the request was parked under is mended.
    Resume {
        /// Who says so.
        by: String,
    },
}

/// What becomes of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// It is taken (with four eyes: as the first or the second one).
    Taken,
    /// It is turned down: the second person must be another one, or the question has changed.
    TurnedDown,
}

/// What must come of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// The message never becomes a request, for this reason (a code of intake's).
    Rejected(String),
    /// The request has ended.
    Outcome {
        /// How.
        outcome: String,
        /// Why it was refused.
        reason: Option<String>,
    },
    /// The request is open.
    State {
        /// The state's word.
        state: String,
        /// At this slot, where the case cares.
        step: Option<String>,
        /// With this question.
        review: Option<String>,
        /// Parked under this.
        parked: Option<Parked>,
    },
}

/// What a request is parked under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parked {
    /// A dependency.
    Dependency(String),
    /// Our own mistake, or a changed contract.
    Defect,
}

/// What a step concluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concluded {
    /// It conforms.
    Pass,
    /// A clause says no.
    Refuse,
    /// A person is needed.
    Review,
}

impl Concluded {
    /// All of them, by name.
    pub const ALL: [(&'static str, Concluded); 3] =
        [("pass", Concluded::Pass), ("refuse", Concluded::Refuse), ("review", Concluded::Review)];

    /// Its name in files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Concluded::Pass => "pass",
            Concluded::Refuse => "refuse",
            Concluded::Review => "review",
        }
    }
}

#[cfg(test)]
mod tests;
