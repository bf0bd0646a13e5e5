//! Servers that die, freeze, fill up, refuse to write, or lose what was declared in them.

use lapin::options::QueueDeleteOptions;
use mozhao::engine::ports::balance::Balance;
use mozhao::sandbox::{Fault, Trouble};

use super::broker;
use super::scenario::{Case, Scenario, unbind};
use super::world::{On, PATIENCE, World};
use crate::harness::disk::SmallDisk;
use crate::harness::rabbitmq::Alarm;
use crate::harness::{record, wait};

#[tokio::test(flavor = "multi_thread")]
async fn database_is_killed() {
    let scenario = Scenario::new("database_is_killed").on(On::OwnDatabase).load(300, 50);
    scenario
        .run(async |case| {
            for _ in 0..3 {
                let some = case.dice.between(10..50);
                case.more(some).await;
                case.world.postgres().kill();
                case.world.postgres().restart().await;
            }
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn database_is_restarted() {
    let scenario = Scenario::new("database_is_restarted").on(On::OwnDatabase);
    scenario
        .run(async |case| {
            for _ in 0..2 {
                let some = case.dice.between(10..40);
                case.more(some).await;
                case.world.postgres().stop().await;
                case.world.postgres().restart().await;
            }
        })
        .await;
}

/// Nobody gets a new connection, for longer than the lease.
#[tokio::test(flavor = "multi_thread")]
async fn database_accepts_nobody() {
    let scenario = Scenario::new("database_accepts_nobody").on(On::OwnDatabase);
    scenario
        .run(async |case| {
            case.more(20).await;
            case.world.postgres().freeze();
            record::fault();
            case.kill(0);
            case.logged(1, "took over from workers that are gone", 1, PATIENCE).await;
            case.world.postgres().thaw();
            case.serviced(0, "cannot open the database").await;
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn database_is_read_only() {
    Scenario::new("database_is_read_only")
        .run(async |case| {
            case.more(20).await;
            let name = case.world.database.rsplit('/').next().unwrap().to_owned();
            let disconnect = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND application_name = 'mozhao'";
            case.world.sql(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on; {disconnect}")).await;
            record::fault();
            for worker in 0..2 {
                case.logged(worker, "the heartbeat could not be renewed", 5, PATIENCE).await;
            }
            // A transaction that says so may still write.
            let reset = format!("BEGIN READ WRITE; ALTER DATABASE {name} RESET default_transaction_read_only; COMMIT");
            case.world.sql(&format!("{reset}; {disconnect}")).await;
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn database_disk_is_full() {
    if SmallDisk::mount(1).is_none() {
        record::not_run("database_disk_is_full", "this process may not mount a small disk");
        return;
    }
    let scenario = Scenario::new("database_disk_is_full").on(On::SmallDisk(192)).load(300, 50);
    scenario
        .run(async |case| {
            case.more(20).await;
            case.world.disk().fill();
            // Either statements are refused (53100), or the server stops because it cannot write its log. It has some room left
            // in files that are there already: so there is more to write until it is used up.
            let refusals = |case: &Case| -> usize {
                let words = ["SQLSTATE 53100", "the heartbeat could not be renewed"];
                (0..2).flat_map(|worker| words.map(|words| case.count_in_log(worker, words))).sum()
            };
            for round in 0.. {
                assert!(round < 50, "a full disk holds {} requests", case.sent.len());
                let more: Vec<_> = (0..40).map(|number| unbind(&case.world, 1_000 + 40 * round + number)).collect();
                case.send(more).await;
                if refusals(case) > 0 {
                    break;
                }
            }
            // What the runbook names.
            let told = |worker| case.count_in_log(worker, "it is tried again until the database answers") > 0;
            wait::until_true("a worker to say that the database is not there", PATIENCE, || told(0) || told(1)).await;
            case.world.disk().free();
            // A server that stopped for it is started again, as a service manager does.
            case.world.postgres().ensure_running().await;
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn broker_is_killed() {
    let scenario = Scenario::new("broker_is_killed").on(On::OwnBroker);
    scenario
        .run(async |case| {
            let some = case.dice.between(10..60);
            case.more(some).await;
            case.world.rabbitmq().kill();
            case.world.rabbitmq().restart().await;
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn broker_is_frozen() {
    let scenario = Scenario::new("broker_is_frozen").on(On::OwnBroker);
    scenario
        .run(async |case| {
            let some = case.dice.between(10..60);
            case.more(some).await;
            case.world.rabbitmq().freeze();
            for worker in 0..2 {
                case.logged(worker, "the broker's connection is lost", 1, PATIENCE).await;
            }
            case.world.rabbitmq().thaw();
        })
        .await;
}

/// Nothing can be published: requests go on, events wait, and no attempt is spent.
#[tokio::test(flavor = "multi_thread")]
async fn broker_is_short_of_memory_and_of_disk() {
    let scenario = Scenario::new("broker_is_short_of_memory_and_of_disk").on(On::OwnBroker).load(60, 50);
    scenario
        .run(async |case| {
            case.all_confirmed().await;
            for (round, alarm) in [Alarm::Memory, Alarm::Disk].into_iter().enumerate() {
                // Each of its calls takes so long that whatever is taken before the alarm ends during it.
                let slow = case.trouble(Fault::new("/bank/**", Trouble::Delay { ms: 1_500 }));
                let more: Vec<_> = (0..20).map(|number| unbind(&case.world, 1_000 * (round + 1) + number)).collect();
                case.send(more).await;
                case.world.rabbitmq().raise(alarm).await;
                let done = wait::until_some("the balance", PATIENCE, || case.world.balance()).await.done;
                case.world.bank.lift(slow);
                let carried = |balance: &Balance| balance.unpublished > 0 && balance.done > done;
                case.world.until("requests to be done, and their events to wait", PATIENCE, carried).await;
                case.world.rabbitmq().clear(alarm).await;
            }
        })
        .await;
}

async fn delete_queue(world: &World) {
    let queue = format!("{}.requests", world.prefix);
    let (connection, channel) = broker::channel(world.amqp.as_ref().unwrap()).await.unwrap();
    channel.queue_delete(queue.as_str().into(), QueueDeleteOptions::default()).await.unwrap();
    connection.close(200, "done".into()).await.unwrap();
    record::fault();
}

/// The queue is deleted while nothing is in it: it is declared again, and what comes later is taken.
#[tokio::test(flavor = "multi_thread")]
async fn queue_is_deleted() {
    // What is in a deleted queue is gone, and no worker can help it: so the load comes in two parts.
    let scenario = Scenario::new("queue_is_deleted").load(120, 2_000);
    scenario
        .run(async |case| {
            case.all_confirmed().await;
            let all = case.sent.len() as u64;
            case.world.until("everything to be taken", PATIENCE, |balance| balance.accepted == all).await;
            delete_queue(&case.world).await;
            let (amqp, queue) = (case.world.amqp.clone().unwrap(), format!("{}.requests", case.world.prefix));
            wait::until("both workers to consume again", PATIENCE, || async { broker::consumers(&amqp, &queue).await == 2 })
                .await;
            let more: Vec<_> = (200..260).map(|number| unbind(&case.world, number)).collect();
            case.world.publish(&more).await;
            case.sent.extend(more);
        })
        .await;
}

/// Somebody has declared the queue otherwise meanwhile: the worker says so and goes on with what it is given.
#[tokio::test(flavor = "multi_thread")]
async fn queue_is_declared_otherwise() {
    let scenario = Scenario::new("queue_is_declared_otherwise").load(60, 2_000);
    scenario
        .run(async |case| {
            case.all_confirmed().await;
            let all = case.sent.len() as u64;
            case.world.until("everything to be taken", PATIENCE, |balance| balance.accepted == all).await;
            for worker in &case.workers {
                worker.process.freeze();
            }
            delete_queue(&case.world).await;
            let queue = format!("{}.requests", case.world.prefix);
            let (connection, channel) = broker::channel(case.world.amqp.as_ref().unwrap()).await.unwrap();
            let options = lapin::options::QueueDeclareOptions { durable: true, ..Default::default() };
            channel.queue_declare(queue.as_str().into(), options, lapin::types::FieldTable::default()).await.unwrap();
            connection.close(200, "done".into()).await.unwrap();
            for worker in &case.workers {
                worker.process.thaw();
            }
            // Said once as long as it stays the same.
            case.logged(0, "the broker cannot be used", 1, PATIENCE).await;
            // The operator removes what stands in the way.
            delete_queue(&case.world).await;
            let amqp = case.world.amqp.clone().unwrap();
            wait::until("both workers to consume again", PATIENCE, || async { broker::consumers(&amqp, &queue).await == 2 })
                .await;
            let more: Vec<_> = (200..240).map(|number| unbind(&case.world, number)).collect();
            case.world.publish(&more).await;
            case.sent.extend(more);
        })
        .await;
}

/// SQLite's disk is full: nothing is taken that cannot be kept, and all goes on when there is room.
#[tokio::test(flavor = "multi_thread")]
async fn embedded_disk_is_full() {
    if SmallDisk::mount(1).is_none() {
        record::not_run("embedded_disk_is_full", "this process may not mount a small disk");
        return;
    }
    let scenario = Scenario::new("embedded_disk_is_full").on(On::EmbeddedOnSmallDisk(24)).workers(1).load(1_000, 100);
    scenario
        .run(async |case| {
            case.more(20).await;
            case.world.disk().fill();
            // It has some room left in files that are there already, which the rest of the load uses up. Not a sign: the heartbeat,
            // whose page often fits where a batch does not.
            case.logged(0, "disk is full", 1, PATIENCE).await;
            case.world.disk().free();
        })
        .await;
}

/// Somebody else holds SQLite's write lock for longer than a statement waits.
#[tokio::test(flavor = "multi_thread")]
async fn embedded_database_is_busy() {
    let scenario = Scenario::new("embedded_database_is_busy").on(On::Embedded).workers(1).load(150, 50);
    scenario
        .run(async |case| {
            case.more(20).await;
            let held = case.world.hold_writes().await;
            record::fault();
            case.logged(0, "the heartbeat could not be renewed", 1, PATIENCE).await;
            held.release().await;
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_worker_is_killed() {
    let scenario = Scenario::new("embedded_worker_is_killed").on(On::Embedded).workers(1).load(200, 50);
    scenario
        .run(async |case| {
            for _ in 0..3 {
                let some = case.dice.between(5..40);
                case.more(some).await;
                case.kill(0);
            }
        })
        .await;
}
