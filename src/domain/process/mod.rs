//! Process files: how one kind of request is handled, as data.
//!
//! A file is read once, strictly ([`parse`]), into a [`Process`] whose every name is resolved and whose every expression
//! is compiled; whatever is wrong with it comes as [`Finding`]s with places and hints. The engine never meets a process
//! that has not passed.

mod builtin;
mod call;
pub mod cases;
mod diff;
pub mod difference;
mod finding;
mod json_schema;
mod lint;
pub mod model;
mod parse;
mod places;
mod read;
mod reads;
mod rules;
pub mod schema;
mod schema_fault;
mod schema_path;
mod schema_refs;
mod scope;
mod sensitive;
mod show;
mod spelling;
mod steps;
mod texts;
mod yaml;

pub use builtin::{
    BUILTIN_LANGUAGES, BUILTIN_REVIEWS, HANDED_OVER, OVERDUE, UNDO_FAILED, UNKNOWN_EFFECT, builtin_options, builtin_review,
};
pub use cases::parse_cases;
pub use diff::same_done_part;
pub use finding::{Finding, Severity};
pub use json_schema::json_schema;
pub use model::*;
pub use parse::{Known, MAX_FILE_BYTES, Parsed, parse};
pub use places::Places;
pub use reads::Reads;
pub use schema::{Schema, SchemaFault};
pub use sensitive::Sensitive;
pub use show::{describe, mermaid};
