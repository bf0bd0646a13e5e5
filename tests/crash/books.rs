//! The books: what must hold however a story was disturbed.

use std::fs;
use std::path::Path;

use mozhao::domain::request::chain;
use mozhao::engine::ports::batches::Progress;
use mozhao::engine::ports::records::RequestFilter;
use mozhao::engine::ports::store::Store;
use mozhao::store::{Role, open};
use std::sync::Arc;
use uuid::Uuid;

use crate::harness::wait::until_some;
use crate::stories::Story;
use crate::target::Target;
use crate::{DEADLINE, broker, people, zombies};

async fn opened(url: &str) -> Arc<dyn Store> {
    // On a busy machine the database may be late: it is asked again.
    until_some("the database", DEADLINE, async || open::open(url, Role::Tool).await.ok()).await
}

/// What the broker has forgotten by now is stored, as a request or as rejected: looked at as soon as a process has died.
pub(crate) async fn acknowledged_is_stored(folder: &Path, url: &str) -> Result<(), String> {
    let acknowledged = broker::acknowledged(folder);
    if acknowledged.is_empty() {
        return Ok(());
    }
    let store = opened(url).await;
    let requests = async || store.requests(&RequestFilter::default(), None, 10).await.ok();
    let requests = until_some("the requests", DEADLINE, requests).await;
    let rejected = until_some("what was rejected", DEADLINE, async || store.rejected(None, 10).await.ok()).await;
    let stored =
        |id: &str| requests.iter().any(|row| row.message == id) || rejected.iter().any(|row| row.message.as_deref() == Some(id));
    match acknowledged.iter().find(|id| !stored(id)) {
        Some(id) => Err(format!("G1: {id} was acknowledged and is not stored")),
        None => Ok(()),
    }
}

/// The books of a story that has come to its end.
pub(crate) async fn books(story: &Story, folder: &Path, url: &str) -> Result<(), String> {
    acknowledged_is_stored(folder, url).await?;
    let acknowledged = broker::acknowledged(folder);
    if let Some((id, _)) = story.messages().find(|(id, _)| !acknowledged.iter().any(|known| known == id)) {
        return Err(format!("G1: {id} was not acknowledged"));
    }
    zombies::stale(&zombies::lines(&folder.join("journal")))?;
    let store = opened(url).await;
    let rows = async || store.requests(&RequestFilter::default(), None, 10).await.ok();
    let rows = until_some("the requests", DEADLINE, rows).await;
    let [row] = rows.as_slice() else { return Err(format!("G1: {} requests", rows.len())) };
    let loaded = until_some("the ledger", DEADLINE, async || store.load(row.id).await.ok()).await;
    let head = chain::verify(row.id, &loaded.entries).map_err(|error| format!("G8: {error}"))?;
    if head != row.head || loaded.entries.len() as u64 != row.seq {
        return Err("G8: the row's head is not the ledger's".to_owned());
    }
    if row.state != story.outcome {
        return Err(format!("G2: it is {}", row.state));
    }
    let target = Target(folder.join("target"));
    for step in ["hold", "book", "tell", "send", "act", "run"] {
        let stands = target.standing(step);
        if stands != i32::from(story.standing.contains(&step)) || (stands == 1 && target.calls(step) > 1) {
            return Err(format!("G3: {step} stands {stands}, after {} calls that took place", target.calls(step)));
        }
    }
    let rejected = u64::from(story.name == "expired");
    let balance = until_some("the balance", DEADLINE, async || store.balance().await.ok()).await;
    if !balance.holds() || balance.accepted != 1 || balance.open() > 0 || balance.unpublished > 0 || balance.rejected != rejected
    {
        return Err(format!("G11: {balance:?}"));
    }
    let sink = fs::read_to_string(folder.join("sink")).unwrap_or_default();
    let outcome = format!("request.{}.{} ", story.process, story.outcome);
    let mut told: Vec<&str> = sink.lines().filter(|line| line.starts_with(&outcome)).collect();
    told.sort_unstable();
    told.dedup();
    if told.len() != 1 {
        return Err(format!("G7: its outcome was told by {} events", told.len()));
    }
    let events = until_some("the events", DEADLINE, async || store.events(None, 100).await.ok()).await;
    if let Some(event) = events.iter().find(|event| !sink.contains(&format!("{} {}\n", event.topic, event.id))) {
        return Err(format!("G7: {} is marked and never reached the sink", event.topic));
    }
    batch_is_done(store.as_ref(), people::batch_of(row.id)).await
}

/// What a batch has decided is told so, whoever has sent it and however often.
async fn batch_is_done(store: &dyn Store, batch: Uuid) -> Result<(), String> {
    let items = until_some("the batch", DEADLINE, async || store.batches().batch_items(batch).await.ok()).await;
    match items.iter().find(|item| item.came.to != Progress::Done) {
        Some(item) => Err(format!("G2: a review of the batch came to {:?}", item.came)),
        None => Ok(()),
    }
}
