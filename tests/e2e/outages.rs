//! The broker dies, then the database dies, under load; both come back with what they had promised.

use std::time::{Duration, Instant};

use super::bank;
use super::books::{self, Expect};
use super::broker::{self, Message};
use super::world::{PATIENCE, Worker, World};
use crate::harness::wait;

const REQUESTS: usize = 900;
/// Consuming goes on within this of the broker's port, committing within this of the database's.
const RESUMED: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn broker_and_database_are_killed_under_load() {
    let mut world = World::own().await;
    let messages: Vec<Message> = (0..REQUESTS)
        .map(|number| Message::plain("app", &format!("m-{number}"), "card_unbind", &bank::card(&world.bank, number, 2)))
        .collect();
    let (first, second) = (world.worker().await, world.worker().await);
    let (amqp, exchange) = (world.amqp.clone().unwrap(), format!("{}.requests", world.prefix));
    // The last third is published after both outages: that the workers still consume must not depend on luck.
    let (before, after) = messages.split_at(REQUESTS * 2 / 3);
    let load = before.to_vec();
    let (url, to) = (amqp.clone(), exchange.clone());
    let producer = tokio::spawn(async move { broker::publish(&url, &to, &load).await });

    world.until("some work to be done", Duration::from_mins(1), |balance| balance.done >= 50).await;
    world.rabbitmq().kill();
    let at_kill = world.balance().await.unwrap();
    assert!(at_kill.done < REQUESTS as u64 / 2, "{at_kill:?}");
    world.rabbitmq().restart().await;
    let back = Instant::now();
    let accepted = world.balance().await.unwrap().accepted;
    world.until("consuming to go on", Duration::from_secs(30), |balance| balance.accepted > accepted).await;
    let broker_resumed = back.elapsed();

    let done = world.balance().await.unwrap().done;
    world.until("more work to be done", Duration::from_mins(1), |balance| balance.done >= done + 50).await;
    world.postgres().kill();
    // Longer than the lease: everybody's heartbeat is old when the database comes back, and nobody is dead.
    let missed = |worker: &Worker| worker.process.logs().matches("the heartbeat could not be renewed").count();
    wait::until_true("a lease of heartbeats to be missed", PATIENCE, || missed(&first) >= 6 && missed(&second) >= 6).await;
    world.postgres().restart().await;
    let back = Instant::now();
    let done = world.until("the database to answer", RESUMED, |_| true).await.done;
    world.until("commits to go on", Duration::from_secs(30), |balance| balance.done > done).await;
    let database_resumed = back.elapsed();

    producer.await.unwrap();
    world.publish(after).await;
    let workers = [&first, &second];
    let deadline = Some(Duration::from_mins(2));
    let expect = Expect { sent: &messages, ended: REQUESTS, workers: &workers, deadline, ..Expect::default() };
    books::check(&mut world, expect).await;
    for worker in workers {
        assert!(!worker.process.logs().contains("declared this one dead"), "{}", worker.process.logs());
    }
    println!("consuming {broker_resumed:?} after the broker, committing {database_resumed:?} after the database");
    assert!(broker_resumed <= RESUMED, "consuming went on {broker_resumed:?} after the broker's port had opened");
    assert!(database_resumed <= RESUMED, "commits went on {database_resumed:?} after the database had answered");
}
