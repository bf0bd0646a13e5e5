//! What a review rests on: what was checked and seen, what was asked for, masked, what else this customer asked for, what was
//! written down; and what has changed under somebody who decided.

use jiff::Timestamp;
use serde_json::Value;

use super::form::encoded;
use super::read::{Request, Review, ReviewPage};
use super::session::Seat;
use super::show::{When, plain};
use super::text::{Texts, put};
use super::timeline::leaves;

/// A value of the request.
pub(super) struct Shown {
    pub(super) pointer: String,
    /// The pointer as a part of an address.
    pub(super) query: String,
    pub(super) label: String,
    pub(super) value: String,
    /// What hides it again.
    pub(super) mask: String,
    pub(super) masked: bool,
    pub(super) revealed: bool,
    pub(super) asked: bool,
}

/// A line of the evidence.
pub(super) struct Seen {
    pub(super) slot: String,
    pub(super) clause: String,
    pub(super) kept: Vec<(String, String)>,
    pub(super) status: String,
    pub(super) rule: String,
    pub(super) detail: String,
    pub(super) verdict: String,
    pub(super) word: String,
    pub(super) at: Option<When>,
    pub(super) passed: bool,
}

/// What was seen, and what it is now.
pub(super) struct Difference {
    pub(super) label: &'static str,
    pub(super) seen: String,
    pub(super) is: String,
}

/// Another request of the same customer.
pub(super) struct Other {
    pub(super) href: String,
    pub(super) process: String,
    pub(super) state: String,
    pub(super) label: String,
    pub(super) at: Option<When>,
}

/// A note.
pub(super) struct NoteRow {
    pub(super) by: String,
    pub(super) text: String,
    pub(super) at: Option<When>,
}

/// What was checked, and what was seen.
pub(super) fn evidence(data: &ReviewPage, seat: &Seat, now: Timestamp) -> Vec<Seen> {
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
    let mut lines: Vec<Seen> = data.evidence.iter().map(seen).collect();
    // What the question is about comes first, and what else was seen in the order of time.
    lines.sort_by_key(|line| line.word != "review");
    lines
}

/// What was asked for, masked but for what is granted.
pub(super) fn fields(request: &Request, asks: Option<&str>, revealed: Option<&(String, Value)>, may_reveal: bool) -> Vec<Shown> {
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

/// A link to it.
pub(super) fn other(request: &Request, seat: &Seat, now: Timestamp) -> Other {
    Other {
        href: format!("/console/requests/{}", request.id),
        process: request.process.clone(),
        state: request.state.clone(),
        label: seat.look.lang.texts().state(&request.state).to_owned(),
        at: When::parse(&request.accepted_at, now, &seat.look),
    }
}

/// What people wrote.
pub(super) fn notes(data: &ReviewPage, seat: &Seat, now: Timestamp) -> Vec<NoteRow> {
    let note = |note: &super::read::Note| NoteRow {
        by: note.by.clone(),
        text: note.text.clone(),
        at: When::parse(&note.at, now, &seat.look),
    };
    data.notes.iter().map(note).collect()
}

/// What has changed since somebody looked.
pub(super) fn differences(review: &Review, seen: Option<&[String; 3]>, t: &Texts) -> Vec<Difference> {
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
