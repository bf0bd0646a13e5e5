//! A validation error in words that help and do not leak.
//!
//! `jsonschema`'s own texts quote the value; these never do. Names of fields are shown where the schema declares them or
//! where they look like a field's name; anything else in a pointer is shown as `*`.

use std::collections::BTreeSet;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{JsonType, ValidationError};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::spelling::{did_you_mean, list_or};

/// What is wrong with one place of a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaFault {
    /// JSON pointer to the place; empty for the whole value.
    pub pointer: String,
    /// A sentence that starts with the place and repeats nothing of the value.
    pub message: String,
}

/// The faults behind one error: one for each unexpected field, else exactly one.
pub(super) fn explain(error: &ValidationError<'_>, value: &Value, declared: &BTreeSet<&str>) -> Vec<SchemaFault> {
    let pointer = safe_pointer(error.instance_path().as_str(), value, declared);
    match error.kind() {
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or("*");
            let pointer = format!("{pointer}/{}", escape(name));
            vec![SchemaFault { message: format!("{pointer} is missing"), pointer }]
        }
        ValidationErrorKind::AdditionalProperties { unexpected } | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            unexpected.iter().take(UNEXPECTED_SHOWN).map(|name| unexpected_field(&pointer, name, declared)).collect()
        }
        kind => {
            let place = if pointer.is_empty() { "the payload" } else { &pointer };
            let message = format!("{place} {}", expectation(kind, error.instance()));
            vec![SchemaFault { pointer, message }]
        }
    }
}

/// How many unexpected fields of one object are named.
const UNEXPECTED_SHOWN: usize = 10;

fn unexpected_field(parent: &str, name: &str, declared: &BTreeSet<&str>) -> SchemaFault {
    if !looks_like_a_name(name) {
        let place = if parent.is_empty() { "the payload" } else { parent };
        return SchemaFault {
            pointer: parent.to_owned(),
            message: format!("{place} has a field that is not declared; leave it out"),
        };
    }
    let pointer = format!("{parent}/{}", escape(name));
    let hint = did_you_mean(name, declared.iter().copied())
        .map_or_else(|| "leave it out".to_owned(), |near| format!("did you mean `{near}`?"));
    SchemaFault { message: format!("{pointer} is not a declared field; {hint}"), pointer }
}

/// What a place should have been, as the rest of a sentence.
fn expectation(kind: &ValidationErrorKind, instance: &Value) -> String {
    use ValidationErrorKind as K;
    match kind {
        K::Type { kind } => format!("must be {}, not {}", types(kind), type_of(instance)),
        K::Enum { options } => format!("must be one of {}", options_text(options)),
        K::Constant { expected_value } => format!("must be {}", short(expected_value)),
        K::Minimum { limit } => format!("must be at least {limit}"),
        K::Maximum { limit } => format!("must be at most {limit}"),
        K::ExclusiveMinimum { limit } => format!("must be more than {limit}"),
        K::ExclusiveMaximum { limit } => format!("must be less than {limit}"),
        K::MultipleOf { multiple_of } => format!("must be a multiple of {multiple_of}"),
        K::MinLength { limit } => format!("must be at least {limit} {} long", plural(*limit, "character")),
        K::MaxLength { limit } => format!("must be at most {limit} {} long", plural(*limit, "character")),
        K::MinItems { limit } => format!("must have at least {limit} {}", entries(*limit)),
        K::MaxItems { limit } => format!("must have at most {limit} {}", entries(*limit)),
        K::AdditionalItems { limit } => format!("must have at most {limit} {}", entries(*limit as u64)),
        K::UnevaluatedItems { .. } => "has more entries than the schema declares".to_owned(),
        K::MinProperties { limit } => format!("must have at least {limit} {}", plural(*limit, "field")),
        K::MaxProperties { limit } => format!("must have at most {limit} {}", plural(*limit, "field")),
        K::UniqueItems => "must not have the same entry twice".to_owned(),
        K::Contains => "must have an entry of the form that the schema's `contains` demands".to_owned(),
        K::Pattern { pattern } => format!("must match the pattern {}", pattern.chars().take(120).collect::<String>()),
        K::Format { format } => format!("must be {}", format_text(format)),
        K::AnyOf { .. } | K::OneOfNotValid { .. } => "fits none of the forms that the schema allows".to_owned(),
        K::OneOfMultipleValid { .. } => "fits more than one of the forms of which the schema allows exactly one".to_owned(),
        K::Not { .. } => "has a form that the schema forbids".to_owned(),
        K::FalseSchema => "must be left out".to_owned(),
        K::PropertyNames { .. } => "has a field whose name is not allowed".to_owned(),
        other => format!("does not fit the schema's `{}`", other.keyword()),
    }
}

fn types(kind: &TypeKind) -> String {
    match kind {
        TypeKind::Single(one) => type_name(*one).to_owned(),
        TypeKind::Multiple(set) => list_or(&set.iter().map(type_name).collect::<Vec<_>>()),
    }
}

fn type_name(kind: JsonType) -> &'static str {
    match kind {
        JsonType::Array => "a list",
        JsonType::Boolean => "true or false",
        JsonType::Integer => "a whole number",
        JsonType::Null => "null",
        JsonType::Number => "a number",
        JsonType::Object => "an object",
        JsonType::String => "text",
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(number) if number.is_f64() => "a number with a fraction",
        Value::Number(_) => "a whole number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Each format with an example of its shape.
fn format_text(format: &str) -> String {
    match format {
        "date" => "a date such as 2026-01-31".to_owned(),
        "date-time" => "a time such as 2026-01-31T10:00:00Z".to_owned(),
        "time" => "a time of day such as 10:00:00Z".to_owned(),
        "duration" => "a duration such as PT1H".to_owned(),
        "email" | "idn-email" => "an e-mail address".to_owned(),
        "uuid" => "a UUID".to_owned(),
        "uri" => "an absolute URI such as https://example.com/a".to_owned(),
        "ipv4" => "an IPv4 address".to_owned(),
        "ipv6" => "an IPv6 address".to_owned(),
        "hostname" | "idn-hostname" => "a host name".to_owned(),
        other => format!("of the format `{other}`"),
    }
}

fn options_text(options: &Value) -> String {
    match options {
        Value::Array(list) => {
            let mut shown: Vec<String> = list.iter().take(20).map(short).collect();
            if list.len() > shown.len() {
                shown.push("…".to_owned());
            }
            shown.join(", ")
        }
        other => short(other),
    }
}

/// A value of the schema (never of the payload), cut to a readable length.
fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() > 80 { text.chars().take(80).chain("…".chars()).collect() } else { text }
}

fn plural(count: u64, word: &str) -> String {
    if count == 1 { word.to_owned() } else { format!("{word}s") }
}

fn entries(count: u64) -> &'static str {
    if count == 1 { "entry" } else { "entries" }
}

/// Every name that the schema itself mentions as a field.
pub(super) fn declared_names(schema: &Value) -> BTreeSet<&str> {
    fn walk<'s>(value: &'s Value, names: &mut BTreeSet<&'s str>) {
        match value {
            Value::Object(map) => {
                for (key, inner) in map {
                    if let ("properties" | "dependentSchemas", Value::Object(fields)) = (key.as_str(), inner) {
                        names.extend(fields.keys().map(String::as_str));
                    }
                    if let ("required", Value::Array(fields)) = (key.as_str(), inner) {
                        names.extend(fields.iter().filter_map(Value::as_str));
                    }
                    walk(inner, names);
                }
            }
            Value::Array(items) => items.iter().for_each(|inner| walk(inner, names)),
            _ => {}
        }
    }
    let mut names = BTreeSet::new();
    walk(schema, &mut names);
    names
}

/// The pointer with every key that the schema does not declare replaced by `*`: a map's keys may be phone numbers.
fn safe_pointer(pointer: &str, value: &Value, declared: &BTreeSet<&str>) -> String {
    let mut safe = String::new();
    let mut here = Some(value);
    for segment in pointer.split('/').skip(1) {
        let key = segment.replace("~1", "/").replace("~0", "~");
        let is_index = here.is_some_and(Value::is_array);
        here = match here {
            Some(Value::Array(items)) => key.parse::<usize>().ok().and_then(|at| items.get(at)),
            Some(Value::Object(map)) => map.get(&key),
            _ => None,
        };
        safe.push('/');
        safe.push_str(if is_index || declared.contains(key.as_str()) { segment } else { "*" });
    }
    safe
}

fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Short, made of letters, digits, `_` and `-`, and not mostly digits.
fn looks_like_a_name(name: &str) -> bool {
    name.len() <= 40
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
        && name.chars().filter(char::is_ascii_digit).count() <= 4
}
