//! Signing in and out.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};

use super::form::{Form, OpenForm, Query};
use super::frame::{Frame, Look, page};
use super::home::after;
use super::session::{IDLE, LONGEST, cookie_name, find, local, secret, set_cookie};
use super::text::put;
use super::{Console, links, trouble};
use crate::api::hash;
use crate::engine::ports::sessions::{LinkRow, SessionRow};
use crate::engine::ports::store::StoreError;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    f: Frame,
    lasts: String,
}

/// How one signs in.
pub(super) async fn how(State(console): State<Console>, headers: HeaderMap, Query(query): Query) -> Response {
    let look = Look::of(&headers);
    match find(&console, &headers).await {
        // They signed in meanwhile.
        Ok(Some(_)) => return Redirect::to(local(query.one("to")).unwrap_or("/console")).into_response(),
        Ok(None) => {}
        Err(_) => return trouble::unavailable(&look),
    }
    let t = &look.lang.texts().enter;
    let hours = |length: std::time::Duration| (length.as_secs() / 3600).to_string();
    let lasts = put(t.lasts, &[&hours(IDLE), &hours(LONGEST)]);
    page(&look, &SignInPage { f: Frame::open(&look, t.title), lasts })
}

#[derive(Template)]
#[template(path = "enter.html")]
struct EnterPage {
    f: Frame,
    /// Whom the link lets in; empty where it lets in nobody any more.
    name: String,
    roles: String,
    action: String,
}

/// Says whom a link would let in. Opening it uses nothing up: programs open links before people do.
pub(super) async fn ask(State(console): State<Console>, headers: HeaderMap, Path(given): Path<String>) -> Response {
    let look = Look::of(&headers);
    match good(&console, &given).await {
        Ok(link) => enter_page(&look, link.as_ref(), &given),
        Err(_) => trouble::unavailable(&look),
    }
}

fn enter_page(look: &Look, link: Option<&LinkRow>, given: &str) -> Response {
    let t = look.lang.texts();
    let roles: Vec<&str> = link.iter().flat_map(|link| &link.person.roles).map(|role| t.role(role)).collect();
    let name = link.map(|link| link.person.name.clone()).unwrap_or_default();
    let action = if link.is_some() { format!("/console/enter/{given}") } else { String::new() };
    let status = if link.is_some() { StatusCode::OK } else { StatusCode::GONE };
    let f = Frame::open(look, t.enter.title);
    (status, page(look, &EnterPage { f, name, roles: roles.join(", "), action })).into_response()
}

async fn good(console: &Console, given: &str) -> Result<Option<LinkRow>, StoreError> {
    if given.len() != 43 || !given.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
        return Ok(None);
    }
    let now = console.engine().clock().now();
    match console.engine().store().sessions().link(&hash(given)).await {
        Ok(link) if link.used_at.is_none() && link.revoked_at.is_none() && link.expires_at > now => Ok(Some(link)),
        Ok(_) | Err(StoreError::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Uses the link up and begins a session. A session that the browser had before is ended: two at once would be confused.
pub(super) async fn enter(
    State(console): State<Console>,
    headers: HeaderMap,
    Path(given): Path<String>,
    _: OpenForm,
) -> Response {
    let look = Look::of(&headers);
    match begin(&console, &headers, &given).await {
        Ok(Some(secret)) => {
            let mut response = after(&console, "/console", "signed-in");
            let cookie = set_cookie(&console, cookie_name(&console), &secret, Some(LONGEST), false);
            response.headers_mut().append(header::SET_COOKIE, cookie);
            response
        }
        Ok(None) => enter_page(&look, None, &given),
        Err(error) => {
            tracing::warn!(%error, "nobody can sign in at the moment");
            trouble::unavailable(&look)
        }
    }
}

async fn begin(console: &Console, headers: &HeaderMap, given: &str) -> Result<Option<String>, StoreError> {
    let Some(link) = good(console, given).await? else { return Ok(None) };
    let (fresh, now) = (links::secret(), console.engine().clock().now());
    let row = SessionRow {
        sha256: hash(&fresh),
        person: link.person,
        created_at: now,
        seen_at: now,
        expires_at: now.plus(LONGEST),
        ended_at: None,
    };
    let sessions = console.engine().store().sessions();
    if !sessions.redeem(&link.sha256, &row).await? {
        return Ok(None);
    }
    if let Some(old) = secret(console, headers) {
        sessions.end_session(&hash(old), now).await?;
    }
    tracing::info!(name = row.person.name, "signed in to the console");
    Ok(Some(fresh))
}

/// Ends the session.
pub(super) async fn leave(State(console): State<Console>, headers: HeaderMap, form: Form) -> Response {
    let now = console.engine().clock().now();
    if let Some(old) = secret(&console, &headers)
        && let Err(error) = console.engine().store().sessions().end_session(&hash(old), now).await
    {
        tracing::warn!(%error, "a session could not be ended");
        return trouble::unavailable(&form.seat.look);
    }
    tracing::info!(name = form.seat.person.name, "signed out of the console");
    let cookie = set_cookie(&console, cookie_name(&console), "", Some(std::time::Duration::ZERO), false);
    let mut response = Redirect::to("/console/sign-in").into_response();
    response.headers_mut().append(header::SET_COOKIE, cookie);
    response
}
