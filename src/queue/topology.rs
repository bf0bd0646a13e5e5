//! All names of ours on the broker, declared in one place. Each declaration is made anew with every connection: a broker
//! that was replaced, or a queue that somebody deleted, is mended by that.
//!
//! Why the settings are what they are (measured, with RabbitMQ 3.10 and later):
//! - a delivery limit destroys healthy messages of a consumer that crashes, so ours is out of reach; without one newer
//!   brokers would set 20;
//! - what is dead-lettered nevertheless goes at least once, which needs `reject-publish`;
//! - the queues that nobody may be reading are bounded, and drop their oldest: a full one must not refuse our events,
//!   which are safe in the database.

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, ErrorKind, ExchangeKind};

use super::QueueError;

/// Deliveries without an acknowledgement before the broker gives up: never, in practice.
const DELIVERY_LIMIT: i64 = 1_000_000;
/// The most messages of a queue that nobody may be reading.
const MAX_UNREAD: i64 = 100_000;
/// The most bytes of such a queue.
const MAX_UNREAD_BYTES: i64 = 1 << 30;

/// What is kept where no queue is bound to it. Not `request.*.accepted`: whoever needs that listens, and to keep it for nobody
/// would cost the broker as much as an outcome. (Every event can be read over HTTP.)
const KEPT: [&str; 9] = [
    "request.*.done",
    "request.*.refused",
    "request.*.withdrawn",
    "request.*.expired",
    "request.*.waiting",
    "request.*.parked",
    "review.#",
    "intake.#",
    "defect.#",
];

/// Our names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// Exchange and queue: requests.
    pub requests: String,
    /// Queue: what the broker gave up on.
    pub dead: String,
    /// Exchange: events.
    pub events: String,
    /// Exchange and queue: events that somebody should have heard and no queue was bound to.
    pub unrouted: String,
    /// Queue: opened reviews.
    pub reviews: String,
    /// Queue: decisions of reviewers' tools.
    pub decisions: String,
    /// What all of them begin with.
    pub own: String,
}

impl Names {
    /// The names under a prefix.
    #[must_use]
    pub fn new(prefix: &str) -> Names {
        let name = |rest: &str| format!("{prefix}.{rest}");
        Names {
            requests: name("requests"),
            dead: name("requests.dead"),
            events: name("events"),
            unrouted: name("unrouted"),
            reviews: name("reviews"),
            decisions: name("decisions"),
            own: name(""),
        }
    }
}

/// Declares everything that consuming from `queue` needs.
pub(super) async fn declare_for_consuming(channel: &Channel, names: &Names, queue: &str) -> Result<(), QueueError> {
    declare_queue(channel, &names.dead, vec![text("x-overflow", "reject-publish"), max("x-max-length", MAX_UNREAD)]).await?;
    let arguments = vec![
        max("x-delivery-limit", DELIVERY_LIMIT),
        text("x-dead-letter-exchange", ""),
        text("x-dead-letter-routing-key", &names.dead),
        text("x-dead-letter-strategy", "at-least-once"),
        text("x-overflow", "reject-publish"),
    ];
    declare_queue(channel, queue, arguments).await?;
    if queue == names.requests {
        declare_exchange(channel, &names.requests, ExchangeKind::Topic, None).await?;
        bind(channel, &names.requests, &names.requests, "#").await?;
    }
    Ok(())
}

/// Declares everything that publishing needs.
pub(super) async fn declare_for_publishing(channel: &Channel, names: &Names, reviews: bool) -> Result<(), QueueError> {
    declare_queue(channel, &names.unrouted, unread()).await?;
    declare_exchange(channel, &names.unrouted, ExchangeKind::Topic, None).await?;
    for topic in KEPT {
        bind(channel, &names.unrouted, &names.unrouted, topic).await?;
    }
    declare_exchange(channel, &names.events, ExchangeKind::Topic, Some(&names.unrouted)).await?;
    if reviews {
        declare_queue(channel, &names.reviews, unread()).await?;
        bind(channel, &names.reviews, &names.events, "review.*.opened").await?;
    }
    Ok(())
}

type Argument = (&'static str, AMQPValue);

fn text(name: &'static str, value: &str) -> Argument {
    (name, AMQPValue::LongString(value.into()))
}

fn max(name: &'static str, value: i64) -> Argument {
    (name, AMQPValue::LongLongInt(value))
}

fn unread() -> Vec<Argument> {
    vec![max("x-max-length", MAX_UNREAD), max("x-max-length-bytes", MAX_UNREAD_BYTES), text("x-overflow", "drop-head")]
}

async fn declare_queue(channel: &Channel, name: &str, arguments: Vec<Argument>) -> Result<(), QueueError> {
    let mut table = FieldTable::default();
    table.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    for (key, value) in arguments {
        table.insert(key.into(), value);
    }
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(short(name)?, options, table).await.map_err(|error| refused(name, &error))?;
    Ok(())
}

async fn declare_exchange(channel: &Channel, name: &str, kind: ExchangeKind, otherwise: Option<&str>) -> Result<(), QueueError> {
    let mut table = FieldTable::default();
    if let Some(otherwise) = otherwise {
        table.insert("alternate-exchange".into(), AMQPValue::LongString(otherwise.into()));
    }
    let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    channel.exchange_declare(short(name)?, kind, options, table).await.map_err(|error| refused(name, &error))
}

async fn bind(channel: &Channel, queue: &str, exchange: &str, key: &str) -> Result<(), QueueError> {
    let bound =
        channel.queue_bind(short(queue)?, short(exchange)?, short(key)?, QueueBindOptions::default(), FieldTable::default());
    bound.await.map_err(|error| refused(queue, &error))
}

/// A short name; ours are, since the prefix is.
pub(super) fn short(text: &str) -> Result<ShortString, QueueError> {
    ShortString::try_new(text).map_err(|error| QueueError::Config(error.to_string()))
}

/// Tells what the broker refuses from a connection that broke.
pub(super) fn refused(name: &str, error: &lapin::Error) -> QueueError {
    match error.kind() {
        ErrorKind::ProtocolError(said) if error.is_amqp_soft_error() => {
            QueueError::Refused { name: name.to_owned(), detail: said.get_message().to_string() }
        }
        _ => QueueError::Lost(error.to_string()),
    }
}
