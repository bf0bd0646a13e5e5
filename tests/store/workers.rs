//! Incarnations: heartbeats, rescue, and what their requests become.

use std::sync::Arc;
use std::time::Duration;

use mozhao::domain::request::signal::Signal;
use mozhao::engine::ports::records::{Heartbeat, WorkerRow};
use mozhao::engine::ports::store::{StoreError, Written};
use tokio::sync::Barrier;
use uuid::Uuid;

use super::world::{LATER, T0, World, end, step, w};

const LEASE: Duration = Duration::from_hours(1);

pub(super) async fn heartbeats_renew(world: &World) {
    let before = world.store.now().await.unwrap();
    let worker = world.worker().await;
    let row = world.store.workers().await.unwrap().remove(0);
    assert_eq!((row.id, row.name.as_str(), row.started_at), (worker, "host:1", T0));
    assert!(row.heartbeat_at >= before, "the database's clock, not the worker's");
    assert_eq!(world.store.heartbeat(worker).await.unwrap(), Heartbeat::Alive);
    assert!(world.store.workers().await.unwrap()[0].heartbeat_at >= row.heartbeat_at);
    assert_eq!(world.store.heartbeat(world.id()).await.unwrap(), Heartbeat::Gone);
    let twice = WorkerRow { id: worker, name: "x".into(), version: "0".into(), started_at: T0, heartbeat_at: T0 };
    assert!(matches!(world.store.register(&twice).await, Err(StoreError::Data(_))));
}

pub(super) async fn the_stale_are_rescued(world: &World) {
    let (dead, living) = (world.worker().await, world.worker().await);
    let (running, theirs) = (world.running(dead).await, world.running(living).await);
    let resting = world.resting(dead, Some(LATER)).await;
    assert!(world.store.rescue(living, LEASE).await.unwrap().is_empty(), "nobody is late");
    assert_eq!(world.store.request(running).await.unwrap().owner, Some(dead));
    settle(world).await;
    // A lease of zero: everybody else is late.
    assert_eq!(world.store.rescue(living, Duration::ZERO).await.unwrap(), [dead]);
    let row = world.store.request(running).await.unwrap();
    assert_eq!((row.owner, row.deaths, row.seq), (None, 1, 2));
    assert_eq!(world.store.request(theirs).await.unwrap().owner, Some(living));
    let rest = world.store.request(resting).await.unwrap();
    assert_eq!((rest.wake_at, rest.deaths), (Some(LATER), 0), "what rests belongs to nobody");
    assert_eq!(world.store.heartbeat(dead).await.unwrap(), Heartbeat::Gone);
    assert!(matches!(world.store.commit(dead, &[w(step(running, 2))]).await, Err(StoreError::Fenced)));
    assert_eq!(world.store.claim(living, 9).await.unwrap()[0].request, running);
    assert_eq!(world.write(living, step(running, 2)).await, Written::Advanced);
    assert_eq!(world.store.request(running).await.unwrap().deaths, 1, "not yet at rest");
    assert_eq!(world.write(living, super::world::release(running, 3, "waiting", None)).await, Written::Advanced);
    assert_eq!(world.store.request(running).await.unwrap().deaths, 0);
}

pub(super) async fn the_fenced_do_not_rescue(world: &World) {
    let (one, two) = (world.worker().await, world.worker().await);
    let id = world.running(two).await;
    world.store.deregister(one).await.unwrap();
    settle(world).await;
    assert!(matches!(world.store.rescue(one, Duration::ZERO).await, Err(StoreError::Fenced)));
    assert_eq!(world.store.request(id).await.unwrap().owner, Some(two));
}

pub(super) async fn owners_without_a_row_lose_their_requests(world: &World) {
    let worker = world.worker().await;
    let mut accept = world.accept(Uuid::now_v7());
    accept.row.lane = Some("l".into());
    let id = accept.row.id;
    world.write(worker, accept).await;
    assert!(world.store.rescue(worker, LEASE).await.unwrap().is_empty());
    let row = world.store.request(id).await.unwrap();
    assert_eq!((row.owner, row.deaths), (None, 1));
    assert_eq!(world.store.claim(worker, 9).await.unwrap()[0].request, id);
}

pub(super) async fn deregistering_hands_back(world: &World) {
    let (leaving, staying) = (world.worker().await, world.worker().await);
    let id = world.running(leaving).await;
    let mut first = world.in_lane(staying, "l");
    let queued = world.in_lane(staying, "l");
    first.row.owner = Some(staying);
    world.write(staying, first).await;
    world.write(staying, queued.clone()).await;
    // Out of turn and owned because of a signal that has been seen by now.
    world.store.signal(world.id(), queued.row.id, &Signal::RetryNow { by: "a".into() }, T0).await.unwrap();
    assert_eq!(world.store.claim(leaving, 9).await.unwrap().len(), 1);
    let mut seen = step(queued.row.id, 1);
    (seen.seen, seen.summary.state) = (1, "queued");
    assert_eq!(world.write(leaving, seen).await, Written::Advanced);
    world.store.deregister(leaving).await.unwrap();
    assert_eq!(world.store.workers().await.unwrap().len(), 1);
    let row = world.store.request(id).await.unwrap();
    assert_eq!((row.owner, row.deaths), (None, 0));
    let row = world.store.request(queued.row.id).await.unwrap();
    assert_eq!((row.owner, row.wake_at), (None, Some(LATER)), "still not its turn");
    let claimed = world.store.claim(staying, 9).await.unwrap();
    assert_eq!(claimed.iter().map(|claimed| claimed.request).collect::<Vec<_>>(), [id]);
    world.store.deregister(leaving).await.unwrap();
}

pub(super) async fn counters_survive_their_worker(world: &World) {
    for round in 1..=3_u64 {
        let (worker, next) = (world.worker().await, world.worker().await);
        let id = world.running(worker).await;
        world.write(worker, end(id, 2, "done")).await;
        if round == 2 {
            settle(world).await;
            world.store.rescue(next, Duration::ZERO).await.unwrap();
        } else {
            world.store.deregister(worker).await.unwrap();
        }
        world.store.deregister(next).await.unwrap();
        let balance = world.store.balance().await.unwrap();
        assert_eq!((balance.accepted, balance.done, balance.automated), (round, round, round));
        assert!(balance.holds());
    }
}

/// Either the batch is first and the rescuer finds its work, or the rescue is first and the batch is fenced.
pub(super) async fn rescue_and_commit_race(world: &World) {
    let rescuer = world.worker().await;
    for _ in 0..20 {
        let worker = world.worker().await;
        let id = world.running(worker).await;
        let new = world.accept(worker);
        settle(world).await;
        let barrier = Arc::new(Barrier::new(2));
        let (store, gate) = (world.other.clone(), barrier.clone());
        let rescue = tokio::spawn(async move {
            gate.wait().await;
            store.rescue(rescuer, Duration::ZERO).await.unwrap()
        });
        barrier.wait().await;
        let written = world.store.commit(worker, &[w(step(id, 2)), w(new.clone())]).await;
        assert_eq!(rescue.await.unwrap(), [worker]);
        let row = world.store.request(id).await.unwrap();
        let accepted = world.store.request(new.row.id).await;
        assert_eq!((row.owner, row.deaths), (None, 1));
        match written {
            Ok(written) => {
                assert_eq!((row.seq, &written[0]), (3, &Written::Advanced));
                assert_eq!(accepted.unwrap().owner, None, "what it accepted was rescued too");
            }
            Err(StoreError::Fenced) => {
                assert_eq!(row.seq, 2);
                assert!(matches!(accepted, Err(StoreError::NotFound(_))));
            }
            Err(other) => panic!("{other}"),
        }
        for claimed in world.store.claim(rescuer, 9).await.unwrap() {
            let row = world.store.request(claimed.request).await.unwrap();
            assert_eq!(world.write(rescuer, end(claimed.request, row.seq, "done")).await, Written::Advanced);
        }
    }
    assert_eq!(world.store.balance().await.unwrap().open(), 0);
}

/// Until the clock has moved on: a heartbeat of this very tick is not older than now.
pub(super) async fn settle(world: &World) {
    let since = world.store.now().await.unwrap();
    while world.store.now().await.unwrap() == since {
        tokio::task::yield_now().await;
    }
}
