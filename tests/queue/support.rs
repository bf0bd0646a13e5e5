//! A producer that remembers what was confirmed, and an intake that does what a test says.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use lapin::options::{BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use mozhao::domain::time::Time;
use mozhao::engine::ports::broker::{Incoming, IntakeSink, Taken};
use mozhao::engine::ports::records::Event;
use mozhao::queue::{Names, Queue, QueueConfig};
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::harness::wait;

/// How long a test waits for anything.
pub const SOON: Duration = Duration::from_mins(1);

pub fn config(url: &str, prefix: &str) -> QueueConfig {
    QueueConfig { prefix: prefix.to_owned(), in_flight: 20, drain: Duration::from_secs(10), ..QueueConfig::new(url.into()) }
}

/// A connection of the test's own.
pub struct Raw {
    _connection: Connection,
    pub channel: Channel,
}

impl Raw {
    pub async fn new(url: &str) -> Raw {
        let connection = Connection::connect(url, ConnectionProperties::default()).await.expect("connect");
        let channel = connection.create_channel().await.expect("channel");
        channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
        Raw { _connection: connection, channel }
    }

    /// Publishes a request to our exchange; returns once it is confirmed.
    pub async fn request(&self, names: &Names, id: &str) {
        let properties = BasicProperties::default()
            .with_message_id(id.into())
            .with_content_type("application/json".into())
            .with_app_id("shop".into())
            .with_delivery_mode(2);
        self.publish(&names.requests, "card_unbind", b"{\"card_id\":\"1\"}", properties).await;
    }

    pub async fn publish(&self, exchange: &str, key: &str, body: &[u8], properties: BasicProperties) {
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let confirm = self.channel.basic_publish(exchange.into(), key.into(), options, body, properties).await.expect("publish");
        let confirmed = confirm.await.expect("confirm");
        assert!(confirmed.is_ack(), "{confirmed:?}");
        assert!(confirmed.take_message().is_none(), "nothing was bound to {exchange}");
    }

    pub async fn queue(&self, name: &str, exchange: &str, key: &str) {
        let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
        self.channel.queue_declare(name.into(), options, FieldTable::default()).await.expect("declare");
        if !exchange.is_empty() {
            let bound = self.channel.queue_bind(
                name.into(),
                exchange.into(),
                key.into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            );
            bound.await.expect("bind");
        }
    }

    /// Messages ready in a queue.
    pub async fn depth(&self, queue: &str) -> u32 {
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        self.channel.queue_declare(queue.into(), options, FieldTable::default()).await.expect("is there").message_count()
    }

    /// Takes everything out of a queue, `count` messages at the least: message id and correlation id of each.
    pub async fn drain(&self, queue: &str, count: usize) -> Vec<(String, Option<String>)> {
        let all = Mutex::new(Vec::new());
        wait::until("messages in a queue", SOON, async || {
            while let Some(got) = self.channel.basic_get(queue.into(), BasicGetOptions { no_ack: true }).await.expect("get") {
                let properties = &got.delivery.properties;
                let id = properties.message_id().as_ref().expect("id").as_str().to_owned();
                let correlation = properties.correlation_id().as_ref().map(|id| id.as_str().to_owned());
                all.lock().expect("lock").push((id, correlation));
            }
            all.lock().expect("lock").len() >= count
        })
        .await;
        all.into_inner().expect("lock")
    }
}

type Script = Box<dyn Fn(&Incoming, usize) -> Taken + Send + Sync>;

/// An intake: a script says what becomes of a message the n-th time it comes (from 1).
pub struct Sink {
    script: Script,
    pub seen: Mutex<Vec<Incoming>>,
    /// Takes wait for a permit; closed by default only where a test asks.
    pub gate: Semaphore,
    running: AtomicUsize,
    pub most: AtomicUsize,
    pub readied: AtomicUsize,
}

impl Sink {
    pub fn new(script: impl Fn(&Incoming, usize) -> Taken + Send + Sync + 'static) -> Arc<Sink> {
        Sink::gated(Semaphore::MAX_PERMITS, script)
    }

    /// At most `permits` takes go on until more are added.
    pub fn gated(permits: usize, script: impl Fn(&Incoming, usize) -> Taken + Send + Sync + 'static) -> Arc<Sink> {
        Arc::new(Sink {
            script: Box::new(script),
            seen: Mutex::default(),
            gate: Semaphore::new(permits),
            running: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            readied: AtomicUsize::new(0),
        })
    }

    pub fn stores() -> Arc<Sink> {
        Sink::new(|_, _| Taken::Stored)
    }

    /// How often each id came.
    pub fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for message in self.seen.lock().expect("lock").iter() {
            *counts.entry(message.message_id.clone().unwrap_or_default()).or_default() += 1;
        }
        counts
    }

    pub fn running(&self) -> usize {
        self.running.load(Ordering::SeqCst)
    }

    /// Returns once so many different messages came.
    pub async fn wait(&self, messages: usize) {
        wait::until_true("messages to come", SOON, || self.counts().len() >= messages).await;
    }
}

#[async_trait]
impl IntakeSink for Sink {
    async fn take(&self, message: Incoming) -> Taken {
        let now = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        let times = {
            let mut seen = self.seen.lock().expect("lock");
            seen.push(message.clone());
            seen.iter().filter(|seen| seen.message_id == message.message_id).count()
        };
        let permit = self.gate.acquire().await.expect("gate");
        let taken = (self.script)(&message, times);
        drop(permit);
        self.running.fetch_sub(1, Ordering::SeqCst);
        taken
    }

    async fn ready(&self) {
        self.readied.fetch_add(1, Ordering::SeqCst);
    }
}

/// Messages that are ready in the queue of requests.
pub async fn left(url: &str, queue: &Queue) -> u32 {
    Raw::new(url).await.depth(&queue.names().requests).await
}

/// Waits until so many are: the broker takes a moment to put back what a closed connection held.
pub async fn left_is(url: &str, queue: &Queue, expected: u32) {
    let start = Instant::now();
    wait::until("the broker to count", SOON, async || {
        let is = left(url, queue).await;
        assert!(is == expected || start.elapsed() < SOON / 4, "{is} messages are left, not {expected}");
        is == expected
    })
    .await;
}

pub fn event(topic: &str, reply_to: Option<&str>) -> Event {
    Event {
        id: Uuid::now_v7(),
        request: None,
        seq: 1,
        topic: topic.to_owned(),
        body: Arc::from(&b"{\"specversion\":\"1.0\"}"[..]),
        reply_to: reply_to.map(str::to_owned),
        correlation: Some("c-1".to_owned()),
        at: Time(1_795_341_600_000_000),
    }
}
