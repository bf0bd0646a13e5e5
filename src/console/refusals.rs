//! Why the interface said no, for people: in their language, with their times, without what only developers read.
//!
//! The interface's own sentences are for who writes programs: English, with names of JSON fields, expressions and patterns. What
//! a reviewer meets while deciding is told here in words of their own; anything else stays as it is, marked as English by
//! who shows it.

use jiff::Timestamp;
use serde_json::Value;

use super::inbox::same;
use super::session::Seat;
use super::show::{self, When};
use super::text::{Refusals, put};
use crate::api::Refused;

/// In words; the interface's own where there are none.
pub(super) fn why(refused: &Refused, seat: &Seat) -> String {
    known(refused, seat).unwrap_or_else(|| refused.detail.clone())
}

/// In words, where there are some.
pub(super) fn known(refused: &Refused, seat: &Seat) -> Option<String> {
    let t = seat.look.lang.texts();
    let r = &t.refusals;
    let current = |name: &str| refused.more.get("current").and_then(|current| current.get(name));
    let text = |name: &str| current(name).and_then(Value::as_str);
    Some(match refused.code() {
        "taken" => match (waits(&refused.detail), text("first_by"), text("claimed_by")) {
            (Some((by, at)), ..) => put(r.held, &[by, &time(at, seat)]),
            (_, Some(first), _) if same(first, &seat.person.name) => r.first_you.to_owned(),
            (_, _, Some(holder)) => match text("claimed_until") {
                Some(until) => put(r.taken_until, &[holder, &time(until, seat)]),
                None => put(r.taken, &[holder]),
            },
            _ => r.not_yours.to_owned(),
        },
        "stale" => match text("state") {
            Some("open") | None => r.stale.to_owned(),
            Some(state) => put(r.stale_state, &[t.review_state(state)]),
        },
        "ended" => match refused.more.get("outcome").and_then(Value::as_str) {
            Some(outcome) => put(r.ended, &[t.state(outcome)]),
            None => put(r.ended, &["—"]),
        },
        "not-applied" => r.not_applied.to_owned(),
        "key-conflict" => r.sent_before.to_owned(),
        "too-large" => r.too_large.to_owned(),
        "forbidden" => {
            let role = refused.detail.strip_prefix("this review is for the reviewers' role `")?;
            put(r.other_role, &[role.trim_end_matches('`')])
        }
        "invalid" => invalid(&refused.detail, r)?,
        _ => return None,
    })
}

/// Whose decision waits, and when it takes effect: the interface tells it in a sentence only.
fn waits(detail: &str) -> Option<(&str, &str)> {
    let (by, rest) = detail.strip_prefix("a decision of ")?.split_once(" takes effect at ")?;
    Some((by, rest.split_once(';')?.0))
}

fn time(text: &str, seat: &Seat) -> String {
    let at: Option<Timestamp> = show::read(text);
    // Compared with another day, it is shown with its own.
    at.map_or_else(|| text.to_owned(), |at| When::new(at, Timestamp::UNIX_EPOCH, &seat.look).whole().to_owned())
}

fn invalid(detail: &str, r: &Refusals) -> Option<String> {
    if detail.starts_with("`note` is 1 to") {
        return Some(r.note.to_owned());
    }
    if detail.starts_with("`reason` is 1 to 500") {
        return Some(r.reveal_reason.to_owned());
    }
    if detail.starts_with("`for`") {
        return Some(r.snooze.to_owned());
    }
    if detail.starts_with("`note` says why it is taken over") {
        return Some(r.take_over.to_owned());
    }
    if detail.starts_with("`field` is the JSON pointer") {
        return Some(r.nothing_masked.to_owned());
    }
    if detail.contains("is not an option here") {
        return Some(r.no_option.to_owned());
    }
    if detail.contains("a refusal names a reason") || detail.contains("is not a reason of this process") {
        return Some(r.no_reason.to_owned());
    }
    if detail.contains("would change, and it was settled when") {
        return Some(r.settled.to_owned());
    }
    if let Some((path, _)) = detail.split_once("` cannot change any more: the effect") {
        return Some(put(r.carried_out, &[path.trim_start_matches("`request.")]));
    }
    let faults = detail.strip_prefix("the request would not fit its schema: ")?;
    Some(faults.split("; ").map(|one| fault(one, r)).collect::<Vec<_>>().join(" "))
}

/// What is wrong with one new value.
fn fault(text: &str, r: &Refusals) -> String {
    let (place, rest) = text.split_once(' ').unwrap_or((text, ""));
    let place = place.trim_start_matches('/');
    let between = |start: &str, end: &str| rest.strip_prefix(start).and_then(|rest| Some(rest.split_once(end)?.0));
    if let Some(most) = between("must be at most ", " character") {
        return put(r.longer, &[place, most]);
    }
    if let Some(least) = between("must be at least ", " character") {
        return put(r.shorter, &[place, least]);
    }
    if let Some(options) = rest.strip_prefix("must be one of ") {
        return put(r.one_of, &[place, options]);
    }
    if let Some(least) = rest.strip_prefix("must be at least ") {
        return put(r.less, &[place, least]);
    }
    if let Some(most) = rest.strip_prefix("must be at most ") {
        return put(r.more, &[place, most]);
    }
    put(r.other_form, &[place])
}

#[cfg(test)]
mod tests {
    use super::super::text::{EN, ZH};
    use super::*;

    #[test]
    fn faults_are_told_without_patterns() {
        let told = |text: &str| fault(text, &EN.refusals);
        assert_eq!(told("/name must be at most 64 characters long"), "name: at most 64 characters.");
        assert_eq!(told("/name must be at least 1 character long"), "name: at least 1 characters.");
        assert_eq!(told("/age must be at least 18"), "age: at least 18.");
        assert_eq!(told("/card must match the pattern ^[0-9]{16}$"), "card: not in the form that is expected.");
        let both =
            invalid("the request would not fit its schema: /a must match the pattern ^x$; /b must be at most 2", &ZH.refusals);
        assert!(both.is_some_and(|both| both.contains('a') && both.contains('b') && !both.contains('^')));
        assert_eq!(
            waits("a decision of li takes effect at 2026-01-01T00:00:00Z; until then"),
            Some(("li", "2026-01-01T00:00:00Z"))
        );
    }
}
