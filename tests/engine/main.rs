//! The engine in virtual time: crashes at every point, races, lanes, groups, poison.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod amend;
mod crash;
mod groups;
mod lanes;
mod mortal;
mod poison;
mod races;
mod relay;
mod support;
mod target;
mod told;
mod versions;
#[path = "../harness/wrapped_remote.rs"]
mod wrapped_remote;
#[path = "../harness/wrapped_store.rs"]
mod wrapped_store;
