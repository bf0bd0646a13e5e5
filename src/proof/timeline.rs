//! What happened, for people: a ledger as lines, and where a request stands as a sentence.

use super::clock::BEGINNING;
use super::play::Played;
use crate::domain::request::fact::{EffectResult, Ending, Fact, Verdict, Via};
use crate::domain::time::{Time, show_duration};

/// One line per fact, with the time since the beginning.
#[must_use]
pub fn lines(played: &Played) -> Vec<String> {
    played.facts.iter().map(|(at, fact)| format!("{:>8}  {}", since(*at), line(fact))).collect()
}

fn since(at: Time) -> String {
    let length = at.since(BEGINNING);
    if length.as_millis() == 0 { "0s".to_owned() } else { show_duration(length) }
}

fn line(fact: &Fact) -> String {
    match fact {
        Fact::Accepted(_) => "accepted".to_owned(),
        Fact::Started => "started".to_owned(),
        Fact::Verdict(fact) => {
            let rule = fact.rule.as_deref().map_or_else(|| "no rule decided".to_owned(), |rule| format!("because {rule}"));
            let clause = fact.clause.as_ref().map(|clause| format!(" [{}]", clause.id)).unwrap_or_default();
            format!("{}: {}{clause}, {rule}", fact.slot, verdict(&fact.verdict))
        }
        Fact::Skipped { step } => format!("{step}: skipped"),
        Fact::Failed(failed) => {
            let again = failed.retry_at.map(|at| format!(", again at {}", since(at))).unwrap_or_default();
            format!("{}: attempt {} failed ({}: {}){again}", failed.slot, failed.attempt, failed.cause.code, failed.cause.detail)
        }
        Fact::Intent { slot, generation, attempt, .. } => format!("{slot}: intent (attempt {attempt}, generation {generation})"),
        Fact::Result(result) => {
            let word = match result.result {
                EffectResult::Applied => "applied",
                EffectResult::NotApplied => "not applied",
                EffectResult::Unknown => "unknown",
            };
            let via = match result.via {
                Via::Answer => "says the answer",
                Via::NoAnswer => "there was no answer",
                Via::Takeover => "the worker that called is gone",
                Via::Reconcile => "says the reconciling read",
            };
            format!("{}: {word}, {via}", result.slot)
        }
        Fact::Waiting { step, until } => format!("{step}: waits until {}", since(*until)),
        Fact::Callback { name, .. } => format!("callback {name}"),
        Fact::CallbackIgnored { step } => format!("{step}: the callback did not count"),
        Fact::ReviewOpened(opened) => format!("{}: a person is asked {}", opened.slot, opened.review),
        Fact::Decided(decided) => format!("{} decided {}", decided.by, decided.choice.as_str()),
        Fact::Supplemented { by, .. } => format!("{by} sent what was asked for"),
        Fact::Parked { group, slot, cause } => format!("{slot}: parked under {group} ({}: {})", cause.code, cause.detail),
        Fact::Resumed { by, .. } => format!("resumed by {by}"),
        Fact::Moved { version, .. } => format!("moved to version {version}"),
        Fact::TurnedBack { ending } => format!("turned back: will be {}", end(ending)),
        Fact::WithdrawalRefused { why, .. } => format!("withdrawal refused: {why}"),
        Fact::Noted { by, text } => format!("{by} noted: {text}"),
        Fact::Ended { ending } => end(ending),
    }
}

fn verdict(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Pass => "pass".to_owned(),
        Verdict::Refuse(reason) => format!("refuse ({reason})"),
        Verdict::Review(review) => format!("review ({review})"),
    }
}

fn end(ending: &Ending) -> String {
    match ending {
        Ending::Refused(refusal) => format!("refused ({}) at {}", refusal.reason, refusal.slot),
        other => other.outcome().to_owned(),
    }
}

/// Where the request stands.
#[must_use]
pub fn stands(played: &Played) -> String {
    if let Some(rejection) = &played.rejected {
        return format!("the message was rejected ({}): {}", rejection.code, rejection.detail);
    }
    let Some(row) = &played.row else { return "there is no request".to_owned() };
    let step = row.step.as_deref().unwrap_or("the beginning");
    let reason = row.reason.as_deref().unwrap_or("no reason");
    match row.state.as_str() {
        "refused" => format!("the request is refused ({reason}) at `{step}`"),
        "in_review" => format!("the request is in review ({reason}) at `{step}`"),
        "parked" => {
            let group = row.parked.as_deref().unwrap_or("nothing");
            let group = if group.starts_with("defect:") { "a defect" } else { group };
            format!("the request is parked under {group} ({reason}) at `{step}`")
        }
        state @ ("waiting" | "running") => format!("the request is {state} at `{step}`"),
        state => format!("the request is {state}"),
    }
}
