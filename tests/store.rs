//! The stores: one conformance suite over the port, run on memory, SQLite and PostgreSQL; random operation sequences compared
//! between the three; and what is special about each database.

mod harness;
#[path = "store/mod.rs"]
mod suite;
