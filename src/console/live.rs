//! Live pages: one watcher for a worker looks once a second whether anything happened, and tells all open pages the same
//! single word; they ask anew for what they show, with their own rights. That is work that takes from the requests, so pages are told
//! in turns, twenty a second: few pages show at once what happened, two hundred show it within ten seconds. A page that is told asks once,
//! whatever it shows; a review on a wide screen asks a second time, for the list beside it.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::session::Seat;
use super::{Console, Inner};
use crate::engine::service::Engine;

/// How often the watcher looks.
const LOOK: Duration = Duration::from_secs(1);
/// How many events one look reads at most.
const AT_ONCE: usize = 200;
/// One page is told in each such time, the next page in the next.
const TURN: Duration = Duration::from_millis(50);
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
    opened: AtomicU32,
}

impl Default for Live {
    fn default() -> Self {
        Live { told: watch::channel(0).0, streams: Arc::new(Semaphore::new(STREAMS)), opened: AtomicU32::new(0) }
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
    // There were more events than one look reads.
    let mut burst = false;
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
        match engine.store().events(Some(after), AT_ONCE).await {
            Ok(events) => {
                if burst || !events.is_empty() {
                    console.live.tell();
                }
                // Pages are told one word, whatever it was: nobody is behind a burst for longer than it lasts. It is told once
                // more afterwards, for what was written down under an earlier number than the one that was jumped to.
                burst = events.len() >= AT_ONCE;
                if burst {
                    after = engine.clock().id();
                } else if let Some(last) = events.last() {
                    after = last.id;
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
    let number = live.opened.fetch_add(1, Ordering::Relaxed);
    let until = Instant::now() + LONGEST;
    let page = OpenPage { told, streams: live.streams.clone(), _permit: permit, number, next: Instant::now(), until };
    Sse::new(stream::unfold(page, next)).keep_alive(KeepAlive::new().interval(IDLE)).into_response()
}

struct OpenPage {
    told: watch::Receiver<u64>,
    streams: Arc<Semaphore>,
    _permit: OwnedSemaphorePermit,
    /// Pages take turns by their numbers.
    number: u32,
    /// Not told again before.
    next: Instant,
    /// When its stream ends.
    until: Instant,
}

async fn next(mut page: OpenPage) -> Option<(Result<Event, Infallible>, OpenPage)> {
    let over = |page: &OpenPage, told: Result<(), watch::error::RecvError>| told.is_err() || page.streams.is_closed();
    let told = timeout_at(page.until, page.told.changed()).await.ok()?;
    if over(&page, told) {
        return None;
    }
    let open = u32::try_from(STREAMS - page.streams.available_permits().min(STREAMS)).unwrap_or(u32::MAX).max(1);
    let turn = (Instant::now() + TURN * (page.number % open)).max(page.next);
    // Once for all that happens until then; a worker that stops waits for no turn.
    while let Ok(told) = timeout_at(turn, page.told.changed()).await {
        if over(&page, told) {
            return None;
        }
    }
    page.next = turn + TURN * open;
    // Browsers drop an event without data.
    Some((Ok(Event::default().event("changed").data("1")), page))
}
