//! What will be done next, for each answer that a reviewer may give: a reviewer who does not know what follows cannot decide
//! well. Pure, and in both languages of the built-in texts.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::process::model::{Process, RefuseRule, StepKind, Texts};
use crate::domain::request::slot;
use crate::domain::words::Choice;

/// An answer and what follows from it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OptionBody {
    /// The answer: `approve`, `refuse`, `retry`, `amend`, `ask_customer`, `applied`, `not_applied`.
    #[schema(value_type = String, example = "approve")]
    choice: Choice,
    /// What follows, by language.
    then: BTreeMap<String, String>,
    /// The steps that are done next, in order.
    next_steps: Vec<String>,
    /// The first of them that changes something at a target.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_effect: Option<String>,
    /// Must a reason be named?
    needs_reason: bool,
    /// Must fields be given?
    needs_fields: bool,
}

/// What follows from each answer to a review that `slot_name` raised.
pub(super) fn options(process: Option<&Process>, slot_name: &str, choices: &[Choice]) -> Vec<OptionBody> {
    choices.iter().map(|choice| option(process, slot_name, *choice)).collect()
}

fn option(process: Option<&Process>, slot_name: &str, choice: Choice) -> OptionBody {
    let undoing = slot_name.starts_with("undo.");
    let next_steps = match (process, choice) {
        (Some(process), Choice::Approve | Choice::Applied) if !undoing => after(process, slot_name),
        (Some(process), Choice::Retry | Choice::NotApplied) if !undoing => from(process, slot_name),
        (Some(process), Choice::Amend) => process.steps.iter().map(|step| step.name.clone()).collect(),
        _ => Vec::new(),
    };
    let is_effect = |name: &String| {
        let kind = process.and_then(|process| process.step(name)).map(|step| &step.kind);
        matches!(kind, Some(StepKind::Execute(_)))
    };
    let next_effect = next_steps.iter().find(|name| is_effect(name)).cloned();
    OptionBody {
        choice,
        then: then(choice, undoing, next_steps.first(), next_effect.as_ref()),
        next_steps,
        next_effect,
        needs_reason: choice == Choice::Refuse,
        needs_fields: choice == Choice::Amend,
    }
}

/// The steps behind a slot. `done_when` and the built-in questions stand behind the last one.
fn after(process: &Process, slot_name: &str) -> Vec<String> {
    let Some(at) = process.step_index(slot::step_of(slot_name)) else { return Vec::new() };
    // The rest of a `together` block has concluded by the time a person is asked.
    let end = process.blocks.iter().find(|block| block.range().contains(&at)).map_or(at + 1, |block| block.range().end);
    process.steps.iter().skip(end).map(|step| step.name.clone()).collect()
}

fn from(process: &Process, slot_name: &str) -> Vec<String> {
    let Some(at) = process.step_index(slot::step_of(slot_name)) else { return Vec::new() };
    process.steps.iter().skip(at).map(|step| step.name.clone()).collect()
}

fn then(choice: Choice, undoing: bool, next: Option<&String>, effect: Option<&String>) -> Texts {
    let goes_on = match (next, effect) {
        (_, Some(effect)) if next == Some(effect) => (format!("`{effect}` is carried out next"), format!("接着执行 `{effect}`")),
        (Some(next), Some(effect)) => (
            format!("it goes on with `{next}`; `{effect}` is the next effect"),
            format!("接着进行 `{next}`，下一个实际操作是 `{effect}`"),
        ),
        (Some(next), None) => (format!("it goes on with `{next}`"), format!("接着进行 `{next}`")),
        (None, _) if undoing => ("the reversal goes on".to_owned(), "撤销继续进行".to_owned()),
        (None, _) => ("the outcome is verified".to_owned(), "接着核实办理结果".to_owned()),
    };
    let (en, zh) = match choice {
        Choice::Approve => (format!("The step counts as passed, and {}.", goes_on.0), format!("该步骤视为通过，{}。", goes_on.1)),
        Choice::Refuse => (
            "What was applied is undone, and the request is refused with the reason that you name.".to_owned(),
            "撤销已生效的操作，并以您选择的理由拒绝该申请。".to_owned(),
        ),
        Choice::Retry if undoing => ("The reversal is tried again.".to_owned(), "再次尝试撤销。".to_owned()),
        Choice::Retry => ("The step is done again.".to_owned(), "重新执行该步骤。".to_owned()),
        Choice::Amend => (
            "The fields are replaced, and all checks are made again from the first; effects that were applied stay.".to_owned(),
            "替换所填字段，并从第一步起重新核查；已生效的操作保持不变。".to_owned(),
        ),
        Choice::AskCustomer => (
            "The customer is asked what your note says; with the answer the checks are made again.".to_owned(),
            "向客户询问您在备注中写的内容；收到答复后重新核查。".to_owned(),
        ),
        Choice::Applied => {
            (format!("The effect counts as applied, and {}.", goes_on.0), format!("该操作视为已生效，{}。", goes_on.1))
        }
        Choice::NotApplied => {
            ("The effect counts as not applied and is tried again.".to_owned(), "该操作视为未生效，将重新执行。".to_owned())
        }
    };
    Texts::from([("en".to_owned(), en), ("zh-CN".to_owned(), zh)])
}

/// The clause that did not decide: that of the step which raised the question.
pub(super) fn undecided_clause(process: &Process, slot_name: &str) -> Option<crate::domain::words::Clause> {
    match &process.step(slot::step_of(slot_name))?.kind {
        StepKind::Verify(verify) => Some(verify.clause.clone()),
        StepKind::Execute(execute) => execute.clause.clone(),
        StepKind::Wait(wait) => wait.clause.clone(),
        StepKind::Review { .. } => None,
    }
}

/// What would have let it pass without a person, as the file says it: what a reviewer compares the evidence with.
pub(super) fn expected(process: &Process, slot_name: &str) -> Option<String> {
    match &process.step(slot_name)?.kind {
        StepKind::Verify(verify) => verify.rules.pass_when.as_ref().map(|expr| expr.source().to_owned()),
        StepKind::Wait(wait) => wait.pass_when.as_ref().map(|expr| expr.source().to_owned()),
        StepKind::Execute(_) | StepKind::Review { .. } => None,
    }
}

/// The rules that did not decide: what a reader needs to say how far what was seen is from passing and from being refused.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RulesBody {
    /// It passes by itself where this is true; left out: where nothing refuses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pass_when: Option<String>,
    /// It is refused where one of these is true, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    refuse_when: Vec<RuleBody>,
    /// What each kept value is, by its name; left out: the whole answer is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    keep: Option<BTreeMap<String, String>>,
}

/// A rule that refuses.
#[derive(Debug, Serialize, ToSchema)]
struct RuleBody {
    /// The condition.
    #[serde(rename = "if")]
    when: String,
    /// The name in the process's reasons.
    reason: String,
}

/// The rules of the step which raised the question.
pub(super) fn rules(process: &Process, slot_name: &str) -> Option<RulesBody> {
    if slot_name == slot::DONE_WHEN {
        let is = process.done_when.is.source().to_owned();
        return Some(RulesBody { pass_when: Some(is), refuse_when: Vec::new(), keep: None });
    }
    let (pass_when, refuse_when, keep) = match &process.step(slot_name)?.kind {
        StepKind::Verify(verify) => (verify.rules.pass_when.as_ref(), &verify.rules.refuse_when, &verify.keep),
        StepKind::Wait(wait) => (wait.pass_when.as_ref(), &wait.refuse_when, &wait.keep),
        StepKind::Execute(execute) => (None, &execute.refuse_when, &execute.keep),
        StepKind::Review { .. } => return None,
    };
    let rule = |rule: &RefuseRule| RuleBody { when: rule.when.source().to_owned(), reason: rule.reason.clone() };
    Some(RulesBody {
        pass_when: pass_when.map(|expr| expr.source().to_owned()),
        refuse_when: refuse_when.iter().map(rule).collect(),
        keep: keep.as_ref().map(|keep| keep.iter().map(|(name, expr)| (name.clone(), expr.source().to_owned())).collect()),
    })
}

#[cfg(test)]
mod tests {
    use super::super::facts::tests::process;
    use super::*;

    #[test]
    fn what_follows_from_each_answer() {
        let process = process("${request.who}");
        let all = [Choice::Approve, Choice::Refuse, Choice::AskCustomer, Choice::Amend];
        let shown = options(Some(&process), "known", &all);
        assert_eq!(shown[0].then["en"], "The step counts as passed, and `change` is carried out next.");
        assert_eq!((&shown[0].next_steps, shown[0].next_effect.as_deref()), (&vec!["change".to_owned()], Some("change")));
        assert!(shown[1].needs_reason && shown[1].next_steps.is_empty());
        assert_eq!(shown[3].next_steps, ["known", "change"]);
        let applied = &options(Some(&process), "change", &[Choice::Applied])[0];
        assert_eq!(applied.then["en"], "The effect counts as applied, and the outcome is verified.");
        let undo = &options(Some(&process), "undo.change", &[Choice::Applied])[0];
        assert_eq!(undo.then["en"], "The effect counts as applied, and the reversal goes on.");
        for option in &shown {
            assert_eq!(option.then.len(), 2);
        }
    }

    #[test]
    fn the_clause_and_what_was_expected() {
        let process = process("${request.who}");
        assert_eq!(undecided_clause(&process, "known").map(|clause| clause.id), Some("A-1".to_owned()));
        assert_eq!(undecided_clause(&process, "done_when"), None);
        assert_eq!(expected(&process, "known").as_deref(), Some("answer.sure == true"));
        assert_eq!(expected(&process, "change"), None);
        let rules = serde_json::to_value(rules(&process, "known")).unwrap_or_default();
        assert_eq!(rules["pass_when"], "answer.sure == true");
    }
}
