//! What the interface answers, as far as the pages read it. Missing members are empty: the interface leaves out what is not there.
#![expect(clippy::struct_field_names, reason = "the names are the interface's")]

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// Texts by language.
pub(super) type Texts = BTreeMap<String, String>;

/// A page of a list.
#[derive(Debug, Deserialize)]
pub(super) struct List<T> {
    /// Its rows.
    pub(super) items: Vec<T>,
    /// The next page's cursor: text or a number.
    #[serde(default)]
    pub(super) next: Option<Value>,
}

impl<T> List<T> {
    /// The next page's cursor as text.
    pub(super) fn next(&self) -> Option<String> {
        self.next.as_ref().map(super::show::plain)
    }
}

/// A request.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Request {
    pub(super) id: String,
    pub(super) process: String,
    pub(super) version: u32,
    pub(super) state: String,
    pub(super) step: Option<String>,
    pub(super) reason: Option<Reason>,
    pub(super) review: Option<Asked>,
    pub(super) asked: Option<CustomerAsked>,
    pub(super) parked: Option<String>,
    pub(super) parked_reason: Option<String>,
    #[serde(default)]
    pub(super) waits_for_turn: bool,
    pub(super) customer: String,
    pub(super) producer: String,
    pub(super) message: String,
    pub(super) channel: String,
    pub(super) person: bool,
    pub(super) seq: u64,
    pub(super) accepted_at: String,
    pub(super) updated_at: String,
    pub(super) promise_due_at: Option<String>,
    pub(super) expires_at: String,
    pub(super) wake_at: Option<String>,
    pub(super) tried: Option<Tried>,
    pub(super) ended_at: Option<String>,
    pub(super) payload: Option<Value>,
    pub(super) masked: Vec<String>,
}

/// How often the step was tried that it stands at.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Tried {
    pub(super) made: u32,
    pub(super) of: u32,
    pub(super) until: Option<String>,
}

/// A refusal's reason.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Reason {
    pub(super) name: String,
    pub(super) customer: Texts,
    pub(super) remedy: Option<Texts>,
}

/// An open question, from the request's side.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    pub(super) id: Option<String>,
    pub(super) name: String,
    pub(super) question: Option<Texts>,
}

/// What the customer was asked.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct CustomerAsked {
    pub(super) note: String,
    pub(super) until: Option<String>,
}

/// A question to a person.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Review {
    pub(super) id: String,
    pub(super) request: String,
    pub(super) process: String,
    pub(super) process_version: u32,
    pub(super) name: String,
    pub(super) question: Texts,
    pub(super) slot: String,
    pub(super) customer: String,
    pub(super) choices: Vec<String>,
    pub(super) role: Option<String>,
    pub(super) four_eyes: bool,
    pub(super) first_by: Option<String>,
    pub(super) state: String,
    pub(super) version: u32,
    pub(super) claimed_by: Option<String>,
    pub(super) claimed_until: Option<String>,
    pub(super) present: Vec<String>,
    pub(super) escalated: u32,
    pub(super) decision: Option<Decision>,
    pub(super) opened_at: String,
    pub(super) due_at: String,
    pub(super) closed_at: Option<String>,
    pub(super) held: Option<Held>,
    pub(super) not_applied: Option<NotApplied>,
    pub(super) snoozed: Option<Snoozed>,
}

/// A decision that was held and came to nothing.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct NotApplied {
    pub(super) by: String,
    pub(super) choice: Option<String>,
    pub(super) at: String,
    pub(super) code: String,
    pub(super) why: String,
}

/// A decision that can still be taken back.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Held {
    pub(super) by: String,
    pub(super) choice: Option<String>,
    pub(super) until: String,
}

/// A batch of decisions.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Batch {
    pub(super) id: String,
    pub(super) by: String,
    pub(super) counts: Counts,
    pub(super) choice: String,
    pub(super) reason: Option<String>,
    pub(super) note: String,
    pub(super) at: String,
    pub(super) start_at: String,
    pub(super) done_at: Option<String>,
    pub(super) items: Vec<BatchItem>,
}

/// How many reviews of a batch came to what.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Counts {
    pub(super) pending: usize,
    pub(super) done: usize,
    pub(super) skipped: usize,
    pub(super) failed: usize,
}

/// A review of a batch.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct BatchItem {
    pub(super) review: String,
    pub(super) customer: Option<String>,
    pub(super) state: String,
    pub(super) code: String,
    pub(super) why: String,
}

/// A view.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct View {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) query: String,
    pub(super) by: String,
    pub(super) at: String,
}

/// Put aside.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Snoozed {
    pub(super) by: String,
    pub(super) until: String,
    pub(super) note: String,
}

/// A decision.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Decision {
    pub(super) choice: String,
    pub(super) by: String,
    pub(super) first_by: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) note: String,
    pub(super) fields: Vec<String>,
}

/// Everything that a reviewer needs.
#[derive(Debug, Deserialize)]
pub(super) struct ReviewPage {
    #[serde(flatten)]
    pub(super) review: Review,
    pub(super) options: Vec<Choice>,
    #[serde(default)]
    pub(super) reasons: Vec<Reason>,
    pub(super) clause: Option<Clause>,
    pub(super) expected: Option<String>,
    pub(super) rules: Option<Rules>,
    #[serde(default)]
    pub(super) fixed: Vec<String>,
    pub(super) evidence: Vec<Evidence>,
    pub(super) notes: Vec<Note>,
    pub(super) request_body: Request,
}

/// The rules of the step which raised a question.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Rules {
    pub(super) pass_when: Option<String>,
    pub(super) refuse_when: Vec<Rule>,
    pub(super) keep: Option<BTreeMap<String, String>>,
}

/// A rule that refuses.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Rule {
    #[serde(rename = "if")]
    pub(super) when: String,
    pub(super) reason: String,
}

/// An answer and what follows from it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Choice {
    pub(super) choice: String,
    pub(super) then: Texts,
    pub(super) next_steps: Vec<String>,
    pub(super) next_effect: Option<String>,
}

/// A written rule.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub(super) struct Clause {
    pub(super) id: String,
    pub(super) text: String,
}

/// A line of evidence.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Evidence {
    pub(super) seq: u64,
    pub(super) at: String,
    pub(super) slot: String,
    pub(super) clause: Option<String>,
    pub(super) verdict: String,
    pub(super) detail: Option<String>,
    pub(super) rule: Option<String>,
    pub(super) status: Option<u16>,
    pub(super) kept: Value,
}

/// A note.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Note {
    pub(super) at: String,
    pub(super) by: String,
    pub(super) text: String,
}

/// A ledger's entry.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Entry {
    pub(super) seq: u64,
    pub(super) at: String,
    pub(super) kind: String,
    pub(super) fact: Value,
    pub(super) hash: String,
}

/// Somebody has seen a masked value.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Look {
    pub(super) at: String,
    pub(super) by: String,
    pub(super) request: String,
    pub(super) field: String,
    pub(super) reason: String,
}

/// What somebody did beside the ledgers.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Act {
    pub(super) at: String,
    pub(super) by: String,
    pub(super) what: String,
    pub(super) request: Option<String>,
    pub(super) review: Option<String>,
    pub(super) detail: String,
}

/// A process.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Process {
    pub(super) name: String,
    pub(super) version: u32,
    pub(super) title: Texts,
    pub(super) owner: String,
    pub(super) promise: String,
    pub(super) expire_after: String,
    pub(super) digest: String,
    pub(super) schema: Value,
    pub(super) sensitive: Vec<String>,
    pub(super) reasons: Vec<Reason>,
    pub(super) reviews: Vec<Question>,
    pub(super) steps: Vec<Step>,
    pub(super) versions: Vec<u32>,
}

/// A question that a process may ask.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Question {
    pub(super) name: String,
    pub(super) question: Texts,
    pub(super) choices: Vec<String>,
    pub(super) due: String,
    pub(super) four_eyes: bool,
    pub(super) role: Option<String>,
}

/// A step of a process.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Step {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) clause: Option<String>,
    pub(super) text: Option<String>,
    pub(super) texts: Texts,
    pub(super) connector: Option<String>,
    pub(super) when: Option<String>,
    pub(super) undo: bool,
}
