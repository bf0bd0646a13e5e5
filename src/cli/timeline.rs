//! A request's entries in words: one line each, for `request show` and `request watch`.

use serde_json::Value;

use super::output::field;

/// The most of an answer that stands in a line, in characters.
const MAX_SEEN: usize = 200;

/// One entry of a timeline as a line.
pub(super) fn line(entry: &Value) -> String {
    format!("{}  {:>3}  {}", when(&field(entry, "/at")), field(entry, "/seq"), words(entry))
}

/// An API time without the fraction and the `T`.
pub(super) fn when(at: &str) -> String {
    let seconds = at.split('.').next().unwrap_or(at).trim_end_matches('Z');
    if seconds.is_empty() { String::new() } else { format!("{}Z", seconds.replacen('T', " ", 1)) }
}

fn words(entry: &Value) -> String {
    let fact = |name: &str| field(entry, &format!("/fact/{name}"));
    let kind = field(entry, "/kind");
    let parts: Vec<String> = match kind.as_str() {
        "accepted" => vec![format!("{} version {}", fact("process"), fact("version")), with("by", &fact("producer"))],
        "verdict" => {
            vec![fact("slot"), verdict(entry), with("clause", &fact("clause/id")), with("because", &fact("rule")), saw(entry)]
        }
        "failed" => vec![fact("slot"), attempt(entry), cause(entry), with("again at", &when(&fact("retry_at")))],
        "intent" => vec![fact("slot"), with("attempt", &fact("attempt"))],
        "result" => vec![fact("slot"), fact("result"), with("via", &fact("via")), cause(entry), saw(entry)],
        "waiting" => vec![fact("step"), with("until", &when(&fact("until")))],
        "review_opened" => vec![fact("review"), with("at", &fact("slot")), with("due", &when(&fact("due")))],
        "decided" => vec![
            fact("choice"),
            with("by", &fact("by")),
            with("and", &fact("first_by")),
            with("reason", &fact("reason")),
            with("note:", &fact("note")),
            with("the other's note:", &fact("first_note")),
        ],
        "parked" => vec![with("under", &fact("group")), with("at", &fact("slot")), cause(entry)],
        "resumed" => vec![with("from", &fact("group")), with("by", &fact("by"))],
        "turned_back" => vec![with("undoing, then", &fact("ending/outcome")), fact("outcome")],
        "ended" => {
            let outcome = fact("ending/outcome");
            let reason = fact("ending/reason");
            let clause = with("clause", &fact("ending/clause/id"));
            if outcome.is_empty() { vec![fact("outcome"), fact("reason")] } else { vec![outcome, reason, clause] }
        }
        _ => ["step", "name", "by", "text", "why", "fields", "version"].iter().map(|name| fact(name)).collect(),
    };
    let rest: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    format!("{:<14}  {}", kind.replace('_', " "), rest.join("  ")).trim_end().to_owned()
}

fn with(word: &str, value: &str) -> String {
    if value.is_empty() { String::new() } else { format!("{word} {value}") }
}

/// What was kept of the answer: the evidence.
fn saw(entry: &Value) -> String {
    let kept = entry.pointer("/fact/kept").filter(|kept| !matches!(kept, Value::Null) && **kept != serde_json::json!({}));
    let Some(kept) = kept else { return String::new() };
    let text: String = super::output::plain(&Value::String(kept.to_string()));
    if text.chars().count() <= MAX_SEEN {
        return with("saw", &text);
    }
    let cut: String = text.chars().take(MAX_SEEN).collect();
    format!("saw {cut}… (all of it with --json)")
}

/// Which attempt it was; a call that an open breaker or a full queue kept back was none.
fn attempt(entry: &Value) -> String {
    match field(entry, "/fact/cause/code").as_str() {
        "breaker_open" | "busy" => "not called".to_owned(),
        _ => with("attempt", &field(entry, "/fact/attempt")),
    }
}

/// `pass`, `refuse: reason`, `review: name`; staff gets an object, a submitter a word.
fn verdict(entry: &Value) -> String {
    match entry.pointer("/fact/verdict") {
        Some(Value::Object(map)) => {
            let words = map.iter().map(|(word, name)| format!("{word}: {}", super::output::plain(name)));
            words.collect::<Vec<_>>().join(", ")
        }
        Some(other) => super::output::plain(other),
        None => String::new(),
    }
}

fn cause(entry: &Value) -> String {
    let part = |name: &str| field(entry, &format!("/fact/cause/{name}"));
    let known: Vec<String> = [part("class"), part("code"), with("status", &part("status")), part("detail")]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect();
    if known.is_empty() { String::new() } else { format!("({})", known.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn entries_in_words() {
        let at = "2026-11-22T18:12:03.123456Z";
        for (kind, fact, words) in [
            (
                "accepted",
                json!({"process": "card_unbind", "version": 2, "producer": "app"}),
                "accepted        card_unbind version 2  by app",
            ),
            ("started", json!({}), "started"),
            (
                "verdict",
                json!({"slot": "card", "verdict": {"refuse": "no_such_card"}, "clause": {"id": "CARD-3.1"}}),
                "verdict         card  refuse: no_such_card  clause CARD-3.1",
            ),
            ("verdict", json!({"slot": "card", "verdict": "pass"}), "verdict         card  pass"),
            (
                "verdict",
                json!({"slot": "face", "verdict": "pass", "kept": {"score": 0.97}}),
                "verdict         face  pass  saw {\"score\":0.97}",
            ),
            (
                "failed",
                json!({"slot": "face", "attempt": 0, "cause": {"class": "unavailable", "code": "breaker_open"}}),
                "failed          face  not called  (unavailable, breaker_open)",
            ),
            (
                "failed",
                json!({"slot": "face", "attempt": 2, "cause": {"class": "transient", "code": "timeout"}}),
                "failed          face  attempt 2  (transient, timeout)",
            ),
            (
                "result",
                json!({"slot": "unbind", "result": "unknown", "via": "no_answer", "cause": {"class": "unknown", "code": "timeout"}}),
                "result          unbind  unknown  via no_answer  (unknown, timeout)",
            ),
            (
                "ended",
                json!({"ending": {"outcome": "refused", "reason": "too_late", "clause": {"id": "X"}}}),
                "ended           refused  too_late  clause X",
            ),
            ("noted", json!({"by": "li", "text": "called\nback"}), "noted           li  called back"),
        ] {
            let entry = json!({"seq": 3, "at": at, "kind": kind, "fact": fact});
            assert_eq!(line(&entry), format!("2026-11-22 18:12:03Z    3  {words}"));
        }
    }
}
