//! What a seed draws: how many workers and requests, and which faults come how often. Most runs have some kinds of faults and
//! not others (a run with everything at once hides what each kind does alone).

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::dice::Dice;

/// Chances are per mille.
#[derive(Debug)]
pub(crate) struct Weather {
    pub(crate) seed: u64,
    pub(crate) workers: usize,
    pub(crate) requests: u64,
    /// How long faults come.
    pub(crate) length: Duration,
    pub(crate) lease: Duration,
    /// A store call fails, and nothing was changed.
    pub(crate) store_transient: u64,
    /// A change may or may not have been made.
    pub(crate) store_unknown: u64,
    pub(crate) store_slow: u64,
    /// A call of a remote system goes wrong.
    pub(crate) remote: u64,
    /// It says something else than yes.
    pub(crate) answers: u64,
    /// An event, a confirm, a delivery or an acknowledgement gets lost.
    pub(crate) broker: u64,
    pub(crate) kills: u64,
    pub(crate) stalls: u64,
    pub(crate) stops: u64,
    pub(crate) outages: u64,
    pub(crate) contracts: u64,
    /// A second version of a process appears in the middle.
    pub(crate) second_version: bool,
    /// Everything is off for hours.
    pub(crate) night: bool,
    /// Withdrawals, by customer.
    pub(crate) withdrawals: u64,
    pub(crate) shipped: bool,
    /// How late timers may be, in milliseconds.
    pub(crate) lag: u64,
    over: AtomicBool,
}

impl Weather {
    pub(crate) fn draw(seed: u64) -> Weather {
        let dice = Dice::new(seed, "weather");
        let some = |often: u64, most: u64| if dice.chance(often) { dice.between(1, most) } else { 0 };
        Weather {
            seed,
            workers: usize::try_from(dice.between(1, 3)).unwrap(),
            requests: dice.between(3, 14),
            length: dice.millis(15_000, 50_000),
            lease: Duration::from_secs(10),
            store_transient: some(500, 80),
            store_unknown: some(600, 120),
            store_slow: some(500, 150),
            remote: some(800, 400),
            answers: some(700, 250),
            broker: some(600, 300),
            kills: some(650, 1_000),
            stalls: some(500, 1_000),
            stops: some(300, 1_000),
            outages: some(500, 1_000),
            contracts: some(300, 1_000),
            second_version: dice.chance(150),
            night: dice.chance(100),
            withdrawals: some(600, 400),
            shipped: dice.chance(500),
            lag: dice.between(300, 2_000),
            over: AtomicBool::new(false),
        }
    }

    /// From now on nothing goes wrong any more.
    pub(crate) fn clear_up(&self) {
        self.over.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_fair(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// Does a fault of this chance come now?
    pub(crate) fn strikes(&self, dice: &Dice, per_mille: u64) -> bool {
        dice.chance(per_mille) && !self.is_fair()
    }
}
