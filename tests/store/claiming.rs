//! Who gets which due request.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use mozhao::domain::request::signal::Signal;
use mozhao::domain::time::Time;
use mozhao::engine::ports::store::{Claimed, SUSPECT, StoreError, Written};
use tokio::sync::Barrier;
use uuid::Uuid;

use super::world::{LATER, T0, World};

fn taken(claimed: &[Claimed]) -> Vec<Uuid> {
    claimed.iter().map(|claimed| claimed.request).collect()
}

pub(super) async fn due_ones_oldest_first(world: &World) {
    let worker = world.worker().await;
    let second = world.resting(worker, Some(Time(T0.0 + 2))).await;
    let first = world.resting(worker, Some(Time(T0.0 + 1))).await;
    let third = world.resting(worker, Some(Time(T0.0 + 2))).await;
    world.resting(worker, Some(LATER)).await;
    world.resting(worker, None).await;
    let running = world.running(worker).await;
    let taker = world.worker().await;
    let claimed = world.store.claim(taker, 9).await.unwrap();
    assert_eq!(taken(&claimed), [first, second, third]);
    assert!(claimed.iter().all(|claimed| !claimed.mine_already));
    let mut owned = [first, second, third];
    owned.sort_unstable();
    assert_eq!(world.store.owned(taker, 9).await.unwrap(), owned);
    assert_eq!(world.store.owned(taker, 2).await.unwrap(), owned[..2]);
    assert_eq!(world.store.owned(worker, 9).await.unwrap(), [running]);
    let row = world.store.request(first).await.unwrap();
    assert_eq!((row.owner, row.wake_at), (Some(taker), None));
    assert!(world.store.claim(taker, 9).await.unwrap().is_empty());
    assert!(world.store.claim(worker, 9).await.unwrap().is_empty());
}

pub(super) async fn own_ones_are_reported_once(world: &World) {
    let (worker, other) = (world.worker().await, world.worker().await);
    let id = world.running(worker).await;
    world.store.signal(world.id(), id, &Signal::Withdraw { by: "c".into(), note: None }, T0).await.unwrap();
    assert!(world.store.claim(other, 9).await.unwrap().is_empty(), "another worker's");
    assert_eq!(world.store.claim(worker, 9).await.unwrap(), [Claimed { request: id, mine_already: true }]);
    assert!(world.store.claim(worker, 9).await.unwrap().is_empty());
    assert_eq!(world.store.request(id).await.unwrap().owner, Some(worker));
}

pub(super) async fn a_limit_leaves_the_rest(world: &World) {
    let worker = world.worker().await;
    let mut ids = Vec::new();
    for n in 0..5 {
        ids.push(world.resting(worker, Some(Time(T0.0 + n))).await);
    }
    assert_eq!(taken(&world.store.claim(worker, 2).await.unwrap()), ids[..2]);
    assert_eq!(taken(&world.store.claim(worker, 2).await.unwrap()), ids[2..4]);
    assert_eq!(taken(&world.store.claim(worker, 2).await.unwrap()), ids[4..]);
    assert!(world.store.claim(worker, 0).await.unwrap().is_empty());
}

pub(super) async fn one_suspect_at_a_time(world: &World) {
    let first = world.worker().await;
    let mut suspects = Vec::new();
    for _ in 0..3 {
        suspects.push(world.running(first).await);
    }
    let second = world.worker().await;
    super::workers::settle(world).await;
    assert_eq!(world.store.rescue(second, Duration::ZERO).await.unwrap(), [first]);
    assert_eq!(world.store.claim(second, 99).await.unwrap().len(), 3, "one death is nobody's fault");
    let others = [world.running(second).await, world.running(second).await];
    let worker = world.worker().await;
    super::workers::settle(world).await;
    assert_eq!(world.store.rescue(worker, Duration::ZERO).await.unwrap(), [second]);
    for id in &suspects {
        assert_eq!(world.store.request(*id).await.unwrap().deaths, SUSPECT);
    }
    assert_eq!(world.store.claim(worker, 3).await.unwrap().len(), 3, "suspects take no more than one of the places");
    let mine = world.store.owned(worker, 99).await.unwrap();
    let held: Vec<Uuid> = mine.iter().copied().filter(|id| suspects.contains(id)).collect();
    assert_eq!(held.len(), 1, "one of the three");
    assert!(others.iter().all(|id| mine.contains(id)), "the others do not wait");
    assert!(world.store.claim(worker, 99).await.unwrap().is_empty(), "none while it owns one");
    world.store.signal(world.id(), held[0], &Signal::Withdraw { by: "c".into(), note: None }, T0).await.unwrap();
    let own = world.store.claim(worker, 99).await.unwrap();
    assert_eq!(own, [Claimed { request: held[0], mine_already: true }], "its own is reported");
    // Another worker takes another one.
    let other = world.worker().await;
    let second = taken(&world.store.claim(other, 99).await.unwrap());
    assert!(second.len() == 1 && suspects.contains(&second[0]) && second != held);
    // At rest it is no suspect any more, and the next one's turn comes.
    let row = world.store.request(held[0]).await.unwrap();
    assert_eq!(world.write(worker, super::world::release(held[0], row.seq, "waiting", None)).await, Written::Advanced);
    let third: Vec<Uuid> = taken(&world.store.claim(worker, 99).await.unwrap()).into_iter().filter(|id| *id != held[0]).collect();
    assert!(third.len() == 1 && suspects.contains(&third[0]) && third != second);
}

pub(super) async fn two_workers_share_without_overlap(world: &World) {
    let workers = [world.worker().await, world.worker().await];
    for _ in 0..10 {
        let mut ids = BTreeSet::new();
        for _ in 0..20 {
            ids.insert(world.resting(workers[0], Some(T0)).await);
        }
        let barrier = Arc::new(Barrier::new(2));
        let tasks = workers.map(|worker| {
            let store = if worker == workers[0] { world.store.clone() } else { world.other.clone() };
            let barrier = barrier.clone();
            tokio::spawn(async move {
                barrier.wait().await;
                let mut mine = Vec::new();
                for _ in 0..4 {
                    mine.extend(taken(&store.claim(worker, 5).await.unwrap()));
                }
                mine
            })
        });
        let mut all = Vec::new();
        for task in tasks {
            all.extend(task.await.unwrap());
        }
        // Locked rows are skipped, so a rest may be left for the next time.
        all.extend(taken(&world.store.claim(workers[0], 20).await.unwrap()));
        assert_eq!(all.len(), 20, "nothing twice");
        assert_eq!(all.into_iter().collect::<BTreeSet<_>>(), ids);
    }
}

pub(super) async fn only_living_workers_claim(world: &World) {
    let worker = world.worker().await;
    let id = world.resting(worker, Some(T0)).await;
    world.store.deregister(worker).await.unwrap();
    assert!(matches!(world.store.claim(worker, 9).await, Err(StoreError::Fenced)));
    assert_eq!(world.store.request(id).await.unwrap().owner, None);
}

pub(super) async fn loading_gives_everything(world: &World) {
    let worker = world.worker().await;
    assert!(matches!(world.store.load(Uuid::from_u128(1)).await, Err(StoreError::NotFound(_))));
    let id = world.running(worker).await;
    let signals = [Signal::Withdraw { by: "c".into(), note: None }, Signal::RetryNow { by: "d".into() }];
    // Ids in falling order: what counts is the order in which they came.
    let ids = [Uuid::from_u128(5_000_000), Uuid::from_u128(4_000_000)];
    for (id_, signal) in ids.iter().zip(&signals) {
        world.store.signal(*id_, id, signal, T0).await.unwrap();
    }
    let loaded = world.store.load(id).await.unwrap();
    assert_eq!(loaded.signals, [(ids[0], signals[0].clone()), (ids[1], signals[1].clone())]);
    assert_eq!((loaded.row.signalled, loaded.entries.len()), (2, 2));
}
