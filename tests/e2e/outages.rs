//! The broker dies, then the database dies, under load; both come back with what they had promised.

use std::time::{Duration, Instant};

use super::bank;
use super::books::{self, Expect};
use super::broker::{self, Message};
use super::world::{PATIENCE, Worker, World};
use crate::harness::{ports, wait};

const REQUESTS: usize = 900;
/// Consuming goes on within this of the broker's port, committing within this of the database's.
const RESUMED: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn broker_and_database_are_killed_under_load() {
    let mut world = World::own().await;
    let messages: Vec<Message> = (0..REQUESTS)
        .map(|number| Message::plain("app", &format!("m-{number}"), "card_unbind", &bank::card(&world.bank, number, 2)))
        .collect();
    // The log says little about an outage; the missed heartbeats are counted in its details.
    let details = [("MOZHAO__LOG__LEVEL", "info,mozhao::engine::worker=debug")];
    let first = world.worker_on(ports::free_port(), &details).await;
    let second = world.worker_on(ports::free_port(), &details).await;
    let (amqp, exchange) = (world.amqp.clone().unwrap(), format!("{}.requests", world.prefix));
    // The last third is published after the first outage: that there is work in the second must not depend on luck.
    let (before, after) = messages.split_at(REQUESTS * 2 / 3);
    let publish = |load: &[Message]| {
        let (url, to, load) = (amqp.clone(), exchange.clone(), load.to_vec());
        tokio::spawn(async move { broker::publish(&url, &to, &load).await })
    };
    let producer = publish(before);
    world.until("the load to begin", PATIENCE, |balance| balance.accepted >= 30).await;
    world.rabbitmq().kill();
    world.rabbitmq().restart().await;
    let back = Instant::now();
    let queue = format!("{}.requests", world.prefix);
    wait::until("both workers to consume again", PATIENCE, || async { broker::consumers(&amqp, &queue).await == 2 }).await;
    let broker_resumed = back.elapsed();
    producer.await.unwrap();

    let done = world.balance().await.unwrap().done;
    let producer = publish(after);
    world.until("more work to be done", PATIENCE, |balance| balance.done >= done + 50).await;
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
    let workers = [&first, &second];
    let deadline = Some(Duration::from_mins(2));
    let expect = Expect { sent: &messages, ended: REQUESTS, workers: &workers, deadline, ..Expect::default() };
    books::check(&mut world, expect).await;
    for worker in workers {
        let told = |text: &str| worker.process.logs().matches(text).count();
        let (begun, over) = (told("tried again until the database answers"), told("the database is available again"));
        assert!((1..=8).contains(&begun) && over >= 1, "said {begun} times that it began and {over} times that it was over");
        assert!(!worker.process.logs().contains("declared this one dead"), "{}", worker.process.logs());
    }
    println!("consuming {broker_resumed:?} after the broker, committing {database_resumed:?} after the database");
    assert!(broker_resumed <= RESUMED, "consuming went on {broker_resumed:?} after the broker's port had opened");
    assert!(database_resumed <= RESUMED, "commits went on {database_resumed:?} after the database had answered");
}
