//! What a process file says, after parsing: every name resolved, every expression compiled.
//!
//! A value of these types has passed the lint: a step's reason exists, its connector is known, its expressions
//! name only what is in scope. Build one with [`super::parse`] only.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::schema::Schema;
use crate::domain::expr::{Expr, JsonTemplate, Template};
pub use crate::domain::words::{Accept, Choice, Clause, Method};

/// One text in several languages: language tag (`en`, `zh-CN`) to text.
pub type Texts = BTreeMap<String, String>;

/// A version of a process: how one kind of request is handled.
#[derive(Debug, Clone)]
pub struct Process {
    /// The process's name, `snake_case`.
    pub name: String,
    /// Its version, from 1 up.
    pub version: u32,
    /// SHA-256 of the file's bytes, in hex: what (name, version) is pinned to.
    pub digest: String,
    /// The file as it was read.
    pub source: Arc<str>,
    /// What the process is called, in each language that its texts must have.
    pub title: Texts,
    /// The team that answers for it.
    pub owner: String,
    /// Whom it serves.
    pub audience: Audience,
    /// What the customer is told about how long it takes.
    pub promise: Duration,
    /// After this long an open request with nothing applied expires.
    pub expire_after: Duration,
    /// Whose request it is.
    pub customer: Template,
    /// The payload's schema with its sensitive fields.
    pub request: Schema,
    /// Requests with the same key run one at a time, in the order of their acceptance.
    pub serialize_by: Option<SerializeBy>,
    /// How many requests one key may make.
    pub limit: Option<Limit>,
    /// The steps, in file order, with `together` groups flattened.
    pub steps: Vec<Step>,
    /// The order of work: each block is a range of `steps`.
    pub blocks: Vec<Block>,
    /// How the outcome is verified.
    pub done_when: DoneWhen,
    /// Why a request may be refused.
    pub reasons: BTreeMap<String, Reason>,
    /// What may be asked of a person.
    pub reviews: BTreeMap<String, ReviewSpec>,
    /// What clauses say in each language, where the file has several, by the id and the text that verdicts cite.
    pub clauses: BTreeMap<(String, String), Texts>,
}

impl Process {
    /// What a clause says in each language; empty where the file has one text only.
    #[must_use]
    pub fn clause_texts(&self, clause: &Clause) -> Texts {
        self.clauses.get(&(clause.id.clone(), clause.text.clone())).cloned().unwrap_or_default()
    }

    /// The position of the step with this name.
    #[must_use]
    pub fn step_index(&self, name: &str) -> Option<usize> {
        self.steps.iter().position(|step| step.name == name)
    }

    /// The step with this name.
    #[must_use]
    pub fn step(&self, name: &str) -> Option<&Step> {
        self.steps.iter().find(|step| step.name == name)
    }

    /// The names of all callbacks that the process waits for.
    pub fn callbacks(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().filter_map(|step| match &step.kind {
            StepKind::Wait(wait) => Some(wait.callback.as_str()),
            _ => None,
        })
    }
}

/// Whom a process serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Audience {
    /// A customer of the company.
    Customer,
    /// A colleague.
    Colleague,
}

/// The key that requests take turns on.
#[derive(Debug, Clone)]
pub struct SerializeBy {
    /// Processes that name the same scope share their keys; default `customer`.
    pub scope: String,
    /// The key.
    pub key: Template,
}

/// How many requests of this process one key may make in a window.
#[derive(Debug, Clone)]
pub struct Limit {
    /// Whom the limit counts for.
    pub per: Template,
    /// The most requests in one window.
    pub max: u32,
    /// The window's length; windows are aligned to the epoch.
    pub within: Duration,
    /// The clause that the refusal cites.
    pub clause: Clause,
    /// The reason of the refusal.
    pub refuse: String,
}

/// Steps done at the same stage: one, or several verify steps side by side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The first step's index.
    pub first: usize,
    /// How many steps; more than one only for `together`.
    pub count: usize,
}

impl Block {
    /// The indices of its steps.
    #[must_use]
    pub fn range(&self) -> std::ops::Range<usize> {
        self.first..self.first + self.count
    }
}

/// One unit of a process.
#[derive(Debug, Clone)]
pub struct Step {
    /// The step's name, unique in the process.
    pub name: String,
    /// The line of the file it starts on, from 1.
    pub line: usize,
    /// The step is skipped unless this is true.
    pub when: Option<Expr>,
    /// What it does.
    pub kind: StepKind,
}

/// What a step does.
#[derive(Debug, Clone)]
pub enum StepKind {
    /// Looks, without effects, and concludes a verdict.
    Verify(Verify),
    /// Changes something, fenced by an intent.
    Execute(Execute),
    /// Waits for a callback.
    Wait(Wait),
    /// Asks a person.
    Review {
        /// The name in `reviews`.
        review: String,
    },
}

/// A check without effects; it may be repeated freely.
#[derive(Debug, Clone)]
pub struct Verify {
    /// The clause its verdict cites.
    pub clause: Clause,
    /// What is read; without a call the rules look at the request alone.
    pub call: Option<Call>,
    /// How the answer becomes a verdict.
    pub rules: Rules,
    /// The verdict is formed again before an effect when it is older than this.
    pub valid_for: Option<Duration>,
    /// What of the answer is kept; `None` keeps all, with sensitive parts masked.
    pub keep: Option<BTreeMap<String, Expr>>,
    /// Its verdict is written at once.
    pub checkpoint: bool,
    /// When it is tried again.
    pub retry: Retry,
}

/// Rules from an answer to a verdict.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Looked at first, in order.
    pub refuse_when: Vec<RefuseRule>,
    /// Then this. `None`: what no refusal caught passes.
    pub pass_when: Option<Expr>,
    /// Else this.
    pub otherwise: Otherwise,
}

/// A rule that refuses.
#[derive(Debug, Clone)]
pub struct RefuseRule {
    /// The condition.
    pub when: Expr,
    /// The name in `reasons`.
    pub reason: String,
}

/// What follows when no rule decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Otherwise {
    /// The request is refused with this reason.
    Refuse(String),
    /// A person is asked this review.
    Review(String),
    /// It counts as our mistake.
    Defect,
}

/// A step with effects.
#[derive(Debug, Clone)]
pub struct Execute {
    /// The rule that demands the effect and that a refusal cites; there where it can refuse.
    pub clause: Option<Clause>,
    /// The call that has the effect.
    pub call: Call,
    /// Answers by which the target says that it did not do it and will not.
    pub refuse_when: Vec<RefuseRule>,
    /// What of the answer is kept.
    pub keep: Option<BTreeMap<String, Expr>>,
    /// When it is tried again.
    pub retry: Retry,
    /// The target recognises our key: after an unknown it may be asked again.
    pub idempotent: bool,
    /// The read that tells whether it happened.
    pub reconcile: Option<Reconcile>,
    /// How it is reversed.
    pub undo: Option<Box<Undo>>,
}

/// How an effect is reversed: an effect like any other.
#[derive(Debug, Clone)]
pub struct Undo {
    /// The reversing call.
    pub call: Call,
    /// When it is tried again.
    pub retry: Retry,
    /// The target recognises our key.
    pub idempotent: bool,
    /// The read that tells whether the undo happened.
    pub reconcile: Option<Reconcile>,
}

/// The read that answers "did it happen?" after an unknown.
#[derive(Debug, Clone)]
pub struct Reconcile {
    /// The read.
    pub call: Call,
    /// True where the effect is there.
    pub happened_when: Expr,
    /// How long after the call's deadline a "did not happen" is believed.
    pub settle: Duration,
}

/// A wait for an external system.
#[derive(Debug, Clone)]
pub struct Wait {
    /// The callback's name, unique in the process.
    pub callback: String,
    /// What its body looks like; another one is refused where it comes in, and changes nothing.
    pub answer: Option<Schema>,
    /// How long; counted from when the step is reached.
    pub within: Duration,
    /// Rules over the callback's body (`answer`); a body that neither passes nor is refused is recorded, and the wait goes on.
    pub refuse_when: Vec<RefuseRule>,
    /// `None`: any body passes.
    pub pass_when: Option<Expr>,
    /// What of the body is kept.
    pub keep: Option<BTreeMap<String, Expr>>,
    /// What follows when the time is up.
    pub otherwise: Otherwise,
    /// The clause that a refusal cites; there where it can refuse.
    pub clause: Option<Clause>,
}

/// How the outcome is verified.
#[derive(Debug, Clone)]
pub struct DoneWhen {
    /// What is read; without a call the expression looks at what the steps kept.
    pub call: Option<Call>,
    /// True where the outcome is there.
    pub is: Expr,
    /// How long it may take to show; it is read again until then.
    pub within: Duration,
    /// What follows when the time is up: a review or a defect.
    pub otherwise: Otherwise,
}

/// A call of a connector.
#[derive(Debug, Clone)]
pub struct Call {
    /// The connector's name.
    pub connector: String,
    /// The method.
    pub method: Method,
    /// The path below the connector's base URL.
    pub path: Template,
    /// Extra headers; values are templates.
    pub headers: BTreeMap<String, Template>,
    /// The JSON body.
    pub body: Option<JsonTemplate>,
    /// The statuses that reach the rules.
    pub accept: Accept,
    /// What an accepted answer's body must look like.
    pub answer: Option<Schema>,
    /// The whole call's deadline; `None`: the connector's.
    pub timeout: Option<Duration>,
}

impl Call {
    /// What it is made of.
    pub fn exprs(&self) -> impl Iterator<Item = &Expr> {
        let headers = self.headers.values().flat_map(Template::exprs);
        self.path.exprs().chain(headers).chain(self.body.iter().flat_map(JsonTemplate::exprs))
    }
}

/// When an attempt is tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// The first delay.
    pub first: Duration,
    /// How many times longer each next delay is, in hundredths (200 = twice).
    pub factor_percent: u32,
    /// The longest delay.
    pub max: Duration,
    /// The most attempts, the first included.
    pub attempts: u32,
    /// The most time from the first attempt to the last.
    pub within: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Retry {
            first: Duration::from_millis(200),
            factor_percent: 200,
            max: Duration::from_mins(1),
            attempts: 8,
            within: Duration::from_mins(30),
        }
    }
}

/// Why a request may be refused, for the customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// What the customer reads.
    pub customer: Texts,
    /// What the customer can do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<Texts>,
}

/// One question to a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewSpec {
    /// The question.
    pub question: Texts,
    /// What may be answered.
    pub options: Vec<Choice>,
    /// How long the reviewer has.
    pub due: Duration,
    /// Two different people must agree.
    pub four_eyes: bool,
    /// The reviewers' role that it is for; `None`: any reviewer.
    pub role: Option<String>,
}
