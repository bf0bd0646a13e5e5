//! Things from outside that meet the owner at the wrong moment: a withdrawal and an intent, a callback and its deadline.

use std::sync::Arc;

use mozhao::domain::request::fact::{Fact, Verdict};
use mozhao::sandbox::{Fault, Reply, Trouble};
use serde_json::json;
use tokio::sync::Barrier;

use super::bank;
use super::books::{self, Expect};
use super::broker::Message;
use super::client::Client;
use super::ledgers::Ledger;
use super::world::{PATIENCE, World};
use crate::harness::wait;

/// Waits until the sandbox has seen so many calls that end so.
async fn calls(world: &World, end: &str, count: usize) {
    let bank = world.bank.clone();
    wait::until_true("the call to arrive", PATIENCE, || bank.calls(|call| call.path.ends_with(end)).len() == count).await;
}

async fn withdraw(client: &Client, id: &str) -> (u16, String) {
    let (status, body) = client.post(&format!("/v1/requests/{id}/withdraw?wait=30s"), &json!({})).await;
    (status, body.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_meets_the_checks_the_effect_and_the_point_of_no_return() {
    let mut world = World::shared().await;
    let worker = world.worker().await;
    let client = world.client(&worker, "ada").await;

    // While the last check is asked: the intent is never written.
    let slow = world.bank.fault(Fault::new("/face/compare", Trouble::Delay { ms: 1_000 }));
    let id = client.submit("check", "card_unbind", &bank::card(&world.bank, 0, 1)).await;
    calls(&world, "/face/compare", 1).await;
    let (status, answer) = withdraw(&client, &id).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(world.request_until("its end", &id, |row| row.ended_at.is_some()).await.state, "withdrawn");
    calls(&world, "/K0/unbind", 0).await;
    world.bank.lift(slow);

    // While the effect is called: it is undone.
    let slow = world.bank.fault(Fault::new("/bank/cards/*/unbind", Trouble::ApplyThenHang { answer_after_ms: Some(1_000) }));
    let id = client.submit("effect", "card_unbind", &bank::card(&world.bank, 1, 1)).await;
    calls(&world, "/K1/unbind", 1).await;
    let (status, answer) = withdraw(&client, &id).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(world.request_until("its end", &id, |row| row.ended_at.is_some()).await.state, "withdrawn");
    assert_eq!((world.bank.applied("unbind", "K1"), world.bank.applied("bind", "K1")), (1, 1));

    // While an effect is called that cannot be undone: too late.
    bank::put_card(&world.bank, "U2", "K2");
    let id = client.submit("final", "card_cut", &json!({"customer_id": "U2", "card_id": "K2"})).await;
    calls(&world, "/K2/unbind", 1).await;
    let (status, answer) = withdraw(&client, &id).await;
    assert_eq!(status, 409, "{answer}");
    assert!(answer.contains("too late"), "{answer}");
    assert_eq!(world.request_until("its end", &id, |row| row.ended_at.is_some()).await.state, "done");
    world.bank.lift(slow);

    let books = books::check(&mut world, Expect { ended: 3, workers: &[&worker], ..Expect::default() }).await;
    let too_late = &books.ledgers[2];
    assert_eq!((too_late.count("withdrawal_refused"), too_late.count("turned_back")), (1, 0));
}

/// Withdrawals by two workers at once, at any moment of the requests' lives: one answer for both, and it is kept.
#[tokio::test(flavor = "multi_thread")]
async fn withdrawals_at_any_moment() {
    const REQUESTS: usize = 80;
    let mut world = World::shared().await;
    let (first, second) = (world.worker().await, world.worker().await);
    let clients = [world.client(&first, "ada").await, world.client(&second, "ben").await];
    world.bank.fault(Fault::new("/bank/**", Trouble::Delay { ms: 15 }));
    let mut tasks = Vec::new();
    for number in 0..REQUESTS {
        let payload = bank::card(&world.bank, number, 1);
        let id = clients[0].submit(&format!("key-{number}"), "card_unbind", &payload).await;
        let barrier = Arc::new(Barrier::new(2));
        let bank = world.bank.clone();
        for client in clients.clone() {
            let (id, barrier, bank) = (id.clone(), barrier.clone(), bank.clone());
            tasks.push(tokio::spawn(async move {
                // The moment differs from request to request: after so many calls about this card or customer.
                let about = |path: &str| path.contains(&format!("/K{number}")) || path.ends_with(&format!("/U{number}"));
                let moment = number % 7;
                wait::until_true("the moment", PATIENCE, || bank.calls(|call| about(&call.path)).len() >= moment).await;
                barrier.wait().await;
                let (status, answer) = withdraw(&client, &id).await;
                assert!(matches!(status, 200 | 409), "{status} {answer}");
                (id, status)
            }));
        }
    }
    let mut accepted = Vec::new();
    for task in tasks {
        let (id, status) = task.await.unwrap();
        if status == 200 {
            accepted.push(id);
        }
    }
    let expect = Expect { ended: REQUESTS, workers: &[&first, &second], ..Expect::default() };
    let books = books::check(&mut world, expect).await;
    let mut withdrawn = 0;
    for ledger in &books.ledgers {
        let id = ledger.row.id.to_string();
        let answers = accepted.iter().filter(|accepted| **accepted == id).count();
        let card = ledger.payload["card_id"].as_str().unwrap();
        let left = world.bank.applied("unbind", card) - world.bank.applied("bind", card);
        match ledger.road().as_str() {
            "withdrawn" => assert_eq!((answers, left), (1, 0), "{id}"),
            "done" => assert_eq!((answers, left), (0, 1), "{id}"),
            road => panic!("{id}: {road}"),
        }
        withdrawn += answers;
    }
    println!("of {REQUESTS} requests, {withdrawn} were withdrawn and the others done");
    assert!(withdrawn > 0);
}

/// Codes that come back around the moment at which the wait is over: in time or not, one of both, and it is what the
/// ledger's order says.
#[tokio::test(flavor = "multi_thread")]
async fn callbacks_around_their_deadline() {
    const REQUESTS: usize = 60;
    let mut world = World::shared().await;
    let (first, second) = (world.worker().await, world.worker().await);
    let messages: Vec<Message> = (0..REQUESTS)
        .map(|number| {
            let phone = format!("+86{number:04}");
            let after_ms = 2_900 + 12 * number as u64;
            world.bank.with_sms(|sms| sms.script(phone.clone(), vec![Reply::right(after_ms), Reply::right(1)]));
            Message::plain("app", &format!("m-{number}"), "code_wait", &json!({"phone": phone}))
        })
        .collect();
    world.publish(&messages).await;
    let expect = Expect { sent: &messages, ended: REQUESTS, workers: &[&first, &second], ..Expect::default() };
    let books = books::check(&mut world, expect).await;
    let in_time = books.ledgers.iter().filter(|ledger| came_in_time(ledger)).count();
    println!("of {REQUESTS} codes, {in_time} came in time");
    for ledger in &books.ledgers {
        let road = if came_in_time(ledger) { "done" } else { "refused:no_code" };
        assert_eq!(ledger.road(), road, "{:?}", ledger.facts);
        let phone = ledger.payload["phone"].as_str().unwrap();
        let cancelled = world.bank.applied("sms_cancel", phone);
        assert_eq!((world.bank.applied("sms", phone), cancelled), (1, u32::from(road != "done")));
    }
}

/// Whether the ledger holds the code before the verdict of the wait.
fn came_in_time(ledger: &Ledger) -> bool {
    let place = |wanted: &dyn Fn(&Fact) -> bool| ledger.facts.iter().position(|(_, fact)| wanted(fact));
    let code = place(&|fact| matches!(fact, Fact::Callback { .. }));
    let late = place(&|fact| matches!(fact, Fact::Verdict(verdict) if matches!(verdict.verdict, Verdict::Refuse(_))));
    code.is_some_and(|code| late.is_none_or(|late| code < late))
}
