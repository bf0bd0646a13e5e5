//! `/v1/decisions` and `/v1/looks`: who decided what, and who has seen what is masked elsewhere.

use axum::Json as Answer;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Api;
use super::auth::Caller;
use super::extract::{InPath, Json, Query};
use super::facts::masked_places;
use super::kinds;
use super::permit::Action;
use super::problem::Problem;
use super::review_view::ReviewBody;
use super::stamp::{Stamp, read_cursor, write_cursor};
use super::window::Window;
use crate::engine::ports::records::{DecisionFilter, ReviewRow};
use crate::engine::ports::sessions::{LookFilter, LookRow};

/// What can be decided.
pub(crate) const CHOICES: [&str; 7] = ["approve", "refuse", "retry", "amend", "ask_customer", "applied", "not_applied"];

/// A page of decisions.
#[derive(Debug, Serialize, ToSchema)]
struct DecisionList {
    /// The last ones first.
    items: Vec<ReviewBody>,
    /// The next page's `cursor`; left out on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// What is to be shown, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Reveal {
    /// JSON pointer to one masked value of the payload.
    #[schema(example = "/id_number")]
    field: String,
    /// Why it has to be seen: 1 to 500 characters; kept for ever.
    reason: String,
}

/// A masked value, shown once.
#[derive(Debug, Serialize, ToSchema)]
struct Revealed {
    /// The request.
    request: Uuid,
    /// JSON pointer to the value.
    field: String,
    /// The value.
    #[schema(value_type = Object)]
    value: Value,
}

/// Somebody has seen a masked value.
#[derive(Debug, Serialize, ToSchema)]
struct LookBody {
    /// Its id.
    id: Uuid,
    /// When.
    at: Stamp,
    /// Who.
    by: String,
    /// Of which request.
    request: Uuid,
    /// Which value: a JSON pointer into the payload.
    field: String,
    /// Why, in their words.
    reason: String,
}

impl From<LookRow> for LookBody {
    fn from(row: LookRow) -> LookBody {
        LookBody { id: row.id, at: row.at.into(), by: row.by, request: row.request, field: row.field, reason: row.reason }
    }
}

/// A page of looks.
#[derive(Debug, Serialize, ToSchema)]
struct LookList {
    /// The last ones first.
    items: Vec<LookBody>,
    /// The next page's `cursor`; left out on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Uuid>,
}

/// Decisions of people, the last ones first.
#[utoipa::path(get, path = "/v1/decisions", operation_id = "list_decisions", tag = "reviews",
    params(("process" = Option<Vec<String>>, Query, description = "Of one of these processes"),
        ("by" = Option<String>, Query, description = "Made by this person, as the first or the second"),
        ("choice" = Option<Vec<String>>, Query, description = "One of these choices; a page may have fewer rows than `limit` and a next one"),
        ("after" = Option<String>, Query, description = "Made at this time or later (RFC 3339)"),
        ("before" = Option<String>, Query, description = "Made before this time (RFC 3339)"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
        ("limit" = Option<u64>, Query, description = "1 to 200 rows; default 50")),
    responses((status = 200, body = DecisionList)))]
async fn decisions(State(api): State<Api>, caller: Caller, query: Query) -> Result<Response, Problem> {
    caller.require(Action::ReadReviews)?;
    let (limit, before) = (query.limit()?, query.one("cursor")?.map(read_cursor).transpose()?);
    let Some(processes) = caller.narrow(query.many("process")?) else {
        return Ok(Answer(DecisionList { items: Vec::new(), next: None }).into_response());
    };
    let by = query.text("by")?.map(|name| if name == "me" { caller.name().to_owned() } else { name });
    let (window, choices) = (Window::of(&query)?, query.words("choice", &CHOICES)?);
    let filter = DecisionFilter { processes, by };
    let closed = |row: &ReviewRow| row.closed_at.unwrap_or(row.due_at);
    let store = api.engine().store();
    let read = |from| store.decisions(&filter, from, limit);
    let wanted = |row: &ReviewRow| {
        let choice = row.decision.as_ref().map(|decision| decision.choice.as_str());
        choices.is_empty() || choice.is_some_and(|choice| choices.iter().any(|known| known == choice))
    };
    let key = |row: &ReviewRow| ((closed(row), row.id), closed(row));
    let (rows, next) = window.page(limit, window.begin(before), read, key, wanted).await?;
    let items = rows.iter().map(|row| api.review_summary(row)).collect();
    let next = next.map(|(at, id)| write_cursor(at, id));
    Ok(Answer(DecisionList { items, next }).into_response())
}

/// Shows one masked value of a request that is in review, to somebody who may answer its question.
///
/// That it was looked at, by whom and why is recorded first.
#[utoipa::path(post, path = "/v1/requests/{id}/reveal", operation_id = "reveal_value", tag = "requests", request_body = Reveal,
    params(("id" = Uuid, Path, description = "The request")), responses((status = 200, body = Revealed)))]
async fn reveal(State(api): State<Api>, caller: Caller, path: InPath, Json(reveal): Json<Reveal>) -> Result<Response, Problem> {
    caller.require(Action::Reveal)?;
    let id = path.id("id")?;
    api.visible(&caller, id).await?;
    let reason = reveal.reason.trim();
    if !(1..=500).contains(&reason.chars().count()) || reason.chars().any(char::is_control) {
        return Err(Problem::new(&kinds::INVALID, "`reason` is 1 to 500 characters without control characters"));
    }
    let loaded = api.engine().store().load(id).await?;
    let process = api.engine().processes().get(&loaded.row.process, loaded.row.version);
    let payload: Value = serde_json::from_slice(&loaded.payload).unwrap_or_default();
    let places = process.map(|process| masked_places(&payload, &process)).unwrap_or_default();
    let value = payload.pointer(&reveal.field).filter(|_| places.contains(&reveal.field)).cloned();
    let Some(value) = value else {
        return Err(Problem::new(&kinds::INVALID, "`field` is the JSON pointer of a masked value of this request"));
    };
    let review = match loaded.row.review {
        Some(review) => Some(api.visible_review(&caller, review, Action::Reveal).await?),
        None => None,
    };
    if !review.is_some_and(|review| caller.has_review_role(review.role.as_deref())) {
        let what = "masked values are shown while the request is in review, to those who may answer its question";
        return Err(Problem::new(&kinds::FORBIDDEN, what));
    }
    let clock = api.engine().clock();
    let (by, field, reason) = (caller.name().to_owned(), reveal.field, reason.to_owned());
    let look = LookRow { id: clock.id(), at: clock.now(), by, request: id, field: field.clone(), reason };
    api.engine().store().sessions().add_look(&look).await?;
    Ok(Answer(Revealed { request: id, field, value }).into_response())
}

/// Who has seen masked values, the last ones first. Those of one request are for all who may read it.
#[utoipa::path(get, path = "/v1/looks", operation_id = "list_looks", tag = "requests",
    params(("request" = Option<Uuid>, Query, description = "Of this request"),
        ("by" = Option<String>, Query, description = "By this person"),
        ("after" = Option<String>, Query, description = "Looked at at this time or later (RFC 3339)"),
        ("before" = Option<String>, Query, description = "Looked at before this time (RFC 3339)"),
        ("cursor" = Option<Uuid>, Query, description = "`next` of the page before"),
        ("limit" = Option<u64>, Query, description = "1 to 200 rows; default 50")),
    responses((status = 200, body = LookList)))]
async fn looks(State(api): State<Api>, caller: Caller, query: Query) -> Result<Response, Problem> {
    let (limit, cursor, request) = (query.limit()?, query.id("cursor")?, query.id("request")?);
    match request {
        Some(id) => {
            caller.require(Action::ReadRequests)?;
            api.visible(&caller, id).await?;
        }
        None => caller.require_everywhere(Action::ReadAll)?,
    }
    let (window, filter) = (Window::of(&query)?, LookFilter { by: query.text("by")?, request });
    let rows = api.engine().store().sessions().looks(&filter, window.begin_id(cursor), limit).await?;
    let more = rows.len() == limit && !rows.last().is_some_and(|row| window.passed(row.at));
    let next = rows.last().map(|row| row.id).filter(|_| more);
    let items = rows.into_iter().filter(|row| window.holds(row.at)).map(LookBody::from).collect();
    Ok(Answer(LookList { items, next }).into_response())
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(decisions)).routes(routes!(reveal)).routes(routes!(looks))
}
