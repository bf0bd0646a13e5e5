//! The outside of the broker: producers that remember what was confirmed, and queues of ours that remember every event.

use std::collections::HashMap;
use std::collections::HashSet;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions, ExchangeDeclareOptions,
    QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind};
use serde_json::Value;
use tokio::time::timeout;

use crate::harness::wait;

/// The most messages of one producer without a confirm.
const WINDOW: usize = 64;
/// How long publishing may take, a broker's restart included.
const PATIENCE: Duration = Duration::from_mins(2);

/// A message to publish.
#[derive(Debug, Clone)]
pub struct Message {
    /// Routing key.
    pub process: String,
    pub body: Vec<u8>,
    pub properties: BasicProperties,
}

impl Message {
    /// A plain JSON message of this application.
    pub fn plain(app: &str, id: &str, process: &str, payload: &Value) -> Message {
        let properties = BasicProperties::default()
            .with_app_id(app.into())
            .with_message_id(id.into())
            .with_content_type("application/json".into())
            .with_delivery_mode(2);
        Message { process: process.to_owned(), body: payload.to_string().into_bytes(), properties }
    }

    /// Producer and message id: the inbox key of a plain message.
    pub fn key(&self) -> (String, String) {
        let text = |value: &Option<lapin::types::ShortString>| value.as_ref().unwrap().as_str().to_owned();
        (text(self.properties.app_id()), text(self.properties.message_id()))
    }
}

/// Connects; `None` while the broker is away.
pub async fn channel(url: &str) -> Option<(Connection, Channel)> {
    let connection =
        timeout(Duration::from_secs(5), Connection::connect(url, ConnectionProperties::default())).await.ok()?.ok()?;
    let channel = connection.create_channel().await.ok()?;
    channel.confirm_select(ConfirmSelectOptions::default()).await.ok()?;
    Some((connection, channel))
}

/// Publishes until each message is confirmed; what was not is published again, over a new connection.
pub async fn publish(url: &str, exchange: &str, messages: &[Message]) {
    let start = Instant::now();
    let mut confirmed = 0;
    while confirmed < messages.len() {
        assert!(start.elapsed() < PATIENCE, "{} messages were not confirmed", messages.len() - confirmed);
        let Some((connection, channel)) = channel(url).await else {
            wait::until("the broker to come back", PATIENCE, || async { self::channel(url).await.is_some() }).await;
            continue;
        };
        while confirmed < messages.len() {
            let end = messages.len().min(confirmed + WINDOW);
            let count = window(&channel, exchange, &messages[confirmed..end]).await;
            confirmed += count;
            if confirmed < end {
                break;
            }
        }
        drop(connection.close(200, "done".into()).await);
    }
}

/// Publishes a window; how many were confirmed without a gap.
async fn window(channel: &Channel, exchange: &str, messages: &[Message]) -> usize {
    let mut confirms = Vec::with_capacity(messages.len());
    for message in messages {
        let options = BasicPublishOptions::default();
        let (key, properties) = (message.process.as_str().into(), message.properties.clone());
        let Ok(confirm) = channel.basic_publish(exchange.into(), key, options, &message.body, properties).await else { break };
        confirms.push(confirm);
    }
    let mut confirmed = 0;
    for confirm in confirms {
        match timeout(Duration::from_secs(15), confirm).await {
            Ok(Ok(confirm)) if confirm.is_ack() => confirmed += 1,
            _ => break,
        }
    }
    confirmed
}

/// Messages ready in a queue; `None` where the queue or the broker is not there.
pub async fn depth(url: &str, queue: &str) -> Option<u32> {
    declared(url, queue).await.map(|found| found.message_count())
}

/// Takes messages out of a queue that nobody else consumes, until all of these have come.
pub async fn drain(url: &str, queue: &str, mut wanted: HashSet<(String, String)>) {
    let (connection, channel) = channel(url).await.expect("a broker");
    channel.basic_qos(1_000, BasicQosOptions::default()).await.unwrap();
    let (options, arguments) = (BasicConsumeOptions { no_ack: true, ..Default::default() }, FieldTable::default());
    let mut consumer = channel.basic_consume(queue.into(), "".into(), options, arguments).await.unwrap();
    while !wanted.is_empty() {
        let Ok(delivery) = timeout(PATIENCE, consumer.next()).await else {
            panic!("{} messages are not in {queue}, {:?} among them", wanted.len(), wanted.iter().next());
        };
        let delivery = delivery.expect("a consumer").unwrap();
        wanted.remove(&Message { process: String::new(), body: Vec::new(), properties: delivery.properties }.key());
    }
    connection.close(200, "done".into()).await.unwrap();
}

/// Who consumes from a queue; 0 where the queue or the broker is not there.
pub async fn consumers(url: &str, queue: &str) -> u32 {
    declared(url, queue).await.map_or(0, |found| found.consumer_count())
}

async fn declared(url: &str, queue: &str) -> Option<lapin::Queue> {
    let (connection, channel) = channel(url).await?;
    let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let found = channel.queue_declare(queue.into(), options, FieldTable::default()).await.ok();
    drop(connection.close(200, "done".into()).await);
    found
}

/// Is the exchange there?
pub async fn has_exchange(url: &str, exchange: &str) -> bool {
    let Some((connection, channel)) = channel(url).await else { return false };
    let options = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
    let found = channel.exchange_declare(exchange.into(), ExchangeKind::Topic, options, FieldTable::default()).await.is_ok();
    drop(connection.close(200, "done".into()).await);
    found
}

/// A message that arrived in a queue of ours.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The CloudEvent.
    pub event: Value,
    pub raw: Vec<u8>,
    pub topic: String,
    pub correlation: Option<String>,
    /// How often it arrived.
    pub copies: u32,
}

/// A queue of ours that survives the broker, and all that was read from it, by event id in order of arrival.
#[derive(Debug)]
pub struct Sink {
    url: String,
    pub queue: String,
    pub seen: Vec<Seen>,
    places: HashMap<String, usize>,
}

impl Sink {
    /// Declares the queue; bound to everything of `exchange` where one is named. The exchange must exist.
    pub async fn declare(url: &str, queue: &str, exchange: Option<&str>) -> Sink {
        let (connection, channel) = channel(url).await.expect("a broker");
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(queue.into(), options, arguments).await.unwrap();
        if let Some(exchange) = exchange {
            let (options, arguments) = (QueueBindOptions::default(), FieldTable::default());
            channel.queue_bind(queue.into(), exchange.into(), "#".into(), options, arguments).await.unwrap();
        }
        connection.close(200, "done".into()).await.unwrap();
        Sink { url: url.to_owned(), queue: queue.to_owned(), seen: Vec::new(), places: HashMap::new() }
    }

    /// The arrived message with this event id.
    pub fn by_id(&self, id: &str) -> Option<&Seen> {
        self.places.get(id).map(|place| &self.seen[*place])
    }

    /// Reads until `done`; what was read stays.
    pub async fn read_until(&mut self, what: &str, done: impl Fn(&Sink) -> bool) {
        let came = self.read_within(PATIENCE, done).await;
        assert!(came, "waited in vain in {}: {what}; {} arrived", self.queue, self.seen.len());
    }

    /// Reads until `done`; false where that did not come within the deadline.
    pub async fn read_within(&mut self, deadline: Duration, done: impl Fn(&Sink) -> bool) -> bool {
        let start = Instant::now();
        while !done(self) {
            if start.elapsed() > deadline {
                return false;
            }
            let Some((connection, channel)) = channel(&self.url).await else { continue };
            channel.basic_qos(256, BasicQosOptions::default()).await.unwrap();
            let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
            let consumer = channel.basic_consume(self.queue.as_str().into(), "".into(), options, arguments).await;
            let Ok(mut consumer) = consumer else { continue };
            while !done(self) {
                // Silence may mean a lost connection: look from the beginning.
                let Ok(Some(Ok(delivery))) = timeout(Duration::from_secs(5), consumer.next()).await else { break };
                self.keep(&delivery);
                delivery.ack(BasicAckOptions::default()).await.unwrap();
            }
            drop(connection.close(200, "done".into()).await);
        }
        true
    }

    fn keep(&mut self, delivery: &lapin::message::Delivery) {
        let event: Value = serde_json::from_slice(&delivery.data).expect("an event is JSON");
        let id = event["id"].as_str().expect("an event has an id").to_owned();
        if let Some(place) = self.places.get(&id) {
            let known = &mut self.seen[*place];
            assert_eq!(known.raw, delivery.data, "the same id with another body");
            known.copies += 1;
            return;
        }
        self.places.insert(id, self.seen.len());
        self.seen.push(Seen {
            event,
            raw: delivery.data.clone(),
            topic: delivery.routing_key.as_str().to_owned(),
            correlation: delivery.properties.correlation_id().as_ref().map(|text| text.as_str().to_owned()),
            copies: 1,
        });
    }
}
