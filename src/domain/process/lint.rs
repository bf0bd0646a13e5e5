//! What can only be seen on the whole file: names used and not declared, declared and not used, steps never reached,
//! times that contradict each other.

use std::collections::{BTreeMap, BTreeSet};

use super::builtin::{BUILTIN_LANGUAGES, BUILTIN_REVIEWS, builtin_options};
use super::finding::Span;
use super::model::{Choice, Otherwise, Process, StepKind};
use super::read::{Fields, Reader, UsedBy};
use super::schema::Schema;
use super::scope::StepInfo;
use super::spelling::{did_you_mean, quoted};
use super::yaml::{Key, Node, Value};

/// The payload must be an object, and a schema that lets unknown fields through lets typing errors through.
pub(super) fn check_request_schema(reader: &mut Reader<'_>, node: &Node, schema: &Schema) {
    let source = schema.source();
    if source.get("type").and_then(serde_json::Value::as_str) != Some("object") {
        reader.report.error_hint(node.at, "a request is an object", "write `type: object`");
    }
    if source.get("additionalProperties").is_none() && source.get("unevaluatedProperties").is_none() {
        let hint = "write `additionalProperties: false`, or `true` where it is meant";
        reader.report.warning(node.at, "fields that are not declared are accepted, and misspelt ones unnoticed", hint);
    }
}

/// Texts that no path may hold as a value (`connectors` refuses such a call): one stands for each kind of trouble.
const NO_SEGMENT: [&str; 5] = ["..", "a\tb", "%2e%2e", "../x", ""];

/// A customer chooses what stands in a request's fields. Where one becomes part of a path, its schema must say what it looks
/// like: otherwise a customer can open defects, which are ours to mend, and hold up the requests behind.
pub(super) fn check_paths(reader: &mut Reader<'_>, request: Option<&Schema>) {
    let Some(request) = request else { return };
    let mut seen = BTreeSet::new();
    for (expr, at) in std::mem::take(&mut reader.in_paths) {
        let source = expr.source().trim();
        let Some(path) = source.strip_prefix("request.") else { continue };
        if !seen.insert(path.to_owned()) {
            continue;
        }
        let declared = path.split('.').try_fold(request.source(), |schema, name| schema.get("properties")?.get(name));
        let Some(schema) = declared.and_then(|schema| Schema::compile(schema).ok()) else { continue };
        let accepted = NO_SEGMENT.iter().find(|text| schema.validate(&serde_json::Value::from(**text)).is_ok());
        if let Some(text) = accepted {
            let message = format!("`{source}` may be {text:?}, which no path may hold: such a request is parked under a defect");
            let hint = "say in `request` what it looks like: `pattern: '^[A-Za-z0-9][A-Za-z0-9_-]*$'`, a `format` or an `enum`";
            let at = reader.path_inside(at, source);
            reader.report.warning(at, message, hint);
        }
    }
}

/// Reasons and reviews: every one used is declared, every one declared is used and offers answers that make sense.
pub(super) fn check_declared(reader: &mut Reader<'_>, fields: &Fields<'_>) {
    let reasons = keys_of(fields.get("reasons"));
    let reviews = keys_of(fields.get("reviews"));
    let uses = std::mem::take(&mut reader.uses);
    let mut used_reasons = BTreeSet::new();
    let mut used_reviews: BTreeMap<&str, Vec<UsedBy>> = BTreeMap::new();
    for one in &uses {
        let (kind, declared) = if one.by == UsedBy::Reason { ("reason", &reasons) } else { ("review", &reviews) };
        if one.by == UsedBy::Reason {
            used_reasons.insert(one.name.as_str());
        } else {
            used_reviews.entry(&one.name).or_default().push(one.by);
            if BUILTIN_REVIEWS.contains(&one.name.as_str()) {
                reader.report.error_hint(
                    one.at,
                    format!("`{}` is asked by the engine itself", one.name),
                    "declare a review of your own",
                );
                continue;
            }
        }
        if !declared.contains_key(one.name.as_str()) {
            let hint = did_you_mean(&one.name, declared.keys().copied())
                .map_or_else(|| format!("declare it under `{kind}s`"), |near| format!("did you mean `{near}`?"));
            reader.report.error_hint(one.at, format!("the {kind} `{}` is not declared", one.name), hint);
        }
    }
    let mut reviewers_refuse = false;
    for (name, (key, node)) in &reviews {
        let by = used_reviews.get(name).map(Vec::as_slice).unwrap_or_default();
        let builtin = BUILTIN_REVIEWS.contains(name);
        if by.is_empty() && !builtin {
            reader.report.warning(
                key.at,
                format!("the review `{name}` is never asked"),
                "remove it, or use it in an `otherwise`",
            );
        }
        reviewers_refuse |= check_options(reader, name, node, by);
    }
    for (name, (key, _)) in &reasons {
        // A reviewer who refuses chooses a reason; then one that no rule uses has its use.
        if !used_reasons.contains(name) && !reviewers_refuse {
            reader.report.warning(key.at, format!("the reason `{name}` is never given"), "remove it, or use it in a rule");
        }
    }
    reader.uses = uses;
}

fn keys_of(node: Option<&Node>) -> BTreeMap<&str, (&Key, &Node)> {
    match node.map(|node| &node.value) {
        Some(Value::Map(entries)) => entries.iter().map(|(key, node)| (key.name.as_str(), (key, node))).collect(),
        _ => BTreeMap::new(),
    }
}

/// Each option has an effect where the review is asked. True where one of them is `refuse`.
fn check_options(reader: &mut Reader<'_>, name: &str, node: &Node, by: &[UsedBy]) -> bool {
    let Some(options) = keys_of(Some(node)).get("options").map(|(_, node)| *node) else { return false };
    let Value::List(items) = &options.value else { return false };
    let builtin = builtin_options(name);
    let mut refuses = false;
    for item in items {
        let Value::Text(option) = &item.value else { continue };
        refuses |= option == Choice::Refuse.as_str() && !by.is_empty();
        if !builtin.is_empty() {
            if !builtin.iter().any(|choice| choice.as_str() == option) {
                let hint = format!("its options are {}", quoted(builtin.iter().map(|choice| choice.as_str())));
                reader.report.error_hint(item.at, format!("`{option}` does not answer `{name}`"), hint);
            }
            continue;
        }
        if option == Choice::Applied.as_str() || option == Choice::NotApplied.as_str() {
            let hint = "`applied` and `not_applied` answer whether an effect happened, which the engine asks by itself; offer `approve`, `refuse` or `retry`";
            reader.report.error_hint(item.at, format!("`{option}` does not answer this question"), hint);
        }
        if option == Choice::Retry.as_str() && by == [UsedBy::ReviewStep] {
            reader.report.error_hint(
                item.at,
                "a review step has nothing to retry",
                "offer `approve`, `refuse`, `amend` or `ask_customer`",
            );
        }
    }
    refuses
}

/// The built-in questions must be readable in every language of the title.
pub(super) fn check_builtin_languages(reader: &mut Reader<'_>, fields: &Fields<'_>) {
    let overridden = keys_of(fields.get("reviews"));
    let missing: Vec<&str> = reader.languages.iter().map(String::as_str).filter(|tag| !BUILTIN_LANGUAGES.contains(tag)).collect();
    let open: Vec<&str> = BUILTIN_REVIEWS.into_iter().filter(|name| !overridden.contains_key(name)).collect();
    if !missing.is_empty() && !open.is_empty() {
        let message = format!("the built-in reviews {} have no text in {}", quoted(open), quoted(missing));
        reader.report.warning(fields.key_at("title"), message, "declare them under `reviews` with texts of your own");
    }
}

/// What the order of the steps and their times tell.
pub(super) fn check_flow(reader: &mut Reader<'_>, process: &Process, infos: &[StepInfo]) {
    let at = |index: usize| infos.get(index).map_or(Span::default(), |info| info.at);
    let mut closed_by: Option<&str> = None;
    let last_effect = process.steps.iter().rposition(|step| matches!(step.kind, StepKind::Execute(_)));
    for (index, step) in process.steps.iter().enumerate() {
        if let Some(closed) = closed_by {
            reader.report.error_hint(
                at(index),
                format!("the step `{}` is never reached", step.name),
                format!("no request gets past `{closed}`"),
            );
            break;
        }
        if step.when.is_none() && never_passes(process, &step.kind) {
            closed_by = Some(&step.name);
        }
        match &step.kind {
            StepKind::Verify(verify) => {
                let Some(valid_for) = verify.valid_for else { continue };
                if last_effect.is_none_or(|last| last < index) {
                    let message = format!("`valid_for` of `{}` does nothing: no effect comes after it", step.name);
                    reader.report.warning(at(index), message, "leave it out");
                } else if valid_for >= process.expire_after {
                    let message = format!(
                        "`valid_for` of `{}` is not shorter than `expire_after`: the verdict is never checked again",
                        step.name
                    );
                    reader.report.warning(at(index), message, "shorten it, or leave it out");
                }
            }
            StepKind::Wait(wait) if wait.within >= process.expire_after => {
                let message = format!("the wait `{}` is not shorter than `expire_after`: the request expires first", step.name);
                reader.report.warning(at(index), message, "shorten `within`, or raise `expire_after`");
            }
            _ => {}
        }
    }
}

/// True for a step that ends every request that reaches it.
fn never_passes(process: &Process, kind: &StepKind) -> bool {
    let is = |expr: &crate::domain::expr::Expr, text: &str| expr.source().trim() == text;
    let ends = |otherwise: &Otherwise| matches!(otherwise, Otherwise::Refuse(_) | Otherwise::Defect);
    match kind {
        StepKind::Verify(verify) => {
            verify.rules.refuse_when.iter().any(|rule| is(&rule.when, "true"))
                || verify.rules.pass_when.as_ref().is_some_and(|expr| is(expr, "false")) && ends(&verify.rules.otherwise)
        }
        StepKind::Execute(execute) => execute.refuse_when.iter().any(|rule| is(&rule.when, "true")),
        StepKind::Wait(wait) => wait.pass_when.as_ref().is_some_and(|expr| is(expr, "false")) && ends(&wait.otherwise),
        StepKind::Review { review } => process.reviews.get(review).is_some_and(|review| review.options == [Choice::Refuse]),
    }
}
