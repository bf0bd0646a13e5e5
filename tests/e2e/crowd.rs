//! Many at once: three producers that repeat themselves, three workers of which one is killed in the middle.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use mozhao::sandbox::World as People;

use super::bank;
use super::books::{self, Expect};
use super::broker::{self, Message};
use super::world::{LEASE, PATIENCE, World};
use crate::harness::wait;

/// Requests of customers who have three of them each, one at a time.
const IN_LANES: usize = 1_350;
/// Requests of all the shipped processes, each with the road that it should take.
const OF_ALL_KINDS: u32 = 650;
/// Every so many-th message is sent twice.
const TWICE: usize = 10;
/// The seed of the generated people.
const SEED: u64 = 20_261;

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_requests_while_a_worker_is_killed() {
    let mut world = World::shared().await;
    let people = People::generate(SEED, OF_ALL_KINDS);
    world.bank.load(&people);
    let mut messages: Vec<Message> = (0..IN_LANES)
        .map(|number| {
            let payload = bank::card(&world.bank, number, 3);
            Message::plain(&format!("app-{}", number % 3), &format!("m-{number}"), "card_unbind", &payload)
        })
        .collect();
    let mut roads: BTreeMap<(String, String), String> =
        messages.iter().map(|message| (message.key(), "done".to_owned())).collect();
    for (number, planned) in people.requests.iter().enumerate() {
        let message = Message::plain(&format!("app-{}", number % 3), &format!("p-{number}"), planned.process, &planned.payload);
        roads.insert(message.key(), planned.road.to_string());
        messages.push(message);
    }

    // Callbacks go to the first worker, which lives.
    let first = world.worker().await;
    let public = format!("http://127.0.0.1:{}", first.port);
    let settings = [("MOZHAO__HTTP__PUBLIC_URL", public.as_str())];
    let second = world.worker_on(crate::harness::ports::free_port(), &settings).await;
    let mut third = world.worker_on(crate::harness::ports::free_port(), &settings).await;

    let (amqp, exchange) = (world.amqp.clone().unwrap(), format!("{}.requests", world.prefix));
    let begun = Instant::now();
    let producers: Vec<_> = (0..3)
        .map(|producer| {
            let mine = messages.iter().skip(producer).step_by(3).enumerate();
            let mine: Vec<Message> = mine
                .flat_map(|(number, message)| std::iter::repeat_n(message.clone(), if number % TWICE == 0 { 2 } else { 1 }))
                .collect();
            let (amqp, exchange) = (amqp.clone(), exchange.clone());
            tokio::spawn(async move { broker::publish(&amqp, &exchange, &mine).await })
        })
        .collect();

    world.until("a third of the work to be done", Duration::from_mins(2), |balance| balance.ended() >= 600).await;
    let name = format!(":{}", third.process.pid());
    third.process.kill();
    let dead = Instant::now();
    let killed = third.process.logs();
    let at = world.balance().await.unwrap().ended();
    let taken_over = || async { world.store.workers().await.is_ok_and(|rows| rows.iter().all(|row| !row.name.ends_with(&name))) };
    wait::until("the others to take over", PATIENCE, taken_over).await;
    let takeover = dead.elapsed();
    assert!(takeover <= LEASE * 2, "taken over after {takeover:?}");
    let third = world.worker_on(third.port, &settings).await;
    for producer in producers {
        producer.await.unwrap();
    }
    // Repetitions long after.
    let late: Vec<Message> = messages.iter().step_by(TWICE * 3).cloned().collect();
    world.publish(&late).await;

    let ended = roads.values().filter(|road| *road == "done" || road.starts_with("refused")).count();
    let secrets = people.customers.iter().map(|customer| customer.id_number.clone()).collect();
    let workers = [&first, &second, &third];
    let deadline = Some(Duration::from_mins(2));
    let expect = Expect { sent: &messages, ended, workers: &workers, logs: vec![killed], secrets, deadline, ..Expect::default() };
    let books = books::check(&mut world, expect).await;
    println!("seed {SEED}: killed at {at} of {ended}, taken over after {takeover:?}; all checked after {:?}", begun.elapsed());
    assert!(at < ended as u64, "the worker was killed when everything was over");

    let mut strayed = Vec::new();
    for ledger in &books.ledgers {
        let expected = &roads[&(ledger.row.producer.clone(), ledger.row.message.clone())];
        if ledger.road() != *expected {
            strayed.push(format!("{} {}: {} instead of {expected}", ledger.row.id, ledger.row.process, ledger.road()));
        }
    }
    assert!(strayed.is_empty(), "{} strayed: {:?}", strayed.len(), &strayed[..strayed.len().min(10)]);
    for number in 0..IN_LANES {
        assert_eq!(world.bank.applied("unbind", &format!("K{number}")), 1, "card {number}");
    }
}
