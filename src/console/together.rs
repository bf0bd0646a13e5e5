//! One decision for several reviews that ask the same: what is decided is seen first, and stays what was seen.
//!
//! The page holds the ids and versions of the reviews that it shows, so that the form decides these and no others, however
//! many come in meanwhile; one that has changed is skipped and says why. The form makes a batch, under the key that the page was
//! made with: sent twice, it is one batch. The batch is worked off in the background, and its page says how far it is.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::answers::{Letter, letters};
use super::form::{Fields, Form, Query, encoded};
use super::frame::{Frame, page};
use super::inbox::{Row, now, row, takes};
use super::read::{List, Review, ReviewPage};
use super::review::segment;
use super::session::Seat;
use super::show::by_language;
use super::text::put;
use super::way::Way;
use super::why::{bounds, seen};
use super::{Console, links, trouble};
use crate::api::Refused;
use crate::api::permit::Action;
use crate::domain::time::show_duration;

/// The most reviews that are decided together.
const MOST: usize = 200;
/// How many are read at the same time.
const AT_ONCE: usize = 8;
/// More than these have to be counted by who decides them.
const COUNTED: usize = 10;
/// What can be answered to several at once.
const CHOICES: [&str; 2] = ["approve", "refuse"];

struct Pick {
    id: String,
    version: u32,
    row: Row,
    /// What its check saw of what decides.
    seen: String,
    ticked: bool,
}

#[derive(Template)]
#[template(path = "together.html")]
struct TogetherPage {
    f: Frame,
    process: String,
    name: String,
    question: String,
    count: String,
    counted: bool,
    picks: Vec<Pick>,
    choices: Vec<(&'static str, &'static str, bool)>,
    letters: [Vec<Letter>; 2],
    /// What would have let them pass, in words.
    asked: String,
    note: String,
    key: String,
    why: &'static str,
}

/// The questions of a list that are asked more than once, with an address where they are decided together.
pub(super) fn groups(list: &[Review], seat: &Seat) -> Vec<(String, String)> {
    let mut groups: Vec<(&str, &str, String, usize)> = Vec::new();
    for review in list {
        match groups.iter_mut().find(|(process, name, ..)| *process == review.process && *name == review.name) {
            Some((.., count)) => *count += 1,
            None => groups.push((&review.process, &review.name, by_language(&review.question, &seat.look), 1)),
        }
    }
    let t = &seat.look.lang.texts().together;
    let several = groups.into_iter().filter(|(.., count)| *count > 1);
    several
        .map(|(process, name, question, count)| {
            let href = format!("/console/reviews/together?process={}&name={}", encoded(process), encoded(name));
            (href, put(t.link, &[&count.to_string(), if question.is_empty() { name } else { &question }]))
        })
        .collect()
}

/// What would be decided.
pub(super) async fn together(State(console): State<Console>, seat: Seat, Query(query): Query) -> Response {
    made(&console, &seat, &query, "", StatusCode::OK).await
}

async fn made(console: &Console, seat: &Seat, fields: &Fields, why: &'static str, status: StatusCode) -> Response {
    if !seat.may(Action::Review) {
        return trouble::not_allowed(seat, None);
    }
    match view(console, seat, fields, why).await {
        Ok(view) => (status, page(&seat.look, &view)).into_response(),
        Err(refused) => trouble::refused(seat, &refused),
    }
}

async fn view(console: &Console, seat: &Seat, fields: &Fields, why: &'static str) -> Result<TogetherPage, Refused> {
    let (desk, t, now) = (console.desk(), seat.look.lang.texts(), now(console));
    let (process, name) = (segment(fields.one("process")), segment(fields.one("name")));
    let address = format!("/v1/reviews?unclaimed=true&snoozed=false&process={process}&name={name}&limit={MOST}");
    let mut list: List<Review> = desk.get(&seat.person, &address).await?;
    // What this person cannot decide is not offered to them.
    list.items.retain(|review| takes(seat, review));
    // What was looked at before the form lacked something, and no more.
    let shown: Vec<&str> = fields.one("shown").split(' ').filter(|id| !id.is_empty()).collect();
    let ticked: Vec<&str> = fields.starting("pick.").map(|(id, _)| id).collect();
    if !shown.is_empty() || !ticked.is_empty() {
        list.items.retain(|review| shown.contains(&review.id.as_str()) || ticked.contains(&review.id.as_str()));
    }
    // What each of them rests on: nobody is to decide what they have not seen.
    let addresses: Vec<String> = list.items.iter().map(|review| format!("/v1/reviews/{}", segment(&review.id))).collect();
    let asked = addresses.into_iter().map(|address| async move { desk.get(&seat.person, &address).await.ok() });
    let pages: Vec<Option<ReviewPage>> = stream::iter(asked).buffered(AT_ONCE).collect().await;
    let one = pages.iter().flatten().next();
    let evidence: Vec<String> = pages.iter().map(|page| page.as_ref().map(|page| seen(page, seat)).unwrap_or_default()).collect();
    let options = one.iter().flat_map(|one| &one.options);
    let choices = options.filter_map(|option| CHOICES.into_iter().find(|known| *known == option.choice));
    let letters = one.map(|one| letters(one, fields.one("reason"), seat)).unwrap_or_default();
    let question = one.map(|one| by_language(&one.review.question, &seat.look)).unwrap_or_default();
    Ok(TogetherPage {
        f: Frame::of(seat, t.together.title, "/console/reviews"),
        question: if question.is_empty() { name.clone() } else { question },
        count: put(t.together.count, &[&list.items.len().to_string()]),
        counted: list.items.len() > COUNTED,
        choices: choices.map(|word| (word, t.choice(word), fields.one("choice") == word)).collect(),
        letters,
        asked: one.map(|one| bounds(one, seat)).unwrap_or_default(),
        picks: picks(list.items, evidence, (!shown.is_empty() || !ticked.is_empty()).then_some(&ticked), seat, now),
        note: fields.one("note").to_owned(),
        key: links::secret(),
        process,
        name,
        why,
    })
}

fn picks(reviews: Vec<Review>, evidence: Vec<String>, ticked: Option<&Vec<&str>>, seat: &Seat, now: Timestamp) -> Vec<Pick> {
    let pick = |(review, seen): (Review, String)| Pick {
        row: row(&review, seat, now, &Way::default()),
        version: review.version,
        // All of them, or what was ticked before the form lacked something.
        ticked: ticked.is_none_or(|ticked| ticked.contains(&review.id.as_str())),
        id: review.id,
        seen,
    };
    reviews.into_iter().zip(evidence).map(pick).collect()
}

/// Makes a batch of those that were ticked; it is decided in the background.
pub(super) async fn decide(State(console): State<Console>, form: Form) -> Response {
    let Form { seat, fields } = form;
    let t = seat.look.lang.texts();
    // One too many is for the interface to refuse: nobody is to believe that all of them were decided.
    let picked: Vec<Value> = fields.starting("pick.").take(MOST + 1).filter_map(|(id, version)| pick(id, version)).collect();
    let (choice, note, reason) = (fields.one("choice"), fields.one("note"), fields.one("reason"));
    let lacks = if picked.is_empty() {
        t.together.none_picked
    } else if !CHOICES.contains(&choice) {
        t.review.choose_one
    } else if note.is_empty() {
        t.review.note_missing
    } else if choice == "refuse" && reason.is_empty() {
        t.review.reason_missing
    } else if picked.len() > COUNTED && fields.one("confirm") != picked.len().to_string() {
        t.together.count_differs
    } else {
        ""
    };
    if !lacks.is_empty() || !seat.may(Action::Review) {
        return made(&console, &seat, &fields, lacks, StatusCode::UNPROCESSABLE_ENTITY).await;
    }
    let mut body = json!({"reviews": picked, "choice": choice, "note": note});
    if choice == "refuse" {
        body["reason"] = reason.into();
    }
    if !console.undo().is_zero() {
        body["hold"] = show_duration(console.undo()).into();
    }
    match console.desk().post_once(&seat.person, "/v1/batches", &body, &segment(fields.one("key"))).await {
        Ok(reply) => {
            let id = reply.body.get("id").and_then(Value::as_str).unwrap_or_default();
            Redirect::to(&format!("/console/reviews/batches/{}", segment(id))).into_response()
        }
        Err(refused) => trouble::refused(&seat, &refused),
    }
}

fn pick(id: &str, version: &str) -> Option<Value> {
    let (id, version) = (id.parse::<Uuid>().ok()?, version.parse::<u32>().ok()?);
    Some(json!({"id": id, "version": version}))
}
