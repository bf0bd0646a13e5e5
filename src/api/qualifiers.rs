//! `/v1/qualifiers`: what requests can be searched by, with the values that are known.
//!
//! Nobody remembers how a step or a reason is spelled. All that is offered is known without a look at the requests themselves, so that
//! asking costs next to nothing: the processes' own names, and the groups that something is parked under at the moment.

use std::collections::BTreeSet;

use axum::Json as Answer;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::auth::Caller;
use super::permit::Action;
use super::problem::Problem;
use super::processes::connectors;
use super::requests::STATES;

/// The most values of one qualifier.
const MOST: usize = 500;

/// Something that `GET /v1/requests` can be narrowed by.
#[derive(Debug, Serialize, ToSchema)]
struct Qualifier {
    /// The name of the query's parameter.
    name: &'static str,
    /// The values that are known, in order; empty where any value may be.
    values: Vec<String>,
}

/// What requests can be searched by.
#[derive(Debug, Serialize, ToSchema)]
struct QualifierList {
    /// One of each.
    items: Vec<Qualifier>,
}

/// What requests can be searched by, with the values that are known.
#[utoipa::path(get, path = "/v1/qualifiers", operation_id = "list_qualifiers", tag = "requests", responses((status = 200, body = QualifierList)))]
async fn list(State(api): State<Api>, caller: Caller) -> Result<Response, Problem> {
    caller.require(Action::ReadOwn)?;
    let mut processes = BTreeSet::new();
    let (mut steps, mut reasons, mut called) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let known = api.engine().processes();
    for process in known.all().iter().filter(|process| caller.covers(&process.name)) {
        processes.insert(process.name.clone());
        // Requests of earlier versions are searched as well.
        for process in known.versions(&process.name) {
            steps.extend(process.steps.iter().map(|step| step.name.clone()));
            reasons.extend(process.reasons.keys().chain(process.reviews.keys()).cloned());
            called.extend(connectors(&process).into_iter().map(str::to_owned));
        }
    }
    let some = |values: BTreeSet<String>| values.into_iter().take(MOST).collect();
    let any = |name| Qualifier { name, values: Vec::new() };
    let mut items = vec![
        Qualifier { name: "process", values: some(processes) },
        Qualifier { name: "state", values: STATES.map(str::to_owned).to_vec() },
        Qualifier { name: "reason", values: some(reasons) },
        Qualifier { name: "step", values: some(steps) },
    ];
    if caller.is_staff() {
        let mut groups: BTreeSet<String> = called.into_iter().map(|name| format!("dependency:{name}")).collect();
        // Whoever sees some processes only is not told of the defects of others.
        if caller.require_everywhere(Action::ReadOperations).is_ok() {
            groups.extend(api.engine().store().parked_groups().await?.into_iter().filter(|group| group.starts_with("defect:")));
        }
        items.push(Qualifier { name: "parked", values: some(groups) });
        items.push(any("producer"));
    }
    items.extend(["message", "customer", "before", "after"].map(any));
    Ok(Answer(QualifierList { items }).into_response())
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list))
}
