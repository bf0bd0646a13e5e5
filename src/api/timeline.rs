//! `/v1/requests/{id}/timeline`: the ledger, entry by entry, each with its hash.

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
use super::extract::{InPath, Query};
use super::facts::{EntryBody, Reader, show as show_entry};
use super::problem::Problem;
use crate::domain::request::chain::Entry;
use crate::engine::ports::records::RequestRow;

/// A page of a ledger.
#[derive(Debug, Serialize, ToSchema)]
struct Timeline {
    /// The request.
    request: Uuid,
    /// Oldest first.
    items: Vec<EntryBody>,
    /// The next page's `cursor`; left out on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

/// What happened to a request, oldest first. Submitters see how far it is, staff what happened and who did it.
#[utoipa::path(get, path = "/v1/requests/{id}/timeline", operation_id = "show_timeline", tag = "requests",
    params(
        ("id" = Uuid, Path, description = "The request"),
        ("cursor" = Option<u64>, Query, description = "`next` of the page before, or the number of the last entry seen"),
        ("limit" = Option<u64>, Query, description = "1 to 200 entries; default 50"),
    ),
    responses((status = 200, body = Timeline)))]
async fn show(State(api): State<Api>, caller: Caller, path: InPath, query: Query) -> Result<Response, Problem> {
    let (id, limit, after) = (path.id("id")?, query.limit()?, query.number("cursor")?.unwrap_or(0));
    let row = api.visible(&caller, id).await?;
    let entries = api.engine().store().entries(id, after, limit).await?;
    let next = (entries.len() == limit).then(|| entries.last().map(|entry| entry.seq)).flatten().filter(|seq| *seq < row.seq);
    let items = api.shown(&row, &entries, caller.reader())?;
    Ok(Answer(Timeline { request: id, items, next }).into_response())
}

impl Api {
    /// Entries as they may be shown.
    pub(super) fn shown(&self, row: &RequestRow, entries: &[Entry], reader: Reader) -> Result<Vec<EntryBody>, Problem> {
        let process = self.engine().processes().get(&row.process, row.version);
        let shown = entries.iter().map(|entry| show_entry(entry, process.as_deref(), reader));
        shown.collect::<Result<_, _>>().map_err(|error| Problem::internal(&error))
    }
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(show))
}
