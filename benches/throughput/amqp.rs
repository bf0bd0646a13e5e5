//! Requests published to RabbitMQ with confirms, outcomes consumed as events: what a front end does.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions, ExchangeDeclareOptions,
    QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer, ExchangeKind};
use tokio::sync::Semaphore;
use tokio_stream::StreamExt as _;

use super::load::{Book, Outcome, Pace, payload};

/// Confirms that may be outstanding.
const UNCONFIRMED: usize = 200;
/// Deliveries between two acknowledgements.
const ACK_EVERY: u64 = 64;

/// A front end: one connection to publish, one to consume.
pub(crate) struct FrontEnd {
    publish: Channel,
    consume: Channel,
    queue: String,
    process: String,
    exchange: String,
    _connections: [Connection; 2],
}

impl FrontEnd {
    /// Connects and binds a queue of its own to the outcomes of a process's requests.
    pub(crate) async fn open(url: &str, prefix: &str, process: &str) -> anyhow::Result<FrontEnd> {
        let connect = || Connection::connect(url, ConnectionProperties::default());
        let connections = [connect().await?, connect().await?];
        for exchange in ["requests", "events"] {
            wait_for(&connections[0], &format!("{prefix}.{exchange}")).await?;
        }
        let (publish, consume) = (connections[0].create_channel().await?, connections[1].create_channel().await?);
        publish.confirm_select(ConfirmSelectOptions::default()).await?;
        let queue = format!("{prefix}.bench");
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        consume.queue_declare(queue.as_str().into(), durable, arguments).await?;
        let events = format!("{prefix}.events");
        let outcomes = ["done", "refused", "withdrawn", "expired"].map(|outcome| format!("request.{process}.{outcome}"));
        for key in outcomes.into_iter().chain([format!("review.{process}.opened")]) {
            let (options, arguments) = (QueueBindOptions::default(), FieldTable::default());
            consume.queue_bind(queue.as_str().into(), events.as_str().into(), key.as_str().into(), options, arguments).await?;
        }
        consume.basic_qos(1024, BasicQosOptions::default()).await?;
        Ok(FrontEnd {
            publish,
            consume,
            queue,
            process: process.to_owned(),
            exchange: format!("{prefix}.requests"),
            _connections: connections,
        })
    }

    /// Sends `count` requests whose ids start with `run`, and hears their outcomes.
    pub(crate) async fn run(&self, run: &str, count: usize, pace: Pace) -> anyhow::Result<Outcome> {
        let book = Arc::new(Mutex::new(Book::new(count)));
        let room = Arc::new(Semaphore::new(match pace {
            Pace::Full { outstanding } => outstanding,
            Pace::Fixed { .. } => Semaphore::MAX_PERMITS,
        }));
        let tag = format!("bench-{run}");
        let consumer = self
            .consume
            .basic_consume(self.queue.as_str().into(), tag.as_str().into(), BasicConsumeOptions::default(), FieldTable::default())
            .await?;
        let hearing = tokio::spawn(hear(consumer, run.to_owned(), book.clone(), room.clone()));
        self.send(run, count, pace, &book, &room).await?;
        hearing.await??;
        self.consume.basic_cancel(tag.as_str().into(), lapin::options::BasicCancelOptions::default()).await?;
        let outcome = lock(&book).outcome();
        Ok(outcome)
    }

    async fn send(&self, run: &str, count: usize, pace: Pace, book: &Mutex<Book>, room: &Semaphore) -> anyhow::Result<()> {
        let mut tick = match pace {
            Pace::Full { .. } => None,
            Pace::Fixed { per_second } => Some(tokio::time::interval(Duration::from_secs(1) / per_second)),
        };
        let mut unconfirmed = VecDeque::with_capacity(UNCONFIRMED);
        for number in 0..count {
            if let Some(tick) = &mut tick {
                tick.tick().await;
            }
            room.acquire().await?.forget();
            lock(book).send(number);
            let properties = BasicProperties::default()
                .with_message_id(format!("{run}-{number}").into())
                .with_app_id("bench".into())
                .with_content_type("application/json".into())
                .with_delivery_mode(2);
            let body = payload(number);
            let sent = self.publish.basic_publish(
                self.exchange.as_str().into(),
                self.process.as_str().into(),
                BasicPublishOptions::default(),
                body.as_bytes(),
                properties,
            );
            unconfirmed.push_back(sent.await?);
            if unconfirmed.len() >= UNCONFIRMED
                && let Some(first) = unconfirmed.pop_front()
            {
                ensure!(first.await?.is_ack(), "a request was not confirmed");
            }
        }
        for confirm in unconfirmed {
            ensure!(confirm.await?.is_ack(), "a request was not confirmed");
        }
        Ok(())
    }

    /// Removes its queue and those of the program, which has ended: what is kept in them costs the broker, and would be charged to
    /// whoever is measured next.
    pub(crate) async fn close(self, prefix: &str) -> anyhow::Result<()> {
        self.consume.queue_delete(self.queue.as_str().into(), QueueDeleteOptions::default()).await?;
        for name in ["requests", "requests.dead", "unrouted", "reviews", "decisions"] {
            // One that is not there is deleted, too.
            let queue = format!("{prefix}.{name}");
            self.publish.queue_delete(queue.as_str().into(), QueueDeleteOptions::default()).await?;
        }
        Ok(())
    }
}

/// Messages per second through a queue of the same kind, published with confirms, consumed and acknowledged: what the broker
/// and this program's half can do without a worker.
pub async fn alone(url: &str, count: usize, outstanding: usize) -> anyhow::Result<f64> {
    const QUEUE: &str = "bench.alone";
    let connect = || Connection::connect(url, ConnectionProperties::default());
    let connections = [connect().await?, connect().await?];
    let (publish, consume) = (connections[0].create_channel().await?, connections[1].create_channel().await?);
    publish.confirm_select(ConfirmSelectOptions::default()).await?;
    consume.basic_qos(1024, BasicQosOptions::default()).await?;
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    consume.queue_declare(QUEUE.into(), durable, arguments).await?;
    let mut consumer =
        consume.basic_consume(QUEUE.into(), "".into(), BasicConsumeOptions::default(), FieldTable::default()).await?;
    let room = Arc::new(Semaphore::new(outstanding));
    let (start, body, freed) = (Instant::now(), payload(0), room.clone());
    let hearing = tokio::spawn(async move {
        for number in 1..=count as u64 {
            let delivery = consumer.next().await.context("the consumer was cancelled")??;
            freed.add_permits(1);
            if number.is_multiple_of(ACK_EVERY) || number == count as u64 {
                delivery.ack(BasicAckOptions { multiple: true }).await?;
            }
        }
        anyhow::Ok(())
    });
    let mut unconfirmed = VecDeque::with_capacity(UNCONFIRMED);
    for _ in 0..count {
        room.acquire().await?.forget();
        let properties = BasicProperties::default().with_delivery_mode(2);
        let sent =
            publish.basic_publish("".into(), QUEUE.into(), BasicPublishOptions::default(), body.as_bytes(), properties).await?;
        unconfirmed.push_back(sent);
        if unconfirmed.len() >= UNCONFIRMED
            && let Some(first) = unconfirmed.pop_front()
        {
            ensure!(first.await?.is_ack(), "a message was not confirmed");
        }
    }
    for confirm in unconfirmed {
        ensure!(confirm.await?.is_ack(), "a message was not confirmed");
    }
    hearing.await??;
    consume.queue_delete(QUEUE.into(), QueueDeleteOptions::default()).await?;
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    Ok(count as f64 / start.elapsed().as_secs_f64())
}

/// Waits until the worker has declared an exchange.
async fn wait_for(connection: &Connection, exchange: &str) -> anyhow::Result<()> {
    let look = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
    for _ in 0..300 {
        // A name that is not there closes the channel.
        let channel = connection.create_channel().await?;
        if channel.exchange_declare(exchange.into(), ExchangeKind::Topic, look, FieldTable::default()).await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    anyhow::bail!("the worker did not declare {exchange}")
}

/// Reads events until every request has its outcome, or nothing came for a while.
async fn hear(mut consumer: Consumer, run: String, book: Arc<Mutex<Book>>, room: Arc<Semaphore>) -> anyhow::Result<()> {
    let mut since_ack = 0;
    loop {
        let complete = lock(&book).complete();
        // A little longer than the last outcome, to hear duplicates.
        let patience = if complete { Duration::from_millis(300) } else { Duration::from_secs(20) };
        let Ok(next) = tokio::time::timeout(patience, consumer.next()).await else { break };
        let delivery = next.context("the consumer was cancelled")??;
        // Where a person is asked, the machine has done its part.
        let done = matches!(delivery.routing_key.as_str().rsplit('.').next(), Some("done" | "opened"));
        if let Some(number) = number_of(&delivery.data, &run)
            && lock(&book).end(number, done)
        {
            room.add_permits(1);
        }
        since_ack += 1;
        if since_ack == ACK_EVERY || lock(&book).complete() {
            since_ack = 0;
            delivery.ack(BasicAckOptions { multiple: true }).await?;
        }
    }
    Ok(())
}

/// The request's number, from the message id that the event repeats.
fn number_of(event: &[u8], run: &str) -> Option<usize> {
    let text = std::str::from_utf8(event).ok()?;
    let (_, rest) = text.split_once("\"message\":\"")?;
    rest.strip_prefix(run)?.strip_prefix('-')?.split('"').next()?.parse().ok()
}

fn lock(book: &Mutex<Book>) -> std::sync::MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}
