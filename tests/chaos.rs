//! Faults: each kind of thing that goes wrong is a scenario (`tests/chaos/`): servers, load, fault, and afterwards always the
//! people who settle what is theirs, and the books. One seed in `make test`, several in `make chaos`.

mod harness;
#[path = "chaos/mod.rs"]
mod suite;
