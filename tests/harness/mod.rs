//! Private servers and processes for the integration tests.
//!
//! The hard problem: a test must be free to kill -9 "its" database, broker or worker at any moment,
//! beside other tests that do the same, and nothing may be left behind, whatever way the test ends.
//! So every server has its own folder, ports and process group; what is started is recorded (pid and
//! folder) before it is used; and only what is recorded is ever stopped. See `tests/README.md`.
//!
//! - A test that only needs *a* database or broker: [`postgres::database`], [`rabbitmq::broker`]
//!   (shared servers, a fresh database or name prefix of its own).
//! - A test that kills a server: [`postgres::Postgres::start`], [`rabbitmq::RabbitMq::start`].
//! - A test that runs the worker as a process: [`process::Mozhao`].
//! - A test that breaks connections: [`proxy::Proxy`] before whatever it is; that fills a disk: [`disk::SmallDisk`].

#![allow(dead_code, unreachable_pub, reason = "each test binary compiles this module and uses a part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "tests stop at the first surprise"
)]

pub mod child;
pub mod disk;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod rabbitmq;
pub mod record;
pub mod skew;
pub mod wait;
