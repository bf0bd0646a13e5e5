//! The switches of the sandbox under `/sandbox`: faults, the target ledger, generated worlds. Calls here are neither
//! recorded nor troubled.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Handle, faults::Fault, sms::Reply, state::Shared, world::World};

/// Most customers that a call may ask for.
const MAX_WORLD: u32 = 1_000_000;
/// Most entries that one page of a list has.
const MAX_PAGE: usize = 10_000;

/// The routes, without the `/sandbox` prefix.
pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/faults", get(list_faults).post(add_faults).delete(clear_faults))
        .route("/faults/{id}", delete(remove_fault))
        .route("/ledger", get(ledger))
        .route("/effects", get(effects))
        .route("/sms", post(script_sms))
        .route("/world", post(load_world))
        .route("/requests", get(requests))
}

async fn list_faults(State(shared): State<Arc<Shared>>) -> Json<Value> {
    Json(json!({"items": shared.faults().list()}))
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(Fault),
    Many(Vec<Fault>),
}

/// Parsed by hand: an untagged enum would hide what is wrong with a rule.
async fn add_faults(State(shared): State<Arc<Shared>>, Json(body): Json<Value>) -> Response {
    let parsed = if body.is_array() {
        serde_json::from_value(body).map(OneOrMany::Many)
    } else {
        serde_json::from_value(body).map(OneOrMany::One)
    };
    let rules = match parsed {
        Ok(OneOrMany::One(rule)) => vec![rule],
        Ok(OneOrMany::Many(rules)) => rules,
        Err(error) => {
            return (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({"error": error.to_string()}))).into_response();
        }
    };
    let mut faults = shared.faults();
    let ids: Vec<_> = rules.into_iter().map(|rule| faults.add(rule)).collect();
    (StatusCode::CREATED, Json(json!({"ids": ids}))).into_response()
}

async fn clear_faults(State(shared): State<Arc<Shared>>) -> StatusCode {
    shared.faults().clear();
    StatusCode::NO_CONTENT
}

async fn remove_fault(State(shared): State<Arc<Shared>>, Path(id): Path<u64>) -> StatusCode {
    if shared.faults().remove(id) { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }
}

#[derive(Deserialize)]
struct Wanted {
    /// Only calls whose path starts so.
    path: Option<String>,
    /// Only calls that changed something (or did not).
    applied: Option<bool>,
    /// Only calls with this key.
    key: Option<String>,
    /// The newest so many; 100 unless told.
    limit: Option<usize>,
}

async fn ledger(State(shared): State<Arc<Shared>>, Query(wanted): Query<Wanted>) -> Json<Value> {
    let ledger = shared.ledger();
    let calls = ledger.calls(|call| {
        wanted.path.as_deref().is_none_or(|path| call.path.starts_with(path))
            && wanted.applied.is_none_or(|applied| call.applied == applied)
            && wanted.key.as_deref().is_none_or(|key| call.key.as_deref() == Some(key))
    });
    let skip = calls.len().saturating_sub(wanted.limit.unwrap_or(100).min(MAX_PAGE));
    Json(json!({"totals": ledger.totals(), "calls": calls.get(skip..).unwrap_or_default()}))
}

#[derive(Deserialize)]
struct WantedEffects {
    /// Only effects applied at least so often; 1 unless told. 2 shows what was applied more than once.
    min: Option<u32>,
    /// The first so many; 100 unless told.
    limit: Option<usize>,
}

async fn effects(State(shared): State<Arc<Shared>>, Query(wanted): Query<WantedEffects>) -> Json<Value> {
    let mut found = shared.ledger().effects(wanted.min.unwrap_or(1));
    let total = found.len();
    found.truncate(wanted.limit.unwrap_or(100).min(MAX_PAGE));
    let items: Vec<_> =
        found.into_iter().map(|(effect, object, times)| json!({"effect": effect, "object": object, "times": times})).collect();
    Json(json!({"total": total, "items": items}))
}

#[derive(Deserialize)]
struct Script {
    /// Phone number.
    to: String,
    /// What its owner does; empty: nothing.
    replies: Vec<Reply>,
}

async fn script_sms(State(shared): State<Arc<Shared>>, Json(script): Json<Script>) -> StatusCode {
    shared.core().sms.script(script.to, script.replies);
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct NewWorld {
    seed: u64,
    n: u32,
}

async fn load_world(State(shared): State<Arc<Shared>>, Json(new): Json<NewWorld>) -> Response {
    if new.n > MAX_WORLD {
        return (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({"error": format!("n is at most {MAX_WORLD}")}))).into_response();
    }
    let world = World::generate(new.seed, new.n);
    let requests = world.requests.len();
    Handle { shared }.load(&world);
    (StatusCode::CREATED, Json(json!({"requests": requests}))).into_response()
}

#[derive(Deserialize)]
struct Page {
    offset: Option<usize>,
    limit: Option<usize>,
}

/// The requests that the loaded worlds propose, with the road that each should take.
async fn requests(State(shared): State<Arc<Shared>>, Query(page): Query<Page>) -> Json<Value> {
    let core = shared.core();
    let offset = page.offset.unwrap_or(0);
    let items: Vec<_> = core.planned.iter().skip(offset).take(page.limit.unwrap_or(100).min(MAX_PAGE)).collect();
    Json(json!({"total": core.planned.len(), "items": items}))
}
