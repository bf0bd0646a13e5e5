//! Decisions that can still be taken back, reviews that are put aside, and views that reviewers share.

use std::sync::Arc;
use std::time::Duration;

use mozhao::domain::request::signal::Decision;
use mozhao::domain::time::Time;
use mozhao::domain::words::Choice;
use mozhao::engine::ports::reviewing::{HeldRow, SnoozeRow, ViewRow};
use mozhao::engine::ports::store::StoreError;
use tokio::sync::Barrier;
use uuid::Uuid;

use super::world::{T0, World};

fn held(world: &World, review: Uuid, by: &str, seconds: u64) -> HeldRow {
    let fields = [("/phone".to_owned(), serde_json::json!("138 \u{0000} 0000"))].into();
    let decision = Decision {
        review,
        choice: Choice::Approve,
        by: by.into(),
        first_by: None,
        first_note: None,
        reason: None,
        note: "same person \"李\"".into(),
        fields,
    };
    let release_at = T0.plus(Duration::from_secs(seconds));
    HeldRow { decision, request: world.id(), version: 3, signal_id: world.id(), at: T0, release_at }
}

pub(super) async fn a_decision_is_held_and_taken_back_or_told(world: &World) {
    let store = world.store.reviewing();
    let (one, two) = (world.id(), world.id());
    let (first, second) = (held(world, one, "li", 5), held(world, two, "wang", 3));
    assert!(store.hold(&first).await.unwrap());
    assert!(!store.hold(&held(world, one, "wang", 9)).await.unwrap(), "one at a time");
    assert!(store.hold(&second).await.unwrap());
    assert_eq!(store.held(one).await.unwrap(), Some(first.clone()));
    assert_eq!(store.take_back(one, "wang", T0).await.unwrap(), None, "somebody else's");
    assert_eq!(store.take_back(one, "li", first.release_at).await.unwrap(), None, "its time has come");
    assert_eq!(store.take_back(one, "li", T0).await.unwrap(), Some(first.clone()));
    assert_eq!(store.take_back(one, "li", T0).await.unwrap(), None);
    assert!(store.hold(&first).await.unwrap(), "decided anew");
    assert!(store.due_held(Time(second.release_at.0 - 1), 9).await.unwrap().is_empty());
    assert_eq!(store.due_held(second.release_at, 9).await.unwrap(), std::slice::from_ref(&second));
    assert_eq!(store.take_back(two, "wang", T0).await.unwrap(), None, "somebody carries it out");
    assert_eq!(store.due_held(first.release_at, 9).await.unwrap(), [second.clone(), first.clone()], "told until it is dropped");
    assert_eq!(store.due_held(first.release_at, 1).await.unwrap(), std::slice::from_ref(&second));
    store.drop_held(two, first.signal_id).await.unwrap();
    assert_eq!(store.held(two).await.unwrap().as_ref(), Some(&second), "another decision stays");
    store.drop_held(two, second.signal_id).await.unwrap();
    store.drop_held(two, second.signal_id).await.unwrap();
    assert_eq!(store.due_held(first.release_at, 9).await.unwrap(), [first]);
    assert_eq!(store.held(two).await.unwrap(), None);
}

pub(super) async fn taken_back_or_carried_out_and_never_both(world: &World) {
    for _ in 0..8 {
        let review = world.id();
        let row = held(world, review, "li", 5);
        assert!(world.store.reviewing().hold(&row).await.unwrap());
        let (barrier, store, release_at) = (Arc::new(Barrier::new(2)), world.store.clone(), row.release_at);
        let meet = barrier.clone();
        let undoing = tokio::spawn(async move {
            meet.wait().await;
            // By its own clock there is still time.
            store.reviewing().take_back(review, "li", Time(release_at.0 - 1)).await.unwrap().is_some()
        });
        barrier.wait().await;
        let due = world.store.reviewing().due_held(release_at, 99).await.unwrap();
        let carried_out = due.iter().any(|held| held.decision.review == review);
        assert_ne!(undoing.await.unwrap(), carried_out);
        world.store.reviewing().drop_held(review, row.signal_id).await.unwrap();
    }
}

pub(super) async fn reviews_are_put_aside(world: &World) {
    let store = world.store.reviewing();
    let (one, two) = (world.id(), world.id());
    let row = |review, seconds| SnoozeRow {
        review,
        by: "li".into(),
        at: T0,
        until: T0.plus(Duration::from_secs(seconds)),
        note: "the branch opens at nine 明早".into(),
    };
    store.snooze(&row(one, 60)).await.unwrap();
    store.snooze(&row(two, 60)).await.unwrap();
    store.snooze(&row(one, 90)).await.unwrap();
    assert_eq!(store.snoozed(one).await.unwrap(), Some(row(one, 90)));
    assert!(store.wake(two).await.unwrap());
    assert!(!store.wake(two).await.unwrap());
    assert_eq!(store.snoozed(two).await.unwrap(), None);
    store.snooze(&row(two, 60)).await.unwrap();
    assert_eq!(store.sweep_snoozes(T0.plus(Duration::from_secs(61)), 9).await.unwrap(), 1);
    assert_eq!(store.sweep_snoozes(T0.plus(Duration::from_secs(61)), 9).await.unwrap(), 0);
    assert!(store.snoozed(one).await.unwrap().is_some());
    let nul = SnoozeRow { note: "\0".into(), ..row(one, 60) };
    assert!(matches!(store.snooze(&nul).await, Err(StoreError::Data(_))));
}

pub(super) async fn views_are_shared(world: &World) {
    let store = world.store.reviewing();
    let row = |place: &str, name: &str| ViewRow {
        id: world.id(),
        place: place.into(),
        name: name.into(),
        query: "tab=unassigned&process=card_unbind".into(),
        by: "li".into(),
        at: T0,
    };
    let (b, a) = (row("reviews", "b 银行卡"), row("reviews", "a"));
    for view in [&b, &a] {
        assert!(store.add_view(view).await.unwrap());
    }
    assert!(!store.add_view(&row("reviews", "a")).await.unwrap(), "the name is taken");
    assert_eq!(store.views("reviews", 9).await.unwrap(), [a.clone(), b.clone()]);
    assert_eq!(store.views("reviews", 1).await.unwrap(), std::slice::from_ref(&a));
    assert!(!store.rename_view(a.id, "b 银行卡").await.unwrap(), "the name is taken");
    assert!(store.rename_view(a.id, "a").await.unwrap(), "its own name");
    assert!(store.rename_view(a.id, "z").await.unwrap());
    assert_eq!(store.view(a.id).await.unwrap().name, "z");
    assert!(matches!(store.rename_view(world.id(), "y").await, Err(StoreError::NotFound(_))));
    assert!(matches!(store.rename_view(a.id, "\0").await, Err(StoreError::Data(_))));
    assert!(store.remove_view(a.id).await.unwrap());
    assert!(!store.remove_view(a.id).await.unwrap());
    assert!(matches!(store.view(a.id).await, Err(StoreError::NotFound(_))));
    assert_eq!(store.views("reviews", 9).await.unwrap(), [b]);
}
