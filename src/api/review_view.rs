//! A review as it is shown: the question, what may be answered and what follows, and what is known — the clause that did
//! not decide, the evidence of every check, the request with its sensitive parts masked.
//!
//! The evidence comes from the ledger, not from asking again: a decision must rest on what the engine saw.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::facts::{Reader, show_customer};
use super::kept::show_kept;
use super::outlook::{OptionBody, RulesBody, expected, options, rules, undecided_clause};
use super::request_view::{ReasonBody, RequestBody, full};
use super::setting_aside::{HeldBody, NotAppliedBody, SnoozedBody};
use super::stamp::Stamp;
use crate::domain::process::model::Process;
use crate::domain::request::amend::fixed;
use crate::domain::request::chain::{ChainError, Entry};
use crate::domain::request::fact::{EffectResult, Fact, Verdict};
use crate::domain::time::Time;
use crate::domain::words::{Choice, Clause};
use crate::engine::ports::records::ReviewRow;
use crate::engine::ports::store::Loaded;

/// A question to a person, for lists.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReviewBody {
    /// Its id.
    id: Uuid,
    /// The request that it is about.
    request: Uuid,
    /// The process.
    process: String,
    /// Its version.
    process_version: u32,
    /// The review's name in the process.
    name: String,
    /// The question, by language.
    question: BTreeMap<String, String>,
    /// The step that raised it.
    slot: String,
    /// Whose request it is.
    customer: String,
    /// What may be answered.
    #[schema(value_type = Vec<String>)]
    choices: Vec<Choice>,
    /// The reviewers' role that it is for; left out: any reviewer's.
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<String>,
    /// Two different people must agree.
    four_eyes: bool,
    /// Who decided first, where a second person is needed. What they decided is not told before the second has.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_by: Option<String>,
    /// `open`, `deciding` (the decision is on its way to the request), `decided`, `cancelled`.
    #[schema(example = "open")]
    state: String,
    /// Send it with the decision: a decision on an older version is refused.
    version: u32,
    /// Who works on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    claimed_by: Option<String>,
    /// Until when.
    #[serde(skip_serializing_if = "Option::is_none")]
    claimed_until: Option<Stamp>,
    /// Who else has it open at the moment, as far as is known; no claim, and at most five of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) present: Vec<String>,
    /// How often it was escalated.
    escalated: u32,
    /// The decision, once it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<DecisionBody>,
    /// When it was asked.
    opened_at: Stamp,
    /// By when it should be answered.
    due_at: Stamp,
    /// Seconds until then; negative: overdue.
    seconds_left: i64,
    /// When it was decided or cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    closed_at: Option<Stamp>,
    /// A decision that can still be taken back; not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) held: Option<HeldBody>,
    /// The last decision that was held and could not be applied; not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) not_applied: Option<NotAppliedBody>,
    /// It is put aside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) snoozed: Option<SnoozedBody>,
}

/// A decision.
#[derive(Debug, Serialize, ToSchema)]
struct DecisionBody {
    /// What.
    #[schema(value_type = String)]
    choice: Choice,
    /// Who.
    by: String,
    /// Who decided first, where two had to agree.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_by: Option<String>,
    /// The refusal's reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Why.
    note: String,
    /// The fields that were amended.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<String>,
}

/// Everything that a reviewer needs.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReviewPage {
    /// The question.
    #[serde(flatten)]
    pub(super) review: ReviewBody,
    /// What may be answered, and what follows.
    options: Vec<OptionBody>,
    /// The reasons that a refusal may name, with what the customer will read.
    reasons: Vec<ReasonBody>,
    /// The clause that did not decide.
    #[serde(skip_serializing_if = "Option::is_none")]
    clause: Option<ClauseBody>,
    /// What would have let it pass without a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<String>,
    /// The rules of the step which raised it, with what they look at.
    #[serde(skip_serializing_if = "Option::is_none")]
    rules: Option<RulesBody>,
    /// Fields of the payload that no amendment can change: what they say was settled when the request was accepted.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    fixed: BTreeSet<String>,
    /// What was checked and done, in order.
    evidence: Vec<Evidence>,
    /// Notes of people, in order.
    notes: Vec<NoteBody>,
    /// The request, masked.
    request_body: RequestBody,
    /// Where its whole ledger is.
    timeline: String,
}

/// A written rule.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct ClauseBody {
    /// Its identifier.
    id: String,
    /// The rule in words.
    text: String,
}

impl From<Clause> for ClauseBody {
    fn from(clause: Clause) -> ClauseBody {
        ClauseBody { id: clause.id, text: clause.text }
    }
}

/// One line of the evidence table.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
struct Evidence {
    /// The ledger's entry.
    seq: u64,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Stamp,
    /// The step.
    slot: String,
    /// The rule that it rests on.
    #[serde(skip_serializing_if = "Option::is_none")]
    clause: Option<String>,
    /// `pass`, `refuse`, `review`; of effects `applied`, `not_applied`, `unknown`; of failed attempts `failed`.
    verdict: &'static str,
    /// The reason of a refusal, the review that was asked for, or the failure's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// The rule that decided; left out where none matched.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    /// The answer's status.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// What of the answer was kept, masked.
    #[serde(skip_serializing_if = "Value::is_null")]
    #[schema(value_type = Option<Object>)]
    kept: Value,
    /// SHA-256 of the whole answer, hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer_sha256: Option<String>,
}

/// A person's note.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
struct NoteBody {
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Stamp,
    /// Who.
    by: String,
    /// What.
    text: String,
}

/// A review for lists.
pub(super) fn summary(row: &ReviewRow, process: Option<&Process>, now: Time) -> ReviewBody {
    let open = row.state == "open";
    let first_by = row.decision.as_ref().filter(|_| open).map(|first| first.by.clone());
    let decision = row.decision.as_ref().filter(|_| !open).map(|decision| DecisionBody {
        choice: decision.choice,
        by: decision.by.clone(),
        first_by: decision.first_by.clone(),
        reason: decision.reason.clone(),
        note: decision.note.clone(),
        fields: decision.fields.keys().cloned().collect(),
    });
    let held = row.claimed_until.is_some_and(|until| until > now);
    ReviewBody {
        id: row.id,
        request: row.request,
        process: row.process.clone(),
        process_version: row.process_version,
        name: row.name.clone(),
        question: process
            .and_then(|process| process.reviews.get(&row.name))
            .map(|spec| spec.question.clone())
            .unwrap_or_default(),
        slot: row.slot.clone(),
        customer: show_customer(&row.customer, process),
        choices: row.options.clone(),
        role: row.role.clone(),
        four_eyes: row.four_eyes,
        first_by,
        state: row.state.clone(),
        version: row.version,
        claimed_by: row.claimed_by.clone().filter(|_| held),
        claimed_until: row.claimed_until.filter(|_| held).map(Stamp),
        present: Vec::new(),
        escalated: row.escalated,
        decision,
        opened_at: row.opened_at.into(),
        due_at: row.due_at.into(),
        seconds_left: (row.due_at.0 - now.0).div_euclid(1_000_000),
        closed_at: row.closed_at.map(Stamp),
        held: None,
        not_applied: None,
        snoozed: None,
    }
}

/// A review with everything that a reviewer needs.
pub(super) fn page(row: &ReviewRow, loaded: &Loaded, process: Option<&Process>, now: Time) -> Result<ReviewPage, ChainError> {
    let (evidence, notes) = evidence(&loaded.entries, process)?;
    let reasons =
        process.map(|process| process.reasons.iter().map(|(name, reason)| ReasonBody::new(name, Some(reason))).collect());
    Ok(ReviewPage {
        review: summary(row, process, now),
        options: options(process, &row.slot, &row.options),
        reasons: reasons.unwrap_or_default(),
        clause: process.and_then(|process| undecided_clause(process, &row.slot)).map(ClauseBody::from),
        expected: process.and_then(|process| expected(process, &row.slot)),
        rules: process.and_then(|process| rules(process, &row.slot)),
        fixed: process.map(fixed).unwrap_or_default(),
        evidence,
        notes,
        request_body: full(&loaded.row, &loaded.payload, &loaded.entries, process, Reader::Staff),
        timeline: format!("/v1/requests/{}/timeline", row.request),
    })
}

fn evidence(entries: &[Entry], process: Option<&Process>) -> Result<(Vec<Evidence>, Vec<NoteBody>), ChainError> {
    let (mut lines, mut notes) = (Vec::new(), Vec::new());
    for entry in entries {
        let (seq, at) = (entry.seq, Stamp(entry.at));
        match entry.fact()? {
            Fact::Verdict(fact) => {
                let (verdict, detail) = match fact.verdict {
                    Verdict::Pass => ("pass", None),
                    Verdict::Refuse(reason) => ("refuse", Some(reason)),
                    Verdict::Review(review) => ("review", Some(review)),
                };
                let clause = fact.clause.map(|clause| clause.id);
                let kept = show_kept(&fact.slot, &fact.kept, process);
                let (slot, rule, status, answer_sha256) = (fact.slot, fact.rule, fact.status, fact.evidence_sha256);
                lines.push(Evidence { seq, at, slot, clause, verdict, detail, rule, status, kept, answer_sha256 });
            }
            Fact::Result(fact) => {
                let verdict = match fact.result {
                    EffectResult::Applied => "applied",
                    EffectResult::NotApplied => "not_applied",
                    EffectResult::Unknown => "unknown",
                };
                let detail = fact.cause.map(|cause| cause.code);
                let kept = show_kept(&fact.slot, &fact.kept, process);
                let (slot, status, answer_sha256) = (fact.slot, fact.status, fact.evidence_sha256);
                lines.push(Evidence { seq, at, slot, clause: None, verdict, detail, rule: None, status, kept, answer_sha256 });
            }
            Fact::Failed(fact) => lines.push(Evidence {
                seq,
                at,
                slot: fact.slot,
                clause: None,
                verdict: "failed",
                detail: Some(fact.cause.code),
                rule: None,
                status: fact.cause.status,
                kept: Value::Null,
                answer_sha256: None,
            }),
            Fact::Noted { by, text } => notes.push(NoteBody { at, by, text }),
            _ => {}
        }
    }
    Ok((lines, notes))
}

#[cfg(test)]
pub(super) mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::super::facts::tests::process;
    use super::super::request_view::tests::row as request_row;
    use super::*;
    use crate::domain::request::chain::GENESIS;
    use crate::domain::request::fact::VerdictFact;
    use crate::domain::request::signal::Decision;

    pub(in crate::api) fn row() -> ReviewRow {
        ReviewRow {
            id: Uuid::from_u128(7),
            request: Uuid::from_u128(1),
            process: "p".into(),
            process_version: 1,
            name: "unsure".into(),
            slot: "known".into(),
            customer: "c-1".into(),
            options: vec![Choice::Approve, Choice::Refuse],
            role: Some("identity".into()),
            four_eyes: true,
            state: "open".into(),
            version: 2,
            claimed_by: Some("li".into()),
            claimed_until: Some(Time(5_000_000)),
            escalated: 0,
            decision: None,
            opened_at: Time(0),
            due_at: Time(4_000_000),
            closed_at: None,
        }
    }

    #[test]
    fn a_page_has_what_a_reviewer_needs() {
        let process = process("${request.who}");
        let verdict = Fact::Verdict(VerdictFact {
            slot: "known".into(),
            clause: Some(Clause { id: "A-1".into(), text: "the customer is known".into() }),
            verdict: Verdict::Review("unsure".into()),
            status: Some(200),
            evidence_sha256: Some("ab".into()),
            kept: serde_json::json!({"score": 0.7}),
            rule: None,
        });
        let note = Fact::Noted { by: "li".into(), text: "called".into() };
        let first = Entry::seal(Uuid::from_u128(1), 1, &GENESIS, Time(1), &verdict).unwrap();
        let second = Entry::seal(Uuid::from_u128(1), 2, &first.hash, Time(2), &note).unwrap();
        let payload = br#"{"who": "c-1", "phone": "13812345678"}"#.as_slice().into();
        let loaded = Loaded { row: request_row("in_review"), payload, entries: vec![first, second], signals: vec![] };
        let shown = serde_json::to_value(page(&row(), &loaded, Some(&process), Time(1_000_000)).unwrap()).unwrap();
        assert_eq!(shown["question"]["zh-CN"], "确定吗？");
        assert_eq!(shown["clause"]["id"], "A-1");
        assert_eq!(shown["expected"], "answer.sure == true");
        assert_eq!(shown["fixed"], serde_json::json!(["who"]));
        assert_eq!(shown["evidence"][0]["kept"]["score"], 0.7);
        assert_eq!(shown["notes"][0]["text"], "called");
        assert_eq!(shown["reasons"][0]["name"], "gone");
        assert_eq!(shown["options"][0]["choice"], "approve");
        assert_eq!(shown["request_body"]["payload"]["phone"], "********78");
        assert_eq!(shown["seconds_left"], 3);
        assert_eq!(shown["claimed_by"], "li");
    }

    #[test]
    fn claims_end_and_the_first_of_two_is_not_told_what() {
        let decision = Decision {
            review: Uuid::from_u128(7),
            choice: Choice::Approve,
            by: "li".into(),
            first_by: None,
            first_note: None,
            reason: None,
            note: "fine".into(),
            fields: BTreeMap::new(),
        };
        let first = ReviewRow { decision: Some(decision), ..row() };
        let shown = serde_json::to_value(summary(&first, None, Time(6_000_000))).unwrap();
        assert_eq!((&shown["first_by"], shown.get("decision"), shown.get("claimed_by")), (&"li".into(), None, None));
        assert_eq!(shown["seconds_left"], -2);
        let decided = ReviewRow { state: "decided".into(), ..first };
        let shown = serde_json::to_value(summary(&decided, None, Time(6_000_000))).unwrap();
        assert_eq!(shown["decision"]["choice"], "approve");
    }
}
