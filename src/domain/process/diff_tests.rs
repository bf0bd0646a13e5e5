//! What may and may not change under a request that is under way.

#![expect(clippy::panic, reason = "tests")]

use super::*;
use crate::domain::process::{Known, parse};

const EXAMPLE: &str = include_str!("../../../tests/data/processes/card_unbind.ok.yaml");

fn version(changes: &[(&str, &str)]) -> Process {
    let mut source = EXAMPLE.to_owned();
    for (from, to) in changes {
        assert!(source.contains(from), "{from}");
        source = source.replacen(from, to, 1);
    }
    match parse("example.yaml", &source, &Known::default()) {
        Ok(parsed) => parsed.process,
        Err(findings) => panic!("{findings:?}"),
    }
}

fn compare(changes: &[(&str, &str)], done: &[&str]) -> Result<(), String> {
    let done: Vec<String> = done.iter().map(|name| (*name).to_owned()).collect();
    same_done_part(&version(&[]), &version(changes), &done)
}

const EXTRA: &str =
    "  - verify: extra\n    clause: {id: X-1, text: extra}\n    pass_when: \"request.card_id != ''\"\n    otherwise: defect\n";

#[test]
fn what_is_still_to_come_may_change() {
    let extra_last = format!("{EXTRA}  - execute: unbind");
    for (changes, done) in [
        (vec![], vec!["card", "money_in_flight", "face", "unbind"]),
        (vec![("answer.status == 'bound'", "answer.status in ['bound', 'active']")], vec![]),
        (vec![("answer.score < 0.60", "answer.score < 0.50")], vec!["card", "money_in_flight"]),
        (vec![("  - execute: unbind", extra_last.as_str())], vec!["card", "money_in_flight", "face"]),
        // How a done effect is reconciled or undone is still to come.
        (vec![("/bind\"", "/rebind\"")], vec!["card", "unbind"]),
        (vec![("settle: 30s", "settle: 2m"), ("attempts: 8", "attempts: 3")], vec!["unbind"]),
        (vec![("answer: {type: object}", "answer: {type: object, required: [status]}")], vec!["card"]),
    ] {
        assert_eq!(compare(&changes, &done), Ok(()), "{changes:?}");
    }
}

#[test]
fn what_is_done_may_not_change() {
    let extra_first = format!("{EXTRA}  - verify: card");
    for (changes, done, word) in [
        (vec![("id: CARD-3.1", "id: CARD-3.2")], vec!["card"], "clause differs"),
        (vec![("answer.status == 'unbound'", "answer.status == 'gone'")], vec!["card"], "rules differ"),
        (
            vec![("get: \"/cards/${request.card_id}\", accept", "get: \"/v2/cards/${request.card_id}\", accept")],
            vec!["card"],
            "call differs",
        ),
        (vec![("keep: {score: answer.score}", "keep: {score: answer.value}")], vec!["face"], "`keep` differs"),
        (vec![("/unbind\"", "/release\"")], vec!["unbind"], "call differs"),
        (vec![("- execute: unbind", "- execute: release")], vec!["unbind"], "no such step"),
        (vec![("serialize_by: \"${request.customer_id}\"", "serialize_by: \"${request.card_id}\"")], vec![], "serialize_by"),
        (vec![("process: card_unbind", "process: card_release")], vec![], "different processes"),
        (vec![("  - verify: card", extra_first.as_str())], vec!["card"], "new step `extra`"),
        (vec![], vec!["nothing"], "no such step"),
    ] {
        let said = compare(&changes, &done).err().unwrap_or_default();
        assert!(said.contains(word), "{word}: {said}");
    }
}
