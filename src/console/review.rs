//! The review page: the question first, then what it rests on, and at the end of the screen what can be answered.
//!
//! The page is made anew after an act that was refused, with what was written in it, so that nobody types twice; and after a
//! masked value was asked for, with that value in it, so that it stands in no address and in no history.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde_json::Value;

use super::form::{Query, encoded};
use super::frame::{Frame, page};
use super::home::shown;
use super::inbox::now;
use super::read::{Entry, List, Process, Request, Review, ReviewPage};
use super::session::Seat;
use super::show::{self, When, by_language, plain};
use super::text::{Texts, put};
use super::timeline::{Line, leaves, lines};
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
    /// The page's status.
    pub(super) status: StatusCode,
}

/// A decision that was not made.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) choice: String,
    pub(super) reason: String,
    pub(super) note: String,
    pub(super) fields: Vec<(String, String)>,
    /// Why not.
    pub(super) why: String,
    /// What was seen, where it has changed: version, state, holder.
    pub(super) seen: Option<[String; 3]>,
}

struct Shown {
    pointer: String,
    /// The pointer as a part of an address.
    query: String,
    label: String,
    value: String,
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

struct Answer {
    value: String,
    label: String,
    checked: bool,
    then: String,
    steps: Vec<String>,
}

struct Letter {
    name: String,
    texts: Vec<(String, String, String)>,
    selected: bool,
}

struct Difference {
    label: &'static str,
    seen: String,
    is: String,
}

struct Changed {
    name: String,
    kind: &'static str,
    value: String,
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
#[template(path = "review.html")]
struct Page {
    f: Frame,
    id: String,
    request: String,
    question: String,
    process: String,
    version: u32,
    customer: String,
    raised: String,
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
    holder: String,
    holder_until: String,
    first: String,
    may_claim: bool,
    may_note: bool,
    may_escalate: bool,
    /// A decision that waits, in words.
    held: String,
    held_mine: bool,
    /// What came of a decision that was held and not applied.
    not_applied: String,
    /// By whom it is put aside, until when and why.
    snoozed: String,
    may_snooze: bool,
    lengths: Vec<(&'static str, String)>,
    no_role: String,
    seen_version: u32,
    key: String,
    answers: Vec<Answer>,
    letters: Vec<Letter>,
    changes: Vec<Changed>,
    note: String,
    why: String,
    differences: Vec<Difference>,
}

impl Page {
    /// Who works on it, and until when.
    fn claimed_text(&self) -> String {
        let t = &self.f.t.review;
        if self.mine {
            put(t.claimed_by_me, &[&self.holder_until])
        } else {
            put(t.claimed_by, &[&self.holder, &self.holder_until])
        }
    }
}

/// The page.
pub(super) async fn review(State(console): State<Console>, seat: Seat, Path(id): Path<String>, Query(query): Query) -> Response {
    let asks = query.some("reveal").map(str::to_owned);
    let response = made(&console, &seat, &id, Extra { asks, status: StatusCode::OK, ..Extra::default() }).await;
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
    let was_first = review.first_by.as_deref() == Some(person.name.as_str());
    let draft = extra.draft.unwrap_or_default();
    let question = by_language(&review.question, &seat.look);
    Ok(Page {
        f: Frame::of(seat, t.review.title, "/console/reviews"),
        request: review.request.clone(),
        question: if question.is_empty() { review.name.clone() } else { question },
        process: review.process.clone(),
        version: review.process_version,
        customer: review.customer.clone(),
        raised: put(t.review.raised_by, &[&review.slot, &review.process]),
        left,
        urgency,
        opened: Some(When::new(opened, now, &seat.look)),
        open,
        four_eyes: review.four_eyes,
        escalated: review.escalated > 0,
        state_notice: closed(review, t),
        held: held(review, seat, now),
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
        holder: review.claimed_by.clone().filter(|_| !mine).unwrap_or_default(),
        holder_until: until(review, seat),
        first: first(review, &person.name, t),
        may_claim: decides && !mine && !was_first,
        may_note: seat.may(Action::Note),
        may_escalate: open && seat.may(Action::Escalate),
        no_role: if open && !decides { not_yours(review, t) } else { String::new() },
        seen_version: review.version,
        key: links::secret(),
        answers: answers(&data, &draft, seat),
        letters: letters(&data, &draft),
        changes: changes(process.as_ref(), &draft),
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

fn has_role(seat: &Seat, role: Option<&str>) -> bool {
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
        Some(first) if first == name => t.review.first_you.to_owned(),
        Some(first) => put(t.review.first_other, &[first]),
    }
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

fn answers(data: &ReviewPage, draft: &Draft, seat: &Seat) -> Vec<Answer> {
    let t = seat.look.lang.texts();
    let answer = |choice: &super::read::Choice| Answer {
        label: t.choice(&choice.choice).to_owned(),
        checked: draft.choice == choice.choice,
        then: by_language(&choice.then, &seat.look),
        steps: choice.next_steps.clone(),
        value: choice.choice.clone(),
    };
    data.options.iter().map(answer).collect()
}

/// What the customer reads for each reason, in every language of the process.
fn letters(data: &ReviewPage, draft: &Draft) -> Vec<Letter> {
    let letter = |reason: &super::read::Reason| {
        let remedy = |lang: &String| reason.remedy.as_ref().and_then(|texts| texts.get(lang)).cloned().unwrap_or_default();
        let texts = reason.customer.iter().map(|(lang, text)| (lang.clone(), text.clone(), remedy(lang))).collect();
        Letter { name: reason.name.clone(), texts, selected: draft.reason == reason.name }
    };
    data.reasons.iter().map(letter).collect()
}

/// The fields that can be amended on a page: the payload's own texts, numbers and truth values.
fn changes(process: Option<&Process>, draft: &Draft) -> Vec<Changed> {
    let Some(properties) = process.and_then(|process| process.schema.get("properties")).and_then(Value::as_object) else {
        return Vec::new();
    };
    let simple = |schema: &Value| match schema.get("type").and_then(Value::as_str) {
        Some("string") => Some("string"),
        Some("integer" | "number") => Some("number"),
        Some("boolean") => Some("boolean"),
        _ => None,
    };
    let changed = |(name, schema): (&String, &Value)| {
        let value = draft.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()).unwrap_or_default();
        simple(schema).map(|kind| Changed { name: name.clone(), kind, value })
    };
    properties.iter().filter_map(changed).collect()
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
