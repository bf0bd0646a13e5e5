//! The review page: the question first, then what it rests on, and at the end of the screen what can be answered.
//!
//! The page is made anew after an act that was refused, with what was written in it, so that nobody types twice; and after a
//! masked value was asked for, with that value in it, so that it stands in no address and in no history.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde_json::Value;

use super::answers::{Answer, Changed, Letter, answers, changes, letters};
use super::decide::here;
use super::draft::Draft;
use super::form::{Query, encoded};
use super::frame::{Frame, page};
use super::home::shown;
use super::inbox::{now, same};
use super::read::{Entry, List, Process, Request, Review, ReviewPage};
use super::session::Seat;
use super::show::{self, When, by_language, plain};
use super::text::{Texts, put};
use super::timeline::{Line, leaves, lines};
use super::why::why;
use super::{Console, links, trouble};
use crate::api::Refused;
use crate::api::permit::Action;

/// Entries of the timeline on this page; the request's own page has the rest.
const ENTRIES: usize = 100;
/// Other requests of the customer that are shown.
const OTHERS: usize = 8;
/// A shown value is hidden again after this many seconds.
const SHOWN_FOR: u32 = 30;

/// What the page is made with, besides the review.
#[derive(Default)]
pub(super) struct Extra {
    /// A masked value that is asked for: its pointer.
    pub(super) asks: Option<String>,
    /// A masked value that was granted.
    pub(super) revealed: Option<(String, Value)>,
    /// What was written and not done.
    pub(super) draft: Option<Draft>,
    /// The process that somebody works through.
    pub(super) within: Option<String>,
    /// The page's status.
    pub(super) status: StatusCode,
}

struct Shown {
    pointer: String,
    /// The pointer as a part of an address.
    query: String,
    label: String,
    value: String,
    /// What hides it again.
    mask: String,
    masked: bool,
    revealed: bool,
    asked: bool,
}

struct Seen {
    slot: String,
    clause: String,
    kept: Vec<(String, String)>,
    status: String,
    rule: String,
    detail: String,
    verdict: String,
    word: String,
    at: Option<When>,
    passed: bool,
}

struct Difference {
    label: &'static str,
    seen: String,
    is: String,
}

struct Other {
    href: String,
    process: String,
    state: String,
    label: String,
    at: Option<When>,
}

struct NoteRow {
    by: String,
    text: String,
    at: Option<When>,
}

#[expect(clippy::struct_excessive_bools, reason = "what the template asks")]
#[derive(Template)]
#[template(path = "review.html", blocks = ["now", "bar"])]
struct Page {
    f: Frame,
    id: String,
    request: String,
    question: String,
    process: String,
    version: u32,
    customer: String,
    raised: String,
    /// Why a person is asked.
    why_asked: String,
    left: String,
    urgency: &'static str,
    opened: Option<When>,
    open: bool,
    four_eyes: bool,
    escalated: bool,
    state_notice: String,
    clause: Option<super::read::Clause>,
    expected: String,
    evidence: Vec<Seen>,
    fields: Vec<Shown>,
    hide_after: u32,
    others: Vec<Other>,
    notes: Vec<NoteRow>,
    timeline: Vec<Line>,
    mine: bool,
    /// There is a decision's form, and all other acts take along what is in it.
    drafts: bool,
    holder: String,
    /// Who works on it, and until when.
    claimed_text: String,
    /// This page's address when it is asked for one of its parts.
    here_now: String,
    here_bar: String,
    first: String,
    may_claim: bool,
    may_note: bool,
    may_escalate: bool,
    /// A decision that waits, in words.
    held: String,
    held_mine: bool,
    /// The key that takes back is for this one, and not for the one before.
    undo_here: bool,
    /// What came of a decision that was held and not applied.
    not_applied: String,
    /// By whom it is put aside, until when and why.
    snoozed: String,
    may_snooze: bool,
    lengths: Vec<(&'static str, String)>,
    no_role: String,
    /// There are others that wait for this person.
    takes_next: bool,
    seen_version: u32,
    key: String,
    answers: Vec<Answer>,
    /// Reasons of the asking step's rules, then the process's others.
    letters: [Vec<Letter>; 2],
    changes: Vec<Changed>,
    /// What another form takes along.
    carried: Vec<(String, String)>,
    note: String,
    /// What was written for other acts, by their names.
    said: Vec<(String, String)>,
    said_claim: String,
    within: String,
    /// This page's own address.
    here: String,
    why: String,
    differences: Vec<Difference>,
}

impl Page {
    /// What was written for another act, where it was not done.
    fn said(&self, act: &str) -> &str {
        said(&self.said, act)
    }
}

fn said<'a>(all: &'a [(String, String)], act: &str) -> &'a str {
    all.iter().find(|(known, _)| known == act).map_or("", |(_, text)| text)
}

/// An address with one more part of the query.
fn with(address: &str, part: &str) -> String {
    format!("{address}{}{part}", if address.contains('?') { '&' } else { '?' })
}

/// Who works on it, and until when.
fn claimed_text(mine: bool, review: &Review, seat: &Seat) -> String {
    let (t, until) = (&seat.look.lang.texts().review, until(review, seat));
    match &review.claimed_by {
        Some(_) if mine => put(t.claimed_by_me, &[&until]),
        Some(holder) => put(t.claimed_by, &[holder, &until]),
        None => String::new(),
    }
}

/// The page; one of its parts where a script asks for that anew.
pub(super) async fn review(
    State(console): State<Console>,
    seat: Seat,
    Path(id): Path<String>,
    headers: HeaderMap,
    Query(query): Query,
) -> Response {
    let (asks, within) = (query.some("reveal").map(str::to_owned), query.some("process").map(str::to_owned));
    let extra = Extra { asks, within, status: StatusCode::OK, ..Extra::default() };
    if headers.contains_key("hx-request") {
        // What the last act came to is for the whole page.
        let mut seat = seat;
        seat.look.told = None;
        return match view(&console, &seat, &id, extra).await {
            Ok(view) if query.one("part") == "bar" => page(&seat.look, &view.as_bar()),
            Ok(view) => page(&seat.look, &view.as_now()),
            Err(refused) => trouble::refused(&seat, &refused),
        };
    }
    let response = made(&console, &seat, &id, extra).await;
    shown(&console, &seat, response)
}

/// The page, or why there is none.
pub(super) async fn made(console: &Console, seat: &Seat, id: &str, extra: Extra) -> Response {
    let status = extra.status;
    match view(console, seat, id, extra).await {
        Ok(view) => (status, page(&seat.look, &view)).into_response(),
        Err(refused) => trouble::refused(seat, &refused),
    }
}

async fn view(console: &Console, seat: &Seat, id: &str, extra: Extra) -> Result<Page, Refused> {
    let (desk, person, t) = (console.desk(), &seat.person, seat.look.lang.texts());
    let id = segment(id);
    let data: ReviewPage = desk.get(person, &format!("/v1/reviews/{id}")).await?;
    let review = &data.review;
    let others: List<Request> =
        desk.get(person, &format!("/v1/requests?same_customer_as={}&limit={}", review.request, OTHERS + 1)).await?;
    let entries: List<Entry> = desk.get(person, &format!("/v1/requests/{}/timeline?limit={ENTRIES}", review.request)).await?;
    let process: Option<Process> =
        desk.get(person, &format!("/v1/processes/{}?version={}", segment(&review.process), review.process_version)).await.ok();
    let now = now(console);
    let (opened, due) = (show::read(&review.opened_at).unwrap_or(now), show::read(&review.due_at).unwrap_or(now));
    let open = review.state == "open";
    let (left, urgency) = if open { show::left(opened, due, now, t) } else { (String::new(), "fine") };
    let has_role = has_role(seat, review.role.as_deref());
    let decides = open && has_role && seat.may(Action::Review);
    let mine = decides && review.claimed_by.as_deref() == Some(person.name.as_str());
    let was_first = review.first_by.as_deref().is_some_and(|first| same(first, &person.name));
    let draft = extra.draft.unwrap_or_default();
    let here = here(&id, extra.within.as_deref());
    let mut f = Frame::of(seat, t.review.title, "/console/reviews");
    // The page may be the answer to a form: settings come back to its address.
    f.here.clone_from(&here);
    // What can be taken back here is among what follows, and goes away when it cannot be any more.
    if let Some(told) = f.told.as_mut().filter(|told| told.undo == id) {
        told.undo.clear();
    }
    let undo_here = f.told.as_ref().is_none_or(|told| told.undo.is_empty());
    let question = by_language(&review.question, &seat.look);
    Ok(Page {
        f,
        request: review.request.clone(),
        question: if question.is_empty() { review.name.clone() } else { question },
        process: review.process.clone(),
        version: review.process_version,
        customer: review.customer.clone(),
        raised: raised(review, process.as_ref(), t),
        why_asked: why(&data, process.as_ref(), seat),
        left,
        urgency,
        opened: Some(When::new(opened, now, &seat.look)),
        open,
        four_eyes: review.four_eyes,
        escalated: review.escalated > 0,
        state_notice: closed(review, t),
        held: held(review, seat, now),
        undo_here,
        held_mine: review.held.as_ref().is_some_and(|held| held.by == person.name),
        not_applied: not_applied(review, seat, now),
        snoozed: aside(review, seat, now),
        may_snooze: decides && review.held.is_none() && review.state == "open" && (mine || review.claimed_by.is_none()),
        lengths: lengths(t),
        clause: data.clause.clone(),
        expected: data.expected.clone().unwrap_or_default(),
        evidence: evidence(&data, seat, now),
        fields: fields(&data.request_body, extra.asks.as_deref(), extra.revealed.as_ref(), decides && seat.may(Action::Reveal)),
        hide_after: if extra.revealed.is_some() { SHOWN_FOR } else { 0 },
        others: others.items.iter().take(OTHERS).map(|request| other(request, seat, now)).collect(),
        notes: notes(&data, seat, now),
        timeline: lines(&entries.items, seat, now),
        mine,
        drafts: mine && review.held.is_none(),
        holder: review.claimed_by.clone().filter(|_| !mine).unwrap_or_default(),
        claimed_text: claimed_text(mine, review, seat),
        here_now: with(&here, "part=now"),
        here_bar: with(&here, "part=bar"),
        first: first(review, &person.name, t),
        may_claim: decides && !mine && !was_first,
        may_note: seat.may(Action::Note),
        may_escalate: open && seat.may(Action::Escalate),
        no_role: if open && !decides { not_yours(review, t) } else { String::new() },
        takes_next: seat.may(Action::Review),
        // A draft is for what was seen when it was begun: what has changed since is told when it is sent.
        seen_version: draft.version.unwrap_or(review.version),
        key: links::secret(),
        answers: answers(&data, &draft, seat),
        letters: letters(&data, &draft.reason, seat),
        changes: changes(process.as_ref(), &data.fixed, &draft),
        carried: draft.carried(),
        said_claim: said(&draft.said, "claim").to_owned(),
        said: draft.said,
        within: extra.within.unwrap_or_default(),
        here,
        differences: differences(review, draft.seen.as_ref(), t),
        note: draft.note,
        why: draft.why,
        id,
    })
}

/// An id as a part of an address: nothing but what ids and names are made of.
pub(super) fn segment(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')).take(128).collect()
}

/// Is it for a role that this person has?
pub(super) fn has_role(seat: &Seat, role: Option<&str>) -> bool {
    let admin = seat.person.roles.iter().any(|word| word == "admin");
    role.is_none_or(|role| admin || seat.person.review_roles.iter().any(|known| known == role))
}

fn not_yours(review: &Review, t: &Texts) -> String {
    let role = review.role.as_deref().map(|role| put(t.review.with_role, &[role])).unwrap_or_default();
    put(t.review.not_yours, &[&role])
}

/// A decision that waits, in words; empty where there is none.
fn held(review: &Review, seat: &Seat, now: Timestamp) -> String {
    let t = seat.look.lang.texts();
    let Some(held) = &review.held else { return String::new() };
    let until = When::parse(&held.until, now, &seat.look).map(|when| when.whole().to_owned()).unwrap_or_default();
    match &held.choice {
        Some(choice) => put(t.review.held_mine, &[t.choice(choice), &until]),
        None => put(t.review.held, &[&held.by, &until]),
    }
}

/// Whose decision came to nothing, and why; empty where none did.
fn not_applied(review: &Review, seat: &Seat, now: Timestamp) -> String {
    let Some(end) = &review.not_applied else { return String::new() };
    let t = seat.look.lang.texts();
    let why = match end.code.as_str() {
        "stale" => put(t.together.why_stale, &[&end.why]),
        "taken" => put(t.together.why_taken, &[&end.why]),
        "decided" => put(t.together.why_decided, &[&end.why]),
        "ended" => put(t.together.why_ended, &[&end.why]),
        "set_aside" => t.together.set_aside.to_owned(),
        "revoked" => t.together.why_revoked.to_owned(),
        "not_found" => t.together.why_gone.to_owned(),
        "internal" => t.together.why_internal.to_owned(),
        _ => end.why.clone(),
    };
    let at = When::parse(&end.at, now, &seat.look).map(|when| when.whole().to_owned()).unwrap_or_default();
    let what = end.choice.as_deref().map(|choice| format!("{}, ", t.choice(choice))).unwrap_or_default();
    put(t.review.not_applied, &[&end.by, &format!("{what}{at}"), &why])
}

/// By whom it is put aside, until when and why; empty where it is not.
fn aside(review: &Review, seat: &Seat, now: Timestamp) -> String {
    let Some(aside) = &review.snoozed else { return String::new() };
    let until = When::parse(&aside.until, now, &seat.look).map(|when| when.whole().to_owned()).unwrap_or_default();
    put(seat.look.lang.texts().review.snoozed, &[&aside.by, &until, &aside.note])
}

/// For how long something can be put aside here; the interface takes any length.
fn lengths(t: &'static Texts) -> Vec<(&'static str, String)> {
    let hours = |value, hours: i64| (value, show::length(hours * 3600, t));
    vec![hours("1h", 1), hours("4h", 4), hours("24h", 24), hours("72h", 72), hours("168h", 168)]
}

fn until(review: &Review, seat: &Seat) -> String {
    let until = review.claimed_until.as_deref().and_then(show::read);
    until.map(|at| at.to_zoned(seat.look.zone.clone()).strftime("%H:%M").to_string()).unwrap_or_default()
}

fn first(review: &Review, name: &str, t: &Texts) -> String {
    match review.first_by.as_deref() {
        None => String::new(),
        Some(first) if same(first, name) => t.review.first_you.to_owned(),
        Some(first) => put(t.review.first_other, &[first]),
    }
}

/// Where in the process it was asked: at a step, or by the engine itself.
fn raised(review: &Review, process: Option<&Process>, t: &Texts) -> String {
    let step = review.slot.strip_prefix("undo.").unwrap_or(&review.slot);
    if process.is_some_and(|process| process.steps.iter().any(|known| known.name == step)) {
        return put(t.review.raised_by, &[&review.slot, &review.process]);
    }
    put(t.review.raised_in, &[&review.process])
}

/// What became of it, where it is not open any more.
fn closed(review: &Review, t: &Texts) -> String {
    match (review.state.as_str(), &review.decision) {
        ("deciding", _) => t.review.deciding.to_owned(),
        ("cancelled", _) => t.review.cancelled.to_owned(),
        ("decided", Some(decision)) => {
            let choice = t.choice(&decision.choice);
            let said = match &decision.first_by {
                Some(first) => put(t.review.decided_both, &[choice, first, &decision.by]),
                None => put(t.review.decided, &[choice, &decision.by]),
            };
            format!("{said} — {}", decision.note)
        }
        _ => String::new(),
    }
}

fn evidence(data: &ReviewPage, seat: &Seat, now: Timestamp) -> Vec<Seen> {
    let t = seat.look.lang.texts();
    let seen = |line: &super::read::Evidence| Seen {
        slot: line.slot.clone(),
        clause: line.clause.clone().unwrap_or_default(),
        kept: leaves(&line.kept)
            .into_iter()
            .filter(|(_, label, _)| !label.is_empty())
            .map(|(_, label, text)| (label, text))
            .collect(),
        status: line.status.map(|status| put(t.review.status, &[&status.to_string()])).unwrap_or_default(),
        rule: line.rule.clone().unwrap_or_default(),
        detail: line.detail.clone().unwrap_or_default(),
        verdict: t.verdict(&line.verdict).to_owned(),
        word: line.verdict.clone(),
        at: When::parse(&line.at, now, &seat.look),
        passed: matches!(line.verdict.as_str(), "pass" | "applied"),
    };
    data.evidence.iter().map(seen).collect()
}

fn fields(request: &Request, asks: Option<&str>, revealed: Option<&(String, Value)>, may_reveal: bool) -> Vec<Shown> {
    let Some(payload) = &request.payload else { return Vec::new() };
    let shown = |(pointer, label, value): (String, String, String)| {
        let granted = revealed.filter(|(field, _)| *field == pointer).map(|(_, value)| plain(value));
        Shown {
            masked: may_reveal && granted.is_none() && request.masked.contains(&pointer),
            revealed: granted.is_some(),
            asked: may_reveal && asks == Some(pointer.as_str()) && request.masked.contains(&pointer),
            mask: value.clone(),
            value: granted.unwrap_or(value),
            query: encoded(&pointer),
            pointer,
            label,
        }
    };
    leaves(payload).into_iter().map(shown).collect()
}

fn other(request: &Request, seat: &Seat, now: Timestamp) -> Other {
    Other {
        href: format!("/console/requests/{}", request.id),
        process: request.process.clone(),
        state: request.state.clone(),
        label: seat.look.lang.texts().state(&request.state).to_owned(),
        at: When::parse(&request.accepted_at, now, &seat.look),
    }
}

fn notes(data: &ReviewPage, seat: &Seat, now: Timestamp) -> Vec<NoteRow> {
    let note = |note: &super::read::Note| NoteRow {
        by: note.by.clone(),
        text: note.text.clone(),
        at: When::parse(&note.at, now, &seat.look),
    };
    data.notes.iter().map(note).collect()
}

fn differences(review: &Review, seen: Option<&[String; 3]>, t: &Texts) -> Vec<Difference> {
    let Some([version, state, holder]) = seen else { return Vec::new() };
    let named = |name: &str| if name.is_empty() { t.inbox.nobody.to_owned() } else { name.to_owned() };
    let is_holder = review.claimed_by.clone().unwrap_or_default();
    let all = [
        (t.review.version_row, version.clone(), review.version.to_string()),
        (t.review.state_row, t.review_state(state).to_owned(), t.review_state(&review.state).to_owned()),
        (t.review.holder_row, named(holder), named(&is_holder)),
    ];
    all.into_iter().filter(|(_, seen, is)| seen != is).map(|(label, seen, is)| Difference { label, seen, is }).collect()
}
