//! What a correction of the payload may change: a reviewer's amendment, or what a customer sends who was asked.
//!
//! Two things rest on the payload that was accepted and are not decided anew. Whose request it is, its place in the order and
//! what its limit counts were settled by the row that was inserted. And an effect that was carried out, or may have been, was
//! carried out with certain values: its undo, its reconciling read and another call under the same key must name the same
//! thing, or they would hit another customer's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::scope::intake_scope;
use super::state::State;
use crate::domain::expr::{Expr, Template};
use crate::domain::process::model::{Call, Process, Step, StepKind};

/// May these fields be replaced?
///
/// # Errors
/// What must stay and why, for whoever sent them; names fields, no values.
pub fn check(process: &Process, state: &State, fields: &BTreeMap<String, Value>) -> Result<(), String> {
    let before = &state.payload;
    let mut after = before.clone();
    if let Value::Object(object) = Arc::make_mut(&mut after) {
        object.extend(fields.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
    process.request.validate(&after).map_err(|faults| {
        let faults: Vec<String> = faults.iter().map(|fault| fault.message.clone()).collect();
        format!("the request would not fit its schema: {}", faults.join("; "))
    })?;
    for (what, template) in settled(process) {
        let text = |payload| template.render_text(&intake_scope(payload)).ok();
        if text(before) != text(&after) {
            return Err(format!(
                "`{what}` ({}) would change, and it was settled when the request was accepted: withdraw this request and send a new one",
                template.source()
            ));
        }
    }
    for step in state.effects.iter().filter(|step| state.touched(step) && !state.undone(step)) {
        let changed = rests_on(process, step).into_iter().find(|path| at(before, path) != at(&after, path));
        if let Some(path) = changed {
            let path = std::iter::once("request").chain(path.iter().map(String::as_str)).collect::<Vec<_>>().join(".");
            return Err(format!(
                "`{path}` cannot change any more: the effect `{step}` was carried out with it, or may have been"
            ));
        }
    }
    Ok(())
}

/// Fields of the payload that no amendment can change, whatever is done by then: whose request it is, in which order it stands
/// and what it counts towards are read from them as they are.
#[must_use]
pub fn fixed(process: &Process) -> BTreeSet<String> {
    let exprs = settled(process).flat_map(|(_, template)| template.exprs());
    // What is computed from a field may stay what it is with another value of it: that is asked when it is sent.
    let plain = exprs.filter_map(|expr| expr.source().trim().strip_prefix("request."));
    plain.filter(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')).map(str::to_owned).collect()
}

/// What was settled at acceptance.
fn settled(process: &Process) -> impl Iterator<Item = (&'static str, &Template)> {
    let order = process.serialize_by.as_ref().map(|by| ("serialize_by", &by.key));
    let limit = process.limit.as_ref().map(|limit| ("limit.per", &limit.per));
    [("customer", &process.customer)].into_iter().chain(order).chain(limit)
}

/// The parts of the payload that an effect and what may still be done about it are made of: what its calls read, and what
/// the steps read whose answers they use.
fn rests_on<'p>(process: &'p Process, effect: &str) -> BTreeSet<&'p [String]> {
    let mut found = BTreeSet::new();
    let mut seen: Vec<&str> = Vec::new();
    let mut todo: Vec<&Step> = process.step(effect).into_iter().collect();
    while let Some(step) = todo.pop() {
        if seen.contains(&step.name.as_str()) {
            continue;
        }
        seen.push(&step.name);
        for path in exprs(step).into_iter().flat_map(Expr::paths) {
            match path.split_first() {
                Some((root, rest)) if root == "request" => {
                    found.insert(rest);
                }
                Some((root, rest)) if root == "answers" => {
                    todo.extend(process.steps.iter().filter(|step| rest.first().is_none_or(|name| *name == step.name)));
                }
                _ => {}
            }
        }
    }
    found
}

/// What a step's calls, and what it keeps, are made of.
fn exprs(step: &Step) -> Vec<&Expr> {
    let mut all = Vec::new();
    let keep = match &step.kind {
        StepKind::Verify(verify) => {
            all.extend(verify.call.iter().flat_map(Call::exprs));
            verify.keep.as_ref()
        }
        StepKind::Execute(execute) => {
            let undo = execute.undo.as_deref();
            let reads = execute.reconcile.iter().chain(undo.and_then(|undo| undo.reconcile.as_ref()));
            all.extend(execute.call.exprs().chain(undo.into_iter().flat_map(|undo| undo.call.exprs())));
            for read in reads {
                all.extend(read.call.exprs());
                all.push(&read.happened_when);
            }
            execute.keep.as_ref()
        }
        StepKind::Wait(wait) => wait.keep.as_ref(),
        StepKind::Review { .. } => None,
    };
    all.extend(keep.into_iter().flat_map(BTreeMap::values));
    all
}

fn at<'v>(payload: &'v Value, path: &[String]) -> Option<&'v Value> {
    path.iter().try_fold(payload, |value, name| value.get(name))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::domain::process::{Known, parse};
    use crate::domain::request::fact::{Accepted, EffectResult, Fact, ResultFact, Via};
    use crate::domain::time::Time;

    const PROCESS: &str = "
process: p
version: 1
title: {en: P, zh-CN: 甲}
owner: o
promise: 10m
expire_after: 7d
customer: \"${request.who}\"
serialize_by: {key: \"${request.account}\", scope: accounts}
limit: {per: \"${request.desk}\", max: 3, within: 1d, clause: {id: L-1, text: three a day}, refuse: no}
request:
  type: object
  additionalProperties: false
  required: [who, account, desk, card, note, place]
  properties:
    who: {type: string}
    account: {type: string}
    desk: {type: string}
    card: {type: object, properties: {id: {type: string}, name: {type: string}}}
    note: {type: string, maxLength: 4}
    place: {type: string}
steps:
  - verify: branch
    clause: {id: A-1, text: there is a branch}
    call: {connector: bank, get: \"/branches/${request.place}\"}
    keep: {id: answer.id}
    pass_when: answer.ok
  - execute: cut
    call: {connector: bank, post: /cut, body: {card: \"${request.card.id}\"}}
    idempotent: true
    undo: {call: {connector: bank, post: \"/mend/${answers.branch.id}\"}, idempotent: true}
done_when: {is: \"true\"}
reasons:
  no: {customer: {en: No., zh-CN: 不。}, remedy: {en: Wait., zh-CN: 等。}}
";

    fn process() -> Process {
        parse("p.yaml", PROCESS, &Known::default()).unwrap().process
    }

    fn begun() -> State {
        let accepted = Accepted {
            process: "p".into(),
            version: 1,
            digest: "d".into(),
            producer: "app".into(),
            message: "m".into(),
            channel: "http".into(),
            customer: "c".into(),
            payload_sha256: String::new(),
            expires_at: Time(1_000),
        };
        let payload =
            json!({"who": "c", "account": "a", "desk": "d", "card": {"id": "k1", "name": "n"}, "note": "", "place": "s"});
        let mut state = State::begin(Uuid::from_u128(1), accepted, Time(1), payload, [0; 32]);
        state.apply(&Fact::Started, Time(2)).unwrap();
        state
    }

    fn may(state: &State, fields: Value) -> Result<(), String> {
        check(&process(), state, &serde_json::from_value(fields).unwrap())
    }

    fn result(slot: &str, result: EffectResult) -> Fact {
        Fact::Result(ResultFact {
            slot: slot.into(),
            generation: 0,
            result,
            via: Via::Answer,
            status: None,
            evidence_sha256: None,
            kept: Value::Null,
            cause: None,
            retry_at: None,
        })
    }

    fn intent(slot: &str) -> Fact {
        Fact::Intent { slot: slot.into(), generation: 0, attempt: 1, deadline: Time(20) }
    }

    #[test]
    fn what_was_settled_at_acceptance_stays() {
        let state = begun();
        for (field, what) in [("who", "`customer`"), ("account", "`serialize_by`"), ("desk", "`limit.per`")] {
            let why = may(&state, json!({ field: "other" })).unwrap_err();
            assert!(why.starts_with(what) && !why.contains("other"), "{why}");
        }
        assert_eq!(may(&state, json!({"who": "c", "note": "x", "place": "t", "card": {"id": "k2"}})), Ok(()));
        assert!(may(&state, json!({"note": "long text"})).unwrap_err().contains("schema"));
    }

    #[test]
    fn what_an_effect_was_made_of_stays_until_it_is_undone() {
        let mut state = begun();
        state.apply(&intent("cut"), Time(3)).unwrap();
        let intended = state.clone();
        state.apply(&result("cut", EffectResult::Applied), Time(4)).unwrap();
        for state in [&intended, &state] {
            let why = may(state, json!({"card": {"id": "k2", "name": "n"}})).unwrap_err();
            assert_eq!(
                why,
                "`request.card.id` cannot change any more: the effect `cut` was carried out with it, or may have been"
            );
            // The undo is made of what `branch` kept, and that of the place.
            assert!(may(state, json!({"place": "t"})).unwrap_err().contains("`request.place`"));
            assert_eq!(may(state, json!({"card": {"id": "k1", "name": "m"}, "note": "y"})), Ok(()));
        }
        let mut never = intended;
        never.apply(&result("cut", EffectResult::NotApplied), Time(5)).unwrap();
        assert_eq!(may(&never, json!({"card": {"id": "k2"}})), Ok(()));
        state.apply(&intent("undo.cut"), Time(5)).unwrap();
        state.apply(&result("undo.cut", EffectResult::Applied), Time(6)).unwrap();
        assert_eq!(may(&state, json!({"card": {"id": "k2"}})), Ok(()));
    }
}
