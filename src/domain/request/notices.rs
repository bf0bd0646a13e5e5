//! What the world is told of a request: one notice per fact that matters outside, as a structured CloudEvent.
//! Notices hold ids, words and the customer's texts; never the payload, an answer, or a sensitive value.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::fact::{Ending, Fact};
use super::state::State;
use crate::domain::process::model::Process;
use crate::domain::time::Time;

/// Room for an event as most are.
const TYPICAL: usize = 640;

/// Something to tell.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// The routing key: `request.card_unbind.done`.
    pub topic: String,
    /// The request's seq that it tells of.
    pub seq: u64,
    /// What the CloudEvent's data says beside what every request's does ([`Data`]).
    pub extra: Value,
    /// It is the outcome: the sender's `reply_to` gets it too.
    pub outcome: bool,
}

/// What is told of a fact. `state` is the one after it.
#[must_use]
pub fn notices(process: &Process, state: &State, fact: &Fact, seq: u64) -> Vec<Notice> {
    let name = &state.accepted.process;
    let outcome = matches!(fact, Fact::Ended { .. });
    let told = |topic: String, extra: Value| Notice { topic, seq, extra, outcome };
    let (topic, extra) = match fact {
        Fact::Accepted(accepted) => (
            format!("request.{name}.accepted"),
            json!({ "expires_at": accepted.expires_at.to_string(),
                    "promise_due_at": state.accepted_at.plus(process.promise).to_string() }),
        ),
        Fact::Waiting { step, until } => (format!("request.{name}.waiting"), json!({ "step": step, "until": until.to_string() })),
        Fact::ReviewOpened(opened) => (
            format!("review.{name}.opened"),
            json!({ "review": opened.id, "name": opened.review, "step": opened.slot, "due_at": opened.due.to_string(),
                    "options": opened.options, "four_eyes": opened.four_eyes,
                    "question": process.reviews.get(&opened.review).map(|spec| &spec.question) }),
        ),
        Fact::Decided(decided) => {
            // Reviewers' tools close their task, whatever was decided.
            let closed = told(
                format!("review.{name}.decided"),
                json!({ "review": decided.review, "choice": decided.choice, "by": decided.by, "first_by": decided.first_by }),
            );
            let asked = decided.until.map(|until| {
                let extra =
                    json!({ "for": "customer", "question": decided.note, "until": until.to_string(), "review": decided.review });
                told(format!("request.{name}.waiting"), extra)
            });
            return std::iter::once(closed).chain(asked).collect();
        }
        Fact::Parked { group, slot, cause } => {
            (format!("request.{name}.parked"), json!({ "group": group, "step": slot, "code": cause.code }))
        }
        Fact::Ended { ending } => (format!("request.{name}.{}", ending.outcome()), ended(process, ending)),
        _ => return Vec::new(),
    };
    vec![told(topic, extra)]
}

/// What is told of a question that needs no answer any more: the request was withdrawn, has expired, or is being undone.
/// `seq` is the entry's by which it was cancelled.
#[must_use]
pub fn cancelled(state: &State, review: Uuid, seq: u64) -> Notice {
    let topic = format!("review.{}.cancelled", state.accepted.process);
    Notice { topic, seq, extra: json!({ "review": review }), outcome: false }
}

/// What is told of a request, as it is written.
#[derive(Debug, Serialize)]
pub struct Data<'n> {
    request: Uuid,
    process: &'n str,
    version: u32,
    message: &'n str,
    customer: &'n str,
    seq: u64,
    #[serde(flatten)]
    extra: &'n Value,
}

impl<'n> Data<'n> {
    /// The data of a notice of this request.
    #[must_use]
    pub fn of(state: &'n State, notice: &'n Notice) -> Data<'n> {
        let accepted = &state.accepted;
        Data {
            request: state.id,
            process: &accepted.process,
            version: accepted.version,
            message: &accepted.message,
            customer: &accepted.customer,
            seq: notice.seq,
            extra: &notice.extra,
        }
    }
}

fn ended(process: &Process, ending: &Ending) -> Value {
    let mut data = Map::new();
    data.insert("outcome".into(), json!(ending.outcome()));
    match ending {
        Ending::Refused(refusal) => {
            data.insert("reason".into(), json!(refusal.reason));
            data.insert("clause".into(), json!(refusal.clause));
            if let Some(reason) = process.reasons.get(&refusal.reason) {
                data.insert("text".into(), json!(reason.customer));
                data.insert("remedy".into(), json!(reason.remedy));
            }
        }
        // Why is for those who may read the ledger.
        Ending::Withdrawn { by, .. } => {
            data.insert("by".into(), json!(by));
        }
        Ending::Done | Ending::Expired => {}
    }
    Value::Object(data)
}

/// A structured CloudEvent 1.0.
#[must_use]
pub fn cloud_event(id: Uuid, topic: &str, subject: Option<Uuid>, at: Time, data: &impl Serialize) -> Vec<u8> {
    let event = CloudEvent {
        specversion: "1.0",
        id,
        source: "/mozhao",
        kind: format_args!("mozhao.{topic}"),
        time: format_args!("{at}"),
        datacontenttype: "application/json",
        subject,
        data,
    };
    let mut body = Vec::with_capacity(TYPICAL);
    // Texts, ids and a value: writing them into memory does not fail.
    serde_json::to_writer(&mut body, &event).map(|()| body).unwrap_or_default()
}

/// As it is written.
#[derive(Serialize)]
struct CloudEvent<'e, D> {
    specversion: &'e str,
    id: Uuid,
    source: &'e str,
    #[serde(rename = "type")]
    kind: fmt::Arguments<'e>,
    time: fmt::Arguments<'e>,
    datacontenttype: &'e str,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<Uuid>,
    data: &'e D,
}
