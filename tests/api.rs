//! The HTTP API over real sockets, on the real engine with the store in memory and remote systems that answer as told.
//!
//! What is checked is what strangers see: statuses, headers, bodies, and what is *not* in them.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests stop at the first surprise")]

#[path = "api/access.rs"]
mod access;
#[path = "api/batches.rs"]
mod batches;
#[path = "api/callbacks.rs"]
mod callbacks;
#[path = "api/connections.rs"]
mod connections;
#[path = "api/contract.rs"]
mod contract;
#[path = "api/operations.rs"]
mod operations;
#[path = "api/presence.rs"]
mod presence;
#[path = "api/refusals.rs"]
mod refusals;
#[path = "api/requests.rs"]
mod requests;
#[path = "api/reviews.rs"]
mod reviews;
#[path = "api/setting_aside.rs"]
mod setting_aside;
#[path = "api/stream.rs"]
mod stream;
#[path = "api/tools.rs"]
mod tools;
#[path = "api/versions.rs"]
mod versions;
#[path = "api/world.rs"]
mod world;
