//! From a test file to its cases, or to everything that is wrong with it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value as Json;

use super::events::read_events;
use super::slots;
use super::{Case, CaseFile, Concluded, ConnectorSpec, Expect, Fail, Parked, Reply, Scripted};
use crate::domain::process::finding::{Finding, Report, Span};
use crate::domain::process::model::{Process, StepKind};
use crate::domain::process::parse::MAX_FILE_BYTES;
use crate::domain::process::read::{Fields, Reader};
use crate::domain::process::spelling::{did_you_mean, quoted};
use crate::domain::process::yaml::{self, Node, Value};
use crate::domain::time::parse_duration;

/// Test files repeat answers with anchors: they may be so many times larger than a process file when expanded.
const EXPANSION: usize = 20;
/// The most requests that come before a case's own.
const MAX_EARLIER: i64 = 1_000;

const FILE_KEYS: &[&str] = &["process", "connectors", "cases"];
const CONNECTOR_KEYS: &[&str] = &["timeout", "keys", "retry_on", "safe_on"];
const CASE_KEYS: &[&str] = &[
    "name",
    "request",
    "earlier",
    "answers",
    "callbacks",
    "decisions",
    "withdrawals",
    "supplements",
    "resumes",
    "advance",
    "expect",
    "verdicts",
    "calls",
];
const REPLY_KEYS: &[&str] = &["status", "body", "retry_after", "takes", "fail", "until"];
const EXPECT_KEYS: &[&str] = &["outcome", "reason", "rejected", "state", "step", "review", "dependency", "defect"];
const OUTCOMES: &[&str] = &["done", "refused", "withdrawn", "expired"];
const STATES: &[&str] = &["queued", "running", "waiting", "parked", "in_review"];

/// Reads and checks a test file against its process; `file_name` is only shown.
///
/// # Errors
/// Every finding, in the order of the file.
pub fn parse_cases(file_name: &str, source: &str, process: &Process) -> Result<CaseFile, Vec<Finding>> {
    let mut reader = Reader::new(Report::new(file_name, source), None);
    let file = if source.len() > MAX_FILE_BYTES {
        reader.report.error(Span::default(), format!("the file is larger than {MAX_FILE_BYTES} bytes"));
        None
    } else {
        yaml::read_within(&mut reader.report, source, EXPANSION).and_then(|root| read_file(&mut reader, &root, process))
    };
    match file {
        Some(file) if !reader.report.has_errors() => Ok(file),
        _ => Err(reader.report.finish()),
    }
}

fn read_file(reader: &mut Reader<'_>, root: &Node, process: &Process) -> Option<CaseFile> {
    let fields = reader.fields(root, "a test file", FILE_KEYS)?;
    if let Some(node) = reader.need(&fields, "process")
        && let Some(name) = reader.name(node, "process")
        && name != process.name
    {
        let hint = format!("write `{}`, or move the file next to the other process", process.name);
        reader.report.error_hint(node.at, format!("the file stands next to `{}`, not `{name}`", process.name), hint);
    }
    let connectors = fields.get("connectors").map(|node| read_connectors(reader, node, process)).unwrap_or_default();
    let node = reader.need(&fields, "cases")?;
    let items = reader.list(node, "cases")?;
    if items.is_empty() {
        reader.report.error(node.at, "a test file has at least one case");
    }
    let subject = Subject { process, called: slots::called(process), concluding: slots::concluding(process) };
    let mut names = BTreeSet::new();
    let mut cases = Vec::new();
    for item in items {
        if let Some(case) = subject.case(reader, item) {
            if !names.insert(case.name.clone()) {
                reader.report.error(item.at, format!("two cases are called \"{}\"", case.name));
            }
            cases.push(case);
        }
    }
    Some(CaseFile { process: process.name.clone(), connectors, cases })
}

fn read_connectors(reader: &mut Reader<'_>, node: &Node, process: &Process) -> BTreeMap<String, ConnectorSpec> {
    let known = process.connectors();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let mut specs = BTreeMap::new();
    for (key, value) in reader.entries(node, "connectors").unwrap_or_default() {
        known_name(reader, key.at, &key.name, "connector", &known);
        if let Some(fields) = reader.fields(value, "a connector", CONNECTOR_KEYS) {
            let mut spec = ConnectorSpec::default();
            if let Some(timeout) = fields.get("timeout").and_then(|node| reader.length(node, "timeout")) {
                spec.timeout = timeout;
            }
            match fields.get("keys") {
                None => {}
                Some(node) if matches!(&node.value, Value::Text(text) if text == "none") => spec.keys = None,
                Some(node) => spec.keys = reader.length(node, "keys"),
            }
            spec.retry_on = read_statuses(reader, &fields, "retry_on");
            spec.safe_on = read_statuses(reader, &fields, "safe_on");
            specs.insert(key.name.clone(), spec);
        }
    }
    specs
}

fn read_statuses(reader: &mut Reader<'_>, fields: &Fields<'_>, key: &str) -> Vec<u16> {
    let Some(node) = fields.get(key) else { return Vec::new() };
    let items = reader.list(node, key).unwrap_or_default();
    items.iter().filter_map(|item| read_status(reader, item, key)).collect()
}

fn read_status(reader: &mut Reader<'_>, node: &Node, what: &str) -> Option<u16> {
    reader.whole(node, what, 100, 599).and_then(|status| u16::try_from(status).ok())
}

/// What the cases are about.
pub(super) struct Subject<'p> {
    pub(super) process: &'p Process,
    called: Vec<String>,
    concluding: Vec<String>,
}

impl Subject<'_> {
    fn case(&self, reader: &mut Reader<'_>, node: &Node) -> Option<Case> {
        let fields = reader.fields(node, "a case", CASE_KEYS)?;
        let line = reader.report.line(fields.at);
        let name = reader.need(&fields, "name").and_then(|node| reader.text(node, "name"));
        let request = reader.need(&fields, "request");
        let earlier = fields.get("earlier").and_then(|node| reader.whole(node, "earlier", 0, MAX_EARLIER)).unwrap_or(0);
        let answers = fields.get("answers").map(|node| self.answers(reader, node)).unwrap_or_default();
        let events = read_events(self, reader, &fields);
        let advance = fields.get("advance").and_then(|node| read_after(reader, node, "advance")).unwrap_or_default();
        let expect = reader.need(&fields, "expect").and_then(|node| self.expect(reader, node));
        let verdicts = fields.get("verdicts").map(|node| self.verdicts(reader, node)).unwrap_or_default();
        let calls = fields.get("calls").map(|node| self.calls(reader, node)).unwrap_or_default();
        if let (Some(node), false) = (request, matches!(expect, Some(Expect::Rejected(_)))) {
            self.check_request(reader, node);
        }
        let request = request?.to_json();
        Some(Case { name: name?, line, request, earlier, answers, events, advance, expect: expect?, verdicts, calls })
    }

    fn check_request(&self, reader: &mut Reader<'_>, node: &Node) {
        for fault in self.process.request.validate(&node.to_json()).err().unwrap_or_default() {
            let at = node.nearest(&fault.pointer).at;
            let message = format!("the request does not fit the process's schema: {}", fault.message);
            reader.report.error_hint(at, message, "if that is the point of the case, expect {rejected: schema}");
        }
    }

    fn answers(&self, reader: &mut Reader<'_>, node: &Node) -> BTreeMap<String, Vec<Scripted>> {
        let mut answers = BTreeMap::new();
        for (key, value) in reader.entries(node, "answers").unwrap_or_default() {
            known_name(reader, key.at, &key.name, "call", &self.called);
            let replies = match &value.value {
                Value::List(items) => items.iter().filter_map(|item| read_reply(reader, item)).collect(),
                _ => read_reply(reader, value).into_iter().collect::<Vec<_>>(),
            };
            if matches!(&value.value, Value::List(items) if items.is_empty()) {
                reader.report.error(value.at, "a list of answers has at least one");
            }
            answers.insert(key.name.clone(), replies);
        }
        answers
    }

    fn verdicts(&self, reader: &mut Reader<'_>, node: &Node) -> BTreeMap<String, Concluded> {
        let mut verdicts = BTreeMap::new();
        for (key, value) in reader.entries(node, "verdicts").unwrap_or_default() {
            known_name(reader, key.at, &key.name, "step with a verdict", &self.concluding);
            if let Some(verdict) = read_word(reader, value, "a verdict", &Concluded::ALL) {
                verdicts.insert(key.name.clone(), verdict);
            }
        }
        verdicts
    }

    fn calls(&self, reader: &mut Reader<'_>, node: &Node) -> BTreeMap<String, u32> {
        let mut calls = BTreeMap::new();
        for (key, value) in reader.entries(node, "calls").unwrap_or_default() {
            known_name(reader, key.at, &key.name, "call", &self.called);
            if let Some(count) = reader.whole(value, "a number of calls", 0, 100_000) {
                calls.insert(key.name.clone(), count);
            }
        }
        calls
    }

    fn expect(&self, reader: &mut Reader<'_>, node: &Node) -> Option<Expect> {
        let fields = reader.fields(node, "an expectation", EXPECT_KEYS)?;
        let kinds: Vec<&str> = ["outcome", "rejected", "state"].into_iter().filter(|key| fields.get(key).is_some()).collect();
        let [kind] = kinds[..] else {
            let hint = "write {outcome: done}, {outcome: refused, reason: …}, {state: in_review, review: …}, {state: parked, \
                        dependency: …} or {rejected: schema}";
            reader.report.error_hint(node.at, "a case expects one of `outcome`, `state` and `rejected`", hint);
            return None;
        };
        let fitting: &[&str] = match kind {
            "outcome" => &["outcome", "reason"],
            "rejected" => &["rejected"],
            _ => &["state", "step", "review", "dependency", "defect"],
        };
        for key in EXPECT_KEYS.iter().filter(|key| !fitting.contains(key) && fields.get(key).is_some()) {
            reader.report.error(fields.key_at(key), format!("`{key}` does not go with `{kind}`"));
        }
        match kind {
            "outcome" => self.expect_outcome(reader, &fields),
            "rejected" => fields.get("rejected").and_then(|node| reader.scalar(node, "rejected")).map(Expect::Rejected),
            _ => self.expect_state(reader, &fields),
        }
    }

    fn expect_outcome(&self, reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Expect> {
        let outcome = read_one_of(reader, fields.get("outcome")?, "outcome", OUTCOMES)?;
        let reason = match fields.get("reason") {
            None if outcome == "refused" => {
                reader.report.error_hint(fields.at, "a refusal has a reason", "add `reason: …`");
                None
            }
            None => None,
            Some(node) if outcome != "refused" => {
                reader.report.error(node.at, "only a refusal has a reason");
                None
            }
            Some(node) => self.reason(reader, node),
        };
        Some(Expect::Outcome { outcome, reason })
    }

    fn expect_state(&self, reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Expect> {
        let state = read_one_of(reader, fields.get("state")?, "state", STATES)?;
        let step = fields.get("step").and_then(|node| reader.scalar(node, "step"));
        let review = fields.get("review").and_then(|node| self.review(reader, node));
        let dependency = fields.get("dependency").and_then(|node| {
            let name = reader.name(node, "dependency")?;
            let known = self.process.connectors();
            known_name(reader, node.at, &name, "connector", &known).then_some(Parked::Dependency(name))
        });
        let defect = fields.get("defect").and_then(|node| match reader.flag(node, "defect") {
            Some(true) => Some(Parked::Defect),
            Some(false) => {
                reader.report.error(node.at, "write `defect: true`, or leave it out");
                None
            }
            None => None,
        });
        let missing = match state.as_str() {
            "in_review" if fields.get("review").is_none() => Some("add `review: …`: which question"),
            "parked" if fields.get("dependency").is_none() == fields.get("defect").is_none() => {
                Some("add `dependency: …` or `defect: true`, one of the two")
            }
            _ => None,
        };
        if let Some(hint) = missing {
            reader.report.error_hint(fields.at, format!("`{state}` alone does not say enough"), hint);
        }
        Some(Expect::State { state, step, review, parked: dependency.or(defect) })
    }

    pub(super) fn reason(&self, reader: &mut Reader<'_>, node: &Node) -> Option<String> {
        let name = reader.name(node, "reason")?;
        let known: Vec<&str> = self.process.reasons.keys().map(String::as_str).collect();
        known_name(reader, node.at, &name, "reason", &known).then_some(name)
    }

    pub(super) fn review(&self, reader: &mut Reader<'_>, node: &Node) -> Option<String> {
        let name = reader.name(node, "review")?;
        let known: Vec<&str> = self.process.reviews.keys().map(String::as_str).collect();
        known_name(reader, node.at, &name, "review", &known).then_some(name)
    }
}

fn read_reply(reader: &mut Reader<'_>, node: &Node) -> Option<Scripted> {
    let fields = reader.fields(node, "an answer", REPLY_KEYS)?;
    let until = fields.get("until").and_then(|node| reader.length(node, "until"));
    Some(Scripted { reply: read_what(reader, &fields)?, until })
}

fn read_what(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Reply> {
    if let Some(node) = fields.get("fail") {
        if let Some(other) = REPLY_KEYS.iter().find(|key| !["fail", "until"].contains(key) && fields.get(key).is_some()) {
            reader.report.error(fields.key_at(other), format!("what fails has no `{other}`"));
        }
        return read_word(reader, node, "fail", &Fail::ALL).map(Reply::Fail);
    }
    let status = reader.need(fields, "status").and_then(|node| read_status(reader, node, "status"));
    let body = fields.get("body").map(Node::to_json).filter(|body| *body != Json::Null);
    let retry_after = fields.get("retry_after").and_then(|node| reader.length(node, "retry_after"));
    let takes = fields.get("takes").and_then(|node| reader.length(node, "takes")).unwrap_or_default();
    Some(Reply::Answer { status: status?, body, retry_after, takes })
}

/// A point in time, counted from the acceptance; `0s` is one, too.
pub(super) fn read_after(reader: &mut Reader<'_>, node: &Node, what: &str) -> Option<Duration> {
    match &node.value {
        Value::Text(text) if parse_duration(text).is_ok_and(|length| length.is_zero()) => Some(Duration::ZERO),
        _ => reader.length(node, what),
    }
}

/// One of some words.
pub(super) fn read_word<T: Copy>(reader: &mut Reader<'_>, node: &Node, what: &str, words: &[(&str, T)]) -> Option<T> {
    let text = reader.scalar(node, what)?;
    let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
    if found.is_none() {
        let known = quoted(words.iter().map(|(word, _)| *word));
        reader.report.error_hint(node.at, format!("`{text}` is not what {what} can be"), format!("write one of {known}"));
    }
    found
}

fn read_one_of(reader: &mut Reader<'_>, node: &Node, what: &str, words: &[&str]) -> Option<String> {
    let pairs: Vec<(&str, ())> = words.iter().map(|word| (*word, ())).collect();
    read_word(reader, node, what, &pairs)?;
    reader.scalar(node, what)
}

/// Reports a name that the process does not have.
pub(super) fn known_name<S: AsRef<str>>(reader: &mut Reader<'_>, at: Span, name: &str, what: &str, known: &[S]) -> bool {
    if known.iter().any(|other| other.as_ref() == name) {
        return true;
    }
    let message = format!("the process has no {what} `{name}`");
    match did_you_mean(name, known.iter().map(AsRef::as_ref)) {
        Some(near) => reader.report.error_hint(at, message, format!("did you mean `{near}`?")),
        None if known.is_empty() => reader.report.error(at, message),
        None => {
            let known = quoted(known.iter().map(AsRef::as_ref));
            reader.report.error_hint(at, message, format!("it has {known}"));
        }
    }
    false
}

impl Process {
    /// The connectors that the process calls, by name.
    #[must_use]
    pub fn connectors(&self) -> Vec<String> {
        let mut names = BTreeSet::new();
        for step in &self.steps {
            match &step.kind {
                StepKind::Verify(verify) => names.extend(verify.call.iter().map(|call| call.connector.clone())),
                StepKind::Execute(execute) => {
                    names.insert(execute.call.connector.clone());
                    names.extend(execute.reconcile.iter().map(|reconcile| reconcile.call.connector.clone()));
                    if let Some(undo) = &execute.undo {
                        names.insert(undo.call.connector.clone());
                        names.extend(undo.reconcile.iter().map(|reconcile| reconcile.call.connector.clone()));
                    }
                }
                StepKind::Wait(_) | StepKind::Review { .. } => {}
            }
        }
        names.extend(self.done_when.call.iter().map(|call| call.connector.clone()));
        names.into_iter().collect()
    }
}
