//! Load that is strange in itself: repeated a thousand times, out of order, huge, or not load at all but connections.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::broker::{self, Message};
use super::scenario::{Case, Scenario, unbind};
use super::world::{On, PATIENCE, Worker};
use crate::harness::{record, wait};

/// Each message 2 to 1,000 times, in any order, from three producers at once: one request each.
async fn repeated(name: &'static str, on: On) {
    let scenario = Scenario::new(name).workers(3).on(on).load(0, 50);
    scenario
        .run(async |case| {
            let messages: Vec<Message> = (0..60).map(|number| unbind(&case.world, number)).collect();
            let mut copies = Vec::new();
            for (number, message) in messages.iter().enumerate() {
                let times = match number {
                    0 => 1_000,
                    1..4 => 100,
                    4..12 => 10,
                    _ => 2,
                };
                copies.extend(std::iter::repeat_n(message.clone(), times));
            }
            case.dice.shuffle(&mut copies);
            record::faults((copies.len() - messages.len()) as u64);
            let parts: Vec<_> = copies.chunks(copies.len().div_ceil(3)).collect();
            let case_now: &Case = case;
            futures_util::future::join_all(parts.iter().map(|part| case_now.confirmed(part))).await;
            case.sent.extend(messages);
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_come_up_to_a_thousand_times() {
    repeated("messages_come_up_to_a_thousand_times", On::Shared).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_messages_come_up_to_a_thousand_times() {
    repeated("embedded_messages_come_up_to_a_thousand_times", On::Embedded).await;
}

/// Many customers' requests in any order: each customer's run one at a time, in the order of their numbers.
async fn shuffled(name: &'static str, on: On) {
    let scenario = Scenario::new(name).workers(3).on(on).load(0, 50);
    scenario
        .run(async |case| {
            let mut messages: Vec<Message> = (0..200).map(|number| unbind(&case.world, number)).collect();
            case.dice.shuffle(&mut messages);
            record::fault();
            case.send(messages).await;
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_come_in_any_order() {
    shuffled("messages_come_in_any_order", On::Shared).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_messages_come_in_any_order() {
    shuffled("embedded_messages_come_in_any_order", On::Embedded).await;
}

/// Messages of 1 to 127 MiB: each is recorded as rejected, and the workers stay small.
#[tokio::test(flavor = "multi_thread")]
async fn payloads_are_huge() {
    let scenario = Scenario::new("payloads_are_huge").load(100, 30).seeds(1);
    scenario
        .run(async |case| {
            let before = resident(&case.workers);
            let sizes: &[usize] = if record::chaos() { &[1, 2, 8, 32, 127] } else { &[1, 32] };
            for (number, mebibytes) in sizes.iter().enumerate() {
                let body = json!({"customer_id": "U", "card_id": "x".repeat(mebibytes << 20)}).to_string().into_bytes();
                let mut message = Message::plain("app", &format!("huge-{number}"), "card_unbind", &Value::Null);
                message.body = body;
                case.world.publish(&[message]).await;
                record::fault();
                case.rejected += 1;
                let count = case.rejected as u64;
                case.world.until("it to be rejected", PATIENCE, |balance| balance.rejected == count).await;
            }
            let highest = highest(&case.workers);
            println!("the larger worker had {} MiB before and {} MiB at most after", before >> 20, highest >> 20);
            let rejected = case.world.store.rejected(None, 100).await.unwrap();
            assert!(rejected.iter().all(|row| row.code == "too_large"), "{rejected:?}");
            // One such message at a time is in memory, as received and as a library's copy; then it is given back.
            assert!(highest < before + (400 << 20), "{highest}");
        })
        .await;
}

/// What the largest of them has in memory now.
fn resident(workers: &[Worker]) -> u64 {
    workers.iter().map(|worker| worker.process.resident_bytes()).max().unwrap_or(0)
}

/// The most that any of them ever had.
fn highest(workers: &[Worker]) -> u64 {
    workers.iter().map(|worker| worker.process.highest_bytes()).max().unwrap_or(0)
}

/// The most connections that a worker serves at once (`src/api/serve.rs`).
const SERVED: usize = 1_024;
/// More than that, to one worker, which says nothing or one half of a head.
const STORM: usize = 1_100;

/// More connections to a worker's API than it serves, which say nothing or half a request; some to another one; and to the broker.
#[tokio::test(flavor = "multi_thread")]
async fn connections_storm_in() {
    let scenario = Scenario::new("connections_storm_in").load(200, 50);
    scenario
        .run(async |case| {
            case.more(10).await;
            let before = resident(&case.workers);
            let mut open = Vec::new();
            for number in 0..STORM + 300 {
                let port = case.workers[usize::from(number >= STORM)].port;
                // Beyond what is served a connection waits in the kernel's queue, which takes as many again.
                let mut stream =
                    TcpStream::connect(("127.0.0.1", port)).await.expect("a connection (and room for it: `ulimit -n`)");
                let said: &[u8] = match number % 3 {
                    1 if number >= STORM => b"POST /v1/requests HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n{",
                    2 => b"GET /healthz HTTP/1.1\r\nX-Slow: ",
                    _ => b"",
                };
                drop(stream.write_all(said).await);
                open.push(stream);
            }
            record::faults(open.len() as u64);
            let full = &case.workers[0];
            let callers = || full.process.open(full.port).callers;
            wait::until_true("the worker to serve as many as it may", PATIENCE, || callers() >= SERVED).await;
            // None of them has been given up yet: one more is taken by nobody, and has no answer.
            assert_eq!(crate::harness::process::status(full.port, "/readyz").await, None, "{} are served", callers());
            assert!(callers() <= SERVED, "{} are served", callers());
            assert_eq!(crate::harness::process::status(case.workers[1].port, "/readyz").await, Some(200));
            let amqp = case.world.amqp.clone().unwrap();
            for _ in 0..40 {
                drop(broker::channel(&amqp).await);
                record::fault();
            }
            case.more(60).await;
            let highest = highest(&case.workers);
            println!("{} connections: {} MiB at most, {} MiB before", open.len(), highest >> 20, before >> 20);
            assert!(highest < before + (64 << 20), "{highest}");
            drop(open);
            for worker in &case.workers {
                let port = worker.port;
                wait::until("the API to answer", Duration::from_secs(20), || async {
                    crate::harness::process::status(port, "/readyz").await == Some(200)
                })
                .await;
            }
        })
        .await;
}
