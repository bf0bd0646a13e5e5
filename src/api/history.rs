//! `/v1/history` and `/v1/ledger/verify`: how the last requests went, and whether their record is whole.
//!
//! Both read many rows, so both are bounded: history looks at the newest requests of a window up to a number and says where it
//! stopped; verification goes page by page, newest first, and who wants all follows `next`.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json as Answer;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Api;
use super::auth::Caller;
use super::extract::{Query, bad};
use super::permit::Action;
use super::problem::Problem;
use super::stamp::Stamp;
use crate::domain::time::{Time, parse_duration};
use crate::engine::ports::balance::Went;
use crate::engine::ports::records::RequestFilter;
use crate::engine::verify::{Broken, Verified, one};

/// The most requests that history looks at.
const MOST: usize = 10_000;
/// How many parts the window is cut into.
const PARTS: i64 = 24;
/// The longest window.
const LONGEST: Duration = Duration::from_hours(24 * 7);

/// How the requests went that were accepted in one part of the window.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
struct Part {
    /// When it begins.
    from: Stamp,
    /// Accepted in it.
    accepted: u64,
    /// Of these: done.
    done: u64,
    /// Of these: refused.
    refused: u64,
    /// Of these: withdrawn or expired.
    other: u64,
    /// Of these: without an outcome yet.
    open: u64,
    /// Of those with an outcome: no person decided anything.
    automated: u64,
    /// Half of those with an outcome took at most this long, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    p50_ms: Option<u64>,
    /// 95 of 100 of those with an outcome took at most this long, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    p95_ms: Option<u64>,
}

/// A number of requests with something in common.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
struct Share {
    /// The process.
    process: String,
    /// The reason, the outcome or the step that they have in common.
    name: String,
    /// How many.
    count: u64,
}

/// How the last requests went.
#[derive(Debug, Serialize, ToSchema)]
struct History {
    /// When the window begins.
    from: Stamp,
    /// When it ends.
    to: Stamp,
    /// How many requests were looked at.
    requests: u64,
    /// There were more than are looked at: the window begins later than asked for.
    cut: bool,
    /// The parts of the window, oldest first, by when requests were accepted.
    parts: Vec<Part>,
    /// All of them together.
    whole: Part,
    /// Why requests were refused, most frequent first.
    refused_for: Vec<Share>,
    /// What people are asked at the moment, most frequent first.
    asked_for: Vec<Share>,
    /// Outcomes and open states by process.
    by_process: Vec<Share>,
}

/// How requests went that were accepted lately: throughput, outcomes, automation, time to outcome.
#[utoipa::path(get, path = "/v1/history", operation_id = "show_history", tag = "operations",
    params(("within" = Option<String>, Query, description = "How far back: `1h`, `24h`; at most 7d; default 24h"),
        ("process" = Option<Vec<String>>, Query, description = "Of one of these processes")),
    responses((status = 200, body = History)))]
async fn history(State(api): State<Api>, caller: Caller, query: Query) -> Result<Response, Problem> {
    caller.require(Action::ReadOperations)?;
    let within = window(&query)?;
    let to = api.engine().clock().now();
    let mut rows: Vec<Went> = Vec::new();
    if let Some(processes) = caller.narrow(query.many("process")?) {
        rows = api.engine().store().lately(&processes, to.minus(within), MOST).await?;
    }
    let cut = rows.len() >= MOST;
    let oldest = rows.iter().map(|row| row.accepted_at).min();
    let from = if cut { oldest.unwrap_or(to) } else { to.minus(within) };
    Ok(Answer(summed(&rows, from, to, cut)).into_response())
}

/// `within`: how far back to look.
pub(super) fn window(query: &Query) -> Result<Duration, Problem> {
    let within = match query.one("within")? {
        None => Duration::from_hours(24),
        Some(text) => parse_duration(text).map_err(|_| bad("within", "is a length of time such as 1h or 24h"))?,
    };
    if within < Duration::from_mins(1) || within > LONGEST {
        return Err(bad("within", "is one minute to 7d"));
    }
    Ok(within)
}

fn summed(rows: &[Went], from: Time, to: Time, cut: bool) -> History {
    let step = ((to.0 - from.0) / PARTS).max(1);
    let part = |rows: &[&Went], from: Time| measured(rows, from);
    let mut sorted: BTreeMap<i64, Vec<&Went>> = BTreeMap::new();
    for row in rows {
        sorted.entry(((row.accepted_at.0 - from.0) / step).clamp(0, PARTS - 1)).or_default().push(row);
    }
    let parts = (0..PARTS).map(|at| part(sorted.get(&at).map_or(&[], Vec::as_slice), Time(from.0 + at * step)));
    let all: Vec<&Went> = rows.iter().collect();
    let by = |name: &dyn Fn(&Went) -> Option<String>| {
        let mut counts: BTreeMap<(String, String), u64> = BTreeMap::new();
        for row in rows {
            if let Some(name) = name(row) {
                *counts.entry((row.process.clone(), name)).or_default() += 1;
            }
        }
        let mut shares: Vec<Share> = counts.into_iter().map(|((process, name), count)| Share { process, name, count }).collect();
        shares.sort_by_key(|share| std::cmp::Reverse(share.count));
        shares.truncate(50);
        shares
    };
    History {
        from: from.into(),
        to: to.into(),
        requests: rows.len() as u64,
        cut,
        parts: parts.collect(),
        whole: part(&all, from),
        refused_for: by(&|row| row.reason.clone().filter(|_| row.state == "refused")),
        asked_for: by(&|row| row.reason.clone().filter(|_| row.state == "in_review")),
        by_process: by(&|row| Some(row.state.clone())),
    }
}

fn measured(rows: &[&Went], from: Time) -> Part {
    let mut part = Part { from: from.into(), accepted: rows.len() as u64, ..Part::default() };
    let mut took = Vec::new();
    for row in rows {
        match row.state.as_str() {
            "done" => part.done += 1,
            "refused" => part.refused += 1,
            "withdrawn" | "expired" => part.other += 1,
            _ => part.open += 1,
        }
        if let Some(ended) = row.ended_at {
            part.automated += u64::from(!row.person);
            took.push(u64::try_from(ended.since(row.accepted_at).as_millis()).unwrap_or(u64::MAX));
        }
    }
    took.sort_unstable();
    let at = |hundredths: usize| took.get((took.len() * hundredths).div_ceil(100).saturating_sub(1)).copied();
    (part.p50_ms, part.p95_ms) = (at(50), at(95));
    part
}

/// One broken record.
#[derive(Debug, Serialize, ToSchema)]
struct BrokenBody {
    /// The request.
    request: Uuid,
    /// Its process.
    process: String,
    /// The first entry that does not fit.
    entry: u64,
    /// What is wrong with it.
    problem: String,
}

/// What a page of verification found.
#[derive(Debug, Serialize, ToSchema)]
struct VerifiedPage {
    /// Everything that was looked at is whole.
    whole: bool,
    /// Requests looked at.
    requests: u64,
    /// Entries looked at.
    entries: u64,
    /// The broken ones.
    broken: Vec<BrokenBody>,
    /// The next page's `cursor`; left out on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Uuid>,
}

/// Checks the chains of a page of requests, newest first: every entry's hash, and that the request's row names the head.
#[utoipa::path(get, path = "/v1/ledger/verify", operation_id = "verify_ledger", tag = "operations",
    params(("request" = Option<Uuid>, Query, description = "This one only"),
        ("cursor" = Option<Uuid>, Query, description = "`next` of the page before"),
        ("limit" = Option<u64>, Query, description = "1 to 200 requests; default 50")),
    responses((status = 200, body = VerifiedPage)))]
async fn verify(State(api): State<Api>, caller: Caller, query: Query) -> Result<Response, Problem> {
    let (limit, cursor, request) = (query.limit()?, query.id("cursor")?, query.id("request")?);
    let store = api.engine().store();
    let rows = if let Some(id) = request {
        caller.require(Action::ReadRequests)?;
        vec![api.visible(&caller, id).await?]
    } else {
        caller.require_everywhere(Action::ReadOperations)?;
        store.requests(&RequestFilter::default(), cursor, limit).await?
    };
    let mut found = Verified::default();
    for row in &rows {
        one(store.as_ref(), row, &mut found).await?;
    }
    let next = (request.is_none() && rows.len() == limit).then(|| rows.last().map(|row| row.id)).flatten();
    let shown = |broken: Broken| BrokenBody {
        request: broken.request,
        process: broken.process,
        entry: broken.entry,
        problem: broken.problem,
    };
    let (requests, entries, whole) = (found.requests, found.entries, found.broken.is_empty());
    let broken = found.broken.into_iter().map(shown).collect();
    Ok(Answer(VerifiedPage { whole, requests, entries, broken, next }).into_response())
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(history)).routes(routes!(verify))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_summed_by_parts() {
        let second = 1_000_000;
        let ended = |accepted: i64, took: i64, person| Went {
            process: "p".into(),
            state: "done".into(),
            reason: None,
            person,
            accepted_at: Time(accepted * second),
            ended_at: Some(Time((accepted + took) * second)),
        };
        let accepted_at = Time(239 * second);
        let open =
            Went { state: "in_review".into(), reason: Some("unsure".into()), accepted_at, ended_at: None, ..ended(0, 0, false) };
        let rows = [ended(0, 1, false), ended(5, 3, true), ended(11, 9, false), open];
        let history = summed(&rows, Time(0), Time(240 * second), false);
        assert_eq!(history.parts.len(), 24);
        assert_eq!((history.parts[0].accepted, history.parts[1].accepted, history.parts[23].open), (2, 1, 1));
        let whole = &history.whole;
        assert_eq!((whole.done, whole.open, whole.automated, whole.p50_ms, whole.p95_ms), (3, 1, 2, Some(3_000), Some(9_000)));
        assert_eq!(history.asked_for, [Share { process: "p".into(), name: "unsure".into(), count: 1 }]);
    }
}
