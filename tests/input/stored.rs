//! The same over the real databases: what memory takes, a database may refuse, and must not keep us from accounting for it.

use std::sync::Arc;

use mozhao::domain::message::Incoming;
use mozhao::engine::clock::SystemClock;
use mozhao::engine::ports::records::RequestFilter;
use mozhao::store::Role;
use mozhao::store::memory::MemoryStore;
use mozhao::store::open::open;

use crate::messages::{Books, broken};
use crate::run::{Kind, cases};
use crate::world::World;

/// A process whose payload and callback may hold anything.
pub(crate) const MORE: &[(&str, &str)] = &[("anything.yaml", include_str!("processes/anything.yaml"))];

/// The API's world over the store in memory.
pub(crate) async fn memory() -> World {
    World::on(Arc::new(MemoryStore::new(Arc::new(SystemClock))), MORE, |_| {}).await
}

/// The API's world over a database; what comes with it keeps the database alive.
pub(crate) async fn database(postgres: bool) -> (World, Box<dyn std::any::Any + Send>) {
    let (url, keep): (String, Box<dyn std::any::Any + Send>) = if postgres {
        let database = crate::harness::postgres::database().await;
        (database.url().to_owned(), Box::new(database))
    } else {
        let folder = tempfile::tempdir().unwrap();
        (format!("sqlite://{}", folder.path().join("input.db").display()), Box::new(folder))
    };
    let store = open(&url, Role::Worker).await.unwrap();
    (World::on(store, MORE, |_| {}).await, keep)
}

/// The balance holds, every rejection has its event, and whatever was accepted can be read; gives how many of those events there are.
pub(crate) async fn adds_up(world: &World) -> u64 {
    let store = &world.store;
    let (mut told, mut after) = (0, None);
    loop {
        let page = store.events(after, 200).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        told += page.iter().filter(|event| event.topic == "intake.rejected").count() as u64;
    }
    let (mut rows, mut before) = (0, None);
    loop {
        let page = store.requests(&RequestFilter::default(), before, 200).await.unwrap();
        let Some(last) = page.last() else { break };
        before = Some(last.id);
        for row in &page {
            rows += 1;
            store.load(row.id).await.unwrap();
            store.signals(row.id).await.unwrap();
        }
    }
    let balance = store.balance().await.unwrap();
    let open = balance.queued + balance.running + balance.waiting + balance.parked + balance.in_review;
    let ended = balance.done + balance.refused + balance.withdrawn + balance.expired;
    assert_eq!(balance.accepted, open + ended, "{balance:?}");
    assert_eq!((balance.accepted, balance.rejected), (rows, told), "{balance:?}");
    told
}

async fn messages(postgres: bool) {
    let (world, keep) = database(postgres).await;
    let mut books = Books::new(world);
    for (case, mut random) in cases(Kind::Stored) {
        let message = broken(&mut random);
        books.take(message, &format!("case {}", case.number)).await;
    }
    books.close().await;
    drop(keep);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_mutated_message_is_accounted_for_on_postgres() {
    messages(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_mutated_message_is_accounted_for_on_sqlite() {
    messages(false).await;
}

/// What the mutator, or somebody who thought like one, has found: each kept a message coming again for ever, or hid it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_correlation_id_that_no_database_holds_is_answered_once() {
    for postgres in [true, false] {
        let (world, keep) = database(postgres).await;
        let mut books = Books::new(world);
        for (number, body) in ["{\"who\":\"a\"}", "not JSON"].into_iter().enumerate() {
            let message = Incoming {
                body: body.into(),
                routing_key: "anything".to_owned(),
                message_id: Some(format!("m-{number}")),
                reply_to: Some("mine".to_owned()),
                correlation_id: Some("a\0b".to_owned()),
                ..Incoming::default()
            };
            assert!(!books.take(message, body).await);
        }
        books.close().await;
        drop(keep);
    }
}
