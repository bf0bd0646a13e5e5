//! How a review stands: who works on it, what was decided and waits, what came to nothing, who else looks. It changes by what others
//! do, so that these parts of its page are templates of their own, which an open page asks for anew, all at once; they are made of the
//! review alone, and nothing that somebody writes is in them.

use askama::Template;
use jiff::Timestamp;

use super::frame::Frame;
use super::inbox::same;
use super::read::Review;
use super::review::has_role;
use super::session::Seat;
use super::show::{self, When};
use super::text::{Texts, put};
use super::way::Way;
use crate::api::permit::Action;

/// What somebody may do with a review as it stands.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each is asked by itself")]
pub(super) struct Rights {
    /// It is open, and theirs to decide with others of their role.
    pub(super) decides: bool,
    /// They work on it.
    pub(super) mine: bool,
    /// They may begin to work on it: they have not decided first.
    pub(super) claims: bool,
    /// They may put it aside, and take it up again.
    pub(super) snoozes: bool,
    /// A decision waits, and nothing else can be decided until then.
    waits: bool,
}

impl Rights {
    pub(super) fn of(review: &Review, seat: &Seat) -> Rights {
        let name = &seat.person.name;
        let decides = review.state == "open" && has_role(seat, review.role.as_deref()) && seat.may(Action::Review);
        let mine = decides && review.claimed_by.as_deref() == Some(name.as_str());
        let was_first = review.first_by.as_deref().is_some_and(|first| same(first, name));
        let waits = review.held.is_some();
        let snoozes = decides && !waits && (mine || review.claimed_by.is_none());
        Rights { decides, mine, claims: decides && !mine && !was_first, snoozes, waits }
    }

    /// There is a decision's form, and all other acts take along what is in it.
    pub(super) fn drafts(self) -> bool {
        self.mine && !self.waits
    }
}

/// What an open page asks for, so that one answer has all of these.
const STANDING: &str = "part=standing";

/// Which page these are parts of.
pub(super) struct Part<'a> {
    pub(super) frame: &'a Frame,
    pub(super) id: &'a str,
    /// The list that somebody works through.
    pub(super) way: &'a Way,
    /// The page's address.
    pub(super) here: &'a str,
}

/// All of them, for a page that asks for them anew.
#[derive(Template)]
#[template(path = "standing.html")]
pub(super) struct Standing {
    pub(super) stands: Now,
    pub(super) bar: Bar,
    pub(super) present: Present,
}

/// What is told above the question.
#[expect(clippy::struct_excessive_bools, reason = "what the template asks")]
#[derive(Template)]
#[template(path = "review_now.html")]
pub(super) struct Now {
    t: &'static Texts,
    csrf: String,
    keys: bool,
    id: String,
    way: Way,
    /// Its address when it is asked for alone.
    again: String,
    /// What became of it, where it is over.
    over: String,
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
    /// Who decided first.
    first: String,
    /// Why this person cannot decide it.
    no_role: String,
    /// Who else works on it, and until when.
    claimed: String,
    /// There is a decision's form on the page.
    drafts: bool,
}

/// What somebody who does not work on it can do: claim it, or take it over.
#[derive(Template)]
#[template(path = "review_bar.html")]
pub(super) struct Bar {
    t: &'static Texts,
    csrf: String,
    keys: bool,
    id: String,
    way: Way,
    again: String,
    may_claim: bool,
    /// Somebody else who works on it; what is told above says so.
    holder: String,
    /// What was written and goes along; a part with something in it does not follow.
    carried: Vec<(String, String)>,
    said: String,
}

impl Now {
    pub(super) fn of(review: &Review, rights: Rights, part: &Part<'_>, seat: &Seat, now: Timestamp) -> Now {
        let (t, name) = (seat.look.lang.texts(), &seat.person.name);
        let open = review.state == "open";
        Now {
            t,
            csrf: part.frame.csrf.clone(),
            keys: part.frame.keys,
            id: part.id.to_owned(),
            way: part.way.clone(),
            again: with(part.here, STANDING),
            over: closed(review, t),
            held: held(review, seat, now),
            held_mine: review.held.as_ref().is_some_and(|held| held.by == *name),
            undo_here: part.frame.told.as_ref().is_none_or(|told| told.undo.is_empty()),
            not_applied: not_applied(review, seat, now),
            snoozed: aside(review, seat, now),
            may_snooze: rights.snoozes,
            first: first(review, name, t),
            no_role: if open && !rights.decides { not_yours(review, t) } else { String::new() },
            claimed: if open && !rights.mine { claimed_text(false, review, seat) } else { String::new() },
            drafts: rights.drafts(),
        }
    }
}

impl Bar {
    pub(super) fn of(
        review: &Review,
        rights: Rights,
        part: &Part<'_>,
        seat: &Seat,
        carried: Vec<(String, String)>,
        said: String,
    ) -> Bar {
        Bar {
            t: seat.look.lang.texts(),
            csrf: part.frame.csrf.clone(),
            keys: part.frame.keys,
            id: part.id.to_owned(),
            way: part.way.clone(),
            again: with(part.here, STANDING),
            may_claim: rights.claims && !rights.waits,
            holder: review.claimed_by.clone().filter(|_| !rights.mine).unwrap_or_default(),
            carried,
            said,
        }
    }
}

/// Who else has it open.
#[derive(Template)]
#[template(path = "present.html")]
pub(super) struct Present {
    /// Where it is over nobody has to know, and nobody is told.
    open: bool,
    again: String,
    /// What is asked for every now and then, which tells the others that somebody has it open here.
    tells: String,
    says: String,
}

impl Present {
    pub(super) fn of(review: &Review, here: &str, seat: &Seat) -> Present {
        let open = review.state == "open";
        let says = if open { present(review, seat) } else { String::new() };
        Present { open, again: with(here, STANDING), tells: with(here, "part=present"), says }
    }
}

/// Who else has it open, in words; who works on it is told elsewhere.
pub(super) fn present(review: &Review, seat: &Seat) -> String {
    let texts = seat.look.lang.texts();
    let t = &texts.review;
    let holder = review.claimed_by.as_deref().unwrap_or_default();
    let names: Vec<&str> = review.present.iter().map(String::as_str).filter(|name| !same(name, holder)).collect();
    match names.len() {
        0 => String::new(),
        1 => put(t.present_one, &names),
        _ => put(t.present_more, &[&names.join(texts.common.comma)]),
    }
}

/// An address with one more part of the query.
pub(super) fn with(address: &str, part: &str) -> String {
    format!("{address}{}{part}", if address.contains('?') { '&' } else { '?' })
}

/// Who works on it, and until when.
pub(super) fn claimed_text(mine: bool, review: &Review, seat: &Seat) -> String {
    let (t, until) = (&seat.look.lang.texts().review, until(review, seat));
    match &review.claimed_by {
        Some(_) if mine => put(t.claimed_by_me, &[&until]),
        Some(holder) => put(t.claimed_by, &[holder, &until]),
        None => String::new(),
    }
}

/// For which role it is, where that is not this person's.
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

/// A time of the day: a claim lasts minutes.
fn until(review: &Review, seat: &Seat) -> String {
    let until = review.claimed_until.as_deref().and_then(show::read);
    until.map(|at| at.to_zoned(seat.look.zone.clone()).strftime("%H:%M").to_string()).unwrap_or_default()
}

/// Who decided first, where two have to.
fn first(review: &Review, name: &str, t: &Texts) -> String {
    match review.first_by.as_deref() {
        None => String::new(),
        Some(first) if same(first, name) => t.review.first_you.to_owned(),
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
