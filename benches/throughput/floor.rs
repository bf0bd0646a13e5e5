//! The floor: the least that a hand-written program on the same stack does for the same workload, to compare the worker with.
//!
//! One thread; the same queues, calls and events; every step durable before the next one. All requests in flight share one
//! prepared statement per commit, which is its own transaction; deliveries are acknowledged in multiples after the commit that
//! recorded them, and an outcome is published, with its confirm, after the commit that recorded it. What it leaves out is what the
//! worker is for: schema, rules, clauses, a ledger that can be verified, order, limits, fencing, reviews, retries, metrics.
//!
//! It runs as a process of its own (this program with `FLOOR` set), so that its CPU and memory can be told apart.

use std::cell::RefCell;
use std::rc::Rc;

use anyhow::{Context as _, ensure};
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions, ExchangeDeclareOptions,
    QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind};
use serde::{Deserialize, Serialize};
use sqlx::{Connection as _, PgConnection};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::StreamExt as _;
use uuid::Uuid;

/// The settings' variable: makes this program the floor.
pub(crate) const FLOOR: &str = "MOZHAO_BENCH_FLOOR";
/// Deliveries in flight.
const PREFETCH: u16 = 256;
/// Writes in one transaction.
const MAX_BATCH: usize = 512;

const TABLES: [&str; 3] = [
    "CREATE TABLE requests (message TEXT PRIMARY KEY, id UUID NOT NULL, at BIGINT NOT NULL, payload BYTEA NOT NULL)",
    "CREATE TABLE steps (request UUID NOT NULL, step BIGINT NOT NULL, at BIGINT NOT NULL, body BYTEA NOT NULL, PRIMARY KEY (request, step))",
    "CREATE TABLE outcomes (request UUID PRIMARY KEY, at BIGINT NOT NULL, body BYTEA NOT NULL)",
];
const WRITE: &str = "\
    WITH taken AS (
        INSERT INTO requests (message, id, at, payload) SELECT * FROM unnest($1::TEXT[], $2::UUID[], $3::BIGINT[], $4::BYTEA[])
        ON CONFLICT DO NOTHING),
    stepped AS (
        INSERT INTO steps (request, step, at, body) SELECT * FROM unnest($5::UUID[], $6::BIGINT[], $7::BIGINT[], $8::BYTEA[]))
    INSERT INTO outcomes (request, at, body) SELECT * FROM unnest($9::UUID[], $10::BIGINT[], $11::BYTEA[])";

/// What the floor is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Settings {
    /// The database.
    pub postgres: String,
    /// The broker.
    pub rabbitmq: String,
    /// What its names begin with.
    pub prefix: String,
    /// The remote system.
    pub target: String,
}

#[derive(Deserialize)]
struct Payload {
    customer_id: String,
    card_id: String,
}

#[derive(Deserialize)]
struct Answer {
    status: String,
}

#[derive(Serialize)]
struct Event<'e> {
    specversion: &'static str,
    id: Uuid,
    source: &'static str,
    r#type: &'e str,
    subject: Uuid,
    data: Data<'e>,
}

#[derive(Serialize)]
struct Data<'e> {
    request: Uuid,
    process: &'static str,
    message: &'e str,
    customer: &'e str,
    outcome: &'static str,
}

enum Row {
    Request { message: String, id: Uuid, at: i64, payload: Vec<u8>, tag: u64 },
    Step { request: Uuid, step: i64, at: i64, body: Vec<u8> },
    Outcome { request: Uuid, at: i64, body: Vec<u8> },
}

struct Write {
    row: Row,
    done: oneshot::Sender<()>,
}

/// What all requests share.
struct Shared {
    writes: mpsc::UnboundedSender<Write>,
    publish: Channel,
    events: String,
    http: reqwest::Client,
    target: String,
    fault: RefCell<Option<anyhow::Error>>,
    faulty: tokio::sync::Notify,
}

/// Runs until it is asked to stop.
pub(crate) async fn run(settings: Settings) -> anyhow::Result<()> {
    let mut database = PgConnection::connect(&settings.postgres).await?;
    for table in TABLES {
        sqlx::query(table).execute(&mut database).await?;
    }
    let connect = || Connection::connect(&settings.rabbitmq, ConnectionProperties::default());
    let connections = [connect().await?, connect().await?];
    let (publish, consume) = (connections[0].create_channel().await?, connections[1].create_channel().await?);
    publish.confirm_select(ConfirmSelectOptions::default()).await?;
    consume.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
    let (requests, events) = (format!("{}.requests", settings.prefix), format!("{}.events", settings.prefix));
    let mut quorum = FieldTable::default();
    quorum.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    consume.queue_declare(requests.as_str().into(), durable, quorum).await?;
    // The front end begins once it finds both exchanges: the queue is bound by then.
    for exchange in [&requests, &events] {
        let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        consume.exchange_declare(exchange.as_str().into(), ExchangeKind::Topic, durable, FieldTable::default()).await?;
        if exchange == &requests {
            let all = ("#".into(), QueueBindOptions::default(), FieldTable::default());
            consume.queue_bind(requests.as_str().into(), requests.as_str().into(), all.0, all.1, all.2).await?;
        }
    }
    let none = (BasicConsumeOptions::default(), FieldTable::default());
    let mut deliveries = consume.basic_consume(requests.as_str().into(), "".into(), none.0, none.1).await?;
    let (writes, queue) = mpsc::unbounded_channel();
    let shared = Rc::new(Shared {
        writes,
        publish,
        events,
        http: reqwest::Client::builder().no_proxy().pool_max_idle_per_host(usize::from(PREFETCH)).build()?,
        target: settings.target,
        fault: RefCell::default(),
        faulty: tokio::sync::Notify::new(),
    });
    let mut stop = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let local = tokio::task::LocalSet::new();
    let committer = local.spawn_local(commit(database, consume, queue));
    let taking = async {
        loop {
            tokio::select! {
                delivery = deliveries.next() => take(&shared, delivery.context("the consumer was cancelled")??)?,
                () = shared.faulty.notified() => break,
                _ = stop.recv() => return Ok(()),
            }
        }
        Err(shared.fault.take().context("a fault")?)
    };
    local
        .run_until(async {
            tokio::select! { ended = committer => ended?, ended = taking => ended }
        })
        .await
}

/// In the order of delivery, so that one acknowledgement stands for all before it.
fn take(shared: &Rc<Shared>, delivery: Delivery) -> anyhow::Result<()> {
    let payload: Payload = serde_json::from_slice(&delivery.data)?;
    let message = delivery.properties.message_id().as_ref().context("a message without an id")?.as_str().to_owned();
    let topic = format!("request.{}.done", delivery.routing_key);
    let id = Uuid::now_v7();
    let row = Row::Request { message: message.clone(), id, at: now(), payload: delivery.data, tag: delivery.delivery_tag };
    let written = shared.write(row);
    let shared = shared.clone();
    tokio::task::spawn_local(async move {
        if let Err(error) = carry(&shared, id, &message, &payload, &topic, written).await {
            *shared.fault.borrow_mut() = Some(error);
            shared.faulty.notify_one();
        }
    });
    Ok(())
}

async fn carry(
    shared: &Shared,
    id: Uuid,
    message: &str,
    payload: &Payload,
    topic: &str,
    taken: oneshot::Receiver<()>,
) -> anyhow::Result<()> {
    taken.await?;
    let target = &shared.target;
    let checks = [
        ("bound", format!("{target}/cards/{}", payload.card_id)),
        ("active", format!("{target}/customers/{}", payload.customer_id)),
    ];
    for (step, (expected, url)) in (1..).zip(checks) {
        let body = shared.http.get(url).send().await?.error_for_status()?.bytes().await?;
        let answer: Answer = serde_json::from_slice(&body)?;
        ensure!(answer.status == expected, "an unexpected answer");
        shared.write(Row::Step { request: id, step, at: now(), body: body.into() }).await?;
    }
    let call = shared.http.post(format!("{target}/cards/{}/unbind", payload.card_id));
    let call = call.header("Idempotency-Key", id.to_string()).header("Content-Type", "application/json");
    let body = call.body(format!(r#"{{"card":"{}"}}"#, payload.card_id)).send().await?.error_for_status()?.bytes().await?;
    let _: Answer = serde_json::from_slice(&body)?;
    shared.write(Row::Outcome { request: id, at: now(), body: body.into() }).await?;
    let data = Data { request: id, process: "bench", message, customer: &payload.customer_id, outcome: "done" };
    let event = Event { specversion: "1.0", id: Uuid::now_v7(), source: "floor", r#type: topic, subject: id, data };
    let properties = BasicProperties::default().with_delivery_mode(2).with_message_id(event.id.to_string().into());
    let (exchange, body) = (shared.events.as_str().into(), serde_json::to_vec(&event)?);
    let sent = shared.publish.basic_publish(exchange, topic.into(), BasicPublishOptions::default(), &body, properties);
    ensure!(sent.await?.await?.is_ack(), "an outcome was not confirmed");
    Ok(())
}

impl Shared {
    fn write(&self, row: Row) -> oneshot::Receiver<()> {
        let (done, written) = oneshot::channel();
        // A committer that is gone is told by the answer that does not come.
        drop(self.writes.send(Write { row, done }));
        written
    }
}

/// Whatever waits when the last commit ends is the next one.
async fn commit(mut database: PgConnection, acks: Channel, mut queue: mpsc::UnboundedReceiver<Write>) -> anyhow::Result<()> {
    let mut batch = Vec::with_capacity(MAX_BATCH);
    while queue.recv_many(&mut batch, MAX_BATCH).await > 0 {
        let mut requests = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut steps = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut outcomes = (Vec::new(), Vec::new(), Vec::new());
        let (mut answers, mut last) = (Vec::with_capacity(batch.len()), None);
        for write in batch.drain(..) {
            answers.push(write.done);
            match write.row {
                Row::Request { message, id, at, payload, tag } => {
                    requests.extend([(message, id, at, payload)]);
                    last = Some(tag);
                }
                Row::Step { request, step, at, body } => steps.extend([(request, step, at, body)]),
                Row::Outcome { request, at, body } => outcomes.extend([(request, at, body)]),
            }
        }
        let query = sqlx::query(WRITE).bind(requests.0).bind(requests.1).bind(requests.2).bind(requests.3);
        let query = query.bind(steps.0).bind(steps.1).bind(steps.2).bind(steps.3);
        query.bind(outcomes.0).bind(outcomes.1).bind(outcomes.2).execute(&mut database).await?;
        if let Some(tag) = last {
            acks.basic_ack(tag, BasicAckOptions { multiple: true }).await?;
        }
        for answer in answers {
            // Nobody waits any more only where everything ends.
            answer.send(()).ok();
        }
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the floor is a program of its own")]
fn now() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}
