//! The inbox: what is asked of people, those with the least time left first; and taking the next one.

use askama::Template;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use jiff::Timestamp;
use serde_json::json;

use super::batch::any;
use super::form::{Fields, Form, Query, encoded};
use super::frame::{Frame, page};
use super::home::{after, shown};
use super::read::{List, Process, Review};
use super::session::Seat;
use super::show::{self, When, by_language};
use super::together::groups;
use super::views::{Named, may_save, named};
use super::{Console, trouble};
use crate::api::Refused;
use crate::api::permit::Action;

/// Rows of a page.
const PAGE: usize = 50;
/// How many are tried when the next one is taken: others take some at the same moment.
const TRIES: usize = 10;

/// A tab: its word in the address, and what it asks the interface for.
const TABS: [(&str, &str); 5] = [
    ("mine", "claimed_by=me"),
    ("unassigned", "unclaimed=true&snoozed=false"),
    ("team", "state=open"),
    ("second", "second=true"),
    ("snoozed", "snoozed=true"),
];

struct Tab {
    href: String,
    label: &'static str,
    count: String,
    here: bool,
}

pub(super) struct Row {
    pub(super) href: String,
    pub(super) question: String,
    pub(super) process: String,
    pub(super) customer: String,
    pub(super) asked: Option<When>,
    pub(super) left: String,
    pub(super) urgency: &'static str,
    pub(super) assignee: String,
    pub(super) four_eyes: bool,
    pub(super) first_by: String,
    pub(super) escalated: bool,
    pub(super) decision: String,
    pub(super) word: String,
}

struct Choice {
    value: String,
    label: String,
    here: bool,
}

#[derive(Template)]
#[template(path = "inbox.html")]
struct InboxPage {
    f: Frame,
    tabs: Vec<Tab>,
    tab: &'static str,
    rows: Vec<Row>,
    empty: &'static str,
    processes: Vec<Choice>,
    next: Option<String>,
    /// Where several that ask the same are decided together, and how many of what.
    together: Vec<(String, String)>,
    /// This person has decided in batches, and one of them is under way.
    batches: (bool, bool),
    takes: bool,
    again: String,
    views: Vec<Named>,
    may_save: bool,
    chosen: String,
}

#[derive(Template)]
#[template(path = "inbox_list.html")]
struct InboxList {
    f: Frame,
    tab: &'static str,
    rows: Vec<Row>,
    empty: &'static str,
    next: Option<String>,
    again: String,
}

/// The page, or only its list where a script asks for it anew.
pub(super) async fn inbox(State(console): State<Console>, seat: Seat, headers: HeaderMap, Query(query): Query) -> Response {
    match view(&console, &seat, &query, headers.contains_key("hx-request")).await {
        Ok(response) => shown(&console, &seat, response),
        Err(refused) => trouble::refused(&seat, &refused),
    }
}

async fn view(console: &Console, seat: &Seat, query: &Fields, part: bool) -> Result<Response, Refused> {
    let t = seat.look.lang.texts();
    let reviewer = seat.may(Action::Review);
    let tab = match query.one("tab") {
        "done" => "done",
        word => TABS.iter().map(|(known, _)| *known).find(|known| *known == word).unwrap_or(if reviewer {
            "unassigned"
        } else {
            "team"
        }),
    };
    let asked = match tab {
        "done" => "/v1/decisions?by=me".to_owned(),
        tab => format!("/v1/reviews?{}", TABS.iter().find(|(known, _)| *known == tab).map_or("state=open", |(_, asked)| *asked)),
    };
    let kept: String = query.some("process").map(|value| format!("&process={}", encoded(value))).unwrap_or_default();
    let cursor = query.some("cursor").map(|cursor| format!("&cursor={}", encoded(cursor))).unwrap_or_default();
    let list: List<Review> = console.desk().get(&seat.person, &format!("{asked}{kept}{cursor}&limit={PAGE}")).await?;
    let next = list.next().map(|cursor| format!("/console/reviews?tab={tab}{kept}&cursor={}", encoded(&cursor)));
    let now = now(console);
    let rows: Vec<Row> = list.items.iter().map(|review| row(review, seat, now)).collect();
    let again = format!("/console/reviews?tab={tab}{kept}{cursor}");
    let empty = match tab {
        "mine" => t.inbox.empty_mine,
        "unassigned" => t.inbox.empty_unassigned,
        "second" => t.inbox.empty_second,
        "snoozed" => t.inbox.empty_snoozed,
        "done" => t.inbox.empty_done,
        _ => t.inbox.empty_team,
    };
    let f = Frame::of(seat, t.inbox.title, "/console/reviews");
    if part {
        return Ok(page(&seat.look, &InboxList { f, tab, rows, empty, next, again }));
    }
    let mut tabs = Vec::new();
    for (word, asked) in TABS {
        let count = if word == tab && cursor.is_empty() {
            counted(rows.len())
        } else {
            let list: List<Review> = console.desk().get(&seat.person, &format!("/v1/reviews?{asked}{kept}&limit={PAGE}")).await?;
            counted(list.items.len())
        };
        let label = match word {
            "mine" => t.inbox.mine,
            "unassigned" => t.inbox.unassigned,
            "team" => t.inbox.team,
            "snoozed" => t.inbox.snoozed,
            _ => t.inbox.second,
        };
        tabs.push(Tab { href: format!("/console/reviews?tab={word}{kept}"), label, count, here: word == tab });
    }
    let href = format!("/console/reviews?tab=done{kept}");
    tabs.push(Tab { href, label: t.inbox.done, count: String::new(), here: tab == "done" });
    if !reviewer {
        // Who does not decide has nothing of their own here.
        tabs.remove(0);
        tabs.pop();
    }
    let chosen = query.one("process");
    let known: List<Process> = console.desk().get(&seat.person, "/v1/processes").await?;
    let choice = |process: &Process| Choice {
        value: process.name.clone(),
        label: by_language(&process.title, &seat.look),
        here: process.name == chosen,
    };
    let processes = known.items.iter().map(choice).collect();
    let together = if reviewer && tab == "unassigned" { groups(&list.items, seat) } else { Vec::new() };
    let page_of = InboxPage {
        batches: if reviewer || seat.may(Action::Operate) { any(console, seat).await? } else { (false, false) },
        views: named(console, seat, &format!("tab={tab}{kept}")).await?,
        may_save: may_save(seat),
        chosen: chosen.to_owned(),
        takes: reviewer,
        f,
        tabs,
        tab,
        rows,
        empty,
        processes,
        next,
        together,
        again,
    };
    Ok(page(&seat.look, &page_of))
}

/// A number that was counted up to the size of a page.
fn counted(number: usize) -> String {
    if number >= PAGE { format!("{PAGE}+") } else { number.to_string() }
}

/// Now, as times are shown.
pub(super) fn now(console: &Console) -> Timestamp {
    Timestamp::from_microsecond(console.engine().clock().now().0).unwrap_or_default()
}

/// A row of a list of reviews.
pub(super) fn row(review: &Review, seat: &Seat, now: Timestamp) -> Row {
    let t = seat.look.lang.texts();
    let (opened, due) = (show::read(&review.opened_at).unwrap_or(now), show::read(&review.due_at).unwrap_or(now));
    let open = matches!(review.state.as_str(), "open" | "deciding");
    let (left, urgency) = if open { show::left(opened, due, now, t) } else { (String::new(), "fine") };
    let assignee = match review.claimed_by.as_deref() {
        None => t.inbox.nobody.to_owned(),
        Some(name) if name == seat.person.name => t.inbox.me.to_owned(),
        Some(name) => name.to_owned(),
    };
    let question = by_language(&review.question, &seat.look);
    Row {
        href: format!("/console/reviews/{}", review.id),
        question: if question.is_empty() { review.name.clone() } else { question },
        process: review.process.clone(),
        customer: review.customer.clone(),
        asked: When::parse(
            if open { &review.opened_at } else { review.closed_at.as_deref().unwrap_or_default() },
            now,
            &seat.look,
        ),
        left,
        urgency,
        assignee,
        four_eyes: review.four_eyes,
        first_by: review.first_by.as_deref().map(|by| super::text::put(t.inbox.first_by, &[by])).unwrap_or_default(),
        escalated: review.escalated > 0,
        decision: review.decision.as_ref().map(|decision| t.choice(&decision.choice).to_owned()).unwrap_or_default(),
        word: review.decision.as_ref().map(|decision| decision.choice.clone()).unwrap_or_default(),
    }
}

/// Claims the review with the least time left that nobody holds, and goes there.
pub(super) async fn next(State(console): State<Console>, form: Form) -> Response {
    let process = form.fields.some("process").map(encoded);
    match take_next(&console, &form.seat, process.as_deref()).await {
        Ok(Some(id)) => Redirect::to(&format!("/console/reviews/{id}")).into_response(),
        Ok(None) => after(&console, "/console/reviews?tab=mine", "nothing-left"),
        Err(refused) => trouble::refused(&form.seat, &refused),
    }
}

/// Claims the next one; which.
pub(super) async fn take_next(console: &Console, seat: &Seat, process: Option<&str>) -> Result<Option<String>, Refused> {
    let process = process.map(|name| format!("&process={name}")).unwrap_or_default();
    let address = format!("/v1/reviews?unclaimed=true&snoozed=false&limit={TRIES}{process}");
    let list: List<Review> = console.desk().get(&seat.person, &address).await?;
    for review in list.items.iter().filter(|review| review.first_by.as_deref() != Some(seat.person.name.as_str())) {
        match console.desk().post(&seat.person, &format!("/v1/reviews/{}/claim", review.id), &json!({})).await {
            Ok(_) => return Ok(Some(review.id.clone())),
            // Somebody was faster: the one after it.
            Err(refused) if matches!(refused.status, 409 | 423 | 404) => {}
            Err(refused) => return Err(refused),
        }
    }
    Ok(None)
}
