//! The review page: the question first, then what it rests on, and at the end of the screen what can be answered.
//!
//! The page is made anew after an act that was refused, with what was written in it, so that nobody types twice; and after a
//! masked value was asked for, with that value in it, so that it stands in no address and in no history.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::answers::{Answer, Changed, Letter, answers, changes, letters};
use super::beside::Beside;
use super::decide::here;
use super::draft::Draft;
use super::form::Query;
use super::frame::{Frame, page};
use super::home::shown;
use super::inbox::now;
use super::read::{Clause, Entry, List, Process, Request, Review, ReviewPage};
use super::seen::{Difference, NoteRow, Other, Seen, Shown, differences, evidence, fields, notes, other};
use super::session::Seat;
use super::show::{self, When, by_language, text_by_language};
use super::standing::{Bar, Now, Part, Present, Rights, Standing, claimed_text};
use super::text::Texts;
use super::timeline::{Line, lines};
use super::way::Way;
use super::why::why;
use super::{Console, links, trouble};
use crate::api::Refused;
use crate::api::permit::Action;
use crate::domain::request::react::APPLIED;

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
    /// The list that somebody works through.
    pub(super) way: Way,
    /// The page's status.
    pub(super) status: StatusCode,
}

#[expect(clippy::struct_excessive_bools, reason = "what the template asks")]
#[derive(Template)]
#[template(path = "review.html")]
struct Page {
    f: Frame,
    /// How it stands, and what can be done about that: an open page asks for these parts anew.
    stands: Now,
    bar: Bar,
    present: Present,
    /// The list that it was opened from.
    beside: Option<Beside>,
    id: String,
    request: String,
    question: String,
    process: String,
    version: u32,
    customer: String,
    /// Where in the process it was asked; empty where the engine itself asks.
    step: String,
    /// Why a person is asked.
    why_asked: String,
    left: String,
    urgency: &'static str,
    opened: Option<When>,
    open: bool,
    four_eyes: bool,
    escalated: bool,
    clause: Option<Clause>,
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
    /// Who works on it, and until when.
    claimed_text: String,
    may_claim: bool,
    may_note: bool,
    may_escalate: bool,
    may_snooze: bool,
    lengths: Vec<(&'static str, String)>,
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
    way: Way,
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

/// The page; one of its parts where a script asks for that anew.
pub(super) async fn review(
    State(console): State<Console>,
    seat: Seat,
    Path(id): Path<String>,
    headers: HeaderMap,
    Query(query): Query,
) -> Response {
    let (asks, way) = (query.some("reveal").map(str::to_owned), Way::of(&query));
    if headers.contains_key("hx-request") {
        // What the last act came to is for the whole page.
        let mut seat = seat;
        seat.look.told = None;
        return match part(&console, &seat, &segment(&id), way, query.one("part")).await {
            Ok(response) => response,
            Err(refused) => trouble::refused(&seat, &refused),
        };
    }
    let extra = Extra { asks, way, status: StatusCode::OK, ..Extra::default() };
    let response = made(&console, &seat, &id, extra).await;
    shown(&console, &seat, response)
}

async fn part(console: &Console, seat: &Seat, id: &str, way: Way, part: &str) -> Result<Response, Refused> {
    let nothing = || StatusCode::NO_CONTENT.into_response();
    let address = format!("/v1/reviews/{id}");
    match part {
        "present" => {
            let review = match be_present(console, seat, id).await? {
                Some(review) => review,
                None => console.desk().get(&seat.person, &address).await?,
            };
            Ok(page(&seat.look, &Present::of(&review, &here(id, &way), seat)))
        }
        "list" => {
            let list = Beside::of(console, seat, &way, id, None).await?;
            Ok(list.map_or_else(nothing, |list| page(&seat.look, &list)))
        }
        _ => {
            let review: Review = console.desk().get(&seat.person, &address).await?;
            let (rights, here) = (Rights::of(&review, seat), here(id, &way));
            let frame = Frame::of(seat, seat.look.lang.texts().review.title, "/console/reviews");
            let part = Part { frame: &frame, id, way: &way, here: &here };
            let standing = Standing {
                stands: Now::of(&review, rights, &part, seat, now(console)),
                bar: Bar::of(&review, rights, &part, seat, Vec::new(), String::new()),
                present: Present::of(&review, &here, seat),
            };
            Ok(page(&seat.look, &standing))
        }
    }
}

/// The list that it came from. Nothing rests on it: with a cursor that leads nowhere the page, and what was typed into it, is shown alone.
async fn beside(console: &Console, seat: &Seat, way: &Way, review: &Review) -> Option<Beside> {
    Beside::of(console, seat, way, &review.id, Some(review)).await.unwrap_or_else(|refused| {
        tracing::debug!(status = refused.status, "a review is shown without its list");
        None
    })
}

/// Tells others that somebody has it open; the review, with who else has. `None` where it is for others to decide.
async fn be_present(console: &Console, seat: &Seat, id: &str) -> Result<Option<Review>, Refused> {
    if !seat.may(Action::Review) {
        return Ok(None);
    }
    match console.desk().post(&seat.person, &format!("/v1/reviews/{id}/presence"), &json!({})).await {
        Ok(reply) => {
            // It leaves no event behind, and lists show it.
            if reply.body.get("answer").is_some_and(|answer| answer == APPLIED) {
                console.0.live.tell();
            }
            Ok(reply.body.get("review").cloned().and_then(|review| serde_json::from_value(review).ok()))
        }
        Err(refused) if refused.status == 403 => Ok(None),
        Err(refused) => Err(refused),
    }
}

/// The page, or why there is none.
pub(super) async fn made(console: &Console, seat: &Seat, id: &str, extra: Extra) -> Response {
    let status = extra.status;
    // Nothing rests on it.
    if let Err(refused) = be_present(console, seat, &segment(id)).await {
        tracing::debug!(status = refused.status, "nobody is told who has a review open");
    }
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
    let rights = Rights::of(review, seat);
    let draft = extra.draft.unwrap_or_default();
    let (way, here) = (extra.way.clone(), here(&id, &extra.way));
    let mut f = Frame::of(seat, t.review.title, "/console/reviews");
    // The page may be the answer to a form: settings, and what is taken back, come back to its address.
    (f.here, f.way) = (here.clone(), way.clone());
    // What can be taken back here is among what follows, and goes away when it cannot be any more.
    if let Some(told) = f.told.as_mut().filter(|told| told.undo == id) {
        told.undo.clear();
    }
    let question = by_language(&review.question, &seat.look);
    let carried = draft.carried();
    let part = Part { frame: &f, id: &id, way: &way, here: &here };
    let stands = Now::of(review, rights, &part, seat, now);
    let bar = Bar::of(review, rights, &part, seat, carried.clone(), said(&draft.said, "claim").to_owned());
    let beside = beside(console, seat, &way, review).await;
    Ok(Page {
        f,
        stands,
        bar,
        present: Present::of(review, &here, seat),
        beside,
        request: review.request.clone(),
        question: if question.is_empty() { review.name.clone() } else { question },
        process: review.process.clone(),
        version: review.process_version,
        customer: review.customer.clone(),
        step: step(review, process.as_ref()),
        why_asked: why(&data, process.as_ref(), seat),
        left,
        urgency,
        opened: Some(When::new(opened, now, &seat.look)),
        open,
        four_eyes: review.four_eyes,
        escalated: review.escalated > 0,
        may_snooze: rights.snoozes && review.snoozed.is_none(),
        lengths: lengths(t),
        clause: clause(&data, process.as_ref(), seat),
        expected: data.expected.clone().unwrap_or_default(),
        evidence: evidence(&data, seat, now),
        fields: fields(
            &data.request_body,
            extra.asks.as_deref(),
            extra.revealed.as_ref(),
            rights.decides && seat.may(Action::Reveal),
        ),
        hide_after: if extra.revealed.is_some() { SHOWN_FOR } else { 0 },
        others: others.items.iter().take(OTHERS).map(|request| other(request, seat, now)).collect(),
        notes: notes(&data, seat, now),
        timeline: lines(&entries.items, seat, now),
        mine: rights.mine,
        drafts: rights.drafts(),
        claimed_text: claimed_text(rights.mine, review, seat),
        may_claim: rights.claims,
        may_note: seat.may(Action::Note),
        may_escalate: open && seat.may(Action::Escalate),
        takes_next: seat.may(Action::Review),
        // A draft is for what was seen when it was begun: what has changed since is told when it is sent.
        seen_version: draft.version.unwrap_or(review.version),
        key: links::secret(),
        answers: answers(&data, &draft, seat),
        letters: letters(&data, &draft.reason, seat),
        changes: changes(process.as_ref(), &data.fixed, &draft),
        carried,
        said: draft.said,
        way,
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

/// For how long something can be put aside here; the interface takes any length.
fn lengths(t: &'static Texts) -> Vec<(&'static str, String)> {
    let hours = |value, hours: i64| (value, show::length(hours * 3600, t));
    vec![hours("1h", 1), hours("4h", 4), hours("24h", 24), hours("72h", 72), hours("168h", 168)]
}

/// The clause that did not decide, in the reader's language where the process has it.
fn clause(data: &ReviewPage, process: Option<&Process>, seat: &Seat) -> Option<Clause> {
    let clause = data.clause.as_ref()?;
    let mut steps = process.map(|process| process.steps.iter()).into_iter().flatten();
    let step = steps.find(|step| step.clause.as_ref() == Some(&clause.id) && step.text.as_ref() == Some(&clause.text));
    let texts = step.map(|step| step.texts.clone()).unwrap_or_default();
    Some(Clause { id: clause.id.clone(), text: text_by_language(&texts, Some(&clause.text), &seat.look) })
}

/// The step that asks, where it is one of the process.
fn step(review: &Review, process: Option<&Process>) -> String {
    let step = review.slot.strip_prefix("undo.").unwrap_or(&review.slot);
    let known = process.is_some_and(|process| process.steps.iter().any(|known| known.name == step));
    if known { review.slot.clone() } else { String::new() }
}
