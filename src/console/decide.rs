//! What reviewers do: claim, give back, take over, escalate, note, look behind a mask, decide.
//!
//! Every act is the interface's; a page adds only where to go afterwards. What was refused comes back with what was written.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde_json::{Map, Value, json};

use super::form::{Fields, Form};
use super::home::after;
use super::inbox::take_next;
use super::read::{Process, Review};
use super::review::{Draft, Extra, made, segment};
use super::session::Seat;
use super::{Console, trouble};
use crate::api::Refused;
use crate::domain::time::show_duration;

fn here(id: &str) -> String {
    format!("/console/reviews/{}", segment(id))
}

/// An act that either happened, or is shown on the page with why not.
async fn done(console: &Console, seat: &Seat, id: &str, result: Result<(), Refused>, told: &str) -> Response {
    match result {
        Ok(()) => after(console, &here(id), told),
        Err(refused) if matches!(refused.status, 409 | 423) => after(console, &here(id), "too-late"),
        Err(refused) if refused.status == 422 => {
            let draft = Draft { why: refused.detail, ..Draft::default() };
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            made(console, seat, id, Extra { draft: Some(draft), status, ..Extra::default() }).await
        }
        Err(refused) => trouble::refused(seat, &refused),
    }
}

async fn act(console: &Console, seat: &Seat, id: &str, what: &str, body: &Value) -> Result<(), Refused> {
    console.desk().post(&seat.person, &format!("/v1/reviews/{}/{what}", segment(id)), body).await.map(drop)
}

/// Claims it, or takes it over with a reason.
pub(super) async fn claim(State(console): State<Console>, Path(id): Path<String>, form: Form) -> Response {
    let body = match form.fields.some("note") {
        Some(note) => json!({"steal": true, "note": note}),
        None => json!({}),
    };
    let result = act(&console, &form.seat, &id, "claim", &body).await;
    done(&console, &form.seat, &id, result, "claimed").await
}

/// Gives it back.
pub(super) async fn release(State(console): State<Console>, Path(id): Path<String>, form: Form) -> Response {
    let result = act(&console, &form.seat, &id, "release", &json!({})).await;
    done(&console, &form.seat, &id, result, "released").await
}

/// Escalates it.
pub(super) async fn escalate(State(console): State<Console>, Path(id): Path<String>, form: Form) -> Response {
    let result = act(&console, &form.seat, &id, "escalate", &json!({"note": form.fields.one("note")})).await;
    done(&console, &form.seat, &id, result, "escalated").await
}

/// Takes a decision back that has not taken effect.
pub(super) async fn undo(State(console): State<Console>, Path(id): Path<String>, form: Form) -> Response {
    let result = act(&console, &form.seat, &id, "undo", &json!({})).await;
    done(&console, &form.seat, &id, result, "undone").await
}

/// Puts it aside.
pub(super) async fn snooze(State(console): State<Console>, Path(id): Path<String>, form: Form) -> Response {
    let body = json!({"for": form.fields.one("for"), "note": form.fields.one("note")});
    let result = act(&console, &form.seat, &id, "snooze", &body).await;
    done(&console, &form.seat, &id, result, "snoozed").await
}

/// Takes up what was put aside.
pub(super) async fn wake(State(console): State<Console>, Path(id): Path<String>, form: Form) -> Response {
    let result = act(&console, &form.seat, &id, "wake", &json!({})).await;
    done(&console, &form.seat, &id, result, "woken").await
}

/// Writes a note.
pub(super) async fn note(State(console): State<Console>, Path(id): Path<String>, form: Form) -> Response {
    let result = act(&console, &form.seat, &id, "notes", &json!({"note": form.fields.one("note")})).await;
    renew(&console, &form.seat, &id).await;
    done(&console, &form.seat, &id, result, "noted").await
}

/// Shows a masked value, once: the answer to this form is the page with the value in it.
pub(super) async fn reveal(State(console): State<Console>, Path(id): Path<String>, form: Form) -> Response {
    let (seat, field) = (&form.seat, form.fields.one("field"));
    match revealed(&console, seat, &id, field, form.fields.one("reason")).await {
        Ok(value) => {
            renew(&console, seat, &id).await;
            let revealed = Some((field.to_owned(), value));
            made(&console, seat, &id, Extra { revealed, status: StatusCode::OK, ..Extra::default() }).await
        }
        Err(refused) if refused.status == 422 => {
            let draft = Some(Draft { why: refused.detail, ..Draft::default() });
            let (asks, status) = (Some(field.to_owned()), StatusCode::UNPROCESSABLE_ENTITY);
            made(&console, seat, &id, Extra { asks, draft, status, ..Extra::default() }).await
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
    if mine && let Err(refused) = act(console, seat, id, "claim", &json!({})).await {
        tracing::debug!(status = refused.status, "a claim was not renewed");
    }
}

/// Decides, and goes on to the next one where that was asked for.
pub(super) async fn decide(State(console): State<Console>, Path(id): Path<String>, form: Form) -> Response {
    let Form { seat, fields } = form;
    let mut draft = Draft {
        choice: fields.one("choice").to_owned(),
        reason: fields.one("reason").to_owned(),
        note: fields.one("note").to_owned(),
        fields: fields.starting("field.").map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        ..Draft::default()
    };
    match decided(&console, &seat, &id, &fields, &draft).await {
        Ok(told) => onwards(&console, &seat, &id, &fields, &told).await,
        Err(NotDecided::Missing(why)) => {
            draft.why = why;
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            made(&console, &seat, &id, Extra { draft: Some(draft), status, ..Extra::default() }).await
        }
        Err(NotDecided::Refused(refused)) if matches!(refused.status, 409 | 422 | 423) => {
            if refused.code() == "stale" || refused.status == 423 {
                let seen = ["version", "seen_state", "seen_holder"].map(|name| fields.one(name).to_owned());
                draft.seen = Some(seen);
            }
            draft.why.clone_from(&refused.detail);
            let status = StatusCode::from_u16(refused.status).unwrap_or(StatusCode::CONFLICT);
            made(&console, &seat, &id, Extra { draft: Some(draft), status, ..Extra::default() }).await
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
    if fields.one("then") != "next" {
        return after(console, &here(id), told);
    }
    match take_next(console, seat, None).await {
        Ok(Some(next)) => after(console, &here(&next), told),
        Ok(None) => after(console, "/console/reviews?tab=unassigned", told),
        Err(refused) => {
            tracing::debug!(status = refused.status, "the next review could not be taken");
            Redirect::to("/console/reviews").into_response()
        }
    }
}
