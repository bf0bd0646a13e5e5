//! What reviewers do: claim, give back, take over, escalate, note, look behind a mask, decide.
//!
//! Every act is the interface's; a page adds only where to go afterwards. What was refused comes back with what was written.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{Redirect, Response};
use serde_json::{Map, Value, json};

use super::draft::Draft;
use super::form::{Fields, Form, Unproven};
use super::home::after;
use super::inbox::take_next;
use super::read::{Process, Review};
use super::review::{Extra, made, segment};
use super::session::Seat;
use super::way::Way;
use super::{Console, refusals, trouble};
use crate::api::Refused;
use crate::domain::time::show_duration;

/// A review's page, with the list that somebody works through.
pub(super) fn here(id: &str, way: &Way) -> String {
    format!("/console/reviews/{}{}", segment(id), way.query('?'))
}

/// An act that is no decision: who sent it from where, and what was written on the page besides.
struct Sent<'a> {
    console: &'a Console,
    seat: &'a Seat,
    id: &'a str,
    fields: &'a Fields,
}

impl<'a> Sent<'a> {
    fn new(console: &'a Console, form: &'a Form, id: &'a str) -> Sent<'a> {
        Sent { console, seat: &form.seat, id, fields: &form.fields }
    }

    /// What was written for this act; the decision has a `note` of its own.
    fn said(&self, act: &str) -> &'a str {
        self.fields.one(&format!("said.{act}"))
    }

    /// Under the page's key, so that the same form sent twice acts once.
    async fn act(&self, what: &str, body: &Value) -> Result<(), Refused> {
        let address = format!("/v1/reviews/{}/{what}", segment(self.id));
        let key = segment(self.fields.one("key"));
        self.console.desk().post_once(&self.seat.person, &address, body, &key).await.map(drop)
    }

    /// The act either happened, or is shown on the page with why not. A draft comes back with the page; without one the
    /// browser is sent there, so that a reload does nothing again.
    async fn done(&self, what: &'static str, result: Result<(), Refused>, told: &'static str) -> Response {
        let mut draft = Draft::of(self.fields);
        let way = Way::of(self.fields);
        let (told, status) = match result {
            Ok(()) => (told, StatusCode::OK),
            Err(refused) if matches!(refused.status, 409 | 423) => ("too-late", StatusCode::CONFLICT),
            Err(refused) if refused.status == 422 => {
                draft.why = refusals::why(&refused, self.seat);
                let extra = Extra { draft: Some(draft), way, status: StatusCode::UNPROCESSABLE_ENTITY, ..Extra::default() };
                return made(self.console, self.seat, self.id, extra).await;
            }
            Err(refused) => return trouble::refused(self.seat, &refused),
        };
        if status == StatusCode::OK {
            draft = draft.without(what);
        }
        if draft.is_empty() {
            return after(self.console, &here(self.id, &way), told);
        }
        let mut seat = self.seat.clone();
        seat.look.told = Some(told.to_owned());
        let extra = Extra { draft: Some(draft), way, status, ..Extra::default() };
        made(self.console, &seat, self.id, extra).await
    }
}

/// Where an act's address is opened like a page's: to the review.
pub(super) async fn there(Path(id): Path<String>) -> Redirect {
    Redirect::to(&here(&id, &Way::default()))
}

/// Claims it, or takes it over with a reason.
pub(super) async fn claim(State(console): State<Console>, Path(id): Path<String>, form: Form) -> Response {
    let sent = Sent::new(&console, &form, &id);
    let body = match sent.said("claim") {
        "" => json!({}),
        note => json!({"steal": true, "note": note}),
    };
    let result = sent.act("claim", &body).await;
    sent.done("claim", result, "claimed").await
}

/// Gives it back.
pub(super) async fn release(State(console): State<Console>, Path(id): Path<String>, form: Form) -> Response {
    let sent = Sent::new(&console, &form, &id);
    let result = sent.act("release", &json!({})).await;
    sent.done("release", result, "released").await
}

/// Escalates it.
pub(super) async fn escalate(State(console): State<Console>, Path(id): Path<String>, form: Form) -> Response {
    let sent = Sent::new(&console, &form, &id);
    let result = sent.act("escalate", &json!({"note": sent.said("escalate")})).await;
    sent.done("escalate", result, "escalated").await
}

/// Takes a decision back that has not taken effect.
pub(super) async fn undo(State(console): State<Console>, Path(id): Path<String>, form: Form) -> Response {
    let sent = Sent::new(&console, &form, &id);
    let result = sent.act("undo", &json!({})).await;
    sent.done("undo", result, "undone").await
}

/// Puts it aside.
pub(super) async fn snooze(State(console): State<Console>, Path(id): Path<String>, form: Form) -> Response {
    let sent = Sent::new(&console, &form, &id);
    let result = sent.act("snooze", &json!({"for": form.fields.one("for"), "note": sent.said("snooze")})).await;
    sent.done("snooze", result, "snoozed").await
}

/// Takes up what was put aside.
pub(super) async fn wake(State(console): State<Console>, Path(id): Path<String>, form: Form) -> Response {
    let sent = Sent::new(&console, &form, &id);
    let result = sent.act("wake", &json!({})).await;
    sent.done("wake", result, "woken").await
}

/// Writes a note.
pub(super) async fn note(State(console): State<Console>, Path(id): Path<String>, form: Form) -> Response {
    let sent = Sent::new(&console, &form, &id);
    let result = sent.act("notes", &json!({"note": sent.said("note")})).await;
    renew(&console, &form.seat, &id).await;
    sent.done("note", result, "noted").await
}

/// Shows the page again with what was written on it, and does nothing else. No token is asked for: who signed in anew puts
/// back what they had written, with a form of their former session.
pub(super) async fn draft(
    State(console): State<Console>,
    Path(id): Path<String>,
    Unproven { seat, fields }: Unproven,
) -> Response {
    let (asks, way) = (fields.some("reveal").map(str::to_owned), Way::of(&fields));
    let draft = Some(Draft::of(&fields));
    made(&console, &seat, &id, Extra { asks, draft, way, status: StatusCode::OK, ..Extra::default() }).await
}

/// Shows a masked value, once: the answer to this form is the page with the value in it.
pub(super) async fn reveal(State(console): State<Console>, Path(id): Path<String>, form: Form) -> Response {
    let (seat, field) = (&form.seat, form.fields.one("reveal"));
    let mut draft = Draft::of(&form.fields);
    let way = Way::of(&form.fields);
    match revealed(&console, seat, &id, field, form.fields.one("seen_for")).await {
        Ok(value) => {
            renew(&console, seat, &id).await;
            let (draft, revealed) = (Some(draft), Some((field.to_owned(), value)));
            made(&console, seat, &id, Extra { revealed, draft, way, status: StatusCode::OK, ..Extra::default() }).await
        }
        Err(refused) if refused.status == 422 => {
            draft.why = refusals::why(&refused, seat);
            let (asks, draft, status) = (Some(field.to_owned()), Some(draft), StatusCode::UNPROCESSABLE_ENTITY);
            made(&console, seat, &id, Extra { asks, draft, way, status, ..Extra::default() }).await
        }
        Err(refused) => trouble::refused(seat, &refused),
    }
}

async fn revealed(console: &Console, seat: &Seat, id: &str, field: &str, reason: &str) -> Result<Value, Refused> {
    let review: Review = console.desk().get(&seat.person, &format!("/v1/reviews/{}", segment(id))).await?;
    let body = json!({"field": field, "reason": reason});
    let reply = console.desk().post(&seat.person, &format!("/v1/requests/{}/reveal", review.request), &body).await?;
    Ok(reply.body.get("value").cloned().unwrap_or_default())
}

/// Whoever works on it keeps it: an act renews the claim where it is theirs.
async fn renew(console: &Console, seat: &Seat, id: &str) {
    let review: Result<Review, Refused> = console.desk().get(&seat.person, &format!("/v1/reviews/{}", segment(id))).await;
    let mine = review.is_ok_and(|review| review.claimed_by.as_deref() == Some(seat.person.name.as_str()));
    let address = format!("/v1/reviews/{}/claim", segment(id));
    if mine && let Err(refused) = console.desk().post(&seat.person, &address, &json!({})).await {
        tracing::debug!(status = refused.status, "a claim was not renewed");
    }
}

/// Decides, and goes on to the next one where that was asked for.
pub(super) async fn decide(State(console): State<Console>, Path(id): Path<String>, form: Form) -> Response {
    let Form { seat, fields } = form;
    let mut draft = Draft::of(&fields);
    let way = Way::of(&fields);
    match decided(&console, &seat, &id, &fields, &draft).await {
        Ok(told) => onwards(&console, &seat, &id, &fields, &told).await,
        Err(NotDecided::Missing(why)) => {
            draft.why = why;
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            made(&console, &seat, &id, Extra { draft: Some(draft), way, status, ..Extra::default() }).await
        }
        Err(NotDecided::Refused(refused)) if matches!(refused.status, 409 | 422 | 423) => {
            if refused.code() == "stale" || refused.status == 423 {
                let seen = ["version", "seen_state", "seen_holder"].map(|name| fields.one(name).to_owned());
                draft.seen = Some(seen);
            }
            // What is shown beside it from now on is how it is now.
            draft.version = None;
            draft.why = refusals::why(&refused, &seat);
            let status = StatusCode::from_u16(refused.status).unwrap_or(StatusCode::CONFLICT);
            made(&console, &seat, &id, Extra { draft: Some(draft), way, status, ..Extra::default() }).await
        }
        Err(NotDecided::Refused(refused)) => trouble::refused(&seat, &refused),
    }
}

/// Why a decision was not made.
enum NotDecided {
    /// The form lacks something.
    Missing(String),
    /// The interface refused it.
    Refused(Box<Refused>),
}

impl From<Refused> for NotDecided {
    fn from(refused: Refused) -> NotDecided {
        NotDecided::Refused(Box::new(refused))
    }
}

async fn decided(console: &Console, seat: &Seat, id: &str, fields: &Fields, draft: &Draft) -> Result<String, NotDecided> {
    let t = &seat.look.lang.texts().review;
    let missing = |why: &str| Err(NotDecided::Missing(why.to_owned()));
    if draft.choice.is_empty() {
        return missing(t.choose_one);
    }
    if draft.note.is_empty() {
        return missing(t.note_missing);
    }
    if draft.choice == "refuse" && draft.reason.is_empty() {
        return missing(t.reason_missing);
    }
    let Ok(version) = fields.one("version").parse::<u32>() else { return missing(t.stale) };
    let mut body = json!({"version": version, "choice": draft.choice, "note": draft.note});
    if !console.undo().is_zero() {
        body["hold"] = show_duration(console.undo()).into();
    }
    if draft.choice == "refuse" {
        body["reason"] = draft.reason.clone().into();
    }
    if draft.choice == "amend" {
        let amended = amended(console, seat, id, draft).await.map_err(NotDecided::from)?;
        if amended.is_empty() {
            return missing(t.fields_missing);
        }
        body["fields"] = Value::Object(amended);
    }
    let address = format!("/v1/reviews/{}/decide", segment(id));
    let key: String = segment(fields.one("key"));
    let reply = console.desk().post_once(&seat.person, &address, &body, &key).await.map_err(NotDecided::from)?;
    let told = match reply.body.get("answer").and_then(Value::as_str) {
        Some("held") => return Ok(format!("held.{}", segment(id))),
        Some("pending") => "pending",
        Some("second_needed") => "second-needed",
        Some("set_aside") => "set-aside",
        _ => "decided",
    };
    Ok(told.to_owned())
}

/// The amended fields with the types that the process's schema gives them; what is no number stays a text, and the
/// interface says what is wrong with it.
async fn amended(console: &Console, seat: &Seat, id: &str, draft: &Draft) -> Result<Map<String, Value>, Refused> {
    let review: Review = console.desk().get(&seat.person, &format!("/v1/reviews/{}", segment(id))).await?;
    let address = format!("/v1/processes/{}?version={}", segment(&review.process), review.process_version);
    let process: Process = console.desk().get(&seat.person, &address).await?;
    let typed = |name: &str, text: &str| {
        let kind = process.schema.pointer("/properties").and_then(|all| all.get(name)).and_then(|schema| schema.get("type"));
        let parsed: Option<Value> = match kind.and_then(Value::as_str) {
            Some("integer" | "number" | "boolean") => serde_json::from_str(text).ok(),
            _ => None,
        };
        parsed.filter(|value| value.is_number() || value.is_boolean()).unwrap_or_else(|| text.into())
    };
    let given = draft.fields.iter().filter(|(_, value)| !value.is_empty());
    Ok(given.map(|(name, value)| (name.clone(), typed(name, value))).collect())
}

/// To the next review where that was asked for, else back to the inbox or, where it is not over yet, to the same one.
async fn onwards(console: &Console, seat: &Seat, id: &str, fields: &Fields, told: &str) -> Response {
    let way = Way::of(fields);
    if fields.one("then") != "next" {
        return after(console, &here(id, &way), told);
    }
    match take_next(console, seat, way.process(), &segment(id)).await {
        Ok(Some(next)) => after(console, &here(&next, &way), told),
        left => {
            if let Err(refused) = left {
                tracing::debug!(status = refused.status, "the next review could not be taken");
            }
            after(console, &way.begin().in_tab("unassigned").inbox(), told)
        }
    }
}
