//! The small readers that all parts of a process file share: fields of a map, texts, names, lengths of time, expressions.
//!
//! Each returns `None` after it has reported what is wrong, so that the caller goes on with the rest of the file.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::finding::{Report, Span};
use super::model::Texts;
use super::schema::Schema;
use super::scope::{Check, Scope};
use super::spelling::{did_you_mean, name_fault, quoted, to_snake_case};
use super::yaml::{Key, Node, Value};
use crate::domain::expr::{Expr, ExprError, JsonTemplate, Template};
use crate::domain::time::parse_duration;

/// The longest text for people, in characters.
const MAX_TEXT: usize = 2_000;
/// The longest length of time; ten years is what `parse_duration` reads, a year is what a request can be open.
const MAX_LENGTH: Duration = Duration::from_hours(366 * 24);

/// A reason or a review that some rule names.
pub(super) struct Use {
    pub(super) name: String,
    pub(super) at: Span,
    pub(super) by: UsedBy,
}

/// Who names it: what a review may offer depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UsedBy {
    /// A reason.
    Reason,
    /// A review after rules that did not decide.
    Otherwise,
    /// A review step.
    ReviewStep,
}

/// What reading needs and gathers.
pub(super) struct Reader<'s> {
    pub(super) report: Report<'s>,
    pub(super) connectors: Option<&'s BTreeSet<String>>,
    /// The languages of `title`, which every text must have.
    pub(super) languages: Vec<String>,
    /// What clauses say in each language, by the id and the text that verdicts cite.
    pub(super) clauses: BTreeMap<(String, String), Texts>,
    pub(super) uses: Vec<Use>,
    pub(super) checks: Vec<Check>,
    /// Expressions whose values become segments of a path, and where they stand.
    pub(super) in_paths: Vec<(Expr, Span)>,
}

/// The entries of one map, of which only known keys are left.
pub(super) struct Fields<'n> {
    pub(super) at: Span,
    pub(super) what: &'static str,
    entries: &'n [(Key, Node)],
    /// Keys that are probably there under a misspelt name: reporting them as missing as well would be noise.
    meant: Vec<String>,
}

impl<'n> Fields<'n> {
    pub(super) fn get(&self, key: &str) -> Option<&'n Node> {
        self.entries.iter().rev().find(|(k, _)| k.name == key).map(|(_, node)| node)
    }

    /// Is the key there, or something that was probably meant to be it?
    pub(super) fn has_or_means(&self, key: &str) -> bool {
        self.get(key).is_some() || self.meant.iter().any(|meant| meant == key)
    }

    /// Where a key stands; the map itself where it does not.
    pub(super) fn key_at(&self, key: &str) -> Span {
        self.entries.iter().rev().find(|(k, _)| k.name == key).map_or(self.at, |(k, _)| k.at)
    }
}

impl<'s> Reader<'s> {
    /// For one file; `connectors`: those that are known, where that is known.
    pub(super) fn new(report: Report<'s>, connectors: Option<&'s BTreeSet<String>>) -> Reader<'s> {
        let (languages, clauses) = (Vec::new(), BTreeMap::new());
        Reader { report, connectors, languages, clauses, uses: Vec::new(), checks: Vec::new(), in_paths: Vec::new() }
    }
}

impl Reader<'_> {
    /// A map with no key outside `keys` and none twice.
    pub(super) fn fields<'n>(&mut self, node: &'n Node, what: &'static str, keys: &[&str]) -> Option<Fields<'n>> {
        let Value::Map(entries) = &node.value else {
            let known = quoted(keys.iter().copied());
            self.report.error_hint(
                node.at,
                format!("{what} must be a map, not {}", node.describe()),
                format!("its keys are {known}"),
            );
            return None;
        };
        self.no_key_twice(entries);
        let mut meant = Vec::new();
        for (key, _) in entries.iter().filter(|(key, _)| !keys.contains(&key.name.as_str())) {
            let hint = match did_you_mean(&key.name, keys.iter().copied()) {
                Some(near) => {
                    meant.push(near.to_owned());
                    format!("did you mean `{near}`?")
                }
                None => format!("the keys of {what} are {}", quoted(keys.iter().copied())),
            };
            self.report.error_hint(key.at, format!("{what} has no key `{}`", key.name), hint);
        }
        let at = entries.first().map_or(node.at, |(key, _)| key.at);
        Some(Fields { at, what, entries, meant })
    }

    /// The entries of a map whose keys the file's author chooses.
    pub(super) fn entries<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n [(Key, Node)]> {
        let Value::Map(entries) = &node.value else {
            self.report.error(node.at, format!("{what} must be a map, not {}", node.describe()));
            return None;
        };
        self.no_key_twice(entries);
        Some(entries)
    }

    fn no_key_twice(&mut self, entries: &[(Key, Node)]) {
        let mut seen = BTreeSet::new();
        for (key, _) in entries {
            if !seen.insert(key.name.as_str()) {
                self.report.error(key.at, format!("the key `{}` stands here twice", key.name));
            }
        }
    }

    pub(super) fn list<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n [Node]> {
        if let Value::List(items) = &node.value {
            return Some(items);
        }
        self.report.error_hint(node.at, format!("{what} must be a list, not {}", node.describe()), "start each entry with `- `");
        None
    }

    /// The value of a key that must be there.
    pub(super) fn need<'n>(&mut self, fields: &Fields<'n>, key: &str) -> Option<&'n Node> {
        let found = fields.get(key);
        if !fields.has_or_means(key) {
            self.report.error(fields.at, format!("{} needs `{key}`", fields.what));
        }
        found
    }

    /// The text of a scalar; `1.0` and `true` are texts too where a text is meant.
    pub(super) fn scalar(&mut self, node: &Node, what: &str) -> Option<String> {
        let text = match &node.value {
            Value::Text(text) => text.clone(),
            Value::Bool(_) | Value::Int(_) | Value::Big(_) | Value::Float(_) => self.report.slice(node.at).trim().to_owned(),
            _ => {
                self.report.error(node.at, format!("{what} must be text, not {}", node.describe()));
                return None;
            }
        };
        if text.trim().is_empty() {
            self.report.error(node.at, format!("{what} is empty"));
            return None;
        }
        Some(text)
    }

    /// A text for people, on one line.
    pub(super) fn text(&mut self, node: &Node, what: &str) -> Option<String> {
        let text = self.scalar(node, what)?;
        if text.chars().count() > MAX_TEXT {
            self.report.error(node.at, format!("{what} is longer than {MAX_TEXT} characters"));
            return None;
        }
        Some(text.trim().to_owned())
    }

    /// A `snake_case` name.
    pub(super) fn name(&mut self, node: &Node, what: &str) -> Option<String> {
        let name = self.scalar(node, what)?;
        self.check_name(&name, node.at).then_some(name)
    }

    pub(super) fn check_name(&mut self, name: &str, at: Span) -> bool {
        let fault = name_fault(name);
        if let Some(fault) = &fault {
            let near = to_snake_case(name);
            match name_fault(&near) {
                None if near != name => self.report.error_hint(at, fault, format!("write `{near}`")),
                _ => self.report.error(at, fault),
            }
        }
        fault.is_none()
    }

    /// A length of time above zero.
    pub(super) fn length(&mut self, node: &Node, what: &str) -> Option<Duration> {
        let shape = "write a whole number and a unit: 500ms, 30s, 10m, 4h or 7d";
        let text = match &node.value {
            Value::Text(text) => text,
            Value::Int(number) => {
                self.report.error_hint(
                    node.at,
                    format!("{what} has no unit"),
                    format!("write `{number}s`, `{number}m` or `{number}h`"),
                );
                return None;
            }
            _ => {
                self.report.error_hint(node.at, format!("{what} must be a length of time, not {}", node.describe()), shape);
                return None;
            }
        };
        match parse_duration(text) {
            Err(_) => self.report.error_hint(node.at, format!("{what}: `{}` is not a length of time", cut(text)), shape),
            Ok(length) if length.is_zero() => self.report.error(node.at, format!("{what} must be longer than nothing")),
            Ok(length) if length > MAX_LENGTH => self.report.error(node.at, format!("{what} is longer than a year")),
            Ok(length) => return Some(length),
        }
        None
    }

    pub(super) fn flag(&mut self, node: &Node, what: &str) -> Option<bool> {
        if let Value::Bool(flag) = node.value {
            return Some(flag);
        }
        self.report.error(node.at, format!("{what} must be true or false, not {}", node.describe()));
        None
    }

    /// A whole number within bounds.
    pub(super) fn whole(&mut self, node: &Node, what: &str, least: i64, most: i64) -> Option<u32> {
        match node.value {
            Value::Int(number) if (least..=most).contains(&number) => u32::try_from(number).ok(),
            Value::Int(_) | Value::Big(_) => {
                self.report.error(node.at, format!("{what} must be from {least} to {most}"));
                None
            }
            _ => {
                self.report.error(node.at, format!("{what} must be a whole number, not {}", node.describe()));
                None
            }
        }
    }

    /// A text in every language of the title.
    pub(super) fn texts(&mut self, node: &Node, what: &str) -> Option<Texts> {
        if matches!(node.value, Value::Text(_)) {
            self.report.error_hint(node.at, format!("{what} is written once per language"), "write {en: …, zh-CN: …}");
            return None;
        }
        let entries = self.entries(node, what)?;
        let mut texts = Texts::new();
        for (key, value) in entries {
            if !is_language(&key.name) {
                self.report.error_hint(
                    key.at,
                    format!("`{}` is not a language", key.name),
                    "write a tag such as `en` or `zh-CN`",
                );
            }
            texts.insert(key.name.clone(), self.text(value, what).unwrap_or_default());
        }
        let missing: Vec<&str> = self.languages.iter().map(String::as_str).filter(|tag| !texts.contains_key(*tag)).collect();
        if !missing.is_empty() {
            let missing = quoted(missing);
            self.report.error_hint(
                node.at,
                format!("{what} has no text in {missing}"),
                "every text has each language of `title`",
            );
        }
        Some(texts)
    }

    pub(super) fn schema(&mut self, node: &Node, what: &str) -> Option<Schema> {
        if !node.is_map() {
            self.report.error_hint(
                node.at,
                format!("{what} must be a JSON Schema, not {}", node.describe()),
                "write {type: object, properties: {…}}",
            );
            return None;
        }
        match Schema::compile(&node.to_json()) {
            Ok(schema) => Some(schema),
            Err(message) => {
                // The message starts with a JSON pointer where it knows the place.
                let pointer = if message.starts_with('/') { message.split(": ").next().unwrap_or("") } else { "" };
                let at = node.nearest(pointer).at;
                self.report.error(at, format!("{what} is not a JSON Schema that can be used: {message}"));
                None
            }
        }
    }

    /// An expression, whose names are checked once the whole file is read.
    pub(super) fn expr(&mut self, node: &Node, what: &str, scope: &Scope) -> Option<Expr> {
        let text = self.scalar(node, what)?;
        if text.trim_start().starts_with("${") {
            self.report.error_hint(node.at, format!("{what} is an expression already"), "leave out the `${` and `}`");
            return None;
        }
        match Expr::compile(&text) {
            Ok(expr) => {
                self.checks.push(Check { expr: expr.clone(), at: node.at, scope: scope.clone() });
                Some(expr)
            }
            Err(error) => {
                self.bad_expr(node, &text, what, &error);
                None
            }
        }
    }

    /// A text with `${…}` in it.
    pub(super) fn template(&mut self, node: &Node, what: &str, scope: &Scope) -> Option<Template> {
        let text = self.scalar(node, what)?;
        match Template::compile(&text) {
            Ok(template) => {
                for expr in template.exprs() {
                    self.checks.push(Check { expr: expr.clone(), at: node.at, scope: scope.clone() });
                }
                Some(template)
            }
            Err(error) => {
                self.bad_expr(node, &text, what, &error);
                None
            }
        }
    }

    /// JSON in which every text may hold `${…}`; each text is read by itself first, for its place.
    pub(super) fn json_template(&mut self, node: &Node, what: &str, scope: &Scope) -> Option<JsonTemplate> {
        let mut faults = Vec::new();
        let mut checks = Vec::new();
        node.each_text(&mut |inner, text| match Template::compile(text) {
            Ok(template) => {
                for expr in template.exprs() {
                    checks.push(Check { expr: expr.clone(), at: inner.at, scope: scope.clone() });
                }
            }
            Err(error) => faults.push((inner.clone(), text.to_owned(), error)),
        });
        self.checks.extend(checks);
        for (inner, text, error) in &faults {
            self.bad_expr(inner, text, what, error);
        }
        if !faults.is_empty() {
            return None;
        }
        match JsonTemplate::compile(&node.to_json()) {
            Ok(template) => Some(template),
            Err(error) => {
                self.bad_expr(node, "", what, &error);
                None
            }
        }
    }

    pub(super) fn bad_expr(&mut self, node: &Node, text: &str, what: &str, error: &ExprError) {
        let node = error.pointer.as_deref().map_or(node, |pointer| node.nearest(pointer));
        let at = self.inside(node.at, text, error.offset.unwrap_or(0));
        match &error.hint {
            Some(hint) => self.report.error_hint(at, format!("{what}: {}", error.message), hint),
            None => self.report.error(at, format!("{what}: {}", error.message)),
        }
    }

    /// The place of a byte of a scalar's value. Quotes, escapes and block scalars shift it, so the word that stands there
    /// is looked for in the source: the n-th one in the value is the n-th one in the source.
    fn inside(&self, at: Span, text: &str, offset: usize) -> Span {
        let (Some(before), Some(rest)) = (text.get(..offset), text.get(offset..)) else { return at };
        let word_end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let word = match rest.get(..word_end) {
            Some(word) if !word.is_empty() => word,
            _ => match rest.chars().next() {
                Some(c) => &rest[..c.len_utf8()],
                None => return Span { start: at.end.saturating_sub(1).max(at.start), end: at.end },
            },
        };
        let nth = before.matches(word).count();
        match self.report.slice(at).match_indices(word).nth(nth) {
            Some((start, found)) => Span { start: at.start + start, end: at.start + start + found.len() },
            None => at,
        }
    }

    /// The place of a dotted path inside a scalar.
    pub(super) fn path_inside(&self, at: Span, path: &str) -> Span {
        let source = self.report.slice(at);
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        for (start, found) in source.match_indices(path) {
            let before = source[..start].chars().next_back();
            let after = source[start + found.len()..].chars().next();
            if !before.is_some_and(|c| is_word(c) || c == '.') && !after.is_some_and(is_word) {
                return Span { start: at.start + start, end: at.start + start + found.len() };
            }
        }
        at
    }
}

fn cut(text: &str) -> String {
    text.chars().take(40).collect()
}

/// A language tag of the simple kind: `en`, `zh-CN`, `zh-Hant-TW`.
fn is_language(tag: &str) -> bool {
    let mut parts = tag.split('-');
    let first = parts.next().is_some_and(|part| (2..=3).contains(&part.len()) && part.chars().all(|c| c.is_ascii_lowercase()));
    first && parts.all(|part| (2..=8).contains(&part.len()) && part.chars().all(|c| c.is_ascii_alphanumeric()))
}
