//! `/v1/reviews/{id}/presence`: who has a review open at the moment, so that two people do not work out the same.
//!
//! It is no claim: it keeps nobody from anything, and nothing rests on it. Whoever has a review open says so every twenty seconds, and
//! is believed for some more, so that who has gone is forgotten without anybody telling. It is in the database, because the
//! next worker serves pages, too; and what was said just now is not written again.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json as Answer;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Api;
use super::auth::Caller;
use super::extract::{InPath, OptionalJson};
use super::permit::Action;
use super::problem::Problem;
use super::review_acts::{Act, Nothing, ReviewActBody};
use crate::domain::request::react::APPLIED;
use crate::domain::request::signal::person;
use crate::engine::ports::reviewing::PresenceRow;

/// So long somebody is believed who said that they have a review open.
const BELIEVED: Duration = Duration::from_secs(45);
/// Said again so soon, it is not written again.
const SAID: Duration = Duration::from_secs(15);
/// The most names that are told about a review.
const NAMES: usize = 5;
/// The most rows that are read for a page of a list.
const ROWS: usize = 1_000;
/// Nothing has changed that others are shown.
const UNCHANGED: &str = "unchanged";

impl Api {
    /// Who else has each of these reviews open.
    pub(super) async fn present(&self, reviews: &[Uuid], caller: &Caller) -> Result<BTreeMap<Uuid, Vec<String>>, Problem> {
        let now = self.engine().clock().now();
        Ok(others(self.engine().store().reviewing().present(reviews, now, ROWS).await?, caller))
    }
}

/// The names of the others, each once, whichever of their names they came under.
fn others(rows: Vec<PresenceRow>, caller: &Caller) -> BTreeMap<Uuid, Vec<String>> {
    let mut found: BTreeMap<Uuid, Vec<String>> = BTreeMap::new();
    for row in rows {
        let (names, name) = (found.entry(row.review).or_default(), person(&row.by));
        if name != person(caller.name()) && !names.iter().any(|known| known == name) && names.len() < NAMES {
            names.push(name.to_owned());
        }
    }
    found
}

/// Says that the caller has a review open: others are told so for 45 seconds. A page that stays open says it again every twenty
/// seconds. It holds nobody off; whoever wants that claims it.
#[utoipa::path(post, path = "/v1/reviews/{id}/presence", operation_id = "show_presence", tag = "reviews", request_body = Option<Nothing>, params(("id" = Uuid, Path, description = "The review")),
    responses((status = 200, description = "The review, with who else has it open; `applied` where the caller is news, `unchanged` where that was known, or the review is over", body = ReviewActBody)))]
async fn presence(
    State(api): State<Api>,
    caller: Caller,
    path: InPath,
    OptionalJson(Nothing {}): OptionalJson<Nothing>,
) -> Result<Response, Problem> {
    let act = Act::on(&api, &caller, &path, Action::Review).await?;
    let (reviewing, now, id) = (api.engine().store().reviewing(), api.engine().clock().now(), act.row.id);
    let rows = reviewing.present(&[id], now, ROWS).await?;
    let until = now.plus(BELIEVED);
    let known = rows.iter().find(|row| row.by == caller.name());
    // Whoever reads how something was decided keeps nobody from it.
    let open = act.row.state == "open";
    let answer = if open && known.is_none() { APPLIED } else { UNCHANGED };
    if open && known.is_none_or(|row| row.until.plus(SAID) <= until) {
        reviewing.be_present(&PresenceRow { review: id, by: caller.name().to_owned(), until }).await?;
    }
    let mut review = api.review_summary(&act.row);
    review.present = others(rows, &caller).remove(&id).unwrap_or_default();
    Ok(Answer(ReviewActBody { answer, review }).into_response())
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(presence))
}

#[cfg(test)]
mod tests {
    use super::super::auth::tests::caller;
    use super::*;
    use crate::domain::time::Time;

    #[test]
    fn others_are_told_by_name_and_each_once() {
        let id = Uuid::from_u128(1);
        let row = |by: &str| PresenceRow { review: id, by: by.to_owned(), until: Time(1) };
        let li = caller("li", &["reviewer"], &[]);
        let rows = ["chen", "li", "li@desk", "wang", "wang@desk"].map(row);
        assert_eq!(others(rows.to_vec(), &li)[&id], ["chen", "wang"]);
        let many = (0..9).map(|n| row(&format!("r{n}"))).collect();
        assert_eq!(others(many, &li)[&id].len(), NAMES);
    }
}
