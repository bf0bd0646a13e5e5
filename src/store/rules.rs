//! Decisions that all implementations must take alike, as pure functions of rows. The databases take the first two in
//! SQL, under the row's lock; they are written here once more so that the rule can be read, and so that memory can use it.

use std::time::Duration;

use uuid::Uuid;

use crate::domain::request::signal::{Decision, Signal, person};
use crate::domain::time::Time;
pub(super) use crate::engine::ports::records::outcome;
use crate::engine::ports::records::{RequestFilter, RequestRow, ReviewFilter, ReviewRow};
use crate::engine::ports::reviewing::ActRow;
use crate::engine::ports::store::{ReviewAct, ReviewPut, Summary};
use crate::faults::bug;

/// The row's `wake_at` after an owner's step, where `now` is the database's clock and `signalled` the count in the database.
///
/// Two things may have come that the owner has not seen: a signal, and the request's turn. They must not get lost however the
/// step and they interleave: while the request stays owned a pending wake is kept, and a release makes the request due at once.
pub(super) fn wake_after(row: &RequestRow, summary: &Summary, seen: u64, now: Time) -> Option<Time> {
    if summary.ended_at.is_some() {
        return None;
    }
    let queued = summary.state == "queued";
    let pending = (row.signalled > seen && !bug("signal_lost")) || (queued && row.turn);
    match (summary.owned, pending) {
        (true, true) => row.wake_at.or(summary.wake_at),
        (false, true) => Some(now),
        // Out of turn: it rests until its turn, a signal, or its expiry.
        (false, false) if queued => summary.wake_at.or(Some(row.expires_at)),
        (_, false) => summary.wake_at,
    }
}

/// The row's `wake_at` after its owner was lost: at once, except out of turn with nothing new to see.
pub(super) fn wake_orphan(row: &RequestRow, now: Time) -> Time {
    if row.turn || row.signalled > row.seen { now } else { row.expires_at }
}

/// The smallest `UUIDv7` of this time: older ones are below.
pub(super) fn id_at(at: Time) -> Uuid {
    let millis = u128::try_from(at.0 / 1000).unwrap_or_default();
    Uuid::from_u128(millis << 80)
}

/// How far a request's id, made just before it was accepted, may be from the time of that, clocks being what they are.
const ID_SLACK: Duration = Duration::from_hours(1);

/// The ids among which a list of requests is: from the first, below the second.
pub(super) fn ids(filter: &RequestFilter, before: Option<Uuid>) -> (Uuid, Uuid) {
    let from = filter.after.map_or(Uuid::nil(), |after| id_at(after.minus(ID_SLACK)));
    let below = filter.before.map_or(Uuid::max(), |before| id_at(before.plus(ID_SLACK)));
    (from, before.unwrap_or(Uuid::max()).min(below))
}

/// Decides a reviewer's act on the row as it is in the database. The caller holds the row's lock, delivers the signal under `id`,
/// if there is one, and writes the row, if it has changed. The signal goes to the request's owner, for its ledger: a decision, or a
/// note that two people disagree.
pub(super) fn act(row: &ReviewRow, act: &ReviewAct, id: Uuid, now: Time) -> (ReviewPut, Option<Signal>) {
    let stale = || (ReviewPut::Stale(Box::new(row.clone())), None);
    let taken = || (ReviewPut::Taken(Box::new(row.clone())), None);
    if row.state != "open" {
        return stale();
    }
    let holder = row.claimed_by.as_deref().filter(|_| row.claimed_until.is_some_and(|until| until > now));
    let held_by_another = |by: &str| holder.is_some_and(|holder| person(holder) != person(by));
    let decided_first = |by: &str| row.decision.as_ref().is_some_and(|first| person(&first.by) == person(by));
    let free = ReviewRow { claimed_by: None, claimed_until: None, ..row.clone() };
    match act {
        ReviewAct::Claim { by, until, steal } => {
            if decided_first(by) || (held_by_another(by) && !steal) {
                return taken();
            }
            changed(ReviewRow { claimed_by: Some(by.clone()), claimed_until: Some(*until), ..free })
        }
        ReviewAct::Release { by } if held_by_another(by) => taken(),
        ReviewAct::Release { .. } => changed(free),
        ReviewAct::Escalate { .. } => changed(ReviewRow { escalated: row.escalated + 1, ..free }),
        ReviewAct::Decide { version, decision } => {
            // The first of two decisions once more, by a sender who did not hear the answer: it is kept already.
            if row.decision.as_ref() == Some(decision) && version.checked_add(1) == Some(row.version) {
                return changed(row.clone());
            }
            if *version != row.version && !bug("stale_decision_taken") {
                return stale();
            }
            if decided_first(&decision.by) || held_by_another(&decision.by) {
                return taken();
            }
            decide(row, ReviewRow { version: row.version + 1, ..free }, decision, id)
        }
    }
}

fn changed(next: ReviewRow) -> (ReviewPut, Option<Signal>) {
    (ReviewPut::Done(Box::new(next), None), None)
}

fn decide(row: &ReviewRow, next: ReviewRow, decision: &Decision, id: Uuid) -> (ReviewPut, Option<Signal>) {
    let sent = |next: ReviewRow, signal: Signal| (put(next, id, &signal), Some(signal));
    if !row.four_eyes || bug("four_eyes_off") {
        let next = ReviewRow { state: "deciding".into(), decision: Some(decision.clone()), ..next };
        return sent(next, Signal::Decide(decision.clone()));
    }
    match &row.decision {
        None => changed(ReviewRow { decision: Some(decision.clone()), ..next }),
        Some(first) if agree(first, decision) => {
            let first_note = Some(first.note.clone()).filter(|note| !note.is_empty());
            let decision = Decision { first_by: Some(first.by.clone()), first_note, ..decision.clone() };
            let next = ReviewRow { state: "deciding".into(), decision: Some(decision.clone()), ..next };
            sent(next, Signal::Decide(decision))
        }
        Some(first) => {
            let text = format!("two people disagree, and both decisions are set aside: {}; {}", told(first), told(decision));
            sent(ReviewRow { decision: None, ..next }, Signal::Note { by: decision.by.clone(), text })
        }
    }
}

/// The row that is to be written, where an act has changed it.
pub(super) fn to_write(put: &ReviewPut) -> Option<&ReviewRow> {
    match put {
        ReviewPut::Done(next, _) | ReviewPut::SetAside(next) => Some(next),
        ReviewPut::Stale(_) | ReviewPut::Taken(_) => None,
    }
}

/// What of an act on a review, as the row was before, no ledger says: a review that was taken over, given back or raised, and who
/// had it. The act's own id is the record's, so that there is one.
pub(super) fn record(row: &ReviewRow, act: &ReviewAct, put: &ReviewPut, id: Uuid, at: Time, now: Time) -> Option<ActRow> {
    if !matches!(put, ReviewPut::Done(..)) {
        return None;
    }
    let holder = row.claimed_by.clone().filter(|_| row.claimed_until.is_some_and(|until| until > now));
    let other = holder.clone().filter(|holder| person(holder) != person(act.by()));
    let (what, detail) = match act {
        ReviewAct::Claim { .. } => ("review_taken_over", other?),
        ReviewAct::Release { .. } => {
            holder?;
            ("review_released", String::new())
        }
        ReviewAct::Escalate { .. } => ("review_escalated", holder.unwrap_or_default()),
        ReviewAct::Decide { .. } => return None,
    };
    let (by, what, request, review) = (act.by().to_owned(), what.to_owned(), Some(row.request), Some(row.id));
    Some(ActRow { id, at, by, what, request, review, detail })
}

/// The record of a decision that was taken back says which: its choice, and the reason of a refusal.
pub(super) fn undone(act: &ActRow, decision: &Decision) -> ActRow {
    let choice = decision.choice.as_str();
    let detail = decision.reason.as_ref().map_or_else(|| choice.to_owned(), |reason| format!("{choice} ({reason})"));
    ActRow { detail, ..act.clone() }
}

/// What a reviewer hears whose act has stored this signal, now or when it was sent before.
pub(super) fn put(row: ReviewRow, id: Uuid, signal: &Signal) -> ReviewPut {
    match signal {
        Signal::Note { .. } => ReviewPut::SetAside(Box::new(row)),
        _ => ReviewPut::Done(Box::new(row), Some(id)),
    }
}

/// A decision in one line. The values of amended fields stay out: the ledger keeps notes for ever.
fn told(decision: &Decision) -> String {
    let word = decision.choice.as_str();
    let reason = decision.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    let fields = decision.fields.keys().cloned().collect::<Vec<_>>().join(", ");
    let fields = if fields.is_empty() { fields } else { format!(" of {fields}") };
    let note = if decision.note.is_empty() { String::new() } else { format!(": {}", decision.note) };
    format!("{} decided {word}{fields}{reason}{note}", decision.by)
}

/// Two decisions agree where they would do the same: notes may differ.
fn agree(first: &Decision, second: &Decision) -> bool {
    first.choice == second.choice && first.reason == second.reason && first.fields == second.fields
}

/// Which walk finds the few reviews that a filter is for: each has an index of its own in both databases.
pub(super) enum ReviewList {
    OfRequest,
    Claimed,
    Second,
    Snoozed,
    OpenOfProcess,
    Open,
    All,
}

impl ReviewList {
    pub(super) fn of(filter: &ReviewFilter) -> ReviewList {
        let open = filter.states.iter().all(|state| state == "open" || state == "deciding");
        match filter {
            ReviewFilter { request: Some(_), .. } => ReviewList::OfRequest,
            ReviewFilter { claimed_by: Some(_), .. } => ReviewList::Claimed,
            ReviewFilter { second: true, .. } if open => ReviewList::Second,
            ReviewFilter { snoozed: Some((true, _)), .. } if open => ReviewList::Snoozed,
            _ if open && filter.processes.len() == 1 => ReviewList::OpenOfProcess,
            _ if open => ReviewList::Open,
            _ => ReviewList::All,
        }
    }
}
