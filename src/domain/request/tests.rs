//! The state machine's table as a checked-in document, and what single facts do.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};
use uuid::Uuid;

use super::fact::{
    Accepted, Cause, Decided, EffectResult, Ending, Fact, Failed, FailureClass, ResultFact, ReviewOpened, Verdict, VerdictFact,
    Via,
};
use super::state::{Mark, Phase, State};
use crate::domain::time::Time;
use crate::domain::words::Choice;

fn begin() -> State {
    let accepted = Accepted {
        process: "p".into(),
        version: 1,
        digest: "d".into(),
        producer: "app".into(),
        message: "m".into(),
        channel: "http".into(),
        customer: "c".into(),
        payload_sha256: String::new(),
        expires_at: Time(1_000),
    };
    State::begin(Uuid::from_u128(1), accepted, Time(1), json!({"a": 1, "b": 2}), [0; 32])
}

fn cause() -> Cause {
    Cause { class: FailureClass::Transient, code: "timeout".into(), connector: None, status: None, detail: "late".into() }
}

fn opened(slot: &str) -> Fact {
    Fact::ReviewOpened(ReviewOpened {
        id: Uuid::from_u128(9),
        review: "r".into(),
        slot: slot.into(),
        options: vec![],
        due: Time(50),
        four_eyes: false,
    })
}

fn decided(choice: Choice) -> Fact {
    Fact::Decided(Decided {
        review: Uuid::from_u128(9),
        choice,
        by: "li".into(),
        first_by: None,
        first_note: None,
        reason: Some("no".into()),
        note: "n".into(),
        fields: BTreeMap::from([("a".to_owned(), json!(7))]),
        until: Some(Time(99)),
    })
}

fn intent() -> Fact {
    Fact::Intent { slot: "e".into(), generation: 0, attempt: 1, deadline: Time(20) }
}

fn result(result: EffectResult) -> Fact {
    Fact::Result(ResultFact {
        slot: "e".into(),
        generation: 0,
        result,
        via: Via::Answer,
        status: None,
        evidence_sha256: None,
        kept: json!({"id": 5}),
        cause: None,
        retry_at: None,
    })
}

fn verdict(slot: &str, verdict: Verdict) -> Fact {
    Fact::Verdict(VerdictFact {
        slot: slot.into(),
        clause: None,
        verdict,
        status: None,
        evidence_sha256: None,
        kept: json!({"score": 1}),
        rule: None,
    })
}

fn parked() -> Fact {
    Fact::Parked { group: "dependency:x".into(), slot: "s".into(), cause: cause() }
}

/// One fact of every kind, fitting where a fact of its kind can fit.
fn facts() -> Vec<Fact> {
    vec![
        Fact::Accepted(begin().accepted),
        Fact::Started,
        verdict("s", Verdict::Pass),
        Fact::Skipped { step: "s".into() },
        Fact::Failed(Failed { slot: "s".into(), attempt: 1, cause: cause(), retry_at: None }),
        intent(),
        result(EffectResult::Applied),
        Fact::Waiting { step: "w".into(), until: Time(9) },
        Fact::Callback { name: "c".into(), body: Value::Null },
        Fact::CallbackIgnored { step: "w".into() },
        opened("s"),
        decided(Choice::Approve),
        Fact::Supplemented { fields: BTreeMap::new(), by: "app".into() },
        parked(),
        Fact::Resumed { by: "probe".into(), group: "dependency:x".into() },
        Fact::Moved { version: 2, digest: "e".into(), by: "li".into() },
        Fact::TurnedBack { ending: Ending::Withdrawn { by: "app".into(), note: None } },
        Fact::WithdrawalRefused { by: "app".into(), why: "late".into() },
        Fact::Noted { by: "li".into(), text: "t".into() },
        Fact::Ended { ending: Ending::Done },
    ]
}

fn after(facts: &[Fact]) -> State {
    let mut state = begin();
    for (at, fact) in (10..).zip(facts) {
        state.apply(fact, Time(at)).unwrap();
    }
    state
}

#[test]
fn the_table_is_the_one_in_the_document() {
    let phases = [
        ("queued", after(&[])),
        ("open", after(&[Fact::Started])),
        ("open, effect intended", after(&[Fact::Started, intent()])),
        (
            "open, undoing",
            after(&[Fact::Started, Fact::TurnedBack { ending: Ending::Withdrawn { by: "app".into(), note: None } }]),
        ),
        ("parked", after(&[Fact::Started, parked()])),
        ("in_review", after(&[Fact::Started, opened("s")])),
        ("asked_customer", after(&[Fact::Started, opened("s"), decided(Choice::AskCustomer)])),
        ("ended", after(&[Fact::Started, Fact::Ended { ending: Ending::Done }])),
    ];
    let mut table = String::from(
        "# Which fact may follow which state\n\nMade by a test from `State::apply`; set `MOZHAO_WRITE=1` to write it anew. \
         The cell is the phase after the fact.\n\n| fact |",
    );
    for (name, _) in &phases {
        write!(table, " {name} |").unwrap();
    }
    table.push_str("\n|---|");
    table.push_str(&"---|".repeat(phases.len()));
    for fact in facts() {
        write!(table, "\n| {} |", fact.word()).unwrap();
        for (_, state) in &phases {
            let mut next = state.clone();
            match next.apply(&fact, Time(30)) {
                Ok(()) => write!(table, " {} |", next.phase.word()).unwrap(),
                Err(illegal) => {
                    assert_eq!(next, *state, "an illegal fact changes nothing");
                    assert_eq!(illegal.seq, state.seq + 1);
                    table.push_str(" – |");
                }
            }
        }
    }
    table.push('\n');
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/domain/request/states.md");
    if std::env::var_os("MOZHAO_WRITE").is_some() {
        std::fs::write(path, &table).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), table);
}

#[test]
fn the_first_no_gives_the_reason_and_beats_a_question() {
    let state = after(&[
        Fact::Started,
        verdict("one", Verdict::Review("look".into())),
        verdict("two", Verdict::Refuse("first".into())),
        verdict("three", Verdict::Refuse("second".into())),
    ]);
    assert_eq!(state.refusal.unwrap().reason, "first");
    assert_eq!(state.ask.unwrap().review, "look");
}

#[test]
fn an_effect_that_did_not_happen_gets_a_new_generation() {
    let state = after(&[Fact::Started, intent(), result(EffectResult::Unknown), result(EffectResult::NotApplied)]);
    let slot = state.slot("e");
    assert_eq!((slot.mark.clone(), slot.generation, slot.first_intent, slot.attempts), (Mark::Open, 1, None, 1));
    assert!(!state.has_effects());
}

#[test]
fn an_attempt_without_effect_leaves_an_earlier_unknown_unknown() {
    let failed = || {
        let cause = Cause { class: FailureClass::Transient, ..cause() };
        Fact::Failed(Failed { slot: "e".into(), attempt: 2, cause, retry_at: Some(Time(30)) })
    };
    let state = after(&[Fact::Started, intent(), failed()]);
    assert!(!state.touched("e"));
    let state = after(&[Fact::Started, intent(), result(EffectResult::Unknown), intent(), failed()]);
    assert_eq!(*state.mark("e"), Mark::Unknown { deadline: Time(20) });
    assert!(state.has_effects(), "a withdrawal must undo it");
}

#[test]
fn correcting_fields_forgets_verdicts_and_keeps_effects() {
    let state = after(&[
        Fact::Started,
        verdict("s", Verdict::Pass),
        intent(),
        result(EffectResult::Applied),
        verdict("t", Verdict::Review("r".into())),
        opened("t"),
        decided(Choice::Amend),
    ]);
    assert_eq!(*state.payload, json!({"a": 7, "b": 2}));
    assert_eq!((state.mark("s"), state.mark("t"), state.mark("e")), (&Mark::Open, &Mark::Open, &Mark::Applied));
    assert!(state.person && state.ask.is_none() && matches!(state.phase, Phase::Open));
}

#[test]
fn facts_survive_json() {
    for fact in facts() {
        let text = serde_json::to_string(&fact).unwrap();
        assert!(text.starts_with(&format!("{{\"kind\":\"{}\"", fact.word())), "{text}");
        assert_eq!(serde_json::from_str::<Fact>(&text).unwrap(), fact);
    }
}

#[test]
fn where_it_is_is_where_something_happened_last() {
    let failed = |slot: &str| Fact::Failed(Failed { slot: slot.into(), attempt: 1, cause: cause(), retry_at: Some(Time(40)) });
    let unknown = [Fact::Started, failed("a_check"), intent(), result(EffectResult::Unknown), failed("reconcile.e")];
    assert_eq!(after(&unknown).current(), Some("reconcile.e"));
    let known = [&unknown[..], &[result(EffectResult::Applied)]].concat();
    assert_eq!(after(&known).current(), Some("a_check"), "what the read was to tell is known");
    let next = [&known[..], &[verdict("a_check", Verdict::Pass), failed("z_check")]].concat();
    assert_eq!(after(&next).current(), Some("z_check"));
    assert_eq!(after(&[Fact::Started, failed("z_check"), failed("a_check"), failed("m_check")]).current(), Some("m_check"));
}
