//! Mozhao (墨诏): queue consumers take customer requests, run automated verification and execution steps,
//! retry on failure, and send only exceptions to human review.
//!
//! The layers and their rules are in `src/ARCHITECTURE.md`.

pub mod api;
pub mod app;
pub mod cli;
pub mod config;
pub mod connectors;
pub mod console;
pub mod domain;
pub mod engine;
pub mod faults;
pub mod proof;
pub mod queue;
pub mod sandbox;
pub mod store;
pub mod telemetry;
