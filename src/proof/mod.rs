//! Proof: processes and the engine itself, tried out in virtual time.
//!
//! The hard problem: what matters about a process happens rarely, late, or only when something breaks at a bad moment —
//! an answer that does not come, a reviewer who decides a day later, a worker that dies between a call and its record.
//! So the real engine runs in one thread over a store in memory, with scripted remote systems and a clock that stands
//! still until nothing else can happen. A case that takes a week takes a millisecond here, and the same every time.
//!
//! - [`clock`]: virtual time, ids and dice. [`world`]: an engine in it. [`script`]: remote systems.
//! - [`run_files`]: test files of processes (`mozhao process test`), with what no case has reached.
//!
//! A layer beside the API: it uses the engine, the memory store and the connectors' table of failures.

pub mod check;
pub mod clock;
pub mod coverage;
mod files;
pub mod play;
mod report;
pub mod script;
pub mod timeline;
pub mod world;

pub use files::{run_files, tests_of};
pub use report::{CaseReport, FileReport, Report};
