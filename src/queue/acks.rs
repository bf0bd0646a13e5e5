//! Which deliveries to acknowledge, with few frames. Commits end in any order; an acknowledgement of "all up to here" may
//! only cover deliveries that are all stored, and one that waits behind a slow neighbour would hold back the broker. So:
//! what is stored without a gap goes in one frame, the rest one by one, once it has waited for its neighbour for a while.

use std::collections::BTreeSet;

/// One acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ack {
    pub(super) tag: u64,
    /// All deliveries up to this one.
    pub(super) multiple: bool,
}

/// A channel's deliveries that are not acknowledged yet.
#[derive(Debug, Default)]
pub(super) struct Acks {
    open: BTreeSet<u64>,
    stored: BTreeSet<u64>,
}

impl Acks {
    /// It was delivered.
    pub(super) fn delivered(&mut self, tag: u64) {
        self.open.insert(tag);
    }

    /// Its commit is there.
    pub(super) fn stored(&mut self, tag: u64) {
        if self.open.remove(&tag) {
            self.stored.insert(tag);
        }
    }

    /// Nothing waits to be acknowledged.
    pub(super) fn is_empty(&self) -> bool {
        self.stored.is_empty()
    }

    /// How many wait to be acknowledged.
    pub(super) fn waiting(&self) -> usize {
        self.stored.len()
    }

    /// What is stored without a gap, in one acknowledgement.
    pub(super) fn whole(&mut self) -> Option<Ack> {
        let late = match self.open.first() {
            Some(first) => self.stored.split_off(first),
            None => BTreeSet::new(),
        };
        let stored = std::mem::replace(&mut self.stored, late);
        stored.last().map(|tag| Ack { tag: *tag, multiple: stored.len() > 1 })
    }

    /// The acknowledgements of everything that is stored.
    pub(super) fn take(&mut self) -> Vec<Ack> {
        let whole = self.whole();
        let late = std::mem::take(&mut self.stored).into_iter().map(|tag| Ack { tag, multiple: false });
        whole.into_iter().chain(late).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_never_covered() {
        let mut acks = Acks::default();
        for tag in 1..=6 {
            acks.delivered(tag);
        }
        assert_eq!(acks.take(), []);
        for tag in [2, 1, 5, 3] {
            acks.stored(tag);
        }
        assert_eq!(acks.take(), [Ack { tag: 3, multiple: true }, Ack { tag: 5, multiple: false }]);
        acks.stored(4);
        assert_eq!(acks.take(), [Ack { tag: 4, multiple: false }]);
        acks.stored(6);
        acks.stored(6);
        acks.stored(99);
        assert_eq!(acks.take(), [Ack { tag: 6, multiple: false }]);
        assert_eq!(acks.take(), []);
        assert!(acks.is_empty());
    }

    #[test]
    fn what_is_late_may_wait_for_its_neighbours() {
        let mut acks = Acks::default();
        for tag in 1..=4 {
            acks.delivered(tag);
        }
        acks.stored(2);
        acks.stored(3);
        assert_eq!((acks.whole(), acks.waiting()), (None, 2));
        acks.stored(1);
        assert_eq!((acks.whole(), acks.waiting()), (Some(Ack { tag: 3, multiple: true }), 0));
        acks.stored(4);
        assert_eq!((acks.whole(), acks.is_empty()), (Some(Ack { tag: 4, multiple: false }), true));
    }

    mod properties {
        use proptest::prelude::*;

        use super::*;

        proptest! {
            #[test]
            fn each_stored_delivery_is_acknowledged_once_and_no_other(
                order in Just((1_u64..=60).collect::<Vec<_>>()).prop_shuffle(),
                stored in 0_usize..=60,
                every in 1_usize..10,
            ) {
                let mut acks = Acks::default();
                let mut unacknowledged: BTreeSet<u64> = (1..=60).collect();
                for tag in &unacknowledged {
                    acks.delivered(*tag);
                }
                for batch in order[..stored].chunks(every) {
                    for tag in batch {
                        acks.stored(*tag);
                    }
                    for ack in acks.take() {
                        let upto = if ack.multiple { 1 } else { ack.tag };
                        let before = unacknowledged.len();
                        unacknowledged.retain(|tag| !(upto..=ack.tag).contains(tag));
                        prop_assert!(unacknowledged.len() < before, "nothing to acknowledge: {ack:?}");
                    }
                }
                let rest: BTreeSet<u64> = order[stored..].iter().copied().collect();
                prop_assert_eq!(unacknowledged, rest);
            }
        }
    }
}
