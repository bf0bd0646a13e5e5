//! Pages for what is not there, not allowed, not possible at the moment, or broken; each says what to do next.

use askama::Template;
use axum::extract::OriginalUri;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use super::frame::{Frame, Look};
use super::session::Seat;
use super::{around, refusals};
use crate::api::Refused;

#[derive(Template)]
#[template(path = "trouble.html")]
struct TroublePage {
    f: Frame,
    heading: &'static str,
    text: &'static str,
    /// Why, in the reader's language where there are words for it, else in the interface's.
    detail: String,
    foreign_detail: bool,
    request_id: String,
    /// The same page once more, where that may help.
    again: String,
    /// The page before.
    back: String,
    /// Where requests are looked for.
    searches: bool,
}

/// Seconds after which to try again.
const AGAIN: HeaderValue = HeaderValue::from_static("5");

fn made(frame: Frame, status: StatusCode, heading: &'static str, text: &'static str, refused: Option<&Refused>) -> Response {
    let detail = refused.map(|refused| refused.detail.clone()).unwrap_or_default();
    told(frame, status, (heading, text), refused, (detail, true))
}

fn told(
    frame: Frame,
    status: StatusCode,
    (heading, text): (&'static str, &'static str),
    refused: Option<&Refused>,
    (detail, foreign_detail): (String, bool),
) -> Response {
    let request_id = refused.and_then(|refused| refused.request_id.clone()).unwrap_or_default();
    let unavailable = status == StatusCode::SERVICE_UNAVAILABLE;
    let again = if status.is_server_error() { around::here() } else { String::new() };
    let (back, searches) = (around::back(), frame.searches && status == StatusCode::NOT_FOUND);
    let page = TroublePage { f: frame, heading, text, detail, foreign_detail, request_id, again, back, searches };
    let mut response = match page.render() {
        Ok(text) => (status, Html(text)).into_response(),
        Err(_) => status.into_response(),
    };
    if unavailable {
        response.headers_mut().insert(header::RETRY_AFTER, AGAIN);
    }
    response
}

/// There is no such page.
pub(super) async fn nowhere(seat: Seat, OriginalUri(_): OriginalUri) -> Response {
    not_found(&seat)
}

/// There is no such thing, or it is none of theirs.
pub(super) fn not_found(seat: &Seat) -> Response {
    let t = &seat.look.lang.texts().trouble;
    made(Frame::of(seat, t.not_found, ""), StatusCode::NOT_FOUND, t.not_found, t.not_found_text, None)
}

/// They may not see this.
pub(super) fn not_allowed(seat: &Seat, refused: Option<&Refused>) -> Response {
    let t = &seat.look.lang.texts().trouble;
    made(Frame::of(seat, t.not_allowed, ""), StatusCode::FORBIDDEN, t.not_allowed, t.not_allowed_text, refused)
}

/// A form that cannot be read.
pub(super) fn bad_form(seat: &Seat) -> Response {
    let t = &seat.look.lang.texts().trouble;
    made(Frame::of(seat, t.bad_form, ""), StatusCode::BAD_REQUEST, t.bad_form, t.bad_form_text, None)
}

/// A form from elsewhere, or of another session.
pub(super) fn foreign(look: &Look) -> Response {
    let t = &look.lang.texts().trouble;
    made(Frame::open(look, t.foreign), StatusCode::FORBIDDEN, t.foreign, t.foreign_text, None)
}

/// The database does not answer.
pub(super) fn unavailable(look: &Look) -> Response {
    let t = &look.lang.texts().trouble;
    made(Frame::open(look, t.unavailable), StatusCode::SERVICE_UNAVAILABLE, t.unavailable, t.unavailable_text, None)
}

/// Our own mistake.
pub(super) fn internal(look: &Look) -> Response {
    let t = &look.lang.texts().trouble;
    made(Frame::open(look, t.internal), StatusCode::INTERNAL_SERVER_ERROR, t.internal, t.internal_text, None)
}

/// What the interface refused, as a page.
pub(super) fn refused(seat: &Seat, refused: &Refused) -> Response {
    let t = &seat.look.lang.texts().trouble;
    let framed = |title| Frame::of(seat, title, "");
    if let Some(why) = refusals::known(refused, seat) {
        let status = StatusCode::from_u16(refused.status).unwrap_or(StatusCode::BAD_REQUEST);
        let says =
            if status == StatusCode::FORBIDDEN { (t.not_allowed, t.not_allowed_text) } else { (t.refused, t.refused_text) };
        return told(framed(says.0), status, says, Some(refused), (why, false));
    }
    match refused.status {
        404 => not_found(seat),
        403 => not_allowed(seat, Some(refused)),
        503 | 408 => {
            made(framed(t.unavailable), StatusCode::SERVICE_UNAVAILABLE, t.unavailable, t.unavailable_text, Some(refused))
        }
        500.. => made(framed(t.internal), StatusCode::INTERNAL_SERVER_ERROR, t.internal, t.internal_text, Some(refused)),
        other => {
            let status = StatusCode::from_u16(other).unwrap_or(StatusCode::BAD_REQUEST);
            made(framed(t.refused), status, t.refused, t.refused_text, Some(refused))
        }
    }
}
