//! The inbox: what is asked of people, those with the least time left first; and taking the next one.

use askama::Template;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use jiff::Timestamp;
use serde_json::json;

use super::batch::any;
use super::decide::here;
use super::form::{Fields, Form, Query, encoded};
use super::frame::{Frame, page};
use super::home::{after, shown};
use super::read::{List, Process, Review};
use super::review::has_role;
use super::session::Seat;
use super::show::{self, When, by_language};
use super::text::put;
use super::together::groups;
use super::views::{Named, may_save, named};
use super::{Console, trouble};
use crate::api::Refused;
use crate::api::permit::Action;
use crate::domain::request::signal::person;

/// Rows of a page.
const PAGE: usize = 50;
/// How many claims are tried when the next one is taken: others take some at the same moment.
const TRIES: usize = 10;
/// How many reviews are read at once when the next one is looked for, and how often.
const MANY: usize = 200;
const LOOKED_AT: usize = 10;

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
    /// What this person has decided first, and waits for another one.
    waiting: Vec<Row>,
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
    waiting: Vec<Row>,
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
    let rows: Vec<Row> = list.items.iter().map(|review| row(review, seat, now, query.some("process"))).collect();
    let waiting = if tab == "mine" && cursor.is_empty() {
        let asked = format!("/v1/reviews?first_by=me{kept}&limit={PAGE}");
        let list: List<Review> = console.desk().get(&seat.person, &asked).await?;
        list.items.iter().map(|review| row(review, seat, now, query.some("process"))).collect()
    } else {
        Vec::new()
    };
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
        return Ok(page(&seat.look, &InboxList { f, tab, rows, waiting, empty, next, again }));
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
        waiting,
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
pub(super) fn row(review: &Review, seat: &Seat, now: Timestamp, within: Option<&str>) -> Row {
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
        href: here(&review.id, within),
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
        first_by: match review.first_by.as_deref() {
            Some(by) if same(by, &seat.person.name) => t.inbox.first_you.to_owned(),
            Some(by) => put(t.inbox.first_by, &[by]),
            None => String::new(),
        },
        escalated: review.escalated > 0,
        decision: review.decision.as_ref().map(|decision| t.choice(&decision.choice).to_owned()).unwrap_or_default(),
        word: review.decision.as_ref().map(|decision| decision.choice.clone()).unwrap_or_default(),
    }
}

/// Claims the review with the least time left that nobody holds, and goes there.
pub(super) async fn next(State(console): State<Console>, form: Form) -> Response {
    if !form.seat.may(Action::Review) {
        return trouble::not_allowed(&form.seat, None);
    }
    let process = form.fields.some("process");
    match take_next(&console, &form.seat, process, "").await {
        Ok(Some(id)) => after(&console, &here(&id, process), "claimed"),
        Ok(None) => {
            let process = process.map(|name| format!("&process={}", encoded(name))).unwrap_or_default();
            after(&console, &format!("/console/reviews?tab=mine{process}"), "nothing-left")
        }
        Err(refused) => trouble::refused(&form.seat, &refused),
    }
}

/// Claims the next one that this person can decide, of one process where one is named; which. Not the one that they come from.
///
/// What they cannot take — asked of other roles, decided first by themselves — is stepped over, page by page.
pub(super) async fn take_next(
    console: &Console,
    seat: &Seat,
    process: Option<&str>,
    but: &str,
) -> Result<Option<String>, Refused> {
    let process = process.map(|name| format!("&process={}", encoded(name))).unwrap_or_default();
    let (mut cursor, mut tries) = (String::new(), 0);
    for _ in 0..LOOKED_AT {
        let address = format!("/v1/reviews?unclaimed=true&snoozed=false&limit={MANY}{process}{cursor}");
        let list: List<Review> = console.desk().get(&seat.person, &address).await?;
        for review in list.items.iter().filter(|review| review.id != but && takes(seat, review)) {
            match console.desk().post(&seat.person, &format!("/v1/reviews/{}/claim", review.id), &json!({})).await {
                Ok(_) => return Ok(Some(review.id.clone())),
                // Somebody was faster, or it is not for them after all: the one after it.
                Err(refused) if matches!(refused.status, 403 | 404 | 409 | 423) => tries += 1,
                Err(refused) => return Err(refused),
            }
            if tries >= TRIES {
                return Ok(None);
            }
        }
        match list.next() {
            Some(next) => cursor = format!("&cursor={}", encoded(&next)),
            None => break,
        }
    }
    Ok(None)
}

/// Can this person decide it? Nobody is their own second pair of eyes, under whichever of their names.
pub(super) fn takes(seat: &Seat, review: &Review) -> bool {
    let first = review.first_by.as_deref().is_some_and(|first| same(first, &seat.person.name));
    !first && has_role(seat, review.role.as_deref())
}

/// Is it the same person behind two names?
pub(super) fn same(one: &str, other: &str) -> bool {
    person(one) == person(other)
}
