//! For auditors: who decided, who looked behind a mask, and whether the record is whole.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use jiff::Span;
use jiff::civil::Date;
use serde::Deserialize;
use uuid::Uuid;

use super::form::{Fields, Query, encoded};
use super::frame::{self, Frame, page};
use super::home::shown;
use super::inbox::now;
use super::read::{Act, List, Look, Process, Review};
use super::request::LookRow;
use super::session::Seat;
use super::sheets::Sheet;
use super::show::{When, by_language, number, short_id};
use super::text::{Texts, put};
use super::{Console, trouble};
use crate::api::permit::Action;
use crate::api::{CHOICES, KINDS, Refused};

/// Requests that one press verifies.
const VERIFIED: usize = 100;

struct DecisionRow {
    href: String,
    question: String,
    process: String,
    choice: String,
    word: String,
    by: String,
    first: String,
    reason: String,
    note: String,
    at: Option<When>,
}

struct ActLine {
    at: Option<When>,
    by: String,
    what: String,
    href: String,
    about: String,
    detail: String,
}

#[derive(Template)]
#[template(path = "decisions.html")]
struct DecisionsPage {
    f: Frame,
    looks_tab: bool,
    acts_tab: bool,
    may_looks: bool,
    by: String,
    process: String,
    /// The first and the last day.
    from: String,
    to: String,
    /// What can be chosen: word, label, and whether it is.
    kinds: Vec<(&'static str, &'static str, bool)>,
    processes: Vec<(String, String)>,
    rows: Vec<DecisionRow>,
    looks: Vec<LookRow>,
    acts: Vec<ActLine>,
    next: Option<String>,
    export: String,
}

/// What a list is narrowed to: as it stands in the page's address, days in the reader's zone.
pub(super) struct Narrowed {
    /// Names and values in our own address.
    words: Vec<(&'static str, String)>,
    /// Names and values that the interface is asked with.
    asked: Vec<(&'static str, String)>,
}

impl Narrowed {
    pub(super) fn of(sheet: Sheet, query: &Fields, look: &frame::Look) -> Narrowed {
        let names: &[&'static str] = match sheet {
            Sheet::Decisions => &["by", "process", "choice"],
            Sheet::Looks => &["by"],
            Sheet::Acts => &["by", "what"],
        };
        let given = |name: &'static str| query.some(name).map(|value| (name, value.to_owned()));
        let mut words: Vec<_> = names.iter().copied().filter_map(given).collect();
        let mut asked = words.clone();
        // The last day belongs to it.
        for (name, bound, more) in [("from", "after", 0), ("to", "before", 1)] {
            let day = query.some(name).and_then(|day| day.parse::<Date>().ok());
            let begin = day.and_then(|day| day.checked_add(Span::new().days(more)).ok()?.to_zoned(look.zone.clone()).ok());
            if let Some((day, begin)) = day.zip(begin) {
                words.push((name, day.to_string()));
                asked.push((bound, begin.timestamp().to_string()));
            }
        }
        Narrowed { words, asked }
    }

    fn one(&self, name: &str) -> String {
        self.words.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone()).unwrap_or_default()
    }

    /// For our own address.
    fn kept(&self) -> String {
        query(&self.words)
    }

    /// For the interface.
    pub(super) fn asked(&self) -> String {
        query(&self.asked)
    }
}

fn query(words: &[(&'static str, String)]) -> String {
    words.iter().flat_map(|(name, value)| ["&".to_owned(), (*name).to_owned(), "=".to_owned(), encoded(value)]).collect()
}

/// Who decided, or who saw what.
pub(super) async fn decisions(State(console): State<Console>, seat: Seat, Query(query): Query) -> Response {
    match view(&console, &seat, &query).await {
        Ok(view) => shown(&console, &seat, page(&seat.look, &view)),
        Err(refused) => trouble::refused(&seat, &refused),
    }
}

async fn view(console: &Console, seat: &Seat, query: &Fields) -> Result<DecisionsPage, Refused> {
    let (desk, t, now) = (console.desk(), seat.look.lang.texts(), now(console));
    let may_looks = seat.may(Action::ReadAll) && seat.person.processes.is_empty();
    let sheet = if may_looks { Sheet::of(query.one("tab")) } else { Sheet::Decisions };
    let looks_tab = sheet == Sheet::Looks;
    let cursor = query.some("cursor").map(|cursor| format!("&cursor={}", encoded(cursor))).unwrap_or_default();
    let narrowed = Narrowed::of(sheet, query, &seat.look);
    let (kept, asked) = (narrowed.kept(), narrowed.asked());
    let acts_tab = sheet == Sheet::Acts;
    let (mut rows, mut looks, mut acts) = (Vec::new(), Vec::new(), Vec::new());
    let next = match (looks_tab, acts_tab) {
        (true, _) => "&tab=looks",
        (_, true) => "&tab=acts",
        _ => "",
    };
    let cursor_after = if acts_tab {
        let list: List<Act> = desk.get(&seat.person, &format!("/v1/acts?limit=50{asked}{cursor}")).await?;
        acts = list.items.iter().map(|act| act_line(act, seat, now)).collect();
        list.next()
    } else if looks_tab {
        let list: List<Look> = desk.get(&seat.person, &format!("/v1/looks?limit=50{asked}{cursor}")).await?;
        looks = list.items.iter().map(|look| LookRow::new(look, seat, now)).collect();
        list.next()
    } else {
        let list: List<Review> = desk.get(&seat.person, &format!("/v1/decisions?limit=50{asked}{cursor}")).await?;
        rows = list.items.iter().map(|review| row(review, seat, now)).collect();
        list.next()
    };
    let known: List<Process> = desk.get(&seat.person, "/v1/processes").await?;
    Ok(DecisionsPage {
        f: Frame::of(seat, t.decisions.title, "/console/decisions"),
        looks_tab,
        acts_tab,
        may_looks,
        by: narrowed.one("by"),
        process: narrowed.one("process"),
        from: narrowed.one("from"),
        to: narrowed.one("to"),
        kinds: kinds(sheet, &narrowed, seat),
        processes: known.items.iter().map(|process| (process.name.clone(), by_language(&process.title, &seat.look))).collect(),
        rows,
        looks,
        acts,
        next: cursor_after.map(|cursor| format!("/console/decisions?cursor={}{kept}{next}", encoded(&cursor))),
        export: format!("/console/decisions.csv?{}", format!("{next}{kept}").trim_start_matches('&')),
    })
}

/// What was decided or done, to choose from.
fn kinds(sheet: Sheet, narrowed: &Narrowed, seat: &Seat) -> Vec<(&'static str, &'static str, bool)> {
    let t = seat.look.lang.texts();
    match sheet {
        Sheet::Decisions => CHOICES.map(|word| (word, t.choice(word), narrowed.one("choice") == word)).to_vec(),
        Sheet::Looks => Vec::new(),
        Sheet::Acts => KINDS.map(|word| (word, did(word, t), narrowed.one("what") == word)).to_vec(),
    }
}

fn did<'a>(word: &'a str, t: &Texts) -> &'a str {
    let t = &t.decisions;
    match word {
        "decision_undone" => t.decision_undone,
        "review_snoozed" => t.review_snoozed,
        "review_woken" => t.review_woken,
        "review_taken_over" => t.review_taken_over,
        "review_released" => t.review_released,
        "review_escalated" => t.review_escalated,
        "dependency_tripped" => t.dependency_tripped,
        "dependency_reset" => t.dependency_reset,
        "group_resumed" => t.group_resumed,
        "view_saved" => t.view_saved,
        "view_renamed" => t.view_renamed,
        "view_removed" => t.view_removed,
        "batch_stopped" => t.batch_stopped,
        other => other,
    }
}

fn act_line(act: &Act, seat: &Seat, now: jiff::Timestamp) -> ActLine {
    let what = did(&act.what, seat.look.lang.texts());
    let (about, href) = match (&act.review, &act.request) {
        (Some(review), _) => (review.clone(), format!("/console/reviews/{review}")),
        (None, Some(request)) => (request.clone(), format!("/console/requests/{request}")),
        (None, None) => (String::new(), String::new()),
    };
    let at = When::parse(&act.at, now, &seat.look);
    // How long something was put aside for: `until` and a time.
    let until = act.detail.strip_prefix("until ").and_then(|time| When::parse(time, now, &seat.look));
    let detail = until.map_or_else(|| act.detail.clone(), |until| put(seat.look.lang.texts().decisions.until, &[until.whole()]));
    ActLine { at, by: act.by.clone(), what: what.to_owned(), href, about, detail }
}

fn row(review: &Review, seat: &Seat, now: jiff::Timestamp) -> DecisionRow {
    let t = seat.look.lang.texts();
    let decision = review.decision.clone().unwrap_or_default();
    let question = by_language(&review.question, &seat.look);
    DecisionRow {
        href: format!("/console/reviews/{}", review.id),
        question: if question.is_empty() { review.name.clone() } else { question },
        process: review.process.clone(),
        choice: t.choice(&decision.choice).to_owned(),
        word: decision.choice,
        by: decision.by,
        first: decision.first_by.unwrap_or_default(),
        reason: decision.reason.unwrap_or_default(),
        note: decision.note,
        at: review.closed_at.as_deref().and_then(|at| When::parse(at, now, &seat.look)),
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Verified {
    whole: bool,
    requests: u64,
    entries: u64,
    broken: Vec<Broken>,
    next: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Broken {
    request: String,
    process: String,
    entry: u64,
    problem: String,
}

struct BrokenRow {
    href: String,
    id: String,
    process: String,
    entry: u64,
    problem: String,
}

#[derive(Template)]
#[template(path = "ledger.html")]
struct LedgerPage {
    f: Frame,
    verify_n: String,
    verify_href: String,
    verified: bool,
    whole: bool,
    says: String,
    broken: Vec<BrokenRow>,
    next: Option<String>,
    request: String,
    unknown: bool,
    record: String,
}

/// Verification: of the newest requests, of older ones, or of a single one.
pub(super) async fn ledger(State(console): State<Console>, seat: Seat, Query(query): Query) -> Response {
    if !seat.may(Action::ReadOperations) {
        return trouble::not_allowed(&seat, None);
    }
    match checked(&console, &seat, &query).await {
        Ok(view) => page(&seat.look, &view),
        Err(refused) => trouble::refused(&seat, &refused),
    }
}

async fn checked(console: &Console, seat: &Seat, query: &Fields) -> Result<LedgerPage, Refused> {
    let t = &seat.look.lang.texts().ledger;
    let request = query.one("request").trim().to_owned();
    let request = Uuid::try_parse(&request).map_or(request, |id| id.to_string());
    let address = match (request.as_str(), query.one("verify"), query.some("cursor")) {
        ("", "", _) => None,
        ("", _, None) => Some(format!("/v1/ledger/verify?limit={VERIFIED}")),
        ("", _, Some(cursor)) => Some(format!("/v1/ledger/verify?limit={VERIFIED}&cursor={}", encoded(cursor))),
        (id, ..) => Some(format!("/v1/ledger/verify?request={}", encoded(id))),
    };
    let verified: Option<Verified> = match &address {
        Some(address) => match console.desk().get(&seat.person, address).await {
            Ok(verified) => Some(verified),
            // No id, or nobody's: said on the page.
            Err(refused) if matches!(refused.status, 400 | 404) && !request.is_empty() => None,
            Err(refused) => return Err(refused),
        },
        None => None,
    };
    let checked = verified.is_some();
    let says = verified.as_ref().map(|found| match (found.whole, found.requests) {
        (_, 0) => t.none.to_owned(),
        (true, _) => put(t.whole, &[&number(found.requests), &number(found.entries)]),
        (false, _) => put(t.broken, &[&found.broken.len().to_string(), &number(found.requests)]),
    });
    let broken = |broken: &Broken| BrokenRow {
        href: format!("/console/requests/{}", broken.request),
        id: short_id(&broken.request).to_owned(),
        process: broken.process.clone(),
        entry: broken.entry,
        problem: broken.problem.clone(),
    };
    Ok(LedgerPage {
        f: Frame::of(seat, t.title, "/console/ledger"),
        verify_n: put(t.verify, &[&VERIFIED.to_string()]),
        verify_href: "/console/ledger?verify=newest".to_owned(),
        verified: checked,
        whole: verified.as_ref().is_some_and(|found| found.whole),
        says: says.unwrap_or_default(),
        broken: verified.iter().flat_map(|found| &found.broken).map(broken).collect(),
        next: verified
            .and_then(|found| found.next)
            .map(|cursor| format!("/console/ledger?verify=older&cursor={}", encoded(&cursor))),
        unknown: !request.is_empty() && !checked,
        record: if request.is_empty() { String::new() } else { format!("/console/requests/{}/record.json", encoded(&request)) },
        request,
    })
}
