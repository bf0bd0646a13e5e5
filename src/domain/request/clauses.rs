//! What each clause decided about one request, read from its ledger: for counting over many of them.
//!
//! A check may be repeated (its verdict grew old, a correction came), so verdicts are not counted as they come: what counts is the last
//! one of each slot. What people answered belongs to the slot that asked them.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::fact::{EffectResult, Fact, Verdict};
use crate::domain::words::{Choice, Clause};

/// What became of one slot of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Passage {
    /// The clause that its verdict cited, where it had one.
    pub clause: Option<Clause>,
    /// Its last verdict.
    pub verdict: Option<Verdict>,
    /// Its `when` was false.
    pub skipped: bool,
    /// What the last attempt of its effect came to.
    pub result: Option<EffectResult>,
    /// Its effect was reversed.
    pub undone: bool,
    /// The request was parked here under a defect.
    pub stopped: bool,
    /// What people answered to what it asked, in order.
    pub answers: Vec<Choice>,
}

/// What became of each slot that the ledger names, by the slot's name. Facts that are not readable are passed over: whether a
/// record is whole, the chain says.
pub fn passages(facts: impl Iterator<Item = Fact>) -> BTreeMap<String, Passage> {
    let mut passages: BTreeMap<String, Passage> = BTreeMap::new();
    let mut asked: BTreeMap<Uuid, String> = BTreeMap::new();
    for fact in facts {
        match fact {
            Fact::Verdict(verdict) => {
                let passage = passages.entry(verdict.slot).or_default();
                passage.verdict = Some(verdict.verdict);
                passage.skipped = false;
                passage.clause = verdict.clause.or(passage.clause.take());
            }
            Fact::Result(result) => match result.slot.strip_prefix("undo.") {
                None => passages.entry(result.slot).or_default().result = Some(result.result),
                Some(step) => passages.entry(step.to_owned()).or_default().undone = result.result == EffectResult::Applied,
            },
            Fact::Skipped { step } => {
                let passage = passages.entry(step).or_default();
                (passage.skipped, passage.verdict) = (true, None);
            }
            Fact::ReviewOpened(opened) => {
                passages.entry(opened.slot.clone()).or_default();
                asked.insert(opened.id, opened.slot);
            }
            Fact::Decided(decided) => {
                if let Some(passage) = asked.get(&decided.review).and_then(|slot| passages.get_mut(slot)) {
                    passage.answers.push(decided.choice);
                }
            }
            Fact::Parked { group, slot, .. } if group.starts_with("defect:") => {
                passages.entry(slot).or_default().stopped = true;
            }
            _ => {}
        }
    }
    passages
}

#[cfg(test)]
mod tests {
    use super::super::fact::{Decided, ResultFact, ReviewOpened, VerdictFact, Via};
    use super::*;
    use crate::domain::time::Time;

    fn verdict(slot: &str, verdict: Verdict) -> Fact {
        let clause = Some(Clause { id: "A-1".into(), text: "known".into() });
        let (slot, kept) = (slot.into(), serde_json::Value::Null);
        Fact::Verdict(VerdictFact { slot, clause, verdict, status: None, evidence_sha256: None, kept, rule: None })
    }

    #[test]
    fn effects_count_by_their_last_result_and_what_was_reversed_belongs_to_its_step() {
        use EffectResult::{Applied, NotApplied, Unknown};
        let result = |slot: &str, result| {
            let (slot, kept, via) = (slot.to_owned(), serde_json::Value::Null, Via::Answer);
            let (generation, status, evidence_sha256, cause, retry_at) = (1, None, None, None, None);
            Fact::Result(ResultFact { slot, generation, result, via, status, evidence_sha256, kept, cause, retry_at })
        };
        let facts = [
            result("hold", Unknown),
            result("hold", Applied),
            result("pay", Applied),
            result("pay", Unknown),
            result("undo.hold", Unknown),
            result("undo.hold", Applied),
            result("undo.pay", NotApplied),
        ];
        let found = passages(facts.into_iter());
        assert_eq!(found.keys().collect::<Vec<_>>(), ["hold", "pay"]);
        assert_eq!((found["hold"].result, found["hold"].undone), (Some(Applied), true));
        assert_eq!((found["pay"].result, found["pay"].undone), (Some(Unknown), false));
    }

    #[test]
    fn the_last_verdict_counts_and_answers_belong_to_who_asked() {
        let id = Uuid::from_u128(1);
        let opened =
            ReviewOpened { id, review: "unsure".into(), slot: "known".into(), options: vec![], due: Time(0), four_eyes: false };
        let decided = Decided {
            review: id,
            choice: Choice::Approve,
            by: "li".into(),
            first_by: None,
            first_note: None,
            reason: None,
            note: "fine".into(),
            fields: BTreeMap::new(),
            until: None,
        };
        let facts = [
            Fact::Started,
            verdict("known", Verdict::Review("unsure".into())),
            Fact::ReviewOpened(opened),
            Fact::Decided(Decided { review: Uuid::nil(), ..decided.clone() }),
            Fact::Decided(decided),
            Fact::Skipped { step: "big".into() },
            // An amendment asks again what was skipped, and skips what was asked.
            Fact::Skipped { step: "age".into() },
            verdict("age", Verdict::Pass),
            verdict("limit", Verdict::Pass),
            Fact::Skipped { step: "limit".into() },
            verdict("money", Verdict::Pass),
            verdict("money", Verdict::Refuse("in_flight".into())),
        ];
        let found = passages(facts.into_iter());
        assert_eq!(found.keys().collect::<Vec<_>>(), ["age", "big", "known", "limit", "money"]);
        assert_eq!(found["known"].answers, [Choice::Approve]);
        assert_eq!(found["known"].verdict, Some(Verdict::Review("unsure".into())));
        assert!(found["big"].skipped && found["big"].verdict.is_none());
        assert_eq!((found["age"].skipped, found["age"].verdict.clone()), (false, Some(Verdict::Pass)));
        assert_eq!((found["limit"].skipped, found["limit"].verdict.clone()), (true, None));
        assert_eq!(found["money"].verdict, Some(Verdict::Refuse("in_flight".into())));
    }
}
