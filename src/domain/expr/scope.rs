//! The variables an expression sees.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use cel::Context;
use serde_json::Value;

use super::functions::ENV;
use super::value::{self, MAX_ITEMS};

/// The longest text that is looked up without the interpreter, whose budget counts long ones.
const MAX_TEXT: usize = 4 * 1024;

/// The variables of one step, read by every expression of the step.
///
/// The functions live in one shared environment, so a scope costs next to nothing. What costs is to convert JSON for the
/// interpreter: each variable is converted when the first expression needs that, and most never are, since what is a plain path
/// to a text or a number (`request.card_id`) is looked up in the JSON itself.
pub struct Scope {
    variables: Vec<(&'static str, Arc<Value>)>,
    converted: Mutex<Converted>,
}

/// What the interpreter sees.
struct Converted {
    context: Context<'static, 'static>,
    /// The variables that are in there already.
    names: BTreeSet<&'static str>,
}

impl Scope {
    /// A scope with our functions and no variables.
    pub fn new() -> Scope {
        let converted = Converted { context: Context::with_env(Arc::clone(&ENV)), names: BTreeSet::new() };
        Scope { variables: Vec::new(), converted: Mutex::new(converted) }
    }

    /// Sets the variable `name`, replacing what it was. Integers are signed where they fit; a list or object of
    /// more than 10,000 items, and what is nested deeper than 64 levels, fails the expressions that use it.
    pub fn set(&mut self, name: &'static str, value: &Value) {
        self.share(name, Arc::new(value.clone()));
    }

    /// Like [`Scope::set`], without a copy.
    pub fn share(&mut self, name: &'static str, value: Arc<Value>) {
        self.variables.retain(|(known, _)| *known != name);
        self.variables.push((name, value));
        self.converted.get_mut().unwrap_or_else(PoisonError::into_inner).names.remove(name);
    }

    /// Sets `name` to a CEL timestamp: `micros` are microseconds since 1970-01-01T00:00:00Z. Outside of the
    /// years 1 to 9999 the variable fails the expressions that use it.
    pub fn set_time(&mut self, name: &'static str, micros: i64) {
        self.variables.retain(|(known, _)| *known != name);
        let converted = self.converted.get_mut().unwrap_or_else(PoisonError::into_inner);
        converted.context.add_variable_as_val(name, value::from_micros(micros));
    }

    /// The text, number or truth value at the end of a path, where the interpreter would certainly find the same; `None`: ask it.
    pub(super) fn scalar(&self, path: &[String]) -> Option<&Value> {
        let (root, members) = path.split_first()?;
        let mut found = &*self.variables.iter().find(|(name, _)| *name == root.as_str())?.1;
        for member in members {
            found = found.as_object().filter(|object| object.len() <= MAX_ITEMS)?.get(member)?;
        }
        match found {
            Value::String(text) if text.len() <= MAX_TEXT => Some(found),
            Value::Number(_) | Value::Bool(_) => Some(found),
            _ => None,
        }
    }

    /// Gives the interpreter's view, with the variables of these names converted.
    pub(super) fn with<T>(&self, names: &BTreeSet<String>, ask: impl FnOnce(&Context<'static, 'static>) -> T) -> T {
        let mut converted = self.converted.lock().unwrap_or_else(PoisonError::into_inner);
        for &(name, ref json) in &self.variables {
            if names.contains(name) && converted.names.insert(name) {
                converted.context.add_variable_as_val(name, value::from_json(json));
            }
        }
        ask(&converted.context)
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
