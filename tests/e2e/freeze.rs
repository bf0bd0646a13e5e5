//! A worker that sleeps through its lease (a paused virtual machine, a long swap) and wakes up as somebody who was
//! declared dead.

use std::time::Duration;

use mozhao::domain::request::fact::{EffectResult, Fact, Via};
use mozhao::sandbox::{Fault, Trouble};
use serde_json::json;

use super::bank;
use super::books::{self, Expect};
use super::broker::Message;
use super::world::{PATIENCE, Worker, World};
use crate::harness::ports::free_port;
use crate::harness::wait;

const REQUESTS: usize = 200;
/// Calls of an effect that are on their way when the worker freezes.
const IN_FLIGHT: usize = 5;

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_wakes_up_late_writes_nothing_more() {
    let mut world = World::shared().await;
    let messages: Vec<Message> = (0..REQUESTS)
        .map(|number| Message::plain("app", &format!("m-{number}"), "card_unbind", &bank::card(&world.bank, number, 2)))
        .collect();
    let first = world.worker_on(free_port(), &[("MOZHAO__WORKER__IN_FLIGHT", "32")]).await;
    world.publish(&messages).await;
    world.until("some work to be done", PATIENCE, |balance| balance.done >= 20).await;
    first.process.freeze();
    let frozen = world.store.workers().await.unwrap()[0].id;
    let second = world.worker().await;
    // What the broker had given to the frozen one comes back only with its end or its connection's: it is taken after the thaw.
    wait::until("the frozen worker to be declared dead", PATIENCE, || async {
        world.store.workers().await.is_ok_and(|rows| rows.iter().all(|row| row.id != frozen))
    })
    .await;
    first.process.thaw();
    second_life(&first).await;
    let expect = Expect { sent: &messages, ended: REQUESTS, workers: &[&first, &second], ..Expect::default() };
    books::check(&mut world, expect).await;
}

/// Waits until the worker has noticed, and started anew.
async fn second_life(worker: &Worker) {
    let lives = || worker.process.logs().matches("worker registered").count();
    wait::until_true("the worker to start anew", PATIENCE, || lives() == 2).await;
    let said = || worker.process.logs().contains("this worker did not run for longer than its lease");
    wait::until_true("the worker to say that it slept", PATIENCE, said).await;
}

/// The target throws our keys away, cannot be read back, and has the calls when their worker freezes: nobody knows, so a
/// person is asked, and nobody calls again.
#[tokio::test(flavor = "multi_thread")]
async fn an_effect_in_flight_is_not_called_again_where_keys_are_not_recognised() {
    let mut world = World::shared().await;
    let messages: Vec<Message> = (0..IN_FLIGHT)
        .map(|number| {
            let (customer, card) = (format!("U{number}"), format!("K{number}"));
            bank::put_card(&world.bank, &customer, &card);
            Message::plain("app", &format!("m-{number}"), "card_cut", &json!({"customer_id": customer, "card_id": card}))
        })
        .collect();
    let first = world.worker().await;
    let slow = world.bank.fault(Fault::new("/bank/cards/*/unbind", Trouble::ApplyThenHang { answer_after_ms: Some(1_000) }));
    world.publish(&messages).await;
    let bank = world.bank.clone();
    let cuts = || bank.calls(|call| call.path.ends_with("/unbind")).len();
    wait::until_true("every card's call to be on its way", PATIENCE, || cuts() == IN_FLIGHT).await;
    first.process.freeze();
    world.bank.lift(slow);
    let second = world.worker().await;
    let reviews = IN_FLIGHT as u64;
    world.until("a question about each", PATIENCE, |balance| balance.in_review == reviews).await;
    first.process.thaw();
    second_life(&first).await;
    let expect = Expect { sent: &messages, ended: 0, workers: &[&first, &second], ..Expect::default() };
    let books = books::check(&mut world, expect).await;
    assert_eq!(cuts(), IN_FLIGHT, "one call per card");
    for ledger in &books.ledgers {
        assert_eq!(ledger.road(), "review:unknown_effect");
        let results: Vec<_> = ledger
            .facts
            .iter()
            .filter_map(|(_, fact)| if let Fact::Result(result) = fact { Some(result) } else { None })
            .collect();
        assert_eq!(results.len(), 1);
        assert_eq!((results[0].result, results[0].via), (EffectResult::Unknown, Via::Takeover));
    }

    // A person has looked: the cards are cut. Nothing is called again, and the outcome is verified.
    let ada = world.client(&second, "ada").await;
    for ledger in &books.ledgers {
        let review = ledger.row.review.unwrap();
        let (_, shown) = ada.get(&format!("/v1/reviews/{review}")).await;
        let body = json!({"version": shown["version"], "choice": "applied", "note": "the card is in two pieces"});
        let (status, answer) = ada.post(&format!("/v1/reviews/{review}/decide"), &body).await;
        assert!(matches!(status, 200 | 202), "{status} {answer}");
    }
    let deadline = Some(Duration::from_secs(30));
    let expect = Expect { sent: &messages, ended: IN_FLIGHT, workers: &[&first, &second], deadline, ..Expect::default() };
    let books = books::check(&mut world, expect).await;
    assert!(books.ledgers.iter().all(|ledger| ledger.road() == "done"));
    assert_eq!(cuts(), IN_FLIGHT);
}
