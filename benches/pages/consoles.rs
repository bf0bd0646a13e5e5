//! Open consoles beside a load: does the worker keep its pace?

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures_util::StreamExt as _;
use futures_util::stream;
use serde::Serialize;
use tokio::task::JoinSet;

use super::place::Place;

/// What open consoles show: mostly the inbox.
const SHOWN: [&str; 4] = ["/console/reviews", "/console/reviews?tab=unassigned", "/console/requests", "/console/overview"];
/// Requests that are sent and have no outcome yet.
const OUTSTANDING: usize = 64;

/// One round.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Pace {
    pub(crate) consoles: usize,
    /// They ask for their part when they are told, as the pages do.
    pub(crate) refreshing: bool,
    pub(crate) requests_per_second: f64,
    pub(crate) parts_per_second: f64,
}

/// Handles so many requests with so many consoles open.
pub(crate) async fn pace(
    place: &Arc<Place>,
    name: &str,
    requests: usize,
    consoles: usize,
    refreshing: bool,
) -> anyhow::Result<Pace> {
    let (opened, parts) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicU64::new(0)));
    let mut open = JoinSet::new();
    for number in 0..consoles {
        let (place, opened, parts) = (place.clone(), opened.clone(), parts.clone());
        open.spawn(async move { follow(&place, SHOWN[number % SHOWN.len()], refreshing, &opened, &parts).await });
    }
    while opened.load(Ordering::SeqCst) < consoles {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    parts.store(0, Ordering::SeqCst);
    let begun = Instant::now();
    let sent = stream::iter(0..requests).map(|number| {
        let (place, key) = (place.clone(), format!("{name}-{number}"));
        async move { place.submit(&format!("sure-{name}-{number}"), &key, "60s").await }
    });
    let mut done = sent.buffer_unordered(OUTSTANDING);
    while let Some(one) = done.next().await {
        one?;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let parts = parts.load(Ordering::SeqCst);
    open.shutdown().await;
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let per_second = |count: u64| (count as f64 / seconds * 10.0).round() / 10.0;
    Ok(Pace {
        consoles,
        refreshing,
        requests_per_second: per_second(u64::try_from(requests)?),
        parts_per_second: per_second(parts),
    })
}

/// An open page: told that something changed, it asks for its part; what it is told meanwhile is one more time.
async fn follow(place: &Place, shown: &str, refreshing: bool, opened: &AtomicUsize, parts: &AtomicU64) -> anyhow::Result<()> {
    let stream = place.http.get(format!("http://{}/console/live", place.address)).header("cookie", &place.cookie);
    let mut stream = stream.send().await.context("no stream")?;
    opened.fetch_add(1, Ordering::SeqCst);
    while let Some(chunk) = stream.chunk().await? {
        if refreshing && chunk.starts_with(b"event: changed") {
            let part = place.http.get(format!("http://{}{shown}", place.address)).header("cookie", &place.cookie);
            part.header("hx-request", "true").send().await?.bytes().await?;
            parts.fetch_add(1, Ordering::SeqCst);
        }
    }
    Ok(())
}
