//! The HTTP interface: `/v1` with OpenAPI 3.1, problem+json, health and metrics.
//!
//! Everything here is reached by strangers, so what is hard is refusing well. Each request passes, from the outside in:
//! [`serve`] (connections, header size and time), `around` (id, panics, deadline, answer headers, metrics), `openapi`
//! (query parameters that an operation does not have), `auth` (who), `permit` (may they), then one file per resource. What a
//! token may not see looks like what does not exist. Reads go to the store; everything that changes a request goes through
//! the engine, because only a request's owner writes its ledger.

mod around;
mod auth;
mod balance;
mod callbacks;
mod defects;
mod dependencies;
mod events;
mod extract;
mod facts;
mod health;
mod json;
mod kinds;
mod metrics;
mod openapi;
mod outlook;
pub mod permit;
pub mod problem;
mod processes;
mod rejected;
mod request_acts;
mod request_events;
mod request_view;
mod requests;
mod review_acts;
mod review_view;
mod reviews;
mod serve;
mod stamp;
mod timeline;
pub mod tokens;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

pub use auth::{PREFIX, hash};
pub use metrics::install as install_metrics;
pub use openapi::document;
pub use serve::serve;

use crate::engine::service::Engine;
use auth::TokenCache;

/// What of the interface can be set.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// The largest body, in bytes.
    pub max_body: usize,
    /// The longest `?wait=`.
    pub max_wait: Duration,
    /// The most requests that wait at once; more are answered at once with how things stand.
    pub waiters: usize,
    /// The most event streams at once; more are refused.
    pub streams: usize,
    /// Cancelled when the worker stops: waits and streams end then.
    pub stopping: CancellationToken,
    /// Where the engine's and our own metrics are rendered from; [`install_metrics`] makes one.
    pub metrics: Option<PrometheusHandle>,
}

impl Default for ApiSettings {
    fn default() -> Self {
        ApiSettings {
            max_body: 1024 * 1024,
            max_wait: Duration::from_mins(1),
            waiters: 256,
            streams: 128,
            stopping: CancellationToken::new(),
            metrics: None,
        }
    }
}

/// What the handlers share; cheap to clone.
#[derive(Clone)]
pub(crate) struct Api(Arc<Inner>);

struct Inner {
    engine: Engine,
    settings: ApiSettings,
    tokens: TokenCache,
    waiters: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    scrape: metrics::Scrape,
}

impl Api {
    fn new(engine: Engine, settings: ApiSettings) -> Api {
        let (waiters, streams) = (Arc::new(Semaphore::new(settings.waiters)), Arc::new(Semaphore::new(settings.streams)));
        let (tokens, scrape) = (TokenCache::default(), metrics::Scrape::default());
        Api(Arc::new(Inner { engine, settings, tokens, waiters, streams, scrape }))
    }

    fn engine(&self) -> &Engine {
        &self.0.engine
    }

    fn settings(&self) -> &ApiSettings {
        &self.0.settings
    }

    fn tokens(&self) -> &TokenCache {
        &self.0.tokens
    }
}

/// The interface over an engine.
pub fn router(engine: Engine, settings: ApiSettings) -> Router {
    let api = Api::new(engine, settings);
    let (router, document) = openapi::documented().split_for_parts();
    around::wrap(router, &document, api)
}
