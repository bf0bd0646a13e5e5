//! What a broker that works is used for.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use lapin::BasicProperties;
use lapin::options::{QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::{AMQPValue, FieldTable};
use mozhao::domain::message;
use mozhao::engine::clock::SystemClock;
use mozhao::engine::ports::broker::{DecisionSink, RefusedDecision, Taken, ToolDecision};
use mozhao::engine::ports::clock::Clock as _;
use mozhao::queue::{Queue, QueueConfig, QueueError, signed};

use super::harness::{rabbitmq, wait};
use super::support::{Raw, SOON, Sink, config, event, left, left_is};

#[tokio::test]
async fn each_message_is_taken_once_and_acknowledged() {
    let broker = rabbitmq::broker().await;
    let queue = Queue::start(config(&broker.url, &broker.prefix)).unwrap();
    let sink = Sink::stores();
    queue.consume(sink.clone()).unwrap();
    queue.consuming().wait_up().await;
    let raw = Raw::new(&broker.url).await;
    for number in 0..300 {
        raw.request(queue.names(), &format!("m-{number}")).await;
    }
    sink.wait(300).await;
    queue.stop().await;
    assert!(sink.counts().values().all(|count| *count == 1));
    assert_eq!(left(&broker.url, &queue).await, 0);
    let first = sink.seen.lock().unwrap()[0].clone();
    assert_eq!((first.routing_key.as_str(), first.app_id.as_deref()), ("card_unbind", Some("shop")));
    assert!(!first.redelivered && first.delivery_count == 0);
    let envelope = message::read(&first, "amqp", &message::Limits::default()).unwrap();
    assert_eq!((envelope.process.as_str(), envelope.message.as_str()), ("card_unbind", "m-0"));
}

#[tokio::test]
async fn what_is_not_stored_comes_again() {
    let broker = rabbitmq::broker().await;
    let queue = Queue::start(config(&broker.url, &broker.prefix)).unwrap();
    // The database is away the first time that m-3 comes.
    let sink = Sink::new(|message, times| match message.message_id.as_deref() {
        Some("m-3") if times == 1 => Taken::NotStored,
        Some("m-4") if times == 1 => panic!("a bug in the intake"),
        _ => Taken::Stored,
    });
    queue.consume(sink.clone()).unwrap();
    queue.consuming().wait_up().await;
    let raw = Raw::new(&broker.url).await;
    for number in 0..10 {
        raw.request(queue.names(), &format!("m-{number}")).await;
    }
    wait::until_true("m-3 and m-4 twice", SOON, || {
        let counts = sink.counts();
        counts.len() == 10 && counts["m-3"] >= 2 && counts["m-4"] >= 2
    })
    .await;
    queue.stop().await;
    assert_eq!(left(&broker.url, &queue).await, 0);
    assert!(sink.readied.load(Ordering::SeqCst) >= 2, "asked again before consuming again");
    let seen = sink.seen.lock().unwrap();
    let again = seen.iter().rfind(|message| message.message_id.as_deref() == Some("m-3")).unwrap();
    assert!(again.redelivered && again.delivery_count >= 1, "{again:?}");
}

#[tokio::test]
async fn no_more_than_the_limit_is_taken_and_a_slow_one_holds_nobody_back() {
    let broker = rabbitmq::broker().await;
    let settings = QueueConfig { in_flight: 5, drain: Duration::from_millis(200), ..config(&broker.url, &broker.prefix) };
    let queue = Queue::start(settings).unwrap();
    let sink = Sink::gated(0, |_, _| Taken::Stored);
    queue.consume(sink.clone()).unwrap();
    queue.consuming().wait_up().await;
    let raw = Raw::new(&broker.url).await;
    for number in 0..50 {
        raw.request(queue.names(), &format!("m-{number}")).await;
    }
    wait::until_true("five takes", SOON, || sink.running() == 5).await;
    wait::until("the rest to wait in the broker", SOON, async || raw.depth(&queue.names().requests).await == 45).await;
    // One place moves on: the first that came is among the last that end.
    sink.gate.add_permits(4);
    sink.wait(50).await;
    assert_eq!(sink.most.load(Ordering::SeqCst), 5);
    sink.gate.add_permits(1);
    wait::until_true("all takes to end", SOON, || sink.running() == 0).await;
    queue.stop().await;
    assert_eq!(left(&broker.url, &queue).await, 0);
    assert!(sink.counts().values().all(|count| *count == 1));
}

#[tokio::test]
async fn stopping_finishes_what_is_in_flight_and_leaves_the_rest() {
    let broker = rabbitmq::broker().await;
    let settings = QueueConfig { in_flight: 5, ..config(&broker.url, &broker.prefix) };
    let queue = Arc::new(Queue::start(settings).unwrap());
    let sink = Sink::gated(0, |_, _| Taken::Stored);
    queue.consume(sink.clone()).unwrap();
    queue.consuming().wait_up().await;
    let raw = Raw::new(&broker.url).await;
    for number in 0..20 {
        raw.request(queue.names(), &format!("m-{number}")).await;
    }
    wait::until_true("five takes", SOON, || sink.running() == 5).await;
    queue.stop_consuming();
    let stopping = tokio::spawn({
        let queue = Arc::clone(&queue);
        async move { queue.stop().await }
    });
    sink.gate.add_permits(100);
    stopping.await.unwrap();
    assert_eq!(sink.counts().len(), 5);
    left_is(&broker.url, &queue, 15).await;
}

#[tokio::test]
async fn a_message_that_comes_back_often_is_taken_alone() {
    let broker = rabbitmq::broker().await;
    let queue = Queue::start(config(&broker.url, &broker.prefix)).unwrap();
    let (others, company) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(usize::MAX)));
    let (running, alone) = (Arc::clone(&others), Arc::clone(&company));
    let sink = Sink::new(move |message, _| {
        if message.message_id.as_deref() != Some("suspect") {
            return Taken::Stored;
        }
        if message.delivery_count >= 3 {
            alone.store(running.load(Ordering::SeqCst), Ordering::SeqCst);
            return Taken::Stored;
        }
        Taken::NotStored
    });
    let raw = Raw::new(&broker.url).await;
    queue.consume(sink.clone()).unwrap();
    queue.consuming().wait_up().await;
    raw.request(queue.names(), "suspect").await;
    for number in 0..40 {
        raw.request(queue.names(), &format!("m-{number}")).await;
    }
    wait::until_true("the suspect to be taken alone", SOON, || company.load(Ordering::SeqCst) != usize::MAX).await;
    sink.wait(41).await;
    queue.stop().await;
    assert_eq!(company.load(Ordering::SeqCst), 0);
    assert_eq!(left(&broker.url, &queue).await, 0);
}

#[tokio::test]
async fn an_intake_that_stops_is_left_alone() {
    let broker = rabbitmq::broker().await;
    let queue = Queue::start(config(&broker.url, &broker.prefix)).unwrap();
    let sink = Sink::new(|_, _| Taken::Stop);
    queue.consume(sink.clone()).unwrap();
    queue.consuming().wait_up().await;
    let raw = Raw::new(&broker.url).await;
    raw.request(queue.names(), "m-1").await;
    queue.consuming().wait_down().await;
    queue.stop().await;
    assert_eq!(sink.counts(), BTreeMap::from([("m-1".to_owned(), 1)]));
    left_is(&broker.url, &queue, 1).await;
}

#[tokio::test]
async fn a_deleted_queue_is_declared_again() {
    let broker = rabbitmq::broker().await;
    let queue = Queue::start(config(&broker.url, &broker.prefix)).unwrap();
    let sink = Sink::stores();
    queue.consume(sink.clone()).unwrap();
    let link = queue.consuming();
    link.wait_up().await;
    let raw = Raw::new(&broker.url).await;
    raw.request(queue.names(), "before").await;
    sink.wait(1).await;
    raw.channel.queue_delete(queue.names().requests.as_str().into(), QueueDeleteOptions::default()).await.unwrap();
    link.wait_down().await;
    link.wait_up().await;
    raw.request(queue.names(), "after").await;
    sink.wait(2).await;
    queue.stop().await;
}

#[tokio::test]
async fn a_queue_with_other_settings_is_named() {
    let broker = rabbitmq::broker().await;
    let raw = Raw::new(&broker.url).await;
    let name = format!("{}.requests", broker.prefix);
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    raw.channel.queue_declare(name.as_str().into(), options, FieldTable::default()).await.unwrap();
    let queue = Queue::start(config(&broker.url, &broker.prefix)).unwrap();
    queue.consume(Sink::stores()).unwrap();
    let link = queue.consuming();
    wait::until_true("a refusal", SOON, || matches!(link.error(), Some(QueueError::Refused { .. }))).await;
    let said = link.error().unwrap().to_string();
    assert!(said.contains(&name) && said.contains("inequivalent"), "{said}");
    // Once an operator has removed it, all is well without a restart.
    raw.channel.queue_delete(name.as_str().into(), QueueDeleteOptions::default()).await.unwrap();
    link.wait_up().await;
    queue.stop().await;
}

#[tokio::test]
async fn events_reach_who_is_bound_and_the_rest_is_kept() {
    let broker = rabbitmq::broker().await;
    let queue = Queue::start(QueueConfig { reviews: true, window: 7, ..config(&broker.url, &broker.prefix) }).unwrap();
    let (names, publisher) = (queue.names().clone(), queue.publisher());
    assert_eq!(publisher.publish(&[event("request.card_unbind.done", None)]).await.len(), 1);
    queue.publishing().wait_up().await;
    assert!(publisher.connected());
    let raw = Raw::new(&broker.url).await;
    let (done, answers) = (format!("{}-done", broker.prefix), format!("{}-answers", broker.prefix));
    raw.queue(&done, &names.events, "request.*.done").await;
    raw.queue(&answers, "", "").await;

    let mut events: Vec<_> = (0..100).map(|_| event("request.card_unbind.done", Some(&answers))).collect();
    // Bound by nobody: what somebody should have heard is kept, that a request was accepted is not.
    events.insert(0, event("request.card_unbind.accepted", None));
    events.push(event("request.card_unbind.refused", Some(&names.requests)));
    events.push(event("review.card_unbind.opened", Some("mozhao-no-such-queue")));
    assert_eq!(publisher.publish(&events).await, vec![true; 103]);
    assert_eq!(publisher.publish(&[]).await, Vec::<bool>::new());
    let ids: Vec<String> = events[1..].iter().map(|event| event.id.to_string()).collect();

    let mut got = raw.drain(&done, 100).await;
    assert!(got.iter().all(|(_, correlation)| correlation.is_none()));
    got.sort();
    let mut expected = ids[..100].to_vec();
    expected.sort();
    assert_eq!(got.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>(), expected);
    let mut copies = raw.drain(&answers, 100).await;
    copies.sort();
    assert_eq!(copies, expected.iter().map(|id| (id.clone(), Some("c-1".to_owned()))).collect::<Vec<_>>());
    assert_eq!(raw.drain(&names.unrouted, 1).await, [(ids[100].clone(), None)]);
    assert_eq!(raw.drain(&names.reviews, 1).await, [(ids[101].clone(), None)]);
    queue.stop().await;
    assert!(!publisher.connected());
    assert_eq!(publisher.publish(&events[..2]).await, [false, false]);
}

#[tokio::test]
async fn a_reply_queue_that_is_full_holds_up_nothing() {
    let broker = rabbitmq::broker().await;
    let queue = Queue::start(config(&broker.url, &broker.prefix)).unwrap();
    let (names, publisher) = (queue.names().clone(), queue.publisher());
    queue.publishing().wait_up().await;
    let raw = Raw::new(&broker.url).await;
    let (done, full) = (format!("{}-done", broker.prefix), format!("{}-full", broker.prefix));
    raw.queue(&done, &names.events, "request.*.done").await;
    let mut bounds = FieldTable::default();
    bounds.insert("x-max-length".into(), AMQPValue::LongInt(1));
    bounds.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
    let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    raw.channel.queue_declare(full.as_str().into(), options, bounds).await.unwrap();
    raw.publish("", &full, b"there first", BasicProperties::default()).await;

    let events: Vec<_> = (0..5).map(|_| event("request.card_unbind.done", Some(&full))).collect();
    assert_eq!(publisher.publish(&events).await, [true; 5]);
    assert_eq!(raw.drain(&done, 5).await.len(), 5);
    assert!(publisher.connected());
    queue.stop().await;
}

#[tokio::test]
async fn the_queues_can_be_looked_at() {
    let broker = rabbitmq::broker().await;
    let settings = config(&broker.url, &broker.prefix);
    let missing = Queue::inspect(&settings).await.unwrap_err();
    assert!(matches!(missing, QueueError::Refused { .. }), "{missing:?}");
    let queue = Queue::start(settings.clone()).unwrap();
    let sink = Sink::gated(0, |_, _| Taken::Stored);
    queue.consume(sink).unwrap();
    queue.consuming().wait_up().await;
    queue.publishing().wait_up().await;
    let depths = Queue::inspect(&settings).await.unwrap();
    let shown: Vec<_> = depths.iter().map(|depth| (depth.queue.as_str(), depth.messages, depth.consumers)).collect();
    let names = queue.names();
    assert_eq!(shown, [(names.requests.as_str(), 0, 1), (names.dead.as_str(), 0, 0), (names.unrouted.as_str(), 0, 0)]);
    queue.stop().await;
}

#[tokio::test]
async fn odd_messages_reach_the_intake_as_they_are() {
    let broker = rabbitmq::broker().await;
    let queue = Queue::start(config(&broker.url, &broker.prefix)).unwrap();
    let sink = Sink::stores();
    queue.consume(sink.clone()).unwrap();
    queue.consuming().wait_up().await;
    let (raw, names) = (Raw::new(&broker.url).await, queue.names().clone());
    let id = |id: &str| BasicProperties::default().with_message_id(id.into());
    let mut headers = FieldTable::default();
    headers.insert("big".into(), AMQPValue::LongString("x".repeat(100_000).into()));
    raw.publish(&names.requests, "card_unbind", b"\xFF\xFE", id("bytes")).await;
    raw.publish(&names.requests, "card_unbind", b"", id("empty")).await;
    raw.publish(&names.requests, "card_unbind", b"{}", id("headers").with_headers(headers)).await;
    raw.publish(&names.requests, "a.b.c", b"{}", id("key").with_user_id("guest".into())).await;
    raw.publish("", &names.requests, b"{}", id("straight")).await;
    raw.publish(&names.requests, "card_unbind", &vec![b'x'; 8_000_000], id("large")).await;
    raw.publish(&names.requests, "card_unbind", b"{}", BasicProperties::default()).await;
    sink.wait(7).await;
    queue.stop().await;
    let limits = message::Limits::default();
    let seen = sink.seen.lock().unwrap();
    let codes: BTreeMap<_, _> = seen
        .iter()
        .map(|seen| {
            let code = message::read(seen, "amqp", &limits).map_or_else(|error| error.code.as_str(), |_| "read");
            (seen.message_id.as_deref().unwrap_or("none"), code)
        })
        .collect();
    let expected = [
        ("bytes", "bad_encoding"),
        ("empty", "bad_json"),
        ("headers", "bad_header"),
        ("key", "bad_process"),
        ("large", "too_large"),
        ("none", "no_id"),
        ("straight", "no_process"),
    ];
    assert_eq!(codes, BTreeMap::from(expected));
    assert!(seen.iter().any(|seen| seen.user_id.as_deref() == Some("guest")));
}

#[derive(Default)]
struct Desk {
    decided: Mutex<Vec<ToolDecision>>,
    refused: Mutex<Vec<RefusedDecision>>,
}

#[async_trait]
impl DecisionSink for Desk {
    async fn decide(&self, decision: ToolDecision) -> Taken {
        self.decided.lock().unwrap().push(decision);
        Taken::Stored
    }

    async fn refuse(&self, refused: RefusedDecision) -> Taken {
        self.refused.lock().unwrap().push(refused);
        Taken::Stored
    }
}

#[tokio::test]
async fn signed_decisions_are_applied_and_others_are_answered() {
    let broker = rabbitmq::broker().await;
    let queue = Queue::start(config(&broker.url, &broker.prefix)).unwrap();
    let desk = Arc::new(Desk::default());
    let tools = BTreeMap::from([("desk".to_owned(), vec!["desk-secret".into()])]);
    queue.consume_decisions(tools, desk.clone(), Arc::new(SystemClock)).unwrap();
    let raw = Raw::new(&broker.url).await;
    let review = uuid::Uuid::now_v7();
    let body = serde_json::json!({"tool": "desk", "reviewer": "wang", "review": review, "version": 3, "choice": "approve",
        "note": "seen", "nonce": "d-1", "at": SystemClock.now().to_string()});
    let body = body.to_string().into_bytes();
    let headers = |signature: String| {
        let mut table = FieldTable::default();
        table.insert(signed::SIGNATURE.into(), AMQPValue::LongString(signature.into()));
        BasicProperties::default().with_headers(table)
    };
    queue.deciding().wait_up().await;
    let forged = headers(signed::sign(&body, b"a guess"));
    raw.publish("", &queue.names().decisions, &body, forged).await;
    let signed = headers(signed::sign(&body, b"desk-secret"));
    raw.publish("", &queue.names().decisions, &body, signed).await;
    wait::until_true("both", SOON, || desk.decided.lock().unwrap().len() + desk.refused.lock().unwrap().len() == 2).await;
    queue.stop().await;
    let decided = desk.decided.lock().unwrap();
    assert_eq!((decided[0].review, decided[0].version, decided[0].note.as_str()), (review, 3, "seen"));
    let refused = desk.refused.lock().unwrap();
    assert_eq!((refused[0].code, refused[0].review, refused[0].nonce.as_deref()), ("bad_signature", Some(review), Some("d-1")));
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_without_their_secret() {
    for (url, prefix) in [
        ("amqp://user:hunter2@host:port/x", "mozhao"),
        ("hunter2", "mozhao"),
        ("amqp://localhost", ""),
        ("amqp://localhost", "a b"),
    ] {
        let error = Queue::start(config(url, prefix)).unwrap_err();
        assert!(matches!(error, QueueError::Config(_)), "{error:?}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
    // Nobody listens there; and somebody who speaks no TLS.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let plain = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            drop(stream.unwrap().write_all(b"220 not what you think\r\n"));
        }
    });
    for url in ["amqp://user:hunter2@127.0.0.1:1/%2f".to_owned(), format!("amqps://user:hunter2@{plain}/%2f")] {
        let queue = Queue::start(config(&url, "mozhao")).unwrap();
        let link = queue.publishing();
        wait::until_true("a connection that fails", SOON, || link.error().is_some()).await;
        assert!(matches!(link.error(), Some(QueueError::Lost(_))), "{:?}", link.error());
        assert!(!format!("{:?} {queue:?}", link.error()).contains("hunter2"));
        queue.stop().await;
    }
}
