//! A request: its ledger facts, the state they add up to, and what comes next.

pub mod chain;
pub mod fact;
pub mod signal;
