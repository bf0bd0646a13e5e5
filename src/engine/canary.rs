//! Did the canary get through? The row alone does not tell: a request that waits may wait for its next try at the very
//! same slot, or far behind it for the customer; and one that is parked again under another fingerprint has met the
//! next form of the same trouble. Its ledger tells; but a request whose ledger took no entry was parked in its row alone.

use super::ports::records::RequestRow;
use super::ports::store::{Store, StoreError};
use crate::domain::request::chain::Entry;
use crate::domain::request::fact::{EffectResult, Ending, Fact};
use crate::domain::request::slot;

/// What became of a canary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Not known yet.
    OnTheWay,
    /// It got past where it had been parked.
    Through,
    /// It was parked again before it got past it.
    Back,
    /// It will never get there: it ended before, or a person was asked.
    Elsewhere,
}

/// Looks at the row of a group's canary, and into its ledger where the row leaves it open.
///
/// # Errors
/// The store failed.
pub async fn look(store: &dyn Store, row: &RequestRow, group: &str) -> Result<Progress, StoreError> {
    if row.seen < row.signalled || row.state == "running" {
        return Ok(Progress::OnTheWay);
    }
    if row.parked.as_deref() == Some(group) {
        return Ok(Progress::Back);
    }
    let facts: Result<Vec<Fact>, _> = store.load(row.id).await?.entries.iter().map(Entry::fact).collect();
    // An entry that this worker cannot read says nothing for a group that others wait in.
    let Ok(facts) = facts else { return Ok(Progress::Back) };
    Ok(match progress(&facts, group) {
        Some(Progress::OnTheWay) => set_aside(row, &facts).unwrap_or(Progress::OnTheWay),
        Some(told) => told,
        // It was set aside without an entry, since its ledger could not be read or not be written. Now it was.
        None => set_aside(row, &facts).unwrap_or(Progress::Through),
    })
}

/// What its row says of a request whose ledger may not know that it was parked.
fn set_aside(row: &RequestRow, facts: &[Fact]) -> Option<Progress> {
    match facts.last() {
        Some(Fact::Ended { ending }) if *ending != Ending::Done => Some(Progress::Elsewhere),
        _ if row.parked.is_some() => Some(Progress::Back),
        _ if row.review.is_some() => Some(Progress::Elsewhere),
        _ => None,
    }
}

/// The same from its facts, where it is not parked under the group any more; `None` where they do not tell that it ever was.
fn progress(facts: &[Fact], group: &str) -> Option<Progress> {
    let (place, parked_at) = facts.iter().enumerate().rev().find_map(|(place, fact)| match fact {
        Fact::Parked { group: under, slot, .. } if under == group => Some((place, slot)),
        _ => None,
    })?;
    let here = |name: &str| parked_at == slot::WORKER || parked_at == name || *parked_at == slot::reconcile(name);
    let told = facts.iter().skip(place + 1).find_map(|fact| match fact {
        Fact::Verdict(verdict) if here(&verdict.slot) => Some(Progress::Through),
        Fact::Result(result) if here(&result.slot) && result.result != EffectResult::Unknown => Some(Progress::Through),
        Fact::Skipped { step } | Fact::Waiting { step, .. } if here(step) => Some(Progress::Through),
        Fact::Ended { ending: Ending::Done } => Some(Progress::Through),
        Fact::Ended { .. } | Fact::ReviewOpened(_) => Some(Progress::Elsewhere),
        Fact::Parked { .. } => Some(Progress::Back),
        _ => None,
    });
    Some(told.unwrap_or(Progress::OnTheWay))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::domain::request::fact::{Cause, FailureClass, Refusal, ResultFact, Verdict, VerdictFact, Via};
    use crate::domain::time::Time;

    fn parked(slot: &str, group: &str) -> Fact {
        let cause =
            Cause { class: FailureClass::Broken, code: "schema".into(), connector: None, status: None, detail: String::new() };
        Fact::Parked { group: group.into(), slot: slot.into(), cause }
    }

    fn resumed() -> Fact {
        Fact::Resumed { by: "li".into(), group: "defect:1".into() }
    }

    fn verdict(slot: &str) -> Fact {
        Fact::Verdict(VerdictFact {
            slot: slot.into(),
            clause: None,
            verdict: Verdict::Pass,
            status: None,
            evidence_sha256: None,
            rule: None,
            kept: serde_json::Value::Null,
        })
    }

    fn result(slot: &str, result: EffectResult) -> Fact {
        Fact::Result(ResultFact {
            slot: slot.into(),
            generation: 0,
            result,
            via: Via::Answer,
            status: None,
            evidence_sha256: None,
            kept: serde_json::Value::Null,
            cause: None,
            retry_at: None,
        })
    }

    #[test]
    fn the_ledger_tells_how_far_it_came() {
        let after = |facts: &[Fact]| progress(&[&[parked("card", "defect:1"), resumed()], facts].concat(), "defect:1").unwrap();
        assert_eq!(after(&[]), Progress::OnTheWay);
        assert_eq!(after(&[verdict("other")]), Progress::OnTheWay, "an earlier check was made anew");
        assert_eq!(after(&[verdict("card"), parked("loans", "defect:2")]), Progress::Through);
        assert_eq!(after(&[parked("card", "defect:2")]), Progress::Back, "the fix was wrong in another way");
        assert_eq!(
            after(&[Fact::Ended { ending: Ending::Withdrawn { by: "customer".into(), note: None } }]),
            Progress::Elsewhere
        );
        let refusal = Refusal { reason: "r".into(), slot: "other".into(), clause: None, by: None };
        assert_eq!(after(&[Fact::Ended { ending: Ending::Refused(refusal) }]), Progress::Elsewhere);
        let skipped = Fact::Skipped { step: "card".into() };
        assert_eq!(after(&[skipped]), Progress::Through, "the fix was a condition");
        assert_eq!(after(&[Fact::Waiting { step: "card".into(), until: Time(9) }]), Progress::Through);
        let worker = [parked(slot::WORKER, "defect:1"), resumed(), verdict("any")];
        assert_eq!(progress(&worker, "defect:1"), Some(Progress::Through), "it kills nobody any more");
    }

    #[test]
    fn an_effect_is_through_when_it_is_known() {
        let bank = "dependency:bank";
        let after = |slot: &str, facts: &[Fact]| progress(&[&[parked(slot, bank), resumed()], facts].concat(), bank).unwrap();
        assert_eq!(after("book", &[result("book", EffectResult::Unknown)]), Progress::OnTheWay);
        assert_eq!(after("book", &[result("book", EffectResult::Applied)]), Progress::Through);
        assert_eq!(after("reconcile.book", &[result("book", EffectResult::NotApplied)]), Progress::Through);
    }

    #[test]
    fn an_earlier_return_from_elsewhere_tells_nothing() {
        let facts = [parked("card", "defect:1"), resumed(), verdict("card")];
        assert_eq!(progress(&facts, "defect:1"), Some(Progress::Through));
        assert_eq!(progress(&facts, "defect:2"), None);
    }
}
