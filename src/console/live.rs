//! Live pages: one watcher for a worker looks once a second whether anything happened, and tells all open pages the same
//! single word; they ask anew for the part that they show. So two hundred consoles cost the database one small read a second,
//! and what they ask for afterwards is asked with their own rights.

use std::convert::Infallible;
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use uuid::Uuid;

use super::session::Seat;
use super::{Console, Inner};
use crate::engine::service::Engine;

/// How often the watcher looks; no page is told more often.
const LOOK: Duration = Duration::from_secs(1);
/// The most open streams of one worker; more pages are not live.
const STREAMS: usize = 512;
/// A word on an idle stream, so that a dead connection is noticed.
const IDLE: Duration = Duration::from_secs(20);
/// A stream ends after this long, and the page opens another: whose session ended is not told for ever.
const LONGEST: Duration = Duration::from_mins(10);

/// What tells pages that something happened.
#[derive(Debug)]
pub(super) struct Live {
    told: watch::Sender<u64>,
    streams: Arc<Semaphore>,
}

impl Default for Live {
    fn default() -> Self {
        Live { told: watch::channel(0).0, streams: Arc::new(Semaphore::new(STREAMS)) }
    }
}

impl Live {
    /// Something happened that leaves no event behind, such as a claim.
    pub(super) fn tell(&self) {
        self.told.send_modify(|count| *count += 1);
    }
}

/// Watches for as long as the console lives; ends the streams when the worker stops.
pub(super) async fn watch(console: Weak<Inner>, engine: Engine) {
    let mut after: Uuid = engine.clock().id();
    loop {
        engine.clock().sleep(LOOK).await;
        let Some(console) = console.upgrade() else { return };
        if engine.status().draining {
            console.live.streams.close();
            console.live.tell();
            return;
        }
        if console.live.told.receiver_count() == 0 {
            after = engine.clock().id();
            continue;
        }
        match engine.store().events(Some(after), 200).await {
            Ok(events) => {
                if let Some(last) = events.last() {
                    after = last.id;
                    console.live.tell();
                }
            }
            Err(error) => tracing::debug!(%error, "live pages wait"),
        }
    }
}

/// The stream of a page.
pub(super) async fn live(State(console): State<Console>, _: Seat) -> Response {
    let live = &console.0.live;
    let Ok(permit) = live.streams.clone().try_acquire_owned() else {
        return StatusCode::NO_CONTENT.into_response();
    };
    let mut told = live.told.subscribe();
    told.mark_unchanged();
    let until = tokio::time::Instant::now() + LONGEST;
    let pages = stream::unfold((told, live.streams.clone(), permit, until), next);
    Sse::new(pages).keep_alive(KeepAlive::new().interval(IDLE)).into_response()
}

type Listening = (watch::Receiver<u64>, Arc<Semaphore>, OwnedSemaphorePermit, tokio::time::Instant);

async fn next((mut told, streams, permit, until): Listening) -> Option<(Result<Event, Infallible>, Listening)> {
    let changed = tokio::time::timeout_at(until, told.changed()).await;
    let over = !matches!(changed, Ok(Ok(()))) || streams.is_closed();
    // Browsers drop an event without data.
    (!over).then(|| (Ok(Event::default().event("changed").data("1")), (told, streams, permit, until)))
}
