//! The entries of one write as one value. A row costs PostgreSQL more than its bytes, and so does its place in the index: what is
//! written together is stored together. Each entry keeps its own hash, so that a change is found at the entry that was changed.
//!
//! Per entry: `at` (8 bytes, big-endian), its hash (32), the length of its body (4, big-endian), its body.

use crate::domain::request::chain::Entry;
use crate::domain::time::Time;

/// What stands before each body.
const HEAD: usize = 8 + 32 + 4;

/// Packs entries that follow each other.
pub(super) fn pack(entries: &[Entry]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(entries.iter().map(|entry| HEAD + entry.body.len()).sum());
    for entry in entries {
        packed.extend(entry.at.0.to_be_bytes());
        packed.extend(entry.hash);
        // A body is bounded by what a fact may hold, far below 4 GiB.
        packed.extend(u32::try_from(entry.body.len()).unwrap_or(u32::MAX).to_be_bytes());
        packed.extend(&entry.body);
    }
    packed
}

/// Unpacks entries from number `first` on. Bytes that were never packed come back as an entry whose hash does not fit: what
/// somebody did to the ledger is for the chain to find.
pub(super) fn unpack(first: u64, mut packed: &[u8]) -> Vec<Entry> {
    let mut entries = Vec::new();
    for seq in first.. {
        if packed.is_empty() {
            break;
        }
        let Some((entry, rest)) = split(seq, packed) else {
            entries.push(Entry { seq, at: Time(0), body: packed.to_vec(), hash: [0; 32] });
            break;
        };
        entries.push(entry);
        packed = rest;
    }
    entries
}

fn split(seq: u64, packed: &[u8]) -> Option<(Entry, &[u8])> {
    let (at, rest) = packed.split_first_chunk::<8>()?;
    let (hash, rest) = rest.split_first_chunk::<32>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (body, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    Some((Entry { seq, at: Time(i64::from_be_bytes(*at)), body: body.to_vec(), hash: *hash }, rest))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use uuid::Uuid;

    use super::*;
    use crate::domain::request::chain::{GENESIS, verify};
    use crate::domain::request::fact::Fact;

    fn ledger(request: Uuid) -> Vec<Entry> {
        let mut prev = GENESIS;
        let seal = |seq: u64| {
            let entry = Entry::seal(request, seq, &prev, Time(-7), &Fact::Skipped { step: "s".repeat(300) }).unwrap();
            prev = entry.hash;
            entry
        };
        (1..=3).map(seal).collect()
    }

    #[test]
    fn what_was_packed_comes_back() {
        let entries = ledger(Uuid::from_u128(1));
        assert_eq!(unpack(1, &pack(&entries)), entries);
        assert_eq!(unpack(2, &pack(&entries[1..])), entries[1..]);
        assert_eq!(unpack(1, b""), []);
    }

    #[test]
    fn any_change_of_any_byte_breaks_the_chain() {
        let request = Uuid::from_u128(1);
        let good = pack(&ledger(request));
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(verify(request, &unpack(1, &bad)).is_err(), "byte {at}");
        }
        for end in [1, 43, 44, good.len() - 1] {
            assert!(verify(request, &unpack(1, &good[..end])).is_err(), "cut at {end}");
        }
    }
}
