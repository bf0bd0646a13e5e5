//! The engine in a simulated world, from a seed: see `tests/README.md`, "Simulation".
//!
//! The hard problem: what breaks a promise is a combination — a lost commit reply, a worker that freezes, a customer who takes
//! back — that nobody would think of. So thousands of worlds are drawn from seeds and played in virtual time by the production
//! engine, in one thread, always in the same way; the books are held against every one of them.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod answers;
mod bank;
mod books;
mod broker;
mod closing;
mod dice;
mod life;
mod line;
#[cfg(feature = "faults")]
mod mutants;
mod people;
mod trace;
mod weather;
mod world;
#[path = "../harness/wrapped_store.rs"]
mod wrapped_store;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use world::play;

/// How many seeds a plain run plays.
const SEEDS: u64 = 1_000;

/// `MOZHAO_SEEDS=first..last` (both played), or one number; a plain run plays the first thousand.
fn seeds() -> (u64, u64) {
    let Ok(text) = std::env::var("MOZHAO_SEEDS") else { return (1, SEEDS) };
    let number = |text: &str| text.trim().parse().unwrap_or_else(|_| panic!("MOZHAO_SEEDS is `first..last` or a number: {text}"));
    match text.split_once("..") {
        Some((first, last)) => (number(first), number(last)),
        None => (number(&text), number(&text)),
    }
}

/// What plays a world again as this program has played it: the same known bug, the same build.
fn replay(seed: u64) -> String {
    let bug = std::env::var("MOZHAO_BUG").map_or_else(|_| String::new(), |bug| format!("MOZHAO_BUG={bug} "));
    let features = if mozhao::faults::BUILT_IN { "--features faults " } else { "" };
    format!("{bug}MOZHAO_SEEDS={seed} MOZHAO_TRACE=1 cargo test {features}--test simulation the_books -- --nocapture")
}

#[test]
fn the_books_hold_in_every_world() {
    let (first, last) = seeds();
    let next = AtomicU64::new(first);
    let ended = AtomicU64::new(0);
    let failed: Mutex<Vec<String>> = Mutex::default();
    // One is enough to know that a known bug is caught.
    let most = if std::env::var_os("MOZHAO_BUG").is_some() { 1 } else { 5 };
    let threads = std::thread::available_parallelism().map_or(2, usize::from).min(16);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed > last || failed.lock().unwrap().len() >= most {
                        return;
                    }
                    let outcome = play(seed);
                    ended.fetch_add(outcome.ended, Ordering::SeqCst);
                    if !outcome.violations.is_empty() {
                        let mut all = outcome.violations;
                        all.truncate(8);
                        let text = format!(
                            "seed {seed}: {}\n{}\n--- its story\n{}\n--- replay, line by line: {}",
                            all.join("\n  "),
                            outcome.weather,
                            outcome.story,
                            replay(seed),
                        );
                        failed.lock().unwrap().push(text);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    let ended = ended.into_inner();
    eprintln!("seeds {first}..{last}: {ended} requests ended");
    assert!(failed.is_empty(), "{} worlds broke a promise\n{}", failed.len(), failed.join("\n\n"));
    assert!(ended > last - first, "the runs did hardly any work: {ended} requests");
}

/// Seeds that failed once. What was wrong then: the resume of a defect that found nobody stood in the way of the next (1138);
/// a target said "declined" and carried it out after all, which whoever recognises a key does not (4154, 4837); a worker froze
/// between plan and commit of an intent whose call it then did not make, and the books were too strict about its verdict's age (7834).
const ONCE_FAILED: [u64; 4] = [1_138, 4_154, 4_837, 7_834];

#[test]
fn seeds_that_failed_once_hold() {
    for seed in ONCE_FAILED {
        let outcome = play(seed);
        assert!(outcome.violations.is_empty(), "seed {seed}: {}\n{}", outcome.violations.join("\n  "), outcome.story);
    }
}

#[test]
fn the_same_seed_gives_the_same_world() {
    for seed in [3, 17, 99, 4_711] {
        let (first, second) = (play(seed), play(seed));
        assert!(first.digest.1 > 50, "seed {seed}: hardly anything happened");
        assert_eq!(first.digest, second.digest, "seed {seed} went two ways");
    }
    assert_ne!(play(3).digest, play(4).digest);
}
