//! A form that came after its session had ended: nothing is done, and nothing that was written is lost.
//!
//! What was written is somebody's, and may be about a customer: it is put into no database, no cookie and no address. The
//! answer to the form is the page that has it, so that it can be copied; and the page of a review can put it back where it was,
//! once its writer has signed in beside it. Putting it back decides nothing: it fills in a form, which is sent under the token
//! of the new session or not at all.

use askama::Template;
use axum::extract::OriginalUri;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use uuid::Uuid;

use super::draft::Draft;
use super::form::{Fields, encoded};
use super::frame::{Frame, Look, page};
use super::session::{local, secret};
use super::way::Way;
use super::{Console, around, trouble};

/// The most texts that are given back, and the longest of them.
const TEXTS: usize = 100;
const LONGEST: usize = 8_000;
/// Fields that people write into.
const WRITTEN: [&str; 3] = ["note", "seen_for", "reason"];
/// Places that have a page for each of their things.
const REVIEWS: &str = "/console/reviews/";
const PLACES: [&str; 2] = [REVIEWS, "/console/requests/"];

#[derive(Template)]
#[template(path = "signed_out.html")]
struct SignedOutPage {
    f: Frame,
    heading: &'static str,
    text: &'static str,
    /// The sign-in page, and from there to where the form was; empty where its sender is signed in.
    sign_in: String,
    /// What was written.
    texts: Vec<String>,
    /// Where it is put back; empty where that is not possible.
    back_into: String,
    carried: Vec<(String, String)>,
}

/// The answer to a form without a valid session.
pub(super) fn signed_out(console: &Console, parts: &Parts, fields: &Fields) -> Response {
    let (path, texts) = (path(parts), texts(fields));
    if path == "/console/sign-out" || (texts.is_empty() && secret(console, &parts.headers).is_none()) {
        return Redirect::to("/console/sign-in").into_response();
    }
    let to = page_of(path).map_or_else(around::back, |page| format!("{page}{}", way(&page, fields).query('?')));
    let to = local(&to).map(|to| format!("to={}", encoded(to)));
    let query: Vec<String> = to.into_iter().chain(texts.is_empty().then(|| "lost=yes".to_owned())).collect();
    let sign_in = format!("/console/sign-in?{}", query.join("&"));
    if texts.is_empty() {
        return Redirect::to(&sign_in).into_response();
    }
    let look = Look::of(&parts.headers);
    let t = &look.lang.texts().enter;
    let page_of = kept(&look, (t.signed_out, t.signed_out_text), sign_in, path, fields);
    (StatusCode::UNAUTHORIZED, page(&look, &page_of)).into_response()
}

/// The answer to a form of another session than its sender's.
pub(super) fn foreign(look: &Look, parts: &Parts, fields: &Fields) -> Response {
    if texts(fields).is_empty() {
        return trouble::foreign(look);
    }
    let t = &look.lang.texts().trouble;
    let kept = kept(look, (t.foreign, t.foreign_kept), String::new(), path(parts), fields);
    (StatusCode::FORBIDDEN, page(look, &kept)).into_response()
}

fn kept(
    look: &Look,
    (heading, text): (&'static str, &'static str),
    sign_in: String,
    path: &str,
    fields: &Fields,
) -> SignedOutPage {
    let mut carried = Vec::new();
    let review = page_of(path).filter(|page| page.starts_with(REVIEWS));
    if let Some(page) = &review {
        carried = Draft::of(fields).carried();
        let (version, way) = (fields.some("version").map(|version| ("version", version)), way(page, fields));
        carried.extend(version.into_iter().chain(way.fields()).map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
    let back_into = review.map(|page| format!("{page}/draft")).unwrap_or_default();
    SignedOutPage { f: Frame::open(look, heading), heading, text, sign_in, texts: texts(fields), back_into, carried }
}

fn path(parts: &Parts) -> &str {
    parts.extensions.get::<OriginalUri>().map_or(parts.uri.path(), |uri| uri.0.path())
}

/// The page that the form was on, where it is known: the thing that the act was about.
fn page_of(path: &str) -> Option<String> {
    PLACES.into_iter().find_map(|place| {
        let (id, _) = path.strip_prefix(place)?.split_once('/')?;
        let id: Uuid = id.parse().ok()?;
        Some(format!("{place}{id}"))
    })
}

/// The list that the form's sender works through, where it was on a review's page.
fn way(page: &str, fields: &Fields) -> Way {
    if page.starts_with(REVIEWS) { Way::of(fields) } else { Way::default() }
}

fn texts(fields: &Fields) -> Vec<String> {
    let written = |(name, value): (&str, &str)| {
        let value: String = value.trim().chars().take(LONGEST).collect();
        match (name.strip_prefix("field."), name.starts_with("said.")) {
            _ if value.is_empty() => None,
            (Some(field), _) => Some(format!("{field}: {value}")),
            (None, true) => Some(value),
            (None, false) => WRITTEN.contains(&name).then_some(value),
        }
    };
    fields.all().filter_map(written).take(TEXTS).collect()
}
