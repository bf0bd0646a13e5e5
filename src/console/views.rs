//! Views of the inbox that somebody gave a name, for everybody.
//!
//! A view is what the inbox's address says after the question mark. What is saved is made here from the filters that the inbox
//! knows, and what is opened goes through the same reading as any other address: a view can hold nothing else.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::form::{Fields, Form, encoded};
use super::frame::{Frame, page};
use super::home::{after, shown};
use super::inbox::now;
use super::read::{List, View};
use super::review::segment;
use super::session::Seat;
use super::show::When;
use super::way::Way;
use super::{Console, trouble};
use crate::api::Refused;
use crate::api::permit::Action;

const HERE: &str = "/console/reviews/views";

/// A view as the inbox shows it.
pub(super) struct Named {
    pub(super) href: String,
    pub(super) name: String,
    pub(super) here: bool,
}

struct Row {
    id: String,
    name: String,
    href: String,
    by: String,
    at: Option<When>,
    /// This person may rename and remove it.
    changes: bool,
}

#[derive(Template)]
#[template(path = "views.html")]
struct ViewsPage {
    f: Frame,
    rows: Vec<Row>,
    why: String,
}

/// The filters of an inbox as its address has them.
fn query(fields: &Fields) -> String {
    let kept = |name: &str| fields.some(name).map(|value| format!("{name}={}", encoded(value)));
    [kept("tab"), kept("process")].into_iter().flatten().collect::<Vec<_>>().join("&")
}

/// Who may save a view.
pub(super) fn may_save(seat: &Seat) -> bool {
    seat.may(Action::Note)
}

/// The views that the inbox shows, where these are its filters.
pub(super) async fn named(console: &Console, seat: &Seat, here: &Way) -> Result<Vec<Named>, Refused> {
    let here = here.query('?');
    let one = |view: View| {
        let query = query(&Fields::parse(&view.query));
        Named { here: here.strip_prefix('?') == Some(query.as_str()), href: format!("/console/reviews?{query}"), name: view.name }
    };
    Ok(read(console, seat).await?.items.into_iter().map(one).collect())
}

async fn read(console: &Console, seat: &Seat) -> Result<List<View>, Refused> {
    console.desk().get(&seat.person, "/v1/views?place=reviews").await
}

/// All of them, with what may be done to each.
pub(super) async fn views(State(console): State<Console>, seat: Seat) -> Response {
    let response = made(&console, &seat, String::new(), StatusCode::OK).await;
    shown(&console, &seat, response)
}

async fn made(console: &Console, seat: &Seat, why: String, status: StatusCode) -> Response {
    let list = match read(console, seat).await {
        Ok(list) => list,
        Err(refused) => return trouble::refused(seat, &refused),
    };
    let (f, now) = (Frame::of(seat, seat.look.lang.texts().views.title, "/console/reviews"), now(console));
    let row = |view: View| Row {
        changes: if view.by == seat.person.name { may_save(seat) } else { seat.may(Action::Operate) },
        href: format!("/console/reviews?{}", query(&Fields::parse(&view.query))),
        at: When::parse(&view.at, now, &seat.look),
        id: view.id,
        name: view.name,
        by: view.by,
    };
    let rows = list.items.into_iter().map(row).collect();
    (status, page(&seat.look, &ViewsPage { f, rows, why })).into_response()
}

/// Saves the filters that the inbox had.
pub(super) async fn save(State(console): State<Console>, form: Form) -> Response {
    let (name, query) = (form.fields.one("name"), query(&form.fields));
    let body = json!({"place": "reviews", "name": name, "query": query});
    let done = console.desk().post(&form.seat.person, "/v1/views", &body).await;
    told(&console, &form.seat, done.map(drop), &format!("/console/reviews?{query}")).await
}

/// Gives one another name.
pub(super) async fn rename(State(console): State<Console>, Path(id): Path<String>, form: Form) -> Response {
    let (address, body) = (format!("/v1/views/{}/rename", segment(&id)), json!({"name": form.fields.one("name")}));
    let done = console.desk().post(&form.seat.person, &address, &body).await;
    told(&console, &form.seat, done.map(drop), HERE).await
}

/// Removes one.
pub(super) async fn remove(State(console): State<Console>, Path(id): Path<String>, form: Form) -> Response {
    let done = console.desk().delete(&form.seat.person, &format!("/v1/views/{}", segment(&id))).await;
    told(&console, &form.seat, done, HERE).await
}

async fn told(console: &Console, seat: &Seat, done: Result<(), Refused>, to: &str) -> Response {
    let t = &seat.look.lang.texts().views;
    match done {
        Ok(()) => after(console, to, "saved"),
        Err(refused) if refused.code() == "exists" => {
            made(console, seat, t.exists.to_owned(), StatusCode::UNPROCESSABLE_ENTITY).await
        }
        Err(refused) if refused.status == 422 => made(console, seat, refused.detail, StatusCode::UNPROCESSABLE_ENTITY).await,
        Err(refused) => trouble::refused(seat, &refused),
    }
}
