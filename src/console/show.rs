//! How times, lengths of time and JSON are shown.

use std::fmt;

use askama::filters::HtmlSafe;
use jiff::Timestamp;
use serde_json::Value;

use super::frame::Look;
use super::text::{Texts, put};

/// A point in time as the interface writes it.
pub(super) fn read(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// A point in time on a page: short, with the whole of it behind, in the reader's zone.
#[derive(Debug, Clone)]
pub(super) struct When {
    iso: String,
    whole: String,
    short: String,
}

impl When {
    /// `now` decides whether the day is shown.
    pub(super) fn new(at: Timestamp, now: Timestamp, look: &Look) -> When {
        let (there, here) = (at.to_zoned(look.zone.clone()), now.to_zoned(look.zone.clone()));
        let short = if there.date() == here.date() { "%H:%M:%S" } else { "%Y-%m-%d %H:%M" };
        When {
            iso: at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            whole: there.strftime("%Y-%m-%d %H:%M:%S %Z").to_string(),
            short: there.strftime(short).to_string(),
        }
    }

    /// From the interface's text; nothing is shown where it is none.
    pub(super) fn parse(text: &str, now: Timestamp, look: &Look) -> Option<When> {
        read(text).map(|at| When::new(at, now, look))
    }

    /// The whole of it, as text.
    pub(super) fn whole(&self) -> &str {
        &self.whole
    }
}

// Digits, letters of zone names and punctuation only: nothing of it needs escaping.
impl HtmlSafe for When {}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<time datetime=\"{}\" title=\"{}\">{}</time>", self.iso, self.whole, self.short)
    }
}

/// Seconds from one time to a later one.
pub(super) fn seconds(from: Timestamp, to: Timestamp) -> i64 {
    (to.as_microsecond() - from.as_microsecond()).div_euclid(1_000_000)
}

/// A length of time in its two largest units.
pub(super) fn length(seconds: i64, t: &Texts) -> String {
    let c = &t.common;
    let seconds = seconds.abs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let part = |text: &str, number: i64| put(text, &[&number.to_string()]);
    let parts = match () {
        () if days > 0 => [part(c.days, days), if hours > 0 { part(c.hours, hours) } else { String::new() }],
        () if hours > 0 => [part(c.hours, hours), if minutes > 0 { part(c.minutes, minutes) } else { String::new() }],
        () if minutes > 0 => [part(c.minutes, minutes), String::new()],
        () => [part(c.seconds, seconds), String::new()],
    };
    parts.join(" ").trim_end().to_owned()
}

/// Milliseconds exactly enough for attempts: `8 ms`, `1.2 s`, then as [`length`].
#[expect(clippy::cast_precision_loss, reason = "one digit after the point is shown")]
pub(super) fn span(micros: i64, t: &Texts) -> String {
    match micros {
        ..1_000_000 => format!("{} ms", micros.max(0) / 1000),
        1_000_000..60_000_000 => put(t.common.seconds, &[&format!("{:.1}", micros as f64 / 1e6)]),
        _ => length(micros / 1_000_000, t),
    }
}

/// How long ago.
pub(super) fn ago(at: Timestamp, now: Timestamp, t: &Texts) -> String {
    let past = seconds(at, now);
    if past < 1 { t.common.now.to_owned() } else { put(t.common.ago, &[&length(past, t)]) }
}

/// Time left, and how urgent that is: `late`, `soon` (less than a quarter of the whole), `fine`.
pub(super) fn left(from: Timestamp, due: Timestamp, now: Timestamp, t: &Texts) -> (String, &'static str) {
    let (left, whole) = (seconds(now, due), seconds(from, due).max(1));
    if left < 0 {
        return (put(t.common.overdue, &[&length(left, t)]), "late");
    }
    (put(t.common.left, &[&length(left, t)]), if left * 4 < whole { "soon" } else { "fine" })
}

/// A JSON value on one line, as somebody reads it.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "—".to_owned(),
        other => other.to_string(),
    }
}

/// A JSON value on several lines.
pub(super) fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// A whole number with thin spaces between thousands.
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push('\u{202f}');
        }
        shown.push(digit);
    }
    shown
}

/// The text in this language, else in English, else in any.
pub(super) fn by_language(texts: &std::collections::BTreeMap<String, String>, look: &Look) -> String {
    let found = texts.get(look.lang.tag()).or_else(|| texts.get("en")).or_else(|| texts.values().next());
    found.cloned().unwrap_or_default()
}

/// A text that may be there in one language only.
pub(super) fn text_by_language(
    texts: &std::collections::BTreeMap<String, String>,
    alone: Option<&String>,
    look: &Look,
) -> String {
    if texts.is_empty() { alone.cloned().unwrap_or_default() } else { by_language(texts, look) }
}

/// The end of an id: enough to tell rows apart; the rest is behind its link.
pub(super) fn short_id(id: &str) -> &str {
    id.get(id.len().saturating_sub(8)..).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::super::text::{EN, ZH};
    use super::*;

    #[test]
    fn lengths_have_two_units() {
        for (seconds, en, zh) in [
            (0, "0 s", "0 秒"),
            (59, "59 s", "59 秒"),
            (61, "1 min", "1 分钟"),
            (3_600, "1 h", "1 小时"),
            (3_720, "1 h 2 min", "1 小时 2 分钟"),
            (-90_000, "1 d 1 h", "1 天 1 小时"),
        ] {
            assert_eq!((length(seconds, &EN).as_str(), length(seconds, &ZH).as_str()), (en, zh));
        }
        assert_eq!(
            (span(8_400, &EN), span(1_234_000, &EN), span(90_000_000, &EN)),
            ("8 ms".into(), "1.2 s".into(), "1 min".into())
        );
    }

    #[test]
    fn time_left_has_colours() {
        let at = |second| Timestamp::from_second(second).unwrap_or_default();
        assert_eq!(left(at(0), at(100), at(10), &EN), ("1 min left".to_owned(), "fine"));
        assert_eq!(left(at(0), at(100), at(80), &EN), ("20 s left".to_owned(), "soon"));
        assert_eq!(left(at(0), at(100), at(400), &EN), ("5 min overdue".to_owned(), "late"));
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(number(7), "7");
        assert_eq!(number(1_234_567), "1\u{202f}234\u{202f}567");
    }

    #[test]
    fn ids_are_shortened_at_their_end() {
        assert_eq!(short_id("0192f3a4-0000-7000-8000-00000000000a"), "0000000a");
        assert_eq!(short_id("abc"), "abc");
    }
}
