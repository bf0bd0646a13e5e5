//! `serialize_by`: one at a time, in the order of the numbers given at acceptance.

use std::collections::BTreeSet;
use std::sync::Arc;

use mozhao::domain::request::signal::Signal;
use mozhao::engine::ports::store::{StoreError, Written};
use tokio::sync::Barrier;
use uuid::Uuid;

use super::world::{LATER, T0, World, end, release, step, w};

fn accepted(turn: bool) -> Written {
    Written::Accepted { turn, over_limit: false }
}

async fn turn(world: &World, id: Uuid) -> (bool, bool, bool) {
    let now = world.store.now().await.unwrap();
    let row = world.store.request(id).await.unwrap();
    (row.turn, row.owner.is_some(), row.wake_at.is_some_and(|at| at <= now))
}

/// Accepts so many in one lane; the first is the worker's.
async fn queue(world: &World, worker: Uuid, lane: &str, n: u64) -> Vec<Uuid> {
    let mut ids = Vec::new();
    for no in 1..=n {
        let accept = world.in_lane(worker, lane);
        ids.push(accept.row.id);
        assert_eq!(world.write(worker, accept).await, accepted(no == 1));
    }
    in_order(world, &ids).await;
    ids
}

/// Their numbers grow.
async fn in_order(world: &World, ids: &[Uuid]) {
    let mut before = 0;
    for id in ids {
        let no = world.store.request(*id).await.unwrap().lane_no.unwrap();
        assert!(no > before, "{no} after {before}");
        before = no;
    }
}

/// Claims one request and ends it.
async fn claim_and_end(world: &World, worker: Uuid, id: Uuid, outcome: &'static str) {
    let claimed: Vec<_> = world.store.claim(worker, 9).await.unwrap().into_iter().map(|claimed| claimed.request).collect();
    assert_eq!(claimed, [id]);
    let row = world.store.request(id).await.unwrap();
    let mut last = end(id, row.seq, outcome);
    last.seen = row.signalled;
    assert_eq!(world.write(worker, last).await, Written::Advanced);
}

pub(super) async fn turns_are_taken_in_order(world: &World) {
    let worker = world.worker().await;
    let ids = queue(world, worker, "cards:c-1", 3).await;
    let other = world.in_lane(worker, "cards:c-2");
    assert_eq!(world.write(worker, other).await, accepted(true), "another lane is another order");
    assert_eq!(turn(world, ids[0]).await, (true, true, false));
    assert_eq!(turn(world, ids[1]).await, (false, false, false));
    assert!(world.store.claim(worker, 9).await.unwrap().is_empty());
    assert_eq!(world.write(worker, end(ids[0], 1, "done")).await, Written::Advanced);
    assert_eq!(turn(world, ids[1]).await, (true, false, true), "its turn: due, owned by nobody");
    assert_eq!(turn(world, ids[2]).await, (false, false, false));
    claim_and_end(world, worker, ids[1], "refused").await;
    claim_and_end(world, worker, ids[2], "done").await;
    let next = world.in_lane(worker, "cards:c-1");
    let after = [ids[2], next.row.id];
    assert_eq!(world.write(worker, next).await, accepted(true), "an empty lane gives the turn at once");
    in_order(world, &after).await;
}

pub(super) async fn a_queued_one_that_ends_does_not_move_the_head(world: &World) {
    let worker = world.worker().await;
    let ids = queue(world, worker, "l", 4).await;
    world.store.signal(world.id(), ids[1], &Signal::Withdraw { by: "c".into(), note: None }, T0).await.unwrap();
    claim_and_end(world, worker, ids[1], "withdrawn").await;
    assert_eq!(turn(world, ids[2]).await, (false, false, false));
    assert_eq!(world.write(worker, end(ids[0], 1, "done")).await, Written::Advanced);
    assert_eq!(turn(world, ids[2]).await, (true, false, true), "the one that ended is passed over");
    assert_eq!(turn(world, ids[3]).await, (false, false, false));
}

pub(super) async fn one_batch_accepts_and_ends(world: &World) {
    let worker = world.worker().await;
    let ids = queue(world, worker, "l", 1).await;
    let (next, after) = (world.in_lane(worker, "l"), world.in_lane(worker, "l"));
    let batch = [w(end(ids[0], 1, "done")), w(next.clone()), w(after.clone())];
    let written = world.store.commit(worker, &batch).await.unwrap();
    assert_eq!(written, [Written::Advanced, accepted(false), accepted(false)]);
    assert_eq!(turn(world, next.row.id).await, (true, false, true));
    assert_eq!(turn(world, after.row.id).await, (false, false, false));
    in_order(world, &[ids[0], next.row.id, after.row.id]).await;
}

pub(super) async fn several_ends_in_one_batch(world: &World) {
    let worker = world.worker().await;
    let ids = queue(world, worker, "l", 4).await;
    for id in [ids[1], ids[2]] {
        world.store.signal(world.id(), id, &Signal::Withdraw { by: "c".into(), note: None }, T0).await.unwrap();
    }
    assert_eq!(world.store.claim(worker, 9).await.unwrap().len(), 2);
    let withdrawn = |id| {
        let mut last = end(id, 1, "withdrawn");
        last.seen = 1;
        w(last)
    };
    let batch = [withdrawn(ids[2]), w(end(ids[0], 1, "done")), withdrawn(ids[1])];
    assert_eq!(world.store.commit(worker, &batch).await.unwrap(), [Written::Advanced, Written::Advanced, Written::Advanced]);
    assert_eq!(turn(world, ids[3]).await, (true, false, true));
    claim_and_end(world, worker, ids[3], "done").await;
    let next = world.in_lane(worker, "l");
    assert_eq!(world.write(worker, next).await, accepted(true));
}

pub(super) async fn out_of_turn_rests_until_its_expiry(world: &World) {
    let worker = world.worker().await;
    let ids = queue(world, worker, "l", 2).await;
    let row = world.store.request(ids[1]).await.unwrap();
    assert_eq!((row.owner, row.wake_at, row.expires_at), (None, Some(LATER), LATER));
    let mut late = world.in_lane(worker, "l");
    late.row.expires_at = T0;
    world.write(worker, late.clone()).await;
    let claimed = world.store.claim(worker, 9).await.unwrap();
    assert_eq!(claimed.iter().map(|claimed| claimed.request).collect::<Vec<_>>(), [late.row.id], "expired in the queue");
    // Given back without a time of its own, it rests until its expiry again.
    world.store.signal(world.id(), ids[1], &Signal::Note { by: "a".into(), text: "b".into() }, T0).await.unwrap();
    assert_eq!(world.store.claim(worker, 9).await.unwrap().len(), 1);
    let mut back = release(ids[1], 1, "queued", None);
    back.seen = 1;
    assert_eq!(world.write(worker, back).await, Written::Advanced);
    let row = world.store.request(ids[1]).await.unwrap();
    assert_eq!((row.owner, row.wake_at, row.turn), (None, Some(LATER), false));
}

pub(super) async fn a_turn_that_comes_while_it_is_owned_is_not_lost(world: &World) {
    let (worker, other) = (world.worker().await, world.worker().await);
    let ids = queue(world, worker, "l", 2).await;
    world.store.signal(world.id(), ids[1], &Signal::Note { by: "a".into(), text: "b".into() }, T0).await.unwrap();
    assert_eq!(world.store.claim(other, 9).await.unwrap().len(), 1);
    assert_eq!(world.write(worker, end(ids[0], 1, "done")).await, Written::Advanced);
    assert_eq!(turn(world, ids[1]).await, (true, true, true), "its owner is told");
    // The owner, who does not know it, writes a note and then gives it back.
    let mut noted = step(ids[1], 1);
    (noted.seen, noted.summary.state) = (1, "queued");
    assert_eq!(world.write(other, noted).await, Written::Advanced);
    assert_eq!(turn(world, ids[1]).await, (true, true, true), "still pending");
    let mut back = release(ids[1], 2, "queued", None);
    back.seen = 1;
    assert_eq!(world.write(other, back).await, Written::Advanced);
    assert_eq!(turn(world, ids[1]).await, (true, false, true));
}

pub(super) async fn out_of_turn_cannot_run(world: &World) {
    let worker = world.worker().await;
    let ids = queue(world, worker, "l", 2).await;
    world.store.signal(world.id(), ids[1], &Signal::Note { by: "a".into(), text: "b".into() }, T0).await.unwrap();
    world.store.claim(worker, 9).await.unwrap();
    let mut run = step(ids[1], 1);
    run.seen = 1;
    let refused = world.store.commit(worker, &[w(run)]).await;
    assert!(matches!(refused, Err(StoreError::Data(_))), "{refused:?}");
}

/// Workers accept into two lanes, in opposite orders, while others end what has its turn: every request gets its turn, one at a
/// time, in the order of the numbers.
pub(super) async fn lanes_hold_under_concurrency(world: &World) {
    let workers = [world.worker().await, world.worker().await, world.worker().await];
    let barrier = Arc::new(Barrier::new(workers.len()));
    let mut tasks = Vec::new();
    for (n, worker) in workers.into_iter().enumerate() {
        let store = if n == 1 { world.other.clone() } else { world.store.clone() };
        let barrier = barrier.clone();
        let batches: Vec<_> = (0..8)
            .map(|round| {
                let mut pair = [world.in_lane(worker, "a"), world.in_lane(worker, "b")];
                if (n + round) % 2 == 0 {
                    pair.reverse();
                }
                pair
            })
            .collect();
        tasks.push(tokio::spawn(async move {
            let mut ended = Vec::new();
            barrier.wait().await;
            for pair in batches {
                let mine: Vec<_> = pair.iter().map(|accept| (accept.row.id, accept.row.lane.clone())).collect();
                let written = committed(&*store, worker, &pair.map(w)).await;
                let mut turns: Vec<Uuid> = mine
                    .iter()
                    .zip(written)
                    .filter(|(_, written)| matches!(written, Written::Accepted { turn: true, .. }))
                    .map(|((id, _), _)| *id)
                    .collect();
                turns.extend(store.claim(worker, 9).await.unwrap().into_iter().map(|claimed| claimed.request));
                let ends: Vec<_> = turns.iter().map(|id| w(end(*id, 1, "done"))).collect();
                let written = committed(&*store, worker, &ends).await;
                assert!(written.iter().all(|written| *written == Written::Advanced), "{written:?}");
                ended.extend(turns);
            }
            ended
        }));
    }
    let mut ended = BTreeSet::new();
    for task in tasks {
        for id in task.await.unwrap() {
            assert!(ended.insert(id), "ended twice");
        }
    }
    // What is left is claimed one by one.
    loop {
        let claimed = world.store.claim(workers[0], 9).await.unwrap();
        if claimed.is_empty() {
            break;
        }
        for claimed in claimed {
            assert_eq!(world.write(workers[0], end(claimed.request, 1, "done")).await, Written::Advanced);
            assert!(ended.insert(claimed.request));
        }
    }
    assert_eq!(ended.len(), 48);
    let balance = world.store.balance().await.unwrap();
    assert_eq!((balance.accepted, balance.done, balance.open()), (48, 48, 0));
    for lane in ["a", "b"] {
        assert_eq!(world.write(workers[0], world.in_lane(workers[0], lane)).await, accepted(true));
    }
}

/// Without another try: keys are locked in one order, so there is no deadlock.
async fn committed(
    store: &dyn mozhao::engine::ports::store::Store,
    worker: Uuid,
    batch: &[mozhao::engine::ports::store::Write],
) -> Vec<Written> {
    store.commit(worker, batch).await.unwrap()
}
