//! Is a request's record whole? Its chain, entry by entry, and that the request's row agrees with it.

use uuid::Uuid;

use super::ports::records::RequestRow;
use super::ports::store::{Store, StoreError};
use crate::domain::request::chain::{self, ChainError, GENESIS};

/// Entries that are read at once.
const ENTRIES: usize = 500;

/// What is wrong with one request's ledger.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Broken {
    /// The request.
    pub request: Uuid,
    /// Its process.
    pub process: String,
    /// The first entry that does not fit.
    pub entry: u64,
    /// What is wrong with it.
    pub problem: String,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Verified {
    /// Requests looked at.
    pub requests: u64,
    /// Entries looked at.
    pub entries: u64,
    /// The broken ones.
    pub broken: Vec<Broken>,
    /// How many were accepted and are not there any more; set by who has seen them all.
    pub missing: u64,
}

/// Checks one request's chain, and that its row agrees with it.
///
/// # Errors
/// The store failed; what is wrong with the record is no error but goes into `found`.
pub async fn one(store: &dyn Store, row: &RequestRow, found: &mut Verified) -> Result<(), StoreError> {
    let mut broken = |entry: u64, problem: String| {
        found.broken.push(Broken { request: row.id, process: row.process.clone(), entry, problem });
    };
    found.requests += 1;
    let (mut seq, mut prev) = (0, GENESIS);
    // The row was read first; entries above its head were written since then and are none of its business.
    while seq < row.seq {
        let most = ENTRIES.min(usize::try_from(row.seq - seq).unwrap_or(ENTRIES));
        let entries = store.entries(row.id, seq, most).await?;
        let Some(last) = entries.last().map(|entry| entry.seq) else {
            match store.request(row.id).await {
                // Its window ended since its row was read.
                Err(StoreError::NotFound(_)) => {}
                Err(error) => return Err(error),
                Ok(_) => broken(seq + 1, format!("is missing: the request has {} entries", row.seq)),
            }
            return Ok(());
        };
        match chain::verify_after(row.id, seq, prev, &entries) {
            Ok(head) => prev = head,
            Err(error) => {
                let at = match &error {
                    ChainError::OutOfOrder { expected, .. } => *expected,
                    ChainError::Broken { seq } | ChainError::Unreadable { seq, .. } => *seq,
                };
                broken(at, error.to_string());
                return Ok(());
            }
        }
        seq = last;
        found.entries += u64::try_from(entries.len()).unwrap_or(u64::MAX);
    }
    if prev != row.head {
        broken(row.seq, "is not the head that the request's row names".to_owned());
    }
    Ok(())
}
