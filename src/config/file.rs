//! The YAML file as a list of (key, value, place). Deserialising into a struct would stop at the first mistake and
//! lose the places; this reader reports every unknown key with what was probably meant.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, Location, MergeKeyPolicy, Spanned};

use super::keys::{self, DECISION_SECRETS, Key, Kind};
use super::problem::{File, Problem, Span};
use super::secret::SecretRef;

/// The largest file that is read, in bytes.
pub(super) const MAX_FILE: usize = 256 * 1024;

/// A plain value of the file.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) key: &'static Key,
    pub(super) text: String,
    pub(super) at: Span,
}

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) values: Vec<Found>,
    pub(super) secrets: Vec<(String, SecretRef, Span)>,
}

#[derive(Debug)]
struct Node {
    at: Span,
    value: Value,
}

#[derive(Debug)]
enum Value {
    Null,
    Flag(bool),
    Int(i128),
    Float,
    Text(String),
    List,
    Map(Vec<(Spanned<String>, Node)>),
}

/// Reads a file; problems are added to the list.
pub(super) fn read(file: File<'_>, problems: &mut Vec<Problem>) -> Contents {
    let mut reader = Reader { file, problems, contents: Contents::default() };
    match parse(file.text) {
        Ok(Some(node)) => reader.top(&node),
        Ok(None) => {}
        Err((at, message)) => reader.problem(at, format!("this is not YAML that can be read: {message}"), None),
    }
    reader.contents
}

fn parse(text: &str) -> Result<Option<Node>, (Span, String)> {
    if text.len() > MAX_FILE {
        return Err((Span::default(), format!("it is longer than {MAX_FILE} bytes")));
    }
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: 8, flow_nesting_limit: 8, max_nodes: 2_000, max_documents: 1, max_anchors: 20, max_aliases: 50 },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        merge_keys: MergeKeyPolicy::Error,
        strict_booleans: true,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options::<Option<Node>>(text, options).map_err(|error| {
        let at = error.location().map(|location| span(&location)).unwrap_or_default();
        let message = error.without_snippet().to_string();
        // The library adds its own notion of the place; ours is beside it.
        let message = message.split(" at line ").next().unwrap_or_default().lines().next().unwrap_or_default().trim().to_owned();
        (at, message)
    })
}

struct Reader<'a> {
    file: File<'a>,
    problems: &'a mut Vec<Problem>,
    contents: Contents,
}

impl Reader<'_> {
    fn problem(&mut self, at: Span, message: String, hint: Option<String>) {
        self.problems.push(self.file.problem(at, message, hint));
    }

    fn top(&mut self, node: &Node) {
        let Some(entries) = self.map(node, "the configuration", &keys::names_in(None)) else { return };
        for (key, value) in entries {
            let name = key.value.as_str();
            if keys::sections().contains(&name) {
                self.section(name, value);
            } else if let Some(known) = keys::find(name) {
                self.plain(known, span(&key.referenced), value);
            } else {
                self.unknown(None, name, span(&key.referenced));
            }
        }
    }

    fn section(&mut self, section: &str, node: &Node) {
        let known = keys::names_in(Some(section));
        let Some(entries) = self.map(node, &format!("`{section}`"), &known) else { return };
        for (key, value) in entries {
            let path = format!("{section}.{}", key.value);
            if path == DECISION_SECRETS {
                self.secrets(value);
            } else if let Some(known) = keys::find(&path) {
                self.plain(known, span(&key.referenced), value);
            } else {
                self.unknown(Some(section), &key.value, span(&key.referenced));
            }
        }
    }

    /// A map without repeated keys; nothing at all counts as an empty one.
    fn map<'n>(&mut self, node: &'n Node, what: &str, keys: &[&str]) -> Option<&'n [(Spanned<String>, Node)]> {
        let entries = match &node.value {
            Value::Map(entries) => entries,
            Value::Null => return None,
            other => {
                let message = format!("{what} must be a map, not {}", other.describe());
                self.problem(node.at, message, (!keys.is_empty()).then(|| format!("its keys are {}", quoted(keys))));
                return None;
            }
        };
        let mut seen = BTreeSet::new();
        for (key, _) in entries {
            if !seen.insert(key.value.as_str()) {
                self.problem(span(&key.referenced), format!("the key `{}` stands here twice", key.value), None);
            }
        }
        Some(entries)
    }

    fn unknown(&mut self, section: Option<&str>, name: &str, at: Span) {
        let known = keys::names_in(section);
        let elsewhere = keys::KEYS.iter().find(|key| key.path.rsplit('.').next() == Some(name));
        let hint = match (keys::near(name, known.iter().copied()), elsewhere) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, Some(key)) => format!("did you mean `{}`?", key.path),
            (None, None) => format!("the keys here are {}", quoted(&known)),
        };
        let place = section.map_or_else(|| "the configuration".to_owned(), |section| format!("`{section}`"));
        self.problem(at, format!("{place} has no key `{name}`"), Some(hint));
    }

    fn plain(&mut self, key: &'static Key, key_at: Span, node: &Node) {
        let path = key.path;
        let text = match (&node.value, key.kind) {
            (Value::Null, _) => {
                let hint = "leave the key out to take the default".to_owned();
                return self.problem(key_at, format!("`{path}` is empty"), Some(hint));
            }
            (_, Kind::Secret) => {
                let hint = format!("set {0}, or {0}_FILE to the name of a file that holds it", key.env());
                let mut problem =
                    self.file.problem(key_at, format!("`{path}` is a secret and does not stand in this file"), Some(hint));
                // The rest of the line is the secret itself.
                problem.snippet = String::new();
                return self.problems.push(problem);
            }
            (Value::Flag(flag), Kind::Flag) => flag.to_string(),
            (Value::Int(number), Kind::Count) => number.to_string(),
            (Value::Int(number), Kind::Length) => {
                let hint = format!("write `{number}s` or `{number}m`");
                return self.problem(node.at, format!("`{path}` has no unit"), Some(hint));
            }
            (Value::Int(number), Kind::Address) => {
                let hint = format!("write `127.0.0.1:{number}`, or `0.0.0.0:{number}` to be reached from other machines");
                return self.problem(node.at, format!("`{path}` is a port without an address"), Some(hint));
            }
            (Value::Text(text), kind) if !matches!(kind, Kind::Flag | Kind::Count) => text.clone(),
            (other, kind) => {
                let wanted = kind.describe();
                let hint = matches!(other, Value::Text(_)).then(|| "leave out the quotes".to_owned());
                return self.problem(node.at, format!("`{path}` must be {wanted}, not {}", other.describe()), hint);
            }
        };
        self.contents.values.push(Found { key, text, at: node.at });
    }

    fn secrets(&mut self, node: &Node) {
        let Some(entries) = self.map(node, "`amqp.decision_secrets`", &[]) else { return };
        for (tool, value) in entries {
            let at = value.at;
            let entry = match &value.value {
                Value::Map(entry) if entry.len() == 1 => entry.first(),
                _ => None,
            };
            let found = entry.and_then(|(key, value)| match (key.value.as_str(), &value.value) {
                ("env", Value::Text(name)) if !name.is_empty() => Some(SecretRef::Env(name.clone())),
                ("file", Value::Text(path)) if !path.is_empty() => Some(SecretRef::File(path.into())),
                _ => None,
            });
            if let Some(found) = found {
                self.contents.secrets.push((tool.value.clone(), found, at));
                continue;
            }
            let message = format!("the secret of the tool `{}` must say where it is", tool.value);
            let hint = "write {env: VARIABLE} or {file: PATH}; a secret does not stand in this file".to_owned();
            let mut problem = self.file.problem(span(&tool.referenced), message, Some(hint));
            // The rest of the line may be the secret itself.
            problem.snippet = String::new();
            self.problems.push(problem);
        }
    }
}

impl Value {
    fn describe(&self) -> &'static str {
        match self {
            Value::Null => "nothing",
            Value::Flag(_) => "true or false",
            Value::Int(_) => "a whole number",
            Value::Float => "a number with a fraction",
            Value::Text(_) => "text",
            Value::List => "a list",
            Value::Map(_) => "a map",
        }
    }
}

impl Kind {
    /// What is wanted, with its article.
    pub(super) fn describe(self) -> &'static str {
        match self {
            Kind::SecretUrl | Kind::Url => "a URL",
            Kind::Name => "a name",
            Kind::Path => "a path",
            Kind::Address => "an address with a port",
            Kind::Length => "a length of time",
            Kind::Count => "a whole number",
            Kind::Flag => "true or false",
            Kind::Word(_) => "one of its words",
            Kind::Filter => "a log level or filter",
            Kind::Secret => "a secret",
            Kind::Text => "text",
        }
    }
}

pub(super) fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn span(location: &Location) -> Span {
    let span = location.span();
    let byte = |value: Option<_>| value.and_then(|value| usize::try_from(value).ok());
    let start = byte(span.byte_offset()).unwrap_or(0);
    Span { start, end: start.saturating_add(byte(span.byte_len()).unwrap_or(0)) }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Node { at: span(&spanned.referenced), value: spanned.value })
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
        Ok(Value::Flag(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Int(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Int(number.into()))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Float)
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        while access.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::List)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Value::Map(entries))
    }
}
