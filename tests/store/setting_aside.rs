//! Decisions that can still be taken back, reviews that are put aside, and views that reviewers share.

use std::sync::Arc;
use std::time::Duration;

use mozhao::domain::request::signal::{Decision, Signal};
use mozhao::domain::time::Time;
use mozhao::domain::words::Choice;
use mozhao::engine::ports::reviewing::{ActRow, EndRow, HeldRow, SnoozeRow, ViewRow};
use mozhao::engine::ports::store::{ReviewAct, ReviewPut, StoreError};
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

fn act(world: &World, by: &str) -> ActRow {
    let (id, at) = (world.id(), T0);
    ActRow { id, at, by: by.into(), what: "decision_undone".into(), request: None, review: Some(id), detail: "批".into() }
}

pub(super) async fn what_was_done_is_told_with_it(world: &World) {
    let store = world.store.reviewing();
    let review = world.id();
    let row = held(world, review, "li", 5);
    store.hold(&row).await.unwrap();
    let (early, late) = (act(world, "li"), act(world, "wang"));
    assert!(store.take_back(review, T0, &late).await.unwrap().is_none());
    assert_eq!(store.acts(None, None, 9).await.unwrap(), [], "nothing was done");
    assert!(store.take_back(review, T0, &early).await.unwrap().is_some());
    // Which choice that was, the store says: nobody else knows for certain.
    let early = ActRow { detail: "approve".into(), ..early };
    assert!(!store.wake(review, &late).await.unwrap());
    let view = ViewRow { id: review, place: "reviews".into(), name: "n".into(), query: "q".into(), by: "wang".into(), at: T0 };
    assert!(store.add_view(&view, &late).await.unwrap());
    assert_eq!(store.acts(None, None, 9).await.unwrap(), [late.clone(), early.clone()]);
    assert_eq!(store.acts(None, Some(late.id), 9).await.unwrap(), std::slice::from_ref(&early));
    assert_eq!(store.acts(Some("wang"), None, 9).await.unwrap(), [late]);
    assert!(matches!(store.remove_view(view.id, &act(world, "\0")).await, Err(StoreError::Data(_))));
    assert!(store.view(view.id).await.is_ok(), "not without being told");
}

pub(super) async fn a_held_decision_that_comes_to_nothing_is_kept(world: &World) {
    let store = world.store.reviewing();
    let review = world.id();
    let (first, second) = (held(world, review, "li", 5), held(world, review, "wang", 5));
    let end = |by: &str, at: u64| EndRow {
        review,
        by: by.into(),
        choice: Choice::AskCustomer,
        at: T0,
        ended_at: T0.plus(Duration::from_secs(at)),
        code: "ended".into(),
        why: "已撤回".into(),
    };
    store.hold(&first).await.unwrap();
    store.end_held(second.signal_id, &end("wang", 1)).await.unwrap();
    assert_eq!((store.held_end(review).await.unwrap(), store.held(review).await.unwrap().as_ref()), (None, Some(&first)));
    store.end_held(first.signal_id, &end("li", 1)).await.unwrap();
    store.end_held(first.signal_id, &end("li", 2)).await.unwrap();
    assert_eq!(store.held_end(review).await.unwrap(), Some(end("li", 1)), "once");
    assert!(store.held(review).await.unwrap().is_none());
    store.hold(&second).await.unwrap();
    store.end_held(second.signal_id, &end("wang", 3)).await.unwrap();
    assert_eq!(store.held_end(review).await.unwrap(), Some(end("wang", 3)), "the last one");
    assert_eq!(store.sweep_ends(T0.plus(Duration::from_secs(3)), 9).await.unwrap(), 0);
    assert_eq!(store.sweep_ends(T0.plus(Duration::from_secs(4)), 9).await.unwrap(), 1);
}

/// What arrives ends it, whichever is written first: what is of a later time than the reviewer's look.
pub(super) async fn an_answer_wakes(world: &World) {
    let worker = world.worker().await;
    for answer_first in [true, false] {
        let (request, review) = world.in_review(worker, false).await;
        let row =
            SnoozeRow { review: review.id, by: "li".into(), at: T0, until: T0.plus(Duration::from_mins(1)), note: "n".into() };
        let note = |by: &str| Signal::Note { by: by.into(), text: "x".into() };
        let after = T0.plus(Duration::from_micros(1));
        if answer_first {
            world.store.signal(world.id(), request, &note("c"), after).await.unwrap();
        }
        world.store.reviewing().snooze(&row, &act(world, "li")).await.unwrap();
        // Its own note.
        world.store.signal(world.id(), request, &note("li"), T0).await.unwrap();
        let aside = world.store.reviewing().snoozed(&[review.id], T0).await.unwrap();
        assert_eq!(aside.is_empty(), answer_first);
        world.store.signal(world.id(), request, &note("c"), after).await.unwrap();
        assert_eq!(world.store.reviewing().snoozed(&[review.id], T0).await.unwrap(), []);
    }
}

/// Of a decision that is carried out and another one's, one is made, and each who sent hears which.
pub(super) async fn carried_out_or_decided_by_another_and_never_both(world: &World) {
    let worker = world.worker().await;
    for _ in 0..8 {
        let (_, review) = world.in_review(worker, false).await;
        let decide = |by: &str| {
            let decision = Decision { review: review.id, ..held(world, review.id, by, 0).decision };
            ReviewAct::Decide { version: 1, decision }
        };
        let (mine, theirs, barrier) = (decide("li"), decide("wang"), Arc::new(Barrier::new(3)));
        let send = |act: ReviewAct, id: Uuid, other: bool| {
            let (store, meet) = (if other { world.other.clone() } else { world.store.clone() }, barrier.clone());
            tokio::spawn(async move {
                meet.wait().await;
                store.review_act(review.id, &act, id, T0).await.unwrap()
            })
        };
        // Two workers carry the same one out, under one id.
        let id = world.id();
        let sends = [send(mine.clone(), id, false), send(mine, id, true), send(theirs, world.id(), true)];
        let mut done = Vec::new();
        for sent in sends {
            done.push(matches!(sent.await.unwrap(), ReviewPut::Done(_, Some(_))));
        }
        assert!(done == [true, true, false] || done == [false, false, true], "{done:?}");
    }
}

pub(super) async fn a_decision_is_held_and_taken_back_or_told(world: &World) {
    let store = world.store.reviewing();
    let (one, two) = (world.id(), world.id());
    let (first, second) = (held(world, one, "li", 5), held(world, two, "wang", 3));
    assert!(store.hold(&first).await.unwrap());
    assert!(!store.hold(&held(world, one, "wang", 9)).await.unwrap(), "one at a time");
    assert!(store.hold(&second).await.unwrap());
    assert_eq!(store.held(one).await.unwrap(), Some(first.clone()));
    assert_eq!(store.take_back(one, T0, &act(world, "wang")).await.unwrap(), None, "somebody else's");
    assert_eq!(store.take_back(one, first.release_at, &act(world, "li")).await.unwrap(), None, "its time has come");
    assert_eq!(store.take_back(one, T0, &act(world, "li")).await.unwrap(), Some(first.clone()));
    assert_eq!(store.take_back(one, T0, &act(world, "li")).await.unwrap(), None);
    assert!(store.hold(&first).await.unwrap(), "decided anew");
    assert!(store.due_held(Time(second.release_at.0 - 1), 9).await.unwrap().is_empty());
    assert_eq!(store.due_held(second.release_at, 9).await.unwrap(), std::slice::from_ref(&second));
    assert_eq!(store.take_back(two, T0, &act(world, "wang")).await.unwrap(), None, "somebody carries it out");
    assert_eq!(store.due_held(first.release_at, 9).await.unwrap(), [second.clone(), first.clone()], "told until it is dropped");
    assert_eq!(store.due_held(first.release_at, 1).await.unwrap(), std::slice::from_ref(&second));
    store.drop_held(two, first.signal_id).await.unwrap();
    assert_eq!(store.held(two).await.unwrap().as_ref(), Some(&second), "another decision stays");
    store.drop_held(two, second.signal_id).await.unwrap();
    store.drop_held(two, second.signal_id).await.unwrap();
    assert_eq!(store.due_held(first.release_at, 9).await.unwrap(), [first]);
    assert_eq!(store.held(two).await.unwrap(), None);
}

/// However many cannot be sent: a new one comes first, and the others take turns.
pub(super) async fn what_cannot_be_sent_keeps_nothing_back(world: &World) {
    let store = world.store.reviewing();
    let stuck: Vec<HeldRow> = (0..60).map(|n| held(world, world.id(), "li", n)).collect();
    for row in &stuck {
        assert!(store.hold(row).await.unwrap());
    }
    let at = |second: u64| T0.plus(Duration::from_secs(second));
    assert_eq!(store.due_held(at(60), 50).await.unwrap(), stuck[..50]);
    assert_eq!(store.due_held(at(61), 50).await.unwrap(), [&stuck[..40], &stuck[50..]].concat(), "the others first");
    let new = held(world, world.id(), "wang", 62);
    assert!(store.hold(&new).await.unwrap());
    let told = store.due_held(at(62), 50).await.unwrap();
    assert_eq!((told.len(), told.last()), (50, Some(&new)));
    assert!(stuck[40..50].iter().all(|row| told.contains(row)), "who waits longest");
}

pub(super) async fn taken_back_or_carried_out_and_never_both(world: &World) {
    for _ in 0..8 {
        let review = world.id();
        let row = held(world, review, "li", 5);
        assert!(world.store.reviewing().hold(&row).await.unwrap());
        let (barrier, store, release_at) = (Arc::new(Barrier::new(2)), world.store.clone(), row.release_at);
        let (meet, undo) = (barrier.clone(), act(world, "li"));
        let undoing = tokio::spawn(async move {
            meet.wait().await;
            // By its own clock there is still time.
            store.reviewing().take_back(review, Time(release_at.0 - 1), &undo).await.unwrap().is_some()
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
    store.snooze(&row(one, 60), &act(world, "li")).await.unwrap();
    store.snooze(&row(two, 60), &act(world, "li")).await.unwrap();
    store.snooze(&row(one, 90), &act(world, "li")).await.unwrap();
    let mut both = [row(one, 90), row(two, 60)];
    both.sort_by_key(|row| row.review);
    assert_eq!(store.snoozed(&[one, world.id(), two], T0).await.unwrap(), both);
    assert_eq!(store.snoozed(&[one, two], T0.plus(Duration::from_mins(1))).await.unwrap(), [row(one, 90)]);
    assert_eq!(store.snoozed(&[], T0).await.unwrap(), []);
    assert!(store.wake(two, &act(world, "li")).await.unwrap());
    assert!(!store.wake(two, &act(world, "li")).await.unwrap());
    assert_eq!(store.snoozed(&[two], T0).await.unwrap(), []);
    store.snooze(&row(two, 60), &act(world, "li")).await.unwrap();
    assert_eq!(store.sweep_snoozes(T0.plus(Duration::from_secs(61)), 9).await.unwrap(), 1);
    assert_eq!(store.sweep_snoozes(T0.plus(Duration::from_secs(61)), 9).await.unwrap(), 0);
    assert_eq!(store.snoozed(&[one], T0).await.unwrap(), [row(one, 90)]);
    let nul = SnoozeRow { note: "\0".into(), ..row(one, 60) };
    assert!(matches!(store.snooze(&nul, &act(world, "li")).await, Err(StoreError::Data(_))));
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
        assert!(store.add_view(view, &act(world, "li")).await.unwrap());
    }
    assert!(!store.add_view(&row("reviews", "a"), &act(world, "li")).await.unwrap(), "the name is taken");
    assert_eq!(store.views("reviews", 9).await.unwrap(), [a.clone(), b.clone()]);
    assert_eq!(store.views("reviews", 1).await.unwrap(), std::slice::from_ref(&a));
    assert!(!store.rename_view(a.id, "b 银行卡", &act(world, "li")).await.unwrap(), "the name is taken");
    assert!(store.rename_view(a.id, "a", &act(world, "li")).await.unwrap(), "its own name");
    assert!(store.rename_view(a.id, "z", &act(world, "li")).await.unwrap());
    assert_eq!(store.view(a.id).await.unwrap().name, "z");
    assert!(matches!(store.rename_view(world.id(), "y", &act(world, "li")).await, Err(StoreError::NotFound(_))));
    assert!(matches!(store.rename_view(a.id, "\0", &act(world, "li")).await, Err(StoreError::Data(_))));
    assert!(store.remove_view(a.id, &act(world, "li")).await.unwrap());
    assert!(!store.remove_view(a.id, &act(world, "li")).await.unwrap());
    assert!(matches!(store.view(a.id).await, Err(StoreError::NotFound(_))));
    assert_eq!(store.views("reviews", 9).await.unwrap(), [b]);
}
