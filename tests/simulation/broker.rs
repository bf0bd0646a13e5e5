//! The broker: a queue of requests that redelivers whatever was not acknowledged, and a sink for events with confirms.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use mozhao::engine::ports::broker::{Incoming, IntakeSink, Publisher, Taken};
use mozhao::engine::ports::clock::{Clock, within};
use mozhao::engine::ports::records::Event;
use mozhao::engine::service::Engine;
use mozhao::proof::clock::VirtualClock;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::books::Books;
use crate::dice::Dice;
use crate::life::Life;
use crate::weather::Weather;
use crate::world::Switch;

/// The most deliveries that a consumer holds.
const PREFETCH: usize = 8;

pub(crate) struct Broker {
    pub(crate) clock: Arc<VirtualClock>,
    pub(crate) weather: Arc<Weather>,
    pub(crate) books: Arc<Books>,
    pub(crate) down: Arc<Switch>,
    pub(crate) dice: Dice,
    pub(crate) arrived: Notify,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    queue: VecDeque<(u64, Incoming)>,
    unacked: BTreeMap<u64, (u64, Incoming)>,
    /// Open channels, with the process that opened each.
    channels: BTreeMap<u64, String>,
    next: u64,
    sink: BTreeSet<Uuid>,
}

impl Broker {
    pub(crate) fn new(weather: &Arc<Weather>, books: &Arc<Books>, down: Arc<Switch>) -> Arc<Broker> {
        Arc::new(Broker {
            clock: books.clock.clone(),
            weather: weather.clone(),
            books: books.clone(),
            down,
            dice: Dice::new(weather.seed, "broker"),
            arrived: Notify::new(),
            inner: Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes a request; true only where the confirm came.
    pub(crate) async fn publish(&self, message: Incoming) -> bool {
        self.clock.sleep(self.dice.millis(1, 10)).await;
        if self.down.is_on() {
            return false;
        }
        let lost = self.weather.strikes(&self.dice, self.weather.broker);
        if !lost || self.dice.chance(500) {
            let mut inner = self.lock();
            inner.next += 1;
            let tag = inner.next;
            inner.queue.push_back((tag, message));
        }
        self.arrived.notify_waiters();
        !lost
    }

    pub(crate) fn is_empty(&self) -> bool {
        let inner = self.lock();
        inner.queue.is_empty() && inner.unacked.is_empty()
    }

    /// Whatever these channels hold comes again.
    fn close(&self, which: impl Fn(u64, &str) -> bool) {
        let mut inner = self.lock();
        let closed: Vec<u64> = inner.channels.iter().filter(|(id, owner)| which(**id, owner)).map(|(id, _)| *id).collect();
        for channel in closed {
            inner.channels.remove(&channel);
            let tags: Vec<u64> = inner.unacked.iter().filter(|(_, (of, _))| *of == channel).map(|(tag, _)| *tag).rev().collect();
            for tag in tags {
                let Some((_, mut message)) = inner.unacked.remove(&tag) else { continue };
                message.redelivered = true;
                message.delivery_count += 1;
                inner.queue.push_front((tag, message));
            }
        }
        drop(inner);
        self.arrived.notify_waiters();
    }

    /// The process's connection is gone.
    pub(crate) fn disconnect(&self, name: &str) {
        self.close(|_, owner| owner == name);
    }

    pub(crate) fn disconnect_all(&self) {
        self.close(|_, _| true);
    }

    fn open(&self, name: &str) -> u64 {
        let mut inner = self.lock();
        inner.next += 1;
        let channel = inner.next;
        inner.channels.insert(channel, name.to_owned());
        channel
    }

    fn is_open(&self, channel: u64) -> bool {
        self.lock().channels.contains_key(&channel)
    }

    fn deliver(&self, channel: u64) -> Option<(u64, Incoming)> {
        let mut inner = self.lock();
        if inner.unacked.values().filter(|(of, _)| *of == channel).count() >= PREFETCH || !inner.channels.contains_key(&channel) {
            return None;
        }
        let (tag, message) = inner.queue.pop_front()?;
        inner.unacked.insert(tag, (channel, message.clone()));
        Some((tag, message))
    }

    fn settle(&self, channel: u64, tag: u64, message: &Incoming, taken: Taken) {
        if taken == Taken::Stored {
            self.books.acknowledged(message);
            if !self.weather.strikes(&self.dice, self.weather.broker / 2) {
                let mut inner = self.lock();
                if inner.unacked.get(&tag).is_some_and(|(of, _)| *of == channel) {
                    inner.unacked.remove(&tag);
                }
                return;
            }
        }
        self.close(|id, _| id == channel);
    }

    /// The consumer of one process, until it stops.
    pub(crate) async fn consume(self: Arc<Self>, life: Arc<Life>, engine: Engine) {
        while !life.is_dead() {
            life.gate().await;
            IntakeSink::ready(&engine).await;
            if engine.status().draining {
                return;
            }
            if self.down.is_on() {
                self.clock.sleep(Duration::from_millis(700)).await;
                continue;
            }
            let channel = self.open(&life.name);
            while self.is_open(channel) && !life.is_dead() {
                life.gate().await;
                if engine.status().draining {
                    self.close(|id, _| id == channel);
                    return;
                }
                let Some((tag, message)) = self.deliver(channel) else {
                    within(self.clock.as_ref(), Duration::from_secs(2), self.arrived.notified()).await;
                    continue;
                };
                let (broker, life, engine) = (self.clone(), life.clone(), engine.clone());
                tokio::spawn(async move {
                    let taken = engine.take(message.clone()).await;
                    life.gate().await;
                    broker.settle(channel, tag, &message, taken);
                });
            }
        }
    }
}

/// A process's way to publish events.
pub(crate) struct Press {
    pub(crate) broker: Arc<Broker>,
    pub(crate) life: Arc<Life>,
}

#[async_trait]
impl Publisher for Press {
    async fn publish(&self, events: &[Event]) -> Vec<bool> {
        self.life.gate().await;
        let broker = &self.broker;
        broker.clock.sleep(broker.dice.millis(1, 20)).await;
        let mut confirmed = Vec::with_capacity(events.len());
        for event in events {
            let lost = broker.down.is_on() || broker.weather.strikes(&broker.dice, broker.weather.broker);
            if !lost || (!broker.down.is_on() && broker.dice.chance(500)) {
                broker.lock().sink.insert(event.id);
                broker.books.arrived(event);
            }
            confirmed.push(!lost);
        }
        self.life.gate().await;
        confirmed
    }

    fn connected(&self) -> bool {
        !self.broker.down.is_on()
    }
}
