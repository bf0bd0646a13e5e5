//! Can a dotted path exist in a value that fits a schema?
//!
//! "No" is said only where it is certain: the schema, or one that it must also fit, is closed
//! (`additionalProperties: false`) and does not declare the name, or says that there is no object.

use std::collections::BTreeSet;

use serde_json::Value;

use super::sensitive::expand;

/// What is known about a path.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It may exist.
    Possible,
    /// The segment at `depth` cannot exist; these could.
    Missing { depth: usize, known: BTreeSet<String> },
    /// The segment at `depth` is looked up in something that is no object.
    NotAnObject { depth: usize, kind: &'static str },
}

/// Looks a path up.
pub(super) fn find(schema: &Value, path: &[&str]) -> Found {
    let mut here = vec![schema];
    for (depth, name) in path.iter().enumerate() {
        if name.bytes().all(|b| b.is_ascii_digit()) {
            return Found::Possible;
        }
        let must = must_fit(schema, &here);
        if let Some(kind) = must.iter().find_map(|one| scalar_type(one)) {
            return Found::NotAnObject { depth, kind };
        }
        let all = expand(schema, &here);
        if let Some(closed) = must.iter().find(|one| is_closed(one)) {
            let declares = |one: &Value| one.get("properties").and_then(|fields| fields.get(name)).is_some();
            if !declares(closed) {
                let known = closed
                    .get("properties")
                    .and_then(Value::as_object)
                    .into_iter()
                    .flat_map(|fields| fields.keys().cloned())
                    .collect();
                return Found::Missing { depth, known };
            }
        }
        let next: Vec<&Value> = all.iter().filter_map(|one| one.get("properties").and_then(|fields| fields.get(name))).collect();
        if next.is_empty() {
            return Found::Possible;
        }
        here = next;
    }
    Found::Possible
}

/// The position of the first segment that the schema does not require; `None` where choices make it unclear.
pub(super) fn first_optional(schema: &Value, path: &[&str]) -> Option<usize> {
    let mut here = vec![schema];
    for (depth, name) in path.iter().enumerate() {
        let must = must_fit(schema, &here);
        let chooses = |one: &&Value| {
            ["anyOf", "oneOf", "if", "dependentRequired", "dependentSchemas"].iter().any(|key| one.get(key).is_some())
        };
        if must.iter().any(chooses) {
            return None;
        }
        let next: Vec<&Value> = must.iter().filter_map(|one| one.get("properties").and_then(|fields| fields.get(name))).collect();
        if next.is_empty() {
            return None;
        }
        let requires = |one: &&Value| {
            one.get("required").and_then(Value::as_array).is_some_and(|names| names.iter().any(|n| n.as_str() == Some(name)))
        };
        if !must.iter().any(requires) {
            return Some(depth);
        }
        here = next;
    }
    None
}

/// A schema with those that a value must fit as well: through `$ref` and `allOf`, not through choices.
fn must_fit<'s>(root: &'s Value, schemas: &[&'s Value]) -> Vec<&'s Value> {
    let [single] = schemas else { return Vec::new() };
    let mut found: Vec<&Value> = Vec::new();
    let mut todo = vec![*single];
    while let Some(schema) = todo.pop() {
        if found.len() > 64 || found.iter().any(|one| std::ptr::eq(*one, schema)) {
            continue;
        }
        found.push(schema);
        if let Some(target) = schema.get("$ref").and_then(Value::as_str).and_then(|target| target.strip_prefix('#')) {
            todo.extend(root.pointer(target));
        }
        todo.extend(schema.get("allOf").and_then(Value::as_array).into_iter().flatten());
    }
    found
}

fn is_closed(schema: &Value) -> bool {
    schema.get("additionalProperties") == Some(&Value::Bool(false)) && schema.get("patternProperties").is_none()
}

/// The name of a schema's only type where that type has no fields.
fn scalar_type(schema: &Value) -> Option<&'static str> {
    match schema.get("type")?.as_str()? {
        "string" => Some("text"),
        "integer" => Some("a whole number"),
        "number" => Some("a number"),
        "boolean" => Some("true or false"),
        "null" => Some("null"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_is_certain_is_missing() {
        let schema = json!({
            "type": "object", "additionalProperties": false, "required": ["card"],
            "properties": {
                "card": {"$ref": "#/$defs/card"},
                "note": {"type": "string"},
                "open": {"type": "object"},
                "choice": {"anyOf": [{"type": "object", "additionalProperties": false, "properties": {"a": {}}}, {"type": "object"}]},
            },
            "$defs": {"card": {"type": "object", "additionalProperties": false, "properties": {"id": {"type": "string"}}}},
        });
        let known = BTreeSet::from(["id".to_owned()]);
        for (path, found) in [
            (vec!["card"], Found::Possible),
            (vec!["card", "id"], Found::Possible),
            (vec!["card", "di"], Found::Missing { depth: 1, known }),
            (vec!["note", "x"], Found::NotAnObject { depth: 1, kind: "text" }),
            (vec!["open", "x", "y"], Found::Possible),
            (vec!["choice", "b"], Found::Possible),
        ] {
            assert_eq!(find(&schema, &path), found, "{path:?}");
        }
        assert_eq!(first_optional(&schema, &["card"]), None);
        assert_eq!(first_optional(&schema, &["note"]), Some(0));
        assert_eq!(first_optional(&schema, &["card", "id"]), Some(1));
    }
}
