//! Groups that requests are parked under: controls, and resuming.

use std::collections::BTreeSet;
use std::sync::Arc;

use mozhao::domain::request::signal::Signal;
use mozhao::domain::time::Time;
use mozhao::engine::ports::records::ControlRow;
use mozhao::engine::ports::reviewing::ActRow;
use mozhao::engine::ports::store::StoreError;
use tokio::sync::Barrier;
use uuid::Uuid;

use super::world::{LATER, T0, World, release};

fn control(version: u32, state: &str) -> ControlRow {
    ControlRow {
        group: "dependency:face".into(),
        state: state.into(),
        reason: "5 failures in a row".into(),
        by: "breaker".into(),
        canary: Some(Uuid::from_u128(3)),
        probe_at: Some(LATER),
        rate: 10,
        to_version: Some(2),
        since: Some(T0),
        changed_at: T0,
        version,
    }
}

fn resume() -> Signal {
    Signal::Resume { by: "probe".into(), group: "dependency:face".into(), to_version: None }
}

pub(super) async fn controls_have_one_winner(world: &World) {
    let act = |by: &str| ActRow {
        id: world.id(),
        at: T0,
        by: by.into(),
        what: "dependency_tripped".into(),
        request: None,
        review: None,
        detail: "face: 维护".into(),
    };
    let first = act("ops");
    assert!(!world.store.put_control(&control(2, "open"), Some(&act("late"))).await.unwrap(), "there is no first");
    assert!(world.store.put_control(&control(1, "open"), Some(&first)).await.unwrap());
    assert!(!world.store.put_control(&control(1, "closed"), Some(&act("slower"))).await.unwrap());
    assert_eq!(world.store.reviewing().acts(None, None, 9).await.unwrap(), [first], "what was not put is not on record");
    assert_eq!(world.store.controls().await.unwrap(), [control(1, "open")]);
    let barrier = Arc::new(Barrier::new(4));
    let tasks: Vec<_> = ["half_open", "closed", "resuming", "stopped"]
        .into_iter()
        .map(|state| {
            let (store, gate) = (world.other.clone(), barrier.clone());
            tokio::spawn(async move {
                gate.wait().await;
                (state, store.put_control(&control(2, state), None).await.unwrap())
            })
        })
        .collect();
    let mut winners = Vec::new();
    for task in tasks {
        let (state, won) = task.await.unwrap();
        winners.extend(won.then_some(state));
    }
    assert_eq!(winners.len(), 1);
    assert_eq!(world.store.controls().await.unwrap(), [control(2, winners[0])]);
    assert!(!world.store.put_control(&control(4, "open"), None).await.unwrap());
    assert!(matches!(world.store.put_control(&control(3, "ajar"), None).await, Err(StoreError::Data(_))));
}

pub(super) async fn resuming_is_bounded_and_once(world: &World) {
    let worker = world.worker().await;
    let group = "dependency:face";
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(world.parked(worker, group, T0).await);
    }
    let late = world.parked(worker, group, Time(T0.0 + 10)).await;
    let other = world.parked(worker, "defect:f1", T0).await;
    let before = Time(T0.0 + 10);
    let some = async |limit| world.store.resume_some(group, &resume(), T0, before, Uuid::nil(), limit).await.unwrap();
    assert!(some(0).await.is_empty());
    assert_eq!(world.store.parked_groups().await.unwrap(), ["defect:f1", group]);
    assert!(world.store.resume_some(group, &resume(), T0, before, ids[3], 9).await.unwrap().is_empty(), "none after the last");
    assert_eq!(some(2).await, ids[..2]);
    assert_eq!(some(9).await, ids[2..], "those that have one already get no second; what was parked later is not part of it");
    assert!(some(9).await.is_empty());
    let signals = world.store.signals(ids[3]).await.unwrap();
    assert_eq!(signals.into_iter().map(|(_, signal)| signal).collect::<Vec<_>>(), [resume()]);
    assert_eq!(world.store.request(ids[3]).await.unwrap().state, "parked", "going on is the owner's business");
    let claimed: Vec<_> = world.store.claim(worker, 9).await.unwrap().into_iter().map(|claimed| claimed.request).collect();
    assert_eq!(claimed.into_iter().collect::<BTreeSet<_>>(), ids.iter().copied().collect());
    for id in [late, other] {
        assert_eq!(world.store.request(id).await.unwrap().signalled, 0);
    }
    // It failed again and was parked again: the next resume reaches it.
    let mut again = release(ids[0], 2, "parked", None);
    (again.seen, again.summary.parked, again.summary.at) = (1, Some(group.into()), Time(T0.0 + 11));
    world.write(worker, again).await;
    assert!(some(9).await.is_empty());
    assert_eq!(world.store.resume_some(group, &resume(), T0, LATER, Uuid::nil(), 9).await.unwrap(), [ids[0], late]);
}

pub(super) async fn two_resumers_share_without_overlap(world: &World) {
    let worker = world.worker().await;
    for _ in 0..5 {
        let mut ids = BTreeSet::new();
        for _ in 0..12 {
            ids.insert(world.parked(worker, "dependency:face", T0).await);
        }
        let barrier = Arc::new(Barrier::new(3));
        let tasks: Vec<_> = (0..3)
            .map(|n| {
                let store = if n == 0 { world.store.clone() } else { world.other.clone() };
                let gate = barrier.clone();
                tokio::spawn(async move {
                    gate.wait().await;
                    store.resume_some("dependency:face", &resume(), T0, LATER, Uuid::nil(), 8).await.unwrap()
                })
            })
            .collect();
        let mut all = Vec::new();
        for task in tasks {
            all.extend(task.await.unwrap());
        }
        all.extend(world.store.resume_some("dependency:face", &resume(), T0, LATER, Uuid::nil(), 99).await.unwrap());
        assert_eq!(all.len(), 12, "nothing twice");
        assert_eq!(all.iter().copied().collect::<BTreeSet<_>>(), ids);
        for claimed in world.store.claim(worker, 99).await.unwrap() {
            let mut last = super::world::end(claimed.request, 2, "done");
            last.seen = 1;
            world.write(worker, last).await;
        }
    }
}

pub(super) async fn parked_ones_are_counted_to_a_cap(world: &World) {
    let worker = world.worker().await;
    for _ in 0..3 {
        world.parked(worker, "dependency:face", T0).await;
    }
    world.parked(worker, "defect:f1", T0).await;
    assert_eq!(world.store.parked_under("dependency:face", 99).await.unwrap(), 3);
    assert_eq!(world.store.parked_under("dependency:face", 2).await.unwrap(), 2);
    assert_eq!(world.store.parked_under("dependency:none", 2).await.unwrap(), 0);
}
