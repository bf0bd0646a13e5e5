//! References of a schema that never end, or that stand for far more than is written.
//!
//! A schema may refer to itself: a tree's node holds nodes. That ends where the value ends, as long as each round goes one
//! step into the value; `{"$ref": "#"}` does not, and a validator follows it until its stack is used up, which ends the
//! process. And forty definitions that each refer twice to the one before stand for a million million checks. Both are
//! found here, before the validator sees the schema.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// The most schemas that one may stand for, with each reference counted as what it refers to.
const MAX_SCHEMAS: usize = 20_000;

/// The longest chain of references; a validator takes a part of its stack for each.
const MAX_FOLLOWED: usize = 32;

/// Keywords whose schemas look at the same value.
const IN_PLACE: [&str; 8] = ["allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas"];
/// Keywords whose schemas look at a part of it.
const INSIDE: [&str; 10] = [
    "properties",
    "patternProperties",
    "additionalProperties",
    "unevaluatedProperties",
    "propertyNames",
    "items",
    "prefixItems",
    "contains",
    "additionalItems",
    "unevaluatedItems",
];

/// Checks the references of a whole schema.
///
/// # Errors
/// Which one, and what to do about it.
pub(super) fn check(source: &Value) -> Result<(), String> {
    let mut walk =
        Walk { root: source, count: 0, place: Vec::new(), open: Vec::new(), rounds: BTreeSet::new(), known: BTreeMap::new() };
    walk.schema(source, "")
}

/// A way back to a reference that is being followed: its target, and the way into the value since then.
type Round<'s> = (&'s str, Vec<String>);

/// What following a reference once has shown.
struct Known<'s> {
    count: usize,
    /// Ways from it to targets around it.
    rounds: Vec<Round<'s>>,
}

struct Walk<'s> {
    root: &'s Value,
    count: usize,
    /// The way into the value.
    place: Vec<String>,
    /// References that are being followed, and how deep in the value each began.
    open: Vec<(&'s str, usize)>,
    /// Ways back that were seen: the same twice doubles the work with each level of the value.
    rounds: BTreeSet<Round<'s>>,
    known: BTreeMap<&'s str, Known<'s>>,
}

impl<'s> Walk<'s> {
    fn schema(&mut self, schema: &'s Value, at: &str) -> Result<(), String> {
        self.add(1, at)?;
        let Value::Object(map) = schema else { return Ok(()) };
        for keyword in ["$ref", "$dynamicRef"] {
            if let Some(Value::String(target)) = map.get(keyword) {
                self.reference(target, &format!("{at}/{keyword}"))?;
            }
        }
        for keyword in IN_PLACE {
            self.keyword(map, keyword, at, false)?;
        }
        for keyword in INSIDE {
            self.keyword(map, keyword, at, true)?;
        }
        Ok(())
    }

    fn keyword(&mut self, map: &'s Map<String, Value>, keyword: &str, at: &str, inside: bool) -> Result<(), String> {
        let Some(found) = map.get(keyword) else { return Ok(()) };
        let at = format!("{at}/{keyword}");
        let named = matches!(keyword, "properties" | "patternProperties" | "dependentSchemas");
        match found {
            Value::Array(items) => {
                for (number, item) in items.iter().enumerate() {
                    self.at(item, &format!("{at}/{number}"), inside.then(|| format!("{keyword}/{number}")))?;
                }
                Ok(())
            }
            Value::Object(schemas) if named => {
                for (name, schema) in schemas {
                    self.at(schema, &format!("{at}/{name}"), inside.then(|| format!("{keyword}/{name}")))?;
                }
                Ok(())
            }
            other => self.at(other, &at, inside.then(|| keyword.to_owned())),
        }
    }

    fn at(&mut self, schema: &'s Value, at: &str, step: Option<String>) -> Result<(), String> {
        let inside = step.is_some();
        self.place.extend(step);
        let result = self.schema(schema, at);
        if inside {
            self.place.pop();
        }
        result
    }

    fn reference(&mut self, target: &'s str, at: &str) -> Result<(), String> {
        if let Some((_, from)) = self.open.iter().rev().find(|(open, _)| *open == target) {
            let way = self.place.get(*from..).unwrap_or_default().to_vec();
            if way.is_empty() {
                return Err(format!(
                    "{at}: `{target}` leads back to itself without a step into the value, so checking would never end; \
                     refer to it below `properties` or `items`"
                ));
            }
            return self.round((target, way), at);
        }
        if let Some(known) = self.known.get(target) {
            let (count, rounds) = (known.count, known.rounds.clone());
            self.add(count, at)?;
            for (back, rest) in rounds {
                if let Some((_, from)) = self.open.iter().rev().find(|(open, _)| *open == back) {
                    let way = [self.place.get(*from..).unwrap_or_default(), &rest].concat();
                    self.round((back, way), at)?;
                }
            }
            return Ok(());
        }
        // What refers to nothing is the compiler's to say.
        let Some(schema) = self.resolve(target) else { return Ok(()) };
        if self.open.len() >= MAX_FOLLOWED {
            return Err(format!("{at}: references lead to references more than {MAX_FOLLOWED} times; refer to the last one"));
        }
        let (count, from) = (self.count, self.place.len());
        let before = self.rounds.clone();
        self.open.push((target, from));
        let result = self.schema(schema, at);
        self.open.pop();
        result?;
        let around = |round: &&Round<'s>| round.0 != target;
        let rounds = self.rounds.difference(&before).filter(around);
        // Ways are counted from where their target began; from here they are that much shorter.
        let starts: BTreeMap<&str, usize> = self.open.iter().copied().collect();
        let shorter = |(back, way): &Round<'s>| {
            let begun = from.saturating_sub(starts.get(back).copied().unwrap_or(from));
            (*back, way.get(begun..).unwrap_or_default().to_vec())
        };
        let known = Known { count: self.count - count, rounds: rounds.map(shorter).collect() };
        self.known.insert(target, known);
        Ok(())
    }

    fn round(&mut self, round: Round<'s>, at: &str) -> Result<(), String> {
        let target = round.0;
        if self.rounds.insert(round) {
            return Ok(());
        }
        Err(format!(
            "{at}: `{target}` refers to itself twice for the same part of the value, which doubles the work with each level; \
             refer to it once"
        ))
    }

    fn add(&mut self, count: usize, at: &str) -> Result<(), String> {
        self.count = self.count.saturating_add(count);
        if self.count <= MAX_SCHEMAS {
            return Ok(());
        }
        Err(format!("{at}: with its references the schema stands for more than {MAX_SCHEMAS} schemas; refer to each part once"))
    }

    fn resolve(&self, target: &str) -> Option<&'s Value> {
        let fragment = target.strip_prefix('#')?;
        let fragment = percent_encoding::percent_decode_str(fragment).decode_utf8().ok()?;
        if fragment.is_empty() || fragment.starts_with('/') { self.root.pointer(&fragment) } else { anchor(self.root, &fragment) }
    }
}

/// The schema that bears this name.
fn anchor<'s>(value: &'s Value, name: &str) -> Option<&'s Value> {
    match value {
        Value::Object(map) => {
            let bears = |keyword: &str| map.get(keyword).and_then(Value::as_str) == Some(name);
            if bears("$anchor") || bears("$dynamicAnchor") {
                return Some(value);
            }
            map.values().find_map(|inner| anchor(inner, name))
        }
        Value::Array(items) => items.iter().find_map(|inner| anchor(inner, name)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn doubling(levels: usize) -> Value {
        let mut defs = Map::from_iter([("d0".to_owned(), json!({"type": "string"}))]);
        for level in 1..=levels {
            let before = json!({"$ref": format!("#/$defs/d{}", level - 1)});
            defs.insert(format!("d{level}"), json!({"allOf": [before, before]}));
        }
        json!({"$defs": defs, "$ref": format!("#/$defs/d{levels}")})
    }

    #[test]
    fn what_ends_is_taken() {
        let node = json!({"type": "object", "properties": {"left": {"$ref": "#/$defs/node"}, "right": {"$ref": "#/$defs/node"}}});
        let good = [
            json!({"type": "object", "properties": {"a": {"type": "string"}}}),
            json!({"type": "object", "properties": {"inner": {"$ref": "#"}}}),
            json!({"$defs": {"node": node}, "properties": {"one": {"$ref": "#/$defs/node"}, "two": {"$ref": "#/$defs/node"}}}),
            json!({"type": "array", "items": {"anyOf": [{"type": "string"}, {"$ref": "#"}]}}),
            json!({"$defs": {"a": {"properties": {"b": {"$ref": "#/$defs/b"}}}, "b": {"properties": {"a": {"$ref": "#/$defs/a"}}}},
                "$ref": "#/$defs/a"}),
            json!({"$defs": {"a": {"$anchor": "name", "type": "string"}}, "items": {"$ref": "#name"}}),
            json!(true),
            doubling(10),
        ];
        for schema in good {
            assert_eq!(check(&schema), Ok(()), "{schema}");
        }
    }

    #[test]
    fn what_never_ends_or_multiplies_is_refused() {
        let twice =
            json!({"allOf": [{"properties": {"x": {"$ref": "#/$defs/a"}}}, {"properties": {"x": {"$ref": "#/$defs/a"}}}]});
        let by_another = json!({"$defs": {"a": {"allOf": [{"$ref": "#/$defs/b"}, {"$ref": "#/$defs/b"}]},
            "b": {"properties": {"x": {"$ref": "#/$defs/a"}}}}, "$ref": "#/$defs/a"});
        let bad = [
            (json!({"$ref": "#"}), "never end"),
            (json!({"allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"anyOf": [{"$ref": "#"}]}}}), "never end"),
            (json!({"$defs": {"a": {"$anchor": "a", "not": {"$ref": "#a"}}}, "$ref": "#/$defs/a"}), "never end"),
            (json!({"properties": {"x": {"$dynamicRef": "#a", "$dynamicAnchor": "a"}}}), "never end"),
            (json!({"$defs": {"a": twice}, "$ref": "#/$defs/a"}), "twice"),
            (by_another, "twice"),
            (doubling(30), "more than 20000"),
            (doubling(40), "more than 32 times"),
        ];
        for (schema, why) in bad {
            let found = check(&schema);
            assert!(found.as_ref().is_err_and(|text| text.contains(why)), "{schema}: {found:?}");
        }
    }
}
