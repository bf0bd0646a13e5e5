//! The hard part of breaking things is knowing afterwards that nothing else broke. So every scenario has the same frame
//! ([`scenario`]): producers that remember what was confirmed, a fault, healing, reviewers and operators who answer by what
//! the targets really did ([`people`]), and the books G1 to G12 with every request at its end. The end-to-end suite's world,
//! witnesses and books are used as they are.

#![allow(unreachable_pub, dead_code, reason = "the modules of one test program; some belong to another")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests stop at the first surprise")]

#[path = "../e2e/bank.rs"]
mod bank;
#[path = "../e2e/books.rs"]
mod books;
#[path = "../e2e/broker.rs"]
mod broker;
#[path = "../e2e/client.rs"]
mod client;
#[path = "../e2e/evidence.rs"]
mod evidence;
#[path = "../e2e/ledgers.rs"]
mod ledgers;
#[path = "../e2e/readers.rs"]
mod readers;
#[path = "../e2e/rest.rs"]
mod rest;
#[path = "../e2e/witness.rs"]
mod witness;
#[path = "../e2e/world.rs"]
mod world;

mod people;
mod scenario;

mod connections;
mod data;
mod judge;
mod load;
mod matrix;
mod servers;
mod signals;
mod workers;
