//! The queue against a real RabbitMQ: every message is taken until it is stored and acknowledged only then, every event
//! that counts as published is there, and both survive what brokers do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub, reason = "tests stop at the first surprise")]

mod failing;
#[path = "../harness/mod.rs"]
mod harness;
mod malformed;
mod sharing;
mod support;
