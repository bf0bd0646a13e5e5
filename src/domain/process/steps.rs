//! The steps of a process file: `verify`, `execute`, `wait`, `review`, and `together`.

#![expect(clippy::option_option, reason = "a key is absent, wrong or right, and each reader says which")]

use std::collections::BTreeSet;

use super::call::{Effect, flip, read_call, read_reconcile, read_retry, read_undo};
use super::finding::Span;
use super::model::{Accept, Block, Call, Execute, Otherwise, RefuseRule, Retry, Rules, Step, StepKind, Verify, Wait};
use super::read::{Fields, Reader, Use, UsedBy};
use super::rules::{check_statuses, looks_at_status, read_clause, read_keep, read_otherwise, read_refuse_when, scope_after};
use super::scope::{Answer, Kept, Scope, StepInfo};
use super::yaml::Node;

/// The keys of a `verify` step.
pub(super) const VERIFY_KEYS: &[&str] =
    &["verify", "clause", "when", "call", "refuse_when", "pass_when", "otherwise", "valid_for", "keep", "checkpoint", "retry"];
/// The keys of an `execute` step.
pub(super) const EXECUTE_KEYS: &[&str] =
    &["execute", "clause", "when", "call", "refuse_when", "keep", "retry", "idempotent", "reconcile", "undo"];
/// The keys of a `wait` step.
pub(super) const WAIT_KEYS: &[&str] =
    &["wait", "clause", "when", "callback", "answer", "within", "refuse_when", "pass_when", "keep", "otherwise"];
/// The keys of a `review` step.
pub(super) const REVIEW_KEYS: &[&str] = &["review", "when"];
/// The keys of a group of steps done side by side.
pub(super) const TOGETHER_KEYS: &[&str] = &["together"];

/// Names that the ledger uses for places of its own.
const RESERVED_NAMES: &[&str] = &["done_when", "limit", "overdue", "handed_over", "worker"];
/// The most steps of a process.
const MAX_STEPS: usize = 100;

/// What was read of the steps, complete or not.
#[derive(Default)]
pub(super) struct Steps {
    pub(super) read: Vec<Step>,
    pub(super) blocks: Vec<Block>,
    /// One per step of the file, also of those that could not be read.
    pub(super) infos: Vec<StepInfo>,
    pub(super) callbacks: BTreeSet<String>,
    /// Some step could not be read.
    pub(super) broken: bool,
}

/// Reads the list of steps.
pub(super) fn read_steps(reader: &mut Reader<'_>, node: &Node) -> Steps {
    let mut steps = Steps::default();
    let Some(items) = reader.list(node, "steps") else {
        steps.broken = true;
        return steps;
    };
    if items.is_empty() {
        reader.report.error(node.at, "a process has at least one step");
    }
    for (block, item) in items.iter().enumerate() {
        let first = steps.read.len();
        match group_of(item) {
            Some(group) => read_together(reader, &mut steps, item, group, block),
            None => read_step(reader, &mut steps, item, block, false),
        }
        steps.blocks.push(Block { first, count: steps.read.len() - first });
    }
    if steps.infos.len() > MAX_STEPS {
        reader.report.error(node.at, format!("a process has at most {MAX_STEPS} steps"));
    }
    steps
}

fn group_of(item: &Node) -> Option<&Node> {
    match &item.value {
        super::yaml::Value::Map(entries) => entries.iter().find(|(key, _)| key.name == "together").map(|(_, node)| node),
        _ => None,
    }
}

fn read_together(reader: &mut Reader<'_>, steps: &mut Steps, item: &Node, group: &Node, block: usize) {
    if let Some(fields) = reader.fields(item, "together", TOGETHER_KEYS)
        && fields.get("when").is_some()
    {
        steps.broken = true;
    }
    let Some(items) = reader.list(group, "together") else {
        steps.broken = true;
        return;
    };
    if items.len() < 2 {
        reader.report.error_hint(group.at, "together has at least two steps", "a single step stands in `steps` itself");
    }
    for inner in items {
        read_step(reader, steps, inner, block, true);
    }
}

/// Reads one step by the key that says what it is.
fn read_step(reader: &mut Reader<'_>, steps: &mut Steps, item: &Node, block: usize, in_group: bool) {
    let kinds = ["verify", "execute", "wait", "review"];
    let super::yaml::Value::Map(entries) = &item.value else {
        reader.report.error_hint(
            item.at,
            format!("a step must be a map, not {}", item.describe()),
            "start it with `- verify: <name>`",
        );
        steps.broken = true;
        return;
    };
    let found: Vec<&str> = kinds.into_iter().filter(|kind| entries.iter().any(|(key, _)| key.name == *kind)).collect();
    let step = match found.as_slice() {
        [kind] if in_group && *kind != "verify" => {
            let at = entries.iter().find(|(key, _)| key.name == *kind).map_or(item.at, |(key, _)| key.at);
            reader.report.error_hint(
                at,
                format!("only verify steps are done together, not `{kind}`"),
                "give the step a place of its own in `steps`",
            );
            None
        }
        ["verify"] => read_verify(reader, steps, item, block),
        ["execute"] => read_execute(reader, steps, item, block),
        ["wait"] => read_wait(reader, steps, item, block),
        [_] => read_review(reader, steps, item, block),
        [] => {
            let at = entries.first().map_or(item.at, |(key, _)| key.at);
            let near = entries.iter().find_map(|(key, _)| super::spelling::did_you_mean(&key.name, kinds));
            let hint = near.map_or_else(
                || "start it with `verify`, `execute`, `wait`, `review` or `together`".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            reader.report.error_hint(at, "this step does not say what it does", hint);
            None
        }
        [_, second, ..] => {
            let at = entries.iter().find(|(key, _)| key.name == *second).map_or(item.at, |(key, _)| key.at);
            reader.report.error_hint(
                at,
                format!("a step does one thing, and this one says `{}`", found.join("` and `")),
                "start a new step with `- `",
            );
            None
        }
    };
    match step {
        Some(step) => steps.read.push(step),
        None => steps.broken = true,
    }
}

/// The step's name, noted with what it keeps so that later expressions can be checked even if the rest of it is wrong.
fn note(reader: &mut Reader<'_>, steps: &mut Steps, fields: &Fields<'_>, kind: &str, block: usize, kept: Kept) -> Option<String> {
    let node = fields.get(kind)?;
    let name = reader.name(node, "a step's name")?;
    if RESERVED_NAMES.contains(&name.as_str()) {
        reader.report.error(node.at, format!("`{name}` has a meaning of its own in the ledger and cannot name a step"));
    }
    if let Some(earlier) = steps.infos.iter().find(|info| info.name == name) {
        let line = reader.report.line(earlier.at);
        reader.report.error(node.at, format!("there is a step `{name}` already, in line {line}"));
    }
    let may_be_skipped = fields.get("when").is_some();
    steps.infos.push(StepInfo { name: name.clone(), at: node.at, block, kept, may_be_skipped });
    Some(name)
}

/// `when`: what is in scope is what earlier steps left.
fn read_when(reader: &mut Reader<'_>, fields: &Fields<'_>, block: usize) -> Option<Option<crate::domain::expr::Expr>> {
    flip(fields.get("when").map(|node| {
        let expr = reader.expr(node, "when", &Scope::step(block))?;
        match expr.source().trim() {
            "false" => reader.report.error(node.at, "this step is never done"),
            "true" => reader.report.warning(node.at, "this condition is always true", "leave `when` out"),
            _ => {}
        }
        Some(expr)
    }))
}

/// What an expression may read of a step with an answer later; `unnamed` is what is kept where the file does not say.
fn kept_by(fields: &Fields<'_>, unnamed: Kept) -> Kept {
    match fields.get("keep").map(|node| &node.value) {
        Some(super::yaml::Value::Map(entries)) => Kept::Keys(entries.iter().map(|(key, _)| key.name.clone()).collect()),
        Some(_) => Kept::Everything(None),
        None => unnamed,
    }
}

/// The whole answer of a call, as far as it could be read.
fn whole(call: Option<&Call>) -> Kept {
    Kept::Everything(call.and_then(|call| call.answer.clone()))
}

fn read_verify(reader: &mut Reader<'_>, steps: &mut Steps, item: &Node, block: usize) -> Option<Step> {
    let fields = reader.fields(item, "a verify step", VERIFY_KEYS)?;
    let scope = Scope::step(block);
    let call = fields.get("call").map(|node| read_call(reader, node, Effect::Reads, &scope));
    let kept = match &call {
        Some(call) => kept_by(&fields, whole(call.as_ref())),
        None => Kept::Nothing,
    };
    let name = note(reader, steps, &fields, "verify", block, kept);
    let clause = reader.need(&fields, "clause").and_then(|node| read_clause(reader, node));
    let when = read_when(reader, &fields, block);
    let after = match &call {
        Some(call) => scope_after(&scope, call.as_ref()),
        None => scope.without_call(),
    };
    let read = call.as_ref().and_then(Option::as_ref);
    let rules = read_rules(reader, &fields, &after, read);
    if !fields.has_or_means("pass_when") && !fields.has_or_means("refuse_when") {
        let hint = "add `pass_when`, `refuse_when` or both";
        reader.report.error_hint(fields.at, "a verify step without a rule passes everything", hint);
    }
    let valid_for = flip(fields.get("valid_for").map(|node| reader.length(node, "valid_for")));
    if fields.get("valid_for").is_some() && call.is_none() {
        let hint = "without a call the verdict rests on the request alone, which does not age";
        reader.report.warning(fields.key_at("valid_for"), "`valid_for` does nothing here", hint);
    }
    if fields.get("keep").is_some() && call.is_none() {
        reader.report.warning(fields.key_at("keep"), "`keep` does nothing here", "without a call there is no answer to keep");
    }
    let keep = flip(fields.get("keep").map(|node| read_keep(reader, node, &after)));
    let checkpoint = fields.get("checkpoint").map_or(Some(false), |node| reader.flag(node, "checkpoint"));
    let retry = fields.get("retry").map_or_else(|| Some(Retry::default()), |node| read_retry(reader, node));
    if let (Some(rules), Some(call)) = (&rules, read) {
        check_unhandled(reader, &fields, call, rules.refuse_when.iter().map(|rule| &rule.when).chain(rules.pass_when.as_ref()));
    }
    let kind = StepKind::Verify(Verify {
        clause: clause?,
        call: flip(call)?,
        rules: rules?,
        valid_for: valid_for?,
        keep: keep?,
        checkpoint: checkpoint?,
        retry: retry?,
    });
    Some(Step { name: name?, line: reader.report.line(fields.at), when: when?, kind })
}

fn read_rules(reader: &mut Reader<'_>, fields: &Fields<'_>, scope: &Scope, call: Option<&Call>) -> Option<Rules> {
    let refuse_when = read_refusals(reader, fields, scope, call);
    let pass_when = read_pass(reader, fields, scope, call);
    let otherwise =
        fields.get("otherwise").map_or(Some(Otherwise::Defect), |node| read_otherwise(reader, node, UsedBy::Otherwise));
    if fields.get("otherwise").is_some() && !fields.has_or_means("pass_when") {
        let hint = "without `pass_when` everything that is not refused passes";
        reader.report.warning(fields.key_at("otherwise"), "`otherwise` is never looked at", hint);
    }
    if let Some(expr) = pass_when.as_ref().and_then(Option::as_ref)
        && expr.source().trim() == "true"
        && fields.get("otherwise").is_some()
    {
        reader.report.warning(
            fields.key_at("otherwise"),
            "`otherwise` is never looked at: `pass_when` is always true",
            "remove it",
        );
    }
    Some(Rules { refuse_when: refuse_when?, pass_when: pass_when?, otherwise: otherwise? })
}

fn read_refusals(reader: &mut Reader<'_>, fields: &Fields<'_>, scope: &Scope, call: Option<&Call>) -> Option<Vec<RefuseRule>> {
    fields.get("refuse_when").map_or(Some(Vec::new()), |node| read_refuse_when(reader, node, scope, call))
}

fn read_pass(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    scope: &Scope,
    call: Option<&Call>,
) -> Option<Option<crate::domain::expr::Expr>> {
    flip(fields.get("pass_when").map(|node| {
        let expr = reader.expr(node, "pass_when", scope)?;
        check_statuses(reader, node.at, &expr, call);
        Some(expr)
    }))
}

/// A listed failure status that no rule asks for would be read like a success.
fn check_unhandled<'e>(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    call: &Call,
    mut rules: impl Iterator<Item = &'e crate::domain::expr::Expr>,
) {
    let Accept::Listed(statuses) = &call.accept else { return };
    let Some(failure) = statuses.iter().find(|status| **status >= 400) else { return };
    if !rules.any(looks_at_status) {
        reader.report.warning(
            fields.key_at("call"),
            format!("the status {failure} is accepted, but no rule looks at `status`: such an answer is taken like a success"),
            format!("add a rule for it: {{if: \"status == {failure}\", reason: …}}"),
        );
    }
}

/// Every no cites the rule that it rests on. `refuses` is the key by which the step says no, if it can.
fn need_clause(reader: &mut Reader<'_>, fields: &Fields<'_>, refuses: Option<&str>) {
    if let Some(key) = refuses.filter(|_| !fields.has_or_means("clause")) {
        let message = format!("{} with a refusal needs `clause`: the rule that the refusal cites", fields.what);
        reader.report.error_hint(
            fields.key_at(key),
            message,
            "add `clause: {id: CARD-3.1, text: the rule in words}` to the step",
        );
    }
}

fn read_execute(reader: &mut Reader<'_>, steps: &mut Steps, item: &Node, block: usize) -> Option<Step> {
    let fields = reader.fields(item, "an execute step", EXECUTE_KEYS)?;
    let scope = Scope::step(block);
    let call = reader.need(&fields, "call").map(|node| read_call(reader, node, Effect::Changes, &scope));
    let kept = kept_by(&fields, whole(call.as_ref().and_then(Option::as_ref)));
    let name = note(reader, steps, &fields, "execute", block, kept);
    let clause = flip(fields.get("clause").map(|node| read_clause(reader, node)));
    let when = read_when(reader, &fields, block);
    let read = call.as_ref().and_then(Option::as_ref);
    let after = scope_after(&scope, read);
    let refuse_when = read_refusals(reader, &fields, &after, read);
    need_clause(reader, &fields, fields.get("refuse_when").map(|_| "refuse_when"));
    let keep = flip(fields.get("keep").map(|node| read_keep(reader, node, &after)));
    let retry = fields.get("retry").map_or_else(|| Some(Retry::default()), |node| read_retry(reader, node));
    let idempotent = fields.get("idempotent").map_or(Some(false), |node| reader.flag(node, "idempotent"));
    let reconcile = flip(fields.get("reconcile").map(|node| read_reconcile(reader, node, &scope)));
    // An undo runs after the step, so it may read what the step kept.
    let undo_scope = Scope { own: name.clone(), ..scope };
    let undo = flip(fields.get("undo").map(|node| read_undo(reader, node, &undo_scope).map(Box::new)));
    if idempotent == Some(false) && !fields.has_or_means("reconcile") {
        reader.report.warning(
            fields.at,
            "nothing tells whether this effect happened: an unknown result goes to a person",
            "add `reconcile`, or `idempotent: true` where the target recognises our key",
        );
    }
    if let (Some(rules), Some(call)) = (&refuse_when, read) {
        check_unhandled(reader, &fields, call, rules.iter().map(|rule| &rule.when));
    }
    let kind = StepKind::Execute(Execute {
        clause: clause?,
        call: call??,
        refuse_when: refuse_when?,
        keep: keep?,
        retry: retry?,
        idempotent: idempotent?,
        reconcile: reconcile?,
        undo: undo?,
    });
    Some(Step { name: name?, line: reader.report.line(fields.at), when: when?, kind })
}

fn read_wait(reader: &mut Reader<'_>, steps: &mut Steps, item: &Node, block: usize) -> Option<Step> {
    let fields = reader.fields(item, "a wait step", WAIT_KEYS)?;
    let name = note(reader, steps, &fields, "wait", block, kept_by(&fields, Kept::Nothing));
    let when = read_when(reader, &fields, block);
    let callback = reader.need(&fields, "callback").and_then(|node| {
        let name = reader.name(node, "callback")?;
        if !steps.callbacks.insert(name.clone()) {
            reader.report.error(node.at, format!("the callback `{name}` is waited for twice"));
        }
        Some(name)
    });
    let within = reader.need(&fields, "within").and_then(|node| reader.length(node, "within"));
    let answer = flip(fields.get("answer").map(|node| reader.schema(node, "answer")));
    let scope = Scope { answer: Answer::Body(answer.clone().flatten()), ..Scope::step(block) };
    let refuse_when = read_refusals(reader, &fields, &scope, None);
    let pass_when = read_pass(reader, &fields, &scope, None);
    let keep = flip(fields.get("keep").map(|node| read_keep(reader, node, &scope)));
    let otherwise = reader.need(&fields, "otherwise").and_then(|node| read_otherwise(reader, node, UsedBy::Otherwise));
    let clause = flip(fields.get("clause").map(|node| read_clause(reader, node)));
    let late = matches!(otherwise, Some(Otherwise::Refuse(_))).then_some("otherwise");
    need_clause(reader, &fields, fields.get("refuse_when").map(|_| "refuse_when").or(late));
    let kind = StepKind::Wait(Wait {
        callback: callback?,
        answer: answer?,
        within: within?,
        refuse_when: refuse_when?,
        pass_when: pass_when?,
        keep: keep?,
        otherwise: otherwise?,
        clause: clause?,
    });
    Some(Step { name: name?, line: reader.report.line(fields.at), when: when?, kind })
}

fn read_review(reader: &mut Reader<'_>, steps: &mut Steps, item: &Node, block: usize) -> Option<Step> {
    let fields = reader.fields(item, "a review step", REVIEW_KEYS)?;
    let name = note(reader, steps, &fields, "review", block, Kept::Nothing);
    let when = read_when(reader, &fields, block);
    let at = fields.get("review").map_or(Span::default(), |node| node.at);
    let name = name?;
    reader.uses.push(Use { name: name.clone(), at, by: UsedBy::ReviewStep });
    Some(Step { name: name.clone(), line: reader.report.line(fields.at), when: when?, kind: StepKind::Review { review: name } })
}
