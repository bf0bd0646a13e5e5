//! A request as it is shown: its row, what its process says about it in every language, and its masked payload.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Api;
use super::facts::{Reader, mask_payload, masked_places, show_customer};
use super::stamp::Stamp;
use crate::domain::process::model::{Process, Reason, StepKind, Texts};
use crate::domain::request::chain::Entry;
use crate::domain::request::fact::{Decided, Fact};
use crate::domain::words::Choice;
use crate::engine::drive::replay;
use crate::engine::ports::records::RequestRow;
use crate::engine::ports::store::Loaded;

/// A request.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RequestBody {
    /// Its id.
    pub(super) id: Uuid,
    /// The process.
    process: String,
    /// The version of the process that it is pinned to.
    version: u32,
    /// `queued`, `running`, `waiting`, `parked`, `in_review`, `done`, `refused`, `withdrawn`, `expired`.
    #[schema(example = "running")]
    state: String,
    /// How it ended; left out while it is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<String>,
    /// Where in the process it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<String>,
    /// Why it was refused, with what the customer may be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<ReasonBody>,
    /// The question that a person has to answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    review: Option<AskedBody>,
    /// What the customer is asked; answer with `supplement`.
    #[serde(skip_serializing_if = "Option::is_none")]
    asked: Option<CustomerAsked>,
    /// What it is parked under: `dependency:<name>` or `defect:<fingerprint>`. For staff.
    #[serde(skip_serializing_if = "Option::is_none")]
    parked: Option<String>,
    /// Why it is parked, a stable word. For staff.
    #[serde(skip_serializing_if = "Option::is_none")]
    parked_reason: Option<String>,
    /// It waits for its turn: until those before it with the same `serialize_by` have ended. Left out where it does not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    waits_for_turn: bool,
    /// The request right before it, where it waits for its turn. Left out in lists, and for one that the token does not see.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) waits_for: Option<Uuid>,
    /// Whose request it is.
    customer: String,
    /// Who sent it.
    producer: String,
    /// The sender's id of it: the Idempotency-Key, or the message's id.
    message: String,
    /// How it came.
    channel: String,
    /// Has a person decided something?
    person: bool,
    /// The number of the last entry in its ledger; grows with everything that happens.
    pub(super) seq: u64,
    /// When it was accepted.
    accepted_at: Stamp,
    /// When its row last changed.
    updated_at: Stamp,
    /// By when the customer was told to expect the outcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    promise_due_at: Option<Stamp>,
    /// When it expires if it is still open and nothing was applied.
    expires_at: Stamp,
    /// When something will be tried or looked at again by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    wake_at: Option<Stamp>,
    /// How often the step was tried that it stands at, where an attempt has failed. For staff; left out in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tried: Option<TriedBody>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<Stamp>,
    /// What was sent, with everything sensitive masked. Left out in lists, and where the version of the process is not known here.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    payload: Option<Value>,
    /// JSON pointers to the values of the payload that are masked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    masked: Vec<String>,
}

/// How often a step was tried, and how often it may be.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TriedBody {
    /// The step.
    step: String,
    /// Attempts that were made since they were last counted anew: by a verdict, a person's decision or a resume.
    made: u32,
    /// The most attempts, the first included.
    of: u32,
    /// No further one begins later than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Stamp>,
}

/// How often the step was tried that an open request stands at; `None` where no attempt has failed, or the process is not known.
pub(super) fn tried(loaded: &Loaded, process: &Process) -> Option<TriedBody> {
    if !matches!(loaded.row.state.as_str(), "running" | "waiting" | "parked") {
        return None;
    }
    let name = loaded.row.step.as_deref()?;
    let retry = match &process.step(name)?.kind {
        StepKind::Verify(verify) => &verify.retry,
        StepKind::Execute(effect) => &effect.retry,
        StepKind::Wait(_) | StepKind::Review { .. } => return None,
    };
    let state = replay(loaded).ok()?;
    let slot = state.slots.get(name).filter(|slot| slot.attempts > 0)?;
    let until = slot.first_try.map(|first| first.plus(retry.within).into());
    Some(TriedBody { step: name.to_owned(), made: slot.attempts, of: retry.attempts, until })
}

/// A reason with what the customer may be told, by language.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct ReasonBody {
    /// Its name in the process.
    pub(super) name: String,
    /// What the customer reads.
    customer: BTreeMap<String, String>,
    /// What the customer can do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<BTreeMap<String, String>>,
}

impl ReasonBody {
    pub(super) fn new(name: &str, reason: Option<&Reason>) -> ReasonBody {
        ReasonBody {
            name: name.to_owned(),
            customer: reason.map(|reason| reason.customer.clone()).unwrap_or_default(),
            remedy: reason.and_then(|reason| reason.remedy.clone()),
        }
    }
}

/// A question that is open.
#[derive(Debug, Serialize, ToSchema)]
struct AskedBody {
    /// The review.
    id: Option<Uuid>,
    /// Its name in the process.
    name: String,
    /// The question, by language. For staff.
    #[serde(skip_serializing_if = "Option::is_none")]
    question: Option<BTreeMap<String, String>>,
}

/// What the customer is asked.
#[derive(Debug, Serialize, ToSchema)]
struct CustomerAsked {
    /// The question, in the reviewer's words.
    note: String,
    /// Until when an answer is waited for.
    until: Option<Stamp>,
}

/// It is queued behind others of its lane.
pub(super) fn waits_for_turn(row: &RequestRow) -> bool {
    row.state == "queued" && !row.turn
}

/// A request without its payload, for lists.
pub(super) fn summary(row: &RequestRow, process: Option<&Process>, reader: Reader) -> RequestBody {
    let (ended, staff) = (row.ended_at.is_some(), reader == Reader::Staff);
    let named = row.reason.as_deref();
    let reason = named.filter(|_| row.state == "refused").map(|name| {
        let reason = process.and_then(|process| process.reasons.get(name));
        ReasonBody::new(name, reason)
    });
    let review = (row.state == "in_review").then(|| {
        let name = named.unwrap_or_default().to_owned();
        let question: Option<Texts> = process.and_then(|process| process.reviews.get(&name)).map(|spec| spec.question.clone());
        AskedBody { id: row.review, name, question: question.filter(|_| staff) }
    });
    RequestBody {
        id: row.id,
        process: row.process.clone(),
        version: row.version,
        state: row.state.clone(),
        outcome: ended.then(|| row.state.clone()),
        step: row.step.clone(),
        reason,
        review,
        asked: None,
        parked: row.parked.clone().filter(|_| staff),
        parked_reason: row.reason.clone().filter(|_| staff && row.state == "parked"),
        waits_for_turn: waits_for_turn(row),
        waits_for: None,
        customer: show_customer(&row.customer, process),
        producer: row.producer.clone(),
        message: row.message.clone(),
        channel: row.channel.clone(),
        person: row.person,
        seq: row.seq,
        accepted_at: row.accepted_at.into(),
        updated_at: row.updated_at.into(),
        promise_due_at: process.map(|process| row.accepted_at.plus(process.promise).into()),
        expires_at: row.expires_at.into(),
        wake_at: row.wake_at.filter(|_| !ended).map(Stamp),
        tried: None,
        ended_at: row.ended_at.map(Stamp),
        payload: None,
        masked: Vec::new(),
    }
}

/// A request with its payload and what the customer was asked.
pub(super) fn full(
    row: &RequestRow,
    payload: &[u8],
    entries: &[Entry],
    process: Option<&Process>,
    reader: Reader,
) -> RequestBody {
    let mut body = summary(row, process, reader);
    let payload: Value = serde_json::from_slice(payload).unwrap_or_default();
    body.payload = mask_payload(&payload, process);
    body.masked = process.map(|process| masked_places(&payload, process)).unwrap_or_default();
    if row.state == "waiting" {
        body.asked = asked(entries).map(|decided| CustomerAsked { note: decided.note, until: decided.until.map(Stamp) });
    }
    body
}

/// The question to the customer that has not been answered.
fn asked(entries: &[Entry]) -> Option<Decided> {
    for entry in entries.iter().rev() {
        match entry.fact() {
            Ok(Fact::Decided(decided)) if decided.choice == Choice::AskCustomer => return Some(decided),
            Ok(Fact::Noted { .. } | Fact::Callback { .. } | Fact::WithdrawalRefused { .. } | Fact::Moved { .. }) => {}
            _ => return None,
        }
    }
    None
}

impl Api {
    /// A request's row with the version of the process that it is pinned to.
    pub(super) fn summary(&self, row: &RequestRow, reader: Reader) -> RequestBody {
        summary(row, self.engine().processes().get(&row.process, row.version).as_deref(), reader)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::facts::tests::process;
    use super::*;
    use crate::domain::time::Time;

    pub(in crate::api) fn row(state: &str) -> RequestRow {
        let ended = matches!(state, "done" | "refused" | "withdrawn" | "expired");
        RequestRow {
            id: Uuid::from_u128(1),
            process: "p".into(),
            version: 1,
            customer: "c-1".into(),
            producer: "app".into(),
            message: "m-1".into(),
            channel: "http".into(),
            reply_to: None,
            correlation: None,
            traceparent: None,
            lane: Some("customer:c-1".into()),
            lane_no: Some(3),
            turn: true,
            over_limit: false,
            seq: 4,
            head: [0; 32],
            state: state.into(),
            step: Some("known".into()),
            reason: None,
            parked: None,
            review: None,
            owner: None,
            wake_at: None,
            signalled: 0,
            seen: 0,
            deaths: 0,
            person: false,
            accepted_at: Time(0),
            updated_at: Time(0),
            expires_at: Time(1),
            ended_at: ended.then_some(Time(9)),
        }
    }

    #[test]
    fn what_the_customer_may_be_told_comes_in_every_language() {
        let process = process("${request.who}");
        let refused = RequestRow { reason: Some("gone".into()), ..row("refused") };
        let shown = serde_json::to_value(summary(&refused, Some(&process), Reader::Submitter)).unwrap_or_default();
        assert_eq!(shown["outcome"], "refused");
        assert_eq!(shown["reason"]["customer"]["zh-CN"], "没有。");
        assert_eq!(shown["reason"]["remedy"]["en"], "Ask.");
        assert_eq!(shown["promise_due_at"], "1970-01-01T00:10:00.000000Z");
        assert!(shown.get("waits_for_turn").is_none());
    }

    #[test]
    fn a_submitter_sees_that_a_person_is_asked_but_not_what() {
        let process = process("${request.who}");
        let asked = RequestRow { reason: Some("unsure".into()), ..row("in_review") };
        let shown = serde_json::to_value(summary(&asked, Some(&process), Reader::Submitter)).unwrap_or_default();
        assert_eq!(shown["review"]["name"], "unsure");
        assert!(shown["review"].get("question").is_none() && shown.get("outcome").is_none());
        let shown = serde_json::to_value(summary(&asked, Some(&process), Reader::Staff)).unwrap_or_default();
        assert_eq!(shown["review"]["question"]["en"], "Sure?");
    }

    #[test]
    fn a_parked_request_tells_staff_only_what_it_waits_for() {
        let parked = RequestRow { parked: Some("dependency:bank".into()), reason: Some("connect".into()), ..row("parked") };
        let shown = serde_json::to_value(summary(&parked, None, Reader::Submitter)).unwrap_or_default();
        assert!(!shown.to_string().contains("bank") && !shown.to_string().contains("connect"));
        let shown = serde_json::to_value(summary(&parked, None, Reader::Staff)).unwrap_or_default();
        assert_eq!((&shown["parked"], &shown["parked_reason"]), (&"dependency:bank".into(), &"connect".into()));
    }

    #[test]
    fn no_schema_no_payload() {
        let payload = br#"{"who": "c-1", "phone": "13812345678"}"#;
        let shown = full(&row("running"), payload, &[], None, Reader::Staff);
        assert_eq!(shown.payload, None);
        let shown = full(&row("running"), payload, &[], Some(&process("${request.who}")), Reader::Staff);
        assert_eq!(shown.payload, Some(serde_json::json!({"who": "c-1", "phone": "********78"})));
    }
}
