//! `/v1/dependencies`: the remote systems behind the connectors, their breakers, and what waits for them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use axum::Json as Answer;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Api;
use super::auth::Caller;
use super::extract::{InPath, Json, OptionalJson};
use super::kinds;
use super::permit::Action;
use super::problem::Problem;
use super::processes::connectors;
use super::stamp::Stamp;
use crate::engine::groups::DEFAULT_RATE;
use crate::engine::ports::records::ControlRow;
use crate::engine::service::ResumeHow;

/// The most requests per second that may be asked for.
const MAX_RATE: u32 = 10_000;
/// Parked requests are counted up to this.
pub(super) const COUNT_CAP: u64 = 1_000_000;
/// How old the numbers may be that a part of the processes is counted by.
const BALANCE_AGE: Duration = Duration::from_secs(5);

/// The control state of a group that requests are parked under.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ControlBody {
    /// `dependency:<name>` or `defect:<fingerprint>`.
    group: String,
    /// `closed`, `open`, `waiting` (requests are parked, though it may be up), `half_open` (one request tries it), `resuming`.
    #[schema(example = "closed")]
    state: String,
    /// Why.
    reason: String,
    /// Who changed it: `breaker`, or a person.
    by: String,
    /// The request that tries it first.
    #[serde(skip_serializing_if = "Option::is_none")]
    canary: Option<Uuid>,
    /// When the next probe is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    probe_at: Option<Stamp>,
    /// Requests per second that are resumed.
    rate: u32,
    /// The version that they are moved to.
    #[serde(skip_serializing_if = "Option::is_none")]
    to_version: Option<u32>,
    /// When the resume began; what is parked later is not part of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Stamp>,
    /// When it last changed.
    changed_at: Stamp,
}

impl From<&ControlRow> for ControlBody {
    fn from(row: &ControlRow) -> ControlBody {
        ControlBody {
            group: row.group.clone(),
            state: row.state.clone(),
            reason: row.reason.clone(),
            by: row.by.clone(),
            canary: row.canary,
            probe_at: row.probe_at.map(Stamp),
            rate: row.rate,
            to_version: row.to_version,
            since: row.since.map(Stamp),
            changed_at: row.changed_at.into(),
        }
    }
}

/// A dependency.
#[derive(Debug, Serialize, ToSchema)]
struct DependencyBody {
    /// The connector's name.
    name: String,
    /// `closed`: calls go through; `open`: it is down; `waiting`: it answers, but requests are parked; `half_open`, `resuming`: they are coming back.
    #[schema(example = "closed")]
    state: String,
    /// How many requests wait for it.
    parked: u64,
    /// The processes that call it.
    processes: Vec<String>,
    /// Failed calls in a row, as the worker that answers counts them.
    failures: u32,
    /// Its breaker, once it has tripped.
    #[serde(skip_serializing_if = "Option::is_none")]
    control: Option<ControlBody>,
}

/// All dependencies.
#[derive(Debug, Serialize, ToSchema)]
struct DependencyList {
    /// By name.
    items: Vec<DependencyBody>,
}

/// Why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Why {
    /// For those who look at it later: 1 to 500 characters.
    reason: String,
}

/// How a group is resumed.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Resume {
    /// Requests per second; default 50.
    rate: Option<u32>,
    /// Move them to this version of their process first; allowed where what they have done is the same in both.
    to_version: Option<u32>,
}

impl Resume {
    pub(super) fn how(&self, by: &str) -> Result<ResumeHow, Problem> {
        let rate = self.rate.unwrap_or(DEFAULT_RATE);
        if !(1..=MAX_RATE).contains(&rate) {
            return Err(Problem::new(&kinds::INVALID, format!("`rate` is 1 to {MAX_RATE} requests per second")));
        }
        Ok(ResumeHow { by: by.to_owned(), rate: Some(rate), to_version: self.to_version })
    }
}

fn check_reason(reason: &str) -> Result<String, Problem> {
    let reason = reason.trim();
    let fits = (1..=500).contains(&reason.chars().count()) && !reason.chars().any(char::is_control);
    if fits {
        Ok(reason.to_owned())
    } else {
        Err(Problem::new(&kinds::INVALID, "`reason` is 1 to 500 characters without control characters"))
    }
}

/// The remote systems, their breakers and what waits for them.
#[utoipa::path(get, path = "/v1/dependencies", operation_id = "list_dependencies", tag = "operations", responses((status = 200, body = DependencyList)))]
async fn list(State(api): State<Api>, caller: Caller) -> Result<Response, Problem> {
    caller.require(Action::ReadOperations)?;
    let controls = api.engine().store().controls().await?;
    let controls: BTreeMap<&str, &ControlRow> =
        controls.iter().filter_map(|row| row.group.strip_prefix("dependency:").map(|name| (name, row))).collect();
    let processes = api.engine().processes().all();
    let breakers = api.engine().dependencies();
    // Whoever sees some processes only is not told of what others call, nor how much of theirs waits.
    let everywhere = caller.require_everywhere(Action::ReadOperations).is_ok();
    let names = controls.keys().copied().chain(breakers.iter().map(|view| view.connector.as_str()));
    let names = names.filter(|_| everywhere);
    let balance = if everywhere { None } else { Some(api.balance(BALANCE_AGE).await?) };
    let mut users: BTreeMap<&str, BTreeSet<&str>> = names.map(|name| (name, BTreeSet::new())).collect();
    for process in processes.iter().filter(|process| caller.covers(&process.name)) {
        for name in connectors(process) {
            users.entry(name).or_default().insert(&process.name);
        }
    }
    let mut items = Vec::new();
    for (name, processes) in users {
        let control = controls.get(name);
        let group = format!("dependency:{name}");
        let parked = match &balance {
            None => api.engine().store().parked_under(&group, COUNT_CAP).await?,
            Some(balance) => {
                let places = balance.places.iter().filter(|place| place.parked.as_ref() == Some(&group));
                places.filter(|place| caller.covers(&place.process)).map(|place| place.count).sum()
            }
        };
        let control = control.map(|row| {
            let body = ControlBody::from(*row);
            // The one that goes first may be anybody's.
            ControlBody { canary: body.canary.filter(|_| everywhere), ..body }
        });
        items.push(DependencyBody {
            name: name.to_owned(),
            state: control.as_ref().map_or_else(|| "closed".to_owned(), |row| row.state.clone()),
            parked,
            processes: processes.into_iter().map(str::to_owned).collect(),
            failures: breakers.iter().find(|view| view.connector == name).map_or(0, |view| view.failures),
            control,
        });
    }
    Ok(Answer(DependencyList { items }).into_response())
}

/// Stops all calls of a dependency; requests that need it are parked.
#[utoipa::path(post, path = "/v1/dependencies/{name}/trip", operation_id = "trip_dependency", tag = "operations", request_body = Why, params(("name" = String, Path, description = "The connector")),
    responses((status = 200, body = ControlBody)))]
async fn trip(State(api): State<Api>, caller: Caller, path: InPath, Json(why): Json<Why>) -> Result<Response, Problem> {
    let name = named(&caller, &path)?;
    let row = api.engine().trip(name, caller.name(), &check_reason(&why.reason)?).await?;
    Ok(Answer(ControlBody::from(&row)).into_response())
}

/// Lets calls of a dependency through again; what is parked is resumed, paced.
#[utoipa::path(post, path = "/v1/dependencies/{name}/reset", operation_id = "reset_dependency", tag = "operations", request_body = Why, params(("name" = String, Path, description = "The connector")),
    responses((status = 200, body = ControlBody)))]
async fn reset(State(api): State<Api>, caller: Caller, path: InPath, Json(why): Json<Why>) -> Result<Response, Problem> {
    let name = named(&caller, &path)?;
    let row = api.engine().reset(name, caller.name(), &check_reason(&why.reason)?).await?;
    Ok(Answer(ControlBody::from(&row)).into_response())
}

/// Resumes what is parked under a dependency: one request first, then the rest, paced.
#[utoipa::path(post, path = "/v1/dependencies/{name}/resume", operation_id = "resume_dependency", tag = "operations", request_body = Option<Resume>, params(("name" = String, Path, description = "The connector")),
    responses((status = 200, body = ControlBody)))]
async fn resume(
    State(api): State<Api>,
    caller: Caller,
    path: InPath,
    OptionalJson(resume): OptionalJson<Resume>,
) -> Result<Response, Problem> {
    let name = named(&caller, &path)?;
    let row = api.engine().resume_group(&format!("dependency:{name}"), resume.how(caller.name())?).await?;
    Ok(Answer(ControlBody::from(&row)).into_response())
}

/// The dependency's name, where the caller may act on it. It may serve any process, so the token must too.
fn named<'a>(caller: &Caller, path: &'a InPath) -> Result<&'a str, Problem> {
    caller.require_everywhere(Action::Operate)?;
    path.text("name")
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(trip)).routes(routes!(reset)).routes(routes!(resume))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn rates_are_bounded() {
        let how = |rate| Resume { rate, to_version: Some(2) }.how("li");
        assert_eq!(how(None).unwrap().rate, Some(DEFAULT_RATE));
        assert_eq!(how(Some(MAX_RATE)).unwrap().to_version, Some(2));
        assert!(how(Some(0)).is_err() && how(Some(MAX_RATE + 1)).is_err());
        assert!(check_reason(" ").is_err() && check_reason("a\nb").is_err());
    }
}
