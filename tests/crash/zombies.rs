//! A worker that is frozen (SIGSTOP) before or after a commit or call that a seed chooses, wakes up (SIGCONT) after another one has
//! declared it dead, and believes that no time has passed. It may write nothing and call nobody: `tell` is a target that can
//! neither recognise a key nor be read, and has to be called once.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::Instant;

use crate::harness;
use crate::harness::wait::until_true;
use crate::points::{STEP, is_step};
use crate::stories::Story;
use crate::{DEADLINE, books, ended, fine, start, undisturbed, wake};

/// How many side by side: they measure time.
const SIDE_BY_SIDE: usize = 4;
/// How many a plain run freezes; `MOZHAO_ZOMBIES` says another number.
const ZOMBIES: u64 = 4;
/// How long the frozen one may remain undisturbed; who was frozen at its very end is not declared dead.
const UNNOTICED: Duration = Duration::from_secs(8);

pub(crate) fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// Freezes a worker when it has passed so many steps; true where it was declared dead meanwhile.
async fn play(url: &str, moment: usize, early: bool) -> Result<bool, String> {
    let folder = tempfile::tempdir().unwrap();
    let story = Story::named("transfer");
    let (path, journal) = (folder.path(), folder.path().join("journal"));
    let mut zombie = start(story, path, url, &format!("stall {moment} {STEP}"));
    let pid = zombie.id().unwrap();
    if let Some(status) = ended(&mut zombie).await {
        // It had less to do than others.
        fine(path, status, "the process")?;
        books(story, path, url).await?;
        return Ok(false);
    }
    let mut successor = start(story, path, url, "");
    let dead = || lines(&journal).iter().any(|line| line.starts_with("dead "));
    let frozen = Instant::now();
    until_true("the frozen one to be declared dead", DEADLINE, || dead() || frozen.elapsed() > UNNOTICED).await;
    let was_dead = dead();
    let wait = async |child: &mut tokio::process::Child, what: &str| {
        let ended = tokio::time::timeout(DEADLINE, child.wait()).await.map_err(|_| format!("{what} hangs"))?;
        fine(path, ended.unwrap(), what)
    };
    // It wakes up either in the middle of its successor's work, or when everything is done.
    if early {
        wake(path, pid);
        wait(&mut successor, "the successor").await?;
    } else {
        let done = wait(&mut successor, "the successor").await;
        wake(path, pid);
        done?;
    }
    wait(&mut zombie, "the zombie").await?;
    books(story, path, url).await?;
    stale(&lines(&journal))?;
    Ok(was_dead)
}

/// No batch that was begun by a worker after it was declared dead was written.
pub(crate) fn stale(journal: &[String]) -> Result<(), String> {
    for (at, line) in journal.iter().enumerate() {
        let Some(worker) = line.strip_prefix("dead ") else { continue };
        let begun = journal[at..].iter().filter_map(|line| line.strip_prefix("begin ")).filter(|batch| batch.starts_with(worker));
        if let Some(batch) = begun.into_iter().find(|batch| journal.contains(&format!("wrote {batch}"))) {
            return Err(format!("G5: {batch} was written after its worker was declared dead"));
        }
    }
    Ok(())
}

async fn freeze_them(count: u64) {
    let database = harness::postgres::database().await;
    let passed = undisturbed(Story::named("transfer"), database.url()).await.unwrap();
    // With the last ones the request has ended.
    let passed = passed.iter().filter(|(point, _)| is_step(point)).map(|(_, times)| *times as usize).sum::<usize>() - 4;
    let side_by_side = Arc::new(Semaphore::new(SIDE_BY_SIDE));
    let mut running = JoinSet::new();
    for seed in 1..=count {
        let permit = side_by_side.clone().acquire_owned().await.unwrap();
        let database = harness::postgres::database().await;
        let url = database.url().to_owned();
        // Spread over the whole life, in an order that has nothing to do with it.
        let spread = (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize;
        let moment = 1 + spread % passed;
        running.spawn_local(async move {
            let result = play(&url, moment, seed % 2 == 0).await;
            drop((permit, database));
            (seed, moment, result)
        });
    }
    let (mut dead, mut failed) = (0, Vec::new());
    while let Some(ended) = running.join_next().await {
        match ended.unwrap() {
            (_, _, Ok(was_dead)) => dead += u64::from(was_dead),
            (seed, moment, Err(why)) => failed.push(format!("zombie {seed}, frozen after {moment} of {passed} steps: {why}")),
        }
    }
    eprintln!("{count} frozen, {dead} declared dead before they woke up, {} failed", failed.len());
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    // Who was frozen after its last commit is not missed: of 48, one was.
    assert!(count - dead <= count.div_ceil(10), "only {dead} of {count} were declared dead");
}

#[tokio::test]
async fn zombies_write_nothing_and_call_nobody() {
    let count = std::env::var("MOZHAO_ZOMBIES").ok().map_or(ZOMBIES, |text| text.parse().unwrap());
    Box::pin(LocalSet::new().run_until(freeze_them(count))).await;
}
