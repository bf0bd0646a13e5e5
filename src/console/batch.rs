//! Several reviews that are decided alike, in the background: how far it is, and what became of each.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::json;

use super::form::Form;
use super::frame::{Frame, page};
use super::home::{after, shown};
use super::inbox::now;
use super::read::{Batch, BatchItem, Counts, List};
use super::review::segment;
use super::session::Seat;
use super::show::When;
use super::text::{Together, put};
use super::{Console, trouble};
use crate::api::Refused;
use crate::api::permit::Action;

struct Item {
    href: String,
    label: String,
    word: &'static str,
    came_to: &'static str,
    why: String,
}

#[derive(Template)]
#[template(path = "batch.html")]
struct BatchPage {
    f: Frame,
    id: String,
    decision: String,
    note: String,
    at: Option<When>,
    summary: String,
    total: usize,
    settled: usize,
    /// When it begins, where it has not.
    begins: String,
    open: bool,
    items: Vec<Item>,
}

#[derive(Template)]
#[template(path = "batch_part.html")]
struct BatchPart {
    f: Frame,
    id: String,
    summary: String,
    total: usize,
    settled: usize,
    begins: String,
    open: bool,
    items: Vec<Item>,
}

struct Listed {
    href: String,
    by: String,
    decision: String,
    note: String,
    at: Option<When>,
    open: bool,
}

#[derive(Template)]
#[template(path = "batches.html")]
struct BatchesPage {
    f: Frame,
    rows: Vec<Listed>,
}

/// This person's batches, or everybody's.
pub(super) async fn batches(State(console): State<Console>, seat: Seat) -> Response {
    let list = match read(&console, &seat).await {
        Ok(list) => list,
        Err(refused) => return trouble::refused(&seat, &refused),
    };
    let (t, now) = (seat.look.lang.texts(), now(&console));
    let row = |batch: Batch| Listed {
        href: format!("/console/reviews/batches/{}", batch.id),
        by: batch.by,
        decision: t.choice(&batch.choice).to_owned(),
        at: When::parse(&batch.at, now, &seat.look),
        open: batch.done_at.is_none(),
        note: batch.note,
    };
    let rows = list.items.into_iter().map(row).collect();
    page(&seat.look, &BatchesPage { f: Frame::of(&seat, t.together.batches, "/console/reviews"), rows })
}

async fn read(console: &Console, seat: &Seat) -> Result<List<Batch>, Refused> {
    // Who operates everything can see and stop anybody's.
    let everybody = seat.may(Action::Operate) && seat.person.processes.is_empty();
    console.desk().get(&seat.person, if everybody { "/v1/batches?everybody=true" } else { "/v1/batches" }).await
}

/// Has this person any batch, and is one of them not done?
pub(super) async fn any(console: &Console, seat: &Seat) -> Result<(bool, bool), Refused> {
    let list = read(console, seat).await?;
    Ok((!list.items.is_empty(), list.items.iter().any(|batch| batch.done_at.is_none())))
}

/// How far it is; only its part that changes where a script asks for it anew.
pub(super) async fn batch(State(console): State<Console>, Path(id): Path<String>, seat: Seat, headers: HeaderMap) -> Response {
    let address = format!("/v1/batches/{}", segment(&id));
    let batch: Batch = match console.desk().get(&seat.person, &address).await {
        Ok(batch) => batch,
        Err(refused) => return trouble::refused(&seat, &refused),
    };
    let (t, now) = (seat.look.lang.texts(), now(&console));
    let f = Frame::of(&seat, t.together.title, "/console/reviews");
    let Counts { done, pending, skipped, failed } = batch.counts;
    let numbers = [done, pending, skipped, failed].map(|number| number.to_string());
    let summary = put(t.together.summary, &numbers.each_ref().map(String::as_str));
    let (settled, open) = (done + skipped + failed, batch.done_at.is_none());
    let total = settled + pending;
    let start = super::show::read(&batch.start_at).filter(|at| open && *at > now);
    let begins = start.and_then(|_| When::parse(&batch.start_at, now, &seat.look)).map(|at| at.whole().to_owned());
    let begins = begins.map(|at| put(t.together.begins, &[&at])).unwrap_or_default();
    let items = batch.items.iter().map(|one| item(one, &t.together)).collect();
    let id = segment(&id);
    if headers.contains_key("hx-request") {
        return page(&seat.look, &BatchPart { f, id, summary, total, settled, begins, open, items });
    }
    let reason = batch.reason.as_deref().map(|reason| format!(" · {reason}")).unwrap_or_default();
    let decision = format!("{} · {}{reason}", batch.by, t.choice(&batch.choice));
    let at = When::parse(&batch.at, now, &seat.look);
    let made = BatchPage { f, id, decision, note: batch.note, at, summary, total, settled, begins, open, items };
    shown(&console, &seat, page(&seat.look, &made))
}

fn item(item: &BatchItem, t: &Together) -> Item {
    let why = |text: &str| put(text, &[&item.why]);
    let (word, came_to, why) = match (item.state.as_str(), item.code.as_str()) {
        ("pending", _) => ("queued", t.waits, String::new()),
        ("done", "second_needed") => ("waiting", t.second, String::new()),
        ("done", "stored") => ("waiting", t.pending, String::new()),
        ("done", _) => ("done", t.done, String::new()),
        ("skipped", "stale") => ("parked", t.skipped, why(t.why_stale)),
        ("skipped", "taken") => ("parked", t.skipped, why(t.why_taken)),
        ("skipped", "held") => ("parked", t.skipped, why(t.why_held)),
        ("skipped", "set_aside") => ("parked", t.skipped, t.set_aside.to_owned()),
        ("skipped", "ended") => ("parked", t.skipped, why(t.why_ended)),
        ("skipped", "forbidden") => ("parked", t.skipped, why(t.why_forbidden)),
        ("skipped", "stopped") => ("parked", t.skipped, t.why_stopped.to_owned()),
        ("skipped", "not_found") => ("parked", t.skipped, t.why_gone.to_owned()),
        ("skipped", _) => ("parked", t.skipped, item.why.clone()),
        (_, "revoked") => ("failed", t.failed, t.why_revoked.to_owned()),
        (_, "internal") => ("failed", t.failed, t.why_internal.to_owned()),
        _ => ("failed", t.failed, item.why.clone()),
    };
    let label = item.customer.clone().filter(|customer| !customer.is_empty()).unwrap_or_else(|| item.review.clone());
    Item { href: format!("/console/reviews/{}", item.review), label, word, came_to, why }
}

/// Stops it: what was not begun is skipped.
pub(super) async fn stop(State(console): State<Console>, Path(id): Path<String>, form: Form) -> Response {
    let id = segment(&id);
    match console.desk().post(&form.seat.person, &format!("/v1/batches/{id}/stop"), &json!({})).await {
        Ok(_) => after(&console, &format!("/console/reviews/batches/{id}"), "batch-stopped"),
        Err(refused) => trouble::refused(&form.seat, &refused),
    }
}
