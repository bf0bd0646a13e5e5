//! Which names an expression may use, and whether what it reads below them can exist.
//!
//! An unknown name fails at run time, as a defect, on a real customer's request; so it is found here. The checks run after
//! the whole file is read, because an expression may only look at what *earlier* steps kept.

use std::collections::BTreeSet;

use super::finding::Span;
use super::model::Accept;
use super::read::Reader;
use super::schema::Schema;
use super::schema_path::{self, Found};
use super::spelling::{did_you_mean, quoted};
use crate::domain::expr::Expr;

/// The fields of `meta`.
const META: &[&str] = &["id", "channel", "received_at", "attempt", "process", "version"];

/// Where an expression stands.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    /// At acceptance only `request` exists; in a step everything does.
    pub(super) at_intake: bool,
    /// `answers` of steps in blocks before this one.
    pub(super) block: usize,
    /// A step of the same block whose answer exists too: an undo may read what its step kept.
    pub(super) own: Option<String>,
    /// What `answer` is.
    pub(super) answer: Answer,
    /// The statuses that `status` may have; `None`: there is no `status`.
    pub(super) status: Option<Accept>,
}

/// What `answer` is at a place.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    /// Not known, and why.
    Unknown(&'static str),
    /// The body of an answer or a callback, with its schema where one is declared.
    Body(Option<Schema>),
}

impl Scope {
    /// Where requests are accepted: the customer, the key of the order, the limit.
    pub(super) fn intake() -> Scope {
        Scope {
            at_intake: true,
            block: 0,
            own: None,
            answer: Answer::Unknown("no call has been made when a request is accepted"),
            status: None,
        }
    }

    /// In a step of this block, before its call.
    pub(super) fn step(block: usize) -> Scope {
        Scope {
            at_intake: false,
            block,
            own: None,
            answer: Answer::Unknown("this step's call has not been made yet"),
            status: None,
        }
    }

    /// The same place after a call.
    pub(super) fn after(&self, accept: Accept, answer: Option<Schema>) -> Scope {
        Scope { answer: Answer::Body(answer), status: Some(accept), ..self.clone() }
    }

    /// The same place in a step without a call.
    pub(super) fn without_call(&self) -> Scope {
        Scope { answer: Answer::Unknown("there is no call here"), ..self.clone() }
    }
}

/// An expression to check.
pub(super) struct Check {
    pub(super) expr: Expr,
    pub(super) at: Span,
    pub(super) scope: Scope,
}

/// What an expression may know of a step.
pub(super) struct StepInfo {
    pub(super) name: String,
    pub(super) at: Span,
    pub(super) block: usize,
    pub(super) kept: Kept,
    /// It has a `when`, so there may be no answer of it.
    pub(super) may_be_skipped: bool,
}

/// What a step keeps.
pub(super) enum Kept {
    /// Nothing that an expression could read.
    Nothing,
    /// The whole answer.
    Everything(Option<Schema>),
    /// These keys.
    Keys(BTreeSet<String>),
}

/// Everything that names are looked up in.
pub(super) struct World<'w> {
    pub(super) request: Option<&'w Schema>,
    pub(super) steps: &'w [StepInfo],
    pub(super) callbacks: &'w BTreeSet<String>,
}

/// Checks the names of all expressions that were read.
pub(super) fn check_all(reader: &mut Reader<'_>, world: &World<'_>) {
    let checks = std::mem::take(&mut reader.checks);
    let guards: String =
        checks.iter().map(|check| check.expr.source()).filter(|source| source.contains("has(")).collect::<Vec<_>>().join("\n");
    for check in &checks {
        check_one(reader, world, check, &guards);
    }
    reader.checks = checks;
}

fn check_one(reader: &mut Reader<'_>, world: &World<'_>, check: &Check, guards: &str) {
    let scope = &check.scope;
    for name in check.expr.names() {
        let at = reader.path_inside(check.at, name);
        let known = known_names(scope);
        match name.as_str() {
            "answer" | "status" => check_answer_name(reader, scope, name, at),
            name if known.contains(&name) => {}
            "now" | "answers" | "meta" | "callbacks" => {
                let message = format!("`{name}` is not known when a request is accepted");
                reader.report.error_hint(at, message, "only `request` is");
            }
            name => {
                let hint = match did_you_mean(name, known.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("known here: {}; a text needs quotes of its own: '{name}'", quoted(known.iter().copied())),
                };
                reader.report.error_hint(at, format!("`{name}` is not known here"), hint);
            }
        }
    }
    for path in check.expr.paths() {
        let segments: Vec<&str> = path.iter().map(String::as_str).collect();
        let at = reader.path_inside(check.at, &path.join("."));
        match segments.as_slice() {
            ["request", rest @ ..] => check_request(reader, world, rest, at, guards),
            ["answer", rest @ ..] => {
                if let Answer::Body(Some(schema)) = &scope.answer {
                    check_schema(reader, schema, "answer", rest, at);
                }
            }
            ["answers", step, rest @ ..] if !scope.at_intake => check_step(reader, world, scope, (step, rest), at, guards),
            ["meta", field, ..] if !scope.at_intake && !META.contains(field) => {
                let hint = did_you_mean(field, META.iter().copied()).map_or_else(
                    || format!("it has {}", quoted(META.iter().copied())),
                    |near| format!("did you mean `meta.{near}`?"),
                );
                reader.report.error_hint(at, format!("`meta` has no `{field}`"), hint);
            }
            ["callbacks", name, rest @ ..] if !scope.at_intake => check_callback(reader, world, name, rest, at),
            ["status" | "now", field, ..] => reader.report.error(at, format!("there is no `{field}` in `{}`", segments[0])),
            _ => {}
        }
    }
}

fn known_names(scope: &Scope) -> Vec<&'static str> {
    let mut known = vec!["request"];
    if !scope.at_intake {
        known.extend(["answers", "meta", "now", "callbacks"]);
    }
    if matches!(scope.answer, Answer::Body(_)) {
        known.push("answer");
    }
    if scope.status.is_some() {
        known.push("status");
    }
    known
}

fn check_answer_name(reader: &mut Reader<'_>, scope: &Scope, name: &str, at: Span) {
    match (&scope.answer, &scope.status, name) {
        (Answer::Body(_), _, "answer") | (_, Some(_), "status") => {}
        (Answer::Unknown(why), ..) => {
            let hint =
                if scope.at_intake { "only `request` is known here" } else { "`answers.<step>` is what an earlier step kept" };
            reader.report.error_hint(at, format!("`{name}` is not known here: {why}"), hint);
        }
        _ => reader.report.error(at, format!("`{name}` is not known here: a callback has no status")),
    }
}

fn check_request(reader: &mut Reader<'_>, world: &World<'_>, path: &[&str], at: Span, guards: &str) {
    let Some(schema) = world.request else { return };
    if check_schema(reader, schema, "request", path, at) {
        return;
    }
    if let Some(optional) = schema_path::first_optional(schema.source(), path) {
        let full = format!("request.{}", path[..=optional].join("."));
        if !guards.contains(&format!("has({full}")) {
            reader.report.warning(
                at,
                format!("`{full}` may be missing from a request: reading it then fails, as a defect"),
                format!("list it under `required`, or ask `has({full})` first"),
            );
        }
    }
}

/// True where it had something to say.
fn check_schema(reader: &mut Reader<'_>, schema: &Schema, root: &str, path: &[&str], at: Span) -> bool {
    match schema_path::find(schema.source(), path) {
        Found::Possible => false,
        Found::Missing { depth, known } => {
            let parent = std::iter::once(root).chain(path[..depth].iter().copied()).collect::<Vec<_>>().join(".");
            let hint = match did_you_mean(path[depth], known.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{parent}.{near}`?"),
                None => format!("it has {}", quoted(known.iter().map(String::as_str))),
            };
            reader.report.error_hint(at, format!("the schema of `{parent}` has no `{}`", path[depth]), hint);
            true
        }
        Found::NotAnObject { depth, kind } => {
            let parent = std::iter::once(root).chain(path[..depth].iter().copied()).collect::<Vec<_>>().join(".");
            reader.report.error(at, format!("`{parent}` is {kind} by its schema and has no `{}`", path[depth]));
            true
        }
    }
}

/// What was kept under a mark is masked: comparing it or sending it on would be wrong without failing.
fn check_masked(reader: &mut Reader<'_>, schema: &Schema, step: &str, path: &[&str], at: Span) {
    let covers = |pattern: &str| {
        let mut segments = path.iter();
        pattern.split('/').skip(1).all(|wanted| segments.next().is_some_and(|segment| wanted == "*" || wanted == *segment))
    };
    if schema.sensitive().iter().any(|one| covers(&one.pointer)) {
        let message = format!("`answers.{step}.{}` is sensitive, and what is kept of it is masked", path.join("."));
        reader.report.error_hint(at, message, "keep it by name where its value is needed: `keep: {name: answer.…}`");
    }
}

fn check_step(reader: &mut Reader<'_>, world: &World<'_>, scope: &Scope, (name, rest): (&str, &[&str]), at: Span, guards: &str) {
    let Some(step) = world.steps.iter().find(|step| step.name == name) else {
        let near = did_you_mean(name, world.steps.iter().map(|step| step.name.as_str()));
        let hint = near.map_or_else(
            || format!("the steps are {}", quoted(world.steps.iter().map(|step| step.name.as_str()))),
            |near| format!("did you mean `answers.{near}`?"),
        );
        reader.report.error_hint(at, format!("there is no step `{name}`"), hint);
        return;
    };
    let own = scope.own.as_deref() == Some(name);
    if step.block >= scope.block && !own {
        let message = if step.block == scope.block {
            format!("`{name}` is done at the same time; its answer is not known yet")
        } else {
            format!("step `{name}` comes later")
        };
        reader.report.error_hint(at, message, "an expression reads what earlier steps kept");
        return;
    }
    match (&step.kept, rest) {
        (Kept::Nothing, _) => {
            reader.report.error_hint(
                at,
                format!("step `{name}` keeps nothing"),
                "name what it keeps with `keep: {key: expression}`",
            );
        }
        (Kept::Keys(keys), [key, ..]) if !keys.contains(*key) => {
            let hint = did_you_mean(key, keys.iter().map(String::as_str)).map_or_else(
                || format!("it keeps {}", quoted(keys.iter().map(String::as_str))),
                |near| format!("did you mean `answers.{name}.{near}`?"),
            );
            reader.report.error_hint(at, format!("step `{name}` keeps no `{key}`"), hint);
        }
        (Kept::Everything(Some(schema)), rest) => {
            let impossible = check_schema(reader, schema, &format!("answers.{name}"), rest, at);
            if !impossible {
                check_masked(reader, schema, name, rest, at);
            }
        }
        _ => {}
    }
    if step.may_be_skipped && !own && !guards.contains(&format!("has(answers.{name}")) {
        let message = format!("step `{name}` may be skipped: reading its answer then fails, as a defect");
        reader.report.warning(at, message, format!("ask `has(answers.{name})` first"));
    }
}

fn check_callback(reader: &mut Reader<'_>, world: &World<'_>, name: &str, rest: &[&str], at: Span) {
    if !world.callbacks.contains(name) {
        let hint = did_you_mean(name, world.callbacks.iter().map(String::as_str)).map_or_else(
            || "a step `- wait: …` with `callback: <name>` makes one".to_owned(),
            |near| format!("did you mean `callbacks.{near}`?"),
        );
        reader.report.error_hint(at, format!("there is no callback `{name}`"), hint);
    } else if rest.first().is_some_and(|field| *field != "url") {
        reader.report.error_hint(at, format!("a callback has no `{}`", rest[0]), format!("write `callbacks.{name}.url`"));
    }
}
