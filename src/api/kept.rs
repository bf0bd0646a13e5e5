//! What a step kept, as it may be shown. The engine keeps values that later steps need: a one-time code to be checked, an
//! account number for an undo. Staff needs to see that they were there, not what they are.
//!
//! What is kept without names was masked by its schema before it was written. What is kept by name is an expression's value, so
//! here it is looked at what the expression reads: a marked part of the request or of the answer, another such value, or a
//! callback's body, of which no schema tells what is sensitive.

use serde_json::{Map, Value};

use super::facts::{mask_leaves, overlap};
use crate::domain::expr::Expr;
use crate::domain::process::model::{Call, Process, Step, StepKind};

/// How far `answers.<step>.<name>` is followed.
const MAX_DEPTH: usize = 16;

/// What the step at this slot kept, masked.
pub(super) fn show_kept(slot: &str, kept: &Value, process: Option<&Process>) -> Value {
    let Some(process) = process else { return mask_leaves(kept) };
    let Some((step, Value::Object(parts))) = process.step(slot).map(|step| (step, kept)) else { return kept.clone() };
    if named(step).is_none() {
        return kept.clone();
    }
    let show = |(name, value): (&String, &Value)| {
        let shown = if is_sensitive(process, step, name, 0) { mask_leaves(value) } else { value.clone() };
        (name.clone(), shown)
    };
    Value::Object(parts.iter().map(show).collect::<Map<_, _>>())
}

/// What a step keeps by name, and the call whose answer it is.
fn named(step: &Step) -> Option<(&std::collections::BTreeMap<String, Expr>, Option<&Call>)> {
    match &step.kind {
        StepKind::Verify(verify) => Some((verify.keep.as_ref()?, verify.call.as_ref())),
        StepKind::Execute(execute) => Some((execute.keep.as_ref()?, Some(&execute.call))),
        StepKind::Wait(wait) => Some((wait.keep.as_ref()?, None)),
        StepKind::Review { .. } => None,
    }
}

/// A name that the process does not know any more is on the safe side.
fn is_sensitive(process: &Process, step: &Step, name: &str, depth: usize) -> bool {
    let Some((keep, call)) = named(step) else { return false };
    let Some(expr) = keep.get(name).filter(|_| depth < MAX_DEPTH) else { return true };
    expr.paths().iter().any(|path| match path.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["request", ..] => process.request.sensitive().iter().any(|place| overlap(&place.pointer, &path[1..])),
        ["answer", ..] => match (&step.kind, call.and_then(|call| call.answer.as_ref())) {
            (StepKind::Wait(_), _) => true,
            (_, Some(schema)) => schema.sensitive().iter().any(|place| overlap(&place.pointer, &path[1..])),
            (_, None) => false,
        },
        ["answers", of, rest @ ..] => process.step(of).is_none_or(|of| match (rest.first(), named(of)) {
            (_, None) => false,
            (Some(name), Some(_)) => is_sensitive(process, of, name, depth + 1),
            (None, Some((keep, _))) => keep.keys().any(|name| is_sensitive(process, of, name, depth + 1)),
        }),
        // The address of a callback is the right to call it.
        ["answers" | "callbacks", ..] => true,
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use serde_json::json;

    use super::*;
    use crate::domain::process::{Known, parse};

    const PROCESS: &str = "
process: p
version: 1
title: {en: P, zh-CN: 甲}
owner: o
promise: 10m
expire_after: 7d
customer: \"${request.who}\"
request:
  type: object
  additionalProperties: false
  required: [who, phone]
  properties: {who: {type: string}, phone: {type: string, x-sensitive: phone}}
steps:
  - verify: customer
    clause: {id: A-1, text: the customer is known}
    call:
      connector: bank
      get: \"/customers/${request.who}\"
      answer: {type: object, properties: {name: {type: string, x-sensitive: name}, level: {type: integer}}}
    keep: {name: answer.name, level: answer.level, phone: request.phone, same: answer.name == request.who, all: answer}
    pass_when: answer.level > 0
  - wait: code
    callback: sms
    within: 2h
    keep: {code: answer.code, length: size(answer.code), ok: answer.ok}
    otherwise: {review: look}
  - execute: change
    call: {connector: bank, post: /change, body: {code: \"${answers.code.code}\"}}
    idempotent: true
    keep: {id: answer.id, code: answers.code.code, name: answers.customer.name, level: answers.customer.level}
done_when: {is: \"true\"}
reviews:
  look: {question: {en: And now?, zh-CN: 然后呢？}, options: [retry], due: 4h}
";

    #[test]
    fn a_one_time_code_and_what_is_marked_are_masked() {
        let process = parse("p.yaml", PROCESS, &Known::default()).unwrap().process;
        let shown = |slot: &str, kept: Value| show_kept(slot, &kept, Some(&process));
        assert_eq!(
            shown("code", json!({"code": "846213", "length": 6, "ok": true})),
            json!({"code": "***", "length": "***", "ok": true})
        );
        assert_eq!(
            shown("customer", json!({"name": "Li", "level": 2, "phone": "138", "same": false, "all": {"name": "Li", "x": [1]}})),
            json!({"name": "***", "level": 2, "phone": "***", "same": false, "all": {"name": "***", "x": ["***"]}})
        );
        assert_eq!(
            shown("change", json!({"id": "i", "code": "846213", "name": "Li", "level": 2, "gone": "x"})),
            json!({"id": "i", "code": "***", "name": "***", "level": 2, "gone": "***"})
        );
        assert_eq!(show_kept("change", &json!({"id": "i"}), None), json!({"id": "***"}));
    }
}
