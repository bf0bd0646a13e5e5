//! The ledger's hash chain: each entry carries the SHA-256 over its predecessor's hash and itself, so that an
//! entry that was edited, removed or moved inside a request is found.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::fact::Fact;
use crate::domain::time::Time;

/// A link of the chain.
pub type Hash = [u8; 32];

/// What stands before a request's first entry.
pub const GENESIS: Hash = [0; 32];

/// A fact as it is stored: numbered, dated, chained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// 1, 2, 3 … within the request.
    pub seq: u64,
    /// When it was written, by the writer's clock.
    pub at: Time,
    /// The fact's JSON.
    pub body: Vec<u8>,
    /// SHA-256 over the predecessor's hash, the request's id, `seq`, `at` and `body`.
    pub hash: Hash,
}

/// Why an entry cannot be sealed or read.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// The stored bytes are no fact that this version knows.
    #[error("entry {seq} is not a known fact: {source}")]
    Unreadable {
        /// The entry.
        seq: u64,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// The numbering has a hole or a repetition.
    #[error("entry {found} stands where {expected} belongs")]
    OutOfOrder {
        /// The number that belongs here.
        expected: u64,
        /// The number found.
        found: u64,
    },
    /// An entry's hash does not follow from its predecessor and its content.
    #[error("entry {seq} was changed, or an entry before it is missing: its hash does not match")]
    Broken {
        /// The entry.
        seq: u64,
    },
}

impl Entry {
    /// Numbers, dates and chains a fact.
    ///
    /// # Errors
    /// A fact that cannot be written as JSON.
    pub fn seal(request: Uuid, seq: u64, prev: &Hash, at: Time, fact: &Fact) -> Result<Entry, ChainError> {
        let body = serde_json::to_vec(fact).map_err(|source| ChainError::Unreadable { seq, source })?;
        let hash = link(request, seq, prev, at, &body);
        Ok(Entry { seq, at, body, hash })
    }

    /// Reads the fact back.
    ///
    /// # Errors
    /// Bytes that are no known fact.
    pub fn fact(&self) -> Result<Fact, ChainError> {
        serde_json::from_slice(&self.body).map_err(|source| ChainError::Unreadable { seq: self.seq, source })
    }
}

/// Checks a request's entries from the first on.
///
/// # Errors
/// The first entry that is out of order or does not follow from its predecessor.
pub fn verify(request: Uuid, entries: &[Entry]) -> Result<Hash, ChainError> {
    verify_after(request, 0, GENESIS, entries)
}

/// Checks the entries that follow entry `after`, whose hash is `prev`: a long ledger is checked in pieces.
///
/// # Errors
/// The first entry that is out of order or does not follow from its predecessor.
pub fn verify_after(request: Uuid, after: u64, mut prev: Hash, entries: &[Entry]) -> Result<Hash, ChainError> {
    for (expected, entry) in (after + 1..).zip(entries) {
        if entry.seq != expected {
            return Err(ChainError::OutOfOrder { expected, found: entry.seq });
        }
        if link(request, entry.seq, &prev, entry.at, &entry.body) != entry.hash {
            return Err(ChainError::Broken { seq: entry.seq });
        }
        prev = entry.hash;
    }
    Ok(prev)
}

/// A digest as it is written: lower case. (Digit by digit through an iterator of characters it costs more than the digest.)
#[must_use]
pub fn hex(digest: &[u8]) -> String {
    let digit = |four: u8| char::from(if four < 10 { b'0' + four } else { b'a' + four - 10 });
    let mut text = String::with_capacity(2 * digest.len());
    for byte in digest {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 15));
    }
    text
}

fn link(request: Uuid, seq: u64, prev: &Hash, at: Time, body: &[u8]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update(prev);
    hasher.update(request.as_bytes());
    hasher.update(seq.to_be_bytes());
    hasher.update(at.0.to_be_bytes());
    hasher.update(body);
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn ledger() -> (Uuid, Vec<Entry>) {
        let request = Uuid::from_u128(7);
        let mut prev = GENESIS;
        let entries = (1..=4)
            .map(|seq| {
                let fact = Fact::Skipped { step: format!("s{seq}") };
                let entry = Entry::seal(request, seq, &prev, Time(1_000 + i64::try_from(seq).unwrap()), &fact).unwrap();
                prev = entry.hash;
                entry
            })
            .collect();
        (request, entries)
    }

    #[test]
    fn a_digest_is_written_as_everybody_writes_it() {
        let digest: Vec<u8> = (0..=255).collect();
        assert_eq!(hex(&digest), ::hex::encode(&digest));
    }

    #[test]
    fn an_untouched_chain_verifies() {
        let (request, entries) = ledger();
        assert_eq!(verify(request, &entries).unwrap(), entries[3].hash);
        assert_eq!(entries[1].fact().unwrap(), Fact::Skipped { step: "s2".into() });
    }

    #[test]
    fn every_kind_of_tampering_is_found() {
        let (request, good) = ledger();
        let found = |change: fn(&mut Vec<Entry>)| {
            let mut entries = good.clone();
            change(&mut entries);
            verify(request, &entries).unwrap_err().to_string()
        };
        assert_eq!(
            found(|e| e[1].body = e[0].body.clone()),
            "entry 2 was changed, or an entry before it is missing: its hash does not match"
        );
        assert_eq!(
            found(|e| e[2].at = Time(5)),
            "entry 3 was changed, or an entry before it is missing: its hash does not match"
        );
        assert_eq!(found(|e| drop(e.remove(0))), "entry 2 stands where 1 belongs");
        assert_eq!(found(|e| e.swap(1, 2)), "entry 3 stands where 2 belongs");
        assert!(verify(Uuid::from_u128(8), &good).is_err(), "a chain belongs to its request");
    }
}
