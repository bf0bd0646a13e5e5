//! The way in, the settings that a browser keeps, and the help page.

use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};

use super::Console;
use super::form::Form;
use super::frame::{Frame, page};
use super::session::{Seat, local, set_cookie};
use crate::api::permit::Action;

/// How long a browser keeps settings.
const KEPT: Duration = Duration::from_hours(24 * 365);

/// From the bare address.
pub(super) async fn to_console() -> Redirect {
    Redirect::to("/console")
}

/// To what somebody comes for.
pub(super) async fn home(State(_): State<Console>, seat: Seat) -> Redirect {
    let to = if seat.may(Action::Review) && !seat.may(Action::Operate) {
        "/console/reviews"
    } else if seat.may(Action::ReadOperations) {
        "/console/overview"
    } else {
        "/console/processes"
    };
    Redirect::to(to)
}

/// Sets one or several of language, theme, keys and live; the page is shown again.
pub(super) async fn settings(State(console): State<Console>, form: Form) -> Response {
    let known = [
        ("lang", "mozhao_lang", &["en", "zh-CN"][..]),
        ("theme", "mozhao_theme", &["auto", "light", "dark"]),
        ("keys", "mozhao_keys", &["on", "off"]),
        ("live", "mozhao_live", &["on", "off"]),
    ];
    let mut headers = HeaderMap::new();
    for (name, cookie, values) in known {
        if let Some(value) = values.iter().find(|value| **value == form.fields.one(name)) {
            headers.append(header::SET_COOKIE, set_cookie(&console, cookie, value, Some(KEPT), false));
        }
    }
    (headers, Redirect::to(local(form.fields.one("back")).unwrap_or("/console"))).into_response()
}

/// A redirect after an act; the next page says what it came to.
pub(super) fn after(console: &Console, to: &str, told: &str) -> Response {
    let cookie = set_cookie(console, "mozhao_told", told, Some(Duration::from_secs(10)), false);
    ([(header::SET_COOKIE, cookie)], Redirect::to(to)).into_response()
}

/// Takes back what [`after`] left, once it is shown.
pub(super) fn shown(console: &Console, seat: &Seat, mut response: Response) -> Response {
    if seat.look.told.is_some() {
        let cookie: HeaderValue = set_cookie(console, "mozhao_told", "", Some(Duration::ZERO), false);
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

#[derive(Template)]
#[template(path = "help.html")]
struct HelpPage {
    f: Frame,
}

/// Keys, and what the words mean.
pub(super) async fn help(seat: Seat) -> Response {
    let title = seat.look.lang.texts().help.title;
    page(&seat.look, &HelpPage { f: Frame::of(&seat, title, "/console/help") })
}
