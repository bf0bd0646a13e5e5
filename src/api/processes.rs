//! `/v1/processes`: how requests are handled, for those who send them (schema, reasons) and those who look after them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::auth::Caller;
use super::extract::{InPath, Query, bad};
use super::permit::Action;
use super::problem::Problem;
use super::request_view::ReasonBody;
use crate::domain::process::mermaid;
use crate::domain::process::model::{Audience, Call, Process, Step, StepKind};
use crate::domain::time::show_duration;
use crate::domain::words::{Choice, Clause};

/// A process, for lists.
#[derive(Debug, Serialize, ToSchema)]
struct ProcessBody {
    /// Its name.
    name: String,
    /// The version.
    version: u32,
    /// What it is called, by language.
    title: BTreeMap<String, String>,
    /// The team that answers for it.
    owner: String,
    /// `customer` or `colleague`.
    #[schema(value_type = String, example = "customer")]
    audience: Audience,
    /// What the customer is told about how long it takes: `10m`.
    promise: String,
    /// After this long an open request with nothing applied expires.
    expire_after: String,
    /// SHA-256 of the file, hex: what the version is pinned to.
    digest: String,
}

/// All processes.
#[derive(Debug, Serialize, ToSchema)]
struct ProcessList {
    /// By name, each in its newest version.
    items: Vec<ProcessBody>,
}

/// A process in full.
#[derive(Debug, Serialize, ToSchema)]
struct ProcessPage {
    /// What it is.
    #[serde(flatten)]
    process: ProcessBody,
    /// JSON Schema (2020-12) of the payload.
    #[schema(value_type = Object)]
    schema: Value,
    /// Places of the payload that are masked, as JSON pointers in which `*` stands for any key or index.
    sensitive: Vec<String>,
    /// Why a request may be refused, with what the customer reads.
    reasons: Vec<ReasonBody>,
    /// What may be asked of a person.
    reviews: Vec<QuestionBody>,
    /// The steps, in order.
    steps: Vec<StepBody>,
    /// A diagram, as Mermaid source.
    mermaid: String,
    /// The versions that are known, oldest first.
    versions: Vec<u32>,
}

/// A question that the process may ask of a person.
#[derive(Debug, Serialize, ToSchema)]
struct QuestionBody {
    /// Its name.
    name: String,
    /// The question, by language.
    question: BTreeMap<String, String>,
    /// What may be answered.
    #[schema(value_type = Vec<String>)]
    choices: Vec<Choice>,
    /// How long the reviewer has.
    due: String,
    /// Two different people must agree.
    four_eyes: bool,
    /// The reviewers' role that it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<String>,
}

/// A step.
#[derive(Debug, Serialize, ToSchema)]
struct StepBody {
    /// Its name.
    name: String,
    /// `verify`, `execute`, `wait`, `review`.
    kind: &'static str,
    /// The clause that its verdict cites.
    #[serde(skip_serializing_if = "Option::is_none")]
    clause: Option<String>,
    /// The clause in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// The clause in words by language, where the file has it in several.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    texts: BTreeMap<String, String>,
    /// The connector that it calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    connector: Option<String>,
    /// It is done only when this is true.
    #[serde(skip_serializing_if = "Option::is_none")]
    when: Option<String>,
    /// It can be undone.
    undo: bool,
}

fn body(process: &Process) -> ProcessBody {
    ProcessBody {
        name: process.name.clone(),
        version: process.version,
        title: process.title.clone(),
        owner: process.owner.clone(),
        audience: process.audience,
        promise: show_duration(process.promise),
        expire_after: show_duration(process.expire_after),
        digest: process.digest.clone(),
    }
}

/// The clause that a step's verdict cites.
pub(super) fn clause(step: &Step) -> Option<&Clause> {
    match &step.kind {
        StepKind::Verify(verify) => Some(&verify.clause),
        StepKind::Execute(execute) => execute.clause.as_ref(),
        StepKind::Wait(wait) => wait.clause.as_ref(),
        StepKind::Review { .. } => None,
    }
}

fn step(process: &Process, step: &Step) -> StepBody {
    let (kind, call, undo) = match &step.kind {
        StepKind::Verify(verify) => ("verify", verify.call.as_ref(), false),
        StepKind::Execute(execute) => ("execute", Some(&execute.call), execute.undo.is_some()),
        StepKind::Wait(_) => ("wait", None, false),
        StepKind::Review { .. } => ("review", None, false),
    };
    let clause = clause(step);
    StepBody {
        name: step.name.clone(),
        kind,
        clause: clause.map(|clause| clause.id.clone()),
        text: clause.map(|clause| clause.text.clone()),
        texts: clause.map(|clause| process.clause_texts(clause)).unwrap_or_default(),
        connector: call.map(|call| call.connector.clone()),
        when: step.when.as_ref().map(|when| when.source().to_owned()),
        undo,
    }
}

fn page(process: &Process, versions: Vec<u32>) -> ProcessPage {
    let question = |(name, spec): (&String, &crate::domain::process::model::ReviewSpec)| QuestionBody {
        name: name.clone(),
        question: spec.question.clone(),
        choices: spec.options.clone(),
        due: show_duration(spec.due),
        four_eyes: spec.four_eyes,
        role: spec.role.clone(),
    };
    ProcessPage {
        process: body(process),
        schema: process.request.source().clone(),
        sensitive: process.request.sensitive().iter().map(|place| place.pointer.clone()).collect(),
        reasons: process.reasons.iter().map(|(name, reason)| ReasonBody::new(name, Some(reason))).collect(),
        reviews: process.reviews.iter().map(question).collect(),
        steps: process.steps.iter().map(|one| step(process, one)).collect(),
        mermaid: mermaid(process),
        versions,
    }
}

/// The connectors that a process calls.
pub(super) fn connectors(process: &Process) -> BTreeSet<&str> {
    let calls = process.steps.iter().flat_map(|step| match &step.kind {
        StepKind::Verify(verify) => verify.call.iter().collect::<Vec<&Call>>(),
        StepKind::Execute(execute) => {
            let undo = execute.undo.as_deref();
            let reads = [execute.reconcile.as_ref(), undo.and_then(|undo| undo.reconcile.as_ref())];
            let reads = reads.into_iter().flatten().map(|reconcile| &reconcile.call);
            std::iter::once(&execute.call).chain(undo.map(|undo| &undo.call)).chain(reads).collect()
        }
        StepKind::Wait(_) | StepKind::Review { .. } => Vec::new(),
    });
    calls.chain(process.done_when.call.as_ref()).map(|call| call.connector.as_str()).collect()
}

/// The processes, each in its newest version.
#[utoipa::path(get, path = "/v1/processes", operation_id = "list_processes", tag = "processes", responses((status = 200, body = ProcessList)))]
async fn list(State(api): State<Api>, caller: Caller) -> Result<Response, Problem> {
    caller.require(Action::ReadProcesses)?;
    let all: Vec<Arc<Process>> = api.engine().processes().all();
    let items = all.iter().filter(|process| caller.covers(&process.name)).map(|process| body(process)).collect();
    Ok(Answer(ProcessList { items }).into_response())
}

/// One process: the payload's schema, the reasons, the steps, a diagram.
#[utoipa::path(get, path = "/v1/processes/{name}", operation_id = "show_process", tag = "processes",
    params(("name" = String, Path, description = "The process"), ("version" = Option<u32>, Query, description = "This version; default: the newest")),
    responses((status = 200, body = ProcessPage)))]
async fn show(State(api): State<Api>, caller: Caller, path: InPath, query: Query) -> Result<Response, Problem> {
    caller.require(Action::ReadProcesses)?;
    let name = path.text("name")?;
    let version =
        query.number("version")?.map(|number| u32::try_from(number).map_err(|_| bad("version", "is too large"))).transpose()?;
    let known = api.engine().processes();
    let process = match version {
        None => known.latest(name),
        Some(version) => known.get(name, version),
    };
    let process = process.filter(|_| caller.covers(name)).ok_or_else(|| Problem::not_found("this process"))?;
    let versions = known.versions(name).iter().map(|process| process.version).collect();
    Ok(Answer(page(&process, versions)).into_response())
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show))
}

#[cfg(test)]
mod tests {
    use super::super::facts::tests::process;
    use super::*;

    #[test]
    fn a_process_tells_front_ends_what_to_send() {
        let process = process("${request.who}");
        let shown = serde_json::to_value(page(&process, vec![1])).unwrap_or_default();
        assert_eq!(shown["schema"]["required"], serde_json::json!(["who", "phone"]));
        assert_eq!(shown["sensitive"], serde_json::json!(["/phone"]));
        assert_eq!(shown["promise"], "10m");
        assert_eq!(shown["steps"][0]["clause"], "A-1");
        assert_eq!(shown["steps"][1]["kind"], "execute");
        assert_eq!(shown["audience"], "customer");
        assert_eq!(connectors(&process), BTreeSet::from(["bank"]));
    }
}
