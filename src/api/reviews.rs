//! `/v1/reviews`: the questions put to people, those that are due first.

use std::collections::BTreeMap;

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
use super::extract::{InPath, Query, bad};
use super::permit::Action;
use super::problem::Problem;
use super::review_view::{ReviewBody, ReviewPage, page, summary};
use super::stamp::{read_cursor, write_cursor};
use crate::domain::request::signal::person;
use crate::engine::ports::records::{ReviewFilter, ReviewRow};
use crate::engine::ports::store::StoreError;

/// The states of a review.
const STATES: [&str; 4] = ["open", "deciding", "decided", "cancelled"];

/// A page of reviews.
#[derive(Debug, Serialize, ToSchema)]
struct ReviewList {
    /// Those that are due first.
    items: Vec<ReviewBody>,
    /// The next page's `cursor`; left out on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Questions put to people, those that are due first.
///
/// A reviewer sees those for its own reviewers' roles and those for any; operators, auditors and admins see all.
#[utoipa::path(get, path = "/v1/reviews", operation_id = "list_reviews", tag = "reviews",
    params(
        ("state" = Option<Vec<String>>, Query, description = "In one of these states: open, deciding, decided, cancelled; default open"),
        ("process" = Option<Vec<String>>, Query, description = "Of one of these processes"),
        ("role" = Option<Vec<String>>, Query, description = "For one of these reviewers' roles, or for any reviewer"),
        ("name" = Option<String>, Query, description = "With this name in the process"),
        ("claimed_by" = Option<String>, Query, description = "Held by this reviewer; `me` is the caller"),
        ("unclaimed" = Option<bool>, Query, description = "`true`: held by nobody"),
        ("second" = Option<bool>, Query, description = "`true`: one person has decided, a second one must"),
        ("first_by" = Option<String>, Query, description = "This person has decided, and a second one must; `me` is the caller"),
        ("snoozed" = Option<bool>, Query, description = "`true`: put aside; `false`: not put aside; left out: both"),
        ("request" = Option<Uuid>, Query, description = "About this request"),
        ("present" = Option<bool>, Query, description = "`false`: without who has each of them open, which saves a look where nobody wants to know; default `true`"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
        ("limit" = Option<u64>, Query, description = "1 to 200 rows; default 50"),
    ),
    responses((status = 200, body = ReviewList)))]
async fn list(State(api): State<Api>, caller: Caller, query: Query) -> Result<Response, Problem> {
    caller.require(Action::ReadReviews)?;
    let (limit, after) = (query.limit()?, query.one("cursor")?.map(read_cursor).transpose()?);
    let now = api.engine().clock().now();
    let claimed_by = query.text("claimed_by")?.map(|name| if name == "me" { caller.name().to_owned() } else { name });
    let unclaimed = query.yes("unclaimed")?;
    let looks = query.words("present", &["true", "false"])?.first().is_none_or(|word| word == "true");
    if unclaimed && claimed_by.is_some() {
        return Err(bad("unclaimed", "and `claimed_by` are not given together"));
    }
    let first_by = query.text("first_by")?.map(|name| if name == "me" { caller.name().to_owned() } else { name });
    let Some(processes) = caller.narrow(query.many("process")?) else {
        return Ok(Answer(ReviewList { items: Vec::new(), next: None }).into_response());
    };
    let filter = ReviewFilter {
        processes,
        states: query.words("state", &STATES)?,
        roles: caller.roles_filter(query.many("role")?),
        name: query.text("name")?,
        claimed_by: claimed_by.map(|by| (by, now)),
        unclaimed_at: unclaimed.then_some(now),
        request: query.id("request")?,
        second: query.yes("second")? || first_by.is_some(),
        // Whichever of their names they decided under.
        first_by: first_by.map(|name| person(&name).to_owned()),
        snoozed: query.words("snoozed", &["true", "false"])?.first().map(|word| (word == "true", now)),
    };
    let rows = api.engine().store().reviews(&filter, after, limit).await?;
    let next = (rows.len() == limit).then(|| rows.last().map(|row| write_cursor(row.due_at, row.id))).flatten();
    let ids: Vec<Uuid> = rows.iter().filter(|row| row.state == "open").map(|row| row.id).collect();
    let mut present = if ids.is_empty() || !looks { BTreeMap::new() } else { api.present(&ids, &caller).await? };
    let item = |row: &ReviewRow| {
        let mut review = api.review_summary(row);
        review.present = present.remove(&row.id).unwrap_or_default();
        review
    };
    let mut items: Vec<ReviewBody> = rows.iter().map(item).collect();
    let mut aside = if ids.is_empty() { BTreeMap::new() } else { api.put_aside(&ids).await? };
    for (row, review) in rows.iter().zip(&mut items) {
        review.snoozed = aside.remove(&row.id);
    }
    Ok(Answer(ReviewList { items, next }).into_response())
}

/// One question, with everything that is needed to answer it.
#[utoipa::path(get, path = "/v1/reviews/{id}", operation_id = "show_review", tag = "reviews", params(("id" = Uuid, Path, description = "The review")),
    responses((status = 200, body = ReviewPage)))]
async fn show(State(api): State<Api>, caller: Caller, path: InPath) -> Result<Response, Problem> {
    let row = api.visible_review(&caller, path.id("id")?, Action::ReadReviews).await?;
    let loaded = api.engine().store().load(row.request).await?;
    let process = api.engine().processes().get(&row.process, row.process_version);
    let now = api.engine().clock().now();
    let mut page = page(&row, &loaded, process.as_deref(), now).map_err(|error| Problem::internal(&error))?;
    (page.review.held, page.review.not_applied, page.review.snoozed) = api.aside(&row, &caller).await?;
    if row.state == "open" {
        page.review.present = api.present(&[row.id], &caller).await?.remove(&row.id).unwrap_or_default();
    }
    Ok(Answer(page).into_response())
}

impl Caller {
    /// The reviewers' roles that a list is narrowed to; `None`: no matter which.
    fn roles_filter(&self, asked: Vec<String>) -> Option<Vec<String>> {
        let sees_all = self.may(Action::ReadOperations);
        let own = &self.token().review_roles;
        match (sees_all, asked.is_empty()) {
            (true, true) => None,
            (true, false) => Some(asked),
            (false, true) => Some(own.clone()),
            (false, false) => Some(asked.into_iter().filter(|role| own.contains(role)).collect()),
        }
    }
}

impl Api {
    /// A review's row, where the caller may see its request and do this to it.
    pub(super) async fn visible_review(&self, caller: &Caller, id: Uuid, action: Action) -> Result<ReviewRow, Problem> {
        caller.require(action)?;
        match self.engine().store().review(id).await {
            Ok(row) if caller.covers(&row.process) => Ok(row),
            Ok(_) | Err(StoreError::NotFound(_)) => Err(Problem::not_found("this review")),
            Err(error) => Err(error.into()),
        }
    }

    /// A review for lists.
    pub(super) fn review_summary(&self, row: &ReviewRow) -> ReviewBody {
        let process = self.engine().processes().get(&row.process, row.process_version);
        summary(row, process.as_deref(), self.engine().clock().now())
    }
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show))
}

#[cfg(test)]
mod tests {
    use super::super::auth::tests::caller;

    #[test]
    fn reviewers_see_their_roles() {
        let asked = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let reviewer = caller("li", &["reviewer"], &[]);
        assert_eq!(reviewer.roles_filter(asked(&[])), Some(asked(&["identity"])));
        assert_eq!(reviewer.roles_filter(asked(&["money"])), Some(asked(&[])));
        assert_eq!(reviewer.roles_filter(asked(&["money", "identity"])), Some(asked(&["identity"])));
        let auditor = caller("wu", &["auditor"], &[]);
        assert_eq!(auditor.roles_filter(asked(&[])), None);
        assert_eq!(auditor.roles_filter(asked(&["money"])), Some(asked(&["money"])));
    }
}
