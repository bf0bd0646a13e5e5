//! How many cases, from which seed, and how one of them is replayed.

use std::io::Write;
use std::iter::StepBy;
use std::ops::Range;
use std::time::Instant;

/// A small generator (splitmix64): the cases must not change when a dependency does.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `n`; zero where `n` is.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % (n.max(1) as u64)).unwrap()
    }

    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn pick<'l, T: ?Sized>(&mut self, list: &[&'l T]) -> &'l T {
        list[self.below(list.len())]
    }
}

/// What is mutated.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Messages,
    Stored,
    Bodies,
    Files,
    Expressions,
    Decisions,
    Callbacks,
    Heads,
}

impl Kind {
    /// How much of a whole run it is, in percent.
    fn percent(self) -> usize {
        match self {
            Kind::Messages => 30,
            Kind::Stored => 5,
            Kind::Bodies => 20,
            Kind::Files => 10,
            Kind::Expressions => 20,
            Kind::Decisions => 10,
            Kind::Callbacks => 4,
            Kind::Heads => 1,
        }
    }
}

/// Mutations in all when nothing is asked for: a few seconds.
const USUAL: usize = 6_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// The cases of a kind with the generator of each, printed when one fails.
pub(crate) fn cases(kind: Kind) -> Cases {
    let seed = number("MOZHAO_SEED").unwrap_or(1);
    let all = number("MOZHAO_INPUT_CASES").map_or(USUAL, |n| usize::try_from(n).unwrap());
    let share = (all * kind.percent()).div_ceil(100);
    let only = number("MOZHAO_INPUT_CASE").map(|n| usize::try_from(n).unwrap());
    let left = only.map_or(0..share, |only| only..only + 1);
    println!("{kind:?}: {} mutations from seed {seed}", left.len());
    Cases { kind, seed, left: left.step_by(1), done: 0, began: Instant::now() }
}

impl Cases {
    /// Every second case: the even ones, or the odd ones. One that is replayed stays.
    pub(crate) fn half(mut self, odd: bool) -> Cases {
        if self.left.len() > 1 {
            let first = self.left.next().unwrap_or(0);
            let end = first + 1 + self.left.len();
            self.left = (first + usize::from(odd)..end).step_by(2);
        }
        self
    }
}

/// See [`cases`]. When it is dropped it writes its line into the record of `make chaos`, where there is one.
pub(crate) struct Cases {
    kind: Kind,
    seed: u64,
    left: StepBy<Range<usize>>,
    done: usize,
    began: Instant,
}

impl Iterator for Cases {
    type Item = (Case, Random);

    fn next(&mut self) -> Option<(Case, Random)> {
        let (kind, seed, number) = (self.kind, self.seed, self.left.next()?);
        self.done += 1;
        // Each case has a generator of its own: one is replayed without those before it.
        let mixed = seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ ((kind as u64) << 56) ^ number as u64;
        let mut random = Random(mixed);
        random.next();
        Some((Case { kind, seed, number }, random))
    }
}

impl Drop for Cases {
    fn drop(&mut self) {
        let Some(path) = std::env::var_os("MOZHAO_CHAOS_RECORD") else { return };
        let result = if std::thread::panicking() { "failed" } else { "passed" };
        let test = std::thread::current().name().unwrap_or("input").to_owned();
        let (seed, took) = (self.seed, self.began.elapsed().as_secs_f64());
        let line = format!("{test}\t{seed}\t{took:.1}\t{0}\t{0}\t{result}\n", self.done);
        let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
        drop(file.and_then(|mut file| file.write_all(line.as_bytes())));
    }
}

/// One case; says how to replay it when the test fails in its scope.
pub(crate) struct Case {
    kind: Kind,
    seed: u64,
    pub(crate) number: usize,
}

impl Drop for Case {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{:?}: replay with MOZHAO_SEED={} MOZHAO_INPUT_CASE={}", self.kind, self.seed, self.number);
        }
    }
}
