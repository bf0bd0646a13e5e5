//! `/v1/requests/{id}/events`: the ledger as server-sent events, while it grows.
//!
//! A stream may break at any moment, so each event carries the entry's number as its id: whoever comes back with
//! `Last-Event-ID` gets what came after it, nothing twice and nothing missing. A stream costs a task and a query a second,
//! so only so many are open at once, none for longer than [`LONGEST`], and a slow reader holds back its own task only.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Api;
use super::auth::Caller;
use super::extract::{InPath, Query, bad, whole};
use super::facts::Reader;
use super::kinds;
use super::permit::Action;
use super::problem::Problem;
use super::waiting::{LOOK_AGAIN, is_ended};
use crate::engine::ports::store::StoreError;

/// The longest that a stream stays open; the browser comes back by itself.
const LONGEST: Duration = Duration::from_mins(15);
/// How often a comment is sent when nothing happens, so that what is between us does not close the connection.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Entries read at once.
const CHUNK: usize = 50;

/// What happens to a request, while it happens, as server-sent events.
///
/// `event` is the kind of the entry, `id` its number, `data` the entry as in the timeline. The stream ends after the outcome.
#[utoipa::path(get, path = "/v1/requests/{id}/events", operation_id = "stream_request", tag = "requests",
    params(
        ("id" = Uuid, Path, description = "The request"),
        ("Last-Event-ID" = Option<u64>, Header, description = "Go on after this entry"),
        ("after" = Option<u64>, Query, description = "The same, for clients that cannot set headers"),
    ),
    responses((status = 200, description = "A stream of events", body = String, content_type = "text/event-stream")))]
async fn stream(
    State(api): State<Api>,
    caller: Caller,
    path: InPath,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    caller.require(Action::ReadOwn)?;
    let id = path.id("id")?;
    let after = match headers.get("last-event-id") {
        None => query.number("after")?.unwrap_or(0),
        Some(value) => {
            let number = value.to_str().ok().and_then(whole);
            number.ok_or_else(|| bad("Last-Event-ID", "is not the number of an entry"))?
        }
    };
    api.visible(&caller, id).await?;
    let permit = api.0.streams.clone().try_acquire_owned();
    let permit = permit.map_err(|_| Problem::new(&kinds::BUSY, "too many event streams are open").retry_after(5))?;
    let (sender, receiver) = mpsc::channel(16);
    let follower = Follower { api, id, after, reader: caller.reader(), sender };
    tokio::spawn(follower.run(permit));
    let keep_alive = KeepAlive::new().interval(HEARTBEAT).text("still here");
    Ok(Sse::new(ReceiverStream::new(receiver)).keep_alive(keep_alive).into_response())
}

struct Follower {
    api: Api,
    id: Uuid,
    after: u64,
    reader: Reader,
    sender: mpsc::Sender<Result<Event, Infallible>>,
}

impl Follower {
    /// A task of its own: a reader who hangs up must not cancel a query.
    async fn run(mut self, _permit: OwnedSemaphorePermit) {
        let until = Instant::now() + LONGEST;
        let stopping = self.api.settings().stopping.clone();
        while Instant::now() < until && !stopping.is_cancelled() {
            let api = self.api.clone();
            let changed = api.engine().changed(self.id, LOOK_AGAIN);
            match self.send_new().await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(%error, "an event stream ends: the store failed");
                    return;
                }
            }
            tokio::select! {
                () = changed => {}
                () = self.sender.closed() => return,
                () = stopping.cancelled() => return,
            }
        }
    }

    /// Sends what is new; false when nothing more will come or nobody listens.
    async fn send_new(&mut self) -> Result<bool, StoreError> {
        let store = self.api.engine().store();
        loop {
            let row = store.request(self.id).await?;
            if row.seq <= self.after {
                return Ok(!is_ended(&row));
            }
            let entries = store.entries(self.id, self.after, CHUNK).await?;
            if entries.is_empty() {
                return Ok(!is_ended(&row));
            }
            let Ok(shown) = self.api.shown(&row, &entries, self.reader) else { return Ok(false) };
            for entry in shown {
                let seq = entry.seq;
                let event = Event::default().id(seq.to_string()).event(entry.kind).json_data(entry);
                let Ok(event) = event else { return Ok(false) };
                if self.sender.send(Ok(event)).await.is_err() {
                    return Ok(false);
                }
                self.after = seq;
            }
        }
    }
}

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(stream))
}
