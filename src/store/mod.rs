//! Durable state: one port ([`crate::engine::ports::store::Store`]), three implementations with the same file names.
//!
//! The hard problem: what a worker believes about a request may be old at the moment it writes. Another worker may have
//! taken it over, a signal may have come in between, a second reviewer may have been faster. So nothing here is decided
//! by reading first and writing later: every write carries what its author believed, the database compares under its own
//! lock, and a lost race comes back as a value.
//!
//! - [`memory`]: process tests and simulations, on a virtual clock.
//! - [`sqlite`]: the embedded default; one file, one worker process.
//! - [`postgres`]: production; any number of workers.
//!
//! What must not differ between them stands once, in `rules.rs` (pure decisions) and `batch.rs` (what a batch may hold).
//! `tests/store.rs` runs one conformance suite on all three and compares random operation sequences.

mod batch;
mod batches;
pub mod memory;
mod mistake;
pub mod open;
mod pack;
mod pool;
mod port;
pub mod postgres;
mod reviewing;
mod rows;
mod rules;
mod schema;
mod sessions;
pub mod sqlite;
mod users;
mod who;

/// What a program opens a database for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// To work on requests. A SQLite file has one worker at a time.
    Worker,
    /// To look or to change a little beside a worker: `token`, `ledger verify`.
    Tool,
}
