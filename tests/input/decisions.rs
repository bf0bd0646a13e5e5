//! Decisions of reviewers' tools: whatever a tool sends, signed or not, it is read or refused, and the queue moves on.

use std::collections::BTreeMap;
use std::sync::Arc;

use mozhao::domain::message::Incoming;
use mozhao::domain::time::Time;
use mozhao::engine::ports::broker::{DecisionSink, Taken};
use mozhao::queue::Tools;
use mozhao::queue::signed::{SIGNATURE, read, sign};
use serde_json::{Value, json};

use crate::answers::says_enough;
use crate::mutate;
use crate::run::{Kind, Random, cases};
use crate::stored;

/// 2026-11-22T10:00:00Z.
const NOW: Time = Time(1_795_341_600_000_000);
const SECRET: &str = "desk-secret";

fn tools() -> Tools {
    BTreeMap::from([("desk".to_owned(), vec![SECRET.into()]), ("unset".to_owned(), vec!["".into()])])
}

fn decision(review: &str, random: &mut Random) -> Value {
    let choice = random.pick(&["approve", "refuse", "amend", "ask_customer", "applied", "retry"]);
    json!({"tool": "desk", "reviewer": "wang", "review": review, "version": 1, "choice": choice, "reason": "gone", "note": "seen",
        "fields": {"phone": "1", "deep": {"a": [1, {"b": null}]}}, "nonce": format!("d-{:x}", random.next()), "at": "2026-11-22T09:59:00Z"})
}

fn broken(random: &mut Random, review: &str) -> Incoming {
    let seed = decision(review, random);
    let body = match random.below(4) {
        0 => seed.to_string().into_bytes(),
        1 => mutate::bytes(random, seed.to_string().as_bytes(), b"{\"tool\":\"desk\"}"),
        _ => mutate::json(random, &seed, b""),
    };
    let mut headers = BTreeMap::new();
    match random.below(8) {
        0 => {}
        1 => drop(headers.insert(SIGNATURE.to_owned(), mutate::text(random, &sign(&body, SECRET.as_bytes())))),
        2 => drop(headers.insert(SIGNATURE.to_uppercase(), sign(&body, b"another"))),
        _ => drop(headers.insert(SIGNATURE.to_owned(), sign(&body, SECRET.as_bytes()))),
    }
    Incoming { body: body.into(), headers, ..Incoming::default() }
}

#[test]
fn every_mutated_decision_is_read_or_refused() {
    let (mut read_well, mut all) = (0, 0);
    for (case, mut random) in cases(Kind::Decisions) {
        let message = broken(&mut random, "01980000-0000-7000-8000-000000000001");
        match read(&message, &tools(), NOW) {
            Ok(decision) => {
                read_well += 1;
                assert_eq!(decision.tool, "desk", "case {}", case.number);
            }
            Err(refused) => says_enough(&refused.detail, &format!("case {}", case.number)),
        }
        all += 1;
    }
    assert!(all < 100 || (read_well > all / 20 && read_well < all * 3 / 4), "{read_well} of {all} were read");
}

/// Through the engine and a database: decided, or recorded as refused; never "comes again", which would be for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_mutated_decision_is_taken() {
    for postgres in [false, true] {
        let (world, keep) = stored::database(postgres).await;
        let mut review = String::new();
        for (case, mut random) in cases(Kind::Stored).take(1_000) {
            if case.number % 25 == 0 {
                let request = world.submit_until(&format!("grey-{}", case.number), "in_review").await;
                review = world.review_of(&request).await;
            }
            let message = broken(&mut random, &review);
            let engine = Arc::new(world.engine.clone());
            let taken = match read(&message, &tools(), NOW) {
                Ok(decision) => engine.decide(decision).await,
                Err(refused) => engine.refuse(*refused).await,
            };
            assert_eq!(taken, Taken::Stored, "case {}: {}", case.number, String::from_utf8_lossy(&message.body));
        }
        drop(keep);
    }
}
