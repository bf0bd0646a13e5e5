//! Defects: what went wrong, with its evidence; what is held up by it; and letting it go on after the fix.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::form::{Form, encoded};
use super::frame::{Frame, page};
use super::home::{after, shown};
use super::inbox::now;
use super::plot::{Column, Plot, stacked};
use super::read::{List, Process, Request};
use super::requests::{Row, row};
use super::review::segment;
use super::session::Seat;
use super::show::{self, When, number};
use super::text::put;
use super::{Console, trouble};
use crate::api::Refused;
use crate::api::permit::Action;

/// Parked requests that are shown.
const SHOWN: usize = 10;
/// Parked requests that the trend and the new arrivals are counted from.
const COUNTED: usize = 200;
/// How many parts the trend has.
const PARTS: i64 = 20;

/// A defect, as the interface tells it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Defect {
    fingerprint: String,
    process: String,
    slot: String,
    connector: Option<String>,
    class: String,
    code: String,
    status: Option<u16>,
    pattern: String,
    detail: String,
    sample: String,
    version: u32,
    count: u64,
    parked: u64,
    first_seen: String,
    last_seen: String,
    control: Option<Control>,
}

/// How a group is coming back.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Control {
    pub(super) state: String,
    pub(super) reason: String,
    pub(super) by: String,
    pub(super) canary: Option<String>,
    pub(super) probe_at: Option<String>,
    pub(super) rate: u32,
    pub(super) since: Option<String>,
    pub(super) changed_at: String,
}

struct DefectRow {
    href: String,
    pattern: String,
    process: String,
    slot: String,
    parked: u64,
    parked_shown: String,
    count: String,
    first: Option<When>,
    last: Option<When>,
    word: String,
    label: String,
}

#[derive(Template)]
#[template(path = "defects.html")]
struct DefectsPage {
    f: Frame,
    rows: Vec<DefectRow>,
}

#[derive(Template)]
#[template(path = "defect.html")]
struct DefectPage {
    f: Frame,
    d: Defect,
    first: Option<When>,
    last: Option<When>,
    word: String,
    label: String,
    canary: String,
    resumed: String,
    arrivals: String,
    stopped: bool,
    requests: Vec<Row>,
    all: String,
    trend: Plot,
    versions: Vec<u32>,
    resume_n: String,
    under_way: bool,
    may_resume: bool,
    why: String,
}

/// All of them.
pub(super) async fn defects(State(console): State<Console>, seat: Seat) -> Response {
    let list: Result<List<Defect>, Refused> = console.desk().get(&seat.person, "/v1/defects?limit=100").await;
    let list = match list {
        Ok(list) => list,
        Err(refused) => return trouble::refused(&seat, &refused),
    };
    let (now, t) = (now(&console), seat.look.lang.texts());
    let row = |defect: &Defect| {
        let word = state(defect);
        DefectRow {
            href: format!("/console/defects/{}", defect.fingerprint),
            pattern: defect.pattern.clone(),
            process: defect.process.clone(),
            slot: defect.slot.clone(),
            parked: defect.parked,
            parked_shown: number(defect.parked),
            count: number(defect.count),
            first: When::parse(&defect.first_seen, now, &seat.look),
            last: When::parse(&defect.last_seen, now, &seat.look),
            label: if word.is_empty() { String::new() } else { t.control(&word).to_owned() },
            word,
        }
    };
    let mut items: Vec<&Defect> = list.items.iter().collect();
    // What holds requests up comes first; the interface sorts by when they were last seen.
    items.sort_by_key(|defect| std::cmp::Reverse(defect.parked > 0));
    let f = Frame::of(&seat, t.defects.title, "/console/defects");
    let response = page(&seat.look, &DefectsPage { f, rows: items.into_iter().map(row).collect() });
    shown(&console, &seat, response)
}

/// How its resuming stands, while it says something.
fn state(defect: &Defect) -> String {
    let state = defect.control.as_ref().map(|control| control.state.clone()).unwrap_or_default();
    if matches!(state.as_str(), "half_open" | "resuming" | "stopped") || (state == "open" && defect.parked > 0) {
        return if state == "open" { "half_open".to_owned() } else { state };
    }
    String::new()
}

/// One of them.
pub(super) async fn defect(State(console): State<Console>, seat: Seat, Path(id): Path<String>) -> Response {
    let response = made(&console, &seat, &id, String::new(), StatusCode::OK).await;
    shown(&console, &seat, response)
}

async fn made(console: &Console, seat: &Seat, id: &str, why: String, status: StatusCode) -> Response {
    match view(console, seat, id, why).await {
        Ok(view) => (status, page(&seat.look, &view)).into_response(),
        Err(refused) => trouble::refused(seat, &refused),
    }
}

async fn view(console: &Console, seat: &Seat, id: &str, why: String) -> Result<DefectPage, Refused> {
    let (desk, t) = (console.desk(), seat.look.lang.texts());
    let d: Defect = desk.get(&seat.person, &format!("/v1/defects/{}", segment(id))).await?;
    let group = encoded(&format!("defect:{}", d.fingerprint));
    let parked: List<Request> = desk.get(&seat.person, &format!("/v1/requests?parked={group}&limit={COUNTED}")).await?;
    let process: Option<Process> = desk.get(&seat.person, &format!("/v1/processes/{}", segment(&d.process))).await.ok();
    let now = now(console);
    let word = state(&d);
    let since = d.control.as_ref().and_then(|control| control.since.as_deref()).and_then(show::read);
    let under_way = matches!(word.as_str(), "half_open" | "resuming");
    let resumed = d
        .control
        .as_ref()
        .filter(|_| under_way || word == "stopped")
        .zip(since)
        .map(|(control, since)| put(t.defects.resumed_by, &[&control.by, When::new(since, now, &seat.look).whole()]));
    // Those that were parked after the resume began are not part of it.
    let later = |request: &&Request| show::read(&request.updated_at).zip(since).is_some_and(|(updated, since)| updated >= since);
    let arrivals = if under_way { parked.items.iter().filter(later).count() } else { 0 };
    Ok(DefectPage {
        f: Frame::of(seat, t.defects.title_one, "/console/defects"),
        first: When::parse(&d.first_seen, now, &seat.look),
        last: When::parse(&d.last_seen, now, &seat.look),
        label: if word.is_empty() { String::new() } else { t.control(&word).to_owned() },
        canary: d
            .control
            .as_ref()
            .and_then(|control| control.canary.clone())
            .filter(|_| under_way || word == "stopped")
            .unwrap_or_default(),
        resumed: resumed.unwrap_or_default(),
        arrivals: if arrivals > 0 { put(t.defects.arrivals, &[&arrivals.to_string()]) } else { String::new() },
        stopped: word == "stopped",
        requests: parked.items.iter().take(SHOWN).map(|request| row(request, seat, now)).collect(),
        all: format!("/console/requests?q=parked%3A{group}"),
        trend: trend(&parked.items, now, seat),
        versions: process.map(|process| process.versions).unwrap_or_default(),
        resume_n: put(t.defects.resume_n, &[&number(d.parked)]),
        under_way,
        may_resume: seat.may(Action::Operate) && d.parked > 0 && !under_way,
        why,
        word,
        d,
    })
}

/// The parked ones by when they were accepted.
fn trend(parked: &[Request], now: Timestamp, seat: &Seat) -> Plot {
    let t = seat.look.lang.texts();
    let times: Vec<Timestamp> = parked.iter().filter_map(|request| show::read(&request.accepted_at)).collect();
    let first = times.iter().min().copied().unwrap_or(now);
    let step = ((now.as_second() - first.as_second()) / PARTS + 1).max(1);
    let mut counts: BTreeMap<i64, u64> = BTreeMap::new();
    for at in times {
        *counts.entry(((at.as_second() - first.as_second()) / step).clamp(0, PARTS - 1)).or_default() += 1;
    }
    let column = |at: i64| {
        let from = Timestamp::from_second(first.as_second() + at * step).unwrap_or(first);
        Column {
            label: from
                .to_zoned(seat.look.zone.clone())
                .strftime(if step > 3_000 { "%m-%d %Hh" } else { "%H:%M:%S" })
                .to_string(),
            parts: vec![("bar-open", t.kinds.parked, counts.get(&at).copied().unwrap_or(0))],
        }
    };
    stacked(&(0..PARTS).map(column).collect::<Vec<_>>())
}

/// Resumes it.
pub(super) async fn resume(State(console): State<Console>, Path(id): Path<String>, form: Form) -> Response {
    let mut body = json!({});
    for (name, value) in [("rate", form.fields.some("rate")), ("to_version", form.fields.some("to_version"))] {
        if let Some(value) = value {
            body[name] = value.parse::<u32>().map_or_else(|_| Value::from(value), Value::from);
        }
    }
    let id = segment(&id);
    match console.desk().post(&form.seat.person, &format!("/v1/defects/{id}/resume"), &body).await {
        Ok(_) => after(&console, &format!("/console/defects/{id}"), "resumed"),
        Err(refused) if matches!(refused.status, 409 | 422 | 503) => {
            made(&console, &form.seat, &id, refused.detail, StatusCode::UNPROCESSABLE_ENTITY).await
        }
        Err(refused) => trouble::refused(&form.seat, &refused),
    }
}
