//! From an answer to a verdict: `refuse_when`, `pass_when`, `otherwise`, `keep`.

use std::collections::BTreeMap;

use super::finding::Span;
use super::model::{Accept, Call, Clause, Otherwise, RefuseRule, Texts};
use super::read::{Reader, Use, UsedBy};
use super::scope::{Answer, Scope};
use super::yaml::{Node, Value};
use crate::domain::expr::Expr;

/// The keys of a clause.
pub(super) const CLAUSE_KEYS: &[&str] = &["id", "text"];
/// The keys of a rule that refuses.
pub(super) const REFUSE_KEYS: &[&str] = &["if", "reason"];
/// The keys of `otherwise`.
pub(super) const OTHERWISE_KEYS: &[&str] = &["refuse", "review"];

/// The scope of rules over a call's answer; where the call itself could not be read, its names are taken as known.
pub(super) fn scope_after(scope: &Scope, call: Option<&Call>) -> Scope {
    match call {
        Some(call) => scope.after(call.accept.clone(), call.answer.clone()),
        None => Scope { answer: Answer::Body(None), status: Some(Accept::Success), ..scope.clone() },
    }
}

pub(super) fn read_clause(reader: &mut Reader<'_>, node: &Node) -> Option<Clause> {
    let fields = reader.fields(node, "a clause", CLAUSE_KEYS)?;
    let id = reader.need(&fields, "id").and_then(|node| reader.text(node, "a clause's id"));
    let texts = reader.need(&fields, "text").and_then(|node| read_clause_texts(reader, node));
    if let (Some(id), Some(node)) = (&id, fields.get("id"))
        && (id.len() > 64 || id.chars().any(|c| c.is_whitespace() || c.is_control()))
    {
        reader.report.error_hint(node.at, "a clause's id is one word of at most 64 bytes", "such as `CARD-3.1`");
    }
    let (cited, texts) = texts?;
    let clause = Clause { id: id?, text: cited };
    if let Some(texts) = texts {
        reader.clauses.insert((clause.id.clone(), clause.text.clone()), texts);
    }
    Some(clause)
}

/// One text, or one for each language; verdicts cite the English one, or the first.
fn read_clause_texts(reader: &mut Reader<'_>, node: &Node) -> Option<(String, Option<Texts>)> {
    if !node.is_map() {
        return Some((reader.text(node, "a clause's text")?, None));
    }
    let texts = reader.texts(node, "a clause's text")?;
    let cited = texts.get("en").or_else(|| texts.values().next())?.clone();
    Some((cited, Some(texts)))
}

pub(super) fn read_refuse_when(
    reader: &mut Reader<'_>,
    node: &Node,
    scope: &Scope,
    call: Option<&Call>,
) -> Option<Vec<RefuseRule>> {
    let items = reader.list(node, "refuse_when")?;
    if items.is_empty() {
        reader.report.error(node.at, "refuse_when is empty");
    }
    let mut rules = Vec::new();
    let mut right = true;
    let mut certain: Option<Span> = None;
    for item in items {
        let Some(fields) = reader.fields(item, "a rule of refuse_when", REFUSE_KEYS) else {
            right = false;
            continue;
        };
        if certain.is_some() {
            reader.report.warning(
                fields.at,
                "this rule is never looked at: the one before it is always true",
                "remove one of them",
            );
        }
        let when = reader.need(&fields, "if").and_then(|node| {
            let expr = reader.expr(node, "if", scope)?;
            check_statuses(reader, node.at, &expr, call);
            Some(expr)
        });
        let reason = reader.need(&fields, "reason").and_then(|node| use_reason(reader, node));
        if when.as_ref().is_some_and(|expr| expr.source().trim() == "true") {
            certain = Some(fields.at);
        }
        match (when, reason) {
            (Some(when), Some(reason)) => rules.push(RefuseRule { when, reason }),
            _ => right = false,
        }
    }
    right.then_some(rules)
}

/// Reads the name of a reason and remembers that it is used.
pub(super) fn use_reason(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let name = reader.name(node, "a reason")?;
    reader.uses.push(Use { name: name.clone(), at: node.at, by: UsedBy::Reason });
    Some(name)
}

pub(super) fn read_otherwise(reader: &mut Reader<'_>, node: &Node, by: UsedBy) -> Option<Otherwise> {
    let hint = "write `defect`, {refuse: <reason>} or {review: <review>}";
    match &node.value {
        Value::Text(word) if word == "defect" => return Some(Otherwise::Defect),
        Value::Map(_) => {}
        Value::Text(word) => {
            reader.report.error_hint(node.at, format!("`{word}` is not a way out"), hint);
            return None;
        }
        _ => {
            reader.report.error_hint(node.at, format!("otherwise cannot be {}", node.describe()), hint);
            return None;
        }
    }
    let fields = reader.fields(node, "otherwise", OTHERWISE_KEYS)?;
    match (fields.get("refuse"), fields.get("review")) {
        (Some(node), None) => use_reason(reader, node).map(Otherwise::Refuse),
        (None, Some(node)) => {
            let name = reader.name(node, "a review")?;
            reader.uses.push(Use { name: name.clone(), at: node.at, by });
            Some(Otherwise::Review(name))
        }
        _ => {
            reader.report.error_hint(node.at, "otherwise names one way out", hint);
            None
        }
    }
}

pub(super) fn read_keep(reader: &mut Reader<'_>, node: &Node, scope: &Scope) -> Option<BTreeMap<String, Expr>> {
    let mut keep = BTreeMap::new();
    let mut right = true;
    for (key, value) in reader.entries(node, "keep")? {
        right &= reader.check_name(&key.name, key.at);
        match reader.expr(value, "keep", scope) {
            Some(expr) => {
                keep.insert(key.name.clone(), expr);
            }
            None => right = false,
        }
    }
    right.then_some(keep)
}

/// Statuses that a rule compares with and that can never reach it: `status == 404` where `accept` does not list 404.
pub(super) fn check_statuses(reader: &mut Reader<'_>, at: Span, expr: &Expr, call: Option<&Call>) {
    let Some(call) = call else { return };
    for status in compared_statuses(expr.source()) {
        if !call.accept.takes(status) {
            let accepted = match &call.accept {
                Accept::Success => "200 to 299".to_owned(),
                Accept::Listed(list) => list.iter().map(u16::to_string).collect::<Vec<_>>().join(", "),
            };
            let place = reader.path_inside(at, &status.to_string());
            let message = format!("the status {status} never reaches this rule: the call accepts {accepted}");
            reader.report.error_hint(place, message, format!("list it: `accept: [200, {status}]`"));
        }
    }
}

/// The numbers in `status == 404` and `404 == status`; other forms are not understood and not complained about.
fn compared_statuses(source: &str) -> Vec<u16> {
    let tokens: Vec<&str> = tokens(source);
    tokens
        .windows(3)
        .enumerate()
        .filter(|(at, _)| *at == 0 || tokens[at - 1] != ".")
        .filter_map(|(_, three)| match three {
            ["status", "==", number] | [number, "==", "status"] => number.parse().ok(),
            _ => None,
        })
        .collect()
}

/// Words, numbers, `==` and single characters; blanks left out.
fn tokens(source: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = source.trim_start();
    while let Some(first) = rest.chars().next() {
        let end = if first.is_alphanumeric() || first == '_' {
            rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
        } else if rest.starts_with("==") {
            2
        } else {
            first.len_utf8()
        };
        let (token, after) = rest.split_at(end);
        tokens.push(token);
        rest = after.trim_start();
    }
    tokens
}

/// Does an expression ask for the status?
pub(super) fn looks_at_status(expr: &Expr) -> bool {
    expr.names().contains("status")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compared_statuses_are_found_and_fields_of_that_name_are_not() {
        assert_eq!(compared_statuses("status == 404 || 410==status"), vec![404, 410]);
        assert_eq!(compared_statuses("answer.status == 404 && my_status == 405"), Vec::<u16>::new());
        assert_eq!(compared_statuses("status != 404 && status in [1]"), Vec::<u16>::new());
    }
}
