//! A worker at rest (G10): it holds no permits, no task that is not always there, and no connection too many. Load and faults leave
//! nothing behind, however often they come.

use std::time::{Duration, Instant};

use super::client::Client;
use super::world::{Place, Worker, World};
use crate::harness::process::Open;
use crate::harness::wait;

/// The most connections to the database: those of the three pools (`src/store/postgres/db.rs`).
const DATABASE: usize = 6 + 6 + 8;
/// The most idle connections that are kept for each target, and targets there are.
const TARGETS: usize = 5 * 64;

/// Connectors of these worlds.
const CONNECTORS: usize = 8;
/// SQLite's connections are made when they are needed, and kept: five, each with its file, its log and the log's index.
const EMBEDDED_FILES: usize = 5 * 3;

/// What the broker's library does first outside of our runtime, when it closes a lost connection, starts a small one, once per process.
const FALLBACK_FILES: usize = 3;

/// So many looks that find the same, a tenth of a second apart, end the start of a worker.
const STEADY: usize = 5;
/// How long that may take.
const SETTLED: Duration = Duration::from_secs(20);

/// What a worker has when it is at rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idle {
    /// Tasks, but for those that serve one connection each: callers, and targets that were called.
    pub tasks: usize,
    /// Connections to the broker.
    pub broker: usize,
    /// Files that are no sockets.
    pub files: Vec<String>,
}

/// What it has now, its permits included: requests in flight.
async fn now(world: &World, worker: &Worker) -> Option<(Idle, usize, usize, usize)> {
    let client = Client::new(worker.port, "");
    let page = client.text("/metrics").await;
    // The page's own connection is still there.
    let open = worker.process.open(worker.port);
    let number = |name: &str| -> Option<usize> {
        page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).and_then(|text| text.parse().ok())
    };
    let [database, broker] = [Place::Database, Place::Broker].map(|place| to(world, &open, place));
    let all: usize = open.servers.values().sum();
    let targets = all - database - broker;
    let tasks = number("mozhao_tasks_alive")?.checked_sub(open.callers + targets)?;
    Some((Idle { tasks, broker, files: open.files }, number("mozhao_in_flight")?, database, targets))
}

fn to(world: &World, open: &Open, place: Place) -> usize {
    world.port_to(place).and_then(|port| open.servers.get(&port).copied()).unwrap_or(0)
}

/// What a worker has that has nothing to do yet. It is ready before all that is always there has started: this waits until nothing
/// comes and nothing goes any more: what a start holds for a moment is no measure of what may be left.
pub async fn measure(world: &World, worker: &Worker) -> Idle {
    let look = || async { now(world, worker).await.map(|(idle, ..)| idle) };
    let (begun, mut looks) = (Instant::now(), Vec::new());
    loop {
        looks.push(wait::until_some("a page of metrics", SETTLED, look).await);
        let last = &looks[looks.len().saturating_sub(STEADY)..];
        if last.len() == STEADY && last.iter().all(|idle| *idle == last[0]) {
            return last[0].clone();
        }
        assert!(begun.elapsed() < SETTLED, "a worker with nothing to do does not come to rest: {last:?}");
        wait::let_pass(Duration::from_millis(100)).await;
    }
}

/// Waits until a worker has no more than when it began.
pub async fn reached(world: &World, worker: &Worker, deadline: Duration) {
    let Some(begun) = &world.idle else { return };
    let mut last = None;
    let start = Instant::now();
    loop {
        if let Some(found) = now(world, worker).await {
            let (idle, in_flight, database, targets) = &found;
            let mut files = begun.files.len();
            files += if world.is_embedded() { EMBEDDED_FILES } else { 0 };
            files += if world.amqp.is_some() { FALLBACK_FILES } else { 0 };
            let bounded = *database <= DATABASE && *targets <= TARGETS && idle.files.len() <= files;
            // A connector with idle connections has one task that closes them when they are old.
            let tasks = begun.tasks + *targets.min(&CONNECTORS);
            if *in_flight == 0 && bounded && idle.tasks <= tasks && idle.broker <= begun.broker {
                println!("at rest: {found:?}; at the beginning {begun:?}");
                return;
            }
            last = Some(found);
        }
        assert!(start.elapsed() < deadline, "G10 a worker at rest holds {last:?}; at the beginning {begun:?}");
        wait::let_pass(Duration::from_millis(100)).await;
    }
}
