//! `/v1/acts`: what people did that no request's ledger says; and whether who decided something for later still may, when later comes.

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
use super::window::Window;
use crate::domain::request::signal::Decision;
use crate::engine::ports::records::ReviewRow;
use crate::engine::ports::reviewing::ActRow;
use crate::engine::ports::store::StoreError;
use crate::engine::service::{Engine, EngineError};

/// What people do that no request's ledger says.
pub(crate) const KINDS: [&str; 13] = [
    "decision_undone",
    "review_taken_over",
    "review_released",
    "review_escalated",
    "review_snoozed",
    "review_woken",
    "view_saved",
    "view_renamed",
    "view_removed",
    "batch_stopped",
    "dependency_tripped",
    "dependency_reset",
    "group_resumed",
];

/// Something that somebody did.
#[derive(Debug, Serialize, ToSchema)]
struct DoneBody {
    /// Its id.
    id: Uuid,
    /// When.
    at: Stamp,
    /// Who.
    by: String,
    /// What: `decision_undone`, `review_taken_over`, `review_released`, `review_escalated`, `review_snoozed`, `review_woken`,
    /// `view_saved`, `view_renamed`, `view_removed`, `batch_stopped`, `dependency_tripped`, `dependency_reset` or `group_resumed`.
    what: String,
    /// About which request.
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<Uuid>,
    /// About which review.
    #[serde(skip_serializing_if = "Option::is_none")]
    review: Option<Uuid>,
    /// Which choice was taken back, who had the review, which view, whose batch, which dependency or defect and why; may be empty.
    detail: String,
}

impl From<ActRow> for DoneBody {
    fn from(row: ActRow) -> DoneBody {
        let ActRow { id, at, by, what, request, review, detail } = row;
        DoneBody { id, at: at.into(), by, what, request, review, detail }
    }
}

/// A page of acts.
#[derive(Debug, Serialize, ToSchema)]
struct DoneList {
    /// The last ones first.
    items: Vec<DoneBody>,
    /// The next page's `cursor`; left out on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Uuid>,
}

/// What people did beside deciding and looking, the last ones first.
#[utoipa::path(get, path = "/v1/acts", operation_id = "list_acts", tag = "reviews",
    params(("by" = Option<String>, Query, description = "By this person"),
        ("what" = Option<Vec<String>>, Query, description = "One of these; a page may have fewer rows than `limit` and a next one"),
        ("after" = Option<String>, Query, description = "Done at this time or later (RFC 3339)"),
        ("before" = Option<String>, Query, description = "Done before this time (RFC 3339)"),
        ("cursor" = Option<Uuid>, Query, description = "`next` of the page before"),
        ("limit" = Option<u64>, Query, description = "1 to 200 rows; default 50")),
    responses((status = 200, body = DoneList)))]
async fn list(State(api): State<Api>, caller: Caller, query: Query) -> Result<Response, Problem> {
    caller.require_everywhere(Action::ReadAll)?;
    let (limit, cursor, by) = (query.limit()?, query.id("cursor")?, query.text("by")?);
    let (window, kinds) = (Window::of(&query)?, query.words("what", &KINDS)?);
    let reviewing = api.engine().store().reviewing();
    let read = |from| reviewing.acts(by.as_deref(), from, limit);
    let wanted = |row: &ActRow| kinds.is_empty() || kinds.contains(&row.what);
    let (rows, next) = window.page(limit, window.begin_id(cursor), read, |row| (row.id, row.at), wanted).await?;
    let items = rows.into_iter().map(DoneBody::from).collect();
    Ok(Answer(DoneList { items, next }).into_response())
}

impl Api {
    /// What the caller does now, for the record.
    pub(super) fn act_of(&self, caller: &Caller, what: &str, review: Option<&ReviewRow>, detail: String) -> ActRow {
        let clock = self.engine().clock();
        ActRow {
            id: clock.id(),
            at: clock.now(),
            by: caller.name().to_owned(),
            what: what.to_owned(),
            request: review.map(|review| review.request),
            review: review.map(|review| review.id),
            detail,
        }
    }
}

/// May who decided this still do so? Their rights were looked at when they decided; it takes effect only now, and they may have been
/// taken away meanwhile. What was sent before is not looked at again: it has happened.
///
/// # Errors
/// The store failed.
pub(super) async fn may_still(
    engine: &Engine,
    decision: &Decision,
    signal_id: Uuid,
    review: &ReviewRow,
) -> Result<bool, EngineError> {
    if review.decision.as_ref() == Some(decision) {
        return Ok(true);
    }
    match engine.store().signal_answer(signal_id).await {
        Ok(_) => return Ok(true),
        Err(StoreError::NotFound(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let rights = engine.store().sessions().rights_of(&decision.by, engine.clock().now()).await?;
    Ok(rights.iter().map(Caller::signed_in).any(|caller| {
        caller.may(Action::Review) && caller.covers(&review.process) && caller.has_review_role(review.role.as_deref())
    }))
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list))
}
