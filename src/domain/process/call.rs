//! Calls and what stands around them: retries, the read that reconciles, the undo, the outcome.

#![expect(clippy::option_option, reason = "a key is absent, wrong or right, and each reader says which")]

use std::collections::BTreeMap;
use std::time::Duration;

use super::finding::Span;
use super::model::{Accept, Call, DoneWhen, Method, Otherwise, Reconcile, Retry, Undo};
use super::read::{Reader, UsedBy};
use super::rules;
use super::scope::Scope;
use super::spelling::{did_you_mean, quoted};
use super::yaml::{Node, Value};

/// The keys of a call.
pub(super) const CALL_KEYS: &[&str] =
    &["connector", "get", "post", "put", "patch", "delete", "headers", "body", "accept", "answer", "timeout"];
/// The keys of `retry`.
pub(super) const RETRY_KEYS: &[&str] = &["first", "factor", "max", "attempts", "within"];
/// The keys of `reconcile`.
pub(super) const RECONCILE_KEYS: &[&str] = &["call", "happened_when", "settle"];
/// The keys of `undo`.
pub(super) const UNDO_KEYS: &[&str] = &["call", "retry", "idempotent", "reconcile"];
/// The keys of `done_when`.
pub(super) const DONE_KEYS: &[&str] = &["call", "is", "within", "otherwise"];

/// How long after a call's deadline "it did not happen" is believed, where the file does not say.
const SETTLE: Duration = Duration::from_secs(30);
/// How long the outcome may take to show, where the file does not say.
const DONE_WITHIN: Duration = Duration::from_mins(2);
/// The longest deadline of one call.
const MAX_TIMEOUT: Duration = Duration::from_mins(10);
/// The most attempts.
const MAX_ATTEMPTS: i64 = 1_000;

const METHODS: [(&str, Method); 5] =
    [("get", Method::Get), ("post", Method::Post), ("put", Method::Put), ("patch", Method::Patch), ("delete", Method::Delete)];

/// May a call change something?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// A check, a reconcile, the outcome: reads only.
    Reads,
    /// An execute step or an undo.
    Changes,
}

pub(super) fn read_call(reader: &mut Reader<'_>, node: &Node, effect: Effect, scope: &Scope) -> Option<Call> {
    let fields = reader.fields(node, "a call", CALL_KEYS)?;
    let connector = reader.need(&fields, "connector").and_then(|node| {
        let name = reader.name(node, "connector")?;
        known_connector(reader, &name, node.at);
        Some(name)
    });
    let used: Vec<(&str, Method)> = METHODS.into_iter().filter(|(key, _)| fields.get(key).is_some()).collect();
    let target = match used.as_slice() {
        [(key, method)] => {
            check_method(reader, *method, effect, fields.key_at(key));
            fields.get(key).and_then(|node| read_path(reader, node, key, scope)).map(|path| (*method, path))
        }
        [] => {
            reader.report.error_hint(fields.at, "a call needs a method", "write `get: /path`, `post: /path`, …");
            None
        }
        [_, (second, _), ..] => {
            reader.report.error(fields.key_at(second), "a call has one method");
            None
        }
    };
    let headers = fields.get("headers").map_or(Some(BTreeMap::new()), |node| read_headers(reader, node, scope));
    let body = fields.get("body").map(|node| reader.json_template(node, "body", scope));
    if body.is_some() && matches!(target, Some((Method::Get, _))) {
        reader.report.error(fields.key_at("body"), "a `get` has no body");
    }
    let accept = fields.get("accept").map_or(Some(Accept::Success), |node| read_accept(reader, node));
    let answer = fields.get("answer").map(|node| reader.schema(node, "answer"));
    let timeout = fields.get("timeout").map(|node| {
        let length = reader.length(node, "timeout")?;
        if length > MAX_TIMEOUT {
            reader.report.error(node.at, "timeout is at most 10m");
        }
        Some(length)
    });
    let (method, path) = target?;
    // An option that is there and wrong has been reported; the call is then of no use.
    Some(Call {
        connector: connector?,
        method,
        path,
        headers: headers?,
        body: flip(body)?,
        accept: accept?,
        answer: flip(answer)?,
        timeout: flip(timeout)?,
    })
}

/// `None`: absent; `Some(None)`: present and wrong.
pub(super) fn flip<T>(value: Option<Option<T>>) -> Option<Option<T>> {
    match value {
        None => Some(None),
        Some(None) => None,
        Some(some) => Some(some),
    }
}

fn known_connector(reader: &mut Reader<'_>, name: &str, at: Span) {
    let Some(known) = reader.connectors else { return };
    if known.contains(name) {
        return;
    }
    let names = known.iter().map(String::as_str);
    let hint = match did_you_mean(name, names.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "no connectors are configured".to_owned(),
        None => format!("the connectors are {}", quoted(names)),
    };
    reader.report.error_hint(at, format!("there is no connector `{name}`"), hint);
}

fn check_method(reader: &mut Reader<'_>, method: Method, effect: Effect, at: Span) {
    match (effect, method) {
        (Effect::Reads, Method::Put | Method::Patch | Method::Delete) => {
            let message = format!("a check has no effects, and `{}` is one", method.as_str());
            reader.report.error_hint(at, message, "changes belong into an `execute` step, where they are fenced");
        }
        (Effect::Changes, Method::Get) => {
            reader.report.warning(at, "`GET` changes nothing at most targets", "is this a `verify` step?");
        }
        _ => {}
    }
}

fn read_path(reader: &mut Reader<'_>, node: &Node, key: &str, scope: &Scope) -> Option<crate::domain::expr::Template> {
    let path = reader.template(node, key, scope)?;
    match path.check_path() {
        Ok(()) => {
            reader.in_paths.extend(path.in_segments().map(|expr| (expr.clone(), node.at)));
            Some(path)
        }
        Err(error) => {
            reader.bad_expr(node, path.source(), key, &error);
            None
        }
    }
}

/// Headers that the connection or the connector sets.
const RESERVED_HEADERS: &[&str] = &[
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "host",
    "idempotency-key",
    "traceparent",
    "transfer-encoding",
];

fn read_headers(reader: &mut Reader<'_>, node: &Node, scope: &Scope) -> Option<BTreeMap<String, crate::domain::expr::Template>> {
    let mut headers = BTreeMap::new();
    for (key, value) in reader.entries(node, "headers")? {
        let lower = key.name.to_ascii_lowercase();
        if key.name.is_empty() || !key.name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.!~".contains(&b)) {
            reader.report.error(key.at, format!("`{}` is not the name of a header", key.name));
        } else if RESERVED_HEADERS.contains(&lower.as_str()) {
            reader.report.error_hint(
                key.at,
                format!("`{}` is set by the worker", key.name),
                "credentials belong into the connector's configuration",
            );
        }
        let template = reader.template(value, "a header", scope);
        if headers.insert(lower, template?).is_some() {
            reader.report.error(key.at, format!("the header `{}` stands here twice", key.name));
        }
    }
    Some(headers)
}

fn read_accept(reader: &mut Reader<'_>, node: &Node) -> Option<Accept> {
    let items = reader.list(node, "accept")?;
    let mut statuses = Vec::new();
    for item in items {
        match item.value {
            Value::Int(status @ 200..=599) => {
                let status = u16::try_from(status).unwrap_or(200);
                if statuses.contains(&status) {
                    reader.report.error(item.at, format!("the status {status} stands here twice"));
                } else if (300..400).contains(&status) {
                    reader.report.error_hint(
                        item.at,
                        format!("{status} is a redirect"),
                        "redirects are never followed; call the address itself",
                    );
                }
                statuses.push(status);
            }
            _ => reader.report.error_hint(item.at, "a status is a whole number from 200 to 599", "write `accept: [200, 404]`"),
        }
    }
    if statuses.is_empty() {
        reader.report.error(node.at, "accept names no status");
        return None;
    }
    Some(Accept::Listed(statuses))
}

pub(super) fn read_retry(reader: &mut Reader<'_>, node: &Node) -> Option<Retry> {
    let fields = reader.fields(node, "retry", RETRY_KEYS)?;
    let default = Retry::default();
    let mut retry = default.clone();
    let mut right = true;
    let mut length = |reader: &mut Reader<'_>, key: &'static str, default: Duration| match fields.get(key) {
        Some(node) => reader.length(node, key).unwrap_or_else(|| {
            right = false;
            default
        }),
        None => default,
    };
    retry.first = length(reader, "first", default.first);
    retry.max = length(reader, "max", default.max.max(retry.first));
    retry.within = length(reader, "within", default.within.max(retry.max));
    if let Some(node) = fields.get("attempts") {
        retry.attempts = reader.whole(node, "attempts", 1, MAX_ATTEMPTS).unwrap_or(default.attempts);
    }
    if let Some(node) = fields.get("factor") {
        retry.factor_percent = read_factor(reader, node).unwrap_or(default.factor_percent);
    }
    if right && retry.max < retry.first {
        reader.report.error(fields.key_at("max"), "`max` is shorter than `first`");
    }
    if right && retry.within < retry.first {
        reader.report.error(fields.key_at("within"), "`within` is shorter than `first`: there would be no second attempt");
    }
    Some(retry)
}

/// A factor of 1 to 10 as hundredths.
fn read_factor(reader: &mut Reader<'_>, node: &Node) -> Option<u32> {
    let percent = match node.value {
        Value::Int(number @ 1..=10) => u32::try_from(number * 100).ok(),
        Value::Float(number) if (1.0..=10.0).contains(&number) => {
            // In bounds, so the cast is exact after rounding.
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 100 to 1000")]
            let percent = (number * 100.0).round() as u32;
            Some(percent)
        }
        _ => None,
    };
    if percent.is_none() {
        reader.report.error(node.at, "factor must be a number from 1 to 10");
    }
    percent
}

pub(super) fn read_reconcile(reader: &mut Reader<'_>, node: &Node, scope: &Scope) -> Option<Reconcile> {
    let fields = reader.fields(node, "reconcile", RECONCILE_KEYS)?;
    let call = reader.need(&fields, "call").and_then(|node| read_call(reader, node, Effect::Reads, scope));
    let after = rules::scope_after(scope, call.as_ref());
    let happened_when = reader.need(&fields, "happened_when").and_then(|node| {
        let expr = reader.expr(node, "happened_when", &after)?;
        rules::check_statuses(reader, node.at, &expr, call.as_ref());
        Some(expr)
    });
    let settle = fields.get("settle").map_or(Some(SETTLE), |node| reader.length(node, "settle"));
    Some(Reconcile { call: call?, happened_when: happened_when?, settle: settle? })
}

pub(super) fn read_undo(reader: &mut Reader<'_>, node: &Node, scope: &Scope) -> Option<Undo> {
    let fields = reader.fields(node, "undo", UNDO_KEYS)?;
    let call = reader.need(&fields, "call").and_then(|node| read_call(reader, node, Effect::Changes, scope));
    let retry = fields.get("retry").map_or_else(|| Some(Retry::default()), |node| read_retry(reader, node));
    let idempotent = fields.get("idempotent").map_or(Some(false), |node| reader.flag(node, "idempotent"));
    let reconcile = fields.get("reconcile").map(|node| read_reconcile(reader, node, scope));
    if idempotent == Some(false) && reconcile.is_none() {
        reader.report.warning(
            fields.at,
            "nothing tells whether this undo happened: an unknown result goes to a person",
            "add `reconcile`, or `idempotent: true` where the target recognises our key",
        );
    }
    Some(Undo { call: call?, retry: retry?, idempotent: idempotent?, reconcile: flip(reconcile)? })
}

pub(super) fn read_done(reader: &mut Reader<'_>, node: &Node, block: usize) -> Option<DoneWhen> {
    let fields = reader.fields(node, "done_when", DONE_KEYS)?;
    let scope = Scope::step(block);
    let call = fields.get("call").map(|node| read_call(reader, node, Effect::Reads, &scope));
    let after = match &call {
        Some(call) => rules::scope_after(&scope, call.as_ref()),
        None => scope.without_call(),
    };
    let is = reader.need(&fields, "is").and_then(|node| {
        let expr = reader.expr(node, "is", &after)?;
        rules::check_statuses(reader, node.at, &expr, call.as_ref().and_then(Option::as_ref));
        Some(expr)
    });
    let default = if call.is_some() { DONE_WITHIN } else { Duration::ZERO };
    let within = fields.get("within").map_or(Some(default), |node| reader.length(node, "within"));
    if let (None, Some(_)) = (&call, fields.get("within")) {
        let hint = "what the steps kept does not change by waiting; leave `within` out";
        reader.report.warning(fields.key_at("within"), "`within` does nothing without a call", hint);
    }
    let otherwise = fields.get("otherwise").map_or(Some(Otherwise::Defect), |node| {
        let otherwise = rules::read_otherwise(reader, node, UsedBy::Otherwise)?;
        if matches!(otherwise, Otherwise::Refuse(_)) {
            let message = "the effects have happened; no rule can refuse the request now";
            reader.report.error_hint(node.at, message, "ask a person, who may have them undone: {review: <review>}");
        }
        Some(otherwise)
    });
    Some(DoneWhen { call: flip(call)?, is: is?, within: within?, otherwise: otherwise? })
}
