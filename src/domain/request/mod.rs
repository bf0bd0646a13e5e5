//! A request: its ledger facts, the state they add up to, and what comes next.

pub mod amend;
pub mod chain;
pub mod clauses;
pub mod fact;
pub mod judge;
pub mod notices;
pub mod plan;
pub mod react;
pub mod scope;
pub mod signal;
pub mod slot;
pub mod state;
#[cfg(test)]
mod tests;
