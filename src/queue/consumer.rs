//! Takes messages and acknowledges each strictly after its commit. The only answer that a broker ever gets is that
//! acknowledgement: no `nack`, no `reject`, no requeue. What could not be stored comes again because the channel is
//! dropped, after the sink says that storing is likely to work.
//!
//! An acknowledgement costs the broker as much as a message, whatever it covers; so what is stored waits a moment for its neighbours,
//! unless many are stored already. Nobody's request waits for that: only the broker's copy of the message goes a little later.
//!
//! A take is never cancelled half-way: when a connection is lost, those in flight go on by themselves, hold their places,
//! and the messages that come again are recognised by their keys.

use std::future::pending;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, Consumer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_stream::StreamExt as _;
use tokio_util::sync::CancellationToken;

use super::acks::{Ack, Acks};
use super::supervisor::{Link, Session};
use super::topology::{self, Names, refused, short};
use super::{QueueConfig, QueueError, convert};
use crate::domain::message::Incoming;
use crate::engine::ports::broker::{IntakeSink, Taken};
use crate::faults::bug;

/// A message that came back so often is taken while nothing else is in flight: if it kills its worker, it does so alone. Its count
/// never makes it a rejected one: an outage of the database counts for all that were in flight, and they are innocent.
const SUSPECT: u64 = 3;
/// The longest that an acknowledgement or a cancel may take to be written.
const WRITE: Duration = Duration::from_secs(10);

/// How long what is stored waits for its neighbours before it is acknowledged without them.
const ACK_AFTER: Duration = Duration::from_millis(10);

/// What is consumed, and by whom.
pub(super) struct Consuming {
    pub(super) queue: String,
    pub(super) in_flight: u16,
    pub(super) config: Arc<QueueConfig>,
    pub(super) names: Names,
    pub(super) link: Arc<Link>,
    pub(super) sink: Arc<dyn IntakeSink>,
    pub(super) stop: CancellationToken,
}

/// Consumes over one connection after the other.
pub(super) struct ConsumeSession {
    what: Consuming,
    /// Places of takes, over all sessions: one left over from a lost connection still holds its own.
    places: Arc<Semaphore>,
}

impl ConsumeSession {
    pub(super) fn new(what: Consuming) -> ConsumeSession {
        let places = Arc::new(Semaphore::new(usize::from(what.in_flight)));
        ConsumeSession { what, places }
    }
}

impl Session for ConsumeSession {
    async fn run(&mut self, connection: &Connection) -> Result<(), QueueError> {
        let what = &self.what;
        tokio::select! {
            () = what.stop.cancelled() => return Ok(()),
            () = what.sink.ready() => {}
        }
        let lost = |error: lapin::Error| QueueError::Lost(error.to_string());
        let channel = connection.create_channel().await.map_err(lost)?;
        if what.config.declare {
            topology::declare_for_consuming(&channel, &what.names, &what.queue).await?;
        }
        channel.basic_qos(what.in_flight, BasicQosOptions::default()).await.map_err(lost)?;
        let consumed =
            channel.basic_consume(short(&what.queue)?, short("")?, BasicConsumeOptions::default(), FieldTable::default());
        let consumer = consumed.await.map_err(|error| refused(&what.queue, &error))?;
        what.link.set_up();
        tracing::info!(queue = %what.queue, in_flight = what.in_flight, "consuming");
        let (results, ended) = mpsc::channel(usize::from(what.in_flight));
        let (acks, ack_at) = (Acks::default(), None);
        let mut pump = Pump { what, places: &self.places, channel: &channel, acks, ack_at, running: 0, results, ended };
        pump.run(consumer).await
    }
}

/// A take that ended.
struct Ended {
    tag: u64,
    taken: Taken,
}

/// What may be read next.
enum Mode {
    /// Anything.
    Open,
    /// Nothing until all takes have ended; then this one.
    Emptying(u64, Box<Incoming>),
    /// Nothing until the suspect's take has ended.
    Alone,
}

/// One channel's deliveries on their way.
struct Pump<'s> {
    what: &'s Consuming,
    places: &'s Arc<Semaphore>,
    channel: &'s Channel,
    acks: Acks,
    /// When whatever is stored is acknowledged.
    ack_at: Option<Instant>,
    /// Takes of this channel that have not ended.
    running: usize,
    results: mpsc::Sender<Ended>,
    ended: mpsc::Receiver<Ended>,
}

impl Pump<'_> {
    async fn run(&mut self, mut consumer: Consumer) -> Result<(), QueueError> {
        let mut mode = Mode::Open;
        loop {
            mode = match mode {
                Mode::Emptying(tag, message) if self.running == 0 => {
                    let place = place(self.places).await?;
                    self.spawn(tag, *message, place);
                    Mode::Alone
                }
                Mode::Alone if self.running == 0 => Mode::Open,
                mode => mode,
            };
            let open = matches!(mode, Mode::Open);
            tokio::select! {
                // Results first: an acknowledgement makes room.
                biased;
                Some(ended) = self.ended.recv() => match self.settle(ended).await? {
                    Taken::Stored => {}
                    Taken::NotStored => return Err(QueueError::Lost("a message could not be stored".to_owned())),
                    Taken::Stop => {
                        self.what.link.set_down(QueueError::Lost("the intake takes no more".to_owned()));
                        self.stop(&consumer).await?;
                        self.what.stop.cancelled().await;
                        return Ok(());
                    }
                },
                () = self.what.stop.cancelled() => return self.stop(&consumer).await,
                () = until(self.ack_at), if self.ack_at.is_some() => self.acknowledge().await?,
                delivery = next(&mut consumer, self.places), if open => {
                    let (delivery, place) = delivery?;
                    let tag = delivery.delivery_tag;
                    self.acks.delivered(tag);
                    let message = convert::incoming(delivery);
                    if message.delivery_count >= SUSPECT {
                        tracing::warn!(count = message.delivery_count, "a message came back often; it is taken alone");
                        mode = Mode::Emptying(tag, Box::new(message));
                    } else {
                        self.spawn(tag, message, place);
                    }
                }
            }
        }
    }

    fn spawn(&mut self, tag: u64, message: Incoming, place: OwnedSemaphorePermit) {
        let (sink, results) = (Arc::clone(&self.what.sink), self.results.clone());
        self.running += 1;
        tokio::spawn(async move {
            if bug("acked_at_delivery") {
                drop(results.send(Ended { tag, taken: Taken::Stored }).await);
                drop((sink.take(message).await, place));
                return;
            }
            let taken = AssertUnwindSafe(sink.take(message)).catch_unwind().await.unwrap_or_else(|_| {
                tracing::error!("taking a message panicked; it will come again");
                Taken::NotStored
            });
            drop(place);
            // Nobody listens any more where the connection was lost: the message comes again and is recognised.
            drop(results.send(Ended { tag, taken }).await);
        });
    }

    /// Takes in what ended: this one and all that ended meanwhile. Gives the worst that happened to any.
    async fn settle(&mut self, first: Ended) -> Result<Taken, QueueError> {
        let mut worst = Taken::Stored;
        let mut next = Some(first);
        while let Some(Ended { tag, taken }) = next {
            self.running -= 1;
            match taken {
                Taken::Stored => self.acks.stored(tag),
                Taken::NotStored if worst == Taken::Stop => {}
                Taken::NotStored | Taken::Stop => worst = taken,
            }
            next = self.ended.try_recv().ok();
        }
        // Long before the broker would have to wait for room.
        let many = usize::from(self.what.in_flight).div_ceil(4);
        if worst == Taken::Stored {
            if self.acks.waiting() >= many
                && let Some(ack) = self.acks.whole()
            {
                self.send(ack).await?;
            }
            self.ack_at = if self.acks.is_empty() { None } else { self.ack_at.or_else(|| Some(Instant::now() + ACK_AFTER)) };
        } else {
            self.acknowledge().await?;
        }
        Ok(worst)
    }

    /// Acknowledges everything that is stored.
    async fn acknowledge(&mut self) -> Result<(), QueueError> {
        self.ack_at = None;
        for ack in self.acks.take() {
            self.send(ack).await?;
        }
        Ok(())
    }

    async fn send(&self, ack: Ack) -> Result<(), QueueError> {
        match timeout(WRITE, self.channel.basic_ack(ack.tag, BasicAckOptions { multiple: ack.multiple })).await {
            Ok(sent) => sent.map_err(|error| QueueError::Lost(error.to_string())),
            Err(_) => Err(QueueError::Lost("an acknowledgement could not be written".to_owned())),
        }
    }

    /// Takes no more; what is in flight may end within `drain`.
    async fn stop(&mut self, consumer: &Consumer) -> Result<(), QueueError> {
        let deadline = Instant::now() + self.what.config.drain;
        drop(timeout(WRITE, self.channel.basic_cancel(consumer.tag(), BasicCancelOptions::default())).await);
        while self.running > 0 {
            let Ok(Some(ended)) = timeout_at(deadline, self.ended.recv()).await else {
                tracing::warn!(left = self.running, "messages are still being taken; they will come again");
                break;
            };
            self.settle(ended).await?;
        }
        self.acknowledge().await
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}

async fn place(places: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, QueueError> {
    Arc::clone(places).acquire_owned().await.map_err(|error| QueueError::Lost(error.to_string()))
}

/// The next delivery with a place for it.
async fn next(consumer: &mut Consumer, places: &Arc<Semaphore>) -> Result<(Delivery, OwnedSemaphorePermit), QueueError> {
    let place = place(places).await?;
    match consumer.next().await {
        Some(Ok(delivery)) => Ok((delivery, place)),
        // After an error the stream is silent for ever; and it ends where the broker cancelled it (the queue is gone).
        Some(Err(error)) => Err(QueueError::Lost(error.to_string())),
        None => Err(QueueError::Lost("the broker cancelled the consumer: the queue was deleted or its node is gone".to_owned())),
    }
}
