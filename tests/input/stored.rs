//! The same over the real databases: what memory takes, a database may refuse, and must not keep us from accounting for it.

use std::sync::Arc;

use mozhao::domain::message::Incoming;
use mozhao::engine::clock::SystemClock;
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
