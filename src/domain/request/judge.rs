//! From an answer to a verdict. Pure: the answer's bytes, the step's rules and a scope in; facts or a cause out.
//! Nothing passes by accident: an answer that breaks its schema and an expression that fails are causes of a
//! defect (for an effect: of an unknown), never a pass or a refusal.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::chain::hex;
use super::fact::{Cause, EffectResult, Fact, FailureClass, ResultFact, Verdict, VerdictFact, Via};
use super::slot::DONE_WHEN;
use crate::domain::expr::{EvalError, Expr, Scope};
use crate::domain::process::model::{Call, DoneWhen, Execute, Otherwise, Reconcile, RefuseRule, Verify, Wait};

/// The most bytes of an answer that are kept as evidence.
pub const MAX_KEPT: usize = 64 * 1024;

/// An answer with its body parsed.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// The status.
    pub status: u16,
    /// The body; null where it was empty.
    pub body: Arc<Value>,
    /// SHA-256 of the body's bytes, hex.
    pub sha256: String,
}

impl Seen {
    /// Lets the expressions of a scope see it.
    fn show(&self, scope: &mut Scope) {
        scope.share("answer", Arc::clone(&self.body));
        scope.share("status", Arc::new(Value::from(self.status)));
    }
}

/// Parses an answer, unless `read` is what it says, and holds it against the call's schema (2xx only: other accepted statuses have bodies of their own).
///
/// # Errors
/// A cause: not JSON, or not what the schema says. The detail names places, not values.
pub fn see(call: &Call, status: u16, bytes: &[u8], read: Option<Value>) -> Result<Seen, Cause> {
    let body = match read {
        Some(value) => value,
        None if bytes.is_empty() => Value::Null,
        None => serde_json::from_slice(bytes).map_err(|_| broken("not_json", call, Some(status), "the answer is not JSON"))?,
    };
    if let (Some(schema), 200..300) = (&call.answer, status)
        && let Err(faults) = schema.validate(&body)
    {
        let detail: Vec<String> = faults.iter().take(3).map(|fault| fault.message.clone()).collect();
        return Err(broken("schema", call, Some(status), &detail.join("; ")));
    }
    Ok(Seen { status, body: body.into(), sha256: hex(&Sha256::digest(bytes)) })
}

/// The verdict of a verify step. `seen` is `None` for a step without a call.
///
/// # Errors
/// An expression failed, nothing decided where `otherwise` is `defect`, or too much is kept.
pub fn verify(name: &str, verify: &Verify, seen: Option<&Seen>, mut scope: Scope) -> Result<Fact, Cause> {
    if let Some(seen) = seen {
        seen.show(&mut scope);
    }
    let call = verify.call.as_ref();
    let failed = |error: &EvalError| expression(call, seen, error);
    let (verdict, rule) = rules(&verify.rules.refuse_when, verify.rules.pass_when.as_ref(), &scope)
        .map_err(|error| failed(&error))?
        .map_or_else(
            || undecided(&verify.rules.otherwise).map(|verdict| (verdict, None)),
            |(verdict, rule)| Some((verdict, rule)),
        )
        .ok_or_else(|| broken_at(call, seen, "undecided", "no rule decided, and the process says that this cannot be"))?;
    let kept = match (keep(verify.keep.as_ref(), call, seen, &scope), &verdict) {
        (Ok(kept), _) => kept,
        (Err(cause), Verdict::Pass) => return Err(cause),
        // An answer that is refused (404, say) need not have the parts that a pass keeps.
        (Err(_), _) => Value::Null,
    };
    Ok(Fact::Verdict(VerdictFact {
        slot: name.to_owned(),
        clause: Some(verify.clause.clone()),
        verdict,
        status: seen.map(|seen| seen.status),
        evidence_sha256: seen.map(|seen| seen.sha256.clone()),
        kept,
        rule,
    }))
}

/// What a callback's body means for the wait step: a verdict, or that it is ignored.
///
/// # Errors
/// An expression failed.
pub fn callback(name: &str, wait: &Wait, body: &Value, mut scope: Scope) -> Result<Fact, Cause> {
    scope.set("answer", body);
    let bytes = body.to_string();
    let seen = Seen { status: 0, body: Arc::new(body.clone()), sha256: hex(&Sha256::digest(bytes.as_bytes())) };
    let decided = rules(&wait.refuse_when, wait.pass_when.as_ref(), &scope).map_err(|error| expression(None, None, &error))?;
    let Some((verdict, rule)) = decided else { return Ok(Fact::CallbackIgnored { step: name.to_owned() }) };
    Ok(Fact::Verdict(VerdictFact {
        slot: name.to_owned(),
        clause: wait.clause.clone(),
        verdict,
        status: None,
        evidence_sha256: Some(seen.sha256.clone()),
        kept: match &wait.keep {
            Some(_) => keep(wait.keep.as_ref(), None, Some(&seen), &scope)?,
            None => Value::Null,
        },
        rule,
    }))
}

/// What an accepted answer to an effect means: applied, or a refusal by the target (not applied).
///
/// # Errors
/// An expression failed: whether it was applied is not known then.
pub fn effect(
    slot: &str,
    generation: u32,
    execute: Option<&Execute>,
    call: &Call,
    seen: &Seen,
    mut scope: Scope,
) -> Result<Vec<Fact>, Cause> {
    seen.show(&mut scope);
    let no = execute.map_or(&[][..], |execute| &execute.refuse_when);
    let refused = rules(no, None, &scope).map_err(|error| expression(Some(call), Some(seen), &error))?;
    let refused = refused.filter(|(verdict, _)| matches!(verdict, Verdict::Refuse(_)));
    let result = if refused.is_some() { EffectResult::NotApplied } else { EffectResult::Applied };
    let kept = match keep(execute.and_then(|execute| execute.keep.as_ref()), Some(call), Some(seen), &scope) {
        Ok(kept) => kept,
        Err(_) if refused.is_some() => Value::Null,
        Err(cause) => return Err(cause),
    };
    let mut facts = vec![Fact::Result(ResultFact {
        slot: slot.to_owned(),
        generation,
        result,
        via: Via::Answer,
        status: Some(seen.status),
        evidence_sha256: Some(seen.sha256.clone()),
        kept: if refused.is_some() { Value::Null } else { kept.clone() },
        cause: None,
        retry_at: None,
    })];
    if let Some((verdict, rule)) = refused {
        facts.push(Fact::Verdict(VerdictFact {
            slot: slot.to_owned(),
            clause: execute.and_then(|execute| execute.clause.clone()),
            verdict,
            status: Some(seen.status),
            evidence_sha256: Some(seen.sha256.clone()),
            kept,
            rule,
        }));
    }
    Ok(facts)
}

/// Did the effect happen?
///
/// # Errors
/// The expression failed.
pub fn happened(reconcile: &Reconcile, seen: &Seen, mut scope: Scope) -> Result<bool, Cause> {
    seen.show(&mut scope);
    reconcile.happened_when.test(&scope).map_err(|error| expression(Some(&reconcile.call), Some(seen), &error))
}

/// Is the outcome there? The verdict to write where it is.
///
/// # Errors
/// The expression failed.
pub fn done(done: &DoneWhen, seen: Option<&Seen>, mut scope: Scope) -> Result<Option<Fact>, Cause> {
    if let Some(seen) = seen {
        seen.show(&mut scope);
    }
    let there = done.is.test(&scope).map_err(|error| expression(done.call.as_ref(), seen, &error))?;
    Ok(there.then(|| {
        Fact::Verdict(VerdictFact {
            slot: DONE_WHEN.to_owned(),
            clause: None,
            verdict: Verdict::Pass,
            status: seen.map(|seen| seen.status),
            evidence_sha256: seen.map(|seen| seen.sha256.clone()),
            kept: Value::Null,
            rule: Some(done.is.source().to_owned()),
        })
    }))
}

type Decided = Option<(Verdict, Option<String>)>;

/// Refusals in order, then the pass; `None` where nothing decided. Without a `pass_when` what is not refused passes.
fn rules(refuse_when: &[RefuseRule], pass_when: Option<&Expr>, scope: &Scope) -> Result<Decided, EvalError> {
    for rule in refuse_when {
        if rule.when.test(scope)? {
            return Ok(Some((Verdict::Refuse(rule.reason.clone()), Some(rule.when.source().to_owned()))));
        }
    }
    match pass_when {
        None => Ok(Some((Verdict::Pass, None))),
        Some(expr) if expr.test(scope)? => Ok(Some((Verdict::Pass, Some(expr.source().to_owned())))),
        Some(_) => Ok(None),
    }
}

fn undecided(otherwise: &Otherwise) -> Option<Verdict> {
    match otherwise {
        Otherwise::Refuse(reason) => Some(Verdict::Refuse(reason.clone())),
        Otherwise::Review(review) => Some(Verdict::Review(review.clone())),
        Otherwise::Defect => None,
    }
}

/// What of an answer is kept: the named parts (of a 2xx), or all of it with its sensitive parts masked.
fn keep(keep: Option<&BTreeMap<String, Expr>>, call: Option<&Call>, seen: Option<&Seen>, scope: &Scope) -> Result<Value, Cause> {
    let Some(seen) = seen else { return Ok(Value::Null) };
    let kept = match keep {
        // The parts are those of a success; an accepted 404 has a body of its own. (A callback has no status: 0.)
        Some(_) if seen.status >= 300 => Value::Null,
        Some(parts) => {
            let mut kept = Map::new();
            for (name, expr) in parts {
                let value = expr.eval(scope).map_err(|error| expression(call, Some(seen), &error))?;
                kept.insert(name.clone(), value);
            }
            Value::Object(kept)
        }
        None => match call.and_then(|call| call.answer.as_ref()) {
            Some(schema) => schema.mask(&seen.body),
            None => Value::clone(&seen.body),
        },
    };
    let size = size(&kept);
    if size > MAX_KEPT {
        let detail = format!("{size} bytes of the answer would be kept; name the parts that are needed with `keep`");
        return Err(broken_at(call, Some(seen), "kept_too_large", &detail));
    }
    Ok(kept)
}

/// The bytes of a value as JSON, counted without writing them anywhere.
fn size(value: &Value) -> usize {
    struct Count(usize);
    impl Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // Counting does not fail.
    serde_json::to_writer(&mut count, value).map_or(usize::MAX, |()| count.0)
}

fn expression(call: Option<&Call>, seen: Option<&Seen>, error: &EvalError) -> Cause {
    broken_at(call, seen, "expression", &error.to_string())
}

fn broken_at(call: Option<&Call>, seen: Option<&Seen>, code: &str, detail: &str) -> Cause {
    Cause {
        class: FailureClass::Broken,
        code: code.to_owned(),
        connector: call.map(|call| call.connector.clone()),
        status: seen.map(|seen| seen.status).filter(|status| *status != 0),
        detail: detail.to_owned(),
    }
}

fn broken(code: &str, call: &Call, status: Option<u16>, detail: &str) -> Cause {
    Cause {
        class: FailureClass::Broken,
        code: code.to_owned(),
        connector: Some(call.connector.clone()),
        status,
        detail: detail.to_owned(),
    }
}
