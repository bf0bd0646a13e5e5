//! Is the process alive, and should it be sent requests?

use std::time::Duration;

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;

/// How long the database has to answer.
const DATABASE_TIME: Duration = Duration::from_secs(2);

/// How the worker is.
#[derive(Debug, Serialize, ToSchema)]
struct Health {
    /// `ok`, or `not_ready`.
    status: &'static str,
    /// Why it is not ready.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<String>,
    /// Is the broker connected? Left out where none is configured. HTTP works without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    broker: Option<bool>,
}

/// Is the process alive? A no-answer here means: start it again.
#[utoipa::path(get, path = "/healthz", operation_id = "show_health", tag = "meta", security(()), responses((status = 200, body = Health)))]
async fn healthz() -> Response {
    Answer(Health { status: "ok", reasons: Vec::new(), broker: None }).into_response()
}

/// Should it be sent requests? No while it starts, while it stops, and while the database is away.
#[utoipa::path(get, path = "/readyz", operation_id = "show_readiness", tag = "meta", security(()), responses((status = 200, body = Health), (status = 503, description = "Not ready; `reasons` says why", body = Health)))]
async fn readyz(State(api): State<Api>) -> Response {
    let status = api.engine().status();
    let mut reasons = Vec::new();
    if status.draining || api.settings().stopping.is_cancelled() {
        reasons.push("the worker is stopping".to_owned());
    } else if !status.ready {
        reasons.push("the worker is not started, or has lost its lease".to_owned());
    }
    // In a task of its own: the time limit must not cancel a query.
    let store = api.engine().store().clone();
    match tokio::time::timeout(DATABASE_TIME, tokio::spawn(async move { store.now().await })).await {
        Ok(Ok(Ok(_))) => {}
        Ok(Ok(Err(error))) => {
            tracing::warn!(%error, "not ready");
            reasons.push("the database does not answer".to_owned());
        }
        Ok(Err(_)) => reasons.push("the database could not be asked".to_owned()),
        Err(_) => reasons.push("the database is slow to answer".to_owned()),
    }
    let code = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let status_word = if reasons.is_empty() { "ok" } else { "not_ready" };
    (code, Answer(Health { status: status_word, reasons, broker: status.broker })).into_response()
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(healthz)).routes(routes!(readyz))
}
