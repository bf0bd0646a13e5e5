//! What reviewers put aside: a decision for some seconds, so that it can be taken back; a review for some hours.
//!
//! A held decision has decided nothing yet. It is stored whole, with the id that it is sent under, and its maker keeps the claim;
//! when its time has come, `src/api/releasing.rs` sends it as its maker would have, and removes it only afterwards. So a restart loses
//! none and repeats none, and taking one back needs no undo: nothing has happened.

use std::collections::BTreeMap;
use std::time::Duration;

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
use super::extract::{InPath, Json, OptionalJson};
use super::kinds;
use super::permit::Action;
use super::problem::{Problem, ProblemBody};
use super::request_acts::check_note;
use super::review_acts::{Act, CLAIM, Nothing, ReviewActBody};
use super::stamp::Stamp;
use crate::domain::request::signal::{Decision, Signal};
use crate::domain::time::{Time, parse_duration};
use crate::domain::words::Choice;
use crate::engine::ports::records::ReviewRow;
use crate::engine::ports::reviewing::{ActRow, HeldRow, SnoozeRow};
use crate::engine::ports::store::ReviewAct;

/// The longest that a decision is held.
const LONGEST_HOLD: Duration = Duration::from_mins(1);
/// The longest that a review is put aside.
const LONGEST_SNOOZE: Duration = Duration::from_hours(24 * 14);

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

/// A decision that was held and could not be applied.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NotAppliedBody {
    /// Whose.
    by: String,
    /// What; only its maker sees it.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    choice: Option<Choice>,
    /// When it was made.
    at: Stamp,
    /// When it came to nothing.
    ended_at: Stamp,
    /// Why: `stale`, `taken` (somebody works on it, or who made it had decided first), `set_aside` (the first person decided
    /// otherwise, and two must decide anew), `decided` (by another person), `ended` (the request), `revoked` (who made it may not
    /// decide this any more), `not_found`, `invalid`, `refused` or `internal`.
    code: String,
    /// Who had it, how the request ended, or why it was refused.
    #[serde(skip_serializing_if = "String::is_empty")]
    why: String,
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

impl From<SnoozeRow> for SnoozedBody {
    fn from(row: SnoozeRow) -> SnoozedBody {
        SnoozedBody { by: row.by, at: Stamp(row.at), until: Stamp(row.until), note: row.note }
    }
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
        self.not_held_as(None).await
    }

    /// The same for what comes under a key, which may be that of the decision that waits.
    pub(super) async fn not_held_as(&self, signal_id: Option<Uuid>) -> Result<(), Problem> {
        match self.api.engine().store().reviewing().held(self.row.id).await? {
            None => Ok(()),
            Some(held) if Some(held.signal_id) == signal_id => Err(another_body()),
            Some(held) => Err(self.waits(&held)),
        }
    }

    /// What the caller does to this review now, for the record.
    pub(super) fn record(&self, what: &str, detail: String) -> ActRow {
        self.api.act_of(self.caller, what, Some(&self.row), detail)
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
            return self.held_before(&other, version, &decision, signal_id, length);
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
            return Err(self.let_go(now).await?);
        }
        let held = HeldRow { decision, request, version, signal_id, at: now, release_at: now.plus(length) };
        if !reviewing.hold(&held).await? {
            // At the same moment.
            return match reviewing.held(self.row.id).await? {
                Some(other) => self.held_before(&other, version, &held.decision, signal_id, length),
                None => Err(self.let_go(now).await?),
            };
        }
        reviewing.wake(self.row.id, &self.record("review_woken", String::new())).await?;
        Ok(self.held_answer(&held))
    }

    /// Why nothing is held after all; the claim that was only for that goes.
    async fn let_go(&self, now: Time) -> Result<Problem, Problem> {
        let me = self.caller.name();
        let mine = self.row.claimed_by.as_deref() == Some(me) && self.row.claimed_until.is_some_and(|until| until > now);
        let row = self.api.engine().store().review(self.row.id).await?;
        if !mine && row.state == "open" && row.claimed_by.as_deref() == Some(me) {
            self.act(ReviewAct::Release { by: me.to_owned() }, self.fresh()).await?;
        }
        Ok(self.stale(&self.api.engine().store().review(self.row.id).await?))
    }

    /// Where one is held already: this very decision, sent again, or another one.
    fn held_before(
        &self,
        other: &HeldRow,
        version: u32,
        decision: &Decision,
        signal_id: Uuid,
        length: Duration,
    ) -> Result<Response, Problem> {
        if other.signal_id != signal_id {
            return Err(self.waits(other));
        }
        let same = other.decision == *decision && other.version == version && other.release_at.since(other.at) == length;
        if same { Ok(self.held_answer(other)) } else { Err(another_body()) }
    }

    fn held_answer(&self, held: &HeldRow) -> Response {
        let mut review = self.api.review_summary(&self.row);
        review.held = Some(held_body(held, self.caller));
        (StatusCode::ACCEPTED, Answer(ReviewActBody { answer: "held", review })).into_response()
    }
}

fn another_body() -> Problem {
    Problem::new(&kinds::KEY_CONFLICT, "the key belongs to another decision of yours, which is held")
}

fn held_body(held: &HeldRow, caller: &Caller) -> HeldBody {
    let mine = held.decision.by == caller.name();
    HeldBody { by: held.decision.by.clone(), choice: mine.then_some(held.decision.choice), until: Stamp(held.release_at) }
}

/// What waits, what came to nothing, and whether it is put aside.
type Aside = (Option<HeldBody>, Option<NotAppliedBody>, Option<SnoozedBody>);

impl Api {
    /// What is put aside about a review, for its page.
    pub(super) async fn aside(&self, row: &ReviewRow, caller: &Caller) -> Result<Aside, Problem> {
        let reviewing = self.engine().store().reviewing();
        let held = reviewing.held(row.id).await?.map(|held| held_body(&held, caller));
        // Who has decided since knows.
        let decided = |by: &str| row.decision.as_ref().is_some_and(|decision| decision.by == by);
        let end = reviewing.held_end(row.id).await?.filter(|end| held.is_none() && !decided(&end.by));
        let end = end.map(|end| NotAppliedBody {
            choice: (end.by == caller.name()).then_some(end.choice),
            by: end.by,
            at: Stamp(end.at),
            ended_at: Stamp(end.ended_at),
            code: end.code,
            why: end.why,
        });
        let now = self.engine().clock().now();
        let snoozed = reviewing.snoozed(&[row.id], now).await?.pop().map(SnoozedBody::from);
        Ok((held, end, snoozed))
    }

    /// Which of these reviews are put aside, by review.
    pub(super) async fn put_aside(&self, reviews: &[Uuid]) -> Result<BTreeMap<Uuid, SnoozedBody>, Problem> {
        let rows = self.engine().store().reviewing().snoozed(reviews, self.engine().clock().now()).await?;
        Ok(rows.into_iter().map(|row| (row.review, SnoozedBody::from(row))).collect())
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
    let record = act.record("decision_undone", String::new());
    if api.engine().store().reviewing().take_back(act.row.id, now, &record).await?.is_none() {
        return Err(act.stale(&api.engine().store().review(act.row.id).await?));
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
    // From here on: what arrives while this is carried out ends it.
    let at = api.engine().clock().now();
    let until = at.plus(length);
    act.not_held().await?;
    let answer = act.act(ReviewAct::Release { by: caller.name().to_owned() }, act.fresh()).await?;
    let text = format!("put aside until {until}: {note}");
    let row = SnoozeRow { review: act.row.id, by: caller.name().to_owned(), at, until, note };
    api.engine().store().reviewing().snooze(&row, &act.record("review_snoozed", format!("until {until}"))).await?;
    // The ledger says nothing that did not happen: after the row. What arrives after `at` ends it, and its own note is of `at`.
    let signal = Signal::Note { by: caller.name().to_owned(), text };
    api.engine().send_at(act.row.request, act.fresh(), signal, at).await?;
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
    api.engine().store().reviewing().wake(act.row.id, &act.record("review_woken", String::new())).await?;
    Ok(Answer(ReviewActBody { answer: "applied", review: api.review_summary(&act.row) }).into_response())
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(undo)).routes(routes!(snooze)).routes(routes!(wake))
}
