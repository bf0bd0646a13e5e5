//! `/v1/balance` and `/v1/workers`: do the books add up, and who is at work?

use std::sync::Arc;
use std::time::Duration;

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
use super::extract::{Query, bad};
use super::metrics::{difference, rate};
use super::permit::Action;
use super::problem::Problem;
use super::stamp::Stamp;
use crate::domain::time::{Time, parse_duration};
use crate::engine::ports::balance::Balance;

/// `accepted = done + refused + withdrawn + expired + open`, read at one instant.
///
/// Of all processes; for a token that is good for some of them only, what is open of those, and nothing of the others.
#[derive(Debug, Serialize, ToSchema)]
struct BalanceBody {
    /// Do the books add up?
    #[serde(skip_serializing_if = "Option::is_none")]
    holds: Option<bool>,
    /// Accepted minus ended minus open.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    difference: Option<i128>,
    /// Ever accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted: Option<u64>,
    /// Ended so.
    #[serde(skip_serializing_if = "Option::is_none")]
    done: Option<u64>,
    /// Ended so.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<u64>,
    /// Ended so.
    #[serde(skip_serializing_if = "Option::is_none")]
    withdrawn: Option<u64>,
    /// Ended so.
    #[serde(skip_serializing_if = "Option::is_none")]
    expired: Option<u64>,
    /// Without an outcome yet.
    open: u64,
    /// Of these: waiting for their turn.
    queued: u64,
    /// Of these: on their way.
    running: u64,
    /// Of these: waiting for a callback, the customer or a timer.
    waiting: u64,
    /// Of these: waiting for a dependency or a defect.
    parked: u64,
    /// Of these: waiting for a person.
    in_review: u64,
    /// Messages that never became requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    rejected: Option<u64>,
    /// Ended without a person's decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    automated: Option<u64>,
    /// Automated, of all that ended (0 to 1); left out before the first end.
    #[serde(skip_serializing_if = "Option::is_none")]
    automation_rate: Option<f64>,
    /// Events that are not published yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    unpublished: Option<u64>,
    /// Open, not owned, and due for longer than a minute: nobody looks after them.
    #[serde(skip_serializing_if = "Option::is_none")]
    overdue: Option<u64>,
    /// The open requests by process, state, step and group, as far as the token covers their processes.
    by_process: Vec<CountedBody>,
}

/// How many open requests stand somewhere.
#[derive(Debug, Serialize, ToSchema)]
struct CountedBody {
    /// The process.
    process: String,
    /// The state.
    state: String,
    /// The step.
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<String>,
    /// What they are parked under.
    #[serde(skip_serializing_if = "Option::is_none")]
    parked: Option<String>,
    /// How many.
    count: u64,
}

/// A worker.
#[derive(Debug, Serialize, ToSchema)]
struct WorkerBody {
    /// Its incarnation: new with each start.
    id: Uuid,
    /// Host and process id.
    name: String,
    /// The program's version.
    version: String,
    /// When it started.
    started_at: Stamp,
    /// Its last heartbeat, by the database's clock.
    heartbeat_at: Stamp,
    /// Is it the one that answers?
    answering: bool,
}

/// The living workers.
#[derive(Debug, Serialize, ToSchema)]
struct WorkerList {
    /// By start.
    items: Vec<WorkerBody>,
    /// The database's clock now, to compare the heartbeats with.
    now: Stamp,
}

/// The last balance: when it was read, how long that took, and what it was.
pub(super) type Kept = tokio::sync::Mutex<Option<(Time, Duration, Arc<Balance>)>>;

/// The longest `max_age`.
const OLDEST: Duration = Duration::from_mins(1);
/// What is read sooner than this is read anew each time.
const SOON: Duration = Duration::from_millis(20);
/// What took longer is kept for so many times as long, so that however many look at it, reading it takes a twentieth of one connection.
const TIMES: u32 = 20;

impl Api {
    /// The balance, at most this old. Where there is little to count, it is always a new one; those who ask at once share one.
    pub(super) async fn balance(&self, max_age: Duration) -> Result<Arc<Balance>, Problem> {
        let clock = self.engine().clock();
        let mut kept = self.0.balance.lock().await;
        if let Some((read, took, balance)) = kept.as_ref() {
            let (age, now) = (clock.now().since(*read), clock.now());
            if *took >= SOON && now >= *read && age <= max_age.min(*took * TIMES) {
                return Ok(balance.clone());
            }
        }
        let begun = clock.now();
        let balance = Arc::new(self.engine().store().balance().await?);
        let read = clock.now();
        *kept = Some((read, read.since(begun), balance.clone()));
        Ok(balance)
    }
}

/// The open requests of a balance that a caller may know of.
fn open_of(caller: &Caller, balance: &Balance) -> Balance {
    let mut shown = Balance::default();
    for place in balance.places.iter().filter(|place| caller.covers(&place.process)) {
        shown.add(place.clone());
    }
    shown
}

/// Do the books add up? Every accepted request is in exactly one place.
#[utoipa::path(get, path = "/v1/balance", operation_id = "show_balance", tag = "operations",
    params(("max_age" = Option<String>, Query, description = "An answer will do that was read this long ago where reading it takes long: `3s`; at most 1m; default: a new one")),
    responses((status = 200, body = BalanceBody)))]
async fn balance(State(api): State<Api>, caller: Caller, query: Query) -> Result<Response, Problem> {
    caller.require(Action::ReadOperations)?;
    let max_age = query.one("max_age")?.map(parse_duration).transpose();
    let max_age = max_age.map_err(|_| bad("max_age", "is a length of time such as 3s"))?.unwrap_or_default();
    if max_age > OLDEST {
        return Err(bad("max_age", "is at most 1m"));
    }
    let balance = api.balance(max_age).await?;
    let by_process = balance.places.iter().filter(|row| caller.covers(&row.process)).map(|row| CountedBody {
        process: row.process.clone(),
        state: row.state.clone(),
        step: row.step.clone(),
        parked: row.parked.clone(),
        count: row.count,
    });
    // What was counted when it was accepted or ended is not known by process: it is for who may see all of them.
    let whole = caller.require_everywhere(Action::ReadOperations).is_ok().then_some(balance.as_ref());
    let shown = open_of(&caller, &balance);
    let body = BalanceBody {
        holds: whole.map(Balance::holds),
        difference: whole.map(difference),
        accepted: whole.map(|whole| whole.accepted),
        done: whole.map(|whole| whole.done),
        refused: whole.map(|whole| whole.refused),
        withdrawn: whole.map(|whole| whole.withdrawn),
        expired: whole.map(|whole| whole.expired),
        open: shown.open(),
        queued: shown.queued,
        running: shown.running,
        waiting: shown.waiting,
        parked: shown.parked,
        in_review: shown.in_review,
        rejected: whole.map(|whole| whole.rejected),
        automated: whole.map(|whole| whole.automated),
        automation_rate: whole.and_then(rate),
        unpublished: whole.map(|whole| whole.unpublished),
        overdue: whole.map(|whole| whole.overdue),
        by_process: by_process.collect(),
    };
    Ok(Answer(body).into_response())
}

/// The living workers.
#[utoipa::path(get, path = "/v1/workers", operation_id = "list_workers", tag = "operations", responses((status = 200, body = WorkerList)))]
async fn workers(State(api): State<Api>, caller: Caller) -> Result<Response, Problem> {
    caller.require(Action::ReadOperations)?;
    let store = api.engine().store();
    let (mut rows, now) = (store.workers().await?, store.now().await?);
    rows.sort_by_key(|row| row.started_at);
    let own = api.engine().status().worker;
    let items = rows.into_iter().map(|row| WorkerBody {
        id: row.id,
        name: row.name,
        version: row.version,
        started_at: row.started_at.into(),
        heartbeat_at: row.heartbeat_at.into(),
        answering: row.id == own,
    });
    Ok(Answer(WorkerList { items: items.collect(), now: now.into() }).into_response())
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(balance)).routes(routes!(workers))
}
