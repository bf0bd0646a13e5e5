//! What the engine needs from outside, as traits: durable state, remote systems, the broker, time and ids.

pub mod balance;
pub mod batches;
pub mod broker;
pub mod clock;
pub mod records;
pub mod remote;
pub mod reviewing;
pub mod sessions;
pub mod store;
pub mod users;
