//! Dependencies with their breakers, and workers with their heartbeats.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::defects::Control;
use super::form::{Form, encoded};
use super::frame::{Frame, page};
use super::home::{after, shown};
use super::inbox::now;
use super::read::List;
use super::session::Seat;
use super::show::{self, When, ago, number};
use super::{Console, trouble};
use crate::api::Refused;
use crate::api::permit::Action;

/// A heartbeat older than this is worth a look: workers beat several times in a lease.
pub(super) const LATE_SECONDS: i64 = 10;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Dependency {
    pub(super) name: String,
    pub(super) state: String,
    pub(super) parked: u64,
    pub(super) processes: Vec<String>,
    pub(super) failures: u32,
    pub(super) control: Option<Control>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Worker {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) version: String,
    pub(super) started_at: String,
    pub(super) heartbeat_at: String,
    pub(super) answering: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Workers {
    pub(super) items: Vec<Worker>,
    pub(super) now: String,
}

struct DependencyRow {
    name: String,
    state: String,
    class: &'static str,
    label: String,
    parked: String,
    parked_href: String,
    failures: u32,
    processes: Vec<String>,
    why: String,
    by: String,
    changed: Option<When>,
    probe: Option<When>,
}

#[derive(Template)]
#[template(path = "dependencies.html")]
struct DependenciesPage {
    f: Frame,
    rows: Vec<DependencyRow>,
    operates: bool,
    why: String,
}

struct WorkerRow {
    id: String,
    name: String,
    version: String,
    started: Option<When>,
    heartbeat: String,
    late: bool,
    here: bool,
}

#[derive(Template)]
#[template(path = "workers.html")]
struct WorkersPage {
    f: Frame,
    rows: Vec<WorkerRow>,
}

/// All dependencies.
pub(super) async fn dependencies(State(console): State<Console>, seat: Seat) -> Response {
    let response = made(&console, &seat, String::new(), StatusCode::OK).await;
    shown(&console, &seat, response)
}

async fn made(console: &Console, seat: &Seat, why: String, status: StatusCode) -> Response {
    let list: Result<List<Dependency>, Refused> = console.desk().get(&seat.person, "/v1/dependencies").await;
    let list = match list {
        Ok(list) => list,
        Err(refused) => return trouble::refused(seat, &refused),
    };
    let (now, t) = (now(console), seat.look.lang.texts());
    let row = |dependency: &Dependency| {
        let control = dependency.control.as_ref().filter(|control| control.state != "closed");
        let group = encoded(&format!("parked:dependency:{}", dependency.name));
        DependencyRow {
            name: dependency.name.clone(),
            class: match dependency.state.as_str() {
                "open" => "open-breaker",
                "half_open" => "half_open",
                "resuming" => "resuming",
                "stopped" => "stopped",
                _ => "closed",
            },
            label: t.control(&dependency.state).to_owned(),
            parked: number(dependency.parked),
            parked_href: if dependency.parked > 0 { format!("/console/requests?q={group}") } else { String::new() },
            failures: dependency.failures,
            processes: dependency.processes.clone(),
            why: control.map(|control| control.reason.clone()).unwrap_or_default(),
            by: control.map(|control| control.by.clone()).unwrap_or_default(),
            changed: control.and_then(|control| When::parse(&control.changed_at, now, &seat.look)),
            probe: control.and_then(|control| control.probe_at.as_deref()).and_then(|at| When::parse(at, now, &seat.look)),
            state: dependency.state.clone(),
        }
    };
    let f = Frame::of(seat, t.dependencies.title, "/console/dependencies");
    // Who looks after some processes only may not stop what serves others, too.
    let operates = seat.may(Action::Operate) && seat.person.processes.is_empty();
    let view = DependenciesPage { f, rows: list.items.iter().map(row).collect(), operates, why };
    (status, page(&seat.look, &view)).into_response()
}

/// Trips or resets one.
pub(super) async fn act(State(console): State<Console>, Path((name, what)): Path<(String, String)>, form: Form) -> Response {
    let told = match what.as_str() {
        "trip" => "tripped",
        "reset" => "reset",
        _ => return trouble::not_found(&form.seat),
    };
    let name = encoded(&name);
    let body = json!({"reason": form.fields.one("reason")});
    match console.desk().post(&form.seat.person, &format!("/v1/dependencies/{name}/{what}"), &body).await {
        Ok(_) => after(&console, "/console/dependencies", told),
        Err(refused) if matches!(refused.status, 422 | 503) => {
            made(&console, &form.seat, refused.detail, StatusCode::UNPROCESSABLE_ENTITY).await
        }
        Err(refused) => trouble::refused(&form.seat, &refused),
    }
}

/// The living workers.
pub(super) async fn workers(State(console): State<Console>, seat: Seat) -> Response {
    let workers: Workers = match console.desk().get(&seat.person, "/v1/workers").await {
        Ok(workers) => workers,
        Err(refused) => return trouble::refused(&seat, &refused),
    };
    let t = seat.look.lang.texts();
    // The database's clock, which the heartbeats are written by.
    let now = show::read(&workers.now).unwrap_or_else(|| now(&console));
    let row = |worker: &Worker| {
        let beat = show::read(&worker.heartbeat_at);
        WorkerRow {
            id: worker.id.clone(),
            name: worker.name.clone(),
            version: worker.version.clone(),
            started: When::parse(&worker.started_at, now, &seat.look),
            heartbeat: beat.map(|at| ago(at, now, t)).unwrap_or_default(),
            late: beat.is_none_or(|at| show::seconds(at, now) > LATE_SECONDS),
            here: worker.answering,
        }
    };
    let f = Frame::of(&seat, t.workers.title, "/console/workers");
    let response = page(&seat.look, &WorkersPage { f, rows: workers.items.iter().map(row).collect() });
    shown(&console, &seat, response)
}
