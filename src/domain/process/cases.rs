//! A process's test file: cases with a payload, what each call is answered, and what must come of it.
//!
//! A case that names a step which does not exist would pass for the wrong reason, and go on passing after the step was
//! renamed. So the file is read as strictly as the process itself, and against it: slots, callbacks, reviews, options,
//! reasons and the payload's schema. Running the cases is the engine's business.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value as Json;

use super::cases_slots::{Slots, slots};
use super::finding::{Finding, Report};
use super::model::{Choice, Process};
use super::read::{Fields, Reader};
use super::spelling::{did_you_mean, quoted};
use super::yaml::{self, Node, Value};

const FILE_KEYS: &[&str] = &["process", "cases"];
const CASE_KEYS: &[&str] = &["name", "request", "answers", "callbacks", "decisions", "advance", "expect", "verdicts", "calls"];
const ANSWER_KEYS: &[&str] = &["status", "body", "fail"];
const CALLBACK_KEYS: &[&str] = &["name", "after", "body"];
const DECISION_KEYS: &[&str] = &["review", "decide", "by", "after", "reason", "note", "fields"];
const EXPECT_KEYS: &[&str] = &["outcome", "reason", "state", "review", "dependency", "defect"];

/// What a reviewer may decide, as files write it.
const CHOICES: [Choice; 7] =
    [Choice::Approve, Choice::Refuse, Choice::Retry, Choice::Amend, Choice::AskCustomer, Choice::Applied, Choice::NotApplied];

/// One case: a request, what it meets, and what must come of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// What the case shows, in words; unique in the file.
    pub name: String,
    /// The line that it starts on, from 1.
    pub line: usize,
    /// The payload; it fits the process's schema.
    pub request: Json,
    /// By slot (`<step>`, `undo.<step>`, `reconcile.<step>`, `reconcile.undo.<step>`, `done_when`): what each attempt is
    /// answered, in order; the last repeats. Never empty. A call of a slot that is not here is a mistake of the case.
    pub answers: BTreeMap<String, Vec<Scripted>>,
    /// Callbacks that come in, in file order.
    pub callbacks: Vec<ScriptedCallback>,
    /// Decisions by people, in file order.
    pub decisions: Vec<ScriptedDecision>,
    /// Time that passes after everything else; zero where the case does not say.
    pub advance: Duration,
    /// Where the request must stand in the end.
    pub expect: Expected,
    /// By verify or wait step, or `done_when`: the last verdict that it must have.
    pub verdicts: BTreeMap<String, ExpectedVerdict>,
    /// By slot: exactly how many calls there must have been.
    pub calls: BTreeMap<String, u32>,
}

/// What one attempt meets.
#[derive(Debug, Clone, PartialEq)]
pub enum Scripted {
    /// An answer.
    Answer {
        /// Its status.
        status: u16,
        /// Its body; null: empty.
        body: Json,
    },
    /// No usable answer.
    Fail(Fail),
}

/// How an attempt fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fail {
    /// No answer before the deadline; it may have been applied.
    Timeout,
    /// The connection was refused; certainly not applied.
    Refused,
    /// The connection broke after the call was sent; it may have been applied.
    Reset,
    /// A 200 whose body is not JSON.
    Garbage,
}

/// A callback that comes in.
#[derive(Debug, Clone, PartialEq)]
pub struct ScriptedCallback {
    /// The callback's name.
    pub name: String,
    /// From the start of the case.
    pub after: Duration,
    /// Its body.
    pub body: Json,
}

/// A decision by a person.
#[derive(Debug, Clone, PartialEq)]
pub struct ScriptedDecision {
    /// The review that it is about.
    pub review: String,
    /// What is decided; one of the review's options.
    pub decide: Choice,
    /// Who decides.
    pub by: String,
    /// From the start of the case.
    pub after: Duration,
    /// Why it is refused.
    pub reason: Option<String>,
    /// In the person's words.
    pub note: Option<String>,
    /// What is amended.
    pub fields: BTreeMap<String, Json>,
}

/// Where a request stands in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// Done.
    Done,
    /// Refused for this reason.
    Refused(String),
    /// Expired.
    Expired,
    /// In review with this question.
    InReview(String),
    /// Parked under this dependency (a connector).
    ParkedDependency(String),
    /// Parked as a defect.
    ParkedDefect,
    /// Waiting for a callback, the customer or a timer.
    Waiting,
}

/// What a step concluded, without its reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpectedVerdict {
    /// It passed.
    Pass,
    /// It refused.
    Refuse,
    /// It asked a person.
    Review,
}

/// Reads the test file of a process; `file_name` is only shown.
///
/// # Errors
/// Every finding, in the order of the file.
pub fn parse_cases(file_name: &str, source: &str, process: &Process) -> Result<Vec<Case>, Vec<Finding>> {
    let mut reader = Reader {
        report: Report::new(file_name, source),
        connectors: None,
        languages: Vec::new(),
        uses: Vec::new(),
        checks: Vec::new(),
    };
    let cases = yaml::read(&mut reader.report, source).and_then(|root| read_file(&mut reader, &root, process));
    let failed = reader.report.has_errors();
    let findings = reader.report.finish();
    cases.filter(|_| !failed).ok_or(findings)
}

fn read_file(reader: &mut Reader<'_>, root: &Node, process: &Process) -> Option<Vec<Case>> {
    let fields = reader.fields(root, "a test file", FILE_KEYS)?;
    let name = reader.need(&fields, "process")?;
    if reader.name(name, "process")? != process.name {
        let hint = format!("this file stands beside `{}`", process.name);
        reader.report.error_hint(name.at, "these cases are for another process", hint);
    }
    let list = reader.need(&fields, "cases")?;
    let slots = slots(process);
    let mut names = BTreeSet::new();
    let mut cases = Vec::new();
    for node in reader.list(list, "cases")? {
        let Some(case) = read_case(reader, node, process, &slots) else { continue };
        if !names.insert(case.name.clone()) {
            reader.report.error(node.at, format!("there is a case `{}` already", case.name));
        }
        cases.push(case);
    }
    Some(cases)
}

fn read_case(reader: &mut Reader<'_>, node: &Node, process: &Process, slots: &Slots) -> Option<Case> {
    let fields = reader.fields(node, "a case", CASE_KEYS)?;
    let name = reader.need(&fields, "name").and_then(|node| reader.text(node, "a case's name"));
    let request = reader.need(&fields, "request").map(|node| read_request(reader, node, process));
    let answers = by_name(reader, &fields, "answers", &slots.calls, read_answers);
    let calls =
        by_name(reader, &fields, "calls", &slots.calls, |reader, node| reader.whole(node, "a number of calls", 0, 1_000_000));
    let verdicts = by_name(reader, &fields, "verdicts", &slots.verdicts, |reader, node| {
        let known = [("pass", ExpectedVerdict::Pass), ("refuse", ExpectedVerdict::Refuse), ("review", ExpectedVerdict::Review)];
        word(reader, node, "a verdict", &known)
    });
    let callbacks = each(reader, &fields, "callbacks", |reader, node| read_callback(reader, node, process));
    let decisions = each(reader, &fields, "decisions", |reader, node| read_decision(reader, node, process));
    let advance = span(reader, &fields, "advance");
    let expect = reader.need(&fields, "expect").and_then(|node| read_expect(reader, node, process, slots));
    Some(Case {
        name: name?,
        line: reader.report.line(fields.at),
        request: request?,
        answers: answers?,
        callbacks: callbacks?,
        decisions: decisions?,
        advance: advance?,
        expect: expect?,
        verdicts: verdicts?,
        calls: calls?,
    })
}

fn read_request(reader: &mut Reader<'_>, node: &Node, process: &Process) -> Json {
    let request = node.to_json();
    if let Err(faults) = process.request.validate(&request) {
        for fault in faults {
            let at = node.nearest(&fault.pointer).at;
            reader.report.error(at, format!("the request does not fit the process's schema: {}", fault.message));
        }
    }
    request
}

/// A map by slot or step: each name must be known.
fn by_name<T>(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    key: &str,
    known: &BTreeSet<String>,
    mut read: impl FnMut(&mut Reader<'_>, &Node) -> Option<T>,
) -> Option<BTreeMap<String, T>> {
    let Some(node) = fields.get(key) else { return Some(BTreeMap::new()) };
    let mut found = BTreeMap::new();
    for (name, value) in reader.entries(node, key)? {
        if !known.contains(&name.name) {
            let names = known.iter().map(String::as_str);
            let hint = match did_you_mean(&name.name, names.clone()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("there is {}", quoted(names)),
            };
            reader.report.error_hint(name.at, format!("{key} cannot name `{}`", name.name), hint);
        }
        if let Some(value) = read(reader, value) {
            found.insert(name.name.clone(), value);
        }
    }
    Some(found)
}

fn each<T>(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    key: &str,
    mut read: impl FnMut(&mut Reader<'_>, &Node) -> Option<T>,
) -> Option<Vec<T>> {
    let Some(node) = fields.get(key) else { return Some(Vec::new()) };
    Some(reader.list(node, key)?.iter().filter_map(|node| read(reader, node)).collect())
}

/// A length of time that may be left out, or be nothing.
fn span(reader: &mut Reader<'_>, fields: &Fields<'_>, key: &str) -> Option<Duration> {
    match fields.get(key) {
        None => Some(Duration::ZERO),
        Some(node) if matches!(&node.value, Value::Text(text) if text == "0s") => Some(Duration::ZERO),
        Some(node) => reader.length(node, key),
    }
}

/// One of a few words.
fn word<T: Copy>(reader: &mut Reader<'_>, node: &Node, what: &str, known: &[(&str, T)]) -> Option<T> {
    let text = reader.text(node, what)?;
    let found = known.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
    if found.is_none() {
        let hint = format!("write {}", quoted(known.iter().map(|(name, _)| *name)));
        reader.report.error_hint(node.at, format!("{what} cannot be `{text}`"), hint);
    }
    found
}

fn read_answers(reader: &mut Reader<'_>, node: &Node) -> Option<Vec<Scripted>> {
    let Value::List(items) = &node.value else { return read_answer(reader, node).map(|answer| vec![answer]) };
    if items.is_empty() {
        reader.report.error_hint(node.at, "no answer at all", "leave the slot out where it must not be called");
        return None;
    }
    Some(items.iter().filter_map(|item| read_answer(reader, item)).collect())
}

fn read_answer(reader: &mut Reader<'_>, node: &Node) -> Option<Scripted> {
    let fields = reader.fields(node, "an answer", ANSWER_KEYS)?;
    match (fields.get("status"), fields.get("fail")) {
        (Some(status), None) => {
            let status = reader.whole(status, "status", 200, 599)?;
            let body = fields.get("body").map_or(Json::Null, Node::to_json);
            Some(Scripted::Answer { status: u16::try_from(status).ok()?, body })
        }
        (None, Some(fail)) => {
            let known =
                [("timeout", Fail::Timeout), ("refused", Fail::Refused), ("reset", Fail::Reset), ("garbage", Fail::Garbage)];
            if fields.get("body").is_some() {
                reader.report.error(fields.key_at("body"), "a call that fails has no body");
            }
            word(reader, fail, "a failure", &known).map(Scripted::Fail)
        }
        _ => {
            reader.report.error_hint(
                node.at,
                "an answer has either `status` or `fail`",
                "write {status: 200, body: {}} or {fail: timeout}",
            );
            None
        }
    }
}

fn read_callback(reader: &mut Reader<'_>, node: &Node, process: &Process) -> Option<ScriptedCallback> {
    let fields = reader.fields(node, "a callback", CALLBACK_KEYS)?;
    let name = reader.need(&fields, "name").and_then(|node| {
        let name = reader.name(node, "a callback's name")?;
        if !process.callbacks().any(|known| known == name) {
            let hint = format!("it waits for {}", quoted(process.callbacks()));
            reader.report.error_hint(node.at, format!("the process has no callback `{name}`"), hint);
        }
        Some(name)
    });
    let after = span(reader, &fields, "after");
    let body = fields.get("body").map_or(Json::Null, Node::to_json);
    Some(ScriptedCallback { name: name?, after: after?, body })
}

fn read_decision(reader: &mut Reader<'_>, node: &Node, process: &Process) -> Option<ScriptedDecision> {
    let fields = reader.fields(node, "a decision", DECISION_KEYS)?;
    let review = reader.need(&fields, "review").and_then(|node| known_review(reader, node, process));
    let decide = reader.need(&fields, "decide").and_then(|node| {
        let choice = word(reader, node, "a decision", &CHOICES.map(|choice| (choice.as_str(), choice)))?;
        let spec = review.as_ref().and_then(|name| process.reviews.get(name));
        if let Some(spec) = spec.filter(|spec| !spec.options.contains(&choice)) {
            let options = quoted(spec.options.iter().map(|option| option.as_str()));
            reader.report.error_hint(
                node.at,
                format!("`{}` is not an option of this review", choice.as_str()),
                format!("it offers {options}"),
            );
        }
        Some(choice)
    });
    let by = reader.need(&fields, "by").and_then(|node| reader.text(node, "by"));
    let after = span(reader, &fields, "after");
    let reason = fields.get("reason").and_then(|node| known_reason(reader, node, process));
    let note = fields.get("note").and_then(|node| reader.text(node, "note"));
    let amended = fields.get("fields").and_then(|node| reader.entries(node, "fields")).unwrap_or_default();
    let amended: BTreeMap<_, _> = amended.iter().map(|(key, value)| (key.name.clone(), value.to_json())).collect();
    let missing = match decide? {
        Choice::Refuse if fields.get("reason").is_none() => Some("reason"),
        Choice::Amend if amended.is_empty() => Some("fields"),
        Choice::AskCustomer if note.is_none() => Some("note"),
        _ => None,
    };
    if let Some(missing) = missing {
        reader.report.error(node.at, format!("a decision of this kind needs `{missing}`"));
    }
    Some(ScriptedDecision { review: review?, decide: decide?, by: by?, after: after?, reason, note, fields: amended })
}

fn read_expect(reader: &mut Reader<'_>, node: &Node, process: &Process, slots: &Slots) -> Option<Expected> {
    let fields = reader.fields(node, "expect", EXPECT_KEYS)?;
    let given: Vec<&str> = EXPECT_KEYS.iter().copied().filter(|key| fields.get(key).is_some()).collect();
    let text = |key: &str| match fields.get(key).map(|node| &node.value) {
        Some(Value::Text(text)) => text.as_str(),
        _ => "",
    };
    match (given.as_slice(), text("outcome"), text("state")) {
        (["outcome"], "done", _) => Some(Expected::Done),
        (["outcome"], "expired", _) => Some(Expected::Expired),
        (["outcome", "reason"], "refused", _) => {
            fields.get("reason").and_then(|node| known_reason(reader, node, process)).map(Expected::Refused)
        }
        (["state"], _, "waiting") => Some(Expected::Waiting),
        (["state", "review"], _, "in_review") => {
            fields.get("review").and_then(|node| known_review(reader, node, process)).map(Expected::InReview)
        }
        (["state", "dependency"], _, "parked") => {
            let name = text("dependency");
            if !slots.connectors.contains(name) {
                let hint = format!("it calls {}", quoted(slots.connectors.iter().map(String::as_str)));
                reader.report.error_hint(fields.key_at("dependency"), format!("the process does not call `{name}`"), hint);
            }
            Some(Expected::ParkedDependency(name.to_owned()))
        }
        (["state", "defect"], _, "parked") if matches!(fields.get("defect").map(|node| &node.value), Some(Value::Bool(true))) => {
            Some(Expected::ParkedDefect)
        }
        _ => {
            let hint = "write {outcome: done}, {outcome: refused, reason: …}, {outcome: expired}, {state: in_review, review: …}, \
                        {state: waiting}, {state: parked, dependency: …} or {state: parked, defect: true}";
            reader.report.error_hint(node.at, "this is not where a request can stand", hint);
            None
        }
    }
}

fn known_reason(reader: &mut Reader<'_>, node: &Node, process: &Process) -> Option<String> {
    let name = reader.name(node, "a reason")?;
    if !process.reasons.contains_key(&name) {
        let hint = format!("its reasons are {}", quoted(process.reasons.keys().map(String::as_str)));
        reader.report.error_hint(node.at, format!("the process has no reason `{name}`"), hint);
    }
    Some(name)
}

fn known_review(reader: &mut Reader<'_>, node: &Node, process: &Process) -> Option<String> {
    let name = reader.name(node, "a review")?;
    if !process.reviews.contains_key(&name) {
        let hint = format!("its reviews are {}", quoted(process.reviews.keys().map(String::as_str)));
        reader.report.error_hint(node.at, format!("the process has no review `{name}`"), hint);
    }
    Some(name)
}

#[cfg(test)]
#[path = "cases_tests.rs"]
mod tests;
