//! The variables an expression sees.

use std::fmt;
use std::sync::Arc;

use cel::Context;
use serde_json::Value;

use super::functions::ENV;
use super::value;

/// The variables of one step, converted once and read by every expression of the step.
///
/// The functions live in one shared environment, so an empty scope costs next to nothing; what costs is
/// [`Scope::set`], about as much as cloning the JSON.
pub struct Scope {
    pub(super) context: Context<'static, 'static>,
}

impl Scope {
    /// A scope with our functions and no variables.
    pub fn new() -> Scope {
        Scope { context: Context::with_env(Arc::clone(&ENV)) }
    }

    /// Sets the variable `name`, replacing what it was. Integers are signed where they fit; a list or object of
    /// more than 10,000 items, and what is nested deeper than 64 levels, fails the expressions that use it.
    pub fn set(&mut self, name: &str, value: &Value) {
        self.context.add_variable_as_val(name, value::from_json(value));
    }

    /// Sets `name` to a CEL timestamp: `micros` are microseconds since 1970-01-01T00:00:00Z. Outside of the
    /// years 1 to 9999 the variable fails the expressions that use it.
    pub fn set_time(&mut self, name: &str, micros: i64) {
        self.context.add_variable_as_val(name, value::from_micros(micros));
    }
}

impl Default for Scope {
    fn default() -> Self {
        Scope::new()
    }
}

impl fmt::Debug for Scope {
    /// Without its values: they may be sensitive.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").finish_non_exhaustive()
    }
}
