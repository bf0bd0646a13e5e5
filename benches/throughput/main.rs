//! `make bench`: what the core costs. See `benches/README.md`.
//!
//! What is hard is to be fair. The load, the target, the broker, the database and the worker share the same few cores, so
//! the load and the target are made to cost little and their CPU is shown; versions of the worker are compared only inside
//! one run, in turns, each time on an empty database; and what ran on the machine besides is shown too.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]
#![allow(unreachable_pub, reason = "the modules of one program")]

mod amqp;
mod database;
mod floor;
#[path = "../../tests/harness/mod.rs"]
mod harness;
mod http;
mod load;
mod report;
mod scale;
mod stub;
mod usage;
mod web;
mod worker;

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Parser;

use self::database::Database;
use self::harness::postgres::Postgres;
use self::harness::rabbitmq::RabbitMq;
use self::load::{Outcome, Pace};
use self::report::{Idle, Report, Round};
use self::scale::{Case, Ground};
use self::stub::Stub;
use self::usage::{Groups, peak_mib};
use self::worker::{Program, Servers, Worker};

/// What the core costs: throughput, CPU, latency, memory
#[derive(Debug, Parser)]
#[expect(clippy::struct_excessive_bools, reason = "switches")]
struct Args {
    /// Rounds; the table shows medians (3, with `--scale` 1)
    #[arg(long)]
    rounds: Option<usize>,
    /// Requests in the full part of a round
    #[arg(long, default_value_t = 20_000)]
    requests: usize,
    /// Requests that are sent and have no outcome yet, in the full part
    #[arg(long, default_value_t = 512)]
    outstanding: usize,
    /// Requests per second in the fixed part
    #[arg(long, default_value_t = 50)]
    rate: u32,
    /// Seconds of the fixed part
    #[arg(long, default_value_t = 10)]
    fixed_seconds: u32,
    /// Only `sqlite` or `postgres`
    #[arg(long)]
    only: Option<String>,
    /// Another build of the program, measured in turns with this one: NAME=PATH (repeatable)
    #[arg(long = "against", value_name = "NAME=PATH")]
    against: Vec<String>,
    /// `bench`: every step durable before the next; `bench_plain`: verdicts wait for the next effect
    #[arg(long, default_value = "bench")]
    process: String,
    /// Bytes of a payload, up to 60,000
    #[arg(long, default_value_t = 400)]
    payload: usize,
    /// Workers on one database and one broker
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// Finished requests that are in the database before anything is measured
    #[arg(long, default_value_t = 0)]
    history: usize,
    /// Without the floor
    #[arg(long)]
    no_floor: bool,
    /// Instead: how the worker's speed changes with calls, bytes, reviews, workers, a burst, history, a backlog; and what it costs when
    /// idle. One round unless `--rounds` says otherwise
    #[arg(long)]
    scale: bool,
    /// With `--scale`: everything a hundredth of its size, to see that it runs
    #[arg(long, requires = "scale")]
    small: bool,
    /// Count PostgreSQL's statements and show the dearest (costs a little)
    #[arg(long)]
    statements: bool,
    /// Record a profile of the worker's full part with perf, into this folder
    #[arg(long, value_name = "FOLDER")]
    perf: Option<PathBuf>,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// Requests that wait for their outcome over HTTP: below what the worker lets wait at once.
const WAITING: usize = 128;
/// Seconds at half of the maximum.
const HALF_SECONDS: usize = 4;
/// Requests before anything is measured: plans, pools and caches.
const WARM_UP: usize = 1_000;

/// The allocator that the worker uses: for the floor, which is this program too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The servers of the whole run.
struct Around {
    args: Args,
    stub: Stub,
    postgres: Option<(Postgres, RabbitMq)>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    if let Ok(settings) = std::env::var(floor::FLOOR) {
        return floor::run(serde_json::from_str(&settings)?).await;
    }
    let args = Args::parse();
    let mut programs = Vec::new();
    if !args.no_floor && !args.scale {
        programs.push((report::FLOOR.to_owned(), Program::Floor));
    }
    for other in &args.against {
        let (name, path) = other.split_once('=').context("--against NAME=PATH")?;
        programs.push((name.to_owned(), Program::Mozhao(path.into())));
    }
    programs.push(("this".to_owned(), Program::Mozhao(PathBuf::from(env!("CARGO_BIN_EXE_mozhao")))));
    let stub = Stub::start()?;
    let stub_limit = stub.limit(64, Duration::from_secs(1)).await?;
    println!("the stub alone: {stub_limit:.0} calls/s at the least (its caller takes the other half of the machine)");
    let postgres = if args.only.as_deref() == Some("sqlite") { None } else { Some(servers(args.statements).await?) };
    let around = Around { args, stub, postgres };
    let mut report = Report {
        requests: around.args.requests,
        outstanding: around.args.outstanding,
        rate: around.args.rate,
        stub_limit,
        broker_limit: None,
        broker_cpu_ms: None,
        commit_limit: None,
        cores: std::thread::available_parallelism()?.get(),
        rounds: Vec::new(),
        idle: None,
    };
    around.limits(&mut report).await?;
    if around.args.scale {
        scale::run(&around, &programs, &mut report).await?;
    } else {
        let case = around.args.case();
        for number in 1..=around.args.rounds.unwrap_or(3) {
            // Whoever comes later finds a broker that has more behind it: each comes first in its turn.
            if number > 1 {
                programs.rotate_left(1);
            }
            for (name, program) in &programs {
                if around.args.only.as_deref() != Some("postgres") && name != report::FLOOR {
                    report.rounds.push(around.sqlite(name, program, &case).await?);
                }
                if let Some((postgres, rabbitmq)) = &around.postgres {
                    report.rounds.push(around.both(name, program, &case, postgres, rabbitmq).await?);
                }
            }
            println!("\nafter round {number}:\n\n{}", report.table(&[]));
        }
    }
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("../bench");
    std::fs::create_dir_all(&folder)?;
    let file = folder.join(if around.args.scale { "scale.json" } else { "throughput.json" });
    std::fs::write(&file, serde_json::to_vec_pretty(&report)?)?;
    for (name, rate, cpu, latency) in report.ratios() {
        println!(
            "{name}: ratio_to_floor {rate:.2} (requests/s), {cpu:.2} (CPU per request), {latency:.2} (p50 at the fixed rate)"
        );
    }
    println!("written: {}", file.canonicalize()?.display());
    ensure!(report.sound(), "requests were lost, duplicated, or did not end as they should");
    Ok(())
}

async fn servers(statements: bool) -> anyhow::Result<(Postgres, RabbitMq)> {
    let (mut postgres, rabbitmq) = tokio::join!(Postgres::start(), RabbitMq::start());
    if statements {
        Database::open(&postgres.url("postgres")).await?.count_statements().await?;
        postgres.stop().await;
        postgres.restart().await;
    }
    Ok((postgres, rabbitmq))
}

impl Args {
    /// What is measured where nothing else is asked for.
    fn case(&self) -> Case {
        Case {
            process: self.process.clone(),
            payload: self.payload,
            workers: self.workers,
            requests: self.requests,
            outstanding: self.outstanding,
            fixed: usize::try_from(self.rate * self.fixed_seconds).unwrap_or(usize::MAX),
            half: true,
            ground: if self.history > 0 { Ground::History(self.history) } else { Ground::Empty },
        }
    }
}

impl Around {
    /// What the servers can do without a worker.
    #[expect(clippy::cast_precision_loss, reason = "numbers for people")]
    async fn limits(&self, report: &mut Report) -> anyhow::Result<()> {
        let Some((postgres, rabbitmq)) = &self.postgres else { return Ok(()) };
        let groups = Groups { tops: vec![("broker", rabbitmq.pid())], stub: self.stub.thread };
        amqp::alone(&rabbitmq.url(), WARM_UP, self.args.outstanding).await?;
        let (count, before) = (self.args.requests.min(20_000), groups.read()?);
        let messages = amqp::alone(&rabbitmq.url(), count, self.args.outstanding).await?;
        let spent = groups.read()?.since(&before).get("broker").copied().unwrap_or_default();
        let cpu_ms = spent as f64 / count as f64;
        let commits = Database::open(&postgres.url("postgres")).await?.alone(WARM_UP).await?;
        println!("the broker alone: {messages:.0} messages/s, published and consumed, at {cpu_ms:.3} ms of its CPU each");
        println!("the database alone: {commits:.0} durable transactions/s from one client");
        (report.broker_limit, report.broker_cpu_ms, report.commit_limit) = (Some(messages), Some(cpu_ms), Some(commits));
        Ok(())
    }

    fn paces(&self, case: &Case, most: usize) -> [(&'static str, usize, Pace); 3] {
        let full = Pace::Full { outstanding: case.outstanding.min(most) };
        let fixed = Pace::Fixed { per_second: self.args.rate };
        [("warm", WARM_UP.min(case.requests), full), ("fixed", case.fixed, fixed), ("full", case.requests, full)]
    }

    fn target(&self) -> String {
        format!("http://{}", self.stub.address)
    }

    async fn sqlite(&self, name: &str, program: &Program, case: &Case) -> anyhow::Result<Round> {
        load::PAYLOAD.store(case.payload, Ordering::Relaxed);
        let worker = Worker::start(program, &Servers::Sqlite, &self.target()).await?;
        let front = web::FrontEnd { address: ([127, 0, 0, 1], worker.port).into(), token: worker.token()? };
        let groups = Groups { tops: vec![("worker", worker.pid())], stub: self.stub.thread };
        let measured = self
            .measure((name, "sqlite"), case, &worker, groups, None, async |run, count, pace| front.run(run, count, pace).await);
        let round = measured.await?;
        worker.stop().await?;
        Ok(round)
    }

    async fn both(
        &self,
        name: &str,
        program: &Program,
        case: &Case,
        postgres: &Postgres,
        rabbitmq: &RabbitMq,
    ) -> anyhow::Result<Round> {
        load::PAYLOAD.store(case.payload, Ordering::Relaxed);
        let url = postgres.create_database().await;
        let prefix = format!("b{}", uuid::Uuid::now_v7().simple());
        let servers = Servers::Both { postgres: url.clone(), rabbitmq: rabbitmq.url(), prefix: prefix.clone() };
        let worker = Worker::start(program, &servers, &self.target()).await?;
        let front = amqp::FrontEnd::open(&rabbitmq.url(), &prefix, &case.process).await?;
        let mut more = Vec::new();
        let mut database = Database::open(&url).await?;
        if let Program::Mozhao(_) = program {
            for _ in 1..case.workers {
                more.push(Worker::start(program, &servers, &self.target()).await?);
            }
            database.lay(case.ground).await?;
        }
        let mut tops = vec![("worker", worker.pid()), ("database", postgres.pid()), ("broker", rabbitmq.pid())];
        tops.extend(more.iter().map(|worker| ("worker", worker.pid())));
        let groups = Groups { tops, stub: self.stub.thread };
        let measured =
            self.measure((name, report::BOTH), case, &worker, groups, Some(&mut database), async |run, count, pace| {
                front.run(run, count, pace).await
            });
        let round = measured.await?;
        worker.stop().await?;
        for worker in more {
            worker.stop().await?;
        }
        front.close(&prefix).await?;
        drop(database);
        Database::open(&postgres.url("postgres")).await?.drop_database(&url).await?;
        Ok(round)
    }

    /// What a worker with nothing to do costs.
    async fn idle(&self, program: &Program, length: Duration, postgres: &Postgres, rabbitmq: &RabbitMq) -> anyhow::Result<Idle> {
        let url = postgres.create_database().await;
        let prefix = format!("b{}", uuid::Uuid::now_v7().simple());
        let servers = Servers::Both { postgres: url, rabbitmq: rabbitmq.url(), prefix };
        let worker = Worker::start(program, &servers, &self.target()).await?;
        let tops = vec![("worker", worker.pid()), ("database", postgres.pid()), ("broker", rabbitmq.pid())];
        let groups = Groups { tops, stub: self.stub.thread };
        // What the start leaves to be done.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let before = groups.read()?;
        tokio::time::sleep(length).await;
        let cpu_ms = groups.read()?.since(&before);
        let idle = Idle { seconds: length.as_secs(), cpu_ms, peak_mib: peak_mib(worker.pid())? };
        worker.stop().await?;
        Ok(idle)
    }

    /// Warms up, then the fixed part, then the full one.
    async fn measure(
        &self,
        (name, servers): (&str, &'static str),
        case: &Case,
        worker: &Worker,
        groups: Groups,
        mut database: Option<&mut Database>,
        run: impl AsyncFn(&str, usize, Pace) -> anyhow::Result<Outcome>,
    ) -> anyhow::Result<Round> {
        let most = if database.is_some() { usize::MAX } else { WAITING };
        let [warm, fixed, full] = self.paces(case, most);
        run(warm.0, warm.1, warm.2).await?;
        let fixed = run(fixed.0, fixed.1, fixed.2).await?;
        let before = worker.commits().await?;
        let mut mark = None;
        if let Some(database) = &mut database {
            database.checkpoint().await?;
            if self.args.statements {
                database.forget_statements().await?;
            }
            mark = Some(database.mark().await?);
        }
        let mut perf = self.perf(name, servers, worker.pid())?;
        let cpu = groups.read()?;
        let full = run(full.0, full.1, full.2).await?;
        let cpu_ms = groups.read()?.since(&cpu);
        if let Some(perf) = &mut perf {
            Command::new("kill").args(["-INT", &perf.id().to_string()]).status()?;
            perf.wait()?;
        }
        let (mut transactions, mut wal_bytes, mut rows) = (None, None, None);
        if let (Some(database), Some(mark)) = (&mut database, mark) {
            // Sessions report their rows once a second.
            tokio::time::sleep(Duration::from_millis(1500)).await;
            let (all, bytes, changed) = database.mark().await?.since(mark);
            (transactions, wal_bytes, rows) = (Some(all), Some(bytes), Some(changed));
            if self.args.statements {
                println!("\n{name}, statements of {} requests:\n\n{}", full.done, database.statements().await?);
            }
        }
        let after = worker.commits().await?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a rate")]
        let rate = ((full.done as f64 / full.seconds / 2.0) as u32).max(1);
        let count = if case.half { usize::try_from(rate).unwrap_or(usize::MAX).saturating_mul(HALF_SECONDS) } else { 0 };
        let half = run("half", count, Pace::Fixed { per_second: rate }).await?;
        let peak_mib = peak_mib(worker.pid())?;
        eprintln!("{name} on {servers}: {} requests in {:.1} s", full.done, full.seconds);
        Ok(Round {
            program: name.to_owned(),
            servers,
            full,
            fixed,
            half,
            cpu_ms,
            commits: after.batches - before.batches,
            writes: after.writes - before.writes,
            transactions,
            wal_bytes,
            rows,
            peak_mib,
        })
    }

    fn perf(&self, name: &str, servers: &str, pid: u32) -> anyhow::Result<Option<Child>> {
        let Some(folder) = &self.args.perf else { return Ok(None) };
        std::fs::create_dir_all(folder)?;
        let file = folder.join(format!("{name}-{servers}.perf"));
        let mut command = Command::new("perf");
        command.args(["record", "-q", "-F", "997", "--call-graph", "fp", "-p", &pid.to_string(), "-o"]).arg(file);
        Ok(Some(command.stdout(Stdio::null()).spawn().context("cannot start perf")?))
    }
}
