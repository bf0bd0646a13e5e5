//! RabbitMQ: taking requests from a queue, and publishing events. The only code that uses `lapin`.
//!
//! A broker connection can die in ways that look like silence, and a library that hides this loses messages quietly. So
//! each connection has a supervisor of ours ([`supervisor`]) that builds everything anew, for ever; a message is
//! acknowledged only after its commit ([`consumer`], [`acks`]); an event counts as published only after a confirm
//! ([`publisher`]). Consuming and publishing have a connection each, since a broker short of memory blocks a
//! connection that publishes, its acknowledgements included.

mod acks;
mod consumer;
mod convert;
mod decisions;
mod frames;
mod inspect;
mod pause;
mod publisher;
pub mod signed;
mod stream;
mod supervisor;
mod topology;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use lapin::uri::AMQPUri;
use secrecy::{ExposeSecret, SecretString};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::inspect::Depth;
use self::publisher::AmqpPublisher;
pub use self::supervisor::Link;
pub use self::topology::Names;
use crate::engine::ports::broker::{DecisionSink, IntakeSink, Publisher};
use crate::engine::ports::clock::Clock;

/// The longest silence of a connection that works: the broker's and our heartbeats come twice in this time. Either side gives a
/// silent connection up after twice as long and a little more (with four seconds 9.3 were seen): within the ten seconds that we promise.
const HEARTBEAT_S: u16 = 3;
/// The longest prefix of names.
const MAX_PREFIX: usize = 64;

/// How the broker is reached, and what is declared on it.
#[derive(Clone)]
pub struct QueueConfig {
    /// `amqp://user:password@host:port/vhost`, or `amqps://`.
    pub url: SecretString,
    /// All names of ours begin with it and a dot.
    pub prefix: String,
    /// The most messages taken and not yet acknowledged.
    pub in_flight: u16,
    /// Declare queues and exchanges. False: an operator did; they are only used.
    pub declare: bool,
    /// Declare the queue of opened reviews, for tools that read it.
    pub reviews: bool,
    /// The most unconfirmed events.
    pub window: usize,
    /// How long a confirm is waited for.
    pub publish_deadline: Duration,
    /// How long stopping waits for messages that are being taken.
    pub drain: Duration,
}

impl QueueConfig {
    /// The defaults for a broker at `url`.
    #[must_use]
    pub fn new(url: SecretString) -> QueueConfig {
        QueueConfig {
            url,
            prefix: "mozhao".to_owned(),
            in_flight: 512,
            declare: true,
            reviews: false,
            window: 200,
            publish_deadline: Duration::from_secs(10),
            drain: Duration::from_secs(20),
        }
    }

    fn names(&self) -> Result<Names, QueueError> {
        let proper = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if self.prefix.is_empty() || self.prefix.len() > MAX_PREFIX || !self.prefix.bytes().all(proper) {
            let detail = format!("`amqp.prefix` is 1 to {MAX_PREFIX} letters, digits, `-`, `_` and `.`");
            return Err(QueueError::Config(detail));
        }
        Ok(Names::new(&self.prefix))
    }

    fn uri(&self) -> Result<AMQPUri, QueueError> {
        // The parser's own message may repeat the URL, and with it the password.
        let bad = |_| QueueError::Config("`amqp.url` is no URL such as amqp://user:password@host:5672/%2f".to_owned());
        let mut uri: AMQPUri = self.url.expose_secret().parse().map_err(bad)?;
        let asked = uri.query.heartbeat.filter(|seconds| *seconds > 0);
        uri.query.heartbeat = Some(asked.unwrap_or(HEARTBEAT_S).min(2 * HEARTBEAT_S));
        Ok(uri)
    }
}

impl fmt::Debug for QueueConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueConfig").field("prefix", &self.prefix).field("in_flight", &self.in_flight).finish_non_exhaustive()
    }
}

/// What goes wrong with a broker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueueError {
    /// A setting is not usable; trying again does not help.
    #[error("{0}")]
    Config(String),
    /// The broker cannot be reached, or the connection broke: built anew by the supervisor.
    #[error("the broker is not available: {0}")]
    Lost(String),
    /// A queue or exchange is there with other settings, or may not be declared or used by our user.
    #[error("the broker refuses {name}: {detail}")]
    Refused {
        /// The queue or exchange.
        name: String,
        /// What the broker says.
        detail: String,
    },
}

/// The reviewers' tools: each one's name and the secrets that it may sign with (more than one while it changes).
pub type Tools = BTreeMap<String, Vec<SecretString>>;

/// A worker's connections to the broker.
pub struct Queue {
    config: Arc<QueueConfig>,
    names: Names,
    publisher: Arc<AmqpPublisher>,
    consuming: Arc<Link>,
    deciding: Arc<Link>,
    tasks: TaskTracker,
    stop_consuming: CancellationToken,
    stop: CancellationToken,
}

impl Queue {
    /// Begins to connect, for publishing only; never waits for the broker. Call it inside a runtime.
    ///
    /// # Errors
    /// Only [`QueueError::Config`].
    pub fn start(config: QueueConfig) -> Result<Queue, QueueError> {
        let (names, uri) = (config.names()?, config.uri()?);
        let config = Arc::new(config);
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let publisher = Arc::new(AmqpPublisher::new(&config, &names));
        tasks.spawn(supervisor::supervise(
            "publish",
            uri,
            publisher.link(),
            stop.clone(),
            publisher::PublishSession::new(Arc::clone(&publisher), Arc::clone(&config), names.clone(), stop.clone()),
        ));
        let (consuming, deciding) = (Arc::new(Link::default()), Arc::new(Link::default()));
        Ok(Queue { config, names, publisher, consuming, deciding, tasks, stop_consuming: stop.child_token(), stop })
    }

    /// What publishes events.
    #[must_use]
    pub fn publisher(&self) -> Arc<dyn Publisher> {
        Arc::clone(&self.publisher) as Arc<dyn Publisher>
    }

    /// The publishing connection's state.
    #[must_use]
    pub fn publishing(&self) -> Arc<Link> {
        self.publisher.link()
    }

    /// The consuming connection's state.
    #[must_use]
    pub fn consuming(&self) -> Arc<Link> {
        Arc::clone(&self.consuming)
    }

    /// The state of the connection that takes decisions.
    #[must_use]
    pub fn deciding(&self) -> Arc<Link> {
        Arc::clone(&self.deciding)
    }

    /// Our names on the broker.
    #[must_use]
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Begins to take requests.
    ///
    /// # Errors
    /// Only [`QueueError::Config`].
    pub fn consume(&self, sink: Arc<dyn IntakeSink>) -> Result<(), QueueError> {
        let queue = self.names.requests.clone();
        self.consume_from("consume", queue, Arc::clone(&self.consuming), self.config.in_flight, sink)
    }

    /// Begins to take decisions of reviewers' tools.
    ///
    /// # Errors
    /// Only [`QueueError::Config`].
    pub fn consume_decisions(&self, tools: Tools, sink: Arc<dyn DecisionSink>, clock: Arc<dyn Clock>) -> Result<(), QueueError> {
        let queue = self.names.decisions.clone();
        let intake = Arc::new(decisions::DecisionIntake { tools, sink, clock });
        // Few at a time: a decision waits for the owner of its request.
        self.consume_from("decisions", queue, self.deciding(), self.config.in_flight.min(16), intake)
    }

    fn consume_from(
        &self,
        purpose: &'static str,
        queue: String,
        link: Arc<Link>,
        in_flight: u16,
        sink: Arc<dyn IntakeSink>,
    ) -> Result<(), QueueError> {
        let session = consumer::ConsumeSession::new(consumer::Consuming {
            queue,
            in_flight: in_flight.max(1),
            config: Arc::clone(&self.config),
            names: self.names.clone(),
            link: Arc::clone(&link),
            sink,
            stop: self.stop_consuming.clone(),
        });
        self.tasks.spawn(supervisor::supervise(purpose, self.config.uri()?, link, self.stop_consuming.clone(), session));
        Ok(())
    }

    /// Takes no more messages. Those in flight are finished and acknowledged, within `drain`; [`Queue::stop`] waits for that.
    pub fn stop_consuming(&self) {
        self.stop_consuming.cancel();
    }

    /// Stops consuming, then publishing, and closes the connections. Takes at most `drain` and a few seconds.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        let bound = self.config.drain + Duration::from_secs(5);
        if tokio::time::timeout(bound, self.tasks.wait()).await.is_err() {
            tracing::warn!("the broker's connections did not close in time; they are left to the operating system");
        }
    }

    /// Asks the broker how full our queues are; connects anew, for `doctor`.
    ///
    /// # Errors
    /// Any: the broker cannot be reached, or a queue is not there.
    pub async fn inspect(config: &QueueConfig) -> Result<Vec<Depth>, QueueError> {
        inspect::inspect(config.uri()?, &config.names()?, config.reviews).await
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("config", &self.config).finish_non_exhaustive()
    }
}
