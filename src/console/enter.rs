//! Signing in and out.

use std::time::Duration;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};

use super::form::{Form, OpenForm, Query, encoded};
use super::frame::{Frame, Look, page};
use super::home::after;
use super::passwords::Tried;
use super::session::{IDLE, LONGEST, cookie_name, find, local, secret, set_cookie};
use super::show::length;
use super::text::put;
use super::{Console, links, trouble};
use crate::api::hash;
use crate::engine::ports::sessions::{LinkRow, Person, SessionRow};
use crate::engine::ports::store::StoreError;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    f: Frame,
    lasts: String,
    /// Somebody has a password.
    passwords: bool,
    /// The address that leads to the identity provider; empty where there is none.
    away: String,
    /// The name that was tried.
    name: String,
    /// Why the last try let nobody in.
    wrong: String,
    /// Where to go afterwards.
    to: String,
}

/// How one signs in.
pub(super) async fn how(State(console): State<Console>, headers: HeaderMap, Query(query): Query) -> Response {
    let look = Look::of(&headers);
    let to = local(query.one("to")).unwrap_or("/console");
    match find(&console, &headers).await {
        // They signed in meanwhile.
        Ok(Some(_)) => return Redirect::to(to).into_response(),
        Ok(None) => {}
        Err(_) => return trouble::unavailable(&look),
    }
    let lost = if query.some("lost").is_some() { look.lang.texts().enter.lost } else { "" };
    sign_in_page(&console, &look, to, "", lost.to_owned()).await
}

pub(super) async fn sign_in_page(console: &Console, look: &Look, to: &str, name: &str, wrong: String) -> Response {
    let Ok(users) = console.engine().store().sessions().users(1).await else { return trouble::unavailable(look) };
    let t = &look.lang.texts().enter;
    let hours = |length: Duration| (length.as_secs() / 3600).to_string();
    let lasts = put(t.lasts, &[&hours(IDLE), &hours(LONGEST)]);
    let (name, passwords) = (name.to_owned(), !users.is_empty());
    let there = format!("/console/sign-in/away?to={}", encoded(to));
    let away = console.oidc().map(|_| there).unwrap_or_default();
    page(look, &SignInPage { f: Frame::open(look, t.title), lasts, passwords, away, name, wrong, to: to.to_owned() })
}

/// Signs in by name and password.
pub(super) async fn with_password(State(console): State<Console>, headers: HeaderMap, OpenForm(fields): OpenForm) -> Response {
    let look = Look::of(&headers);
    let (t, to) = (look.lang.texts(), local(fields.one("to")).unwrap_or("/console"));
    // As it was typed: a password may begin or end with a blank.
    let (name, password) = (fields.one("name"), fields.whole("password"));
    match by_password(&console, &headers, name, password).await {
        Ok(Ok(secret)) => entered(&console, to, &secret),
        Ok(Err(Tried::Wait(wait))) => {
            let seconds = i64::try_from(wait.as_secs()).unwrap_or(i64::MAX).max(1);
            let text = put(t.enter.wait, &[&length(seconds, t)]);
            let page = sign_in_page(&console, &look, to, name, text).await;
            let after = [(header::RETRY_AFTER, seconds.to_string())];
            (StatusCode::TOO_MANY_REQUESTS, after, page).into_response()
        }
        Ok(Err(_)) => {
            let page = sign_in_page(&console, &look, to, name, t.enter.wrong.to_owned()).await;
            (StatusCode::FORBIDDEN, page).into_response()
        }
        Err(error) => {
            tracing::warn!(%error, "nobody can sign in at the moment");
            trouble::unavailable(&look)
        }
    }
}

async fn by_password(
    console: &Console,
    headers: &HeaderMap,
    name: &str,
    password: &str,
) -> Result<Result<String, Tried>, StoreError> {
    let (sessions, now) = (console.engine().store().sessions(), console.engine().clock().now());
    let user = match console.passwords().attempt(sessions, name, password, now).await? {
        Tried::In(user) => user,
        other => return Ok(Err(other)),
    };
    let (secret, row) = fresh(console, user.person);
    if !sessions.enter(user.version, &row).await? {
        // Changed or removed since the password was looked at.
        return Ok(Err(Tried::No));
    }
    leave_old(console, headers).await?;
    tracing::info!(name = row.person.name, "signed in to the console with a password");
    Ok(Ok(secret))
}

/// A session that begins now, and its secret.
pub(super) fn fresh(console: &Console, person: Person) -> (String, SessionRow) {
    let (secret, now) = (links::secret(), console.engine().clock().now());
    let expires_at = now.plus(LONGEST);
    let row = SessionRow { sha256: hash(&secret), person, created_at: now, seen_at: now, expires_at, ended_at: None };
    (secret, row)
}

/// Ends the session that the browser had before: two at once would be confused.
pub(super) async fn leave_old(console: &Console, headers: &HeaderMap) -> Result<(), StoreError> {
    let Some(old) = secret(console, headers) else { return Ok(()) };
    console.engine().store().sessions().end_session(&hash(old), console.engine().clock().now()).await
}

/// The answer to who has just signed in.
pub(super) fn entered(console: &Console, to: &str, secret: &str) -> Response {
    let mut response = after(console, to, "signed-in");
    let cookie = set_cookie(console, cookie_name(console), secret, Some(LONGEST), false);
    response.headers_mut().append(header::SET_COOKIE, cookie);
    response
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
    (status, page(look, &EnterPage { f, name, roles: roles.join(t.common.comma), action })).into_response()
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

/// Uses the link up and begins a session.
pub(super) async fn enter(
    State(console): State<Console>,
    headers: HeaderMap,
    Path(given): Path<String>,
    OpenForm(_): OpenForm,
) -> Response {
    let look = Look::of(&headers);
    match begin(&console, &headers, &given).await {
        Ok(Some(secret)) => entered(&console, "/console", &secret),
        Ok(None) => enter_page(&look, None, &given),
        Err(error) => {
            tracing::warn!(%error, "nobody can sign in at the moment");
            trouble::unavailable(&look)
        }
    }
}

async fn begin(console: &Console, headers: &HeaderMap, given: &str) -> Result<Option<String>, StoreError> {
    let Some(link) = good(console, given).await? else { return Ok(None) };
    let (secret, row) = fresh(console, link.person);
    if !console.engine().store().sessions().redeem(&link.sha256, &row).await? {
        return Ok(None);
    }
    leave_old(console, headers).await?;
    tracing::info!(name = row.person.name, "signed in to the console");
    Ok(Some(secret))
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
    let cookie = set_cookie(&console, cookie_name(&console), "", Some(Duration::ZERO), false);
    let mut response = Redirect::to("/console/sign-in").into_response();
    response.headers_mut().append(header::SET_COOKIE, cookie);
    response
}
