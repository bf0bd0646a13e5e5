//! What really happened at the targets: the ledger by which tests check "applied exactly once".
//!
//! The difficulty is memory against truth: a long run makes millions of calls, and a check must still be able to say
//! for *every* object how often an effect was applied. So the calls themselves are a bounded ring, while the counters
//! per object and effect are kept for a million of them (and an overflow is told, never silent).

use std::collections::{BTreeMap, HashMap, VecDeque};

use serde::Serialize;

/// Objects with counters before new ones are only counted together.
const MAX_OBJECTS: usize = 1_000_000;

/// One call as the target saw it.
#[derive(Debug, Clone, Serialize)]
pub struct Call {
    /// Number of arrival, from 1.
    pub seq: u64,
    /// Microseconds from the start of the sandbox to the arrival.
    pub at_us: u64,
    /// Microseconds from the arrival to the answer (or to the decision never to answer); absent while it is handled.
    pub took_us: Option<u64>,
    /// HTTP method.
    pub method: String,
    /// Path without query.
    pub path: String,
    /// `Idempotency-Key`.
    pub key: Option<String>,
    /// SHA-256 of the body in hex; empty for no body.
    pub body_sha256: String,
    /// The status that was sent; absent when no answer was sent.
    pub status: Option<u16>,
    /// The call changed something at the target.
    pub applied: bool,
    /// The stored answer of an earlier call with the same key was sent again.
    pub replayed: bool,
    /// The scripted trouble that it met.
    pub fault: Option<&'static str>,
}

/// Totals since the start (or the last reset), over all calls, those that left the ring included.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Calls that arrived.
    pub calls: u64,
    /// Calls that changed something.
    pub applied: u64,
    /// Calls answered from the stored answer of their key.
    pub replayed: u64,
    /// Calls that got no answer.
    pub unanswered: u64,
    /// By status sent.
    pub by_status: BTreeMap<u16, u64>,
    /// By scripted trouble.
    pub by_fault: BTreeMap<&'static str, u64>,
    /// Effects applied, by name, over all objects.
    pub by_effect: BTreeMap<&'static str, u64>,
    /// Effects on objects beyond the millionth, which have no counter of their own: a check by object is void if > 0.
    pub uncounted: u64,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ending {
    pub(super) status: Option<u16>,
    pub(super) applied: bool,
    pub(super) replayed: bool,
    pub(super) fault: Option<&'static str>,
}

/// The ring of calls and the counters.
#[derive(Debug)]
pub(super) struct Ledger {
    ring: VecDeque<Call>,
    capacity: usize,
    totals: Totals,
    /// `"unbind C1"` → times applied.
    effects: HashMap<Box<str>, u32>,
}

impl Ledger {
    pub(super) fn new(capacity: usize) -> Self {
        Self { ring: VecDeque::new(), capacity, totals: Totals::default(), effects: HashMap::new() }
    }

    /// Records an arrival and gives its number.
    pub(super) fn arrive(&mut self, at_us: u64, method: &str, path: &str, key: Option<&str>, body_sha256: String) -> u64 {
        self.totals.calls += 1;
        let seq = self.totals.calls;
        if self.ring.len() >= self.capacity {
            self.ring.pop_front();
        }
        self.ring.push_back(Call {
            seq,
            at_us,
            took_us: None,
            method: method.to_owned(),
            path: path.to_owned(),
            key: key.map(ToOwned::to_owned),
            body_sha256,
            status: None,
            applied: false,
            replayed: false,
            fault: None,
        });
        seq
    }

    /// Records how the call with this number ended.
    pub(super) fn end(&mut self, seq: u64, now_us: u64, ending: Ending) {
        let totals = &mut self.totals;
        totals.applied += u64::from(ending.applied);
        totals.replayed += u64::from(ending.replayed);
        match ending.status {
            Some(status) => *totals.by_status.entry(status).or_default() += 1,
            None => totals.unanswered += 1,
        }
        if let Some(fault) = ending.fault {
            *totals.by_fault.entry(fault).or_default() += 1;
        }
        // The ring holds consecutive numbers, so the place follows from the first one; the call may have left already.
        let place = self.ring.front().and_then(|first| seq.checked_sub(first.seq));
        if let Some(call) = place.and_then(|at| usize::try_from(at).ok()).and_then(|at| self.ring.get_mut(at)) {
            call.took_us = Some(now_us.saturating_sub(call.at_us));
            call.status = ending.status;
            call.applied = ending.applied;
            call.replayed = ending.replayed;
            call.fault = ending.fault;
        }
    }

    /// Counts one effect on one object.
    pub(super) fn count(&mut self, effect: &'static str, object: &str) {
        *self.totals.by_effect.entry(effect).or_default() += 1;
        let name = format!("{effect} {object}").into_boxed_str();
        if let Some(count) = self.effects.get_mut(&name) {
            *count += 1;
        } else if self.effects.len() < MAX_OBJECTS {
            self.effects.insert(name, 1);
        } else {
            self.totals.uncounted += 1;
        }
    }

    pub(super) fn applied(&self, effect: &str, object: &str) -> u32 {
        self.effects.get(format!("{effect} {object}").as_str()).copied().unwrap_or(0)
    }

    /// Every `(effect, object, times)` applied at least `min` times, sorted.
    pub(super) fn effects(&self, min: u32) -> Vec<(String, String, u32)> {
        let mut found: Vec<_> = self
            .effects
            .iter()
            .filter(|(_, count)| **count >= min)
            .filter_map(|(name, count)| {
                let (effect, object) = name.split_once(' ')?;
                Some((effect.to_owned(), object.to_owned(), *count))
            })
            .collect();
        found.sort();
        found
    }

    pub(super) fn totals(&self) -> Totals {
        self.totals.clone()
    }

    /// The calls still in the ring that the filter likes, oldest first.
    pub(super) fn calls(&self, mut wanted: impl FnMut(&Call) -> bool) -> Vec<Call> {
        self.ring.iter().filter(|call| wanted(call)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_is_bounded_and_the_counters_are_not() {
        let mut ledger = Ledger::new(2);
        for n in 1..=3 {
            let seq = ledger.arrive(n, "POST", "/x", None, String::new());
            ledger.count("unbind", "C1");
            ledger.end(seq, n + 5, Ending { status: Some(200), applied: true, ..Ending::default() });
        }
        let calls = ledger.calls(|_| true);
        assert_eq!(calls.iter().map(|call| call.seq).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(calls[0].took_us, Some(5));
        assert_eq!(ledger.totals().calls, 3);
        assert_eq!(ledger.applied("unbind", "C1"), 3);
        assert_eq!(ledger.applied("unbind", "C2"), 0);
        assert_eq!(ledger.effects(2), [("unbind".to_owned(), "C1".to_owned(), 3)]);
    }

    #[test]
    fn an_end_after_the_call_left_the_ring_still_counts() {
        let mut ledger = Ledger::new(1);
        let first = ledger.arrive(0, "GET", "/x", None, String::new());
        ledger.arrive(0, "GET", "/y", None, String::new());
        ledger.end(first, 9, Ending { fault: Some("hang"), ..Ending::default() });
        assert_eq!(ledger.totals().unanswered, 1);
        assert_eq!(ledger.totals().by_fault["hang"], 1);
        assert_eq!(ledger.calls(|_| true)[0].took_us, None);
    }
}
