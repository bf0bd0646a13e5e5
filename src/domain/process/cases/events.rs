//! What happens to a case's request from outside: callbacks, decisions, withdrawals, supplements, resumes.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::read::{Subject, known_name, read_after, read_word};
use super::{Event, Happening, Told};
use crate::domain::process::finding::Span;
use crate::domain::process::read::{Fields, Reader};
use crate::domain::process::yaml::Node;
use crate::domain::words::Choice;

const CALLBACK_KEYS: &[&str] = &["name", "after", "body"];
const DECISION_KEYS: &[&str] = &["review", "decide", "by", "after", "reason", "note", "fields", "told"];
const WITHDRAWAL_KEYS: &[&str] = &["by", "after"];
const SUPPLEMENT_KEYS: &[&str] = &["fields", "by", "after"];
const RESUME_KEYS: &[&str] = &["by", "after"];
const CHOICES: [(&str, Choice); 7] = [
    ("approve", Choice::Approve),
    ("refuse", Choice::Refuse),
    ("retry", Choice::Retry),
    ("amend", Choice::Amend),
    ("ask_customer", Choice::AskCustomer),
    ("applied", Choice::Applied),
    ("not_applied", Choice::NotApplied),
];
const TOLD: [(&str, Told); 2] = [("taken", Told::Taken), ("turned_down", Told::TurnedDown)];

/// All events of a case in order of time; those of one moment in the order of the keys here.
pub(super) fn read_events(subject: &Subject<'_>, reader: &mut Reader<'_>, fields: &Fields<'_>) -> Vec<Event> {
    let mut events = Vec::new();
    for key in ["callbacks", "decisions", "withdrawals", "supplements", "resumes"] {
        let Some(node) = fields.get(key) else { continue };
        for item in reader.list(node, key).unwrap_or_default() {
            let read = match key {
                "callbacks" => callback(subject, reader, item),
                "decisions" => decision(subject, reader, item),
                "withdrawals" => by_somebody(reader, item, "a withdrawal", WITHDRAWAL_KEYS),
                "supplements" => supplement(reader, item),
                _ => by_somebody(reader, item, "a resume", RESUME_KEYS),
            };
            events.extend(read);
        }
    }
    events.sort_by_key(|event| event.after);
    events
}

fn event(reader: &mut Reader<'_>, fields: &Fields<'_>, what: Happening) -> Option<Event> {
    let after = fields.get("after").map_or(Some(std::time::Duration::ZERO), |node| read_after(reader, node, "after"))?;
    Some(Event { after, line: reader.report.line(fields.at), what })
}

fn callback(subject: &Subject<'_>, reader: &mut Reader<'_>, node: &Node) -> Option<Event> {
    let fields = reader.fields(node, "a callback", CALLBACK_KEYS)?;
    let known: Vec<&str> = subject.process.callbacks().collect();
    let named = reader.need(&fields, "name")?;
    let name = reader.scalar(named, "name")?;
    known_name(reader, named.at, &name, "callback", &known);
    let body = fields.get("body").map_or(Json::Null, Node::to_json);
    event(reader, &fields, Happening::Callback { name, body })
}

fn decision(subject: &Subject<'_>, reader: &mut Reader<'_>, node: &Node) -> Option<Event> {
    let fields = reader.fields(node, "a decision", DECISION_KEYS)?;
    let review = reader.need(&fields, "review").and_then(|node| subject.review(reader, node));
    let choice = reader.need(&fields, "decide").and_then(|node| read_word(reader, node, "decide", &CHOICES));
    let by = reader.need(&fields, "by").and_then(|node| reader.scalar(node, "by"));
    let reason = fields.get("reason").and_then(|node| subject.reason(reader, node));
    let note = fields.get("note").and_then(|node| reader.scalar(node, "note")).unwrap_or_default();
    let told = fields.get("told").map_or(Some(Told::Taken), |node| read_word(reader, node, "told", &TOLD));
    let changes = read_fields(reader, &fields);
    let (review, choice) = (review?, choice?);
    check_choice(subject, reader, &fields, &review, choice);
    event(reader, &fields, Happening::Decision { review, choice, by: by?, reason, note, fields: changes, told: told? })
}

/// A decision that the engine would not even look at is a mistake of the file.
fn check_choice(subject: &Subject<'_>, reader: &mut Reader<'_>, fields: &Fields<'_>, review: &str, choice: Choice) {
    let options = subject.process.reviews.get(review).map(|spec| spec.options.as_slice()).unwrap_or_default();
    if !options.contains(&choice) {
        let list: Vec<&str> = options.iter().map(|choice| choice.as_str()).collect();
        let message = format!("`{}` is not an option of the review `{review}`", choice.as_str());
        reader.report.error_hint(fields.key_at("decide"), message, format!("its options are {}", list.join(", ")));
    }
    let need = match choice {
        Choice::Refuse => "reason",
        Choice::Amend => "fields",
        Choice::AskCustomer => "note",
        _ => return,
    };
    if fields.get(need).is_none() {
        reader.report.error(fields.at, format!("`{}` needs `{need}`", choice.as_str()));
    }
}

fn by_somebody(reader: &mut Reader<'_>, node: &Node, what: &'static str, keys: &[&str]) -> Option<Event> {
    let fields = reader.fields(node, what, keys)?;
    let by = fields.get("by").and_then(|node| reader.scalar(node, "by"));
    let happening = match what {
        "a withdrawal" => Happening::Withdrawal { by: by.unwrap_or_else(|| "customer".to_owned()) },
        _ => Happening::Resume { by: by.unwrap_or_else(|| "operator".to_owned()) },
    };
    event(reader, &fields, happening)
}

fn supplement(reader: &mut Reader<'_>, node: &Node) -> Option<Event> {
    let fields = reader.fields(node, "a supplement", SUPPLEMENT_KEYS)?;
    let by = fields.get("by").and_then(|node| reader.scalar(node, "by")).unwrap_or_else(|| "customer".to_owned());
    reader.need(&fields, "fields");
    let changes = read_fields(reader, &fields);
    event(reader, &fields, Happening::Supplement { fields: changes, by })
}

/// The fields that change: top-level ones of the payload.
fn read_fields(reader: &mut Reader<'_>, fields: &Fields<'_>) -> BTreeMap<String, Json> {
    let Some(node) = fields.get("fields") else { return BTreeMap::new() };
    let entries = reader.entries(node, "fields").unwrap_or_default();
    if entries.is_empty() {
        let at: Span = node.at;
        reader.report.error(at, "`fields` names at least one field");
    }
    entries.iter().map(|(key, value)| (key.name.clone(), value.to_json())).collect()
}
