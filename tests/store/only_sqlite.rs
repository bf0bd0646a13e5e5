//! What only a file can show: who may open it, and what a restart finds.

use std::time::Duration;

use mozhao::engine::ports::store::{Store, StoreError, Written};
use mozhao::store::Role;
use mozhao::store::open::{Opened, open};
use mozhao::store::sqlite::SqliteStore;
use sqlx::{Connection, SqliteConnection};

use super::world::{World, step, w};

#[tokio::test]
async fn a_second_worker_is_refused_and_a_tool_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mozhao.db");
    let first = SqliteStore::open(&path, Role::Worker).await.unwrap();
    first.migrate().await.unwrap();
    let refused = SqliteStore::open(&path, Role::Worker).await.unwrap_err().to_string();
    let expected = format!("another worker has {} open", path.display());
    assert!(refused.contains(&expected) && refused.contains("mozhao.db.lock"), "{refused}");
    let tool = SqliteStore::open(&path, Role::Tool).await.unwrap();
    assert_eq!(tool.setting("a", b"1").await.unwrap(), b"1");
    assert_eq!(first.setting("a", b"2").await.unwrap(), b"1");
    drop(first);
    SqliteStore::open(&path, Role::Worker).await.unwrap();
}

#[tokio::test]
async fn a_restart_finds_everything_and_takes_over_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mozhao.db");
    let store = SqliteStore::open(&path, Role::Worker).await.unwrap();
    store.migrate().await.unwrap();
    let store: std::sync::Arc<dyn Store> = std::sync::Arc::new(store);
    let world = World::new(store.clone(), store, ());
    let worker = world.worker().await;
    let id = world.running(worker).await;
    drop(world);
    let store = open(&format!("sqlite://{}", path.display()), Role::Worker).await.unwrap();
    assert_eq!(store.kind(), "sqlite");
    let world = World::new(store.clone(), store, ());
    assert_eq!(world.store.request(id).await.unwrap().seq, 2);
    let next = world.worker().await;
    assert_eq!(world.store.rescue(next, Duration::ZERO).await.unwrap(), [worker]);
    assert_eq!(world.store.claim(next, 9).await.unwrap()[0].request, id);
    assert_eq!(world.write(next, step(id, 2)).await, Written::Advanced);
    assert!(matches!(world.store.commit(worker, &[w(step(id, 3))]).await, Err(StoreError::Fenced)));
    assert!(world.store.balance().await.unwrap().holds());
}

#[tokio::test]
async fn a_file_of_a_newer_program_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mozhao.db");
    let url = format!("sqlite://{}", path.display());
    let opened = Opened::connect(&url, Role::Tool).await.unwrap();
    let pending = opened.pending_migrations().await.unwrap();
    assert_eq!((pending.len(), pending[0].as_str(), pending[5].as_str()), (17, "0001_core", "0006_who"));
    opened.migrate().await.unwrap();
    assert!(opened.pending_migrations().await.unwrap().is_empty());
    let mut conn = SqliteConnection::connect(&url).await.unwrap();
    let newer =
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (99, 'x', TRUE, x'00', 0)";
    sqlx::query(newer).execute(&mut conn).await.unwrap();
    let refused = Opened::connect(&url, Role::Tool).await.unwrap_err().to_string();
    assert!(refused.contains("the database's schema has version 99"), "{refused}");
}

#[tokio::test]
async fn what_is_no_database_is_said_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mozhao.db");
    std::fs::write(&path, "this is no database, and it is long enough to be looked at as one").unwrap();
    let refused = SqliteStore::open(&path, Role::Tool).await.unwrap_err();
    assert!(matches!(refused, StoreError::Broken(_)), "{refused:?}");
    let unknown = Opened::connect("mysql://user:secret@host/db", Role::Tool).await.unwrap_err().to_string();
    assert!(unknown.contains("`mysql:` is not supported") && !unknown.contains("secret"), "{unknown}");
}

/// A caller that goes away in the middle of a transaction: the next one finds the lock free and nothing half done.
#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_call_leaves_nothing_behind() {
    let world = World::sqlite().await;
    let worker = world.worker().await;
    let mut accepted = 0;
    for round in 0..40_u32 {
        let batch: Vec<_> = (0..20).map(|_| w(world.accept(worker))).collect();
        let store = world.store.clone();
        let call = tokio::spawn(async move { store.commit(worker, &batch).await });
        // Let it get some way into its transaction: a different way each round.
        for _ in 0..round * 4 {
            tokio::task::yield_now().await;
        }
        call.abort();
        drop(call.await);
        let now = world.store.balance().await.unwrap();
        assert!(now.holds());
        assert!(now.accepted == accepted || now.accepted == accepted + 20, "{accepted} {}", now.accepted);
        accepted = now.accepted;
        assert!(matches!(world.write(worker, world.accept(worker)).await, Written::Accepted { .. }));
        accepted = world.store.balance().await.unwrap().accepted.max(accepted);
    }
}
