//! What reviewers put aside: a decision for some seconds, so that it can be taken back; a review for some hours.
//!
//! A held decision has decided nothing yet. It is stored whole, with the id that it is sent under, and its maker keeps the claim;
//! when its time has come, [`keep`] sends it as its maker would have, and removes it only afterwards. So a restart loses
//! none and repeats none, and taking one back needs no undo: nothing has happened.

use std::time::Duration;

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Api;
use super::auth::Caller;
use super::extract::{InPath, Json, OptionalJson};
use super::kinds;
use super::permit::Action;
use super::problem::{Problem, ProblemBody};
use super::request_acts::check_note;
use super::review_acts::{Act, CLAIM, Nothing, ReviewActBody};
use super::stamp::Stamp;
use crate::domain::request::signal::{Decision, Signal};
use crate::domain::time::parse_duration;
use crate::domain::words::Choice;
use crate::engine::ports::reviewing::{HeldRow, SnoozeRow};
use crate::engine::ports::store::{ReviewAct, ReviewPut, StoreError};
use crate::engine::service::{Engine, EngineError};

/// The longest that a decision is held.
const LONGEST_HOLD: Duration = Duration::from_mins(1);
/// The longest that a review is put aside.
const LONGEST_SNOOZE: Duration = Duration::from_hours(24 * 14);
/// How often held decisions are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How many are sent in one go.
const AT_ONCE: usize = 50;

/// A decision that can still be taken back.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HeldBody {
    /// Whose.
    by: String,
    /// What; only its maker sees it.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    choice: Option<Choice>,
    /// When it takes effect.
    until: Stamp,
}

/// A review that was put aside.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SnoozedBody {
    /// By whom.
    by: String,
    /// Since when.
    at: Stamp,
    /// Until when; what arrives for its request ends it, too.
    until: Stamp,
    /// Why.
    note: String,
}

/// How a review is put aside.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Snooze {
    /// For how long: `2h`, at most 14 days.
    #[serde(rename = "for")]
    #[schema(example = "2h")]
    length: String,
    /// Why; kept in the request's ledger.
    note: String,
}

/// How long a decision is to be held; `None`: not at all.
pub(super) fn read_hold(text: Option<&str>) -> Result<Option<Duration>, Problem> {
    let Some(text) = text else { return Ok(None) };
    match parse_duration(text) {
        Ok(length) if length <= LONGEST_HOLD => Ok(Some(length).filter(|length| !length.is_zero())),
        Ok(_) => Err(Problem::new(&kinds::INVALID, "`hold` is at most 1m")),
        Err(why) => Err(Problem::new(&kinds::INVALID, format!("`hold`: {why}"))),
    }
}

impl Act<'_> {
    /// Refuses where a decision waits: its maker may take it back, and nobody else acts before it is over.
    pub(super) async fn not_held(&self) -> Result<(), Problem> {
        match self.api.engine().store().reviewing().held(self.row.id).await? {
            None => Ok(()),
            Some(held) => Err(self.waits(&held)),
        }
    }

    fn waits(&self, held: &HeldRow) -> Problem {
        let (by, at) = (&held.decision.by, held.release_at);
        let what = format!("a decision of {by} takes effect at {at}; until then its maker can take it back");
        Problem::new(&kinds::TAKEN, what).with("current", self.api.review_summary(&self.row))
    }

    /// Keeps a decision for this long, under its maker's claim.
    pub(super) async fn hold(
        &self,
        version: u32,
        decision: Decision,
        signal_id: Uuid,
        length: Duration,
    ) -> Result<Response, Problem> {
        let engine = self.api.engine();
        let reviewing = engine.store().reviewing();
        if let Some(other) = reviewing.held(self.row.id).await? {
            return self.held_before(&other, signal_id);
        }
        if self.row.version != version || self.row.state != "open" {
            // Nothing to hold. The store knows whether this very decision has taken effect since, or what is stale about it.
            return self.act(ReviewAct::Decide { version, decision }, signal_id).await;
        }
        engine.check_decision(&self.row, &decision).await?;
        let now = engine.clock().now();
        let claim = ReviewAct::Claim { by: decision.by.clone(), until: now.plus(CLAIM), steal: false };
        self.act(claim, self.fresh()).await?;
        let (row, request) = (engine.store().review(self.row.id).await?, self.row.request);
        if row.version != version || row.state != "open" {
            return Err(self.stale(row));
        }
        let held = HeldRow { decision, request, version, signal_id, at: now, release_at: now.plus(length) };
        if !reviewing.hold(&held).await? {
            // At the same moment.
            return match reviewing.held(self.row.id).await? {
                Some(other) => self.held_before(&other, signal_id),
                None => Err(self.stale(engine.store().review(self.row.id).await?)),
            };
        }
        reviewing.wake(self.row.id).await?;
        Ok(self.held_answer(&held))
    }

    /// Where one is held already: this very decision, sent again, or another one.
    fn held_before(&self, other: &HeldRow, signal_id: Uuid) -> Result<Response, Problem> {
        if other.signal_id == signal_id { Ok(self.held_answer(other)) } else { Err(self.waits(other)) }
    }

    fn held_answer(&self, held: &HeldRow) -> Response {
        let mut review = self.api.review_summary(&self.row);
        review.held = Some(held_body(held, self.caller));
        (StatusCode::ACCEPTED, Answer(ReviewActBody { answer: "held", review })).into_response()
    }
}

fn held_body(held: &HeldRow, caller: &Caller) -> HeldBody {
    let mine = held.decision.by == caller.name();
    HeldBody { by: held.decision.by.clone(), choice: mine.then_some(held.decision.choice), until: Stamp(held.release_at) }
}

impl Api {
    /// What is put aside about a review, for its page.
    pub(super) async fn aside(&self, review: Uuid, caller: &Caller) -> Result<(Option<HeldBody>, Option<SnoozedBody>), Problem> {
        let reviewing = self.engine().store().reviewing();
        let held = reviewing.held(review).await?.map(|held| held_body(&held, caller));
        let now = self.engine().clock().now();
        let snoozed = reviewing.snoozed(review).await?.filter(|row| row.until > now).map(|row| SnoozedBody {
            by: row.by,
            at: Stamp(row.at),
            until: Stamp(row.until),
            note: row.note,
        });
        Ok((held, snoozed))
    }
}

/// Takes back a decision of one's own that has not taken effect yet.
#[utoipa::path(post, path = "/v1/reviews/{id}/undo", operation_id = "undo_decision", tag = "reviews", request_body = Option<Nothing>, params(("id" = Uuid, Path, description = "The review")),
    responses((status = 200, body = ReviewActBody),
        (status = 409, description = "There is none of yours, or it has taken effect; `current`", body = ProblemBody, content_type = "application/problem+json")))]
async fn undo(
    State(api): State<Api>,
    caller: Caller,
    path: InPath,
    OptionalJson(Nothing {}): OptionalJson<Nothing>,
) -> Result<Response, Problem> {
    let act = Act::on(&api, &caller, &path, Action::Review).await?;
    let now = api.engine().clock().now();
    if api.engine().store().reviewing().take_back(act.row.id, caller.name(), now).await?.is_none() {
        return Err(act.stale(api.engine().store().review(act.row.id).await?));
    }
    Ok(Answer(ReviewActBody { answer: "undone", review: api.review_summary(&act.row) }).into_response())
}

/// Puts a review aside until a time, or until something arrives for its request; gives it back, too.
#[utoipa::path(post, path = "/v1/reviews/{id}/snooze", operation_id = "snooze_review", tag = "reviews", request_body = Snooze, params(("id" = Uuid, Path, description = "The review")),
    responses((status = 200, body = ReviewActBody),
        (status = 409, description = "It is not open any more; `current`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 423, description = "Somebody else holds it; `current`", body = ProblemBody, content_type = "application/problem+json")))]
async fn snooze(
    State(api): State<Api>,
    caller: Caller,
    path: InPath,
    Json(Snooze { length, note }): Json<Snooze>,
) -> Result<Response, Problem> {
    let act = Act::on(&api, &caller, &path, Action::Review).await?;
    let note = check_note(&note)?;
    let length = parse_duration(&length).map_err(|why| Problem::new(&kinds::INVALID, format!("`for`: {why}")))?;
    if length < Duration::from_secs(1) || length > LONGEST_SNOOZE {
        return Err(Problem::new(&kinds::INVALID, "`for` is 1s to 14d"));
    }
    let until = api.engine().clock().now().plus(length);
    act.not_held().await?;
    let answer = act.act(ReviewAct::Release { by: caller.name().to_owned() }, act.fresh()).await?;
    // Into the ledger first: what arrives after `at` ends it, and its own note must not.
    act.note(act.fresh(), format!("put aside until {until}: {note}")).await?;
    let at = api.engine().clock().now();
    let row = SnoozeRow { review: act.row.id, by: caller.name().to_owned(), at, until, note };
    api.engine().store().reviewing().snooze(&row).await?;
    Ok(answer)
}

/// Takes up again what was put aside.
#[utoipa::path(post, path = "/v1/reviews/{id}/wake", operation_id = "wake_review", tag = "reviews", request_body = Option<Nothing>, params(("id" = Uuid, Path, description = "The review")),
    responses((status = 200, body = ReviewActBody)))]
async fn wake(
    State(api): State<Api>,
    caller: Caller,
    path: InPath,
    OptionalJson(Nothing {}): OptionalJson<Nothing>,
) -> Result<Response, Problem> {
    let act = Act::on(&api, &caller, &path, Action::Review).await?;
    api.engine().store().reviewing().wake(act.row.id).await?;
    Ok(Answer(ReviewActBody { answer: "applied", review: api.review_summary(&act.row) }).into_response())
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(undo)).routes(routes!(snooze)).routes(routes!(wake))
}

/// Sends held decisions when their time has come, until `stopping`. Any worker sends anybody's.
pub async fn keep(engine: Engine, stopping: CancellationToken) {
    loop {
        tokio::select! {
            biased;
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        if let Err(error) = release(&engine).await {
            tracing::warn!(%error, "held decisions cannot be sent at the moment");
        }
    }
}

/// Sends those whose time has come; how many.
///
/// # Errors
/// The store failed; what was not sent stays and is sent later, under the same id. One that cannot be sent keeps none from it.
pub async fn release(engine: &Engine) -> Result<usize, EngineError> {
    let reviewing = engine.store().reviewing();
    let due = reviewing.due_held(engine.clock().now(), AT_ONCE).await?;
    let (mut many, mut failed) = (0, None);
    for held in due {
        // Another worker may have been faster, and somebody else's decision may be held there by now.
        if reviewing.held(held.decision.review).await?.is_none_or(|now| now.signal_id != held.signal_id) {
            continue;
        }
        match send(engine, &held).await {
            Ok(()) => {
                reviewing.drop_held(held.decision.review, held.signal_id).await?;
                many += 1;
            }
            Err(error) => failed = Some(error),
        }
    }
    failed.map_or(Ok(many), Err)
}

async fn send(engine: &Engine, held: &HeldRow) -> Result<(), EngineError> {
    let act = ReviewAct::Decide { version: held.version, decision: held.decision.clone() };
    let review = match engine.store().review(held.decision.review).await {
        Ok(review) => review,
        Err(StoreError::NotFound(_)) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let why = match engine.review_act(&review, act, held.signal_id, Duration::ZERO).await {
        Ok(answer) => match answer.put {
            ReviewPut::Done(..) | ReviewPut::SetAside(_) => return Ok(()),
            ReviewPut::Stale(_) => "the question had changed".to_owned(),
            ReviewPut::Taken(_) => "somebody else had taken it over".to_owned(),
        },
        Err(EngineError::Invalid(why)) => why,
        Err(EngineError::NotFound(_)) => return Ok(()),
        Err(error) => return Err(error),
    };
    tracing::warn!(review = %held.decision.review, by = held.decision.by, why, "a held decision was not applied");
    let text = format!("a decision of {}, made at {}, was not applied: {why}", held.decision.by, held.at);
    let signal = Signal::Note { by: held.decision.by.clone(), text };
    // The same id each time: said once. Where the request has ended there is nothing left to say it to.
    let id = Uuid::new_v5(&held.signal_id, b"not applied");
    match engine.send(held.request, id, signal, Duration::ZERO).await {
        Ok(_) | Err(EngineError::NotFound(_)) => Ok(()),
        Err(error) => Err(error),
    }
}
