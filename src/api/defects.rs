//! `/v1/defects`: technical failures by fingerprint, what is parked under each, and resuming it after the fix.

use axum::Json as Answer;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Api;
use super::auth::Caller;
use super::dependencies::{COUNT_CAP, ControlBody, Resume};
use super::extract::{InPath, OptionalJson, Query};
use super::kinds;
use super::permit::Action;
use super::problem::Problem;
use super::stamp::Stamp;
use crate::engine::ports::records::{ControlRow, DefectRow};
use crate::engine::ports::store::StoreError;

/// A defect: a group of technical failures with one fingerprint.
#[derive(Debug, Serialize, ToSchema)]
struct DefectBody {
    /// 16 hex characters, made of the parts below.
    fingerprint: String,
    /// The process. Part of the fingerprint.
    process: String,
    /// The step. Part of the fingerprint.
    slot: String,
    /// The connector, where a call failed. Part of the fingerprint.
    #[serde(skip_serializing_if = "Option::is_none")]
    connector: Option<String>,
    /// The failure's class. Part of the fingerprint.
    class: String,
    /// Its code. Part of the fingerprint.
    code: String,
    /// The answer's status. Part of the fingerprint.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// The detail with ids, times and numbers taken out. Part of the fingerprint.
    pattern: String,
    /// One example of the detail.
    detail: String,
    /// One request that has it.
    sample: Uuid,
    /// The version of the process that it was last seen in.
    version: u32,
    /// How often it was seen.
    count: u64,
    /// How many requests are parked under it now.
    parked: u64,
    /// When it was first seen.
    first_seen: Stamp,
    /// When it was last seen.
    last_seen: Stamp,
    /// How its resuming stands, once it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    control: Option<ControlBody>,
}

/// Defects.
#[derive(Debug, Serialize, ToSchema)]
struct DefectList {
    /// Those seen last first.
    items: Vec<DefectBody>,
}

async fn body(api: &Api, row: DefectRow, controls: &[ControlRow]) -> Result<DefectBody, StoreError> {
    let group = format!("defect:{}", row.fingerprint);
    Ok(DefectBody {
        parked: api.engine().store().parked_under(&group, COUNT_CAP).await?,
        control: controls.iter().find(|control| control.group == group).map(ControlBody::from),
        fingerprint: row.fingerprint,
        process: row.process,
        slot: row.slot,
        connector: row.connector,
        class: row.class,
        code: row.code,
        status: row.status,
        pattern: row.pattern,
        detail: row.detail,
        sample: row.sample,
        version: row.version,
        count: row.count,
        first_seen: row.first_seen.into(),
        last_seen: row.last_seen.into(),
    })
}

/// Technical failures by fingerprint, those seen last first.
#[utoipa::path(get, path = "/v1/defects", operation_id = "list_defects", tag = "operations",
    params(("process" = Option<Vec<String>>, Query, description = "Of one of these processes"), ("limit" = Option<u64>, Query, description = "1 to 200 rows; default 50")),
    responses((status = 200, body = DefectList)))]
async fn list(State(api): State<Api>, caller: Caller, query: Query) -> Result<Response, Problem> {
    caller.require(Action::ReadOperations)?;
    let limit = query.limit()?;
    let Some(processes) = caller.narrow(query.many("process")?) else {
        return Ok(Answer(DefectList { items: Vec::new() }).into_response());
    };
    let store = api.engine().store();
    let controls = store.controls().await?;
    let mut items = Vec::new();
    for row in store.defects(&processes, limit).await? {
        items.push(body(&api, row, &controls).await?);
    }
    Ok(Answer(DefectList { items }).into_response())
}

/// One defect, with the parts of its fingerprint.
#[utoipa::path(get, path = "/v1/defects/{fingerprint}", operation_id = "show_defect", tag = "operations", params(("fingerprint" = String, Path, description = "16 hex characters")),
    responses((status = 200, body = DefectBody)))]
async fn show(State(api): State<Api>, caller: Caller, path: InPath) -> Result<Response, Problem> {
    let row = api.visible_defect(&caller, &path, Action::ReadOperations).await?;
    let controls = api.engine().store().controls().await?;
    Ok(Answer(body(&api, row, &controls).await?).into_response())
}

/// Resumes the requests parked under a defect after its fix: one first, then the rest, paced.
#[utoipa::path(post, path = "/v1/defects/{fingerprint}/resume", operation_id = "resume_defect", tag = "operations", request_body = Option<Resume>,
    params(("fingerprint" = String, Path, description = "16 hex characters")), responses((status = 200, body = ControlBody)))]
async fn resume(
    State(api): State<Api>,
    caller: Caller,
    path: InPath,
    OptionalJson(resume): OptionalJson<Resume>,
) -> Result<Response, Problem> {
    let row = api.visible_defect(&caller, &path, Action::Operate).await?;
    let how = resume.how(caller.name())?;
    if let Some(version) = how.to_version
        && api.engine().processes().get(&row.process, version).is_none()
    {
        return Err(Problem::new(&kinds::INVALID, format!("`to_version`: there is no version {version} of {}", row.process)));
    }
    let row = api.engine().resume_group(&format!("defect:{}", row.fingerprint), how).await?;
    Ok(Answer(ControlBody::from(&row)).into_response())
}

impl Api {
    async fn visible_defect(&self, caller: &Caller, path: &InPath, action: Action) -> Result<DefectRow, Problem> {
        caller.require(action)?;
        match self.engine().store().defect(path.text("fingerprint")?).await {
            Ok(row) if caller.covers(&row.process) => Ok(row),
            Ok(_) | Err(StoreError::NotFound(_)) => Err(Problem::not_found("this defect")),
            Err(error) => Err(error.into()),
        }
    }
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show)).routes(routes!(resume))
}
