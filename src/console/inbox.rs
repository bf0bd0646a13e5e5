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
use super::standing::present;
use super::text::{Texts, put};
use super::together::groups;
use super::views::{Named, may_save, named};
use super::way::{TABS, Way};
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
/// Tabs of those who decide.
const OWN: [&str; 2] = ["mine", "done"];

/// What a tab asks the interface for.
fn asks(tab: &str) -> &'static str {
    match tab {
        "mine" => "/v1/reviews?claimed_by=me",
        "unassigned" => "/v1/reviews?unclaimed=true&snoozed=false",
        "second" => "/v1/reviews?second=true",
        "snoozed" => "/v1/reviews?snoozed=true",
        "done" => "/v1/decisions?by=me",
        _ => "/v1/reviews?state=open",
    }
}

/// What a tab is called.
pub(super) fn label(tab: &str, t: &'static Texts) -> &'static str {
    match tab {
        "mine" => t.inbox.mine,
        "unassigned" => t.inbox.unassigned,
        "second" => t.inbox.second,
        "snoozed" => t.inbox.snoozed,
        "done" => t.inbox.done,
        _ => t.inbox.team,
    }
}

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
    /// Who else has it open.
    pub(super) present: String,
    pub(super) four_eyes: bool,
    pub(super) first_by: String,
    pub(super) escalated: bool,
    pub(super) decision: String,
    pub(super) word: String,
    pub(super) aside: Option<Aside>,
}

/// Put aside: until when, by whom and why.
pub(super) struct Aside {
    pub(super) until: Option<When>,
    pub(super) by: String,
    pub(super) why: String,
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
    way: Way,
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
    let mut way = Way::of(query);
    if way.tab.is_empty() {
        way = way.in_tab(if reviewer { "unassigned" } else { "team" });
    }
    let tab = way.tab;
    let list = listed(console, seat, &way).await?;
    let next = list.next().map(|cursor| way.at(cursor).inbox());
    let now = now(console);
    let rows: Vec<Row> = list.items.iter().map(|review| row(review, seat, now, &way)).collect();
    let waiting = if tab == "mine" && way.begins() {
        let asked = format!("/v1/reviews?first_by=me{}&limit={PAGE}", way.asked());
        let list: List<Review> = console.desk().get(&seat.person, &asked).await?;
        list.items.iter().map(|review| row(review, seat, now, &way)).collect()
    } else {
        Vec::new()
    };
    let again = way.inbox();
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
    // Who does not decide has nothing of their own here.
    for word in TABS.into_iter().filter(|word| reviewer || !OWN.contains(word)) {
        let there = way.begin().in_tab(word);
        let count = match word {
            // However many that are.
            "done" => String::new(),
            word if word == tab && way.begins() => counted(rows.len()),
            _ => counted(asked(console, seat, &there, "&present=false").await?.items.len()),
        };
        tabs.push(Tab { href: there.inbox(), label: label(word, t), count, here: word == tab });
    }
    let chosen = way.process().unwrap_or_default();
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
        views: named(console, seat, &way.begin()).await?,
        may_save: may_save(seat),
        chosen: chosen.to_owned(),
        takes: reviewer,
        way,
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

/// A page of a list.
pub(super) async fn listed(console: &Console, seat: &Seat, way: &Way) -> Result<List<Review>, Refused> {
    asked(console, seat, way, "").await
}

async fn asked(console: &Console, seat: &Seat, way: &Way, more: &str) -> Result<List<Review>, Refused> {
    console.desk().get(&seat.person, &format!("{}{}&limit={PAGE}{more}", asks(way.tab), way.asked())).await
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
pub(super) fn row(review: &Review, seat: &Seat, now: Timestamp, way: &Way) -> Row {
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
        href: here(&review.id, way),
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
        present: present(review, seat),
        four_eyes: review.four_eyes,
        first_by: match review.first_by.as_deref() {
            Some(by) if same(by, &seat.person.name) => t.inbox.first_you.to_owned(),
            Some(by) => put(t.inbox.first_by, &[by]),
            None => String::new(),
        },
        escalated: review.escalated > 0,
        decision: review.decision.as_ref().map(|decision| t.choice(&decision.choice).to_owned()).unwrap_or_default(),
        word: review.decision.as_ref().map(|decision| decision.choice.clone()).unwrap_or_default(),
        aside: review.snoozed.as_ref().map(|aside| Aside {
            until: When::parse(&aside.until, now, &seat.look),
            by: if aside.by == seat.person.name { t.inbox.me.to_owned() } else { aside.by.clone() },
            why: aside.note.clone(),
        }),
    }
}

/// Claims the review with the least time left that nobody holds, and goes there.
pub(super) async fn next(State(console): State<Console>, form: Form) -> Response {
    if !form.seat.may(Action::Review) {
        return trouble::not_allowed(&form.seat, None);
    }
    let way = Way::of(&form.fields);
    match take_next(&console, &form.seat, way.process(), "").await {
        Ok(Some(id)) => after(&console, &here(&id, &way), "claimed"),
        Ok(None) => after(&console, &way.begin().in_tab("mine").inbox(), "nothing-left"),
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
        let address = format!("/v1/reviews?unclaimed=true&snoozed=false&present=false&limit={MANY}{process}{cursor}");
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
