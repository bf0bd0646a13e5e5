//! The pure core: process files, expressions, the state of a request and every decision about it.
//!
//! Nothing here does I/O, reads a clock or draws a random number; time and ids come in as arguments.

pub mod expr;
pub mod json;
pub mod message;
pub mod process;
pub mod request;
pub mod time;
pub mod triage;
pub mod words;
