//! `/v1/events`: the events of all requests, for those who have no broker or missed something.

use axum::Json as Answer;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
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

/// An event.
#[derive(Debug, Serialize, ToSchema)]
struct EventBody {
    /// Its id: the same wherever it is delivered.
    id: Uuid,
    /// The routing key: `request.card_unbind.done`.
    topic: String,
    /// The request, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<Uuid>,
    /// The request's entry that it tells of: what a consumer orders by.
    seq: u64,
    /// When.
    at: Stamp,
    /// The `CloudEvent`.
    #[schema(value_type = Object)]
    event: Value,
}

/// A page of events.
#[derive(Debug, Serialize, ToSchema)]
struct EventList {
    /// Oldest first.
    items: Vec<EventBody>,
    /// Where to go on: the last event's id, also on the last page, so that a reader can come back later.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Uuid>,
}

/// The events of all requests, oldest first. They are kept for a while after they were published.
///
/// Workers write at the same time, so an event may appear a little before one that was already read: go back a few seconds
/// and drop what you know by its id where nothing may be missed.
#[utoipa::path(get, path = "/v1/events", operation_id = "list_events", tag = "operations",
    params(("after" = Option<Uuid>, Query, description = "Go on after this event"), ("limit" = Option<u64>, Query, description = "1 to 200 rows; default 50")),
    responses((status = 200, body = EventList)))]
async fn list(State(api): State<Api>, caller: Caller, query: Query) -> Result<Response, Problem> {
    caller.require_everywhere(Action::ReadAll)?;
    let (limit, after) = (query.limit()?, query.id("after")?);
    let rows = api.engine().store().events(after, limit).await?;
    let next = rows.last().map(|row| row.id).or(after);
    let items = rows.into_iter().map(|row| EventBody {
        id: row.id,
        topic: row.topic,
        request: row.request,
        seq: row.seq,
        at: row.at.into(),
        event: serde_json::from_slice(&row.body).unwrap_or_default(),
    });
    Ok(Answer(EventList { items: items.collect(), next }).into_response())
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list))
}
