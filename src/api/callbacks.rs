//! `/v1/callbacks/…`: what other systems send about a request.
//!
//! The caller is a stranger with an address that only we and it know: the token in the path is the whole right to call, made
//! for one callback of one request. Whatever is wrong with the address looks the same, and nothing about the request is told.
//! Callers repeat themselves; a key makes a repetition one, and without a key each is kept, up to the engine's bound.

use std::time::Duration;

use axum::Json as Answer;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::extract::{InPath, Key, check_media_type, read_body};
use super::json;
use super::kinds;
use super::problem::{Fault, Problem, ProblemBody};
use crate::domain::request::react::check_callback;
use crate::domain::request::signal::Signal;
use crate::engine::ports::store::StoreError;
use crate::engine::service::{EngineError, Told};

/// The largest body, in bytes.
const MAX_BODY: usize = 64 * 1024;

/// What became of it.
#[derive(Debug, Serialize, ToSchema)]
struct Received {
    /// Always true: it is stored, or was before.
    received: bool,
}

/// Receives a callback. The address is given to the other system by the process; the token in it is the right to call.
///
/// 202 says that the body is stored; what it means is for the request to find out.
#[utoipa::path(post, path = "/v1/callbacks/{request}/{name}/{token}", operation_id = "receive_callback", tag = "callbacks", security(()),
    request_body(content = Value, description = "Any JSON of at most 64 KiB", content_type = "application/json"),
    params(
        ("request" = uuid::Uuid, Path, description = "The request"),
        ("name" = String, Path, description = "The callback's name"),
        ("token" = String, Path, description = "The right to call"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key is stored once"),
    ),
    responses((status = 202, description = "Stored", body = Received),
        (status = 422, description = "The body does not fit what the process declares for it", body = ProblemBody, content_type = "application/problem+json")))]
async fn receive(State(api): State<Api>, path: InPath, key: Key, request: Request<Body>) -> Result<Response, Problem> {
    let unknown = || Problem::not_found("this callback");
    let parts = (path.id("request"), path.text("name"), path.text("token"));
    let (Ok(id), Ok(name), Ok(token)) = parts else { return Err(unknown()) };
    if !api.engine().callback_token_fits(id, name, token) {
        return Err(unknown());
    }
    let (parts, body) = request.into_parts();
    check_media_type(&parts.headers)?;
    let bytes = read_body(&parts.headers, body, MAX_BODY).await?;
    let body: Value = json::read(&bytes)?;
    let engine = api.engine();
    let row = engine.store().request(id).await.map_err(|error| match error {
        StoreError::NotFound(_) => unknown(),
        error => error.into(),
    })?;
    if let Some(process) = engine.processes().get(&row.process, row.version) {
        check_callback(&process, name, &body).map_err(|faults| {
            let errors = faults.into_iter().map(|fault| Fault { pointer: fault.pointer, message: fault.message }).collect();
            Problem::new(&kinds::SCHEMA, "the body does not fit what the process declares for this callback").with_errors(errors)
        })?;
    }
    let signal_id = key.signal_id("callback", name, id, engine.clock().id());
    let signal = Signal::Callback { name: name.to_owned(), body };
    match engine.send(id, signal_id, signal, Duration::ZERO).await {
        // An ended request needs no callbacks any more; the caller need not know.
        Ok(Told::Answer(_) | Told::Pending | Told::Ended(_)) => {}
        Err(EngineError::NotFound(_) | EngineError::Store(StoreError::NotFound(_))) => return Err(unknown()),
        Err(error) => return Err(error.into()),
    }
    Ok((StatusCode::ACCEPTED, Answer(Received { received: true })).into_response())
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(receive))
}
