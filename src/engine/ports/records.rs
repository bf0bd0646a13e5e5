//! The records that cross the store's port, field by field as the tables hold them.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::domain::request::signal::Decision;
use crate::domain::time::Time;
use crate::domain::words::Choice;

/// How a request ended, where its state says so.
#[must_use]
pub fn outcome(state: &str) -> Option<&'static str> {
    ["done", "refused", "withdrawn", "expired"].into_iter().find(|outcome| *outcome == state)
}

/// A request's row: its identity and a summary of its ledger for lists and claims.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestRow {
    /// UUIDv7.
    pub id: Uuid,
    /// The process.
    pub process: String,
    /// Its pinned version.
    pub version: u32,
    /// Whose request it is.
    pub customer: String,
    /// Who sent it.
    pub producer: String,
    /// The producer's id of the message.
    pub message: String,
    /// How it came.
    pub channel: String,
    /// Where the outcome is sent besides the events: a queue's name.
    pub reply_to: Option<String>,
    /// The correlation id for `reply_to`.
    pub correlation: Option<String>,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// Scope and key of its lane (`serialize_by`).
    pub lane: Option<String>,
    /// Its number: who comes later into the same lane has a greater one.
    pub lane_no: Option<u64>,
    /// It may run: it has no lane or its turn has come.
    pub turn: bool,
    /// Its limit was exceeded when it was accepted.
    pub over_limit: bool,
    /// The head of its ledger.
    pub seq: u64,
    /// The head's hash.
    pub head: [u8; 32],
    /// `queued`, `running`, `waiting`, `parked`, `in_review`, `done`, `refused`, `withdrawn`, `expired`.
    pub state: String,
    /// The slot it stands at.
    pub step: Option<String>,
    /// The refusal's reason, the review's name, or the parked cause's code.
    pub reason: Option<String>,
    /// The group it is parked under.
    pub parked: Option<String>,
    /// Its open review.
    pub review: Option<Uuid>,
    /// The worker that owns it.
    pub owner: Option<Uuid>,
    /// When somebody should look at it.
    pub wake_at: Option<Time>,
    /// How many signals it was ever sent.
    pub signalled: u64,
    /// How many of them were consumed.
    pub seen: u64,
    /// How many workers died while they owned it since it last moved.
    pub deaths: u32,
    /// A person has decided something.
    pub person: bool,
    /// When it was accepted.
    pub accepted_at: Time,
    /// When its row last changed.
    pub updated_at: Time,
    /// When it expires.
    pub expires_at: Time,
    /// When it ended.
    pub ended_at: Option<Time>,
}

/// An event to publish.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// UUIDv7; the CloudEvent's id.
    pub id: Uuid,
    /// The request, where it is about one.
    pub request: Option<Uuid>,
    /// The request's seq that it tells of.
    pub seq: u64,
    /// The routing key: `request.card_unbind.done`.
    pub topic: String,
    /// The structured CloudEvent's JSON.
    pub body: Arc<[u8]>,
    /// A queue that gets a copy, with this correlation id.
    pub reply_to: Option<String>,
    /// The copy's correlation id.
    pub correlation: Option<String>,
    /// When it was written.
    pub at: Time,
}

/// A message that never became a request.
#[derive(Debug, Clone, PartialEq)]
pub struct RejectedRow {
    /// UUIDv7.
    pub id: Uuid,
    /// Who sent it, as far as known.
    pub producer: String,
    /// Its id, as far as known.
    pub message: Option<String>,
    /// How it came.
    pub channel: String,
    /// The process that it named, as far as known.
    pub process: Option<String>,
    /// A stable word: `bad_json`, `unknown_process`, `schema`, `too_large`, `key_conflict` …
    pub code: String,
    /// What, where and how to mend it. Free of values.
    pub detail: String,
    /// The first bytes of the message (at most 64 KiB); none after their window.
    pub raw: Arc<[u8]>,
    /// How long the whole message was.
    pub raw_len: u64,
    /// SHA-256 of the whole message.
    pub raw_sha256: [u8; 32],
    /// When.
    pub at: Time,
    /// Events to publish with it (not read back).
    pub events: Vec<Event>,
}

/// A review's row.
#[derive(Debug, Clone, PartialEq)]
pub struct ReviewRow {
    /// UUIDv7.
    pub id: Uuid,
    /// The request.
    pub request: Uuid,
    /// The process.
    pub process: String,
    /// Its version.
    pub process_version: u32,
    /// The review's name in the process.
    pub name: String,
    /// The slot that raised it.
    pub slot: String,
    /// The customer, for lists.
    pub customer: String,
    /// What may be answered.
    pub options: Vec<Choice>,
    /// The reviewers' role that it is for.
    pub role: Option<String>,
    /// Two different people must agree.
    pub four_eyes: bool,
    /// `open`, `deciding` (the decision waits for the owner), `decided`, `cancelled`.
    pub state: String,
    /// Grows with every decision and change of the question; a decision carries the version that was seen.
    pub version: u32,
    /// Who works on it.
    pub claimed_by: Option<String>,
    /// Until when.
    pub claimed_until: Option<Time>,
    /// How often it was escalated.
    pub escalated: u32,
    /// The first of two decisions, or the one that was sent to the owner.
    pub decision: Option<Decision>,
    /// When it was asked.
    pub opened_at: Time,
    /// By when it should be answered.
    pub due_at: Time,
    /// When it was decided or cancelled.
    pub closed_at: Option<Time>,
}

/// A defect: a group of technical failures with one fingerprint.
#[derive(Debug, Clone, PartialEq)]
pub struct DefectRow {
    /// Hex, 16 characters.
    pub fingerprint: String,
    /// The process.
    pub process: String,
    /// The version that it was last seen in.
    pub version: u32,
    /// The slot.
    pub slot: String,
    /// The connector, where a call failed.
    pub connector: Option<String>,
    /// The failure's class.
    pub class: String,
    /// Its code.
    pub code: String,
    /// The status.
    pub status: Option<u16>,
    /// The detail with ids, times and numbers taken out: part of the fingerprint.
    pub pattern: String,
    /// One example of the detail.
    pub detail: String,
    /// One request that has it.
    pub sample: Uuid,
    /// How often it was seen (ignored on write: each write counts one).
    pub count: u64,
    /// First.
    pub first_seen: Time,
    /// Last.
    pub last_seen: Time,
}

/// The durable control state of a group that requests are parked under: a breaker, or a resume in progress.
#[derive(Debug, Clone, PartialEq)]
pub struct ControlRow {
    /// `dependency:<name>` or `defect:<fingerprint>`.
    pub group: String,
    /// `closed`, `open` (the dependency is down, or a resume was asked for), `waiting` (requests are parked, and whether it is down
    /// is for the breakers to find out), `half_open` (a canary is on its way), `resuming`, `stopped` (the canary failed).
    pub state: String,
    /// Why, for people.
    pub reason: String,
    /// Who changed it: `breaker`, or a person.
    pub by: String,
    /// The request that tries it first, or tried it last.
    pub canary: Option<Uuid>,
    /// When the next probe is due.
    pub probe_at: Option<Time>,
    /// Requests per second that are resumed.
    pub rate: u32,
    /// The version that they are moved to.
    pub to_version: Option<u32>,
    /// A defect: when this resume began; requests parked later are not part of it. A dependency: since when something is wrong.
    pub since: Option<Time>,
    /// When it last changed.
    pub changed_at: Time,
    /// Optimistic lock, from 1.
    pub version: u32,
}

/// A worker's row.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerRow {
    /// Its incarnation.
    pub id: Uuid,
    /// Host and process id, for people.
    pub name: String,
    /// The program's version.
    pub version: String,
    /// When it started.
    pub started_at: Time,
    /// Its last heartbeat, by the database's clock (set by the store).
    pub heartbeat_at: Time,
}

/// What a heartbeat found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heartbeat {
    /// Renewed.
    Alive,
    /// The row is gone.
    Gone,
}

/// A published version of a process, without its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: u32,
    /// SHA-256 of the source, hex.
    pub digest: String,
}

/// A published version of a process.
#[derive(Debug, Clone, PartialEq)]
pub struct ProcessRow {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: u32,
    /// SHA-256 of the source, hex.
    pub digest: String,
    /// The file.
    pub source: String,
    /// When it was first seen.
    pub published_at: Time,
}

/// An access token.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenRow {
    /// Its name: who acts with it.
    pub name: String,
    /// SHA-256 of the secret.
    pub sha256: [u8; 32],
    /// `submitter`, `reviewer`, `operator`, `auditor`, `admin`.
    pub roles: Vec<String>,
    /// The processes that it is good for; empty: all.
    pub processes: Vec<String>,
    /// The reviewers' roles it has (`identity` …); for reviews that ask for one.
    pub review_roles: Vec<String>,
    /// When it was made.
    pub created_at: Time,
    /// When it ends.
    pub expires_at: Option<Time>,
    /// When it was revoked.
    pub revoked_at: Option<Time>,
}

impl TokenRow {
    /// Why it is not good any more.
    #[must_use]
    pub fn over(&self, now: Time) -> Option<&'static str> {
        if self.revoked_at.is_some() {
            return Some("was revoked");
        }
        self.expires_at.is_some_and(|end| end <= now).then_some("has expired")
    }

    /// Is it good for this process?
    #[must_use]
    pub fn covers(&self, process: &str) -> bool {
        self.processes.is_empty() || self.processes.iter().any(|known| known == process)
    }

    /// May it decide reviews at all?
    #[must_use]
    pub fn decides(&self) -> bool {
        self.roles.iter().any(|role| role == "reviewer" || role == "admin")
    }

    /// Has it the reviewers' role that a review asks for?
    #[must_use]
    pub fn has_review_role(&self, role: Option<&str>) -> bool {
        let admin = self.roles.iter().any(|word| word == "admin");
        role.is_none_or(|role| admin || self.review_roles.iter().any(|known| known == role))
    }
}

/// Which requests a list shows; empty fields match all.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RequestFilter {
    /// One of these processes (empty: all).
    pub processes: Vec<String>,
    /// In one of these states.
    pub states: Vec<String>,
    /// Of this customer.
    pub customer: Option<String>,
    /// Sent by this producer.
    pub producer: Option<String>,
    /// Made by the message with this id of `producer`, as long as its key is kept; nothing without a producer.
    pub message: Option<String>,
    /// With this reason.
    pub reason: Option<String>,
    /// Parked under this group.
    pub parked: Option<String>,
    /// At this slot.
    pub step: Option<String>,
    /// Accepted before.
    pub before: Option<Time>,
    /// Accepted at or after.
    pub after: Option<Time>,
}

/// Which reviews a list shows; empty fields match all.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReviewFilter {
    /// Of one of these processes.
    pub processes: Vec<String>,
    /// In one of these states (default: `open`).
    pub states: Vec<String>,
    /// For one of these roles, or none (`None`: no matter).
    pub roles: Option<Vec<String>>,
    /// With this name.
    pub name: Option<String>,
    /// Held by this reviewer at this time.
    pub claimed_by: Option<(String, Time)>,
    /// Held by nobody at this time.
    pub unclaimed_at: Option<Time>,
    /// Of this request.
    pub request: Option<Uuid>,
    /// Only those that one person has decided and a second one must.
    pub second: bool,
    /// Only those that this person has decided first, in their own name or through a tool.
    pub first_by: Option<String>,
    /// Only those that are put aside at this time (`true`), or only those that are not.
    pub snoozed: Option<(bool, Time)>,
}

/// Which decisions a list shows; empty fields match all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DecisionFilter {
    /// Of one of these processes.
    pub processes: Vec<String>,
    /// Made by this person, as the first or the second.
    pub by: Option<String>,
}

/// How long things are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Ended requests with their ledgers, payloads, reviews and signals; for ever where it is not set.
    pub requests: Option<Duration>,
    /// Inbox keys.
    pub inbox: Duration,
    /// Published events.
    pub events: Duration,
    /// Answered signals, and those that came too late for an answer.
    pub signals: Duration,
    /// The bytes of rejected messages, which nobody has checked: they may hold anything about anybody.
    pub raw: Duration,
    /// Rejected messages without their bytes.
    pub rejected: Duration,
    /// Sessions and links after their end.
    pub sessions: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        let day = Duration::from_hours(24);
        Retention {
            requests: None,
            inbox: day * 400,
            events: day * 7,
            signals: day * 30,
            raw: day * 30,
            rejected: day * 400,
            sessions: day * 90,
        }
    }
}
