//! What a run did, for the table of `make chaos`: one line per world, written when the world ends, however it ends.
//!
//! And the seed: it decides what is random in a scenario (who is hit, when, in which order), is printed, and can be given
//! again. Real processes and real networks add randomness of their own, so a replay repeats the plan, not each instruction.

use std::fs::File;
use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// File to which each run adds its line; set by `tests/chaos.sh`.
pub const RECORD: &str = "MOZHAO_CHAOS_RECORD";
/// How many seeds each scenario runs with; 1 without it.
pub const SEEDS: &str = "MOZHAO_CHAOS_SEEDS";
/// The one seed to run with.
pub const SEED: &str = "MOZHAO_CHAOS_SEED";

/// Faults injected by this process so far. nextest gives each test a process of its own.
static FAULTS: AtomicU64 = AtomicU64::new(0);

/// Counts a fault.
pub fn fault() {
    faults(1);
}

/// Counts so many faults.
pub fn faults(count: u64) {
    FAULTS.fetch_add(count, Ordering::Relaxed);
}

/// Is this the long run?
pub fn chaos() -> bool {
    std::env::var_os(SEEDS).is_some()
}

/// The seeds to run with: the given one, or as many as are wanted but at most `most`, where there is a bound.
pub fn seeds(most: Option<u64>) -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    if let Some(seed) = number(SEED) {
        return vec![seed];
    }
    let wanted: u64 = number(SEEDS).unwrap_or(1).max(1);
    let played = most.map_or(wanted, |most| wanted.min(most));
    if played < wanted {
        println!("{played} of the {wanted} seeds: another one would play the same");
    }
    (1..=played).collect()
}

/// The line of a run in the making.
#[derive(Debug)]
pub struct Record {
    scenario: String,
    seed: u64,
    begun: Instant,
    faults: u64,
    requests: u64,
    checked: bool,
}

impl Record {
    pub fn new(scenario: &str, seed: u64) -> Record {
        // The long run plays more of some scenarios: a seed repeats only what it was drawn for. Where nothing is drawn there is none.
        let program = std::env::current_exe().unwrap_or_default();
        let program = program.file_stem().unwrap_or_default().to_string_lossy();
        let suite = program.split('-').next().unwrap_or_default();
        let again = match (seed, chaos()) {
            (0, true) => format!("tests/chaos.sh --test {suite} -E 'test(/::{scenario}$/)'"),
            (0, false) => format!("tests/run.sh --test {suite} -E 'test(/::{scenario}$/)'"),
            (_, true) => format!("tests/chaos.sh replay {scenario} {seed}"),
            (_, false) => format!("{SEED}={seed}"),
        };
        println!("{scenario}: seed {seed} ({again} repeats it)");
        let faults = FAULTS.load(Ordering::Relaxed);
        Record { scenario: scenario.to_owned(), seed, begun: Instant::now(), faults, requests: 0, checked: false }
    }

    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The books were found right, with so many requests and messages.
    pub fn found_right(&mut self, requests: usize) {
        (self.requests, self.checked) = (requests as u64, true);
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let verdict = match (std::thread::panicking(), self.checked) {
            (true, _) => "failed",
            (false, true) => "ok",
            (false, false) => "ok, its own checks only",
        };
        append(&format!(
            "{}\t{}\t{:.1}\t{}\t{}\t{verdict}\n",
            self.scenario,
            self.seed,
            self.begun.elapsed().as_secs_f64(),
            self.requests,
            FAULTS.load(Ordering::Relaxed) - self.faults,
        ));
    }
}

/// Says in the table that a scenario cannot be played on this machine.
pub fn not_run(scenario: &str, why: &str) {
    println!("{scenario}: NOT RUN: {why}");
    append(&format!("{scenario}\t0\t0\t0\t0\tnot run\n"));
}

/// A line of the table, if one is made.
fn append(line: &str) {
    let Some(path) = std::env::var_os(RECORD) else { return };
    let file = File::options().create(true).append(true).open(path);
    // One write: several processes add to the file.
    if let Err(error) = file.and_then(|mut file| file.write_all(line.as_bytes())) {
        eprintln!("cannot record: {error}");
    }
}

/// Numbers that follow from a seed (`SplitMix64`).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x2545_f491_4f6c_dd1d).wrapping_add(0x9e37_79b9_7f4a_7c15))
    }

    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of `0..count`.
    pub fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.roll() % count.max(1) as u64).unwrap_or(0)
    }

    /// A number of the range.
    pub fn between(&mut self, range: std::ops::Range<u64>) -> u64 {
        range.start + self.roll() % (range.end - range.start).max(1)
    }

    /// Fisher and Yates.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}
