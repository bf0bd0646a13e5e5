//! Holds what a case came to against what it expects. Every difference is a sentence that says what happened instead.

use super::play::Played;
use super::timeline;
use crate::domain::process::cases::{Case, Concluded, Expect, Parked};
use crate::domain::request::fact::{Fact, Verdict};

/// All differences; none: the case passed.
#[must_use]
pub fn differences(case: &Case, played: &Played) -> Vec<String> {
    let mut found = played.troubles.clone();
    found.extend(played.unanswered.iter().map(|slot| format!("`{slot}` was called, and the case has no answer for it")));
    if !stands_as(&case.expect, played) {
        found.push(format!("expected {}, but {}", wanted(&case.expect), timeline::stands(played)));
    }
    for (slot, expected) in &case.verdicts {
        match concluded(played, slot) {
            Some(seen) if seen == *expected => {}
            Some(seen) => found.push(format!("`{slot}` should conclude {}, but concluded {}", expected.as_str(), seen.as_str())),
            None => found.push(format!("`{slot}` should conclude {}, but concluded nothing", expected.as_str())),
        }
    }
    for (slot, expected) in &case.calls {
        let seen = played.calls.get(slot).copied().unwrap_or(0);
        if seen != *expected {
            found.push(format!("`{slot}` should be called {}, but was called {}", times(*expected), times(seen)));
        }
    }
    found
}

fn times(count: u32) -> String {
    match count {
        0 => "never".to_owned(),
        1 => "once".to_owned(),
        count => format!("{count} times"),
    }
}

fn stands_as(expect: &Expect, played: &Played) -> bool {
    if let Expect::Rejected(code) = expect {
        return played.rejected.as_ref().is_some_and(|rejection| rejection.code == code);
    }
    let Some(row) = &played.row else { return false };
    match expect {
        Expect::Rejected(_) => false,
        Expect::Outcome { outcome, reason } => row.state == *outcome && (reason.is_none() || row.reason == *reason),
        Expect::State { state, step, review, parked } => {
            let group = row.parked.as_deref().unwrap_or_default();
            let parked = match parked {
                None => true,
                Some(Parked::Dependency(name)) => group.strip_prefix("dependency:") == Some(name.as_str()),
                Some(Parked::Defect) => group.starts_with("defect:"),
            };
            row.state == *state && parked && (step.is_none() || row.step == *step) && (review.is_none() || row.reason == *review)
        }
    }
}

fn wanted(expect: &Expect) -> String {
    match expect {
        Expect::Rejected(code) => format!("the message to be rejected ({code})"),
        Expect::Outcome { outcome, reason: Some(reason) } => format!("outcome {outcome} ({reason})"),
        Expect::Outcome { outcome, reason: None } => format!("outcome {outcome}"),
        Expect::State { state, step, review, parked } => {
            let parked = match parked {
                Some(Parked::Dependency(name)) => format!(" under dependency:{name}"),
                Some(Parked::Defect) => " under a defect".to_owned(),
                None => String::new(),
            };
            let review = review.as_ref().map(|review| format!(" ({review})")).unwrap_or_default();
            let step = step.as_ref().map(|step| format!(" at `{step}`")).unwrap_or_default();
            format!("state {state}{parked}{review}{step}")
        }
    }
}

/// The slot's last verdict.
fn concluded(played: &Played, slot: &str) -> Option<Concluded> {
    played.facts.iter().rev().find_map(|(_, fact)| match fact {
        Fact::Verdict(fact) if fact.slot == slot => Some(match fact.verdict {
            Verdict::Pass => Concluded::Pass,
            Verdict::Refuse(_) => Concluded::Refuse,
            Verdict::Review(_) => Concluded::Review,
        }),
        _ => None,
    })
}
