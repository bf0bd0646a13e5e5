//! From a process file to a [`Process`], or to everything that is wrong with it.
//!
//! The file is data that an engineer writes and a worker obeys without a second look. So nothing is guessed and nothing is
//! skipped: each part is read on its own, goes on after a mistake, and the lint then looks at the whole. All findings come
//! in one go.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::call::read_done;
use super::finding::{Finding, Report, Severity, Span};
use super::lint;
use super::model::{Audience, Limit, Process, SerializeBy, Texts};
use super::read::{Fields, Reader};
use super::rules::{read_clause, use_reason};
use super::scope::{self, Scope, World};
use super::steps::read_steps;
use super::texts::{read_reasons, read_reviews};
use super::yaml::{self, Node, Value};

/// The largest process file, in bytes.
pub const MAX_FILE_BYTES: usize = 1024 * 1024;

/// The keys of a process file.
pub(super) const PROCESS_KEYS: &[&str] = &[
    "process",
    "version",
    "title",
    "owner",
    "audience",
    "promise",
    "expire_after",
    "customer",
    "request",
    "serialize_by",
    "limit",
    "steps",
    "done_when",
    "reasons",
    "reviews",
];
/// The keys of `serialize_by` in its long form.
pub(super) const SERIALIZE_KEYS: &[&str] = &["scope", "key"];
/// The keys of `limit`.
pub(super) const LIMIT_KEYS: &[&str] = &["per", "max", "within", "clause", "refuse"];

/// How long a request may stay open where the file does not say.
const EXPIRE_AFTER: Duration = Duration::from_hours(7 * 24);
/// The scope of `serialize_by` in its short form.
const DEFAULT_SCOPE: &str = "customer";

/// What is known outside the file.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// The names of the configured connectors; `None`: not checked.
    pub connectors: Option<BTreeSet<String>>,
}

/// A process that can be used, and what somebody should still look at.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// The process.
    pub process: Process,
    /// Warnings, in the order of the file.
    pub warnings: Vec<Finding>,
}

/// Reads and checks a process file; `file_name` is only shown.
///
/// # Errors
/// Every finding, warnings included, in the order of the file; at least one is an error.
pub fn parse(file_name: &str, source: &str, known: &Known) -> Result<Parsed, Vec<Finding>> {
    let mut reader = Reader::new(Report::new(file_name, source), known.connectors.as_ref());
    let process = if source.len() > MAX_FILE_BYTES {
        reader.report.error(Span::default(), format!("the file is larger than {MAX_FILE_BYTES} bytes"));
        None
    } else {
        yaml::read(&mut reader.report, source).and_then(|root| read_process(&mut reader, &root, source))
    };
    let failed = reader.report.has_errors();
    let mut findings = reader.report.finish();
    match process {
        Some(process) if !failed => Ok(Parsed { process, warnings: findings }),
        _ => {
            // A part that could not be read and was not reported would be our own mistake; say so rather than nothing.
            if !failed {
                let message = "the file could not be read, and no reader said why: please report this".to_owned();
                let file = file_name.to_owned();
                findings.push(Finding {
                    file,
                    line: 1,
                    column: 1,
                    snippet: String::new(),
                    message,
                    hint: None,
                    severity: Severity::Error,
                });
            }
            Err(findings)
        }
    }
}

fn read_process(reader: &mut Reader<'_>, root: &Node, source: &str) -> Option<Process> {
    let fields = reader.fields(root, "a process", PROCESS_KEYS)?;
    let name = reader.need(&fields, "process").and_then(|node| reader.name(node, "process"));
    let version = reader.need(&fields, "version").and_then(|node| reader.whole(node, "version", 1, i64::from(i32::MAX)));
    let title = reader.need(&fields, "title").and_then(|node| read_title(reader, node));
    let owner = reader.need(&fields, "owner").and_then(|node| reader.text(node, "owner"));
    let audience = fields.get("audience").map_or(Some(Audience::Customer), |node| read_audience(reader, node));
    let promise = reader.need(&fields, "promise").and_then(|node| reader.length(node, "promise"));
    let expire_after = fields.get("expire_after").map_or(Some(EXPIRE_AFTER), |node| reader.length(node, "expire_after"));
    let intake = Scope::intake();
    let customer = reader.need(&fields, "customer").and_then(|node| reader.template(node, "customer", &intake));
    let request = reader.need(&fields, "request").and_then(|node| {
        let schema = reader.schema(node, "request")?;
        lint::check_request_schema(reader, node, &schema);
        Some(schema)
    });
    let serialize_by = fields.get("serialize_by").map(|node| read_serialize_by(reader, node));
    let limit = fields.get("limit").map(|node| read_limit(reader, node));
    let steps = reader.need(&fields, "steps").map(|node| read_steps(reader, node)).unwrap_or_default();
    let done_when = reader.need(&fields, "done_when").and_then(|node| read_done(reader, node, steps.blocks.len()));
    let reasons = fields.get("reasons").map_or(Some(BTreeMap::new()), |node| read_reasons(reader, node));
    let reviews = fields.get("reviews").map_or(Some(BTreeMap::new()), |node| read_reviews(reader, node));

    check_times(reader, &fields, promise, expire_after);
    let world = World { request: request.as_ref(), steps: &steps.infos, callbacks: &steps.callbacks };
    scope::check_all(reader, &world);
    lint::check_paths(reader, request.as_ref());
    lint::check_declared(reader, &fields);
    lint::check_builtin_languages(reader, &fields);
    if steps.broken || steps.read.is_empty() {
        return None;
    }
    let process = Process {
        name: name?,
        version: version?,
        digest: hex::encode(Sha256::digest(source.as_bytes())),
        source: Arc::from(source),
        title: title?,
        owner: owner?,
        audience: audience?,
        promise: promise?,
        expire_after: expire_after?,
        customer: customer?,
        request: request?,
        serialize_by: super::call::flip(serialize_by)?,
        limit: super::call::flip(limit)?,
        steps: steps.read,
        blocks: steps.blocks,
        done_when: done_when?,
        reasons: reasons?,
        reviews: super::builtin::with_builtin(reviews?),
        clauses: std::mem::take(&mut reader.clauses),
    };
    lint::check_flow(reader, &process, &steps.infos);
    Some(process)
}

fn read_title(reader: &mut Reader<'_>, node: &Node) -> Option<Texts> {
    let title = reader.texts(node, "title")?;
    if title.is_empty() {
        reader.report.error_hint(node.at, "title has no language", "write {en: …, zh-CN: …}");
        return None;
    }
    reader.languages = title.keys().cloned().collect();
    Some(title)
}

fn read_audience(reader: &mut Reader<'_>, node: &Node) -> Option<Audience> {
    match &node.value {
        Value::Text(word) if word == "customer" => Some(Audience::Customer),
        Value::Text(word) if word == "colleague" => Some(Audience::Colleague),
        _ => {
            reader.report.error(node.at, "audience is `customer` or `colleague`");
            None
        }
    }
}

fn read_serialize_by(reader: &mut Reader<'_>, node: &Node) -> Option<SerializeBy> {
    let scope = Scope::intake();
    if !node.is_map() {
        let key = reader.template(node, "serialize_by", &scope)?;
        return Some(SerializeBy { scope: DEFAULT_SCOPE.to_owned(), key });
    }
    let fields = reader.fields(node, "serialize_by", SERIALIZE_KEYS)?;
    let name = fields.get("scope").map_or_else(|| Some(DEFAULT_SCOPE.to_owned()), |node| reader.name(node, "scope"));
    let key = reader.need(&fields, "key").and_then(|node| reader.template(node, "key", &scope));
    Some(SerializeBy { scope: name?, key: key? })
}

fn read_limit(reader: &mut Reader<'_>, node: &Node) -> Option<Limit> {
    let fields = reader.fields(node, "limit", LIMIT_KEYS)?;
    let per = reader.need(&fields, "per").and_then(|node| reader.template(node, "per", &Scope::intake()));
    let max = reader.need(&fields, "max").and_then(|node| reader.whole(node, "max", 1, 1_000_000));
    let within = reader.need(&fields, "within").and_then(|node| reader.length(node, "within"));
    let clause = reader.need(&fields, "clause").and_then(|node| read_clause(reader, node));
    let refuse = reader.need(&fields, "refuse").and_then(|node| use_reason(reader, node));
    Some(Limit { per: per?, max: max?, within: within?, clause: clause?, refuse: refuse? })
}

fn check_times(reader: &mut Reader<'_>, fields: &Fields<'_>, promise: Option<Duration>, expire_after: Option<Duration>) {
    if let (Some(promise), Some(expire_after)) = (promise, expire_after)
        && promise > expire_after
    {
        let at = fields.get("promise").map_or(fields.at, |node| node.at);
        reader.report.error_hint(at, "the promise is longer than a request stays open", "raise `expire_after`");
    }
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
