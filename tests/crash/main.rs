//! Crash points with real processes on real databases: see `tests/README.md`, "Crash points".
//!
//! The hard problem: a worker may die, freeze or lose a reply between any two durable facts. So every such place has a name
//! (`points.rs`), one run writes down all of them, and then a process for each is killed (SIGABRT, which no handler sees), told
//! of an error, or stopped for longer than its lease while another one takes over; the books must be right in the end.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "../harness/mod.rs"]
mod harness;

mod child;
mod points;
#[path = "../harness/wrapped_store.rs"]
mod wrapped_store;
mod zombies;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use mozhao::domain::request::chain;
use mozhao::engine::ports::records::RequestFilter;
use mozhao::store::{Role, open};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::Instant;

use child::Target;
use harness::wait::{until_some, until_true};

/// The lease of these workers.
const LEASE: Duration = Duration::from_millis(1_200);
/// How many cases side by side: they mostly wait.
const SIDE_BY_SIDE: usize = 4;
/// How many cases of each database a plain run plays.
const CASES: usize = 20;
const DEADLINE: Duration = Duration::from_mins(1);

/// Not a test: the process that the tests below start.
#[test]
fn child() {
    child::live();
}

fn start(folder: &Path, database: &str, at: &str) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child", "--nocapture"]).env("MOZHAO_CRASH_FOLDER", folder);
    command.env("MOZHAO_CRASH_DATABASE", database).env("MOZHAO_CRASH_AT", at).env("RUST_BACKTRACE", "0");
    let log = fs::File::options().create(true).append(true).open(folder.join("log")).unwrap();
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).kill_on_drop(true);
    command.spawn().unwrap()
}

fn is_stopped(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
}

fn signal(name: &str, pid: u32) {
    let done = std::process::Command::new("kill").args([name, &pid.to_string()]).status();
    assert!(done.unwrap().success());
}

/// Waits for the process; `None` where it has stopped itself.
async fn ended(child: &mut Child) -> Option<std::process::ExitStatus> {
    let pid = child.id().unwrap();
    let mut status = None;
    until_true("the process to end or to stop", DEADLINE, || {
        status = child.try_wait().unwrap();
        status.is_some() || is_stopped(pid)
    })
    .await;
    status
}

/// Why a process failed, if it did.
fn fine(folder: &Path, status: std::process::ExitStatus, what: &str) -> Result<(), String> {
    if status.success() {
        return Ok(());
    }
    let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
    let why = log.lines().find(|line| line.contains("panicked")).unwrap_or_default();
    let next = log.lines().skip_while(|line| !line.contains("panicked")).nth(1).unwrap_or_default();
    Err(format!("{what} failed: {status}: {why} {next}"))
}

/// Plays one case; why it failed, if it did, and whether the point was reached.
async fn play(database: &str, at: &str) -> Result<bool, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let url = if database.is_empty() { format!("sqlite://{}", path.join("mozhao.db").display()) } else { database.to_owned() };
    let fine = |status, what| fine(path, status, what);
    let mut first = start(path, &url, at);
    let pid = first.id().unwrap();
    let reached = match ended(&mut first).await {
        Some(status) if status.signal() == Some(6) => {
            fine(start(path, &url, "").wait().await.unwrap(), "the successor")?;
            true
        }
        Some(status) => {
            fine(status, "the process")?;
            // Told of an error, it goes on to its end; so does one that never came by.
            at.starts_with("error") && passed(path, pid, at)
        }
        None => {
            // On PostgreSQL another one takes over meanwhile; a SQLite file has one worker.
            let successor = (!database.is_empty()).then(|| start(path, &url, ""));
            // The lease has to pass, by the real clock of the database.
            let stopped = Instant::now();
            until_true("the lease to pass", DEADLINE, || stopped.elapsed() > LEASE * 2).await;
            signal("-CONT", pid);
            if let Some(mut successor) = successor {
                fine(
                    tokio::time::timeout(DEADLINE, successor.wait()).await.map_err(|_| "the successor hangs")?.unwrap(),
                    "the successor",
                )?;
            }
            fine(
                tokio::time::timeout(DEADLINE, first.wait()).await.map_err(|_| "it hangs after its stop")?.unwrap(),
                "the zombie",
            )?;
            true
        }
    };
    books(path, &url).await?;
    Ok(reached)
}

/// Did this process come by the case's point as often as the case says? (`error 2 before commit of intent`)
fn passed(folder: &Path, pid: u32, at: &str) -> bool {
    let mut words = at.splitn(3, ' ').skip(1);
    let (hit, name) = (words.next().unwrap().parse().unwrap(), words.next().unwrap());
    let points = fs::read_to_string(folder.join(format!("points.{pid}"))).unwrap_or_default();
    points.lines().filter(|line| *line == name).count() >= hit
}

async fn books(folder: &Path, url: &str) -> Result<(), String> {
    // On a busy machine the database may be late: it is asked again.
    let store = until_some("the database", DEADLINE, async || open::open(url, Role::Tool).await.ok()).await;
    let rows = async || store.requests(&RequestFilter::default(), None, 10).await.ok();
    let rows = until_some("the requests", DEADLINE, rows).await;
    let [row] = rows.as_slice() else { return Err(format!("G1: {} requests", rows.len())) };
    let loaded = until_some("the ledger", DEADLINE, async || store.load(row.id).await.ok()).await;
    chain::verify(row.id, &loaded.entries).map_err(|error| format!("G8: {error}"))?;
    if row.state != "done" {
        return Err(format!("G2: it is {}", row.state));
    }
    let target = Target(folder.join("target"));
    for step in ["hold", "book", "tell"] {
        if target.standing(step) != 1 {
            return Err(format!("G3: {step} stands {}", target.standing(step)));
        }
    }
    let balance = until_some("the balance", DEADLINE, async || store.balance().await.ok()).await;
    if !balance.holds() || balance.accepted != 1 || balance.open() > 0 || balance.unpublished > 0 {
        return Err(format!("G11: {balance:?}"));
    }
    let sink = fs::read_to_string(folder.join("sink")).unwrap_or_default();
    let mut told: Vec<&str> = sink.lines().filter(|line| line.starts_with("request.transfer.done ")).collect();
    told.sort_unstable();
    told.dedup();
    if told.len() != 1 {
        return Err(format!("G7: its outcome was told by {} events", told.len()));
    }
    Ok(())
}

/// Every point that an undisturbed run passes, with how often.
async fn names(database: &str) -> BTreeMap<String, u32> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let url = if database.is_empty() { format!("sqlite://{}", path.join("mozhao.db").display()) } else { database.to_owned() };
    let mut undisturbed = start(path, &url, "");
    let pid = undisturbed.id().unwrap();
    assert!(undisturbed.wait().await.unwrap().success(), "{}", fs::read_to_string(path.join("log")).unwrap());
    books(path, &url).await.unwrap();
    let mut names: BTreeMap<String, u32> = BTreeMap::new();
    for name in fs::read_to_string(path.join(format!("points.{pid}"))).unwrap().lines() {
        *names.entry(name.to_owned()).or_default() += 1;
    }
    names
}

/// Names x {first, second, third time} x {kill, error, stall}.
fn cases(names: &BTreeMap<String, u32>) -> Vec<String> {
    let mut cases = Vec::new();
    for (name, passed) in names {
        for hit in 1..=*passed.min(&3) {
            for blow in ["kill", "error", "stall"] {
                cases.push(format!("{blow} {hit} {name}"));
            }
        }
    }
    cases
}

/// `MOZHAO_CRASH_CASES=all`, a number of cases, or one case's name; a plain run plays some, spread evenly.
fn chosen(all: Vec<String>) -> Vec<String> {
    let wanted = match std::env::var("MOZHAO_CRASH_CASES") {
        Ok(text) if text == "all" => return all,
        Ok(text) => match text.parse::<usize>() {
            Ok(number) => number,
            Err(_) => return vec![text],
        },
        Err(_) => CASES,
    };
    let count = all.len();
    let wanted = wanted.min(count).max(1);
    (0..wanted).map(|index| all[index * count / wanted].clone()).collect()
}

async fn enumerate(kind: &str) {
    let fresh = async || if kind == "sqlite" { None } else { Some(harness::postgres::database().await) };
    let url = |database: &Option<harness::postgres::Database>| {
        database.as_ref().map(|database| database.url().to_owned()).unwrap_or_default()
    };
    let database = fresh().await;
    let names = names(&url(&database)).await;
    let all = cases(&names);
    let (count, chosen) = (all.len(), chosen(all));
    let side_by_side = Arc::new(Semaphore::new(SIDE_BY_SIDE));
    let mut running = JoinSet::new();
    for at in &chosen {
        let permit = side_by_side.clone().acquire_owned().await.unwrap();
        let (database, at) = (fresh().await, at.clone());
        let url = url(&database);
        running.spawn_local(async move {
            let result = play(&url, &at).await;
            drop((permit, database));
            (at, result)
        });
    }
    let (mut reached, mut failed) = (0, Vec::new());
    while let Some(ended) = running.join_next().await {
        match ended.unwrap() {
            (_, Ok(hit)) => reached += usize::from(hit),
            (at, Err(why)) => failed.push(format!("MOZHAO_CRASH_CASES='{at}': {why}")),
        }
    }
    eprintln!(
        "{kind}: {} names, {count} cases, {} played, {reached} reached their point, {} failed",
        names.len(),
        chosen.len(),
        failed.len()
    );
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(count >= 200, "only {count} cases");
    assert!(reached * 10 >= chosen.len() * 7, "only {reached} of {} reached their point", chosen.len());
}

#[tokio::test]
async fn every_crash_point_leaves_right_books_on_sqlite() {
    Box::pin(LocalSet::new().run_until(enumerate("sqlite"))).await;
}

#[tokio::test]
async fn every_crash_point_leaves_right_books_on_postgres() {
    Box::pin(LocalSet::new().run_until(enumerate("postgres"))).await;
}
