//! A YAML document as a tree in which everything knows its place.
//!
//! Deserialising straight into structs stops at the first mistake and loses places inside untagged alternatives. So the
//! text becomes this small tree first, within a budget (no bombs, no deep nesting), and the readers walk it.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value as Json;
use serde_saphyr::{DuplicateKeyPolicy, Location, MergeKeyPolicy, Spanned};

use super::finding::{Report, Span};

/// The deepest nesting of a process file.
const MAX_DEPTH: usize = 40;
/// The most scalars, lists and maps.
const MAX_NODES: usize = 50_000;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) at: Span,
    pub(super) value: Value,
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Big(u64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) at: Span,
    pub(super) name: String,
}

impl Node {
    pub(super) fn is_map(&self) -> bool {
        matches!(self.value, Value::Map(_))
    }

    /// What it is, with its article.
    pub(super) fn describe(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Int(_) | Value::Big(_) => "a whole number",
            Value::Float(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }

    /// The value as JSON; a repeated key was reported when the map was read, and its last value counts.
    pub(super) fn to_json(&self) -> Json {
        match &self.value {
            Value::Null => Json::Null,
            Value::Bool(flag) => Json::Bool(*flag),
            Value::Int(number) => Json::from(*number),
            Value::Big(number) => Json::from(*number),
            Value::Float(number) => serde_json::Number::from_f64(*number).map_or(Json::Null, Json::Number),
            Value::Text(text) => Json::String(text.clone()),
            Value::List(items) => Json::Array(items.iter().map(Node::to_json).collect()),
            Value::Map(entries) => Json::Object(entries.iter().map(|(key, value)| (key.name.clone(), value.to_json())).collect()),
        }
    }

    /// The node at a JSON pointer below this one, or the deepest one on the way.
    pub(super) fn nearest(&self, pointer: &str) -> &Node {
        let mut here = self;
        for segment in pointer.split('/').skip(1) {
            let name = segment.replace("~1", "/").replace("~0", "~");
            let next = match &here.value {
                Value::Map(entries) => entries.iter().rev().find(|(key, _)| key.name == name).map(|(_, value)| value),
                Value::List(items) => name.parse::<usize>().ok().and_then(|at| items.get(at)),
                _ => None,
            };
            match next {
                Some(node) => here = node,
                None => break,
            }
        }
        here
    }

    /// Calls `look` with every text below this node.
    pub(super) fn each_text(&self, look: &mut impl FnMut(&Node, &str)) {
        match &self.value {
            Value::Text(text) => look(self, text),
            Value::List(items) => items.iter().for_each(|item| item.each_text(look)),
            Value::Map(entries) => entries.iter().for_each(|(_, value)| value.each_text(look)),
            _ => {}
        }
    }
}

/// Reads a process file; what YAML itself refuses is one finding.
pub(super) fn read(report: &mut Report<'_>, text: &str) -> Option<Node> {
    read_within(report, text, 1)
}

/// Reads a document that may be `times` as large as a process file, and repeat itself as much more.
pub(super) fn read_within(report: &mut Report<'_>, text: &str, times: usize) -> Option<Node> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_nodes: MAX_NODES * times,
            max_events: 4 * MAX_NODES * times,
            max_documents: 1,
            max_anchors: 100 * times,
            max_aliases: 500 * times,
            // A test file repeats the same few answers all over; what aliases may expand to is bounded below.
            enforce_alias_anchor_ratio: false,
            max_merge_keys: 100,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MAX_NODES * times,
            max_replay_stack_depth: 8,
            max_alias_expansions_per_anchor: 100 * times,
        },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        merge_keys: MergeKeyPolicy::Error,
        strict_booleans: true,
        with_snippet: false,
    };
    match serde_saphyr::from_str_with_options::<Node>(text, options) {
        Ok(node) => Some(node),
        Err(error) => {
            let at = error.location().map(|location| place(report, &location)).unwrap_or_default();
            let mut message = error.without_snippet().to_string();
            // The library adds its own notion of the place; ours is beside it.
            if let Some(cut) = message.find(" at line ") {
                message.truncate(cut);
            }
            report.error(at, format!("this is not YAML that can be read: {}", message.lines().next().unwrap_or("").trim()));
            None
        }
    }
}

/// A scanner's error knows line and column only.
fn place(report: &Report<'_>, location: &Location) -> Span {
    if location.span().byte_offset().is_some() {
        return span(location);
    }
    let number = |value: u64| usize::try_from(value).unwrap_or(1);
    report.at(number(location.line()), number(location.column()))
}

fn span(location: &Location) -> Span {
    let span = location.span();
    let byte = |value: Option<u64>| value.and_then(|value| usize::try_from(value).ok());
    let start = byte(span.byte_offset()).unwrap_or(0);
    Span { start, end: start.saturating_add(byte(span.byte_len()).unwrap_or(0)) }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Node { at: span(&spanned.referenced), value: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<String>::deserialize(deserializer)?;
        Ok(Key { at: span(&spanned.referenced), name: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Int(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(i64::try_from(number).map_or(Value::Big(number), Value::Int))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Float(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Value::Map(entries))
    }
}
