//! Which parts of a value are sensitive, by its schema's `x-sensitive` marks.
//!
//! The hard case is a schema that refers to itself or offers choices: a list of patterns cannot describe it. So masking
//! walks the value and, beside it, every subschema that could apply to each place, whichever branch of a choice the value
//! took; the patterns are for showing only.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::expr::mask_text;

/// The keyword.
const MARK: &str = "x-sensitive";
/// What stands for a sensitive value of which nothing may show.
const HIDDEN: &str = "***";
/// The most subschemas looked at for one place; a schema is at most 64 KiB, so this is only a second guard.
const MAX_APPLICABLE: usize = 256;
/// The most patterns listed.
const MAX_PATTERNS: usize = 256;
/// The longest pattern listed.
const MAX_PATTERN_DEPTH: usize = 12;

/// A place of a payload that must be masked outside the engine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Sensitive {
    /// A JSON pointer in which `*` stands for any key or index.
    pub pointer: String,
    /// What the schema calls it: `id_number`, `image`, …; `value` for `x-sensitive: true`.
    pub kind: String,
}

/// Kinds of which not even a few characters may show.
fn hides_all(kind: &str) -> bool {
    matches!(kind, "image" | "photo" | "file" | "document" | "biometric" | "secret" | "password" | "pin" | "code" | "token")
}

/// The marks of a schema, sorted.
pub(super) fn list(schema: &Value) -> Result<Vec<Sensitive>, String> {
    check_marks(schema, "")?;
    let mut found = Vec::new();
    collect(schema, schema, "", 0, &mut found);
    found.sort();
    found.dedup();
    Ok(found)
}

/// A mark is `true`, `false` or a kind; anything else would be a field that nobody masks.
fn check_marks(schema: &Value, pointer: &str) -> Result<(), String> {
    match schema {
        Value::Object(map) => {
            for (key, inner) in map {
                let here = format!("{pointer}/{key}");
                // A property may itself be called `x-sensitive`; then its value is a schema.
                if key == MARK && !pointer.ends_with("/properties") {
                    let fits = inner.is_boolean() || inner.as_str().is_some_and(|kind| !kind.is_empty());
                    if !fits {
                        return Err(format!("{here}: write the kind of the value (`id_number`, `image`, …) or true"));
                    }
                } else if !matches!(key.as_str(), "enum" | "const" | "default" | "examples") {
                    check_marks(inner, &here)?;
                }
            }
            Ok(())
        }
        Value::Array(items) => items.iter().try_for_each(|inner| check_marks(inner, pointer)),
        _ => Ok(()),
    }
}

fn kind_of(schema: &Value) -> Option<&str> {
    match schema.get(MARK)? {
        Value::Bool(true) => Some("value"),
        Value::String(kind) => Some(kind),
        _ => None,
    }
}

fn collect(root: &Value, schema: &Value, pointer: &str, depth: usize, found: &mut Vec<Sensitive>) {
    if depth > MAX_PATTERN_DEPTH || found.len() >= MAX_PATTERNS {
        return;
    }
    let applicable = expand(root, &[schema]);
    if let Some(kind) = applicable.iter().find_map(|one| kind_of(one)) {
        found.push(Sensitive { pointer: pointer.to_owned(), kind: kind.to_owned() });
        return;
    }
    for one in applicable {
        for (key, inner) in one.as_object().into_iter().flatten() {
            match (key.as_str(), inner) {
                ("properties", Value::Object(fields)) => {
                    for (name, field) in fields {
                        let name = name.replace('~', "~0").replace('/', "~1");
                        collect(root, field, &format!("{pointer}/{name}"), depth + 1, found);
                    }
                }
                ("patternProperties", Value::Object(fields)) => {
                    fields.values().for_each(|field| collect(root, field, &format!("{pointer}/*"), depth + 1, found));
                }
                ("prefixItems", Value::Array(items)) => {
                    for item in items {
                        collect(root, item, &format!("{pointer}/*"), depth + 1, found);
                    }
                }
                (
                    "items" | "additionalProperties" | "unevaluatedItems" | "unevaluatedProperties" | "contains",
                    Value::Object(_),
                ) => {
                    collect(root, inner, &format!("{pointer}/*"), depth + 1, found);
                }
                _ => {}
            }
        }
    }
}

/// Masks a value by its schema.
pub(super) fn mask(schema: &Value, value: &Value) -> Value {
    mask_place(schema, &[schema], value)
}

fn mask_place(root: &Value, schemas: &[&Value], value: &Value) -> Value {
    let applicable = expand(root, schemas);
    let kinds: Vec<&str> = applicable.iter().filter_map(|one| kind_of(one)).collect();
    if !kinds.is_empty() {
        return hide(&kinds, value);
    }
    match value {
        Value::Object(map) => {
            let masked: Map<String, Value> =
                map.iter().map(|(key, inner)| (key.clone(), mask_place(root, &of_field(&applicable, key), inner))).collect();
            Value::Object(masked)
        }
        Value::Array(items) => {
            Value::Array(items.iter().enumerate().map(|(at, inner)| mask_place(root, &of_item(&applicable, at), inner)).collect())
        }
        other => other.clone(),
    }
}

/// What is shown instead of a sensitive value.
fn hide(kinds: &[&str], value: &Value) -> Value {
    if let Some(kind) = kinds.iter().find(|kind| hides_all(kind)) {
        return Value::String(format!("[{kind}]"));
    }
    match value {
        Value::Null => Value::Null,
        Value::String(text) => Value::String(mask_text(text)),
        _ => Value::String(HIDDEN.to_owned()),
    }
}

/// The subschemas that could apply to a field.
fn of_field<'s>(applicable: &[&'s Value], name: &str) -> Vec<&'s Value> {
    let mut found = Vec::new();
    for one in applicable {
        if let Some(field) = one.get("properties").and_then(|fields| fields.get(name)) {
            found.push(field);
            continue;
        }
        // Patterns are not matched here: masking what one of them marks is the safe side.
        found.extend(one.get("patternProperties").and_then(Value::as_object).into_iter().flat_map(|fields| fields.values()));
        found.extend(one.get("additionalProperties"));
        found.extend(one.get("unevaluatedProperties"));
    }
    found
}

/// The subschemas that could apply to an entry of a list.
fn of_item<'s>(applicable: &[&'s Value], at: usize) -> Vec<&'s Value> {
    let mut found = Vec::new();
    for one in applicable {
        match one.get("prefixItems").and_then(|items| items.get(at)) {
            Some(item) => found.push(item),
            None => found.extend(one.get("items")),
        }
        found.extend(one.get("contains"));
        found.extend(one.get("unevaluatedItems"));
    }
    found
}

/// A place's schemas with all that they refer to, combine or choose from.
pub(super) fn expand<'s>(root: &'s Value, schemas: &[&'s Value]) -> Vec<&'s Value> {
    let mut seen: Vec<&'s Value> = Vec::new();
    let mut todo: Vec<&'s Value> = schemas.to_vec();
    while let Some(schema) = todo.pop() {
        if seen.len() >= MAX_APPLICABLE || seen.iter().any(|other| std::ptr::eq(*other, schema)) {
            continue;
        }
        seen.push(schema);
        let Value::Object(map) = schema else { continue };
        for (key, inner) in map {
            match (key.as_str(), inner) {
                ("$ref" | "$dynamicRef", Value::String(target)) => todo.extend(resolve(root, target)),
                ("allOf" | "anyOf" | "oneOf", Value::Array(branches)) => todo.extend(branches),
                ("if" | "then" | "else" | "not", branch) => todo.push(branch),
                ("dependentSchemas", Value::Object(branches)) => todo.extend(branches.values()),
                _ => {}
            }
        }
    }
    seen
}

/// A reference inside the document: a JSON pointer or an `$anchor`.
fn resolve<'s>(root: &'s Value, target: &str) -> Option<&'s Value> {
    let fragment = target.strip_prefix('#')?;
    if fragment.is_empty() || fragment.starts_with('/') {
        return root.pointer(fragment);
    }
    by_anchor(root, fragment)
}

fn by_anchor<'s>(value: &'s Value, name: &str) -> Option<&'s Value> {
    match value {
        Value::Object(map) => {
            if ["$anchor", "$dynamicAnchor"].iter().any(|key| map.get(*key).and_then(Value::as_str) == Some(name)) {
                return Some(value);
            }
            map.values().find_map(|inner| by_anchor(inner, name))
        }
        Value::Array(items) => items.iter().find_map(|inner| by_anchor(inner, name)),
        _ => None,
    }
}
