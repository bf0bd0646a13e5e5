//! Bad input: what strangers send, engineers write and tools sign, broken in every way that we could think of and in many
//! that a seeded mutator thinks of.
//!
//! What must hold for every single input: no panic, no 5xx, memory within a stated bound, and an account of it: accepted,
//! a duplicate, a rejected record with an answer, or a 4xx problem that says what is wrong, where, and how to mend it.
//!
//! `MOZHAO_INPUT_CASES` sets how many mutations there are in all (`make chaos`: 100,000); a failure prints `MOZHAO_SEED` and
//! `MOZHAO_INPUT_CASE`, which replay that one case.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests stop at the first surprise")]
#![allow(clippy::format_collect, clippy::format_push_string, reason = "bad input is written plainly, not quickly")]

#[path = "../api/contract.rs"]
mod contract;
#[path = "../harness/mod.rs"]
mod harness;
#[path = "../api/world.rs"]
#[allow(dead_code, reason = "written for the API's tests; a part of it is used here")]
mod world;

mod answers;
mod corpus;
mod decisions;
mod dictionary;
mod expressions;
mod files;
mod http;
mod memory;
mod messages;
mod mutate;
mod raw;
mod run;
mod stored;
