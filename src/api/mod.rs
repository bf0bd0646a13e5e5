//! The HTTP interface: `/v1` with OpenAPI 3.1, problem+json, health and metrics.
//!
//! Everything here is reached by strangers, so what is hard is refusing well. Each request passes, from the outside in:
//! [`serve`] (connections, header size and time), `around` (id, panics, deadline, answer headers, metrics), `openapi`
//! (query parameters that an operation does not have), `auth` (who), `permit` (may they), then one file per resource. What a
//! token may not see looks like what does not exist. Reads go to the store; everything that changes a request goes through
//! the engine, because only a request's owner writes its ledger.

mod acts;
mod around;
mod auth;
mod balance;
mod batches;
mod batching;
mod callbacks;
mod clauses;
mod decisions;
mod defects;
mod dependencies;
mod desk;
mod events;
mod extract;
mod facts;
mod health;
mod history;
mod json;
mod kept;
mod kinds;
mod late;
mod metrics;
mod openapi;
mod outlook;
pub mod permit;
mod presence;
pub mod problem;
mod processes;
mod qualifiers;
mod rejected;
mod releasing;
mod request_acts;
mod request_events;
mod request_view;
mod requests;
mod review_acts;
mod review_view;
mod reviews;
mod serve;
mod setting_aside;
mod stall;
mod stamp;
mod timeline;
pub mod tokens;
mod views;
mod waiting;
mod window;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) use acts::KINDS;
pub use auth::{PREFIX, hash};
pub use batching::{turn, work_batches};
pub(crate) use decisions::CHOICES;
pub use desk::{Desk, Refused, Reply};
pub use metrics::install as install_metrics;
pub use openapi::document;
pub use releasing::{keep, release};
pub use serve::serve;

use crate::engine::service::{Engine, EngineError, Submission, Submitted};
use auth::TokenCache;
use problem::Problem;

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
    /// How long a new request may take to be stored, before its sender is told to send it again.
    pub max_store: Duration,
    /// The most new requests that are being stored at once; more are refused.
    pub submits: usize,
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
            max_store: Duration::from_secs(5),
            submits: 1024,
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
    submits: Arc<Semaphore>,
    scrape: metrics::Scrape,
    balance: balance::Kept,
}

impl Api {
    fn new(engine: Engine, settings: ApiSettings) -> Api {
        let (waiters, streams) = (Arc::new(Semaphore::new(settings.waiters)), Arc::new(Semaphore::new(settings.streams)));
        let submits = Arc::new(Semaphore::new(settings.submits));
        let (tokens, scrape, balance) = (TokenCache::default(), metrics::Scrape::default(), balance::Kept::default());
        Api(Arc::new(Inner { engine, settings, tokens, waiters, streams, submits, scrape, balance }))
    }

    fn engine(&self) -> &Engine {
        &self.0.engine
    }

    fn settings(&self) -> &ApiSettings {
        &self.0.settings
    }

    /// Stores a new request, in bounded time and number. While the database is away the committer keeps it and tries on, so
    /// that it may still be stored after its sender was told to send it again: the same key makes the two one.
    async fn store_new(&self, submission: Submission) -> Result<Submitted, Problem> {
        let place = self.0.submits.clone().try_acquire_owned();
        let busy = |_| Problem::new(&kinds::BUSY, "too many new requests wait to be stored").retry_after(5);
        let (place, engine) = (place.map_err(busy)?, self.engine().clone());
        let stored = tokio::spawn(async move {
            let stored = engine.submit(submission).await;
            drop(place);
            stored
        });
        in_time(self.settings().max_store, stored).await
    }

    fn tokens(&self) -> &TokenCache {
        &self.0.tokens
    }
}

/// What came of a task, if it ends in time; it goes on if it does not.
async fn in_time<T>(limit: Duration, task: JoinHandle<Result<T, EngineError>>) -> Result<T, Problem> {
    match tokio::time::timeout(limit, task).await {
        Ok(Ok(result)) => Ok(result?),
        Ok(Err(panicked)) => Err(Problem::internal(&panicked)),
        Err(_) => {
            let detail = "the database did not answer in time; nobody knows yet whether the request was stored: send it again with the same key";
            Err(Problem::new(&kinds::TIMEOUT, detail).retry_after(5))
        }
    }
}

/// The interface over an engine.
pub fn router(engine: Engine, settings: ApiSettings) -> Router {
    let api = Api::new(engine, settings);
    let (router, document) = openapi::documented().split_for_parts();
    around::wrap(router, &document, api)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use axum::response::IntoResponse as _;

    use super::*;

    #[tokio::test]
    async fn what_is_not_stored_in_time_is_to_be_sent_again() {
        let limit = ApiSettings::default().max_store;
        assert!(limit <= Duration::from_secs(10), "clients wait for about thirty seconds");
        let never = tokio::spawn(std::future::pending::<Result<(), EngineError>>());
        let problem = in_time(Duration::from_millis(5), never).await.unwrap_err();
        assert_eq!(problem.code(), "timeout");
        let response = problem.into_response();
        assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (503, &"5".parse().unwrap()));
        assert_eq!(in_time(limit, tokio::spawn(async { Ok(7) })).await.unwrap(), 7);
    }
}
