//! What each clause decided about one request, read from its ledger: for counting over many of them.
//!
//! A check may be repeated (its verdict grew old, a correction came), so verdicts are not counted as they come: what counts is the last
//! one of each slot, or what its effect came to after that. What people answered belongs to the slot that asked them; where they
//! found out what became of an effect in doubt, their answer is its result.

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
    /// What its effect came to: by the last attempt, or as a person found out.
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
            Fact::Result(result) => came_to(&mut passages, &result.slot, result.result),
            Fact::Skipped { step } => {
                let passage = passages.entry(step).or_default();
                (passage.skipped, passage.verdict) = (true, None);
            }
            Fact::ReviewOpened(opened) => {
                passages.entry(opened.slot.clone()).or_default();
                asked.insert(opened.id, opened.slot);
            }
            Fact::Decided(decided) => {
                let Some(slot) = asked.get(&decided.review) else { continue };
                match decided.choice {
                    Choice::Applied => came_to(&mut passages, slot, EffectResult::Applied),
                    Choice::NotApplied => came_to(&mut passages, slot, EffectResult::NotApplied),
                    _ => {}
                }
                if let Some(passage) = passages.get_mut(slot) {
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

/// An effect was tried: whatever was said at its slot before, a correction has made that void.
fn came_to(passages: &mut BTreeMap<String, Passage>, slot: &str, result: EffectResult) {
    match slot.strip_prefix("undo.") {
        None => {
            let passage = passages.entry(slot.to_owned()).or_default();
            (passage.result, passage.skipped, passage.verdict) = (Some(result), false, None);
        }
        Some(step) => passages.entry(step.to_owned()).or_default().undone = result == EffectResult::Applied,
    }
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

    fn result(slot: &str, result: EffectResult) -> Fact {
        let (slot, kept, via) = (slot.to_owned(), serde_json::Value::Null, Via::Answer);
        let (generation, status, evidence_sha256, cause, retry_at) = (1, None, None, None, None);
        Fact::Result(ResultFact { slot, generation, result, via, status, evidence_sha256, kept, cause, retry_at })
    }

    fn opened(id: Uuid, slot: &str) -> Fact {
        let (review, slot, options, due) = ("unsure".to_owned(), slot.to_owned(), Vec::new(), Time(0));
        Fact::ReviewOpened(ReviewOpened { id, review, slot, options, due, four_eyes: false })
    }

    fn decided(review: Uuid, choice: Choice) -> Fact {
        let (by, note, fields) = ("li".to_owned(), "fine".to_owned(), BTreeMap::new());
        let (first_by, first_note, reason, until) = (None, None, None, None);
        Fact::Decided(Decided { review, choice, by, first_by, first_note, reason, note, fields, until })
    }

    #[test]
    fn a_person_who_found_out_what_became_of_an_effect_has_told_its_result() {
        use EffectResult::{Applied, NotApplied, Unknown};
        let ids = [1, 2, 3].map(Uuid::from_u128);
        let facts = [
            result("hold", Unknown),
            opened(ids[0], "hold"),
            decided(ids[0], Choice::Applied),
            result("pay", Unknown),
            opened(ids[1], "pay"),
            decided(ids[1], Choice::NotApplied),
            result("undo.hold", Unknown),
            opened(ids[2], "undo.hold"),
            decided(ids[2], Choice::Applied),
        ];
        let until = |length: usize| passages(facts[..length].iter().cloned());
        assert_eq!((until(2)["hold"].result, until(3)["hold"].result), (Some(Unknown), Some(Applied)));
        assert_eq!((until(5)["pay"].result, until(6)["pay"].result), (Some(Unknown), Some(NotApplied)));
        let (before, after) = (until(8), until(9));
        assert_eq!((before["hold"].undone, after["hold"].undone, after["hold"].result), (false, true, Some(Applied)));
        // The answers belong to who asked.
        assert_eq!(
            (&after["hold"].answers[..], &after["undo.hold"].answers[..]),
            (&[Choice::Applied][..], &[Choice::Applied][..])
        );
        assert_eq!((after["undo.hold"].result, after["undo.hold"].undone), (None, false));
    }

    #[test]
    fn what_a_correction_made_void_counts_no_more_once_the_effect_was_tried() {
        use EffectResult::{Applied, NotApplied, Unknown};
        let one = |facts: &[Fact]| {
            let found = passages(facts.iter().cloned()).remove("pay").unwrap_or_default();
            (found.skipped, found.verdict, found.result)
        };
        let skipped = Fact::Skipped { step: "pay".into() };
        assert_eq!(one(&[skipped.clone(), result("pay", Applied)]), (false, None, Some(Applied)));
        assert_eq!(one(&[skipped.clone(), result("pay", Unknown)]), (false, None, Some(Unknown)));
        // A target that refuses writes both: that nothing happened, and why.
        let refused = [result("pay", NotApplied), verdict("pay", Verdict::Refuse("closed".into()))];
        assert_eq!(one(&refused), (false, Some(Verdict::Refuse("closed".into())), Some(NotApplied)));
        let [no, why] = refused;
        assert_eq!(one(&[no, why.clone(), result("pay", Applied)]), (false, None, Some(Applied)));
        assert_eq!(one(&[result("pay", NotApplied), skipped]), (true, None, Some(NotApplied)));
        // Its clause is still what it was.
        let clause = passages([why, result("pay", Applied)].into_iter())["pay"].clause.clone();
        assert_eq!(clause.map(|clause| clause.id).as_deref(), Some("A-1"));
    }

    #[test]
    fn effects_count_by_their_last_result_and_what_was_reversed_belongs_to_its_step() {
        use EffectResult::{Applied, NotApplied, Unknown};
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
        let facts = [
            Fact::Started,
            verdict("known", Verdict::Review("unsure".into())),
            opened(id, "known"),
            decided(Uuid::nil(), Choice::Approve),
            decided(id, Choice::Approve),
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
