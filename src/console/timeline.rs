//! A ledger as people read it: one line for each entry, in words, with the entry itself behind it.

use jiff::Timestamp;
use serde_json::Value;

use super::read::Entry;
use super::session::Seat;
use super::show::{self, When, plain, pretty};
use super::text::{Texts, put};

/// A line.
pub(super) struct Line {
    pub(super) seq: u64,
    pub(super) label: String,
    /// The step, where it is about one.
    pub(super) slot: String,
    /// What it came to, in a few words.
    pub(super) says: String,
    /// Its colour: `good`, `bad`, `wait`, `act` or none.
    pub(super) tone: &'static str,
    pub(super) at: Option<When>,
    /// Since the entry before.
    pub(super) gap: String,
    pub(super) raw: String,
    pub(super) hash: String,
}

/// Lines for entries, oldest first.
pub(super) fn lines(entries: &[Entry], seat: &Seat, now: Timestamp) -> Vec<Line> {
    let t = seat.look.lang.texts();
    let mut before: Option<Timestamp> = None;
    entries
        .iter()
        .map(|entry| {
            let at = show::read(&entry.at);
            let gap = before.zip(at).map(|(before, at)| at.as_microsecond() - before.as_microsecond());
            before = at;
            let (says, tone) = says(entry, t);
            Line {
                seq: entry.seq,
                label: t.fact(&entry.kind).to_owned(),
                slot: text(&entry.fact, &["slot", "step"]),
                says,
                tone,
                at: at.map(|at| When::new(at, now, &seat.look)),
                gap: gap.filter(|gap| *gap >= 1000).map(|gap| format!("+{}", show::span(gap, t))).unwrap_or_default(),
                raw: pretty(&entry.fact),
                hash: entry.hash.clone(),
            }
        })
        .collect()
}

fn text(fact: &Value, names: &[&str]) -> String {
    names.iter().find_map(|name| fact.get(name)).map(plain).unwrap_or_default()
}

/// What an entry says, and its colour.
fn says(entry: &Entry, t: &Texts) -> (String, &'static str) {
    let fact = &entry.fact;
    let of = |name: &str| fact.get(name).map(plain).unwrap_or_default();
    // The stable word, and what it means here.
    let cause = || {
        let of = |name: &str| fact.pointer(&format!("/cause/{name}")).map(plain).filter(|text| !text.is_empty());
        [of("code"), of("detail")].into_iter().flatten().collect::<Vec<_>>().join(": ")
    };
    match entry.kind.as_str() {
        "verdict" => verdict(fact, t),
        "result" => {
            let result = of("result");
            let tone = match result.as_str() {
                "applied" => "good",
                "unknown" => "wait",
                _ => "bad",
            };
            (format!("{} {}", t.verdict(&result), cause()).trim_end().to_owned(), tone)
        }
        "failed" => (cause(), "bad"),
        "intent" => (put(t.requests.attempt_n, &[&of("attempt")]), "act"),
        "parked" => (format!("{} {}", of("group"), cause()).trim_end().to_owned(), "wait"),
        "resumed" => (of("by"), "act"),
        "review_opened" => (of("review"), "wait"),
        "decided" => {
            let both = fact.get("first_by").map(|first| format!("{}, ", plain(first))).unwrap_or_default();
            let choice = of("choice");
            (format!("{} · {both}{} · {}", t.choice(&choice), of("by"), of("note")), "act")
        }
        "noted" => (format!("{}: {}", of("by"), of("text")), ""),
        "supplemented" => (of("by"), "act"),
        "moved" => (put(t.common.version_n, &[&of("version")]), "act"),
        "withdrawal_refused" => (of("why"), "bad"),
        "callback" => (of("name"), "act"),
        "waiting" => (put(t.requests.until, &[&of("until")]), "wait"),
        "ended" | "turned_back" => ending(fact, t),
        "accepted" => (put(t.common.version_n, &[&of("version")]), "act"),
        _ => (String::new(), ""),
    }
}

fn verdict(fact: &Value, t: &Texts) -> (String, &'static str) {
    let clause = fact.pointer("/clause/id").map(plain).unwrap_or_default();
    let clause = if clause.is_empty() { clause } else { format!(" · {clause}") };
    match fact.get("verdict") {
        Some(Value::String(word)) if word == "pass" => (format!("{}{clause}", t.kinds.pass), "good"),
        Some(Value::Object(map)) => match map.iter().next() {
            Some((word, why)) if word == "refuse" => (format!("{} · {}{clause}", t.kinds.refused, plain(why)), "bad"),
            Some((_, why)) => (format!("{} · {}{clause}", t.kinds.review, plain(why)), "wait"),
            None => (String::new(), ""),
        },
        _ => (String::new(), ""),
    }
}

fn ending(fact: &Value, t: &Texts) -> (String, &'static str) {
    let ending = fact.get("ending").unwrap_or(&Value::Null);
    // `"done"`, `{"refused": {…}}`, or `{"outcome": …}` by how it is tagged. What people wrote in it is no tag.
    let tagged = |word: &str| {
        let outcome = ending.as_str().or_else(|| ending.get("outcome").and_then(Value::as_str));
        outcome == Some(word) || ending.get(word).is_some()
    };
    for (word, tone) in [("done", "good"), ("refused", "bad"), ("withdrawn", ""), ("expired", "wait")] {
        if tagged(word) {
            // Why it was refused, or who took it back.
            let reason = find(ending, if word == "withdrawn" { "by" } else { "reason" });
            let reason = reason.map(|reason| format!(" · {reason}")).unwrap_or_default();
            let note = find(ending, "note").map(|note| format!(" · {note}")).unwrap_or_default();
            return (format!("{}{reason}{note}", t.state(word)), tone);
        }
    }
    (String::new(), "")
}

fn find(value: &Value, name: &str) -> Option<String> {
    let map = value.as_object()?;
    map.get(name).map(plain).or_else(|| map.values().find_map(|inner| find(inner, name)))
}

/// Leaves of a JSON value as (pointer, label, text), in order.
pub(super) fn leaves(value: &Value) -> Vec<(String, String, String)> {
    fn walk(value: &Value, pointer: &str, label: &str, found: &mut Vec<(String, String, String)>) {
        let step = |name: &str| format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
        let under = |name: &str| if label.is_empty() { name.to_owned() } else { format!("{label} › {name}") };
        match value {
            Value::Object(map) if !map.is_empty() => {
                map.iter().for_each(|(name, inner)| walk(inner, &step(name), &under(name), found));
            }
            Value::Array(items) if !items.is_empty() => {
                items.iter().enumerate().for_each(|(at, inner)| {
                    walk(inner, &step(&at.to_string()), &under(&(at + 1).to_string()), found);
                });
            }
            other => found.push((pointer.to_owned(), label.to_owned(), plain(other))),
        }
    }
    let mut found = Vec::new();
    walk(value, "", "", &mut found);
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn payloads_are_shown_leaf_by_leaf() {
        let shown = leaves(&json!({"a": {"b/c": [1, "x"]}, "d": null}));
        let text: Vec<String> = shown.into_iter().map(|(pointer, label, text)| format!("{pointer} | {label} | {text}")).collect();
        assert_eq!(text, ["/a/b~1c/0 | a › b/c › 1 | 1", "/a/b~1c/1 | a › b/c › 2 | x", "/d | d | —"]);
    }

    #[test]
    fn entries_are_told_in_words() {
        let entry = |kind: &str, fact: Value| Entry { kind: kind.into(), fact, ..Entry::default() };
        let t = &super::super::text::EN;
        let passed = entry("verdict", json!({"slot": "card", "verdict": "pass", "clause": {"id": "C-1", "text": "x"}}));
        assert_eq!(says(&passed, t), ("pass · C-1".to_owned(), "good"));
        let refused = entry("verdict", json!({"slot": "card", "verdict": {"refuse": "no_card"}}));
        assert_eq!(says(&refused, t), ("refused · no_card".to_owned(), "bad"));
        let ended = entry("ended", json!({"ending": {"refused": {"reason": "no_card"}}}));
        assert_eq!(says(&ended, t), ("refused · no_card".to_owned(), "bad"));
        let ended = entry("ended", json!({"ending": {"outcome": "withdrawn", "by": "ops"}}));
        assert_eq!(says(&ended, t), ("withdrawn · ops".to_owned(), ""));
        let cause = json!({"class": "permanent", "code": "schema", "detail": "/status is missing"});
        let parked = entry("parked", json!({"group": "defect:1", "cause": cause}));
        assert_eq!(says(&parked, t), ("defect:1 schema: /status is missing".to_owned(), "wait"));
    }
}
