//! `/v1/processes/{name}/clauses` and `/v1/processes/{name}/difference`: what the rules of a process did lately, and what changed from one
//! version to the next.
//!
//! How often a clause decided what is in the ledgers alone, which no database can add up for us; so the newest requests of a window
//! are read, up to a number, and the answer says how many they were and where it stopped.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::auth::Caller;
use super::extract::{InPath, Query, bad};
use super::history::window;
use super::permit::Action;
use super::problem::Problem;
use super::processes::clause as clause_of;
use super::stamp::Stamp;
use crate::domain::process::difference::{self, Change, PartKind};
use crate::domain::process::model::Process;
use crate::domain::request::clauses::{Passage, passages};
use crate::domain::request::fact::{EffectResult, Verdict};
use crate::domain::time::Time;
use crate::engine::ports::records::{RequestFilter, RequestRow};

/// The most requests whose ledgers are read.
const MOST: usize = 500;
/// Rows in one read of the list; those of other versions are passed over.
const STEP: usize = 500;
/// Rows of the list that are looked at for them.
const MOST_ROWS: usize = 5_000;
/// The most entries that are read.
const MOST_ENTRIES: usize = 20_000;

/// A number of requests with something in common.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
struct Named {
    /// The reason, the question or the answer.
    name: String,
    /// How many.
    count: u64,
}

/// What one clause decided.
#[derive(Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
struct ClauseCounts {
    /// The step; `limit` and `done_when` are the process's own.
    slot: String,
    /// The clause.
    #[serde(skip_serializing_if = "Option::is_none")]
    clause: Option<String>,
    /// The clause in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// The clause in words by language, where the file has it in several.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    texts: BTreeMap<String, String>,
    /// Requests that conformed.
    passed: u64,
    /// Requests whose effect took place at this step.
    applied: u64,
    /// Requests of which it is not known whether it took place.
    unknown: u64,
    /// Requests whose effect was reversed again.
    undone: u64,
    /// Requests that it refused.
    refused: u64,
    /// Requests that it put to a person.
    asked: u64,
    /// Requests that it did not apply to (`when`).
    skipped: u64,
    /// Requests that were parked here under a defect.
    stopped: u64,
    /// The reasons of the refusals, most frequent first.
    refused_for: Vec<Named>,
    /// The questions, most frequent first.
    asked_for: Vec<Named>,
    /// What people answered, most frequent first.
    answers: Vec<Named>,
}

/// What the clauses of a process decided lately.
#[derive(Debug, Serialize, ToSchema)]
struct Clauses {
    /// The process.
    process: String,
    /// Only requests of this version are counted.
    version: u32,
    /// When the window begins.
    from: Stamp,
    /// When it ends.
    to: Stamp,
    /// How many requests were read: the newest ones accepted in the window.
    requests: u64,
    /// There were more than are read: the window begins later than asked for.
    cut: bool,
    /// In the order of the file.
    items: Vec<ClauseCounts>,
}

/// How often each clause of a process decided what, over the newest requests of a window. A request counts once for each clause: its
/// last verdict, or what its effect came to after that.
#[utoipa::path(get, path = "/v1/processes/{name}/clauses", operation_id = "count_clauses", tag = "processes",
    params(("name" = String, Path, description = "The process"),
        ("version" = Option<u32>, Query, description = "Requests of this version; default: the newest"),
        ("within" = Option<String>, Query, description = "How far back: `1h`, `24h`; at most 7d; default 24h")),
    responses((status = 200, body = Clauses)))]
async fn clauses(State(api): State<Api>, caller: Caller, path: InPath, query: Query) -> Result<Response, Problem> {
    caller.require(Action::ReadOperations)?;
    let (name, within) = (path.text("name")?, window(&query)?);
    let process = version(&api, &caller, name, &query, "version")?;
    let to = api.engine().clock().now();
    let oldest = to.minus(within);
    let (mut rows, mut cut) = newest(&api, &process, oldest).await?;
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    let ledgers = api.engine().store().entries_of(&ids, MOST_ENTRIES).await?;
    let full = ledgers.len() >= MOST_ENTRIES;
    let mut ledgers: Vec<_> = ledgers.chunk_by(|one, next| one.0 == next.0).collect();
    if full {
        // The oldest that was read may lack its last entries.
        ledgers.pop();
        rows.truncate(ledgers.len());
        cut = true;
    }
    let mut counts = Counts::of(&process);
    for ledger in ledgers {
        for (slot, passage) in passages(ledger.iter().filter_map(|(_, entry)| entry.fact().ok())) {
            counts.add(&slot, passage);
        }
    }
    let from = if cut { rows.last().map_or(oldest, |row| row.accepted_at) } else { oldest };
    let items = counts.items();
    let (process, version, requests) = (process.name.clone(), process.version, u64::try_from(rows.len()).unwrap_or(u64::MAX));
    Ok(Answer(Clauses { process, version, from: from.into(), to: to.into(), requests, cut, items }).into_response())
}

/// The newest requests of a version that were accepted since then, and whether there are more.
async fn newest(api: &Api, process: &Process, oldest: Time) -> Result<(Vec<RequestRow>, bool), Problem> {
    let filter = RequestFilter { processes: vec![process.name.clone()], after: Some(oldest), ..RequestFilter::default() };
    let (mut rows, mut seen, mut last) = (Vec::new(), 0, None);
    while seen < MOST_ROWS {
        let page = api.engine().store().requests(&filter, last, STEP).await?;
        (seen, last) = (seen + page.len(), page.last().map(|row| row.id));
        let whole = page.len() == STEP;
        rows.extend(page.into_iter().filter(|row| row.version == process.version));
        if rows.len() > MOST {
            rows.truncate(MOST);
            return Ok((rows, true));
        }
        if !whole {
            return Ok((rows, false));
        }
    }
    Ok((rows, true))
}

/// A version of a process that the caller may see; the newest where none is named.
fn version(api: &Api, caller: &Caller, name: &str, query: &Query, key: &'static str) -> Result<Arc<Process>, Problem> {
    let number = query.number(key)?.map(|number| u32::try_from(number).map_err(|_| bad(key, "is too large"))).transpose()?;
    let known = api.engine().processes();
    let process = match number {
        None => known.latest(name),
        Some(number) => known.get(name, number),
    };
    process.filter(|_| caller.covers(name)).ok_or_else(|| Problem::not_found("this process"))
}

/// What was counted, slot by slot.
struct Counts {
    order: Vec<String>,
    slots: BTreeMap<String, Counted>,
}

#[derive(Default)]
struct Counted {
    counts: ClauseCounts,
    refused_for: BTreeMap<String, u64>,
    asked_for: BTreeMap<String, u64>,
    answers: BTreeMap<String, u64>,
}

impl Counts {
    /// With a row for whatever can decide in this version, in the order of the file.
    fn of(process: &Process) -> Counts {
        let mut counts = Counts { order: Vec::new(), slots: BTreeMap::new() };
        let limit = process.limit.as_ref().map(|limit| ("limit", Some(&limit.clause)));
        let steps = process.steps.iter().map(|step| (step.name.as_str(), clause_of(step)));
        for (slot, clause) in limit.into_iter().chain(steps).chain([("done_when", None)]) {
            let counted = counts.slot(slot);
            counted.counts.clause = clause.map(|clause| clause.id.clone());
            counted.counts.text = clause.map(|clause| clause.text.clone());
            counted.counts.texts = clause.map(|clause| process.clause_texts(clause)).unwrap_or_default();
        }
        counts
    }

    fn slot(&mut self, slot: &str) -> &mut Counted {
        if !self.slots.contains_key(slot) {
            self.order.push(slot.to_owned());
        }
        let counted = self.slots.entry(slot.to_owned()).or_default();
        slot.clone_into(&mut counted.counts.slot);
        counted
    }

    fn add(&mut self, slot: &str, passage: Passage) {
        let counted = self.slot(slot);
        // A slot of another version, from before the request was moved.
        if counted.counts.clause.is_none() {
            counted.counts.clause = passage.clause.as_ref().map(|clause| clause.id.clone());
            counted.counts.text = passage.clause.map(|clause| clause.text);
        }
        let counts = &mut counted.counts;
        counts.skipped += u64::from(passage.skipped);
        counts.stopped += u64::from(passage.stopped);
        counts.applied += u64::from(passage.result == Some(EffectResult::Applied));
        counts.unknown += u64::from(passage.result == Some(EffectResult::Unknown));
        counts.undone += u64::from(passage.undone);
        match passage.verdict {
            Some(Verdict::Pass) => counts.passed += 1,
            Some(Verdict::Refuse(reason)) => {
                counts.refused += 1;
                *counted.refused_for.entry(reason).or_default() += 1;
            }
            Some(Verdict::Review(review)) => {
                counts.asked += 1;
                *counted.asked_for.entry(review).or_default() += 1;
            }
            None => {}
        }
        for choice in passage.answers {
            *counted.answers.entry(choice.as_str().to_owned()).or_default() += 1;
        }
    }

    fn items(mut self) -> Vec<ClauseCounts> {
        let sorted = |counts: BTreeMap<String, u64>| {
            let mut named: Vec<Named> = counts.into_iter().map(|(name, count)| Named { name, count }).collect();
            named.sort_by_key(|named| std::cmp::Reverse(named.count));
            named
        };
        let taken = self.order.iter().filter_map(|slot| self.slots.remove(slot));
        let item = |counted: Counted| ClauseCounts {
            refused_for: sorted(counted.refused_for),
            asked_for: sorted(counted.asked_for),
            answers: sorted(counted.answers),
            ..counted.counts
        };
        taken.map(item).collect()
    }
}

/// One place that is different.
#[derive(Debug, Serialize, ToSchema)]
struct PlaceBody {
    /// Where in the part: `refuse_when[1].reason`.
    place: String,
    /// What stood there; left out where nothing did.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    /// What stands there; left out where nothing does.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
}

/// A part of a process that is different.
#[derive(Debug, Serialize, ToSchema)]
struct PartBody {
    /// `process`, `step`, `reason` or `review`.
    kind: &'static str,
    /// Its name; empty for the process itself.
    name: String,
    /// `added`, `removed` or `changed`.
    change: &'static str,
    /// The clause of a step, in the later version that has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    clause: Option<String>,
    /// Place by place.
    places: Vec<PlaceBody>,
}

/// A line of the two files.
#[derive(Debug, Serialize, ToSchema)]
struct LineBody {
    /// Its number in the earlier file; left out where it is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<usize>,
    /// Its number in the later file; left out where it is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<usize>,
    /// The line.
    text: String,
}

/// What is different between two versions.
#[derive(Debug, Serialize, ToSchema)]
struct Difference {
    /// The process.
    process: String,
    /// The earlier version.
    from: u32,
    /// The later version.
    to: u32,
    /// Part by part: the process itself, then steps, reasons and questions.
    parts: Vec<PartBody>,
    /// Line by line, with a few lines around; where the numbers jump, lines that are the same were left out.
    lines: Vec<LineBody>,
}

/// What is different between two versions of a process: part by part, and line by line of the files.
#[utoipa::path(get, path = "/v1/processes/{name}/difference", operation_id = "compare_versions", tag = "processes",
    params(("name" = String, Path, description = "The process"),
        ("from" = Option<u32>, Query, description = "The earlier version; default: the one before `to`"),
        ("to" = Option<u32>, Query, description = "The later version; default: the newest")),
    responses((status = 200, body = Difference)))]
async fn compare(State(api): State<Api>, caller: Caller, path: InPath, query: Query) -> Result<Response, Problem> {
    caller.require(Action::ReadRequests)?;
    let name = path.text("name")?;
    let to = version(&api, &caller, name, &query, "to")?;
    let from = if query.one("from")?.is_some() {
        version(&api, &caller, name, &query, "from")?
    } else {
        let before = api.engine().processes().versions(name).into_iter().rfind(|process| process.version < to.version);
        before.ok_or_else(|| Problem::not_found("an earlier version of this process"))?
    };
    Ok(Answer(compared(&from, &to)).into_response())
}

fn compared(from: &Process, to: &Process) -> Difference {
    let clause = |name: &str| {
        let step = to.step(name).or_else(|| from.step(name))?;
        clause_of(step).map(|clause| clause.id.clone())
    };
    let part = |part: difference::Part| PartBody {
        kind: match part.kind {
            PartKind::Process => "process",
            PartKind::Step => "step",
            PartKind::Reason => "reason",
            PartKind::Review => "review",
        },
        change: match part.change {
            Change::Added => "added",
            Change::Removed => "removed",
            Change::Changed => "changed",
        },
        clause: Some(part.name.as_str()).filter(|_| part.kind == PartKind::Step).and_then(clause),
        name: part.name,
        places: part.places.into_iter().map(|at| PlaceBody { place: at.place, from: at.from, to: at.to }).collect(),
    };
    let line = |line: difference::Line| LineBody { from: line.from, to: line.to, text: line.text };
    Difference {
        process: to.name.clone(),
        from: from.version,
        to: to.version,
        parts: difference::parts(from, to).into_iter().map(part).collect(),
        lines: difference::lines(from, to).into_iter().map(line).collect(),
    }
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(clauses)).routes(routes!(compare))
}
