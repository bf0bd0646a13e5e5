//! `/v1/batches`: one decision for several reviews, worked off in the background.
//!
//! A batch is what its maker saw: these reviews at these versions. Whether they may decide each is looked at here, once; whether it
//! still is what they saw, by [`super::batching`], when its turn comes. What cannot be decided is an item with its reason from the
//! beginning, so that every review that was sent is in exactly one place of the answer.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Api;
use super::auth::Caller;
use super::batching::held;
use super::extract::{InPath, Json, Key, OptionalJson, Query};
use super::facts::show_customer;
use super::kinds;
use super::late::came;
use super::permit::Action;
use super::problem::{Problem, ProblemBody};
use super::request_acts::{check_note, check_reason};
use super::review_acts::Nothing;
use super::setting_aside::read_hold;
use super::stamp::Stamp;
use crate::domain::request::signal::{Decision, person};
use crate::domain::words::Choice;
use crate::engine::ports::batches::{Added, BatchRow, Came, ItemRow, Progress};
use crate::engine::ports::records::ReviewRow;
use crate::engine::ports::store::StoreError;
use crate::engine::service::EngineError;

/// The most reviews of a batch.
const MOST: usize = 200;
/// The most batches of one person that are not done.
const UNDONE: usize = 5;
/// Batches of a list.
const LISTED: usize = 20;
/// Reviews that are read at the same time.
const AT_ONCE: usize = 8;

/// A review at the version that was seen.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Seen {
    /// The review.
    id: Uuid,
    /// Its version.
    version: u32,
}

/// One decision for several reviews.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewBatch {
    /// Which, as they were seen: 1 to 200, each once.
    reviews: Vec<Seen>,
    /// What is decided; all but `amend`.
    #[schema(value_type = String, example = "approve")]
    choice: Choice,
    /// The reason that a refusal names.
    #[serde(default)]
    reason: Option<String>,
    /// Why, for each of them; kept in the requests' ledgers.
    note: String,
    /// Begins only after this long, at most `1m`, and can be stopped as a whole until then.
    #[serde(default)]
    #[schema(example = "5s")]
    hold: Option<String>,
    /// `true`: nothing is stored; the answer says what would become of each as things are.
    #[serde(default)]
    preview: bool,
}

/// A batch.
#[derive(Debug, Serialize, ToSchema)]
struct BatchBody {
    /// Its id; left out of a preview.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Uuid>,
    /// Who made it.
    by: String,
    /// What is decided.
    #[schema(value_type = String)]
    choice: Choice,
    /// The reason that a refusal names.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Why.
    note: String,
    /// When it was made.
    at: Stamp,
    /// When it begins.
    start_at: Stamp,
    /// When nothing was left of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    done_at: Option<Stamp>,
    /// How many of its reviews came to what; not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    counts: Option<CountsBody>,
    /// Its reviews, in the order that they were given; not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<Vec<ItemBody>>,
}

/// How many reviews of a batch came to what.
#[derive(Debug, Default, Serialize, ToSchema)]
struct CountsBody {
    /// Not decided yet.
    pending: usize,
    /// Decided, or kept until a second person decides.
    done: usize,
    /// Not decided, since something else has happened to them.
    skipped: usize,
    /// Not decided, since they cannot be.
    failed: usize,
}

/// A review of a batch.
#[derive(Debug, Serialize, ToSchema)]
struct ItemBody {
    /// The review.
    review: Uuid,
    /// The version that was seen.
    version: u32,
    /// Whose request it is about, masked; left out where the caller may not see it, or it is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    customer: Option<String>,
    /// `pending`, `done`, `skipped` or `failed`.
    state: &'static str,
    /// Why: `applied`, `second_needed`, `stored` (the request's owner has not answered), `set_aside` (the first person decided
    /// otherwise), `stale`, `taken`, `held`, `ended`, `not_found`, `forbidden`, `stopped`, `invalid`, `refused`, `revoked` (who decided may not decide this any more) or `internal`; left out while it is pending.
    #[serde(skip_serializing_if = "String::is_empty")]
    code: String,
    /// The same in words.
    #[serde(skip_serializing_if = "String::is_empty")]
    why: String,
}

/// Somebody's batches.
#[derive(Debug, Serialize, ToSchema)]
struct BatchList {
    /// The newest first, at most 20.
    items: Vec<BatchBody>,
}

impl BatchBody {
    fn of(row: BatchRow) -> BatchBody {
        BatchBody {
            id: Some(row.id),
            by: row.decision.by,
            choice: row.decision.choice,
            reason: row.decision.reason,
            note: row.decision.note,
            at: Stamp(row.at),
            start_at: Stamp(row.start_at),
            done_at: row.done_at.map(Stamp),
            counts: None,
            items: None,
        }
    }

    fn with(self, items: Vec<ItemBody>) -> BatchBody {
        let count = |word| items.iter().filter(|item| item.state == word).count();
        let counts =
            CountsBody { pending: count("pending"), done: count("done"), skipped: count("skipped"), failed: count("failed") };
        BatchBody { counts: Some(counts), items: Some(items), ..self }
    }
}

/// Decides several reviews alike, in the background; each by itself, under the same rules as one.
///
/// The answer comes at once; `GET /v1/batches/{id}` says what became of each. A review that has changed since it was seen is skipped.
#[utoipa::path(post, path = "/v1/batches", operation_id = "decide_reviews", tag = "reviews", request_body = NewBatch,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition safe")),
    responses((status = 200, description = "A preview: nothing is stored", body = BatchBody),
        (status = 202, description = "Stored, or stored before under this key", body = BatchBody),
        (status = 409, description = "The key was used for something else", body = ProblemBody, content_type = "application/problem+json")))]
async fn make(State(api): State<Api>, caller: Caller, key: Key, Json(new): Json<NewBatch>) -> Result<Response, Problem> {
    caller.require(Action::Review)?;
    let ids: BTreeSet<Uuid> = new.reviews.iter().map(|seen| seen.id).collect();
    if ids.is_empty() || ids.len() > MOST || ids.len() != new.reviews.len() {
        return Err(Problem::new(&kinds::INVALID, format!("`reviews` names 1 to {MOST} reviews, each once")));
    }
    if new.choice == Choice::Amend {
        return Err(Problem::new(&kinds::INVALID, "`amend` is about one request: decide each by itself"));
    }
    let hold = read_hold(new.hold.as_deref())?.unwrap_or(Duration::ZERO);
    let decision = Decision {
        review: Uuid::nil(),
        choice: new.choice,
        by: caller.name().to_owned(),
        first_by: None,
        first_note: None,
        reason: check_reason(new.reason)?,
        note: check_note(&new.note)?,
        fields: BTreeMap::new(),
    };
    let (engine, now) = (api.engine(), api.engine().clock().now());
    let id = key.signal_id(caller.name(), "batch", Uuid::nil(), engine.clock().id());
    let row = BatchRow { id, decision, at: now, start_at: now.plus(hold), done_at: None };
    let batches = engine.store().batches();
    if !new.preview {
        match batches.batch(id).await {
            Ok(known) => return again(&api, &caller, known, &row, &new.reviews).await,
            Err(StoreError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let looks = new.reviews.iter().copied().map(|seen| look(&api, &caller, &row, seen));
    let looked: Vec<(ItemRow, Option<String>)> = stream::iter(looks).buffered(AT_ONCE).try_collect().await?;
    if !new.preview {
        let items: Vec<ItemRow> = looked.iter().map(|(item, _)| item.clone()).collect();
        match batches.add_batch(&row, &items, UNDONE).await? {
            Added::New => {}
            // The same key at the same moment.
            Added::Known => return again(&api, &caller, batches.batch(id).await?, &row, &new.reviews).await,
            Added::TooMany => {
                let what = format!("{UNDONE} batches of yours are not done yet; wait for them");
                return Err(Problem::new(&kinds::INVALID, what));
            }
        }
    }
    let body = BatchBody::of(row).with(looked.into_iter().map(|(item, customer)| body(item, customer)).collect());
    if new.preview {
        return Ok(Answer(BatchBody { id: None, ..body }).into_response());
    }
    Ok((StatusCode::ACCEPTED, Answer(body)).into_response())
}

/// A key that was used before stands for what it was used for.
async fn again(api: &Api, caller: &Caller, known: BatchRow, new: &BatchRow, seen: &[Seen]) -> Result<Response, Problem> {
    let items = api.engine().store().batches().batch_items(known.id).await?;
    let same = items.iter().map(|item| (item.review, item.version)).eq(seen.iter().map(|seen| (seen.id, seen.version)));
    if known.decision != new.decision || !same {
        return Err(Problem::new(&kinds::KEY_CONFLICT, "the key belongs to another batch of yours"));
    }
    answer(api, caller, known, StatusCode::ACCEPTED).await
}

async fn answer(api: &Api, caller: &Caller, row: BatchRow, status: StatusCode) -> Result<Response, Problem> {
    let items = api.engine().store().batches().batch_items(row.id).await?;
    let items = bodies(api, caller, items).await?;
    Ok((status, Answer(BatchBody::of(row).with(items))).into_response())
}

/// An item of a new batch: what is certain already, or pending; and whose it is.
async fn look(api: &Api, caller: &Caller, batch: &BatchRow, seen: Seen) -> Result<(ItemRow, Option<String>), Problem> {
    let row = visible(api, caller, seen.id).await?;
    let came = match &row {
        Some(row) => would_come_to(api, caller, batch, &seen, row).await?,
        None => came(Progress::Skipped, "not_found", ""),
    };
    let signal_id = Uuid::new_v5(&batch.id, seen.id.as_bytes());
    let item = ItemRow { review: seen.id, version: seen.version, signal_id, came };
    Ok((item, row.map(|row| shown(api, &row))))
}

/// A review, where it is there and the caller may see it.
async fn visible(api: &Api, caller: &Caller, id: Uuid) -> Result<Option<ReviewRow>, Problem> {
    match api.engine().store().review(id).await {
        Ok(row) => Ok(Some(row).filter(|row| caller.covers(&row.process))),
        Err(StoreError::NotFound(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whose it is, masked.
fn shown(api: &Api, row: &ReviewRow) -> String {
    let process = api.engine().processes().get(&row.process, row.process_version);
    show_customer(&row.customer, process.as_deref())
}

async fn would_come_to(api: &Api, caller: &Caller, batch: &BatchRow, seen: &Seen, row: &ReviewRow) -> Result<Came, Problem> {
    let now = api.engine().clock().now();
    if !caller.has_review_role(row.role.as_deref()) {
        return Ok(came(Progress::Skipped, "forbidden", row.role.as_deref().unwrap_or_default()));
    }
    if row.state != "open" || row.version != seen.version {
        return Ok(came(Progress::Skipped, "stale", &format!("version {}, {}", row.version, row.state)));
    }
    let mine = |by: &str| person(by) == person(caller.name());
    let first = row.decision.as_ref().map(|first| first.by.as_str()).filter(|by| mine(by));
    let holder = row.claimed_by.as_deref().filter(|_| row.claimed_until.is_some_and(|until| until > now));
    if let Some(by) = first.or(holder.filter(|by| !mine(by))) {
        return Ok(came(Progress::Skipped, "taken", by));
    }
    if let Some(other) = api.engine().store().reviewing().held(row.id).await? {
        return Ok(held(&other));
    }
    let decision = Decision { review: row.id, ..batch.decision.clone() };
    match api.engine().check_decision(row, &decision).await {
        Ok(()) => Ok(came(Progress::Pending, "", "")),
        Err(EngineError::Invalid(why)) => Ok(came(Progress::Failed, "invalid", &why)),
        Err(error) => Err(error.into()),
    }
}

/// Items that were stored, with whose they are.
async fn bodies(api: &Api, caller: &Caller, items: Vec<ItemRow>) -> Result<Vec<ItemBody>, Problem> {
    let bodies = items.into_iter().map(|item| stored(api, caller, item));
    stream::iter(bodies).buffered(AT_ONCE).try_collect().await
}

async fn stored(api: &Api, caller: &Caller, item: ItemRow) -> Result<ItemBody, Problem> {
    let row = visible(api, caller, item.review).await?;
    Ok(body(item, row.map(|row| shown(api, &row))))
}

fn body(item: ItemRow, customer: Option<String>) -> ItemBody {
    let state = if item.came.to.open() { Progress::Pending } else { item.came.to };
    let ItemRow { review, version, came: Came { code, why, .. }, .. } = item;
    ItemBody { review, version, customer, state: state.as_str(), code, why }
}

/// The caller's batches, the newest first; or everybody's, for operators.
#[utoipa::path(get, path = "/v1/batches", operation_id = "list_batches", tag = "reviews",
    params(("everybody" = Option<bool>, Query, description = "`true`: not only one's own")),
    responses((status = 200, body = BatchList)))]
async fn list(State(api): State<Api>, caller: Caller, query: Query) -> Result<Response, Problem> {
    let everybody = query.yes("everybody")?;
    if everybody {
        caller.require_everywhere(Action::Operate)?;
    } else if !caller.may(Action::Operate) {
        caller.require(Action::Review)?;
    }
    let rows = api.engine().store().batches().batches((!everybody).then(|| caller.name()), LISTED).await?;
    Ok(Answer(BatchList { items: rows.into_iter().map(BatchBody::of).collect() }).into_response())
}

/// A batch of the caller's, or anybody's for an operator: how far it is, and what became of each review.
#[utoipa::path(get, path = "/v1/batches/{id}", operation_id = "show_batch", tag = "reviews", params(("id" = Uuid, Path, description = "The batch")),
    responses((status = 200, body = BatchBody)))]
async fn show(State(api): State<Api>, caller: Caller, path: InPath) -> Result<Response, Problem> {
    let row = reachable(&api, &caller, &path).await?;
    answer(&api, &caller, row, StatusCode::OK).await
}

/// Stops a batch: what was not begun is skipped, what was decided stays.
#[utoipa::path(post, path = "/v1/batches/{id}/stop", operation_id = "stop_batch", tag = "reviews", request_body = Option<Nothing>, params(("id" = Uuid, Path, description = "The batch")),
    responses((status = 200, body = BatchBody)))]
async fn stop(
    State(api): State<Api>,
    caller: Caller,
    path: InPath,
    OptionalJson(Nothing {}): OptionalJson<Nothing>,
) -> Result<Response, Problem> {
    let row = reachable(&api, &caller, &path).await?;
    let (batches, now) = (api.engine().store().batches(), api.engine().clock().now());
    let record = api.act_of(&caller, "batch_stopped", None, format!("{} of {}", row.id, row.decision.by));
    batches.stop_batch(row.id, &came(Progress::Skipped, "stopped", ""), &record).await?;
    batches.close_batch(row.id, now).await?;
    let row = batches.batch(row.id).await?;
    answer(&api, &caller, row, StatusCode::OK).await
}

/// Its maker has to do with a batch, whatever they still may; and who operates everything.
async fn reachable(api: &Api, caller: &Caller, path: &InPath) -> Result<BatchRow, Problem> {
    if !caller.may(Action::Operate) {
        caller.require(Action::Review)?;
    }
    let row = api.engine().store().batches().batch(path.id("id")?).await?;
    if row.decision.by != caller.name() && caller.require_everywhere(Action::Operate).is_err() {
        return Err(Problem::not_found("this batch"));
    }
    Ok(row)
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(make, list)).routes(routes!(show)).routes(routes!(stop))
}
