//! What was measured, as one table for people and one file for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::load::Outcome;

/// One worker on one kind of servers in one round.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Round {
    /// The program's label.
    pub program: String,
    /// `sqlite` or `postgres+rabbitmq`.
    pub servers: &'static str,
    /// As fast as it goes.
    pub full: Outcome,
    /// At the fixed rate.
    pub fixed: Outcome,
    /// At half of its own maximum.
    pub half: Outcome,
    /// CPU of the full part in milliseconds, by group of processes.
    pub cpu_ms: BTreeMap<String, u64>,
    /// Transactions of the committer, in the full part.
    pub commits: f64,
    /// Writes in them.
    pub writes: f64,
    /// All transactions that wrote anything, in the full part; PostgreSQL only.
    pub transactions: Option<u64>,
    /// Bytes of write-ahead log in the full part; PostgreSQL only.
    pub wal_bytes: Option<u64>,
    /// Rows inserted, updated and deleted in the full part; PostgreSQL only.
    pub rows: Option<u64>,
    /// The worker's peak resident memory.
    pub peak_mib: u64,
}

/// Everything.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Requests in the full part of a round.
    pub requests: usize,
    /// Requests in flight there.
    pub outstanding: usize,
    /// Requests per second in the fixed part.
    pub rate: u32,
    /// What the stub can do at the least, in calls per second.
    pub stub_limit: f64,
    /// What the broker can do without a worker: messages per second.
    pub broker_limit: Option<f64>,
    /// What that costs the broker: CPU milliseconds per message.
    pub broker_cpu_ms: Option<f64>,
    /// Durable transactions per second of one client, one after the other.
    pub commit_limit: Option<f64>,
    /// Cores of this machine.
    pub cores: usize,
    /// All rounds.
    pub rounds: Vec<Round>,
    /// With `--scale`: a worker with nothing to do.
    pub idle: Option<Idle>,
}

/// A worker with nothing to do.
#[derive(Debug, Serialize)]
pub(crate) struct Idle {
    /// How long it was watched.
    pub seconds: u64,
    /// CPU in that time in milliseconds, by group of processes.
    pub cpu_ms: BTreeMap<String, u64>,
    /// The worker's peak resident memory.
    pub peak_mib: u64,
}

/// What an idle worker costs, in one line.
#[expect(clippy::cast_precision_loss, reason = "numbers for people")]
pub(crate) fn idle_line(idle: &Idle) -> String {
    let of = |group: &str| idle.cpu_ms.get(group).copied().unwrap_or_default() as f64 / idle.seconds.max(1) as f64;
    format!(
        "idle for {} s: {:.1} ms of CPU a second in the worker, {:.1} in the database, {:.1} in the broker; {} MiB",
        idle.seconds,
        of("worker"),
        of("database"),
        of("broker"),
        idle.peak_mib
    )
}

/// The floor's label.
pub(crate) const FLOOR: &str = "floor";
/// The servers that the floor runs on.
pub(crate) const BOTH: &str = "postgres+rabbitmq";

impl Round {
    /// Everything that was sent and heard.
    fn parts(&self) -> [&Outcome; 3] {
        [&self.full, &self.fixed, &self.half]
    }
}

/// CPU of the full part, in seconds per thousand requests.
#[expect(clippy::cast_precision_loss, reason = "numbers for people")]
fn per_thousand(round: &Round, group: &str) -> f64 {
    round.cpu_ms.get(group).copied().unwrap_or_default() as f64 / round.full.done.max(1) as f64
}

fn cpu(round: &Round) -> f64 {
    ["worker", "database", "broker"].iter().map(|group| per_thousand(round, group)).sum()
}

/// A column: its head, and its value in a round.
type Column<'r> = (&'static str, Box<dyn Fn(&Round) -> f64 + 'r>);

#[expect(clippy::cast_precision_loss, reason = "numbers for people")]
impl Report {
    /// The median of all rounds, one line per program and kind of servers, in Markdown; `only` these columns, where any are named.
    pub(crate) fn table(&self, only: &[&str]) -> String {
        let each = |round: &Round, value: f64| value / round.full.done.max(1) as f64;
        let mut columns: Vec<Column<'_>> = vec![
            ("requests/s", Box::new(|round| round.full.done as f64 / round.full.seconds)),
            ("CPU-s/1000", Box::new(cpu)),
            ("worker", Box::new(move |round| per_thousand(round, "worker"))),
            ("database", Box::new(move |round| per_thousand(round, "database"))),
            ("broker", Box::new(move |round| per_thousand(round, "broker"))),
            ("stub", Box::new(move |round| per_thousand(round, "stub"))),
            ("load", Box::new(move |round| per_thousand(round, "load"))),
            ("p50 full", Box::new(|round| round.full.p50_ms)),
            ("p95 full", Box::new(|round| round.full.p95_ms)),
            ("p50 fixed", Box::new(|round| round.fixed.p50_ms)),
            ("p95 fixed", Box::new(|round| round.fixed.p95_ms)),
            ("p99 fixed", Box::new(|round| round.fixed.p99_ms)),
            ("p50 half", Box::new(|round| round.half.p50_ms)),
            ("p95 half", Box::new(|round| round.half.p95_ms)),
            ("p99 half", Box::new(|round| round.half.p99_ms)),
            ("commits/request", Box::new(move |round| each(round, round.transactions.map_or(round.commits, |all| all as f64)))),
            ("writes/commit", Box::new(|round| round.writes / round.commits.max(1.0))),
            ("rows/request", Box::new(move |round| each(round, round.rows.unwrap_or_default() as f64))),
            ("WAL KiB/request", Box::new(move |round| each(round, round.wal_bytes.unwrap_or_default() as f64 / 1024.0))),
            ("peak MiB", Box::new(|round| round.peak_mib as f64)),
            ("lost", Box::new(|round| round.parts().iter().map(|part| part.lost).sum::<usize>() as f64)),
            ("duplicated", Box::new(|round| round.parts().iter().map(|part| part.duplicated).sum::<usize>() as f64)),
            ("not done", Box::new(|round| round.parts().iter().map(|part| part.other).sum::<usize>() as f64)),
            ("others' cores", Box::new(|r| r.cpu_ms.get("others").copied().unwrap_or_default() as f64 / 1e3 / r.full.seconds)),
        ];
        columns.retain(|(head, _)| only.is_empty() || only.contains(head));
        let mut table = String::from("| program | servers |");
        for (head, _) in &columns {
            write!(table, " {head} |").ok();
        }
        table.push_str("\n|---|---|");
        table.push_str(&"---|".repeat(columns.len()));
        table.push('\n');
        let mut lines: Vec<(&str, &str)> = Vec::new();
        for round in &self.rounds {
            if !lines.contains(&(round.program.as_str(), round.servers)) {
                lines.push((&round.program, round.servers));
            }
        }
        if only.is_empty() {
            lines.sort_by_key(|(_, servers)| *servers);
        }
        for (program, servers) in lines {
            write!(table, "| {program} | {servers} |").ok();
            let rounds = || self.rounds.iter().filter(|round| round.program == program && round.servers == servers);
            for (head, value) in &columns {
                let all: Vec<f64> = rounds().map(value).collect();
                // What must not happen may not disappear in a median.
                let shown = if matches!(*head, "lost" | "duplicated" | "not done") { all.iter().sum() } else { median(all) };
                write!(table, " {} |", short(shown)).ok();
            }
            table.push('\n');
        }
        table
    }

    /// Did every request end as it should, once?
    pub(crate) fn sound(&self) -> bool {
        let fine = |outcome: &Outcome| outcome.lost == 0 && outcome.duplicated == 0 && outcome.other == 0;
        self.rounds.iter().all(|round| round.parts().iter().all(|part| fine(part)))
    }

    /// Each program against the floor of the same round: requests per second, CPU per request, median latency at the fixed rate.
    pub(crate) fn ratios(&self) -> Vec<(String, f64, f64, f64)> {
        let floors: Vec<&Round> = self.rounds.iter().filter(|round| round.program == FLOOR).collect();
        let mut programs: Vec<&str> = self.rounds.iter().map(|round| round.program.as_str()).collect();
        programs.sort_unstable();
        programs.dedup();
        let of = |program: &str, value: &dyn Fn(&Round) -> f64| {
            let rounds = self.rounds.iter().filter(|round| round.program == program && round.servers == BOTH);
            median(rounds.zip(&floors).map(|(round, floor)| value(round) / value(floor)).collect())
        };
        let others = programs.into_iter().filter(|program| *program != FLOOR && !floors.is_empty());
        let rate = |round: &Round| round.full.done as f64 / round.full.seconds;
        others.map(|name| (name.to_owned(), of(name, &rate), of(name, &cpu), of(name, &|round| round.fixed.p50_ms))).collect()
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Three digits are what such a measurement is worth.
fn short(value: f64) -> String {
    if value == 0.0 {
        "0".to_owned()
    } else if value >= 100.0 {
        format!("{value:.0}")
    } else if value >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.3}")
    }
}
