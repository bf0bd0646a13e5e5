//! Plots, drawn by the server: SVG with classes for colours, a title for each part, and the numbers beside it as a table. Pure
//! arithmetic; nothing here holds a text that came from outside.
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "pictures: a pixel is coarser than any of these"
)]

use jiff::Timestamp;
use serde_json::Value;

use super::read::Entry;
use super::show::{self, length, span};
use super::text::Texts;

/// The size of a plot's drawing area, and its margins, in units of its own.
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 174.0;
const LEFT: f64 = 56.0;
const BOTTOM: f64 = 26.0;
const TOP: f64 = 8.0;

/// One rectangle.
pub(super) struct Rect {
    pub(super) x: String,
    pub(super) y: String,
    pub(super) w: String,
    pub(super) h: String,
    pub(super) class: &'static str,
    pub(super) title: String,
}

/// One label.
pub(super) struct Label {
    pub(super) x: String,
    pub(super) y: String,
    pub(super) text: String,
}

/// A plot, ready to be written.
pub(super) struct Plot {
    pub(super) rects: Vec<Rect>,
    /// Polylines: class and points.
    pub(super) lines: Vec<(&'static str, String)>,
    /// Heights of the horizontal lines, with their labels.
    pub(super) levels: Vec<Label>,
    pub(super) labels: Vec<Label>,
    pub(super) empty: bool,
}

/// One column: its label and its parts (class, name, number) from the bottom up.
pub(super) struct Column {
    pub(super) label: String,
    pub(super) parts: Vec<(&'static str, &'static str, u64)>,
}

fn fixed(number: f64) -> String {
    format!("{number:.1}")
}

/// A round number that is not below, in whole steps that people count in.
fn ceiling(most: f64) -> f64 {
    if most <= 0.0 {
        return 1.0;
    }
    let magnitude = 10f64.powf(most.log10().floor());
    let steps = [1.0, 2.0, 4.0, 6.0, 8.0, 10.0];
    steps.into_iter().map(|step| step * magnitude).find(|step| *step >= most).unwrap_or(most)
}

fn levels(most: f64, show: impl Fn(f64) -> String) -> Vec<Label> {
    let level = |part: f64| Label {
        x: fixed(LEFT - 6.0),
        y: fixed(TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - part)),
        text: show(most * part),
    };
    [0.0, 0.5, 1.0].into_iter().map(level).collect()
}

fn labels(columns: impl Iterator<Item = String>, count: usize) -> Vec<Label> {
    let step = (WIDTH - LEFT) / count.max(1) as f64;
    let every = count.div_ceil(6).max(1);
    let shown = columns.enumerate().filter(|(at, _)| at % every == 0);
    shown.map(|(at, text)| Label { x: fixed(LEFT + (at as f64 + 0.5) * step), y: fixed(HEIGHT - 5.0), text }).collect()
}

/// Columns with parts on top of each other.
pub(super) fn stacked(columns: &[Column]) -> Plot {
    let sum = |column: &Column| column.parts.iter().map(|(_, _, number)| number).sum::<u64>();
    let most = columns.iter().map(sum).max().unwrap_or(0);
    // Half of what is counted must be a whole number, too.
    let top = ceiling(most as f64).max(2.0);
    let (step, room) = ((WIDTH - LEFT) / columns.len().max(1) as f64, HEIGHT - TOP - BOTTOM);
    let mut rects = Vec::new();
    for (at, column) in columns.iter().enumerate() {
        let mut bottom = HEIGHT - BOTTOM;
        for (class, name, number) in column.parts.iter().filter(|(_, _, number)| *number > 0) {
            let height = (*number as f64 / top * room).max(1.0);
            bottom -= height;
            rects.push(Rect {
                x: fixed(LEFT + at as f64 * step + step * 0.12),
                y: fixed(bottom),
                w: fixed(step * 0.76),
                h: fixed(height),
                class,
                title: format!("{} · {name}: {}", column.label, show::number(*number)),
            });
        }
    }
    Plot {
        rects,
        lines: Vec::new(),
        levels: levels(top, |level| show::number(level.round() as u64)),
        labels: labels(columns.iter().map(|column| column.label.clone()), columns.len()),
        empty: most == 0,
    }
}

/// One series: its class, and values, `None` where there is no measurement.
pub(super) struct Series {
    pub(super) class: &'static str,
    pub(super) values: Vec<Option<f64>>,
}

/// Lengths of time that people count in, in seconds.
static LENGTHS: [f64; 11] = [0.001, 0.01, 0.1, 1.0, 10.0, 60.0, 600.0, 3600.0, 21_600.0, 86_400.0, 604_800.0];

/// Those around these two: the scale begins with the first and ends with the last.
fn lengths(least: f64, most: f64) -> &'static [f64] {
    let begin = LENGTHS.iter().rposition(|length| *length <= least).unwrap_or(0).min(LENGTHS.len() - 2);
    let end = LENGTHS.iter().position(|length| *length >= most).unwrap_or(LENGTHS.len() - 1).max(begin + 1);
    &LENGTHS[begin..=end]
}

/// Lines over time on a logarithmic scale, because times to outcome span from milliseconds to days. Values are in seconds.
pub(super) fn times(series: &[Series], columns: &[String], t: &Texts) -> Plot {
    let all = || series.iter().flat_map(|series| series.values.iter().flatten().copied());
    let scale = lengths(all().fold(f64::MAX, f64::min), all().fold(0.0, f64::max));
    let (first, last) = (scale[0], scale[scale.len() - 1]);
    let (low, high) = (first.log10(), last.log10());
    let (step, room) = ((WIDTH - LEFT) / columns.len().max(1) as f64, HEIGHT - TOP - BOTTOM);
    let y = |value: f64| TOP + room * (1.0 - (value.clamp(first, last).log10() - low) / (high - low));
    let mut lines = Vec::new();
    for series in series {
        let mut run: Vec<String> = Vec::new();
        // A gap in the measurements is a gap in the line; a single measurement is a short one.
        for (at, value) in series.values.iter().chain([&None]).enumerate() {
            match value {
                Some(value) => {
                    let x = LEFT + (at as f64 + 0.5) * step;
                    if run.is_empty() {
                        run.push(format!("{},{}", fixed(x - step * 0.3), fixed(y(*value))));
                    }
                    run.push(format!("{},{}", fixed(x + step * 0.3), fixed(y(*value))));
                }
                None if !run.is_empty() => lines.push((series.class, std::mem::take(&mut run).join(" "))),
                None => {}
            }
        }
    }
    let level = |length: f64| Label { x: fixed(LEFT - 6.0), y: fixed(y(length)), text: span((length * 1e6) as i64, t) };
    // The last one, and down from there as many as have room.
    let every = scale.len().div_ceil(5);
    let levels = scale.iter().rev().step_by(every).map(|length| level(*length));
    Plot {
        rects: Vec::new(),
        lines,
        levels: levels.collect(),
        labels: labels(columns.iter().cloned(), columns.len()),
        empty: all().next().is_none(),
    }
}

/// A bar of a request's life: where something was tried, or waited for.
pub(super) struct Bar {
    pub(super) label: String,
    pub(super) x: String,
    pub(super) w: String,
    pub(super) class: &'static str,
    pub(super) length: String,
}

/// The width of the bars' area, in hundredths.
const BARS: f64 = 100.0;
/// The most bars.
const MOST_BARS: usize = 40;

/// The attempts and the waits of a request, from its entries; what is under way goes on until now, where one is given.
pub(super) fn bars(entries: &[Entry], now: Option<Timestamp>, t: &Texts) -> Vec<Bar> {
    let (Some(first), Some(last)) = (at(entries.first()), at(entries.last())) else { return Vec::new() };
    let last = now.filter(|now| *now > last).unwrap_or(last);
    let whole = (last.as_microsecond() - first.as_microsecond()).max(1) as f64;
    let mut found: Vec<(String, Timestamp, Timestamp, &'static str)> = Vec::new();
    // What is under way: its kind, its name, since when.
    let mut open: Option<(&'static str, String, Timestamp)> = None;
    for entry in entries {
        let Some(now) = at(Some(entry)) else { continue };
        let begins = match entry.kind.as_str() {
            "intent" => Some(("bar-act", name(entry))),
            "parked" => Some(("bar-open", entry.fact.get("group").map(show::plain).unwrap_or_default())),
            "waiting" => Some(("bar-open", name(entry))),
            "review_opened" => Some(("bar-open", entry.fact.get("review").map(show::plain).unwrap_or_default())),
            _ => None,
        };
        let ends = !matches!(entry.kind.as_str(), "noted" | "callback_ignored" | "withdrawal_refused");
        if ends && let Some((class, name, since)) = open.take() {
            found.push((name, since, now, class));
        }
        if let Some((class, name)) = begins {
            open = Some((class, name, now));
        }
    }
    // What is under way is what somebody looks for: it is shown after however much else there was.
    let open = open.zip(now);
    found.truncate(MOST_BARS - usize::from(open.is_some()));
    if let Some(((class, name, since), now)) = open {
        found.push((name, since, now.max(since), class));
    }
    let bar = |(label, from, to, class): (String, Timestamp, Timestamp, &'static str)| {
        let part = |at: Timestamp| (at.as_microsecond() - first.as_microsecond()) as f64 / whole * BARS;
        let micros = to.as_microsecond() - from.as_microsecond();
        Bar {
            label,
            x: fixed(part(from).min(BARS - 0.6)),
            w: fixed((part(to) - part(from)).max(0.6)),
            class,
            length: if micros < 60_000_000 { span(micros, t) } else { length(micros / 1_000_000, t) },
        }
    };
    found.into_iter().map(bar).collect()
}

fn at(entry: Option<&Entry>) -> Option<Timestamp> {
    entry.and_then(|entry| show::read(&entry.at))
}

fn name(entry: &Entry) -> String {
    let text = entry.fact.get("slot").or_else(|| entry.fact.get("step"));
    text.and_then(Value::as_str).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::text::EN;
    use super::*;

    #[test]
    fn scales_end_at_round_numbers() {
        for (most, top) in
            [(0.0, 1.0), (1.0, 1.0), (3.0, 4.0), (7.0, 8.0), (11.0, 20.0), (99.0, 100.0), (450.0, 600.0), (5.0, 6.0)]
        {
            assert!((ceiling(most) - top).abs() < 1e-9, "{most}");
        }
    }

    #[test]
    fn columns_stand_on_the_ground_and_fit() {
        let column = |done, refused| Column { label: "x".into(), parts: vec![("a", "done", done), ("b", "refused", refused)] };
        let plot = stacked(&[column(4, 4), column(0, 0)]);
        assert_eq!(plot.rects.len(), 2);
        assert_eq!((plot.rects[0].y.as_str(), plot.rects[1].y.as_str(), plot.rects[1].h.as_str()), ("78.0", "8.0", "70.0"));
        assert!(stacked(&[column(0, 0)]).empty && !plot.empty);
    }

    #[test]
    fn gaps_in_measurements_are_gaps_in_lines() {
        let series = Series { class: "s", values: vec![Some(0.1), None, Some(1.0), Some(10.0)] };
        let columns: Vec<String> = (0..4).map(|at: i32| at.to_string()).collect();
        let plot = times(&[series], &columns, &EN);
        assert_eq!(plot.lines.len(), 2);
        assert!(times(&[], &columns, &EN).empty);
    }

    #[test]
    fn times_stand_between_lengths_that_people_count_in() {
        let scale = |values: &[f64]| {
            let series = Series { class: "s", values: values.iter().copied().map(Some).collect() };
            let plot = times(&[series], &[String::new()], &EN);
            plot.levels.iter().map(|level| format!("{} {}", level.text, level.y)).collect::<Vec<_>>()
        };
        assert_eq!(scale(&[0.03, 0.6]), ["1.0 s 8.0", "100 ms 78.0", "10 ms 148.0"]);
        assert_eq!(scale(&[0.03, 90.0]), ["10 min 8.0", "10.0 s 60.1", "100 ms 118.7"]);
        assert_eq!(scale(&[1e9]), ["7 d 8.0", "1 d 148.0"]);
        assert_eq!(scale(&[0.0]), ["10 ms 8.0", "1 ms 148.0"]);
    }

    #[test]
    fn attempts_and_waits_become_bars() {
        let entry = |second: i64, kind: &str, fact| Entry {
            at: Timestamp::from_second(second).unwrap_or_default().to_string(),
            kind: kind.into(),
            fact,
            ..Entry::default()
        };
        let entries = [
            entry(0, "accepted", json!({})),
            entry(0, "parked", json!({"group": "dependency:bank"})),
            entry(4, "noted", json!({})),
            entry(5, "resumed", json!({})),
            entry(6, "intent", json!({"slot": "unbind"})),
            entry(10, "result", json!({"slot": "unbind"})),
        ];
        let text = |entries: &[Entry], now: Option<i64>| -> Vec<String> {
            let found = bars(entries, now.and_then(|second| Timestamp::from_second(second).ok()), &EN);
            found.iter().map(|bar| format!("{} {} {} {}", bar.label, bar.x, bar.w, bar.length)).collect()
        };
        assert_eq!(text(&entries[..2], None), [""; 0]);
        assert_eq!(text(&entries[..3], Some(20)), ["dependency:bank 0.0 100.0 20.0 s"]);
        assert_eq!(text(&entries, Some(20)), ["dependency:bank 0.0 25.0 5.0 s", "unbind 30.0 20.0 4.0 s"]);
        assert_eq!(text(&entries, None), ["dependency:bank 0.0 50.0 5.0 s", "unbind 60.0 40.0 4.0 s"]);
        // However much there was, what is under way is shown.
        let tries = (0..50).flat_map(|at| [(at * 2, "intent", "bind"), (at * 2 + 1, "failed", "bind")]);
        let tries = tries.chain([(100, "intent", "unbind")]);
        let many: Vec<Entry> = tries.map(|(second, kind, slot)| entry(second, kind, json!({"slot": slot}))).collect();
        let (all, over) = (text(&many, Some(110)), text(&many, None));
        assert_eq!((all.len(), all[38].as_str(), all[39].as_str()), (40, "bind 69.1 0.9 1.0 s", "unbind 90.9 9.1 10.0 s"));
        assert_eq!((over.len(), over[39].as_str()), (40, "bind 78.0 1.0 1.0 s"));
    }
}
