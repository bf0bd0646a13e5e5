//! A process for people: a Mermaid diagram of its steps, and its reasons and reviews as text.

use std::fmt::Write as _;

use super::builtin::BUILTIN_REVIEWS;
use super::model::{Otherwise, Process, Step, StepKind, Texts};
use crate::domain::time::show_duration;

/// A Mermaid flowchart: steps from top to bottom, refusals and reviews at the side.
///
/// Names of steps, reasons and reviews are `snake_case`, so they serve as node ids; texts are quoted and escaped.
#[must_use]
pub fn mermaid(process: &Process) -> String {
    let mut out = String::from("flowchart TD\n");
    line(&mut out, format_args!("accepted([\"{}\"])", label(&format!("{} v{}", process.name, process.version))));
    for step in &process.steps {
        line(&mut out, format_args!("{}{}", id(step), shape(step)));
    }
    line(&mut out, format_args!("done([\"done when {}\"])", label(process.done_when.is.source())));
    for (number, block) in process.blocks.iter().enumerate().filter(|(_, block)| block.count > 1) {
        line(&mut out, format_args!("subgraph together_{number}[together]"));
        for step in &process.steps[block.range()] {
            line(&mut out, format_args!("  {}", id(step)));
        }
        line(&mut out, format_args!("end"));
    }
    edges(&mut out, process);
    let mut refuses = false;
    for step in &process.steps {
        refuses |= ways_out(&mut out, process, step);
    }
    if let Some(limit) = &process.limit {
        line(&mut out, format_args!("accepted -->|\"{}\"| refused", label(&limit.refuse)));
        refuses = true;
    }
    way_out(&mut out, "done", &process.done_when.otherwise);
    if refuses {
        line(&mut out, format_args!("refused([\"refused\"])"));
    }
    out
}

/// From each block to the next; a step with `when` is passed by along a dotted line.
fn edges(out: &mut String, process: &Process) {
    let mut before: Vec<String> = vec!["accepted".to_owned()];
    for block in &process.blocks {
        let steps = &process.steps[block.range()];
        for step in steps {
            for from in &before {
                match &step.when {
                    Some(when) => line(out, format_args!("{from} -->|\"if {}\"| {}", label(when.source()), id(step))),
                    None => line(out, format_args!("{from} --> {}", id(step))),
                }
            }
        }
        // What may be skipped leaves its predecessors open to the next block.
        let mut next: Vec<String> = steps.iter().map(id).collect();
        if steps.iter().all(|step| step.when.is_some()) {
            next.extend(before);
        }
        before = next;
    }
    for from in before {
        line(out, format_args!("{from} --> done"));
    }
}

/// Refusals and reviews of a step; true where it can refuse.
fn ways_out(out: &mut String, process: &Process, step: &Step) -> bool {
    let (rules, otherwise) = match &step.kind {
        StepKind::Verify(verify) => {
            (&verify.rules.refuse_when[..], verify.rules.pass_when.as_ref().map(|_| &verify.rules.otherwise))
        }
        StepKind::Execute(execute) => (&execute.refuse_when[..], None),
        StepKind::Wait(wait) => (&wait.refuse_when[..], Some(&wait.otherwise)),
        StepKind::Review { review } => {
            let refuses = process.reviews.get(review).is_some_and(|spec| spec.options.contains(&super::model::Choice::Refuse));
            if refuses {
                line(out, format_args!("{} -->|\"refuse\"| refused", id(step)));
            }
            return refuses;
        }
    };
    let mut reasons: Vec<&str> = rules.iter().map(|rule| rule.reason.as_str()).collect();
    if let Some(Otherwise::Refuse(reason)) = otherwise {
        reasons.push(reason);
    }
    reasons.dedup();
    if !reasons.is_empty() {
        line(out, format_args!("{} -->|\"{}\"| refused", id(step), label(&reasons.join(", "))));
    }
    if let Some(otherwise @ Otherwise::Review(_)) = otherwise {
        way_out(out, &id(step), otherwise);
    }
    !reasons.is_empty()
}

fn way_out(out: &mut String, from: &str, otherwise: &Otherwise) {
    if let Otherwise::Review(review) = otherwise {
        line(out, format_args!("{from} -.-> review_{review}{{{{\"review: {}\"}}}}", label(review)));
    }
}

fn id(step: &Step) -> String {
    format!("step_{}", step.name)
}

/// Checks are boxes, effects have double sides, waits lean, reviews are hexagons.
fn shape(step: &Step) -> String {
    let name = label(&step.name);
    match &step.kind {
        StepKind::Verify(verify) => format!("[\"verify {name}<br/>{}\"]", label(&verify.clause.id)),
        StepKind::Execute(_) => format!("[[\"execute {name}\"]]"),
        StepKind::Wait(wait) => format!("[/\"wait {name}<br/>at most {}\"/]", show_duration(wait.within)),
        StepKind::Review { .. } => format!("{{{{\"review {name}\"}}}}"),
    }
}

/// Text inside quotes: Mermaid reads HTML entities there.
fn label(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars().take(120) {
        match c {
            '"' => out.push_str("#quot;"),
            '<' => out.push_str("#lt;"),
            '>' => out.push_str("#gt;"),
            '#' => out.push_str("#35;"),
            '&' => out.push_str("#amp;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// What the process is, its steps with their clauses, its reasons and its reviews, as plain text.
#[must_use]
pub fn describe(process: &Process) -> String {
    let mut out = String::new();
    put(&mut out, format_args!("{} v{}: {}", process.name, process.version, first(&process.title)));
    put(
        &mut out,
        format_args!(
            "owner {}, promised within {}, expires after {}",
            process.owner,
            show_duration(process.promise),
            show_duration(process.expire_after)
        ),
    );
    put(&mut out, format_args!("\nSteps"));
    for (number, step) in process.steps.iter().enumerate() {
        let what = match &step.kind {
            StepKind::Verify(verify) => format!("verify {}: {} ({})", step.name, verify.clause.text, verify.clause.id),
            StepKind::Execute(execute) => {
                let clause =
                    execute.clause.as_ref().map(|clause| format!(": {} ({})", clause.text, clause.id)).unwrap_or_default();
                format!("execute {}{clause}{}", step.name, if execute.undo.is_some() { "" } else { ", cannot be undone" })
            }
            StepKind::Wait(wait) => {
                format!("wait {}: callback {} within {}", step.name, wait.callback, show_duration(wait.within))
            }
            StepKind::Review { review } => format!("review {review}"),
        };
        put(&mut out, format_args!("  {}. {what}", number + 1));
        if let Some(when) = &step.when {
            put(&mut out, format_args!("     only if {when}"));
        }
    }
    put(&mut out, format_args!("\nDone when {}", process.done_when.is));
    put(&mut out, format_args!("\nReasons"));
    for (name, reason) in &process.reasons {
        put(&mut out, format_args!("  {name}"));
        all(&mut out, "", &reason.customer);
        if let Some(remedy) = &reason.remedy {
            all(&mut out, "remedy, ", remedy);
        }
    }
    put(&mut out, format_args!("\nReviews"));
    for (name, review) in &process.reviews {
        let options: Vec<&str> = review.options.iter().map(|choice| choice.as_str()).collect();
        let builtin = if BUILTIN_REVIEWS.contains(&name.as_str()) { ", asked by the engine" } else { "" };
        let eyes = if review.four_eyes { ", four eyes" } else { "" };
        let role = review.role.as_ref().map(|role| format!(", for {role}")).unwrap_or_default();
        put(
            &mut out,
            format_args!("  {name}: {} (due in {}{role}{eyes}{builtin})", options.join(", "), show_duration(review.due)),
        );
        all(&mut out, "", &review.question);
    }
    out
}

fn all(out: &mut String, what: &str, texts: &Texts) {
    for (language, text) in texts {
        put(out, format_args!("    {what}{language}: {text}"));
    }
}

/// The English text, or the first there is.
fn first(texts: &Texts) -> &str {
    texts.get("en").or_else(|| texts.values().next()).map_or("", String::as_str)
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.push_str("  ");
    put(out, text);
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    if out.write_fmt(text).is_ok() {
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_cannot_break_out_of_their_quotes() {
        assert_eq!(label("a\"] --> b<br/>\n#1 & c"), "a#quot;] --#gt; b#lt;br/#gt; #35;1 #amp; c");
    }
}
