//! What of a process the cases have reached: every verdict and rule, both sides of every `when`, every reason, every
//! question with each of its answers, and the roads that are walked only when something goes wrong. What was not reached
//! is listed with its line: nobody knows yet what happens there.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use uuid::Uuid;

use super::play::Played;
use crate::domain::process::Places;
use crate::domain::process::model::{Otherwise, Process, Reconcile, RefuseRule, Step, StepKind};
use crate::domain::request::fact::{EffectResult, Ending, Fact, Verdict, VerdictFact, Via};
use crate::domain::request::slot::{self, DONE_WHEN, LIMIT};

/// Something that a process can do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    When(String, bool),
    Refused(String, usize),
    Passed(String),
    Otherwise(String),
    Ignored(String),
    Applied(String),
    Happened(String),
    DidNotHappen(String),
    Unknown(String),
    Limit,
    Reason(String),
    Asked(String),
    Answered(String, &'static str),
}

/// A way that no case has gone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Missing {
    /// The line of the process file, from 1.
    pub line: usize,
    /// What was not reached, as a sentence.
    pub what: String,
}

/// How much of a process the cases reach.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// How many ways there are.
    pub ways: usize,
    /// How many of them some case has gone.
    pub reached: usize,
    /// The others, by line.
    pub missing: Vec<Missing>,
}

/// The ways of one process, and which of them were gone.
pub struct Map<'p> {
    process: &'p Process,
    ways: BTreeMap<Way, Missing>,
    reached: BTreeSet<Way>,
}

impl<'p> Map<'p> {
    /// Nothing reached yet.
    #[must_use]
    pub fn new(process: &'p Process) -> Map<'p> {
        let mut map = Map { process, ways: BTreeMap::new(), reached: BTreeSet::new() };
        let source = process.source.clone();
        let places = Places::read(&source);
        if process.limit.is_some() {
            map.add(Way::Limit, places.line(&["limit"]), "the limit is never exceeded".to_owned());
        }
        for step in &process.steps {
            map.step(&places, step);
        }
        map.done(&places);
        for name in process.reasons.keys() {
            map.add(Way::Reason(name.clone()), places.line(&["reasons", name]), format!("nobody is refused for `{name}`"));
        }
        for (name, spec) in process.reviews.iter().filter(|(name, _)| places.has(&["reviews", name])) {
            map.add(Way::Asked(name.clone()), places.line(&["reviews", name]), format!("nobody is asked `{name}`"));
            for option in &spec.options {
                let what = format!("nobody answers `{name}` with {}", option.as_str());
                map.add(Way::Answered(name.clone(), option.as_str()), places.line(&["reviews", name, "options"]), what);
            }
        }
        map
    }

    fn add(&mut self, way: Way, line: usize, what: String) {
        self.ways.insert(way, Missing { line, what });
    }

    fn step(&mut self, places: &Places<'_>, step: &Step) {
        let name = &step.name;
        let line = |path: &[&str]| places.step_line(name, path);
        if step.when.is_some() {
            self.add(Way::When(name.clone(), true), line(&["when"]), format!("`when` of `{name}` is never true"));
            self.add(Way::When(name.clone(), false), line(&["when"]), format!("`when` of `{name}` is never false"));
        }
        match &step.kind {
            StepKind::Verify(verify) => {
                self.rules(places, name, &verify.rules.refuse_when);
                let pass = line(&[if verify.rules.pass_when.is_some() { "pass_when" } else { "verify" }]);
                self.add(Way::Passed(name.clone()), pass, format!("`{name}` never passes"));
                if verify.rules.pass_when.is_some() {
                    let what = format!("`{name}` never goes to `otherwise` ({})", otherwise(&verify.rules.otherwise));
                    self.add(Way::Otherwise(name.clone()), line(&["otherwise"]), what);
                }
            }
            StepKind::Wait(wait) => {
                self.rules(places, name, &wait.refuse_when);
                self.add(Way::Passed(name.clone()), line(&["pass_when"]), format!("no callback of `{name}` passes"));
                if wait.pass_when.is_some() {
                    let what = format!("no callback of `{name}` fails to count");
                    self.add(Way::Ignored(name.clone()), line(&["pass_when"]), what);
                }
                let what = format!("`{name}` is never waited for in vain ({})", otherwise(&wait.otherwise));
                self.add(Way::Otherwise(name.clone()), line(&["otherwise"]), what);
            }
            StepKind::Execute(execute) => {
                self.rules(places, name, &execute.refuse_when);
                self.effect(name, line(&[]), line(&["reconcile"]), execute.reconcile.as_ref());
                if let Some(undo) = &execute.undo {
                    let (at, read) = (line(&["undo"]), line(&["undo", "reconcile"]));
                    self.effect(&slot::undo(name), at, read, undo.reconcile.as_ref());
                }
            }
            StepKind::Review { .. } => {}
        }
    }

    fn rules(&mut self, places: &Places<'_>, name: &str, rules: &[RefuseRule]) {
        for (index, rule) in rules.iter().enumerate() {
            let line = places.step_line(name, &["refuse_when", &index.to_string()]);
            let what = format!("`{name}` never refuses because {} ({})", rule.when.source(), rule.reason);
            self.add(Way::Refused(name.to_owned(), index), line, what);
        }
    }

    fn effect(&mut self, slot: &str, line: usize, read: usize, reconcile: Option<&Reconcile>) {
        self.add(Way::Applied(slot.to_owned()), line, format!("`{slot}` is never carried out"));
        if reconcile.is_some() {
            let what = format!("`{slot}` never gets no answer and turns out to have happened");
            self.add(Way::Happened(slot.to_owned()), read, what);
            let what = format!("`{slot}` never gets no answer and turns out not to have happened");
            self.add(Way::DidNotHappen(slot.to_owned()), read, what);
        } else {
            self.add(Way::Unknown(slot.to_owned()), line, format!("`{slot}` never stays without an answer"));
        }
    }

    fn done(&mut self, places: &Places<'_>) {
        let line = |path: &[&str]| places.line(&[&["done_when"], path].concat());
        self.add(Way::Passed(DONE_WHEN.to_owned()), line(&["is"]), "the outcome never shows".to_owned());
        let what = format!("the outcome never fails to show ({})", otherwise(&self.process.done_when.otherwise));
        self.add(Way::Otherwise(DONE_WHEN.to_owned()), line(&["otherwise"]), what);
    }

    /// Takes in what a case came to.
    pub fn walk(&mut self, played: &Played) {
        let mut reviews: BTreeMap<Uuid, &str> = BTreeMap::new();
        for (_, fact) in &played.facts {
            match fact {
                Fact::Verdict(fact) => self.verdict(fact),
                Fact::Skipped { step } => self.reach(Way::When(step.clone(), false)),
                Fact::Failed(failed) => self.reach(Way::When(failed.slot.clone(), true)),
                Fact::Intent { slot, .. } => self.reach(Way::When(slot.clone(), true)),
                Fact::Waiting { step, .. } => self.reach(Way::When(step.clone(), true)),
                Fact::Result(result) => self.reach(match (result.result, result.via) {
                    (EffectResult::Applied, Via::Reconcile) => Way::Happened(result.slot.clone()),
                    (EffectResult::NotApplied, Via::Reconcile) => Way::DidNotHappen(result.slot.clone()),
                    (EffectResult::Unknown, _) => Way::Unknown(result.slot.clone()),
                    (EffectResult::Applied, _) => Way::Applied(result.slot.clone()),
                    (EffectResult::NotApplied, _) => continue,
                }),
                Fact::CallbackIgnored { step } => self.reach(Way::Ignored(step.clone())),
                Fact::ReviewOpened(opened) => {
                    reviews.insert(opened.id, &opened.review);
                    self.reach(Way::Asked(opened.review.clone()));
                    self.reach(Way::When(opened.slot.clone(), true));
                }
                Fact::Decided(decided) => {
                    if let Some(review) = reviews.get(&decided.review) {
                        self.reach(Way::Answered((*review).to_owned(), decided.choice.as_str()));
                    }
                }
                Fact::Parked { slot, cause, .. } if cause.code == "undecided" => self.reach(Way::Otherwise(slot.clone())),
                Fact::Ended { ending: Ending::Refused(refusal) } => self.reach(Way::Reason(refusal.reason.clone())),
                _ => {}
            }
        }
    }

    fn verdict(&mut self, fact: &VerdictFact) {
        let name = fact.slot.clone();
        self.reach(Way::When(name.clone(), true));
        if name == LIMIT {
            return self.reach(Way::Limit);
        }
        if fact.verdict == Verdict::Pass {
            return self.reach(Way::Passed(name));
        }
        let rules = match self.process.step(&name).map(|step| &step.kind) {
            Some(StepKind::Verify(verify)) => verify.rules.refuse_when.as_slice(),
            Some(StepKind::Wait(wait)) => wait.refuse_when.as_slice(),
            Some(StepKind::Execute(execute)) => execute.refuse_when.as_slice(),
            _ => &[],
        };
        let by_rule = |rule: &RefuseRule| {
            fact.rule.as_deref() == Some(rule.when.source()) && fact.verdict == Verdict::Refuse(rule.reason.clone())
        };
        match rules.iter().position(by_rule) {
            Some(index) => self.reach(Way::Refused(name, index)),
            None => self.reach(Way::Otherwise(name)),
        }
    }

    fn reach(&mut self, way: Way) {
        self.reached.insert(way);
    }

    /// What was reached and what was not.
    #[must_use]
    pub fn coverage(&self) -> Coverage {
        let unreached = self.ways.iter().filter(|(way, _)| !self.reached.contains(way));
        let mut missing: Vec<Missing> = unreached.map(|(_, missing)| missing.clone()).collect();
        missing.sort();
        Coverage { ways: self.ways.len(), reached: self.ways.len() - missing.len(), missing }
    }
}

fn otherwise(otherwise: &Otherwise) -> String {
    match otherwise {
        Otherwise::Refuse(reason) => format!("refuse: {reason}"),
        Otherwise::Review(review) => format!("review: {review}"),
        Otherwise::Defect => "a defect".to_owned(),
    }
}
