//! `make bench-scale`: what changes the worker's speed, one thing at a time, against the plain case before and after.

use std::time::Duration;

use super::report::Report;
use super::worker::Program;
use super::{Around, report};

/// What is there before anything is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ground {
    /// Nothing.
    Empty,
    /// So many finished requests.
    History(usize),
    /// So many parked requests, and as many that wait behind them for their turn.
    Backlog(usize),
}

/// What is measured.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    /// The process.
    pub process: String,
    /// Bytes of a payload.
    pub payload: usize,
    /// Workers on one database and one broker.
    pub workers: usize,
    /// Requests in the full part.
    pub requests: usize,
    /// Requests that are sent and have no outcome, in the full part.
    pub outstanding: usize,
    /// Requests at the fixed rate.
    pub fixed: usize,
    /// Measured at half of the maximum, too.
    pub half: bool,
    /// What is there before.
    pub ground: Ground,
}

/// The columns that say something here.
const COLUMNS: [&str; 14] = [
    "requests/s",
    "CPU-s/1000",
    "worker",
    "database",
    "broker",
    "p50 full",
    "p95 full",
    "commits/request",
    "WAL KiB/request",
    "peak MiB",
    "lost",
    "duplicated",
    "not done",
    "others' cores",
];
/// Finished requests, where `--history` does not say.
const HISTORY: usize = 2_000_000;
/// Parked, and as many queued.
const BACKLOG: usize = 100_000;
/// Requests that come at once.
const BURST: usize = 100_000;
/// How long the idle worker is watched.
const IDLE: Duration = Duration::from_mins(1);

/// Measures all cases; the last of `programs` is looked at alone.
pub(crate) async fn run(around: &Around, programs: &[(String, Program)], report: &mut Report) -> anyhow::Result<()> {
    let Some((_, program)) = programs.last() else { return Ok(()) };
    let small = around.args.small;
    let of = |size: usize| if small { size / 100 } else { size };
    for _ in 0..around.args.rounds.unwrap_or(1) {
        if let Some((postgres, rabbitmq)) = &around.postgres {
            for (name, case) in cases(around, of) {
                report.rounds.push(around.both(name, program, &case, postgres, rabbitmq).await?);
                println!("\n{}", report.table(&COLUMNS));
            }
            let length = if small { IDLE / 20 } else { IDLE };
            report.idle = Some(around.idle(program, length, postgres, rabbitmq).await?);
        }
        if around.args.only.as_deref() != Some("postgres") {
            let case = Case { requests: of(around.args.requests), ..plain(around, of) };
            report.rounds.push(around.sqlite("SQLite, over HTTP", program, &case).await?);
        }
    }
    println!("\n{}", report.table(&COLUMNS));
    if let Some(idle) = &report.idle {
        println!("{}", report::idle_line(idle));
    }
    Ok(())
}

fn plain(around: &Around, of: impl Fn(usize) -> usize) -> Case {
    Case { requests: of(around.args.requests), fixed: 0, half: false, ground: Ground::Empty, ..around.args.case() }
}

fn cases(around: &Around, of: impl Fn(usize) -> usize) -> Vec<(&'static str, Case)> {
    let plain = plain(around, &of);
    let process = |name: &str| Case { process: name.to_owned(), ..plain.clone() };
    let history = if around.args.history > 0 { around.args.history } else { HISTORY };
    vec![
        ("plain: 3 calls, 400 bytes", plain.clone()),
        ("1 call", process("bench_one")),
        ("10 calls", process("bench_ten")),
        ("1 KB", Case { payload: 1_024, ..plain.clone() }),
        ("50 KB", Case { payload: 50 * 1_024, ..plain.clone() }),
        ("30 % end in review", process("bench_review")),
        ("2 workers", Case { workers: 2, ..plain.clone() }),
        ("a burst", Case { requests: of(BURST), outstanding: of(BURST), ..plain.clone() }),
        ("plain, again", plain.clone()),
        ("backlog: queued and parked", Case { ground: Ground::Backlog(of(BACKLOG)), ..plain.clone() }),
        ("history: finished", Case { ground: Ground::History(of(history)), ..plain.clone() }),
        ("plain, at the end", plain.clone()),
    ]
}
