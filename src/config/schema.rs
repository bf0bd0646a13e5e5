//! The JSON Schema of the configuration file, for editors; made from the table of keys and checked in at
//! `deploy/config.schema.json`.

use serde_json::{Map, Value, json};

use super::keys::{self, DECISION_SECRETS, Key, Kind};

/// The schema.
#[must_use]
pub fn schema() -> Value {
    let mut top = Map::new();
    for name in keys::names_in(None) {
        let value = match keys::find(name) {
            Some(key) => property(key),
            None => section(name),
        };
        top.insert(name.to_owned(), value);
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of mozhao",
        "type": "object",
        "additionalProperties": false,
        "properties": top,
    })
}

fn section(section: &str) -> Value {
    let mut properties = Map::new();
    for name in keys::names_in(Some(section)) {
        let path = format!("{section}.{name}");
        let value = match keys::find(&path) {
            Some(key) => property(key),
            None if path == DECISION_SECRETS => secrets(),
            None => Value::Null,
        };
        properties.insert(name.to_owned(), value);
    }
    json!({ "type": ["object", "null"], "additionalProperties": false, "properties": properties })
}

fn property(key: &Key) -> Value {
    let mut value = match key.kind {
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Count => json!({ "type": "integer", "minimum": 1 }),
        Kind::Length => json!({ "type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$" }),
        Kind::Word(words) => json!({ "type": "string", "enum": words }),
        Kind::SecretUrl | Kind::Url => json!({ "type": "string", "pattern": "^[a-z]+://" }),
        Kind::Name => json!({ "type": "string", "pattern": "^[a-z0-9_.-]{1,64}$" }),
        // A file of ours does not hold it.
        Kind::Secret => json!({ "not": {} }),
        Kind::Path | Kind::Address | Kind::Filter | Kind::Text => json!({ "type": "string", "minLength": 1 }),
    };
    if let Value::Object(fields) = &mut value {
        fields.insert("description".to_owned(), key.about.into());
        if let Some(default) = key.default {
            let default = match key.kind {
                Kind::Flag => Value::Bool(default == "true"),
                Kind::Count => default.parse::<u64>().map_or(Value::Null, Value::from),
                _ => default.into(),
            };
            fields.insert("default".to_owned(), default);
        }
    }
    value
}

fn secrets() -> Value {
    let place = |name: &str| {
        json!({
            "type": "object",
            "additionalProperties": false,
            "required": [name],
            "properties": { name: { "type": "string", "minLength": 1 } },
        })
    };
    json!({
        "description": "The secret that each reviewers' tool signs its decisions with: {TOOL: {env: VARIABLE}} or {TOOL: {file: PATH}}. What it may decide says the token of the same name.",
        "type": ["object", "null"],
        "additionalProperties": { "oneOf": [place("env"), place("file")] },
    })
}
