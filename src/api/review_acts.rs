//! What reviewers do: claim, release, decide, escalate, note.
//!
//! Two people look at the same question. The claim is a lease, so that they see each other; the version is what decides: a
//! decision on what has changed since is refused together with how it is now, and nothing is lost or done twice.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Api;
use super::auth::Caller;
use super::extract::{InPath, Json, Key, OptionalJson};
use super::kinds;
use super::permit::Action;
use super::problem::{Problem, ProblemBody};
use super::request_acts::{Note, check_note, check_reason};
use super::review_view::ReviewBody;
use super::setting_aside::read_hold;
use crate::domain::request::react::APPLIED;
use crate::domain::request::signal::{Decision, Signal, person};
use crate::domain::words::Choice;
use crate::engine::ports::records::ReviewRow;
use crate::engine::ports::store::ReviewAct;
use crate::engine::service::{Acted, ReviewAnswer, Told};

/// How long a claim lasts; claiming again renews it.
pub(super) const CLAIM: Duration = Duration::from_mins(15);
/// How long a decision waits for the request's owner.
const PATIENCE: Duration = Duration::from_secs(5);

/// How a review is claimed.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
struct Claim {
    /// Take it over from somebody else; needs a note.
    steal: bool,
    /// Why it is taken over.
    note: Option<String>,
}

/// A decision.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Decide {
    /// The review's version that was shown.
    version: u32,
    /// One of the review's choices.
    #[schema(value_type = String, example = "approve")]
    choice: Choice,
    /// The refusal's reason: one of the process's.
    #[serde(default)]
    reason: Option<String>,
    /// Why; or, for `ask_customer`, what the customer is asked.
    note: String,
    /// For `amend`: fields of the payload with their new values.
    #[serde(default)]
    #[schema(value_type = Object)]
    fields: BTreeMap<String, Value>,
    /// Takes effect only after this long, at most `1m`, and can be taken back until then.
    #[serde(default)]
    #[schema(example = "5s")]
    hold: Option<String>,
}

/// Nothing.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// What came of it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReviewActBody {
    /// `applied`; `held`: it can still be taken back; `undone`: it was; `pending`: the request's owner has not answered yet; `second_needed`: another person must decide too; `set_aside`: the first person decided otherwise, and two must decide anew; `unchanged`: of presence, what was known.
    pub(super) answer: &'static str,
    /// The review as it is now.
    pub(super) review: ReviewBody,
}

/// Why an act on a review was not done.
#[derive(Debug)]
enum NotDone {
    Stale,
    /// By whom.
    Taken(String),
    Refused(String),
}

impl NotDone {
    fn problem(self, api: &Api, caller: &Caller, row: &ReviewRow) -> Problem {
        let problem = match self {
            NotDone::Stale => {
                let what = match row.state.as_str() {
                    "open" => format!("it is at version {} now", row.version),
                    state => format!("it is {state} now"),
                };
                Problem::new(&kinds::STALE, format!("the review has changed since you looked: {what}"))
            }
            NotDone::Taken(by) if person(&by) == caller.name() => {
                Problem::new(&kinds::TAKEN, "you decided first; a second person must decide too")
            }
            NotDone::Taken(by) => Problem::new(&kinds::TAKEN, format!("{by} is working on it")),
            NotDone::Refused(why) => Problem::new(&kinds::NOT_APPLIED, why),
        };
        problem.with("current", api.review_summary(row))
    }
}

/// One act on one review.
pub(super) struct Act<'a> {
    pub(super) api: &'a Api,
    pub(super) caller: &'a Caller,
    pub(super) row: ReviewRow,
}

impl<'a> Act<'a> {
    /// The review, where the caller may do this to it.
    pub(super) async fn on(api: &'a Api, caller: &'a Caller, path: &InPath, action: Action) -> Result<Act<'a>, Problem> {
        let row = api.visible_review(caller, path.id("id")?, action).await?;
        if action == Action::Review && !caller.has_review_role(row.role.as_deref()) {
            let role = row.role.unwrap_or_default();
            return Err(Problem::new(&kinds::FORBIDDEN, format!("this review is for the reviewers' role `{role}`")));
        }
        Ok(Act { api, caller, row })
    }

    pub(super) async fn act(&self, act: ReviewAct, signal_id: Uuid) -> Result<Response, Problem> {
        let ReviewAnswer { row, came } = self.api.engine().review_act(&self.row, act, signal_id, PATIENCE).await?;
        let not_done = |why: NotDone, row| Err(why.problem(self.api, self.caller, row));
        let answer = match came {
            Acted::Applied => APPLIED,
            Acted::SecondNeeded => "second_needed",
            Acted::SetAside => "set_aside",
            Acted::Pending => "pending",
            Acted::Refused(why) => return not_done(NotDone::Refused(why), &row),
            Acted::Ended(outcome) => return Err(super::requests::ended(outcome)),
            Acted::Stale => return not_done(NotDone::Stale, &row),
            Acted::Taken { by } => return not_done(NotDone::Taken(by), &row),
        };
        let status = if answer == "pending" { StatusCode::ACCEPTED } else { StatusCode::OK };
        Ok((status, Answer(ReviewActBody { answer, review: self.api.review_summary(&row) })).into_response())
    }

    pub(super) fn fresh(&self) -> Uuid {
        self.api.engine().clock().id()
    }

    /// It is not what the caller saw.
    pub(super) fn stale(&self, row: &ReviewRow) -> Problem {
        NotDone::Stale.problem(self.api, self.caller, row)
    }

    pub(super) async fn note(&self, id: Uuid, text: String) -> Result<Told, Problem> {
        let signal = Signal::Note { by: self.caller.name().to_owned(), text };
        Ok(self.api.engine().send(self.row.request, id, signal, Duration::ZERO).await?)
    }
}

/// Takes a review, or renews the claim: 15 minutes. Others see who works on it and cannot decide meanwhile.
#[utoipa::path(post, path = "/v1/reviews/{id}/claim", operation_id = "claim_review", tag = "reviews", request_body = Option<Claim>, params(("id" = Uuid, Path, description = "The review")),
    responses((status = 200, body = ReviewActBody),
        (status = 409, description = "It is not open any more; `current`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 423, description = "Somebody else holds it; `current`", body = ProblemBody, content_type = "application/problem+json")))]
async fn claim(
    State(api): State<Api>,
    caller: Caller,
    path: InPath,
    OptionalJson(claim): OptionalJson<Claim>,
) -> Result<Response, Problem> {
    let act = Act::on(&api, &caller, &path, Action::Review).await?;
    let note = claim.note.as_deref().map(check_note).transpose()?;
    if claim.steal && note.is_none() {
        return Err(Problem::new(&kinds::INVALID, "`note` says why it is taken over"));
    }
    act.not_held().await?;
    let until = api.engine().clock().now().plus(CLAIM);
    let claimed = act.act(ReviewAct::Claim { by: caller.name().to_owned(), until, steal: claim.steal }, act.fresh()).await?;
    // Who takes it up wants to see it again.
    api.engine().store().reviewing().wake(act.row.id, &act.record("review_woken", String::new())).await?;
    if let Some(note) = note {
        act.note(act.fresh(), note).await?;
    }
    Ok(claimed)
}

/// Gives a claimed review back.
#[utoipa::path(post, path = "/v1/reviews/{id}/release", operation_id = "release_review", tag = "reviews", request_body = Option<Nothing>, params(("id" = Uuid, Path, description = "The review")),
    responses((status = 200, body = ReviewActBody),
        (status = 409, description = "It is not open any more; `current`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 423, description = "Somebody else holds it; `current`", body = ProblemBody, content_type = "application/problem+json")))]
async fn release(
    State(api): State<Api>,
    caller: Caller,
    path: InPath,
    OptionalJson(Nothing {}): OptionalJson<Nothing>,
) -> Result<Response, Problem> {
    let act = Act::on(&api, &caller, &path, Action::Review).await?;
    act.not_held().await?;
    act.act(ReviewAct::Release { by: caller.name().to_owned() }, act.fresh()).await
}

/// Answers the question.
///
/// Where four eyes are asked for, the first decision is kept and a second person must come to the same.
#[utoipa::path(post, path = "/v1/reviews/{id}/decide", operation_id = "decide_review", tag = "reviews", request_body = Decide,
    params(("id" = Uuid, Path, description = "The review"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition safe")),
    responses((status = 200, description = "Decided, or kept until a second person decides", body = ReviewActBody),
        (status = 202, description = "Stored; the request's owner has not answered yet, or it is held", body = ReviewActBody),
        (status = 409, description = "It has changed since you looked, or was not applied; `current`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 423, description = "Somebody else holds it, or must be the second; `current`", body = ProblemBody, content_type = "application/problem+json")))]
async fn decide(
    State(api): State<Api>,
    caller: Caller,
    path: InPath,
    key: Key,
    Json(decide): Json<Decide>,
) -> Result<Response, Problem> {
    let act = Act::on(&api, &caller, &path, Action::Review).await?;
    let decision = Decision {
        review: act.row.id,
        choice: decide.choice,
        by: caller.name().to_owned(),
        first_by: None,
        first_note: None,
        reason: check_reason(decide.reason)?,
        note: check_note(&decide.note)?,
        fields: decide.fields,
    };
    let signal_id = key.signal_id(caller.name(), "decide", act.row.id, act.fresh());
    if let Some(length) = read_hold(decide.hold.as_deref())? {
        return act.hold(decide.version, decision, signal_id, length).await;
    }
    act.not_held_as(Some(signal_id)).await?;
    act.act(ReviewAct::Decide { version: decide.version, decision }, signal_id).await
}

/// Raises a review's level and gives it back, for somebody who may know more; whoever held it does so no longer.
#[utoipa::path(post, path = "/v1/reviews/{id}/escalate", operation_id = "escalate_review", tag = "reviews", request_body = Note, params(("id" = Uuid, Path, description = "The review")),
    responses((status = 200, body = ReviewActBody),
        (status = 409, description = "It is not open any more; `current`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 423, description = "A decision of somebody waits; `current`", body = ProblemBody, content_type = "application/problem+json")))]
async fn escalate(
    State(api): State<Api>,
    caller: Caller,
    path: InPath,
    Json(Note { note }): Json<Note>,
) -> Result<Response, Problem> {
    let act = Act::on(&api, &caller, &path, Action::Escalate).await?;
    let note = check_note(&note)?;
    act.not_held().await?;
    let escalated = act.act(ReviewAct::Escalate { by: caller.name().to_owned() }, act.fresh()).await?;
    act.note(act.fresh(), note).await?;
    Ok(escalated)
}

/// Writes a note into the ledger of the review's request.
#[utoipa::path(post, path = "/v1/reviews/{id}/notes", operation_id = "note_review", tag = "reviews", request_body = Note,
    params(("id" = Uuid, Path, description = "The review"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition safe")),
    responses((status = 202, description = "Stored; the request's owner writes it down", body = ReviewActBody),
        (status = 409, description = "The request has ended", body = ProblemBody, content_type = "application/problem+json")))]
async fn note(
    State(api): State<Api>,
    caller: Caller,
    path: InPath,
    key: Key,
    Json(Note { note }): Json<Note>,
) -> Result<Response, Problem> {
    let act = Act::on(&api, &caller, &path, Action::Note).await?;
    let id = key.signal_id(caller.name(), "note", act.row.id, act.fresh());
    match act.note(id, check_note(&note)?).await? {
        Told::Ended(outcome) => Err(super::requests::ended(outcome)),
        Told::Answer(_) | Told::Pending => {
            let body = ReviewActBody { answer: "pending", review: api.review_summary(&act.row) };
            Ok((StatusCode::ACCEPTED, Answer(body)).into_response())
        }
    }
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(claim))
        .routes(routes!(release))
        .routes(routes!(decide))
        .routes(routes!(escalate))
        .routes(routes!(note))
}
