//! A process over time: what its clauses decided lately, and what changed from one version to another.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;

use super::form::{Fields, Query, encoded};
use super::frame::{Frame, page};
use super::home::shown;
use super::read::Process;
use super::review::segment;
use super::session::Seat;
use super::show::{by_language, number, text_by_language};
use super::text::{Texts, put};
use super::{Console, trouble};
use crate::api::Refused;
use crate::api::permit::Action;

/// The windows that counts are offered for.
const WINDOWS: [&str; 3] = ["1h", "24h", "7d"];

/// What stands above every page about one process.
pub(super) struct Head {
    pub(super) name: String,
    pub(super) title: String,
    pub(super) version: u32,
    pub(super) here: &'static str,
    pub(super) reads_requests: bool,
    pub(super) reads_operations: bool,
}

impl Head {
    pub(super) fn of(process: &Process, seat: &Seat, here: &'static str) -> Head {
        Head {
            name: process.name.clone(),
            title: by_language(&process.title, &seat.look),
            version: process.version,
            here,
            reads_requests: seat.may(Action::ReadRequests),
            reads_operations: seat.may(Action::ReadOperations),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Named {
    name: String,
    count: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Counts {
    slot: String,
    clause: Option<String>,
    text: Option<String>,
    texts: BTreeMap<String, String>,
    passed: u64,
    applied: u64,
    unknown: u64,
    undone: u64,
    refused: u64,
    asked: u64,
    skipped: u64,
    stopped: u64,
    refused_for: Vec<Named>,
    asked_for: Vec<Named>,
    answers: Vec<Named>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Clauses {
    requests: u64,
    cut: bool,
    items: Vec<Counts>,
}

struct Linked {
    href: String,
    name: String,
    count: String,
}

struct CountRow {
    slot: String,
    clause: String,
    text: String,
    passed: String,
    refused: String,
    asked: String,
    skipped: String,
    stopped: String,
    unknown: String,
    undone: String,
    refused_for: Vec<Linked>,
    asked_for: Vec<Linked>,
    answers: String,
}

#[derive(Template)]
#[template(path = "clauses.html")]
struct ClausesPage {
    f: Frame,
    p: Head,
    versions: Vec<(u32, bool)>,
    windows: Vec<(&'static str, &'static str, bool)>,
    says: String,
    none: bool,
    rows: Vec<CountRow>,
}

/// How often each clause decided what.
pub(super) async fn clauses(
    State(console): State<Console>,
    seat: Seat,
    Path(name): Path<String>,
    Query(query): Query,
) -> Response {
    match counted(&console, &seat, &name, &query).await {
        Ok(view) => shown(&console, &seat, page(&seat.look, &view)),
        Err(refused) => trouble::refused(&seat, &refused),
    }
}

async fn counted(console: &Console, seat: &Seat, name: &str, query: &Fields) -> Result<ClausesPage, Refused> {
    let t = seat.look.lang.texts();
    let process = asked_for(console, seat, name, query.one("version")).await?;
    let within = WINDOWS.into_iter().find(|window| *window == query.one("within")).unwrap_or("24h");
    let address = format!("/v1/processes/{}/clauses?version={}&within={within}", segment(name), process.version);
    let found: Clauses = console.desk().get(&seat.person, &address).await?;
    let labels = [t.overview.hour, t.overview.day, t.overview.week];
    let says = if found.cut { t.versions.newest_of } else { t.versions.all_of };
    Ok(ClausesPage {
        f: Frame::of(seat, t.versions.clauses, "/console/processes"),
        p: Head::of(&process, seat, "clauses"),
        versions: process.versions.iter().rev().map(|version| (*version, *version == process.version)).collect(),
        windows: WINDOWS.into_iter().zip(labels).map(|(window, label)| (window, label, window == within)).collect(),
        says: put(says, &[&number(found.requests)]),
        none: found.requests == 0,
        rows: found.items.iter().map(|counts| row(counts, name, seat)).collect(),
    })
}

fn row(counts: &Counts, process: &str, seat: &Seat) -> CountRow {
    let t = seat.look.lang.texts();
    let linked = |named: &Named| Linked {
        href: format!("/console/requests?q={}", encoded(&format!("process:{process} reason:{}", named.name))),
        name: named.name.clone(),
        count: number(named.count),
    };
    let some = |count: u64| if count > 0 { number(count) } else { String::new() };
    let answers = counts.answers.iter().map(|named| format!("{} {}", t.choice(&named.name), number(named.count)));
    CountRow {
        slot: counts.slot.clone(),
        clause: counts.clause.clone().unwrap_or_default(),
        text: text_by_language(&counts.texts, counts.text.as_ref(), &seat.look),
        // A check passes, an effect takes place: no step does both.
        passed: number(counts.passed + counts.applied),
        refused: number(counts.refused),
        asked: number(counts.asked),
        skipped: number(counts.skipped),
        stopped: number(counts.stopped),
        unknown: some(counts.unknown),
        undone: some(counts.undone),
        refused_for: counts.refused_for.iter().map(linked).collect(),
        asked_for: counts.asked_for.iter().map(linked).collect(),
        answers: answers.collect::<Vec<_>>().join(" · "),
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Compared {
    place: String,
    from: Option<String>,
    to: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Part {
    kind: String,
    name: String,
    change: String,
    clause: Option<String>,
    places: Vec<Compared>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Line {
    from: Option<usize>,
    to: Option<usize>,
    text: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Difference {
    parts: Vec<Part>,
    lines: Vec<Line>,
}

struct PartCard {
    kind: &'static str,
    name: String,
    clause: String,
    change: String,
    word: &'static str,
    places: Vec<Compared>,
}

struct LineRow {
    from: String,
    to: String,
    sign: &'static str,
    class: &'static str,
    /// Lines that are the same were left out before it.
    gap: bool,
    text: String,
}

#[derive(Template)]
#[template(path = "difference.html")]
struct DifferencePage {
    f: Frame,
    p: Head,
    from: Vec<(u32, bool)>,
    to: Vec<(u32, bool)>,
    alone: bool,
    says: String,
    parts: Vec<PartCard>,
    lines: Vec<LineRow>,
}

/// What is different between two versions.
pub(super) async fn difference(
    State(console): State<Console>,
    seat: Seat,
    Path(name): Path<String>,
    Query(query): Query,
) -> Response {
    match compared(&console, &seat, &name, &query).await {
        Ok(view) => shown(&console, &seat, page(&seat.look, &view)),
        Err(refused) => trouble::refused(&seat, &refused),
    }
}

async fn compared(console: &Console, seat: &Seat, name: &str, query: &Fields) -> Result<DifferencePage, Refused> {
    let t = seat.look.lang.texts();
    let process = asked_for(console, seat, name, query.one("to")).await?;
    // The one before it, where the address does not say.
    let before = process.versions.iter().copied().filter(|version| *version < process.version).max();
    let from = query.one("from").parse().ok().or(before);
    let earlier = from.map(|from| format!("&from={from}")).unwrap_or_default();
    let address = format!("/v1/processes/{}/difference?to={}{earlier}", segment(name), process.version);
    let found: Difference = match console.desk().get(&seat.person, &address).await {
        // There is no earlier one: said on the page.
        Err(refused) if refused.status == 404 && from.is_none() => Difference::default(),
        found => found?,
    };
    let choices = |chosen: Option<u32>| process.versions.iter().rev().map(|one| (*one, Some(*one) == chosen)).collect();
    let put_versions = |text| put(text, &[&from.unwrap_or_default().to_string(), &process.version.to_string()]);
    Ok(DifferencePage {
        f: Frame::of(seat, t.versions.difference, "/console/processes"),
        p: Head::of(&process, seat, "difference"),
        from: choices(from),
        to: choices(Some(process.version)),
        alone: process.versions.len() < 2,
        says: put_versions(if found.parts.is_empty() { t.versions.same } else { t.versions.differs }),
        parts: found.parts.into_iter().map(|part| card(part, t)).collect(),
        lines: rows(found.lines),
    })
}

/// The version that the address names; the newest where it names none.
async fn asked_for(console: &Console, seat: &Seat, name: &str, version: &str) -> Result<Process, Refused> {
    let version = version.parse::<u32>().map(|version| format!("?version={version}")).unwrap_or_default();
    console.desk().get(&seat.person, &format!("/v1/processes/{}{version}", segment(name))).await
}

fn card(part: Part, t: &Texts) -> PartCard {
    let t = &t.versions;
    let (change, word) = match part.change.as_str() {
        "added" => (t.added, "done"),
        "removed" => (t.removed, "refused"),
        _ => (t.changed, "waiting"),
    };
    PartCard {
        kind: match part.kind.as_str() {
            "step" => t.step,
            "reason" => t.reason,
            "review" => t.question,
            _ => t.process,
        },
        name: part.name,
        clause: part.clause.unwrap_or_default(),
        change: change.to_owned(),
        word,
        places: part.places,
    }
}

fn rows(lines: Vec<Line>) -> Vec<LineRow> {
    let (mut last_from, mut last_to) = (0, 0);
    let shown = |number: Option<usize>| number.map(|number| number.to_string()).unwrap_or_default();
    let mut row = |line: Line| {
        let (sign, class) = match (line.from, line.to) {
            (Some(_), None) => ("−", "gone"),
            (None, Some(_)) => ("+", "new"),
            _ => ("", ""),
        };
        let gap = line.from.is_some_and(|from| from > last_from + 1) || line.to.is_some_and(|to| to > last_to + 1);
        (last_from, last_to) = (line.from.unwrap_or(last_from), line.to.unwrap_or(last_to));
        LineRow { from: shown(line.from), to: shown(line.to), sign, class, gap, text: line.text }
    };
    lines.into_iter().map(&mut row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_were_left_out_are_seen() {
        let line = |from: Option<usize>, to: Option<usize>| Line { from, to, text: String::new() };
        let rows = rows(vec![line(Some(3), Some(3)), line(Some(4), None), line(None, Some(4)), line(Some(9), Some(9))]);
        let seen: Vec<_> = rows.iter().map(|row| (row.sign, row.gap)).collect();
        assert_eq!(seen, [("", true), ("−", false), ("+", false), ("", true)]);
    }
}
