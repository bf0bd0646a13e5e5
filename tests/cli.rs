//! The command line as scripts and people meet it: the real program, its exit codes, what goes to standard output and what
//! to standard error.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests stop at the first surprise")]

mod harness;

#[path = "cli/database.rs"]
mod database;
#[path = "cli/local.rs"]
mod local;
#[path = "cli/program.rs"]
mod program;
#[path = "cli/server.rs"]
mod server;
