//! Intake: from a message to an accepted request, or to a rejection with a reason that a front-end developer can act
//! on. Nothing is lost either way: what does not become a request is recorded with its bytes.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::committer::CommitError;
use super::core::Core;
use super::ports::records::{Event, RejectedRow, RequestRow};
use super::ports::store::{Accept, LimitCount, Write, Written};
use crate::domain::json;
use crate::domain::process::model::Process;
use crate::domain::request::chain::{Entry, GENESIS, hex};
use crate::domain::request::fact::{Accepted, Fact};
use crate::domain::request::notices::{Data, cloud_event, notices};
use crate::domain::request::scope::intake_scope;
use crate::domain::request::state::State;
use crate::domain::time::Time;

/// The longest message.
pub const MAX_PAYLOAD: usize = 1024 * 1024;
/// The longest key, customer id or lane.
const MAX_KEY: usize = 512;
/// How much of a rejected message is kept.
const MAX_RAW: usize = 64 * 1024;

/// A message that wants to become a request.
#[derive(Debug, Clone)]
pub struct Submission {
    /// Who sent it: the broker's validated user, the token's name, or the declared source.
    pub producer: String,
    /// The producer's id of the message.
    pub message: Option<String>,
    /// How it came.
    pub channel: String,
    /// The process.
    pub process: String,
    /// The payload.
    pub payload: Payload,
    /// A queue that gets the outcome too.
    pub reply_to: Option<String>,
    /// Its correlation id.
    pub correlation: Option<String>,
    /// W3C trace context.
    pub traceparent: Option<String>,
}

/// A payload as it came.
#[derive(Debug, Clone)]
pub struct Payload {
    /// The bytes to keep if it is rejected: the payload's, or the whole message's.
    pub raw: Bytes,
    /// The payload, where it was read already; else `raw` is read.
    pub value: Option<Value>,
}

impl From<Bytes> for Payload {
    fn from(raw: Bytes) -> Self {
        Payload { raw, value: None }
    }
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Submitted {
    /// A new request.
    Accepted(Uuid),
    /// The same message came before; that is its request.
    Duplicate(Uuid),
    /// The same key came before with another body.
    Conflict(Option<Uuid>),
    /// It is no request.
    Rejected {
        /// A stable word.
        code: String,
        /// What, where and how to mend it.
        detail: String,
    },
}

/// A rejection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// A stable word.
    pub code: &'static str,
    /// What, where and how to mend it; free of values.
    pub detail: String,
}

fn reject(code: &'static str, detail: impl Into<String>) -> Rejection {
    Rejection { code, detail: detail.into() }
}

/// A request that was just accepted, with all that a drive needs to start without reading it back.
pub struct Fresh {
    /// Its process.
    pub process: Arc<Process>,
    /// Its state after the first entry.
    pub state: State,
    /// A queue that gets the outcome too.
    pub reply_to: Option<String>,
    /// The correlation id for `reply_to`.
    pub correlation: Option<String>,
    /// W3C trace context.
    pub traceparent: Option<String>,
}

/// A message that passed every check and is ready to be written.
pub struct Ready {
    /// The write.
    pub accept: Accept,
    /// What starts when it is accepted.
    pub fresh: Fresh,
}

/// Checks a message and prepares its write; takes its parsed payload. Pure but for the clock.
///
/// # Errors
/// Why it is no request.
pub fn prepare(core: &Core, submission: &mut Submission, run_now: bool) -> Result<Ready, Rejection> {
    let message = submission.message.clone().filter(|message| !message.is_empty());
    let message = message.ok_or_else(|| {
        reject("no_key", "the message has no id; set `message_id` (AMQP), `id` (CloudEvents) or `Idempotency-Key` (HTTP)")
    })?;
    for (what, text) in
        [("the message id", &message), ("the producer", &submission.producer), ("the channel", &submission.channel)]
    {
        if text.len() > MAX_KEY || text.contains('\0') {
            return Err(reject("bad_key", format!("{what} is longer than {MAX_KEY} bytes or contains a NUL character")));
        }
    }
    let extra = [&submission.reply_to, &submission.correlation, &submission.traceparent];
    if extra.into_iter().flatten().any(|text| text.contains('\0')) {
        return Err(reject("bad_key", "where the answer goes, its correlation id or the trace context contains a NUL character"));
    }
    let process = core.processes.latest(&submission.process).ok_or_else(|| unknown_process(core, &submission.process))?;
    let payload = Arc::new(read(&mut submission.payload)?);
    if let Err(faults) = process.request.validate(&payload) {
        let faults: Vec<String> = faults.iter().map(|fault| fault.message.clone()).collect();
        return Err(reject("schema", faults.join("; ")));
    }
    let scope = intake_scope(&payload);
    let text = |what: &str, template: &crate::domain::expr::Template| {
        let text = template
            .render_text(&scope)
            .map_err(|error| reject("expression", format!("`{what}` cannot be told from the payload: {error}")))?;
        if text.is_empty() || text.len() > MAX_KEY || text.contains('\0') {
            return Err(reject(
                "bad_value",
                format!("`{what}` is empty, longer than {MAX_KEY} bytes, or contains a NUL character"),
            ));
        }
        Ok(text)
    };
    let customer = text("customer", &process.customer)?;
    let lane = match &process.serialize_by {
        Some(by) => Some(format!("{}:{}", by.scope, text("serialize_by", &by.key)?)),
        None => None,
    };
    let now = core.clock.now();
    let limit = match &process.limit {
        Some(limit) => Some(count(&process, limit, &text("limit.per", &limit.per)?, now)),
        None => None,
    };
    let canonical = canonical(&payload);
    let accepted = Accepted {
        process: process.name.clone(),
        version: process.version,
        digest: process.digest.clone(),
        producer: submission.producer.clone(),
        message: message.clone(),
        channel: submission.channel.clone(),
        customer,
        payload_sha256: hex(&Sha256::digest(canonical.as_bytes())),
        expires_at: now.plus(process.expire_after),
    };
    let id = core.clock.id();
    let fact = Fact::Accepted(accepted.clone());
    let first = Entry::seal(id, 1, &GENESIS, now, &fact).map_err(|error| reject("internal", error.to_string()))?;
    let row = row(&accepted, submission, id, lane, &first, run_now.then_some(core.worker));
    let state = State::begin(id, accepted, now, payload, first.hash);
    let events = notices(&process, &state, &fact, 1)
        .into_iter()
        .map(|mut notice| {
            let topic = std::mem::take(&mut notice.topic);
            event(core.clock.id(), Some(id), notice.seq, topic, now, &Data::of(&state, &notice))
        })
        .collect();
    let accept = Accept {
        producer: submission.producer.clone(),
        message,
        body_sha256: body_digest(&process.name, &canonical),
        row,
        payload: canonical.into_bytes().into(),
        first,
        limit,
        events,
    };
    let (reply_to, correlation) = (submission.reply_to.clone(), submission.correlation.clone());
    let traceparent = submission.traceparent.clone();
    Ok(Ready { accept, fresh: Fresh { process, state, reply_to, correlation, traceparent } })
}

/// The row as it is inserted; the store sets what only it can know.
fn row(
    accepted: &Accepted,
    submission: &Submission,
    id: Uuid,
    lane: Option<String>,
    first: &Entry,
    owner: Option<Uuid>,
) -> RequestRow {
    RequestRow {
        id,
        process: accepted.process.clone(),
        version: accepted.version,
        customer: accepted.customer.clone(),
        producer: accepted.producer.clone(),
        message: accepted.message.clone(),
        channel: accepted.channel.clone(),
        reply_to: submission.reply_to.clone(),
        correlation: submission.correlation.clone(),
        traceparent: submission.traceparent.clone(),
        lane,
        lane_no: None,
        turn: true,
        over_limit: false,
        seq: first.seq,
        head: first.hash,
        state: "queued".to_owned(),
        step: None,
        reason: None,
        parked: None,
        review: None,
        owner,
        wake_at: owner.is_none().then_some(first.at),
        signalled: 0,
        seen: 0,
        deaths: 0,
        person: false,
        accepted_at: first.at,
        updated_at: first.at,
        expires_at: accepted.expires_at,
        ended_at: None,
    }
}

fn read(payload: &mut Payload) -> Result<Value, Rejection> {
    let length = payload.raw.len();
    if length > MAX_PAYLOAD {
        return Err(reject("too_large", format!("the payload has {length} bytes; the most is {MAX_PAYLOAD}")));
    }
    match payload.value.take() {
        Some(value) => Ok(value),
        None => json::parse(&payload.raw, json::MAX_DEPTH)
            .and_then(|value| json::check_numbers(&payload.raw).map(|()| value))
            .map_err(|fault| reject("bad_json", format!("the payload: {fault}"))),
    }
}

fn unknown_process(core: &Core, name: &str) -> Rejection {
    let known: Vec<String> = core.processes.all().iter().map(|process| process.name.clone()).collect();
    let known = if known.is_empty() { "none is loaded".to_owned() } else { known.join(", ") };
    reject("unknown_process", format!("there is no process `{}`; known: {known}", json::shown(name, 64)))
}

fn count(process: &Process, limit: &crate::domain::process::model::Limit, key: &str, now: Time) -> LimitCount {
    let length = i64::try_from(limit.within.as_micros()).unwrap_or(i64::MAX).max(1);
    let window = Time(now.0.div_euclid(length) * length);
    LimitCount { key: format!("{}:{key}", process.name), window, until: window.plus(limit.within * 2), max: limit.max }
}

/// The inbox compares bodies by this digest: the process and the canonical payload.
fn body_digest(process: &str, canonical: &str) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(process.as_bytes());
    hasher.update([0]);
    hasher.update(canonical.as_bytes());
    hasher.finalize().into()
}

/// JSON with sorted keys and no spaces: the same value has the same bytes, however its sender wrote it.
#[must_use]
pub fn canonical(value: &Value) -> String {
    // Writing a value into a string does not fail.
    serde_json::to_string(&Sorted(value)).unwrap_or_default()
}

/// A value whose keys are written in their order.
struct Sorted<'v>(&'v Value);

impl Serialize for Sorted<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(object) => {
                let mut entries: Vec<_> = object.iter().map(|(key, value)| (key, Sorted(value))).collect();
                entries.sort_unstable_by_key(|(key, _)| *key);
                serializer.collect_map(entries)
            }
            Value::Array(items) => serializer.collect_seq(items.iter().map(Sorted)),
            other => other.serialize(serializer),
        }
    }
}

/// An event about a request, or about none.
pub fn event(id: Uuid, request: Option<Uuid>, seq: u64, topic: String, at: Time, data: &impl Serialize) -> Event {
    let body = cloud_event(id, &topic, request, at, data).into();
    Event { id, request, seq, topic, body, reply_to: None, correlation: None, at }
}

/// Records a message that is no request, with an answer to its sender: an event of this topic.
///
/// # Errors
/// It could not be recorded.
pub async fn record(core: &Core, submission: &Submission, topic: &str, rejection: &Rejection) -> Result<(), CommitError> {
    let raw = &submission.payload.raw;
    let now = core.clock.now();
    let clean = |text: &str| text.replace('\0', "\u{fffd}").chars().take(MAX_KEY).collect::<String>();
    let data = json!({
        "code": rejection.code,
        "detail": rejection.detail,
        "producer": clean(&submission.producer),
        "message": submission.message.as_deref().map(clean),
        "process": clean(&submission.process),
    });
    let mut told = event(core.clock.id(), None, 0, topic.to_owned(), now, &data);
    // Whatever is wrong with them must not keep the rejection from being written: it would come back for ever.
    let sound = |text: &Option<String>| text.clone().filter(|text| !text.contains('\0'));
    told.reply_to = sound(&submission.reply_to);
    told.correlation = sound(&submission.correlation);
    let row = RejectedRow {
        id: core.clock.id(),
        producer: clean(&submission.producer),
        message: submission.message.as_deref().map(clean),
        channel: clean(&submission.channel),
        process: Some(clean(&submission.process)).filter(|name| !name.is_empty()),
        code: rejection.code.to_owned(),
        detail: rejection.detail.replace('\0', "\u{fffd}"),
        raw: raw[..raw.len().min(MAX_RAW)].into(),
        raw_len: u64::try_from(raw.len()).unwrap_or(u64::MAX),
        raw_sha256: Sha256::digest(raw).into(),
        at: now,
        events: vec![told],
    };
    match core.committer.write(Write::Reject(Box::new(row))).await? {
        Written::Rejected => Ok(()),
        other => Err(CommitError::Stopped(format!("recording a rejection came to {other:?}"))),
    }
}
