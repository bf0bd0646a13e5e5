//! The example of the design parses, with all its parts where they belong.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::time::Duration;

use super::*;
use crate::domain::process::{Accept, BUILTIN_REVIEWS, Block, Clause, Method, Otherwise, Retry, StepKind};

const EXAMPLE: &str = include_str!("../../../tests/data/processes/card_unbind.ok.yaml");

fn example() -> Process {
    match parse("card_unbind.yaml", EXAMPLE, &Known::default()) {
        Ok(parsed) => {
            assert_eq!(parsed.warnings, []);
            parsed.process
        }
        Err(findings) => panic!("{}", findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
    }
}

#[test]
fn the_example_parses_whole() {
    let process = example();
    assert_eq!((process.name.as_str(), process.version), ("card_unbind", 1));
    assert_eq!(process.digest.len(), 64);
    let names: Vec<&str> = process.steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(names, ["card", "money_in_flight", "face", "unbind"]);
    let ranges: Vec<_> = process.blocks.iter().map(Block::range).collect();
    assert_eq!(ranges, [0..1, 1..3, 3..4]);
    assert_eq!(process.steps[0].line, 22);

    let StepKind::Verify(card) = &process.steps[0].kind else { panic!("a verify step") };
    let call = card.call.as_ref().unwrap();
    assert_eq!((call.method, &call.accept), (Method::Get, &Accept::Listed(vec![200, 404])));
    assert_eq!(card.rules.refuse_when.len(), 3);
    assert_eq!(card.rules.otherwise, Otherwise::Review("card_unclear".to_owned()));

    let StepKind::Execute(unbind) = &process.steps[3].kind else { panic!("an execute step") };
    assert_eq!(unbind.retry, Retry::default());
    assert_eq!(unbind.reconcile.as_ref().unwrap().settle, Duration::from_secs(30));
    assert!(unbind.undo.as_ref().unwrap().reconcile.is_some());
    assert_eq!(process.done_when.within, Duration::from_mins(2));
    assert_eq!(process.limit.as_ref().unwrap().max, 3);
    assert_eq!(process.serialize_by.as_ref().unwrap().scope, "customer");
    let pointers: Vec<&str> = process.request.sensitive().iter().map(|one| one.pointer.as_str()).collect();
    assert_eq!(pointers, ["/id_number", "/selfie"]);
    for name in BUILTIN_REVIEWS {
        assert!(process.reviews.contains_key(name), "{name}");
    }
}

/// Two clauses may say the same in one language and not in another.
#[test]
fn the_texts_of_a_clause_are_its_own() {
    let file = EXAMPLE
        .replace("text: the card belongs to the customer and is bound}", "text: {en: Same., zh-CN: 一}}")
        .replace("text: nothing is in flight on the card}", "text: {en: Same., zh-CN: 二}}")
        .replace("text: the selfie is the card holder}", "text: Same.}");
    let process = match parse("card_unbind.yaml", &file, &Known::default()) {
        Ok(parsed) => parsed.process,
        Err(findings) => panic!("{findings:?}"),
    };
    let chinese = |id: &str| process.clause_texts(&Clause { id: id.into(), text: "Same.".into() }).get("zh-CN").cloned();
    let told = ["CARD-3.1", "PAY-7.2", "ID-2.4"].map(chinese);
    assert_eq!(told, [Some("一".to_owned()), Some("二".to_owned()), None]);
}
