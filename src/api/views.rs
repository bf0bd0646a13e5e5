//! `/v1/views`: searches and filters that somebody gave a name, for everybody.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Api;
use super::auth::Caller;
use super::extract::{InPath, Json, Query, bad};
use super::kinds;
use super::permit::Action;
use super::problem::{Problem, ProblemBody};
use super::stamp::Stamp;
use crate::engine::ports::reviewing::ViewRow;

/// The most views of a place.
const MOST: usize = 100;
/// The longest name, in characters.
const NAME: usize = 60;
/// The longest query, in bytes.
const QUERY: usize = 500;

/// A view.
#[derive(Debug, Serialize, ToSchema)]
struct ViewBody {
    /// Its id.
    id: Uuid,
    /// `reviews`.
    place: String,
    /// Its name.
    name: String,
    /// The query of the console's list.
    query: String,
    /// Who saved it.
    by: String,
    /// When.
    at: Stamp,
}

impl From<ViewRow> for ViewBody {
    fn from(row: ViewRow) -> ViewBody {
        ViewBody { id: row.id, place: row.place, name: row.name, query: row.query, by: row.by, at: Stamp(row.at) }
    }
}

/// All views of a place.
#[derive(Debug, Serialize, ToSchema)]
struct ViewList {
    /// By name.
    items: Vec<ViewBody>,
}

/// A view that is to be saved.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewView {
    /// `reviews`.
    place: String,
    /// Its name, 1 to 60 characters; once per place.
    name: String,
    /// The query of the console's list; nothing personal belongs into it, since it is for everybody.
    #[schema(example = "tab=unassigned&process=card_unbind")]
    query: String,
}

/// Another name for a view.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Rename {
    /// 1 to 60 characters; once per place.
    name: String,
}

/// Who may see a place may see its views; who may write notes there, too, may save them. Lists of requests are no such place: they are
/// looked for by who asked, and what everybody reads holds nobody's number.
fn action(place: &str) -> Result<Action, Problem> {
    match place {
        "reviews" => Ok(Action::ReadReviews),
        _ => Err(Problem::new(&kinds::INVALID, "`place` is reviews")),
    }
}

/// The views of a place, by name.
#[utoipa::path(get, path = "/v1/views", operation_id = "list_views", tag = "views",
    params(("place" = Option<String>, Query, description = "`reviews`, which is the default")),
    responses((status = 200, body = ViewList)))]
async fn list(State(api): State<Api>, caller: Caller, query: Query) -> Result<Response, Problem> {
    let place = query.text("place")?.unwrap_or_else(|| "reviews".to_owned());
    caller.require(action(&place).map_err(|_| bad("place", "is `reviews`"))?)?;
    let rows = api.engine().store().reviewing().views(&place, MOST).await?;
    Ok(Answer(ViewList { items: rows.into_iter().map(ViewBody::from).collect() }).into_response())
}

/// Saves a view for everybody.
#[utoipa::path(post, path = "/v1/views", operation_id = "save_view", tag = "views", request_body = NewView,
    responses((status = 201, body = ViewBody),
        (status = 409, description = "The place has one of this name", body = ProblemBody, content_type = "application/problem+json")))]
async fn save(State(api): State<Api>, caller: Caller, Json(new): Json<NewView>) -> Result<Response, Problem> {
    caller.require(action(&new.place)?)?;
    caller.require(Action::Note)?;
    let name = check_name(&new.name)?;
    if new.query.len() > QUERY || !new.query.bytes().all(|byte| byte.is_ascii_graphic()) || new.query.contains('#') {
        return Err(Problem::new(&kinds::INVALID, format!("`query` is at most {QUERY} characters, encoded as in an address")));
    }
    let reviewing = api.engine().store().reviewing();
    if reviewing.views(&new.place, MOST).await?.len() >= MOST {
        return Err(Problem::new(&kinds::INVALID, format!("there are {MOST} views already; remove one first")));
    }
    let (id, at) = (api.engine().clock().id(), api.engine().clock().now());
    let row = ViewRow { id, place: new.place, name, query: new.query, by: caller.name().to_owned(), at };
    let record = api.act_of(&caller, "view_saved", None, format!("{}: {}", row.name, row.query));
    if !reviewing.add_view(&row, &record).await? {
        return Err(taken(&row.name));
    }
    Ok((StatusCode::CREATED, Answer(ViewBody::from(row))).into_response())
}

/// Gives a view another name: one's own, or anybody's for an operator.
#[utoipa::path(post, path = "/v1/views/{id}/rename", operation_id = "rename_view", tag = "views", request_body = Rename, params(("id" = Uuid, Path, description = "The view")),
    responses((status = 200, body = ViewBody),
        (status = 409, description = "The place has one of this name", body = ProblemBody, content_type = "application/problem+json")))]
async fn rename(
    State(api): State<Api>,
    caller: Caller,
    path: InPath,
    Json(Rename { name }): Json<Rename>,
) -> Result<Response, Problem> {
    let row = changeable(&api, &caller, &path).await?;
    let name = check_name(&name)?;
    let record = api.act_of(&caller, "view_renamed", None, format!("{} -> {name}", row.name));
    if !api.engine().store().reviewing().rename_view(row.id, &name, &record).await? {
        return Err(taken(&name));
    }
    Ok(Answer(ViewBody::from(ViewRow { name, ..row })).into_response())
}

/// Removes a view: one's own, or anybody's for an operator.
#[utoipa::path(delete, path = "/v1/views/{id}", operation_id = "remove_view", tag = "views", params(("id" = Uuid, Path, description = "The view")),
    responses((status = 204)))]
async fn remove(State(api): State<Api>, caller: Caller, path: InPath) -> Result<Response, Problem> {
    let row = changeable(&api, &caller, &path).await?;
    let record = api.act_of(&caller, "view_removed", None, format!("{} of {}", row.name, row.by));
    api.engine().store().reviewing().remove_view(row.id, &record).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The view, where the caller may change it.
async fn changeable(api: &Api, caller: &Caller, path: &InPath) -> Result<ViewRow, Problem> {
    let row = api.engine().store().reviewing().view(path.id("id")?).await?;
    caller.require(action(&row.place)?)?;
    caller.require(if row.by == caller.name() { Action::Note } else { Action::Operate })?;
    Ok(row)
}

fn check_name(name: &str) -> Result<String, Problem> {
    let name = name.trim();
    if !(1..=NAME).contains(&name.chars().count()) || name.chars().any(char::is_control) {
        return Err(Problem::new(&kinds::INVALID, format!("`name` is 1 to {NAME} characters without control characters")));
    }
    Ok(name.to_owned())
}

fn taken(name: &str) -> Problem {
    Problem::new(&kinds::EXISTS, format!("there is a view `{name}` already"))
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list, save)).routes(routes!(rename)).routes(routes!(remove))
}
