//! For auditors: who decided, who looked behind a mask, and whether the record is whole.

use std::future::ready;
use std::io;

use askama::Template;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use futures_util::stream::{once, try_unfold};
use serde::Deserialize;
use uuid::Uuid;

use super::form::{Fields, Query, encoded};
use super::frame::{Frame, page};
use super::home::shown;
use super::inbox::now;
use super::read::{Act, List, Look, Process, Review};
use super::request::LookRow;
use super::session::Seat;
use super::show::{When, by_language, number, short_id};
use super::text::put;
use super::{Console, trouble};
use crate::api::Refused;
use crate::api::permit::Action;

/// Requests that one press verifies.
const VERIFIED: usize = 100;

struct DecisionRow {
    href: String,
    question: String,
    process: String,
    choice: String,
    word: String,
    by: String,
    first: String,
    reason: String,
    note: String,
    at: Option<When>,
}

struct ActLine {
    at: Option<When>,
    by: String,
    what: String,
    href: String,
    about: String,
    detail: String,
}

#[derive(Template)]
#[template(path = "decisions.html")]
struct DecisionsPage {
    f: Frame,
    looks_tab: bool,
    acts_tab: bool,
    may_looks: bool,
    by: String,
    process: String,
    processes: Vec<(String, String)>,
    rows: Vec<DecisionRow>,
    looks: Vec<LookRow>,
    acts: Vec<ActLine>,
    next: Option<String>,
    export: String,
}

/// What a list is narrowed to, for the interface and for our own address.
fn narrowed(query: &Fields) -> String {
    ["by", "process"].iter().filter_map(|name| query.some(name).map(|value| format!("&{name}={}", encoded(value)))).collect()
}

/// Who decided, or who saw what.
pub(super) async fn decisions(State(console): State<Console>, seat: Seat, Query(query): Query) -> Response {
    match view(&console, &seat, &query).await {
        Ok(view) => shown(&console, &seat, page(&seat.look, &view)),
        Err(refused) => trouble::refused(&seat, &refused),
    }
}

async fn view(console: &Console, seat: &Seat, query: &Fields) -> Result<DecisionsPage, Refused> {
    let (desk, t, now) = (console.desk(), seat.look.lang.texts(), now(console));
    let may_looks = seat.may(Action::ReadAll) && seat.person.processes.is_empty();
    let looks_tab = may_looks && query.one("tab") == "looks";
    let cursor = query.some("cursor").map(|cursor| format!("&cursor={}", encoded(cursor))).unwrap_or_default();
    let kept = narrowed(query);
    let acts_tab = may_looks && query.one("tab") == "acts";
    let (mut rows, mut looks, mut acts) = (Vec::new(), Vec::new(), Vec::new());
    let next = match (looks_tab, acts_tab) {
        (true, _) => "&tab=looks",
        (_, true) => "&tab=acts",
        _ => "",
    };
    let by = query.some("by").map(|by| format!("&by={}", encoded(by))).unwrap_or_default();
    let cursor_after = if acts_tab {
        let list: List<Act> = desk.get(&seat.person, &format!("/v1/acts?limit=50{by}{cursor}")).await?;
        acts = list.items.iter().map(|act| act_line(act, seat, now)).collect();
        list.next()
    } else if looks_tab {
        let list: List<Look> = desk.get(&seat.person, &format!("/v1/looks?limit=50{by}{cursor}")).await?;
        looks = list.items.iter().map(|look| LookRow::new(look, seat, now)).collect();
        list.next()
    } else {
        let list: List<Review> = desk.get(&seat.person, &format!("/v1/decisions?limit=50{kept}{cursor}")).await?;
        rows = list.items.iter().map(|review| row(review, seat, now)).collect();
        list.next()
    };
    let known: List<Process> = desk.get(&seat.person, "/v1/processes").await?;
    Ok(DecisionsPage {
        f: Frame::of(seat, t.decisions.title, "/console/decisions"),
        looks_tab,
        acts_tab,
        may_looks,
        by: query.one("by").to_owned(),
        process: query.one("process").to_owned(),
        processes: known.items.iter().map(|process| (process.name.clone(), by_language(&process.title, &seat.look))).collect(),
        rows,
        looks,
        acts,
        next: cursor_after.map(|cursor| format!("/console/decisions?cursor={}{kept}{next}", encoded(&cursor))),
        export: format!("/console/decisions.csv?x=1{kept}"),
    })
}

fn act_line(act: &Act, seat: &Seat, now: jiff::Timestamp) -> ActLine {
    let t = &seat.look.lang.texts().decisions;
    let what = match act.what.as_str() {
        "decision_undone" => t.decision_undone,
        "review_snoozed" => t.review_snoozed,
        "review_woken" => t.review_woken,
        "review_taken_over" => t.review_taken_over,
        "review_released" => t.review_released,
        "review_escalated" => t.review_escalated,
        "dependency_tripped" => t.dependency_tripped,
        "dependency_reset" => t.dependency_reset,
        "group_resumed" => t.group_resumed,
        "view_saved" => t.view_saved,
        "view_renamed" => t.view_renamed,
        "view_removed" => t.view_removed,
        "batch_stopped" => t.batch_stopped,
        other => other,
    };
    let (about, href) = match (&act.review, &act.request) {
        (Some(review), _) => (review.clone(), format!("/console/reviews/{review}")),
        (None, Some(request)) => (request.clone(), format!("/console/requests/{request}")),
        (None, None) => (String::new(), String::new()),
    };
    let at = When::parse(&act.at, now, &seat.look);
    ActLine { at, by: act.by.clone(), what: what.to_owned(), href, about, detail: act.detail.clone() }
}

fn row(review: &Review, seat: &Seat, now: jiff::Timestamp) -> DecisionRow {
    let t = seat.look.lang.texts();
    let decision = review.decision.clone().unwrap_or_default();
    let question = by_language(&review.question, &seat.look);
    DecisionRow {
        href: format!("/console/reviews/{}", review.id),
        question: if question.is_empty() { review.name.clone() } else { question },
        process: review.process.clone(),
        choice: t.choice(&decision.choice).to_owned(),
        word: decision.choice,
        by: decision.by,
        first: decision.first_by.unwrap_or_default(),
        reason: decision.reason.unwrap_or_default(),
        note: decision.note,
        at: review.closed_at.as_deref().and_then(|at| When::parse(at, now, &seat.look)),
    }
}

/// The decisions as a table for other programs: all of them, sent page by page as they are read.
pub(super) async fn csv(State(console): State<Console>, seat: Seat, Query(query): Query) -> Response {
    let kept = narrowed(&query);
    let (head, next) = match part(&console, &seat, &kept, "").await {
        Ok(part) => part,
        Err(refused) => return trouble::refused(&seat, &refused),
    };
    let first = once(ready(Ok(format!("{HEAD}{head}"))));
    // What cannot be read ends the answer before its end: a browser says so, and nobody takes a part for the whole.
    let rest = try_unfold(next, move |next| {
        let (console, seat, kept) = (console.clone(), seat.clone(), kept.clone());
        async move {
            let Some(cursor) = next else { return Ok(None) };
            let part = part(&console, &seat, &kept, &format!("&cursor={}", encoded(&cursor))).await;
            part.map(Some).map_err(|refused| io::Error::other(refused.detail))
        }
    });
    let mut response = Body::from_stream(first.chain(rest)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"));
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"decisions.csv\""));
    response
}

const HEAD: &str = "closed_at,review,request,process,version,question,choice,reason,by,first_by,note\r\n";

/// Some lines of the table, and where the next ones begin.
async fn part(console: &Console, seat: &Seat, kept: &str, cursor: &str) -> Result<(String, Option<String>), Refused> {
    let mut text = String::new();
    let list: List<Review> = console.desk().get(&seat.person, &format!("/v1/decisions?limit=200{kept}{cursor}")).await?;
    for review in &list.items {
        let decision = review.decision.clone().unwrap_or_default();
        let cells = [
            review.closed_at.clone().unwrap_or_default(),
            review.id.clone(),
            review.request.clone(),
            review.process.clone(),
            review.process_version.to_string(),
            review.name.clone(),
            decision.choice,
            decision.reason.unwrap_or_default(),
            decision.by,
            decision.first_by.unwrap_or_default(),
            decision.note,
        ];
        text.push_str(&cells.map(|cell| quoted(&cell)).join(","));
        text.push_str("\r\n");
    }
    Ok((text, list.next()))
}

/// A cell. What a spreadsheet would take for a formula is made a text.
fn quoted(cell: &str) -> String {
    let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let cell = cell.replace('"', "\"\"");
    format!("\"{}{cell}\"", if formula { "'" } else { "" })
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Verified {
    whole: bool,
    requests: u64,
    entries: u64,
    broken: Vec<Broken>,
    next: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Broken {
    request: String,
    process: String,
    entry: u64,
    problem: String,
}

struct BrokenRow {
    href: String,
    id: String,
    process: String,
    entry: u64,
    problem: String,
}

#[derive(Template)]
#[template(path = "ledger.html")]
struct LedgerPage {
    f: Frame,
    verify_n: String,
    verify_href: String,
    verified: bool,
    whole: bool,
    says: String,
    broken: Vec<BrokenRow>,
    next: Option<String>,
    request: String,
    unknown: bool,
    record: String,
}

/// Verification: of the newest requests, of older ones, or of a single one.
pub(super) async fn ledger(State(console): State<Console>, seat: Seat, Query(query): Query) -> Response {
    if !seat.may(Action::ReadOperations) {
        return trouble::not_allowed(&seat, None);
    }
    match checked(&console, &seat, &query).await {
        Ok(view) => page(&seat.look, &view),
        Err(refused) => trouble::refused(&seat, &refused),
    }
}

async fn checked(console: &Console, seat: &Seat, query: &Fields) -> Result<LedgerPage, Refused> {
    let t = &seat.look.lang.texts().ledger;
    let request = query.one("request").trim().to_owned();
    let request = Uuid::try_parse(&request).map_or(request, |id| id.to_string());
    let address = match (request.as_str(), query.one("verify"), query.some("cursor")) {
        ("", "", _) => None,
        ("", _, None) => Some(format!("/v1/ledger/verify?limit={VERIFIED}")),
        ("", _, Some(cursor)) => Some(format!("/v1/ledger/verify?limit={VERIFIED}&cursor={}", encoded(cursor))),
        (id, ..) => Some(format!("/v1/ledger/verify?request={}", encoded(id))),
    };
    let verified: Option<Verified> = match &address {
        Some(address) => match console.desk().get(&seat.person, address).await {
            Ok(verified) => Some(verified),
            // No id, or nobody's: said on the page.
            Err(refused) if matches!(refused.status, 400 | 404) && !request.is_empty() => None,
            Err(refused) => return Err(refused),
        },
        None => None,
    };
    let checked = verified.is_some();
    let says = verified.as_ref().map(|found| match (found.whole, found.requests) {
        (_, 0) => t.none.to_owned(),
        (true, _) => put(t.whole, &[&number(found.requests), &number(found.entries)]),
        (false, _) => put(t.broken, &[&found.broken.len().to_string(), &number(found.requests)]),
    });
    let broken = |broken: &Broken| BrokenRow {
        href: format!("/console/requests/{}", broken.request),
        id: short_id(&broken.request).to_owned(),
        process: broken.process.clone(),
        entry: broken.entry,
        problem: broken.problem.clone(),
    };
    Ok(LedgerPage {
        f: Frame::of(seat, t.title, "/console/ledger"),
        verify_n: put(t.verify, &[&VERIFIED.to_string()]),
        verify_href: "/console/ledger?verify=newest".to_owned(),
        verified: checked,
        whole: verified.as_ref().is_some_and(|found| found.whole),
        says: says.unwrap_or_default(),
        broken: verified.iter().flat_map(|found| &found.broken).map(broken).collect(),
        next: verified
            .and_then(|found| found.next)
            .map(|cursor| format!("/console/ledger?verify=older&cursor={}", encoded(&cursor))),
        unknown: !request.is_empty() && !checked,
        record: if request.is_empty() { String::new() } else { format!("/console/requests/{}/record.json", encoded(&request)) },
        request,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_no_formulas() {
        assert_eq!(quoted("a \"b\""), "\"a \"\"b\"\"\"");
        assert_eq!(quoted("=HYPERLINK(1)"), "\"'=HYPERLINK(1)\"");
        assert_eq!(quoted("@x"), "\"'@x\"");
    }
}
