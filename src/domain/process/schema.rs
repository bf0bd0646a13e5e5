//! A payload's JSON Schema, compiled once.
//!
//! Two things are hard here. A fault must help a front-end developer without repeating the payload, which may be
//! somebody's identity number: messages name the place, what was expected and how to mend it, never the value. And what
//! is marked `x-sensitive` must be masked wherever the value may hide: behind `$ref`, in lists, in either branch of a
//! choice; see `sensitive.rs`.

use std::fmt;
use std::sync::Arc;

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::Value;

use super::schema_fault;
use super::schema_refs;
use super::sensitive::{self, Sensitive};

pub use super::schema_fault::SchemaFault;

/// The largest schema, as JSON text, in bytes.
const MAX_BYTES: usize = 64 * 1024;
/// The deepest nesting of a schema.
const MAX_DEPTH: usize = 32;
/// The longest regular expression, in bytes: the engine is linear in the input, but building a big one costs time.
const MAX_PATTERN_BYTES: usize = 500;
/// The most memory that one compiled regular expression may take, in bytes.
const MAX_PATTERN_COMPILED_BYTES: usize = 1024 * 1024;
/// How many faults one validation reports.
const MAX_FAULTS: usize = 10;

/// A compiled JSON Schema (2020-12) with its sensitive fields; cheap to clone.
#[derive(Clone)]
pub struct Schema {
    inner: Arc<Inner>,
}

struct Inner {
    source: Value,
    validator: Validator,
    sensitive: Vec<Sensitive>,
}

impl Schema {
    /// Compiles a schema. References stay inside the document; formats are checked; patterns are of the linear-time kind.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the schema and where in it.
    pub fn compile(source: &Value) -> Result<Schema, String> {
        check_size(source)?;
        check_bounds(source, "", 0)?;
        schema_refs::check(source)?;
        let validator = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .offline()
            .should_validate_formats(true)
            .should_ignore_unknown_formats(false)
            .with_pattern_options(PatternOptions::regex().size_limit(MAX_PATTERN_COMPILED_BYTES))
            .build(source)
            .map_err(|error| schema_error(&error))?;
        let sensitive = sensitive::list(source)?;
        Ok(Schema { inner: Arc::new(Inner { source: source.clone(), validator, sensitive }) })
    }

    /// The schema as it was written.
    #[must_use]
    pub fn source(&self) -> &Value {
        &self.inner.source
    }

    /// Checks a value.
    ///
    /// # Errors
    /// At most ten faults, none of which repeats anything of the value.
    pub fn validate(&self, value: &Value) -> Result<(), Vec<SchemaFault>> {
        if self.inner.validator.is_valid(value) {
            return Ok(());
        }
        let declared = schema_fault::declared_names(&self.inner.source);
        let mut faults: Vec<SchemaFault> = Vec::new();
        for error in self.inner.validator.iter_errors(value) {
            for fault in schema_fault::explain(&error, value, &declared) {
                if faults.len() < MAX_FAULTS && !faults.contains(&fault) {
                    faults.push(fault);
                }
            }
            if faults.len() >= MAX_FAULTS {
                break;
            }
        }
        Err(faults)
    }

    /// The fields marked `x-sensitive`, as patterns of JSON pointers with their kinds.
    #[must_use]
    pub fn sensitive(&self) -> &[Sensitive] {
        &self.inner.sensitive
    }

    /// The value with everything sensitive replaced by a masked text.
    ///
    /// A sensitive text keeps at most what `mask(s)` of the expressions keeps; images, documents and other secrets, and
    /// sensitive values that are not text, keep nothing.
    #[must_use]
    pub fn mask(&self, value: &Value) -> Value {
        if self.inner.sensitive.is_empty() { value.clone() } else { sensitive::mask(&self.inner.source, value) }
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Schema").field(&self.inner.source).finish()
    }
}

impl PartialEq for Schema {
    fn eq(&self, other: &Schema) -> bool {
        self.inner.source == other.inner.source
    }
}

fn check_size(source: &Value) -> Result<(), String> {
    let bytes = serde_json::to_vec(source).map_err(|error| error.to_string())?.len();
    if bytes > MAX_BYTES {
        return Err(format!("the schema is {bytes} bytes long as JSON; the limit is {MAX_BYTES}"));
    }
    Ok(())
}

/// Depth, length of patterns, and references, which must start with `#`.
fn check_bounds(value: &Value, pointer: &str, depth: usize) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Err(format!("{pointer}: the schema is nested more than {MAX_DEPTH} levels deep"));
    }
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                let here = format!("{pointer}/{key}");
                match (key.as_str(), inner) {
                    ("$ref" | "$dynamicRef", Value::String(target)) if !target.starts_with('#') => {
                        return Err(format!(
                            "{here}: only references inside the schema (`#/$defs/…`) are allowed, not `{target}`"
                        ));
                    }
                    // It would change what `#/…` refers to.
                    ("$id", Value::String(_)) => return Err(format!("{here}: a schema in a process file has no `$id`")),
                    ("pattern", Value::String(pattern)) if pattern.len() > MAX_PATTERN_BYTES => {
                        return Err(format!("{here}: a pattern is at most {MAX_PATTERN_BYTES} bytes long"));
                    }
                    _ => check_bounds(inner, &here, depth + 1)?,
                }
            }
            Ok(())
        }
        Value::Array(items) => {
            items.iter().enumerate().try_for_each(|(at, inner)| check_bounds(inner, &format!("{pointer}/{at}"), depth + 1))
        }
        _ => Ok(()),
    }
}

fn schema_error(error: &jsonschema::ValidationError<'_>) -> String {
    let pointer = error.instance_path().to_string();
    let mut message = error.to_string();
    if message.chars().count() > 200 {
        message = message.chars().take(200).chain("…".chars()).collect();
    }
    if pointer.is_empty() { message } else { format!("{pointer}: {message}") }
}

#[cfg(test)]
#[path = "schema_tests.rs"]
mod tests;
