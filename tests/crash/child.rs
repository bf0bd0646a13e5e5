//! The process that is killed: one worker on a real database that carries one story's request, with remote systems and a broker
//! that are files, so that they outlive it. The people of the story live in it, too.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mozhao::domain::process::{Known, parse};
use mozhao::engine::clock::SystemClock;
use mozhao::engine::ports::records::RequestFilter;
use mozhao::engine::ports::store::Store;
use mozhao::engine::processes::Processes;
use mozhao::engine::service::{Engine, Parts, Settings};
use mozhao::store::{Role, open};

use crate::LEASE;
use crate::broker::{Consumer, PointPublisher};
use crate::harness::wait::{until, until_some, until_true};
use crate::people::People;
use crate::points::{Blow, Chosen, PointRemote, PointStore, Points};
use crate::stories::Story;
use crate::target::Target;

/// How long a process may take.
const PATIENCE: Duration = Duration::from_secs(40);

/// `kill 2 before commit of accepted`.
fn chosen(text: &str) -> Option<Chosen> {
    let mut parts = text.splitn(3, ' ');
    let blow = match parts.next()? {
        "kill" => Blow::Kill,
        "error" => Blow::Error,
        "stall" => Blow::Stall,
        _ => return None,
    };
    Some(Chosen { blow, hit: parts.next()?.parse().ok()?, name: parts.next()?.to_owned() })
}

/// Where this process is such a one: runs until the request has its outcome and everything is told.
pub(crate) fn live() -> bool {
    let Ok(folder) = std::env::var("MOZHAO_CRASH_FOLDER") else { return false };
    let database = std::env::var("MOZHAO_CRASH_DATABASE").unwrap();
    let chosen = std::env::var("MOZHAO_CRASH_AT").ok().as_deref().and_then(chosen);
    let story = Story::named(&std::env::var("MOZHAO_CRASH_STORY").unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(work(story, Path::new(&folder), &database, chosen));
    true
}

async fn work(story: &'static Story, folder: &Path, database: &str, chosen: Option<Chosen>) {
    // Whoever comes first to the folder has the story's linger; those after it are its heirs.
    let others = fs::read_dir(folder).unwrap().filter_map(Result::ok);
    let heir = others.into_iter().any(|file| file.file_name().to_string_lossy().starts_with("points."));
    let points = Points::new(chosen, folder);
    let inner = until_some("the database", PATIENCE, async || open::open(database, Role::Worker).await.ok()).await;
    let store: Arc<dyn Store> = Arc::new(PointStore::new(inner.clone(), points.clone()));
    let target = || Target(folder.join("target"));
    let version = |version: u32| {
        let file = story.file.replace("version: 1\n", &format!("version: {version}\n"));
        let file = file.replace("/run-1", &format!("/run-{version}"));
        parse("story.yaml", &file, &Known::default()).unwrap().process
    };
    let processes = Processes::default();
    processes.add(version(1));
    // One worker finds its processes in a folder, and publishes them.
    let published = folder.join("processes");
    fs::create_dir_all(&published).unwrap();
    fs::write(published.join("story.yaml"), story.file).unwrap();
    let published = (story.name == "patient").then_some(published);
    let begin = async || {
        let parts = Parts {
            store: store.clone(),
            remote: Arc::new(PointRemote { inner: target(), points: points.clone() }),
            publisher: Some(Arc::new(PointPublisher { sink: folder.join("sink"), points: points.clone() })),
            clock: Arc::new(SystemClock),
            settings: Settings {
                processes: published.clone(),
                lease: LEASE,
                drain: Duration::from_secs(2),
                ..Settings::default()
            },
        };
        Engine::start_knowing(parts, processes.copy()).await.ok()
    };
    let engine = until_some("the engine to start", PATIENCE, begin).await;
    let running = tokio::spawn({
        let engine = engine.clone();
        async move { engine.run().await }
    });
    let consumer = Consumer { story, folder: folder.to_owned(), points: points.clone() };
    until_some("every message to be acknowledged", PATIENCE, || consumer.consume(&engine)).await;
    // What was acknowledged comes no more: whoever was here before may have stored it.
    let stored = async || inner.requests(&RequestFilter::default(), None, 1).await.ok()?.first().map(|row| row.id);
    let request = until_some("what was acknowledged to be stored", PATIENCE, stored).await;
    // From now on a correction is at hand; what is accepted begins on version 1.
    engine.processes().add(version(2));
    let people = People::new(story, engine.clone(), inner.clone(), target(), request);
    people.come_in().await;
    until("the request to end", PATIENCE, async || {
        // On a busy machine the database may be late: it is asked again.
        let Ok(row) = inner.request(request).await else { return false };
        if row.ended_at.is_some() && people.done().await && inner.balance().await.is_ok_and(|balance| balance.unpublished == 0) {
            return true;
        }
        people.act(&row).await;
        false
    })
    .await;
    if story.name == "patient" && !heir {
        until_true("what is done every few seconds", PATIENCE, || {
            ["at owned", "after sweep"].iter().all(|name| points.has(name))
        })
        .await;
    }
    engine.stop();
    running.await.unwrap().unwrap();
}
