//! What people and front ends do to a request: withdraw, supplement, try again, put to a person, note.
//!
//! None of it changes the request here: each is a signal that the request's owner answers, because an intent and a withdrawal
//! must meet in one place. So an answer is one of three: done, not done and why, or not answered yet (202).

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
use super::extract::{InPath, Json, Key, OptionalJson, Query};
use super::kinds;
use super::permit::Action;
use super::problem::{Problem, ProblemBody};
use super::requests::ended;
use crate::domain::request::amend;
use crate::domain::request::react::APPLIED;
use crate::domain::request::signal::Signal;
use crate::domain::request::state::Phase;
use crate::engine::drive::replay;
use crate::engine::service::Told;

/// How long an act waits for the owner's answer when the caller says nothing.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest note, in characters.
pub(super) const MAX_NOTE: usize = 4000;

/// Fields that the customer was asked for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Supplement {
    /// Fields of the payload with their new values.
    #[schema(value_type = Object)]
    fields: BTreeMap<String, Value>,
}

/// A note.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Note {
    /// 1 to 4000 characters; part of the ledger for ever, so nothing sensitive.
    pub(super) note: String,
}

/// Why it is taken back.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Withdrawal {
    /// 1 to 4000 characters, for those who look at it later; part of the ledger for ever, so nothing sensitive. May be left out.
    note: Option<String>,
}

/// Nothing.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// What came of it.
#[derive(Debug, Serialize, ToSchema)]
struct ActBody {
    /// The request.
    request: Uuid,
    /// `applied`; or `pending`: it is stored, and the request's owner has not answered yet.
    answer: &'static str,
}

/// How an owner's answer is told.
fn answer(request: Uuid, told: Told) -> Result<Response, Problem> {
    match told {
        Told::Answer(answer) if answer == APPLIED => Ok(Answer(ActBody { request, answer: APPLIED }).into_response()),
        Told::Answer(why) => Err(Problem::new(&kinds::NOT_APPLIED, why)),
        Told::Pending => Ok((StatusCode::ACCEPTED, Answer(ActBody { request, answer: "pending" })).into_response()),
        Told::Ended(outcome) => Err(ended(outcome)),
    }
}

/// A note that may be stored.
pub(super) fn check_note(note: &str) -> Result<String, Problem> {
    let note = note.trim();
    let fits =
        (1..=MAX_NOTE).contains(&note.chars().count()) && !note.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t'));
    if fits {
        Ok(note.to_owned())
    } else {
        Err(Problem::new(&kinds::INVALID, format!("`note` is 1 to {MAX_NOTE} characters without control characters")))
    }
}

/// The longest name of a reason, in bytes.
const MAX_REASON: usize = 128;

/// A refusal's reason as it was sent: a name of the process's, so nothing long and no control characters.
pub(super) fn check_reason(reason: Option<String>) -> Result<Option<String>, Problem> {
    if reason.as_ref().is_some_and(|reason| reason.len() > MAX_REASON || reason.chars().any(char::is_control)) {
        return Err(Problem::new(&kinds::INVALID, format!("`reason` is a name of at most {MAX_REASON} bytes")));
    }
    Ok(reason)
}

/// One act on one request.
struct Act<'a> {
    api: &'a Api,
    caller: &'a Caller,
    id: Uuid,
    wait: Duration,
}

impl<'a> Act<'a> {
    fn new(api: &'a Api, caller: &'a Caller, path: &InPath, query: &Query) -> Result<Act<'a>, Problem> {
        let asked = query.wait(api.settings().max_wait)?;
        let wait = if query.one("wait")?.is_some() { asked } else { PATIENCE };
        Ok(Act { api, caller, id: path.id("id")?, wait })
    }

    async fn send(self, action: Action, what: &str, key: &Key, signal: Signal) -> Result<Response, Problem> {
        self.caller.require(action)?;
        self.api.visible(self.caller, self.id).await?;
        let engine = self.api.engine();
        let signal_id = key.signal_id(self.caller.name(), what, self.id, engine.clock().id());
        answer(self.id, engine.send(self.id, signal_id, signal, self.wait).await?)
    }
}

/// Takes a request back.
///
/// It succeeds before the first effect that cannot be undone; what was applied until then is undone.
#[utoipa::path(post, path = "/v1/requests/{id}/withdraw", operation_id = "withdraw_request", tag = "requests", request_body = Option<Withdrawal>,
    params(("id" = Uuid, Path, description = "The request"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition safe"),
        ("wait" = Option<String>, Query, description = "Wait so long for the answer; default 5s")),
    responses((status = 200, body = ActBody), (status = 202, description = "Stored; not answered yet", body = ActBody),
        (status = 409, description = "Too late, or ended", body = ProblemBody, content_type = "application/problem+json")))]
async fn withdraw(
    State(api): State<Api>,
    caller: Caller,
    path: InPath,
    query: Query,
    key: Key,
    OptionalJson(Withdrawal { note }): OptionalJson<Withdrawal>,
) -> Result<Response, Problem> {
    let note = note.as_deref().map(check_note).transpose()?;
    let signal = Signal::Withdraw { by: caller.name().to_owned(), note };
    Act::new(&api, &caller, &path, &query)?.send(Action::Follow, "withdraw", &key, signal).await
}

/// Sends what the customer was asked for.
#[utoipa::path(post, path = "/v1/requests/{id}/supplement", operation_id = "supplement_request", tag = "requests", request_body = Supplement,
    params(("id" = Uuid, Path, description = "The request"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition safe"),
        ("wait" = Option<String>, Query, description = "Wait so long for the answer; default 5s")),
    responses((status = 200, body = ActBody), (status = 202, description = "Stored; not answered yet", body = ActBody),
        (status = 409, description = "Nothing was asked, or ended", body = ProblemBody, content_type = "application/problem+json")))]
async fn supplement(
    State(api): State<Api>,
    caller: Caller,
    path: InPath,
    query: Query,
    key: Key,
    Json(Supplement { fields }): Json<Supplement>,
) -> Result<Response, Problem> {
    if fields.is_empty() {
        return Err(Problem::new(&kinds::INVALID, "`fields` names at least one field"));
    }
    let act = Act::new(&api, &caller, &path, &query)?;
    caller.require(Action::Follow)?;
    api.visible(&caller, act.id).await?;
    // The owner looks again; a form that is filled in wrongly is told at once, like that of a new request.
    let loaded = api.engine().store().load(act.id).await?;
    if let Some(process) = api.engine().processes().get(&loaded.row.process, loaded.row.version)
        && let Ok(state) = replay(&loaded)
        && matches!(state.phase, Phase::AskedCustomer { .. })
    {
        amend::check(&process, &state, &fields).map_err(|why| Problem::new(&kinds::INVALID, why))?;
    }
    let signal = Signal::Supplement { fields, by: caller.name().to_owned() };
    act.send(Action::Follow, "supplement", &key, signal).await
}

/// Tries at once what would be tried again later; also takes a single request out of a parked group.
#[utoipa::path(post, path = "/v1/requests/{id}/retry", operation_id = "retry_request", tag = "requests", request_body = Option<Nothing>,
    params(("id" = Uuid, Path, description = "The request"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition safe"),
        ("wait" = Option<String>, Query, description = "Wait so long for the answer; default 5s")),
    responses((status = 200, body = ActBody), (status = 202, description = "Stored; not answered yet", body = ActBody),
        (status = 409, description = "Nothing is waiting to be tried again, or ended", body = ProblemBody, content_type = "application/problem+json")))]
async fn retry(
    State(api): State<Api>,
    caller: Caller,
    path: InPath,
    query: Query,
    key: Key,
    OptionalJson(Nothing {}): OptionalJson<Nothing>,
) -> Result<Response, Problem> {
    let signal = Signal::RetryNow { by: caller.name().to_owned() };
    Act::new(&api, &caller, &path, &query)?.send(Action::Steer, "retry", &key, signal).await
}

/// Puts a parked or waiting request to a person.
#[utoipa::path(post, path = "/v1/requests/{id}/review", operation_id = "review_request", tag = "requests", request_body = Note,
    params(("id" = Uuid, Path, description = "The request"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition safe"),
        ("wait" = Option<String>, Query, description = "Wait so long for the answer; default 5s")),
    responses((status = 200, body = ActBody), (status = 202, description = "Stored; not answered yet", body = ActBody),
        (status = 409, description = "It is neither parked nor waiting, or ended", body = ProblemBody, content_type = "application/problem+json")))]
async fn move_to_review(
    State(api): State<Api>,
    caller: Caller,
    path: InPath,
    query: Query,
    key: Key,
    Json(Note { note }): Json<Note>,
) -> Result<Response, Problem> {
    let signal = Signal::MoveToReview { by: caller.name().to_owned(), note: check_note(&note)? };
    Act::new(&api, &caller, &path, &query)?.send(Action::Steer, "review", &key, signal).await
}

/// Writes a note into the request's ledger.
#[utoipa::path(post, path = "/v1/requests/{id}/notes", operation_id = "note_request", tag = "requests", request_body = Note,
    params(("id" = Uuid, Path, description = "The request"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition safe"),
        ("wait" = Option<String>, Query, description = "Wait so long for the answer; default 5s")),
    responses((status = 200, body = ActBody), (status = 202, description = "Stored; not answered yet", body = ActBody),
        (status = 409, description = "Ended", body = ProblemBody, content_type = "application/problem+json")))]
async fn note(
    State(api): State<Api>,
    caller: Caller,
    path: InPath,
    query: Query,
    key: Key,
    Json(Note { note }): Json<Note>,
) -> Result<Response, Problem> {
    let signal = Signal::Note { by: caller.name().to_owned(), text: check_note(&note)? };
    Act::new(&api, &caller, &path, &query)?.send(Action::Note, "note", &key, signal).await
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(withdraw))
        .routes(routes!(supplement))
        .routes(routes!(retry))
        .routes(routes!(move_to_review))
        .routes(routes!(note))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn an_owners_answer_becomes_a_status() {
        let id = Uuid::from_u128(1);
        assert_eq!(answer(id, Told::Answer("applied".into())).unwrap().status(), 200);
        assert_eq!(answer(id, Told::Pending).unwrap().status(), 202);
        assert_eq!(answer(id, Told::Answer("too late".into())).unwrap_err().code(), "not-applied");
        assert_eq!(answer(id, Told::Ended("done")).unwrap_err().code(), "ended");
    }

    #[test]
    fn notes_are_bounded() {
        assert_eq!(check_note("  looked fine\n").unwrap(), "looked fine");
        for bad in ["", "  \n", "a\u{0}b", &"x".repeat(MAX_NOTE + 1)] {
            assert_eq!(check_note(bad).unwrap_err().code(), "invalid");
        }
    }
}
