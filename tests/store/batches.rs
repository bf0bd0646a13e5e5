//! One decision for several reviews, worked off by whoever takes it.

use std::sync::Arc;
use std::time::Duration;

use mozhao::domain::request::signal::Decision;
use mozhao::domain::time::Time;
use mozhao::domain::words::Choice;
use mozhao::engine::ports::batches::{Added, BatchRow, Came, ItemRow, Progress};
use mozhao::engine::ports::reviewing::ActRow;
use mozhao::engine::ports::store::StoreError;
use tokio::sync::Barrier;
use uuid::Uuid;

use super::world::{T0, World};

fn came(to: Progress, code: &str) -> Came {
    Came { to, code: code.into(), why: if code.is_empty() { String::new() } else { "wang 王".into() } }
}

fn batch(world: &World, by: &str, seconds: u64) -> BatchRow {
    let decision = Decision {
        review: Uuid::nil(),
        choice: Choice::Refuse,
        by: by.into(),
        first_by: None,
        first_note: None,
        reason: Some("gone".into()),
        note: "the same list \"名单\"".into(),
        fields: std::collections::BTreeMap::default(),
    };
    BatchRow { id: world.id(), decision, at: T0, start_at: after(seconds), done_at: None }
}

fn item(world: &World, came: Came) -> ItemRow {
    ItemRow { review: world.id(), version: 3, signal_id: world.id(), came }
}

fn stopping(world: &World) -> ActRow {
    let what = "batch_stopped".to_owned();
    ActRow { id: world.id(), at: T0, by: "ops".into(), what, request: None, review: None, detail: String::new() }
}

/// Of several at the same moment none slips in beside the others.
pub(super) async fn one_too_many_is_not_added(world: &World) {
    let barrier = Arc::new(Barrier::new(6));
    let tries: Vec<_> = (0..6)
        .map(|at| {
            let (meet, store) = (barrier.clone(), if at % 2 == 0 { world.store.clone() } else { world.other.clone() });
            let (row, one) = (batch(world, "li", 0), item(world, came(Progress::Pending, "")));
            tokio::spawn(async move {
                meet.wait().await;
                store.batches().add_batch(&row, &[one], 2).await.unwrap()
            })
        })
        .collect();
    let mut added = 0;
    for one in tries {
        added += usize::from(one.await.unwrap() == Added::New);
    }
    assert_eq!(added, 2);
    assert_eq!(world.store.batches().batches(Some("li"), 9).await.unwrap().len(), 2);
}

fn after(seconds: u64) -> Time {
    T0.plus(Duration::from_secs(seconds))
}

pub(super) async fn a_batch_is_kept_as_it_was_made(world: &World) {
    let store = world.store.batches();
    let (first, second, other) = (batch(world, "li", 0), batch(world, "li", 5), batch(world, "wang", 0));
    // Not in the order of their ids.
    let mut items: Vec<ItemRow> = (0..5).map(|_| item(world, came(Progress::Pending, ""))).collect();
    items.reverse();
    items[3].came = came(Progress::Skipped, "stale");
    assert_eq!(store.add_batch(&first, &items, 9).await.unwrap(), Added::New);
    assert_eq!(store.add_batch(&first, &items[..1], 1).await.unwrap(), Added::Known, "the same id");
    assert_eq!(store.add_batch(&second, &[], 9).await.unwrap(), Added::New);
    assert_eq!(store.add_batch(&other, &[item(world, came(Progress::Pending, ""))], 1).await.unwrap(), Added::New);
    assert_eq!(store.batch(first.id).await.unwrap(), first);
    assert_eq!(store.batch_items(first.id).await.unwrap(), items);
    let mine: Vec<Uuid> = store.batches(Some("li"), 9).await.unwrap().iter().map(|row| row.id).collect();
    assert_eq!(mine, [second.id, first.id]);
    assert_eq!(store.batches(Some("li"), 1).await.unwrap().len(), 1);
    assert_eq!(store.batches(None, 9).await.unwrap().len(), 3, "everybody's");
    assert!(matches!(store.batch(world.id()).await, Err(StoreError::NotFound(_))));
    let nul = ItemRow { came: Came { why: "\0".into(), ..came(Progress::Failed, "invalid") }, ..items[0].clone() };
    let broken = batch(world, "li", 0);
    assert!(matches!(store.add_batch(&broken, &[items[0].clone(), nul], 9).await, Err(StoreError::Data(_))));
    assert!(matches!(store.batch(broken.id).await, Err(StoreError::NotFound(_))), "whole or not at all");
}

pub(super) async fn a_batch_is_taken_worked_off_and_done(world: &World) {
    let store = world.store.batches();
    let (early, late) = (batch(world, "li", 1), batch(world, "wang", 5));
    let [one, two, three] = [0, 1, 2].map(|_| item(world, came(Progress::Pending, "")));
    store.add_batch(&late, std::slice::from_ref(&three), 9).await.unwrap();
    store.add_batch(&early, &[one.clone(), two.clone()], 9).await.unwrap();
    assert_eq!(store.take_batch(T0, after(30)).await.unwrap(), None, "it has not begun");
    assert_eq!(store.take_batch(after(1), after(30)).await.unwrap(), Some(early.clone()));
    assert_eq!(store.take_batch(after(2), after(30)).await.unwrap(), None, "somebody works on it");
    assert_eq!(store.take_batch(after(5), after(30)).await.unwrap(), Some(late.clone()));
    // Marked before it is sent; whoever comes after a crash may mark it again.
    assert!(store.begin_item(early.id, one.review).await.unwrap());
    assert!(store.begin_item(early.id, one.review).await.unwrap());
    assert!(!store.begin_item(early.id, three.review).await.unwrap(), "of another batch");
    store.settle_item(early.id, two.review, &came(Progress::Done, "applied")).await.unwrap();
    assert_eq!(store.batch_items(early.id).await.unwrap()[1].came, came(Progress::Pending, ""), "it was not marked");
    store.settle_item(early.id, one.review, &came(Progress::Done, "applied")).await.unwrap();
    store.settle_item(early.id, one.review, &came(Progress::Skipped, "stale")).await.unwrap();
    assert_eq!(store.batch_items(early.id).await.unwrap()[0].came, came(Progress::Done, "applied"), "what was said stays");
    assert!(!store.begin_item(early.id, one.review).await.unwrap());
    assert!(!store.close_batch(early.id, after(6)).await.unwrap(), "something is open");
    store.leave_batch(early.id, after(7)).await.unwrap();
    assert_eq!(store.take_batch(after(6), after(40)).await.unwrap(), None);
    assert_eq!(store.take_batch(after(7), after(40)).await.unwrap(), Some(early.clone()));
    assert!(store.begin_item(early.id, two.review).await.unwrap());
    assert_eq!(store.batch_items(early.id).await.unwrap()[1].came.to, Progress::Sending);
    assert_eq!(
        store.stop_batch(early.id, &came(Progress::Skipped, "stopped"), &stopping(world)).await.unwrap(),
        0,
        "too late for this one"
    );
    store.settle_item(early.id, two.review, &came(Progress::Failed, "refused")).await.unwrap();
    assert!(store.close_batch(early.id, after(8)).await.unwrap());
    assert!(!store.close_batch(early.id, after(9)).await.unwrap());
    assert_eq!(store.batch(early.id).await.unwrap().done_at, Some(after(8)));
    // Its worker is gone: after its time it is somebody else's.
    assert_eq!(store.take_batch(after(31), after(60)).await.unwrap(), Some(late.clone()));
    assert_eq!(store.stop_batch(late.id, &came(Progress::Skipped, "stopped"), &stopping(world)).await.unwrap(), 1);
    assert!(!store.begin_item(late.id, three.review).await.unwrap());
    assert!(store.close_batch(late.id, after(50)).await.unwrap());
    assert_eq!(store.sweep_batches(after(8), 9).await.unwrap(), 0);
    assert_eq!(store.sweep_batches(after(9), 9).await.unwrap(), 1);
    assert!(store.batch_items(early.id).await.unwrap().is_empty());
    assert!(matches!(store.batch(early.id).await, Err(StoreError::NotFound(_))));
    assert_eq!(store.batch_items(late.id).await.unwrap().len(), 1);
}

pub(super) async fn one_of_several_takes_a_batch(world: &World) {
    for _ in 0..8 {
        let row = batch(world, "li", 0);
        world.store.batches().add_batch(&row, &[item(world, came(Progress::Pending, ""))], 9).await.unwrap();
        let barrier = Arc::new(Barrier::new(4));
        let tries = [&world.store, &world.other, &world.store, &world.other].map(|store| {
            let (store, barrier) = (store.clone(), barrier.clone());
            tokio::spawn(async move {
                barrier.wait().await;
                store.batches().take_batch(after(1), after(30)).await.unwrap()
            })
        });
        let mut winners = 0;
        for one in tries {
            winners += usize::from(one.await.unwrap().is_some());
        }
        assert_eq!(winners, 1);
    }
}

pub(super) async fn stopped_or_sent_and_never_both(world: &World) {
    for _ in 0..8 {
        let (row, one) = (batch(world, "li", 0), item(world, came(Progress::Pending, "")));
        world.store.batches().add_batch(&row, std::slice::from_ref(&one), 9).await.unwrap();
        let (barrier, store, id) = (Arc::new(Barrier::new(2)), world.other.clone(), row.id);
        let (meet, stop) = (barrier.clone(), stopping(world));
        let stopping = tokio::spawn(async move {
            meet.wait().await;
            store.batches().stop_batch(id, &came(Progress::Skipped, "stopped"), &stop).await.unwrap() == 1
        });
        barrier.wait().await;
        let sent = world.store.batches().begin_item(id, one.review).await.unwrap();
        assert_ne!(stopping.await.unwrap(), sent);
    }
}
