//! Publishes events, each with its confirm, many at a time. True means that the broker has it; everything else (a nack, a
//! deadline, a connection that broke) means that nobody knows, and the event is published again later with the same id.
//!
//! Events are not `mandatory`: the alternate exchange catches what no queue is bound to, and the library attributes
//! returned messages to the wrong one when many are in flight. A connection on which a confirm did not come in time is
//! thrown away: late confirms would pile up on it.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, Connection, PublisherConfirm};
use tokio::sync::Notify;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};

use super::supervisor::{Link, Session};
use super::topology::{self, Names};
use super::{QueueConfig, QueueError};
use crate::engine::ports::broker::Publisher;
use crate::engine::ports::records::Event;
use crate::faults::bug;

/// How long a queue named in `reply_to` has to take its copy.
const REPLY_PATIENCE: Duration = Duration::from_secs(2);
/// How often a quiet connection is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// The delivery mode of a message that survives the broker.
const PERSISTENT: u8 = 2;

/// Publishes over whatever connection there is.
pub(super) struct AmqpPublisher {
    channel: RwLock<Option<Channel>>,
    link: Arc<Link>,
    /// Rung when the connection should be thrown away.
    broken: Notify,
    events: String,
    own: String,
    window: usize,
    deadline: Duration,
}

/// An event that was written.
#[derive(Default)]
struct Sent {
    first: Option<PublisherConfirm>,
    copy: Option<PublisherConfirm>,
}

impl Sent {
    /// True once the broker has the event; false where it refused it: it is short of something. The copy's queue is its owner's
    /// business: full, or without a majority, it must not hold up everybody's events, nor have them published again and again.
    async fn confirmed(self, event: &Event, copy_by: Instant) -> Result<bool, lapin::Error> {
        let acked = match self.first {
            Some(first) => first.await?.is_ack(),
            None => true,
        };
        if let Some(copy) = self.copy
            && !matches!(timeout_at(copy_by, copy).await, Ok(Ok(confirm)) if confirm.is_ack())
        {
            tracing::warn!(event = %event.id, topic = %event.topic, "the queue in reply_to did not take its copy of an event");
        }
        Ok(acked)
    }
}

/// `None`: nobody knows, and the connection is of no more use.
fn told<T>(result: Result<Result<T, lapin::Error>, Elapsed>, event: &Event) -> Option<T> {
    match result {
        Ok(Ok(value)) => Some(value),
        Ok(Err(error)) => {
            tracing::warn!(%error, topic = %event.topic, "an event could not be published; it is published again later");
            None
        }
        Err(_) => {
            tracing::warn!(topic = %event.topic, "an event was not confirmed in time; it is published again later");
            None
        }
    }
}

impl AmqpPublisher {
    pub(super) fn new(config: &QueueConfig, names: &Names) -> AmqpPublisher {
        AmqpPublisher {
            channel: RwLock::new(None),
            link: Arc::new(Link::default()),
            broken: Notify::new(),
            events: names.events.clone(),
            own: names.own.clone(),
            window: config.window.max(1),
            deadline: config.publish_deadline,
        }
    }

    pub(super) fn link(&self) -> Arc<Link> {
        Arc::clone(&self.link)
    }

    fn set(&self, channel: Option<Channel>) {
        *self.channel.write().unwrap_or_else(PoisonError::into_inner) = channel;
    }

    fn current(&self) -> Option<Channel> {
        self.channel.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes an event and its copy; gives the confirms to wait for.
    async fn send(&self, channel: &Channel, event: &Event) -> Result<Sent, lapin::Error> {
        // A topic is made of our own words and a process's name: it always fits.
        let Ok(topic) = ShortString::try_new(event.topic.as_str()) else { return Ok(Sent::default()) };
        let Ok(exchange) = ShortString::try_new(self.events.as_str()) else { return Ok(Sent::default()) };
        let options = BasicPublishOptions::default();
        let first = channel.basic_publish(exchange, topic, options, &event.body, properties(event)).await?;
        let copy = match self.reply_to(event) {
            None => None,
            Some(queue) => {
                let mut properties = properties(event);
                if let Some(correlation) = event.correlation.as_deref().and_then(|text| ShortString::try_new(text).ok()) {
                    properties = properties.with_correlation_id(correlation);
                }
                // The default exchange: straight to that queue, and into nothing where it is gone.
                Some(channel.basic_publish("".into(), queue, options, &event.body, properties).await?)
            }
        };
        Ok(Sent { first: Some(first), copy })
    }

    /// Where the copy goes: never to a queue of ours, where it would be taken for a request.
    fn reply_to(&self, event: &Event) -> Option<ShortString> {
        let queue = event.reply_to.as_deref().filter(|queue| !queue.is_empty())?;
        if queue.starts_with(&self.own) {
            tracing::warn!(event = %event.id, "a reply to a queue of our own is not sent");
            return None;
        }
        ShortString::try_new(queue).ok()
    }
}

fn properties(event: &Event) -> BasicProperties {
    BasicProperties::default()
        .with_message_id(event.id.to_string().into())
        .with_content_type("application/cloudevents+json".into())
        .with_app_id("mozhao".into())
        .with_timestamp(u64::try_from(event.at.0 / 1_000_000).unwrap_or(0))
        .with_delivery_mode(PERSISTENT)
}

#[async_trait]
impl Publisher for AmqpPublisher {
    /// Window by window: all of one are written, then their confirms are waited for in that order, in which they mostly come; one
    /// deadline stands for all of them. The library answers a write when it has reached the socket: one after the other, each
    /// would cost two threads a wake-up; side by side, they go in a few big writes.
    async fn publish(&self, events: &[Event]) -> Vec<bool> {
        let mut acked = vec![false; events.len()];
        let Some(channel) = self.current() else { return acked };
        let mut usable = true;
        for (events, acked) in events.chunks(self.window).zip(acked.chunks_mut(self.window)) {
            let end = Instant::now() + self.deadline;
            let sends = events.iter().map(|event| timeout_at(end, self.send(&channel, event)));
            let sent: Vec<Option<Sent>> =
                join_all(sends).await.into_iter().zip(events).map(|(sent, event)| told(sent, event)).collect();
            let copy_by = end.min(Instant::now() + REPLY_PATIENCE);
            // After the deadline each is looked at once more: what has come by then counts.
            for ((one, event), acked) in sent.into_iter().zip(events).zip(acked) {
                let told = match one {
                    Some(one) => told(timeout_at(end, one.confirmed(event, copy_by)).await, event),
                    None => None,
                };
                if let Some(ack) = told {
                    *acked = ack;
                } else {
                    *acked = bug("confirm_assumed");
                    usable = false;
                }
            }
            if !usable {
                self.broken.notify_one();
                break;
            }
        }
        acked
    }

    fn connected(&self) -> bool {
        self.link.up()
    }
}

/// Keeps the channel that events are published on.
pub(super) struct PublishSession {
    publisher: Arc<AmqpPublisher>,
    config: Arc<QueueConfig>,
    names: Names,
    stop: tokio_util::sync::CancellationToken,
}

impl PublishSession {
    pub(super) fn new(
        publisher: Arc<AmqpPublisher>,
        config: Arc<QueueConfig>,
        names: Names,
        stop: tokio_util::sync::CancellationToken,
    ) -> PublishSession {
        PublishSession { publisher, config, names, stop }
    }

    async fn watch(&self, connection: &Connection, channel: &Channel) -> Result<(), QueueError> {
        let mut look = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return Ok(()),
                () = self.publisher.broken.notified() => {
                    return Err(QueueError::Lost("an event was not confirmed".to_owned()));
                }
                _ = look.tick() => {
                    if !connection.status().connected() || !channel.status().connected() {
                        return Err(QueueError::Lost("the connection broke".to_owned()));
                    }
                }
            }
        }
    }
}

impl Session for PublishSession {
    async fn run(&mut self, connection: &Connection) -> Result<(), QueueError> {
        let lost = |error: lapin::Error| QueueError::Lost(error.to_string());
        let channel = connection.create_channel().await.map_err(lost)?;
        if self.config.declare {
            topology::declare_for_publishing(&channel, &self.names, self.config.reviews).await?;
        }
        channel.confirm_select(ConfirmSelectOptions::default()).await.map_err(lost)?;
        self.publisher.set(Some(channel.clone()));
        self.publisher.link.set_up();
        tracing::info!(exchange = %self.names.events, "publishing");
        let result = self.watch(connection, &channel).await;
        self.publisher.set(None);
        result
    }
}
