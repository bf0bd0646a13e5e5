//! A ledger entry as it may be shown. Two readers: staff sees what happened and who did it, with everything sensitive masked;
//! a submitter sees how far its request is and nothing of how it was judged.
//!
//! A ledger holds what people and other systems sent, so each kind of fact says here what of it may leave: the match is
//! exhaustive, and a new kind does not compile until somebody has thought about it.

use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::kept::show_kept;
use super::stamp::Stamp;
use crate::domain::expr::{Expr, mask_text};
use crate::domain::process::model::Process;
use crate::domain::request::chain::{ChainError, Entry};
use crate::domain::request::fact::{Ending, Fact, ResultFact, Verdict, VerdictFact};
use crate::domain::time::Time;
use crate::domain::words::Choice;

/// An entry of a request's ledger.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EntryBody {
    /// 1, 2, 3 … within the request.
    pub(super) seq: u64,
    /// When it was written.
    at: Stamp,
    /// What kind of fact: `accepted`, `verdict`, `intent`, `result`, `ended` …
    pub(super) kind: &'static str,
    /// The fact; its fields depend on the kind. Sensitive values are masked.
    #[schema(value_type = Object)]
    fact: Value,
    /// SHA-256 over the entry before and this one as it is stored (unmasked), hex.
    hash: String,
}

/// Who reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    /// Sees what happened and who did it.
    Staff,
    /// Sees how far it is.
    Submitter,
}

/// Shows an entry. Without the process nothing that its schema would have to mask is shown.
pub(super) fn show(entry: &Entry, process: Option<&Process>, reader: Reader) -> Result<EntryBody, ChainError> {
    let fact = entry.fact()?;
    let shown = match reader {
        Reader::Staff => for_staff(&fact, process),
        Reader::Submitter => for_submitter(&fact),
    };
    Ok(EntryBody { seq: entry.seq, at: entry.at.into(), kind: fact.word(), fact: shown, hash: hex::encode(entry.hash) })
}

fn for_staff(fact: &Fact, process: Option<&Process>) -> Value {
    let mut shown = serde_json::to_value(fact).unwrap_or_default();
    let Value::Object(map) = &mut shown else { return Value::Null };
    map.remove("kind");
    match fact {
        Fact::Accepted(accepted) => {
            map.insert("customer".to_owned(), show_customer(&accepted.customer, process).into());
        }
        // No schema tells what of it is sensitive; a texted code certainly is.
        Fact::Callback { body, .. } => {
            map.insert("body".to_owned(), mask_leaves(body));
        }
        Fact::Supplemented { fields, .. } => {
            map.insert("fields".to_owned(), mask_fields(fields.iter(), process));
        }
        Fact::Decided(decided) if !decided.fields.is_empty() => {
            map.insert("fields".to_owned(), mask_fields(decided.fields.iter(), process));
        }
        Fact::Verdict(VerdictFact { slot, kept, .. }) | Fact::Result(ResultFact { slot, kept, .. }) if !kept.is_null() => {
            map.insert("kept".to_owned(), show_kept(slot, kept, process));
        }
        Fact::Started
        | Fact::Verdict(_)
        | Fact::Skipped { .. }
        | Fact::Failed(_)
        | Fact::Intent { .. }
        | Fact::Result(_)
        | Fact::Waiting { .. }
        | Fact::CallbackIgnored { .. }
        | Fact::ReviewOpened(_)
        | Fact::Decided(_)
        | Fact::Parked { .. }
        | Fact::Resumed { .. }
        | Fact::Moved { .. }
        | Fact::TurnedBack { .. }
        | Fact::WithdrawalRefused { .. }
        | Fact::Noted { .. }
        | Fact::Ended { .. } => {}
    }
    for (name, value) in map.iter_mut() {
        if let ("expires_at" | "deadline" | "until" | "retry_at" | "due", Some(micros)) = (name.as_str(), value.as_i64()) {
            *value = Time(micros).to_string().into();
        }
    }
    shown
}

fn for_submitter(fact: &Fact) -> Value {
    match fact {
        Fact::Accepted(accepted) => {
            json!({"process": accepted.process, "version": accepted.version, "expires_at": Stamp(accepted.expires_at)})
        }
        Fact::Verdict(verdict) => {
            let word = match &verdict.verdict {
                Verdict::Pass => "pass",
                Verdict::Refuse(_) => "refuse",
                Verdict::Review(_) => "review",
            };
            json!({"slot": verdict.slot, "verdict": word})
        }
        Fact::Skipped { step } | Fact::CallbackIgnored { step } => json!({"step": step}),
        Fact::Failed(failed) => json!({"slot": failed.slot, "retry_at": failed.retry_at.map(Stamp)}),
        Fact::Intent { slot, .. } => json!({"slot": slot}),
        Fact::Result(result) => json!({"slot": result.slot, "result": result.result}),
        Fact::Waiting { step, until } => json!({"step": step, "until": Stamp(*until)}),
        Fact::Callback { name, .. } => json!({"name": name}),
        Fact::ReviewOpened(opened) => json!({"due": Stamp(opened.due)}),
        Fact::Decided(decided) => match decided.choice {
            // The note is the question to the customer.
            Choice::AskCustomer => json!({"choice": decided.choice, "note": decided.note, "until": decided.until.map(Stamp)}),
            choice => json!({"choice": choice}),
        },
        Fact::Supplemented { fields, .. } => json!({"fields": fields.keys().collect::<Vec<_>>()}),
        Fact::Moved { version, .. } => json!({"version": version}),
        Fact::WithdrawalRefused { why, .. } => json!({"why": why}),
        Fact::TurnedBack { ending } | Fact::Ended { ending } => match ending {
            Ending::Refused(refusal) => json!({"outcome": "refused", "reason": refusal.reason}),
            other => json!({"outcome": other.outcome()}),
        },
        Fact::Started | Fact::Parked { .. } | Fact::Resumed { .. } | Fact::Noted { .. } => json!({}),
    }
}

/// A payload with everything sensitive masked; `None` without the process, whose schema says what that is.
pub(super) fn mask_payload(payload: &Value, process: Option<&Process>) -> Option<Value> {
    process.map(|process| process.request.mask(payload))
}

/// The most masked places that are named.
const MAX_PLACES: usize = 200;

/// JSON pointers to the values (no objects or lists) of a payload that its process marks as sensitive.
pub(super) fn masked_places(payload: &Value, process: &Process) -> Vec<String> {
    let marks: Vec<&str> = process.request.sensitive().iter().map(|place| place.pointer.as_str()).collect();
    let mut found = Vec::new();
    leaves(payload, &mut Vec::new(), &mut |path| {
        if found.len() < MAX_PLACES && marks.iter().any(|mark| covers(mark, path)) {
            let parts: Vec<String> = path.iter().map(|part| part.replace('~', "~0").replace('/', "~1")).collect();
            found.push(format!("/{}", parts.join("/")));
        }
    });
    found
}

fn leaves(value: &Value, path: &mut Vec<String>, each: &mut impl FnMut(&[String])) {
    let inner: Vec<(String, &Value)> = match value {
        Value::Object(map) => map.iter().map(|(name, inner)| (name.clone(), inner)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(at, inner)| (at.to_string(), inner)).collect(),
        _ => return each(path),
    };
    for (name, value) in inner {
        path.push(name);
        leaves(value, path, each);
        path.pop();
    }
}

/// Does a mark (`*` stands for any name or index) stand at this place or above it?
fn covers(mark: &str, path: &[String]) -> bool {
    let parts: Vec<String> = mark.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~")).collect();
    parts.len() <= path.len() && parts.iter().zip(path).all(|(mark, name)| mark == name || mark == "*")
}

/// The customer's id, masked where it is taken from a sensitive field.
pub(super) fn show_customer(customer: &str, process: Option<&Process>) -> String {
    let sensitive = process.is_none_or(|process| {
        let marked = process.request.sensitive();
        let paths = process.customer.exprs().flat_map(Expr::paths);
        let mut fields = paths.filter(|path| path.first().is_some_and(|root| root == "request"));
        fields.any(|path| marked.iter().any(|place| overlap(&place.pointer, &path[1..])))
    });
    if sensitive { mask_text(customer) } else { customer.to_owned() }
}

/// Is one of the two inside the other?
pub(super) fn overlap(pointer: &str, path: &[String]) -> bool {
    let marked = pointer.split('/').skip(1);
    marked.zip(path).all(|(marked, name)| marked == name || marked == "*")
}

fn mask_fields<'a>(fields: impl Iterator<Item = (&'a String, &'a Value)>, process: Option<&Process>) -> Value {
    let fields = Value::Object(fields.map(|(name, value)| (name.clone(), value.clone())).collect::<Map<_, _>>());
    process.map_or_else(|| mask_leaves(&fields), |process| process.request.mask(&fields))
}

/// The shape of a value without its texts and numbers.
pub(super) fn mask_leaves(value: &Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(map.iter().map(|(name, inner)| (name.clone(), mask_leaves(inner))).collect()),
        Value::Array(items) => Value::Array(items.iter().map(mask_leaves).collect()),
        Value::String(_) | Value::Number(_) => Value::String("***".to_owned()),
        Value::Bool(_) | Value::Null => value.clone(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use std::collections::BTreeMap;

    use uuid::Uuid;

    use super::*;
    use crate::domain::process::{Known, parse};
    use crate::domain::request::chain::GENESIS;
    use crate::domain::request::fact::Decided;

    /// A process with a sensitive field and a review.
    pub(in crate::api) fn process(customer: &str) -> Process {
        let source = format!(
            "process: p
version: 1
title: {{en: P, zh-CN: 甲}}
owner: o
audience: customer
promise: 10m
expire_after: 7d
customer: \"{customer}\"
request:
  type: object
  additionalProperties: false
  required: [who, phone]
  properties:
    who: {{type: string, maxLength: 64}}
    phone: {{type: string, maxLength: 64, x-sensitive: phone}}
steps:
  - verify: known
    clause: {{id: A-1, text: the customer is known}}
    call: {{connector: bank, get: \"/customers/${{request.who}}\"}}
    refuse_when: [{{if: \"answer.gone == true\", reason: gone}}]
    pass_when: \"answer.sure == true\"
    otherwise: {{review: unsure}}
  - execute: change
    call: {{connector: bank, post: \"/customers/${{request.who}}/change\"}}
    idempotent: true
done_when: {{call: {{connector: bank, get: \"/customers/${{request.who}}\"}}, is: \"answer.changed == true\", within: 1m}}
reasons:
  gone: {{customer: {{en: Gone., zh-CN: 没有。}}, remedy: {{en: Ask., zh-CN: 问。}}}}
reviews:
  unsure: {{question: {{en: Sure?, zh-CN: 确定吗？}}, options: [approve, refuse, ask_customer], due: 4h, role: identity}}
"
        );
        match parse("p.yaml", &source, &Known::default()) {
            Ok(parsed) => parsed.process,
            Err(findings) => panic!("{findings:?}"),
        }
    }

    fn shown(fact: &Fact, reader: Reader) -> Value {
        let entry = Entry::seal(Uuid::from_u128(1), 1, &GENESIS, Time(1), fact).unwrap();
        serde_json::to_value(show(&entry, Some(&process("${request.who}")), reader).unwrap()).unwrap()
    }

    #[test]
    fn what_people_and_systems_sent_is_masked() {
        let fields = BTreeMap::from([("phone".to_owned(), json!("13812345678")), ("who".to_owned(), json!("c-1"))]);
        let supplemented = Fact::Supplemented { fields: fields.clone(), by: "app".into() };
        let decided = Fact::Decided(Decided {
            review: Uuid::from_u128(2),
            choice: Choice::Amend,
            by: "li".into(),
            first_by: None,
            first_note: None,
            reason: None,
            note: "typo".into(),
            fields,
            until: Some(Time(1_000_000)),
        });
        for fact in [supplemented, decided.clone()] {
            let text = shown(&fact, Reader::Staff).to_string();
            assert!(!text.contains("13812345678") && text.contains("********78") && text.contains("c-1"), "{text}");
        }
        assert_eq!(shown(&decided, Reader::Staff)["fact"]["until"], "1970-01-01T00:00:01.000000Z");
        let callback = Fact::Callback { name: "sms".into(), body: json!({"code": "846213", "n": 5, "ok": true, "l": ["x"]}) };
        let body = &shown(&callback, Reader::Staff)["fact"]["body"];
        assert_eq!(*body, json!({"code": "***", "n": "***", "ok": true, "l": ["***"]}));
    }

    #[test]
    fn a_submitter_learns_nothing_of_the_inside() {
        let note = Fact::Noted { by: "li".into(), text: "suspicious".into() };
        assert_eq!(shown(&note, Reader::Submitter)["fact"], json!({}));
        let asked = Fact::Decided(Decided {
            review: Uuid::from_u128(2),
            choice: Choice::AskCustomer,
            by: "li".into(),
            first_by: None,
            first_note: None,
            reason: None,
            note: "Which card?".into(),
            fields: BTreeMap::new(),
            until: None,
        });
        assert_eq!(
            shown(&asked, Reader::Submitter)["fact"],
            json!({"choice": "ask_customer", "note": "Which card?", "until": null})
        );
        let parked = shown(&Fact::Resumed { by: "li".into(), group: "dependency:bank".into() }, Reader::Submitter);
        assert_eq!(parked["fact"], json!({}));
    }

    #[test]
    fn a_customer_from_a_sensitive_field_is_masked() {
        assert_eq!(show_customer("c-1", Some(&process("${request.who}"))), "c-1");
        assert_eq!(show_customer("13812345678", Some(&process("${request.phone}"))), "********78");
        assert_eq!(show_customer("13812345678", None), "********78");
    }
}
