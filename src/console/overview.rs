//! The overview: how things are now, how they went, and what needs somebody. Every number leads to what it counts.
#![expect(clippy::cast_precision_loss, reason = "shares and times are shown to three digits")]

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;

use super::attention::{self, Attention};
use super::form::{Fields, Query, encoded};
use super::frame::{Frame, page};
use super::home::shown;
use super::inbox::now;
use super::plot::{Column, Plot, Series, stacked, times};
use super::session::Seat;
use super::show::{self, number, span};
use super::text::{Texts, put};
use super::{Console, trouble};
use crate::api::Refused;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Balance {
    /// What was ever counted is for those who may see all processes.
    holds: Option<bool>,
    difference: i64,
    accepted: Option<u64>,
    done: Option<u64>,
    refused: Option<u64>,
    withdrawn: Option<u64>,
    expired: Option<u64>,
    open: u64,
    queued: u64,
    running: u64,
    waiting: u64,
    parked: u64,
    in_review: u64,
    rejected: u64,
    unpublished: u64,
    overdue: u64,
    by_process: Vec<Counted>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Counted {
    pub(super) process: String,
    pub(super) state: String,
    pub(super) step: Option<String>,
    pub(super) parked: Option<String>,
    pub(super) count: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Part {
    from: String,
    accepted: u64,
    done: u64,
    refused: u64,
    other: u64,
    open: u64,
    automated: u64,
    p50_ms: Option<u64>,
    p95_ms: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Share {
    process: String,
    name: String,
    count: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct History {
    requests: u64,
    cut: bool,
    parts: Vec<Part>,
    whole: Part,
    refused_for: Vec<Share>,
    asked_for: Vec<Share>,
    by_process: Vec<Share>,
}

struct Tile {
    href: String,
    label: String,
    value: String,
    under: String,
    tone: &'static str,
}

struct Line {
    href: String,
    name: String,
    note: String,
    count: String,
}

struct OfProcess {
    name: String,
    href: String,
    total: String,
    /// Class, where it begins, how wide it is (of 100), and what it is.
    parts: Vec<(&'static str, String, String, String)>,
}

struct PartRow {
    from: String,
    accepted: u64,
    done: u64,
    refused: u64,
    other: u64,
    open: u64,
    p50: String,
    p95: String,
}

struct View {
    windows: Vec<(&'static str, &'static str, bool)>,
    attention: Vec<Attention>,
    tiles: Vec<Tile>,
    states: Vec<Tile>,
    outcomes: Plot,
    times: Plot,
    rows: Vec<PartRow>,
    cut: String,
    processes: Vec<OfProcess>,
    steps: Vec<Line>,
    asked: Vec<Line>,
    refused: Vec<Line>,
    holds: bool,
    books: String,
    rejected: String,
    unpublished: String,
    overdue: String,
    overdue_bad: bool,
    again: String,
}

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    f: Frame,
    v: View,
}

#[derive(Template)]
#[template(path = "overview_body.html")]
struct OverviewBody {
    f: Frame,
    v: View,
}

/// The page, or only what follows where a script asks for it anew.
pub(super) async fn overview(State(console): State<Console>, seat: Seat, headers: HeaderMap, Query(query): Query) -> Response {
    match view(&console, &seat, &query).await {
        Ok(v) => {
            let f = Frame::of(&seat, seat.look.lang.texts().overview.title, "/console/overview");
            let response = if headers.contains_key("hx-request") {
                page(&seat.look, &OverviewBody { f, v })
            } else {
                page(&seat.look, &OverviewPage { f, v })
            };
            shown(&console, &seat, response)
        }
        Err(refused) => trouble::refused(&seat, &refused),
    }
}

async fn view(console: &Console, seat: &Seat, query: &Fields) -> Result<View, Refused> {
    let (desk, person, t) = (console.desk(), &seat.person, seat.look.lang.texts());
    let chosen = ["15m", "1h", "24h", "7d"].into_iter().find(|known| *known == query.one("within"));
    let mut within = chosen.unwrap_or("24h");
    let balance: Balance = desk.get(person, "/v1/balance?max_age=5s").await?;
    let mut history: History = desk.get(person, &format!("/v1/history?within={within}")).await?;
    // Where everything came in the last hour, or in a quarter of one, that is shown unless another window was chosen.
    for (shorter, of) in [("1h", 24), ("15m", 4)] {
        let new = (history.parts.len() / of).max(1);
        if chosen.is_none() && history.parts.iter().rev().skip(new).all(|part| part.accepted == 0) {
            within = shorter;
            history = desk.get(person, &format!("/v1/history?within={within}")).await?;
        } else {
            break;
        }
    }
    let now = now(console);
    let windows = [("15m", t.overview.quarter), ("1h", t.overview.hour), ("24h", t.overview.day), ("7d", t.overview.week)];
    let label = |part: &Part| {
        let format = if within == "7d" { "%m-%d %Hh" } else { "%H:%M" };
        show::read(&part.from).map(|at| at.to_zoned(seat.look.zone.clone()).strftime(format).to_string()).unwrap_or_default()
    };
    let columns: Vec<Column> = history.parts.iter().map(|part| column(part, label(part), t)).collect();
    let labels: Vec<String> = history.parts.iter().map(label).collect();
    let seconds = |ms: Option<u64>| ms.map(|ms| ms as f64 / 1000.0);
    let series = [
        Series { class: "stroke", values: history.parts.iter().map(|part| seconds(part.p50_ms)).collect() },
        Series { class: "stroke2", values: history.parts.iter().map(|part| seconds(part.p95_ms)).collect() },
    ];
    Ok(View {
        windows: windows.map(|(word, label)| (word, label, word == within)).to_vec(),
        attention: attention::needed(console, seat, &balance.by_process, now).await?,
        tiles: tiles(&balance, &history, within, t),
        states: states(&balance, t),
        outcomes: stacked(&columns),
        times: times(&series, &labels, t),
        rows: history.parts.iter().zip(&labels).map(|(part, label)| row(part, label.clone(), t)).collect(),
        cut: if history.cut { put(t.overview.cut, &[&number(history.requests)]) } else { String::new() },
        processes: processes(&history, within, t),
        steps: steps(&balance),
        asked: shares(&history.asked_for, "state:in_review", within),
        refused: shares(&history.refused_for, "state:refused", within),
        holds: balance.holds != Some(false),
        books: match balance.holds {
            Some(true) => t.overview.holds.to_owned(),
            Some(false) => put(t.overview.differs, &[&balance.difference.to_string()]),
            None => String::new(),
        },
        rejected: number(balance.rejected),
        unpublished: number(balance.unpublished),
        overdue: number(balance.overdue),
        overdue_bad: balance.overdue > 0,
        again: format!("/console/overview?within={within}"),
    })
}

fn column(part: &Part, label: String, t: &Texts) -> Column {
    let parts = vec![
        ("bar-done", t.kinds.done, part.done),
        ("bar-refused", t.kinds.refused, part.refused),
        ("bar-other", t.overview.other, part.other),
        ("bar-open", t.overview.still_open, part.open),
    ];
    Column { label, parts }
}

fn row(part: &Part, from: String, t: &Texts) -> PartRow {
    PartRow {
        from,
        accepted: part.accepted,
        done: part.done,
        refused: part.refused,
        other: part.other,
        open: part.open,
        p50: took(part.p50_ms, t),
        p95: took(part.p95_ms, t),
    }
}

fn took(ms: Option<u64>, t: &Texts) -> String {
    ms.map_or_else(|| "—".to_owned(), |ms| span(i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(1000), t))
}

/// A search for what was accepted in the window.
fn search(words: &str, within: &str) -> String {
    format!("/console/requests?q={}", encoded(format!("{words} age:<{within}").trim()))
}

fn tiles(balance: &Balance, history: &History, within: &str, t: &Texts) -> Vec<Tile> {
    let whole = &history.whole;
    let ended = whole.done + whole.refused + whole.other;
    let rate = if ended == 0 { "—".to_owned() } else { format!("{:.1} %", whole.automated as f64 * 100.0 / ended as f64) };
    let tile =
        |href: String, label: &str, value: String, under: String| Tile { href, label: label.to_owned(), value, under, tone: "" };
    let times = || "#times".to_owned();
    let of = |total: Option<u64>| match total {
        Some(total) => format!("{} {}", number(total), t.overview.since_start),
        None => t.overview.in_window.to_owned(),
    };
    let all_ended = search("state:done,refused,withdrawn,expired", within);
    vec![
        Tile {
            tone: "good",
            ..tile(all_ended, t.overview.automation, rate, put(t.overview.automation_under, &[&number(ended)]))
        },
        tile(search("", within), t.overview.received, number(whole.accepted), of(balance.accepted)),
        tile(search("state:done", within), t.overview.done, number(whole.done), of(balance.done)),
        tile(search("state:refused", within), t.overview.refused, number(whole.refused), of(balance.refused)),
        tile(
            search("state:withdrawn,expired", within),
            t.overview.otherwise,
            number(whole.other),
            of(balance.withdrawn.zip(balance.expired).map(|(withdrawn, expired)| withdrawn + expired)),
        ),
        tile(times(), t.overview.p50, took(whole.p50_ms, t), t.overview.in_window.to_owned()),
        tile(times(), t.overview.p95, took(whole.p95_ms, t), t.overview.in_window.to_owned()),
    ]
}

fn states(balance: &Balance, t: &Texts) -> Vec<Tile> {
    let all = [
        ("open", t.overview.open, balance.open, ""),
        ("in_review", t.overview.in_review, balance.in_review, "wait"),
        ("parked", t.overview.parked, balance.parked, "bad"),
        ("waiting", t.overview.waiting, balance.waiting, ""),
        ("running", t.overview.running, balance.running, ""),
        ("queued", t.overview.queued, balance.queued, ""),
    ];
    let tile = |(word, label, count, tone): (&str, &str, u64, &'static str)| Tile {
        href: match word {
            "open" => "/console/requests?q=state%3Aqueued%2Crunning%2Cwaiting%2Cparked%2Cin_review".to_owned(),
            "in_review" => "/console/reviews?tab=team".to_owned(),
            word => format!("/console/requests?q=state%3A{word}"),
        },
        label: label.to_owned(),
        value: number(count),
        under: t.overview.now.to_owned(),
        tone: if count > 0 { tone } else { "" },
    };
    all.into_iter().map(tile).collect()
}

fn processes(history: &History, within: &str, t: &Texts) -> Vec<OfProcess> {
    let mut all: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
    for share in &history.by_process {
        *all.entry(&share.process).or_default().entry(&share.name).or_default() += share.count;
    }
    let of = |(name, states): (&str, BTreeMap<&str, u64>)| {
        let total: u64 = states.values().sum();
        let sum = |words: &[&str]| words.iter().filter_map(|word| states.get(word)).sum::<u64>();
        let (done, refused, other) = (sum(&["done"]), sum(&["refused"]), sum(&["withdrawn", "expired"]));
        let open = total - done - refused - other;
        let kinds = [
            ("bar-done", t.kinds.done, done),
            ("bar-refused", t.kinds.refused, refused),
            ("bar-other", t.overview.other, other),
            ("bar-open", t.overview.still_open, open),
        ];
        let mut begin = 0.0;
        let part = |(class, label, count): (&'static str, &str, u64)| {
            let (x, width) = (begin, count as f64 * 100.0 / total.max(1) as f64);
            begin += width;
            (class, format!("{x:.2}"), format!("{width:.2}"), format!("{label} {}", number(count)))
        };
        OfProcess {
            href: search(&format!("process:{name}"), within),
            total: number(total),
            parts: kinds.into_iter().filter(|(_, _, count)| *count > 0).map(part).collect(),
            name: name.to_owned(),
        }
    };
    all.into_iter().map(of).collect()
}

fn steps(balance: &Balance) -> Vec<Line> {
    let mut all: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for row in &balance.by_process {
        *all.entry((&row.process, row.step.as_deref().unwrap_or("—"))).or_default() += row.count;
    }
    let line = |((process, step), count): ((&str, &str), u64)| Line {
        href: format!(
            "/console/requests?q=process%3A{process}%20step%3A{step}%20state%3Aqueued%2Crunning%2Cwaiting%2Cparked%2Cin_review"
        ),
        name: step.to_owned(),
        note: process.to_owned(),
        count: number(count),
    };
    let mut lines: Vec<((&str, &str), u64)> = all.into_iter().collect();
    lines.sort_by_key(|line| std::cmp::Reverse(line.1));
    lines.into_iter().take(8).map(line).collect()
}

fn shares(shares: &[Share], state: &str, within: &str) -> Vec<Line> {
    let line = |share: &Share| Line {
        href: search(&format!("process:{} reason:{} {state}", share.process, share.name), within),
        name: share.name.clone(),
        note: share.process.clone(),
        count: number(share.count),
    };
    shares.iter().take(8).map(line).collect()
}
