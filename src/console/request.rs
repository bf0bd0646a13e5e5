//! One request: what it is, where it stands, what happened, and what can be done about it.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::form::{Form, Query};
use super::frame::{Frame, page};
use super::home::{after, shown};
use super::inbox::now;
use super::plot::{Bar, bars};
use super::read::{Entry, List, Look, Request, Tried};
use super::review::segment;
use super::session::Seat;
use super::show::{When, by_language, plain};
use super::text::put;
use super::timeline::{Line, leaves, lines};
use super::{Console, trouble};
use crate::api::Refused;
use crate::api::permit::Action;

/// Entries on one page.
const ENTRIES: usize = 200;

pub(super) struct LookRow {
    pub(super) by: String,
    pub(super) field: String,
    pub(super) reason: String,
    pub(super) request: String,
    pub(super) at: Option<When>,
}

impl LookRow {
    pub(super) fn new(look: &Look, seat: &Seat, now: Timestamp) -> LookRow {
        LookRow {
            by: look.by.clone(),
            field: look.field.clone(),
            reason: look.reason.clone(),
            request: look.request.clone(),
            at: When::parse(&look.at, now, &seat.look),
        }
    }
}

#[expect(clippy::struct_excessive_bools, reason = "what the template asks")]
#[derive(Template)]
#[template(path = "request.html")]
struct RequestPage {
    f: Frame,
    r: Request,
    state: String,
    open: bool,
    accepted: Option<When>,
    updated: Option<When>,
    ended: Option<When>,
    promise: Option<When>,
    expires: Option<When>,
    wake: Option<When>,
    waits_for_turn: bool,
    /// Attempts of the step that it stands at: made, left, and until when.
    tried: String,
    parked_href: String,
    /// What went wrong when it was parked, in the words of who found it.
    parked_why: String,
    fields: Vec<(String, String)>,
    outcome_texts: Vec<(String, String, String)>,
    question: String,
    asked_until: String,
    bars: Vec<Bar>,
    timeline: Vec<Line>,
    next: Option<String>,
    /// The page of the timeline, for its address.
    cursor: String,
    looks: Vec<LookRow>,
    why: String,
    may_withdraw: bool,
    may_steer: bool,
    may_note: bool,
}

impl RequestPage {
    /// Why the last act was not done.
    fn not_done(&self) -> String {
        put(self.f.t.requests.not_applied_act, &[&self.why])
    }
}

/// The page, also where a script asks for its parts anew: all of them are in it, so one answer is enough.
pub(super) async fn request(
    State(console): State<Console>,
    mut seat: Seat,
    Path(id): Path<String>,
    headers: HeaderMap,
    Query(query): Query,
) -> Response {
    if headers.contains_key("hx-request") {
        // What the last act came to is for the page that somebody opens.
        seat.look.told = None;
    }
    let response = made(&console, &seat, &id, query.one("cursor"), String::new(), StatusCode::OK).await;
    shown(&console, &seat, response)
}

async fn made(console: &Console, seat: &Seat, id: &str, cursor: &str, why: String, status: StatusCode) -> Response {
    match view(console, seat, id, cursor, why).await {
        Ok(view) => (status, page(&seat.look, &view)).into_response(),
        Err(refused) => trouble::refused(seat, &refused),
    }
}

async fn view(console: &Console, seat: &Seat, id: &str, cursor: &str, why: String) -> Result<RequestPage, Refused> {
    let (t, id) = (seat.look.lang.texts(), segment(id));
    let desk = console.desk();
    let r: Request = desk.get(&seat.person, &format!("/v1/requests/{id}")).await?;
    let after = cursor.parse::<u64>().unwrap_or(0);
    let entries: List<Entry> =
        desk.get(&seat.person, &format!("/v1/requests/{id}/timeline?limit={ENTRIES}&cursor={after}")).await?;
    let looks: List<Look> = match desk.get(&seat.person, &format!("/v1/looks?request={id}")).await {
        Ok(looks) => looks,
        Err(refused) if refused.status == 403 => List { items: Vec::new(), next: None },
        Err(refused) => return Err(refused),
    };
    let now = now(console);
    let when = |text: &Option<String>| text.as_deref().and_then(|text| When::parse(text, now, &seat.look));
    let open = r.ended_at.is_none();
    let fields = r.payload.as_ref().map(leaves).unwrap_or_default();
    let texts = r.reason.as_ref().map(|reason| {
        let remedy = |lang: &String| reason.remedy.as_ref().and_then(|texts| texts.get(lang)).cloned().unwrap_or_default();
        reason.customer.iter().map(|(lang, text)| (lang.clone(), text.clone(), remedy(lang))).collect()
    });
    let question = r.review.as_ref().and_then(|asked| asked.question.as_ref()).map(|texts| by_language(texts, &seat.look));
    let asked_until = r.asked.as_ref().and_then(|asked| when(&asked.until)).map(|at| put(t.requests.until, &[at.whole()]));
    Ok(RequestPage {
        f: Frame::of(seat, t.requests.title_one, "/console/requests"),
        state: t.state(&r.state).to_owned(),
        open,
        accepted: When::parse(&r.accepted_at, now, &seat.look),
        updated: When::parse(&r.updated_at, now, &seat.look),
        ended: when(&r.ended_at),
        promise: when(&r.promise_due_at),
        expires: When::parse(&r.expires_at, now, &seat.look).filter(|_| open),
        wake: when(&r.wake_at),
        waits_for_turn: r.waits_for_turn,
        // What is parked is not tried again by itself: whoever resumes it gives it all of its attempts anew.
        tried: r.tried.as_ref().filter(|_| r.parked.is_none()).map(|tried| attempts(tried, seat, now)).unwrap_or_default(),
        parked_why: r
            .parked
            .as_ref()
            .and(entries.items.iter().rfind(|entry| entry.kind == "parked"))
            .map(cause)
            .unwrap_or_default(),
        parked_href: parked_href(r.parked.as_deref()),
        fields: fields.into_iter().map(|(_, label, value)| (label, value)).collect(),
        outcome_texts: texts.unwrap_or_default(),
        question: question.unwrap_or_default(),
        asked_until: asked_until.unwrap_or_default(),
        bars: bars(&entries.items, (open && entries.next().is_none()).then_some(now), t),
        timeline: lines(&entries.items, seat, now),
        next: entries.next().map(|cursor| format!("/console/requests/{id}?cursor={cursor}")),
        cursor: if after > 0 { format!("?cursor={after}") } else { String::new() },
        looks: looks.items.iter().map(|look| LookRow::new(look, seat, now)).collect(),
        may_withdraw: open && seat.may(Action::Follow),
        may_steer: open && seat.may(Action::Steer) && matches!(r.state.as_str(), "waiting" | "parked" | "running"),
        may_note: open && seat.may(Action::Note),
        why,
        r,
    })
}

/// How many attempts were made and are left; by when the last one begins, where there are some left.
fn attempts(tried: &Tried, seat: &Seat, now: Timestamp) -> String {
    let t = &seat.look.lang.texts().requests;
    let left = tried.of.saturating_sub(tried.made);
    let said = put(t.attempts_of, &[&tried.made.to_string(), &tried.of.to_string(), &left.to_string()]);
    let until = tried.until.as_deref().and_then(|until| When::parse(until, now, &seat.look)).filter(|_| left > 0);
    until.map_or_else(|| said.clone(), |until| format!("{said}{}", put(t.attempts_until, &[until.whole()])))
}

/// What an entry names as its cause.
fn cause(entry: &Entry) -> String {
    entry.fact.pointer("/cause/detail").map(plain).unwrap_or_default()
}

/// Where the group is shown that a request is parked under.
fn parked_href(group: Option<&str>) -> String {
    match group.and_then(|group| group.split_once(':')) {
        Some(("defect", fingerprint)) => format!("/console/defects/{}", segment(fingerprint)),
        Some(("dependency", _)) => "/console/dependencies".to_owned(),
        _ => String::new(),
    }
}

async fn act(console: &Console, form: &Form, id: &str, what: &str, body: &Value, told: &str) -> Response {
    let id = segment(id);
    let here = format!("/console/requests/{id}");
    match console.desk().post(&form.seat.person, &format!("/v1/requests/{id}/{what}"), body).await {
        Ok(reply) if reply.status == StatusCode::ACCEPTED => after(console, &here, "pending"),
        Ok(_) => after(console, &here, told),
        Err(refused) if matches!(refused.status, 409 | 422) => {
            let status = StatusCode::from_u16(refused.status).unwrap_or(StatusCode::CONFLICT);
            made(console, &form.seat, &id, "", refused.detail, status).await
        }
        Err(refused) => trouble::refused(&form.seat, &refused),
    }
}

/// Takes it back.
pub(super) async fn withdraw(State(console): State<Console>, Path(id): Path<String>, form: Form) -> Response {
    let body = form.fields.some("note").map_or_else(|| json!({}), |note| json!({ "note": note }));
    act(&console, &form, &id, "withdraw", &body, "withdrawn").await
}

/// Tries again now.
pub(super) async fn retry(State(console): State<Console>, Path(id): Path<String>, form: Form) -> Response {
    act(&console, &form, &id, "retry", &json!({}), "retried").await
}

/// Puts it to a person.
pub(super) async fn to_review(State(console): State<Console>, Path(id): Path<String>, form: Form) -> Response {
    act(&console, &form, &id, "review", &json!({"note": form.fields.one("note")}), "moved").await
}

/// Writes a note.
pub(super) async fn note(State(console): State<Console>, Path(id): Path<String>, form: Form) -> Response {
    act(&console, &form, &id, "notes", &json!({"note": form.fields.one("note")}), "noted").await
}

/// Its whole record as a file: what it is, every entry as it may be shown with its hash, and who looked behind its masks.
pub(super) async fn export(State(console): State<Console>, seat: Seat, Path(id): Path<String>) -> Response {
    match record(&console, &seat, &segment(&id)).await {
        Ok(record) => {
            let name = format!("attachment; filename=\"request-{}.json\"", segment(&id));
            let mut response = serde_json::to_string_pretty(&record).unwrap_or_default().into_response();
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            if let Ok(name) = HeaderValue::from_str(&name) {
                headers.insert(header::CONTENT_DISPOSITION, name);
            }
            response
        }
        Err(refused) => trouble::refused(&seat, &refused),
    }
}

async fn record(console: &Console, seat: &Seat, id: &str) -> Result<Value, Refused> {
    let (desk, person) = (console.desk(), &seat.person);
    let request: Value = desk.get(person, &format!("/v1/requests/{id}")).await?;
    let (mut entries, mut cursor) = (Vec::new(), 0);
    // A ledger is bounded by the attempts that its process allows; this bounds what is read of an odd one.
    for _ in 0..100 {
        let page: List<Value> = desk.get(person, &format!("/v1/requests/{id}/timeline?limit={ENTRIES}&cursor={cursor}")).await?;
        let next = page.next.as_ref().and_then(Value::as_u64);
        entries.extend(page.items);
        match next {
            Some(next) => cursor = next,
            None => break,
        }
    }
    let verified: Value = desk.get(person, &format!("/v1/ledger/verify?request={id}")).await?;
    let looks: Value = desk.get(person, &format!("/v1/looks?request={id}&limit=200")).await?;
    Ok(json!({"request": request, "entries": entries, "verified": verified, "looks": looks.get("items")}))
}
