//! `/v1/rejected`: messages that never became requests, and why. Their bytes are not shown: nobody knows what is in them.

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
use super::extract::Query;
use super::permit::Action;
use super::problem::Problem;
use super::stamp::Stamp;

/// A message that never became a request.
#[derive(Debug, Serialize, ToSchema)]
struct RejectedBody {
    /// Its id here.
    id: Uuid,
    /// Who sent it, as far as known.
    producer: String,
    /// Its id there, as far as known.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// How it came.
    channel: String,
    /// The process that it named, as far as known.
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<String>,
    /// A stable word: `bad_json`, `unknown_process`, `schema`, `too_large`, `key_conflict` …
    code: String,
    /// What, where and how to mend it.
    detail: String,
    /// How long it was, in bytes.
    length: u64,
    /// SHA-256 of the whole message, hex.
    sha256: String,
    /// When.
    at: Stamp,
}

/// A page of rejected messages.
#[derive(Debug, Serialize, ToSchema)]
struct RejectedList {
    /// Newest first.
    items: Vec<RejectedBody>,
    /// The next page's `cursor`; left out on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Uuid>,
}

/// Messages that never became requests, newest first.
#[utoipa::path(get, path = "/v1/rejected", operation_id = "list_rejected", tag = "operations",
    params(("cursor" = Option<Uuid>, Query, description = "`next` of the page before"), ("limit" = Option<u64>, Query, description = "1 to 200 rows; default 50")),
    responses((status = 200, body = RejectedList)))]
async fn list(State(api): State<Api>, caller: Caller, query: Query) -> Result<Response, Problem> {
    caller.require_everywhere(Action::ReadAll)?;
    let (limit, cursor) = (query.limit()?, query.id("cursor")?);
    let rows = api.engine().store().rejected(cursor, limit).await?;
    let next = (rows.len() == limit).then(|| rows.last().map(|row| row.id)).flatten();
    let items = rows.into_iter().map(|row| RejectedBody {
        id: row.id,
        producer: row.producer,
        message: row.message,
        channel: row.channel,
        process: row.process,
        code: row.code,
        detail: row.detail,
        length: row.raw_len,
        sha256: hex::encode(row.raw_sha256),
        at: row.at.into(),
    });
    Ok(Answer(RejectedList { items: items.collect(), next }).into_response())
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list))
}
