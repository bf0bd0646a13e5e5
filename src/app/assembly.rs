//! A worker from its parts: store, remote systems, broker, HTTP interface. `serve` reads the parts from a
//! configuration, the demo and benchmarks make them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::{self, ApiSettings, Desk};
use crate::console::oidc::Oidc;
use crate::console::{self, Doors};
use crate::engine::clock::SystemClock;
use crate::engine::ports::broker::Publisher;
use crate::engine::ports::remote::Remote;
use crate::engine::ports::store::Store;
use crate::engine::service::{Engine, Parts, Settings};
use crate::queue::{Queue, QueueConfig, Tools};

/// What a worker is made of.
pub struct Assembly {
    /// Durable state, migrated.
    pub store: Arc<dyn Store>,
    /// Remote systems.
    pub remote: Arc<dyn Remote>,
    /// The broker, where there is one.
    pub broker: Option<Broker>,
    /// Where the HTTP interface listens.
    pub listener: TcpListener,
    /// The engine's settings.
    pub settings: Settings,
    /// An identity provider, where people sign in at one.
    pub oidc: Option<Oidc>,
    /// How long a decision in the console can be taken back; zero: not at all.
    pub undo: Duration,
}

/// How the broker is used.
pub struct Broker {
    /// How it is reached.
    pub config: QueueConfig,
    /// The tools whose decisions are consumed; `None`: the queue is not used.
    pub tools: Option<Tools>,
}

/// A worker at work.
pub struct Running {
    /// The engine.
    pub engine: Engine,
    /// Where the HTTP interface listens.
    pub address: SocketAddr,
    queue: Option<Queue>,
    http: CancellationToken,
    stopping: CancellationToken,
    tasks: TaskTracker,
}

impl Assembly {
    /// Starts the worker: publishes its processes, consumes, listens.
    ///
    /// # Errors
    /// Processes with errors, a store that fails, broker settings that cannot work.
    pub async fn start(self) -> anyhow::Result<Running> {
        let Assembly { store, remote, broker, listener, settings, oidc, undo } = self;
        let address = listener.local_addr().context("the HTTP listener")?;
        let (queue, tools) = match broker {
            Some(Broker { config, tools }) => (Some(Queue::start(config)?), tools),
            None => (None, None),
        };
        let publisher: Option<Arc<dyn Publisher>> = queue.as_ref().map(Queue::publisher);
        let clock = Arc::new(SystemClock);
        let public_url = settings.public_url.clone();
        let engine = Engine::start(Parts { store, remote, publisher, clock: clock.clone(), settings }).await?;
        if let Some(queue) = &queue {
            queue.consume(Arc::new(engine.clone()))?;
            if let Some(tools) = tools {
                queue.consume_decisions(tools, Arc::new(engine.clone()), clock)?;
            }
        }
        let (http, stopping, tasks) = (CancellationToken::new(), CancellationToken::new(), TaskTracker::new());
        let api = ApiSettings { stopping: stopping.clone(), metrics: api::install_metrics().ok(), ..ApiSettings::default() };
        let interface = api::router(engine.clone(), api);
        let pages = console::router(Desk::new(interface.clone()), engine.clone(), Doors { public_url, oidc, undo });
        tasks.spawn(api::keep(engine.clone(), stopping.clone()));
        tasks.spawn(api::work_batches(engine.clone(), stopping.clone()));
        tasks.spawn(api::serve(listener, interface.merge(pages), http.clone()));
        Ok(Running { engine, address, queue, http, stopping, tasks })
    }
}

impl Running {
    /// Works until `drain`, then finishes what runs, releases what is owned, and ends.
    ///
    /// # Errors
    /// The store failed while the worker registered itself anew.
    pub async fn run(self, drain: CancellationToken) -> anyhow::Result<()> {
        let Running { engine, queue, http, stopping, tasks, .. } = self;
        let stop = {
            let engine = engine.clone();
            async move {
                drain.cancelled().await;
                // No new messages and no new waits; then the engine drains.
                if let Some(queue) = &queue {
                    queue.stop_consuming();
                }
                stopping.cancel();
                engine.stop();
                queue
            }
        };
        let stopped = tokio::spawn(stop);
        let result = engine.run().await;
        http.cancel();
        engine.stop();
        if result.is_ok()
            && let Ok(Some(queue)) = stopped.await
        {
            queue.stop().await;
        }
        tasks.close();
        tasks.wait().await;
        result.context("the worker ended")
    }
}
