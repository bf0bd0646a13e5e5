//! What needs somebody: defects, dependencies that are not called, late reviews, workers that are gone.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::Console;
use super::dependencies::{Dependency, LATE_SECONDS, Workers};
use super::overview::Counted;
use super::read::{List, Review};
use super::session::Seat;
use super::show::{self, ago, number};
use super::text::put;
use crate::api::Refused;

/// A line, and the page where something can be done about it.
pub(super) struct Attention {
    pub(super) href: String,
    pub(super) text: String,
}

/// All of it; empty where nothing needs anybody.
pub(super) async fn needed(console: &Console, seat: &Seat, open: &[Counted], now: Timestamp) -> Result<Vec<Attention>, Refused> {
    let (desk, person, t) = (console.desk(), &seat.person, seat.look.lang.texts());
    let dependencies: List<Dependency> = desk.get(person, "/v1/dependencies").await?;
    let reviews: List<Review> = desk.get(person, "/v1/reviews?limit=200").await?;
    let workers: Workers = desk.get(person, "/v1/workers").await?;
    let mut found = Vec::new();
    let mut parked: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    let mut waiting: BTreeMap<&str, u64> = BTreeMap::new();
    for row in open {
        match row.parked.as_deref().and_then(|group| group.split_once(':')) {
            Some(("defect", fingerprint)) => *parked.entry((fingerprint, &row.process)).or_default() += row.count,
            Some((_, name)) => *waiting.entry(name).or_default() += row.count,
            None => {}
        }
    }
    found.extend(parked.iter().map(|((fingerprint, process), count)| Attention {
        href: format!("/console/defects/{fingerprint}"),
        text: put(t.overview.defect_open, &[process, &number(*count)]),
    }));
    // Also where nothing waits yet: what somebody stopped is easily forgotten.
    found.extend(dependencies.items.iter().filter(|one| one.state != "closed").map(|one| {
        let count = number(waiting.get(one.name.as_str()).copied().unwrap_or_default());
        let why = one.control.as_ref().filter(|control| !control.reason.is_empty());
        let why = why.map(|control| format!(" — {}: {}", control.by, control.reason)).unwrap_or_default();
        let text = put(t.overview.dependency_down, &[&one.name, t.control(&one.state), &count]) + &why;
        Attention { href: "/console/dependencies".to_owned(), text }
    }));
    let late = reviews.items.iter().filter(|review| show::read(&review.due_at).is_some_and(|due| due < now)).count();
    if late > 0 {
        let text = put(t.overview.reviews_late, &[&late.to_string()]);
        found.push(Attention { href: "/console/reviews?tab=team".to_owned(), text });
    }
    let of_workers = |text: String| Attention { href: "/console/workers".to_owned(), text };
    if workers.items.is_empty() {
        found.push(of_workers(t.overview.no_worker.to_owned()));
    }
    // The database's clock, which the heartbeats are written by.
    let there = show::read(&workers.now).unwrap_or(now);
    found.extend(workers.items.iter().filter_map(|worker| {
        let beat = show::read(&worker.heartbeat_at).filter(|at| show::seconds(*at, there) > LATE_SECONDS)?;
        Some(of_workers(put(t.overview.worker_late, &[&worker.name, &ago(beat, there, t)])))
    }));
    Ok(found)
}
