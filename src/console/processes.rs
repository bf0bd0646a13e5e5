//! Processes: what they ask, check and do, as a diagram and as tables.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::Value;

use super::diagram::{Diagram, draw};
use super::form::Query;
use super::frame::{Frame, page};
use super::home::shown;
use super::overview::Counted;
use super::read::{List, Process};
use super::review::segment;
use super::session::Seat;
use super::show::{by_language, text_by_language};
use super::text::put;
use super::versions::Head;
use super::{Console, trouble};
use crate::api::Refused;
use crate::api::permit::Action;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Open {
    by_process: Vec<Counted>,
}

struct ProcessRow {
    name: String,
    title: String,
    version: u32,
    owner: String,
    promise: String,
    open: String,
}

#[derive(Template)]
#[template(path = "processes.html")]
struct ProcessesPage {
    f: Frame,
    rows: Vec<ProcessRow>,
}

struct StepRow {
    name: String,
    kind: String,
    word: String,
    clause: String,
    text: String,
    connector: String,
    when: String,
    undo: bool,
}

struct FieldRow {
    name: String,
    kind: String,
    required: bool,
    sensitive: bool,
}

struct QuestionRow {
    name: String,
    question: String,
    answers: Vec<String>,
    due: String,
    four_eyes: bool,
    role: String,
}

struct ReasonRow {
    name: String,
    text: String,
    remedy: String,
}

#[derive(Template)]
#[template(path = "process.html")]
struct ProcessPage {
    f: Frame,
    p: Head,
    versions: Vec<(u32, bool)>,
    owner: String,
    promise: String,
    expires: String,
    digest: String,
    diagram: Diagram,
    steps: Vec<StepRow>,
    fields: Vec<FieldRow>,
    questions: Vec<QuestionRow>,
    reasons: Vec<ReasonRow>,
}

/// All of them, each in its newest version.
pub(super) async fn processes(State(console): State<Console>, seat: Seat) -> Response {
    let list: List<Process> = match console.desk().get(&seat.person, "/v1/processes").await {
        Ok(list) => list,
        Err(refused) => return trouble::refused(&seat, &refused),
    };
    let t = seat.look.lang.texts();
    let mut open: BTreeMap<String, u64> = BTreeMap::new();
    if seat.may(Action::ReadOperations) {
        match console.desk().get::<Open>(&seat.person, "/v1/balance").await {
            Ok(counted) => counted.by_process.into_iter().for_each(|row| *open.entry(row.process).or_default() += row.count),
            Err(refused) => return trouble::refused(&seat, &refused),
        }
    }
    let row = |process: &Process| ProcessRow {
        title: by_language(&process.title, &seat.look),
        version: process.version,
        owner: process.owner.clone(),
        promise: process.promise.clone(),
        open: open.get(&process.name).map(|count| put(t.processes.open_now, &[&count.to_string()])).unwrap_or_default(),
        name: process.name.clone(),
    };
    let f = Frame::of(&seat, t.processes.title, "/console/processes");
    let response = page(&seat.look, &ProcessesPage { f, rows: list.items.iter().map(row).collect() });
    shown(&console, &seat, response)
}

/// One of them.
pub(super) async fn process(
    State(console): State<Console>,
    seat: Seat,
    Path(name): Path<String>,
    Query(query): Query,
) -> Response {
    match view(&console, &seat, &name, query.one("version").parse().ok()).await {
        Ok(view) => page(&seat.look, &view),
        Err(refused) => trouble::refused(&seat, &refused),
    }
}

async fn view(console: &Console, seat: &Seat, name: &str, version: Option<u32>) -> Result<ProcessPage, Refused> {
    let t = seat.look.lang.texts();
    let version = version.map(|version| format!("?version={version}")).unwrap_or_default();
    let process: Process = console.desk().get(&seat.person, &format!("/v1/processes/{}{version}", segment(name))).await?;
    let step = |step: &super::read::Step| StepRow {
        name: step.name.clone(),
        kind: t.step_kind(&step.kind).to_owned(),
        word: step.kind.clone(),
        clause: step.clause.clone().unwrap_or_default(),
        text: text_by_language(&step.texts, step.text.as_ref(), &seat.look),
        connector: step.connector.clone().unwrap_or_default(),
        when: step.when.clone().unwrap_or_default(),
        undo: step.undo,
    };
    let question = |question: &super::read::Question| QuestionRow {
        name: question.name.clone(),
        question: by_language(&question.question, &seat.look),
        answers: question.choices.iter().map(|choice| t.choice(choice).to_owned()).collect(),
        due: question.due.clone(),
        four_eyes: question.four_eyes,
        role: question.role.clone().unwrap_or_default(),
    };
    let reason = |reason: &super::read::Reason| ReasonRow {
        name: reason.name.clone(),
        text: by_language(&reason.customer, &seat.look),
        remedy: reason.remedy.as_ref().map(|texts| by_language(texts, &seat.look)).unwrap_or_default(),
    };
    Ok(ProcessPage {
        f: Frame::of(seat, t.processes.title, "/console/processes"),
        p: Head::of(&process, seat, "process"),
        versions: process.versions.iter().rev().map(|version| (*version, *version == process.version)).collect(),
        owner: process.owner.clone(),
        promise: process.promise.clone(),
        expires: process.expire_after.clone(),
        digest: process.digest.clone(),
        diagram: draw(&process, &seat.look),
        steps: process.steps.iter().map(step).collect(),
        fields: fields(&process),
        questions: process.reviews.iter().map(question).collect(),
        reasons: process.reasons.iter().map(reason).collect(),
    })
}

fn fields(process: &Process) -> Vec<FieldRow> {
    let required: Vec<&str> =
        process.schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let properties = process.schema.get("properties").and_then(Value::as_object);
    let row = |(name, schema): (&String, &Value)| FieldRow {
        kind: schema.get("type").and_then(Value::as_str).unwrap_or_default().to_owned(),
        required: required.contains(&name.as_str()),
        sensitive: process.sensitive.iter().any(|place| place.split('/').nth(1) == Some(name.as_str())),
        name: name.clone(),
    };
    properties.into_iter().flatten().map(row).collect()
}
