//! A process as a Mermaid flowchart: what is checked, what is done, and where a request may end.

use std::fmt::Write as _;

use crate::domain::process::model::{Otherwise, Process, Step, StepKind};

/// The chart's text.
pub(super) fn chart(process: &Process) -> String {
    let mut chart = Chart { text: "flowchart TD\n".to_owned(), process };
    chart.line("accepted([accepted])");
    let mut before = vec!["accepted".to_owned()];
    if let Some(limit) = &process.limit {
        chart.node("limit", '{', &format!("at most {} each {}", limit.max, crate::domain::time::show_duration(limit.within)), &limit.clause.id);
        chart.edge("accepted", "limit", "");
        chart.edge("limit", "refused", &limit.refuse);
        before = vec!["limit".to_owned()];
    }
    for (number, block) in process.blocks.iter().enumerate() {
        let steps: Vec<&Step> = block.range().filter_map(|index| process.steps.get(index)).collect();
        if steps.len() > 1 {
            chart.line(&format!("subgraph together{number} [side by side]"));
        }
        for step in &steps {
            chart.step(step);
        }
        if steps.len() > 1 {
            chart.line("end");
        }
        for step in &steps {
            for from in &before {
                chart.edge(from, &id(&step.name), "");
            }
            chart.exits(step);
        }
        before = steps.iter().map(|step| id(&step.name)).collect();
    }
    chart.node("done_when", '{', "is it so?", "");
    for from in &before {
        chart.edge(from, "done_when", "");
    }
    chart.edge("done_when", "done", "");
    chart.otherwise("done_when", &process.done_when.otherwise);
    chart.line("done([done])");
    chart.line("refused([refused])");
    for (name, review) in &process.reviews {
        let question = review.question.get("en").or_else(|| review.question.values().next()).map_or("", String::as_str);
        chart.line(&format!("review_{name}[/\"{}\"/]", escape(question)));
    }
    chart.text
}

struct Chart<'p> {
    text: String,
    process: &'p Process,
}

impl Chart<'_> {
    fn line(&mut self, line: &str) {
        // Writing to a String cannot fail.
        drop(writeln!(self.text, "  {line}"));
    }

    fn node(&mut self, id: &str, shape: char, title: &str, below: &str) {
        let below = if below.is_empty() { String::new() } else { format!("<br/>{}", escape(below)) };
        let (open, close) = match shape {
            '{' => ("{", "}"),
            '(' => ("(", ")"),
            '/' => ("[/", "/]"),
            _ => ("[", "]"),
        };
        self.line(&format!("{id}{open}\"{}{below}\"{close}", escape(title)));
    }

    fn edge(&mut self, from: &str, to: &str, label: &str) {
        let arrow = if label.is_empty() { "-->".to_owned() } else { format!("-->|\"{}\"|", escape(label)) };
        self.line(&format!("{from} {arrow} {to}"));
    }

    fn step(&mut self, step: &Step) {
        let when = step.when.as_ref().map(|when| format!(" if {}", when.source())).unwrap_or_default();
        let title = |kind: &str| format!("{}: {kind}{when}", step.name);
        match &step.kind {
            StepKind::Verify(verify) => self.node(&id(&step.name), '{', &title("verify"), &verify.clause.id),
            StepKind::Execute(execute) => {
                let below = if execute.undo.is_some() { "can be undone" } else { "cannot be undone" };
                self.node(&id(&step.name), '[', &title("execute"), below);
            }
            StepKind::Wait(wait) => {
                let below = format!("at most {}", crate::domain::time::show_duration(wait.within));
                self.node(&id(&step.name), '(', &title("wait"), &below);
            }
            StepKind::Review { .. } => self.node(&id(&step.name), '/', &title("review"), ""),
        }
    }

    /// The ways out of a step other than forward.
    fn exits(&mut self, step: &Step) {
        let from = id(&step.name);
        let rules = match &step.kind {
            StepKind::Verify(verify) => &verify.rules.refuse_when,
            StepKind::Execute(execute) => &execute.refuse_when,
            StepKind::Wait(wait) => &wait.refuse_when,
            StepKind::Review { review } => return self.edge(&from, &format!("review_{review}"), ""),
        };
        let mut reasons: Vec<&str> = Vec::new();
        for rule in rules {
            if !reasons.contains(&rule.reason.as_str()) {
                reasons.push(&rule.reason);
            }
        }
        if !reasons.is_empty() {
            self.edge(&from, "refused", &reasons.join("<br/>"));
        }
        match &step.kind {
            // Without `pass_when` everything that is not refused passes: there is no otherwise.
            StepKind::Verify(verify) if verify.rules.pass_when.is_some() => self.otherwise(&from, &verify.rules.otherwise),
            StepKind::Wait(wait) => self.otherwise(&from, &wait.otherwise),
            _ => {}
        }
    }

    fn otherwise(&mut self, from: &str, otherwise: &Otherwise) {
        match otherwise {
            Otherwise::Refuse(reason) => self.edge(from, "refused", reason),
            Otherwise::Review(review) if self.process.reviews.contains_key(review) => {
                self.edge(from, &format!("review_{review}"), "else");
            }
            Otherwise::Review(review) => self.edge(from, &format!("review_{review}[/{review}/]"), "else"),
            Otherwise::Defect => {}
        }
    }
}

/// A step's node; words that Mermaid keeps for itself (`end`) must not stand alone.
fn id(step: &str) -> String {
    format!("s_{step}")
}

fn escape(text: &str) -> String {
    text.replace('"', "#quot;").replace('&', "#amp;").replace('<', "#lt;").replace('>', "#gt;").replace("#lt;br/#gt;", "<br/>")
}
