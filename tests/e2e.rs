//! End to end: the program as processes of its own, real PostgreSQL and RabbitMQ, the sandbox's target ledger as the
//! witness, and after every fault the books (`tests/e2e/books.rs`).

mod harness;
#[path = "e2e/mod.rs"]
mod suite;
