//! The engine: carries requests from intake to outcome. It defines the ports that stores, queues and connectors
//! implement, and knows no driver.

pub mod breaker;
pub mod calls;
pub mod canary;
pub mod clock;
pub mod committer;
pub mod core;
pub mod drive;
pub mod groups;
#[cfg(test)]
mod groups_tests;
pub mod intake;
pub mod outage;
pub mod ports;
pub mod processes;
pub mod relay;
pub mod service;
pub mod verify;
pub mod worker;
