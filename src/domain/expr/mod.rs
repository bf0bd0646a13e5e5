//! Expressions and templates of the process language: CEL behind our own types.
//!
//! The hard problem: an expression decides about a customer's card. It is written by a support engineer as
//! data, runs on answers that a remote system sends, and must neither bring the worker down (the crate has
//! no execution budget, and a long chain overflows the stack and aborts the process) nor decide by accident
//! (a type that does not fit, a missing field, a `NaN`). So:
//!
//! - **Load time is strict** ([`Expr::compile`]): size, nesting, node and comprehension limits, known functions
//!   only, constant regular expressions only; each refusal says where and what to do instead.
//! - **Run time is bounded**: lists beyond 10,000 items and data nested deeper than 64 are poisoned values
//!   that no operator accepts; loops, concatenations and deep comparisons draw on one budget per evaluation.
//! - **Run time is loud**: whatever has no honest answer is an [`EvalError`], which the caller treats as a
//!   defect. Its message names types and names, never values: they may be a customer's.
//!
//! Where we differ from plain CEL, on purpose:
//!
//! | expression | CEL | here |
//! |---|---|---|
//! | `1 >= 0.92`, `1 == 1.0`, `answer.n in [1.0]` | numbers compare by value | the same; `==` is exact beyond 2^53 |
//! | `1 + 0.5` | error | error: write `double(x) + 0.5` |
//! | `'200' == 200`, `[1] == 1`, `'a' in [1]` | `false` | error: the question makes no sense |
//! | `x == null` | `false` for any other type | the same |
//! | `double('NaN') == 1.0` | `false` | error |
//! | `matches(s, pattern)` | any pattern | a constant pattern of at most 256 bytes |
//! | `a.?b`, `optional.of(x)`, `pkg.Type{}` | optional values, messages | refused |
//!
//! As in CEL, `&&` and `||` look at both sides: an error on one side is absorbed by `false && …` and
//! `true || …` on the other; `exists` and `all` do the same over the items. `has(answer.x)` asks for a key
//! without failing.
//!
//! Nothing outside this folder may name the crate `cel`: its API breaks in every 0.x.

mod budget;
mod check;
mod compile;
mod error;
mod functions;
mod identity;
mod json_template;
mod mask;
mod mrz;
mod path;
mod quick;
mod scan;
mod scope;
mod template;
mod value;
mod vocabulary;

#[cfg(test)]
mod tests;

pub use compile::Expr;
pub use error::{EvalError, ExprError};
pub use identity::{cn_id, luhn};
pub use json_template::JsonTemplate;
pub use mask::mask_text;
pub use mrz::mrz;
pub use scope::Scope;
pub use template::Template;
#[cfg(test)]
pub(in crate::domain) use vocabulary::ROOTS;
