//! Why a person is asked: what was seen, and how far that is from passing and from being refused, in one sentence.
//!
//! The rules are expressions of a language that nobody here has to know. Most of them compare one value with one bound, and
//! those are told in words ("score 0.80; passes from 0.92; refused under 0.60"); any other is shown as the file has it, which
//! is still better than a guess at what it means.

use serde_json::Value;

use super::frame::Lang;
use super::read::{Evidence, Process, ReviewPage, Rules};
use super::session::Seat;
use super::show::{by_language, plain, read};
use super::text::{Texts, put};

/// What the engine asks by itself.
const HANDED_OVER: &str = "handed_over";
const OVERDUE: &str = "overdue";
const UNKNOWN_EFFECT: &str = "unknown_effect";
const UNDO_FAILED: &str = "undo_failed";
const DONE_WHEN: &str = "done_when";
/// The answer's status, as rules call it; what an answer calls its own status has a longer path.
const STATUS: &str = "status";
/// The longest value that is told in the sentence; the evidence has the whole of it.
const SHOWN: usize = 80;

/// A value compared with a bound.
#[derive(Debug, PartialEq, Eq)]
struct Comparison<'a> {
    path: &'a str,
    sign: &'static str,
    bound: &'a str,
}

/// The sentence; empty where there is nothing to tell.
pub(super) fn why(data: &ReviewPage, process: Option<&Process>, seat: &Seat) -> String {
    let (review, t) = (&data.review, seat.look.lang.texts());
    let w = &t.why;
    match review.name.as_str() {
        HANDED_OVER => {
            // It is written down in the same moment as the question.
            let opened = read(&review.opened_at);
            let note = data.notes.iter().rfind(|note| read(&note.at) <= opened);
            return note.map_or_else(|| w.handed_over_plain.to_owned(), |note| put(w.handed_over, &[&note.by, &note.text]));
        }
        OVERDUE => return w.overdue.to_owned(),
        UNKNOWN_EFFECT => return put(w.unknown, &[&review.slot]),
        UNDO_FAILED => return put(w.undo_failed, &[review.slot.strip_prefix("undo.").unwrap_or(&review.slot)]),
        _ => {}
    }
    let Some(rules) = &data.rules else {
        let step = process.and_then(|process| process.steps.iter().find(|step| step.name == review.slot));
        return match step.and_then(|step| step.when.as_deref()) {
            Some(when) => {
                put(w.asked_when, &[&review.slot, &comparisons(when).map_or_else(|| when.to_owned(), |all| words(&all, true, t))])
            }
            None => put(w.asked, &[&review.slot]),
        };
    };
    if let (DONE_WHEN, Some(is)) = (review.slot.as_str(), rules.pass_when.as_deref()) {
        return put(w.not_shown, &[&comparisons(is).map_or_else(|| is.trim().to_owned(), |all| words(&all, true, t))]);
    }
    let line = data.evidence.iter().rfind(|line| line.slot == review.slot && line.verdict == "review");
    let line = line.or_else(|| data.evidence.iter().rfind(|line| line.slot == review.slot));
    let told = sentence(rules, line, data, seat);
    if told.is_empty() { String::new() } else { put(w.undecided, &[&review.slot, &told]) }
}

/// What was seen of what the rules look at: for a list, a few words.
pub(super) fn seen(data: &ReviewPage, seat: &Seat) -> String {
    let Some(rules) = &data.rules else { return String::new() };
    let line = data.evidence.iter().rfind(|line| line.slot == data.review.slot && line.verdict == "review");
    parts_seen(rules, line, seat).join(separator(seat))
}

/// What would have decided it, in words: for a list whose questions have the same rules.
pub(super) fn bounds(data: &ReviewPage, seat: &Seat) -> String {
    data.rules.as_ref().map(|rules| sentence(rules, None, data, seat)).unwrap_or_default()
}

fn separator(seat: &Seat) -> &'static str {
    if seat.look.lang == Lang::Zh { "；" } else { "; " }
}

fn parts_seen(rules: &Rules, line: Option<&Evidence>, seat: &Seat) -> Vec<String> {
    let t = seat.look.lang.texts();
    let all = all(rules);
    let mut told: Vec<&str> = Vec::new();
    let mut parts = Vec::new();
    for one in &all {
        if told.contains(&one.path) {
            continue;
        }
        told.push(one.path);
        let decimals = all.iter().filter(|other| other.path == one.path).map(|other| decimals(other.bound)).max().unwrap_or(0);
        if let Some(value) = line.and_then(|line| value(one.path, line, rules)) {
            parts.push(put(t.why.seen, &[name(one.path, t), &shown(value, decimals)]));
        } else if let (STATUS, Some(status)) = (one.path, line.and_then(|line| line.status)) {
            parts.push(put(t.why.seen, &[t.why.http, &status.to_string()]));
        }
    }
    parts
}

fn all(rules: &Rules) -> Vec<Comparison<'_>> {
    let sources = rules.pass_when.iter().chain(rules.refuse_when.iter().map(|rule| &rule.when));
    sources.filter_map(|source| comparisons(source)).flatten().collect()
}

fn sentence(rules: &Rules, line: Option<&Evidence>, data: &ReviewPage, seat: &Seat) -> String {
    let t = seat.look.lang.texts();
    let w = &t.why;
    let several = {
        let mut paths: Vec<&str> = all(rules).iter().map(|one| one.path).collect();
        paths.dedup();
        paths.len() > 1
    };
    let mut parts = parts_seen(rules, line, seat);
    // Where what was compared is not shown, its name is all there is to tell it by.
    let named = several || parts.is_empty();
    let told = |source: &str, plain: &str, with: &str| match comparisons(source) {
        Some(all) => put(if named { with } else { plain }, &[&words(&all, named, t)]),
        None => put(plain, &[&put(w.when, &[source.trim()])]),
    };
    parts.extend(rules.pass_when.as_deref().map(|source| told(source, w.passes, w.passes_with)));
    for rule in &rules.refuse_when {
        let reason = data.reasons.iter().find(|reason| reason.name == rule.reason);
        let text = reason.map(|reason| by_language(&reason.customer, &seat.look)).unwrap_or_default();
        let text = text.trim_end_matches(['.', '。']);
        let refused = told(&rule.when, w.refused, w.refused_with);
        parts.push(if text.is_empty() { refused } else { put(w.refused_as, &[&refused, text]) });
    }
    parts.join(separator(seat))
}

/// `score from 0.92 and status with bound`.
fn words(all: &[Comparison<'_>], named: bool, t: &Texts) -> String {
    let w = &t.why;
    let one = |one: &Comparison<'_>| {
        let text = match one.sign {
            ">=" => w.from,
            ">" => w.above,
            "<=" => w.up_to,
            "<" => w.under,
            "==" => w.with,
            _ => w.without,
        };
        let bound = one.bound.trim_matches(['\'', '"']);
        match one.sign {
            _ if !named => put(text, &[bound]),
            "==" => put(w.is, &[name(one.path, t), bound]),
            "!=" => put(w.is_not, &[name(one.path, t), bound]),
            _ => format!("{} {}", name(one.path, t), put(text, &[bound])),
        }
    };
    all.iter().map(one).collect::<Vec<_>>().join(w.both)
}

/// What is compared with what, where that is all that an expression does.
fn comparisons(source: &str) -> Option<Vec<Comparison<'_>>> {
    if source.contains("||") || source.contains('?') {
        return None;
    }
    source.split("&&").map(comparison).collect()
}

fn comparison(source: &str) -> Option<Comparison<'_>> {
    let source = source.trim();
    let at = source.find(['<', '>', '=', '!'])?;
    let (path, rest) = source.split_at(at);
    let sign = ["<=", ">=", "==", "!=", "<", ">"].into_iter().find(|sign| rest.starts_with(sign))?;
    let (path, bound) = (path.trim(), rest.get(sign.len()..)?.trim());
    let is_path = !path.is_empty() && path.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'));
    let text = bound.len() >= 2 && ["'", "\""].into_iter().any(|quote| bound.starts_with(quote) && bound.ends_with(quote));
    let inner = bound.get(1..bound.len().saturating_sub(1)).unwrap_or_default();
    let plain_text = text && !inner.contains(['\'', '"', '\\']);
    let literal = plain_text || bound.parse::<f64>().is_ok() || matches!(bound, "true" | "false");
    (is_path && literal).then_some(Comparison { path, sign, bound })
}

/// The last part of a path: what people call it.
fn name<'a>(path: &'a str, t: &Texts) -> &'a str {
    if path == STATUS { t.why.http } else { path.rsplit('.').next().unwrap_or(path) }
}

/// What was kept of what a path leads to.
fn value<'a>(path: &str, line: &'a Evidence, rules: &Rules) -> Option<&'a Value> {
    if let Some(keep) = &rules.keep {
        let (name, _) = keep.iter().find(|(_, source)| source.trim() == path)?;
        return line.kept.get(name);
    }
    let rest = path.strip_prefix("answer.")?;
    rest.split('.').try_fold(&line.kept, |value, name| value.get(name))
}

fn decimals(bound: &str) -> usize {
    let number = bound.parse::<f64>().is_ok();
    bound.split_once('.').filter(|_| number).map_or(0, |(_, digits)| digits.len())
}

/// A number as exactly as its bounds, so that the two can be compared at a glance.
fn shown(value: &Value, decimals: usize) -> String {
    let text = plain(value);
    let own = text.split_once('.').map_or(0, |(_, digits)| digits.len());
    match value.as_f64() {
        Some(number) if own < decimals => format!("{number:.decimals$}"),
        _ => text.chars().take(SHOWN).collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::text::{EN, ZH};
    use super::*;

    #[test]
    fn what_compares_one_value_with_one_bound_is_told_in_words() {
        let said = |source: &str| comparisons(source).map(|all| words(&all, false, &EN));
        assert_eq!(said("answer.score >= 0.92").as_deref(), Some("from 0.92"));
        assert_eq!(said("answer.status == 'bound'").as_deref(), Some("with bound"));
        let both = comparisons("answer.a < 1 && answer.b != \"x\"").map(|all| words(&all, true, &ZH));
        assert_eq!(both.as_deref(), Some("a 低于 1 且 b 不等于 x"));
        for other in
            ["answer.items.all(i, i.a == 1)", "a || b == 1", "a == b", "has(answer.a)", "answer.a == 'x' ? 1 : 2", "size(a) > 1"]
        {
            assert_eq!(said(other), None, "{other}");
        }
    }

    #[test]
    fn what_is_compared_is_named_where_there_are_several() {
        let said = |source: &str| comparisons(source).map(|all| words(&all, true, &EN));
        assert_eq!(said("answer.status == 'active'").as_deref(), Some("status active"));
        assert_eq!(said("status != 404").as_deref(), Some("HTTP status other than 404"));
        assert_eq!(said("answer.score < 0.6").as_deref(), Some("score under 0.6"));
    }

    #[test]
    fn values_are_as_exact_as_their_bounds() {
        assert_eq!(shown(&json!(0.8), decimals("0.92")), "0.80");
        assert_eq!(shown(&json!(0.9199), decimals("0.92")), "0.9199");
        assert_eq!(shown(&json!(1), decimals("0.92")), "1.00");
        assert_eq!(shown(&json!(3), decimals("5")), "3");
        assert_eq!(shown(&json!("bound"), decimals("'unbound.now'")), "bound");
    }

    #[test]
    fn values_are_found_by_what_was_kept() {
        let line = Evidence { kept: json!({"points": 0.8}), ..Evidence::default() };
        let keep = [("points".to_owned(), "answer.score".to_owned())].into();
        let rules = Rules { keep: Some(keep), ..Rules::default() };
        assert_eq!(value("answer.score", &line, &rules), Some(&json!(0.8)));
        assert_eq!(value("answer.points", &line, &rules), None);
        assert_eq!(value("answer.points", &line, &Rules::default()), Some(&json!(0.8)));
    }
}
