//! Intake: what is accepted, what is a duplicate, what is counted.

use std::sync::Arc;

use mozhao::engine::ports::store::{StoreError, Written};
use tokio::sync::Barrier;
use uuid::Uuid;

use super::world::{LATER, T0, World, limit, step, w};

const NEW: Written = Written::Accepted { turn: true, over_limit: false };

pub(super) async fn a_request_is_stored_as_it_was_sent(world: &World) {
    let worker = world.worker().await;
    let mut accept = world.accept(worker);
    accept.events = vec![world.event(Some(accept.row.id))];
    accept.row.traceparent = Some("00-a-b-01".into());
    assert_eq!(world.write(worker, accept.clone()).await, NEW);
    let loaded = world.store.load(accept.row.id).await.unwrap();
    let mut row = accept.row.clone();
    row.turn = true;
    assert_eq!(loaded.row, row);
    assert_eq!(loaded.payload, accept.payload);
    assert_eq!(loaded.entries, [accept.first]);
    assert!(loaded.signals.is_empty());
    assert_eq!(world.store.unpublished(worker, 10).await.unwrap(), accept.events);
    // Accepted by somebody who does not run it: due when they said.
    let mut accept = world.accept(worker);
    (accept.row.owner, accept.row.wake_at) = (None, Some(T0));
    world.write(worker, accept.clone()).await;
    let row = world.store.request(accept.row.id).await.unwrap();
    assert_eq!((row.owner, row.wake_at), (None, Some(T0)));
}

pub(super) async fn a_key_is_accepted_once(world: &World) {
    let worker = world.worker().await;
    let first = world.accept(worker);
    let again = |body: [u8; 32], producer: &str| {
        let mut again = world.accept(worker);
        (again.message, again.body_sha256, again.producer) = (first.message.clone(), body, producer.into());
        again
    };
    assert_eq!(world.write(worker, first.clone()).await, NEW);
    assert_eq!(world.write(worker, again(first.body_sha256, "web")).await, Written::Duplicate(first.row.id));
    assert_eq!(world.write(worker, again([8; 32], "web")).await, Written::KeyConflict(Some(first.row.id)));
    assert_eq!(world.write(worker, again([8; 32], "call centre")).await, NEW, "another producer's key is another key");
    assert_eq!(world.store.balance().await.unwrap().accepted, 2);
}

pub(super) async fn a_key_twice_in_one_batch(world: &World) {
    let worker = world.worker().await;
    let first = world.accept(worker);
    let (mut same, mut other) = (world.accept(worker), world.accept(worker));
    (same.message, other.message, other.body_sha256) = (first.message.clone(), first.message.clone(), [8; 32]);
    let between = world.accept(worker);
    let batch = [w(first.clone()), w(same.clone()), w(between), w(other)];
    let written = world.store.commit(worker, &batch).await.unwrap();
    let id = first.row.id;
    assert_eq!(written, [NEW, Written::Duplicate(id), NEW, Written::KeyConflict(Some(id))]);
    assert!(matches!(world.store.request(same.row.id).await, Err(StoreError::NotFound(_))));
    assert_eq!(world.store.balance().await.unwrap().accepted, 2);
}

pub(super) async fn one_of_many_racing_duplicates_wins(world: &World) {
    let (one, two) = (world.worker().await, world.worker().await);
    for round in 0..10 {
        let barrier = Arc::new(Barrier::new(8));
        let race = (0..8).map(|n| {
            let (store, worker) = if n % 2 == 0 { (world.store.clone(), one) } else { (world.other.clone(), two) };
            // Two keys in opposite order.
            let mut pair = [world.accept(worker), world.accept(worker)];
            for (accept, key) in pair.iter_mut().zip(["a", "b"]) {
                accept.message = format!("{round}-{key}");
            }
            if n % 3 == 0 {
                pair.reverse();
            }
            let barrier = barrier.clone();
            tokio::spawn(async move {
                barrier.wait().await;
                store.commit(worker, &pair.map(w)).await.unwrap()
            })
        });
        let mut written = Vec::new();
        for task in race.collect::<Vec<_>>() {
            written.extend(task.await.unwrap());
        }
        assert_eq!(written.iter().filter(|written| **written == NEW).count(), 2, "one per key");
        assert_eq!(written.iter().filter(|written| matches!(written, Written::Duplicate(_))).count(), 14);
    }
    assert_eq!(world.store.balance().await.unwrap().accepted, 20);
}

pub(super) async fn rejected_messages_take_their_key(world: &World) {
    let worker = world.worker().await;
    let reject = world.reject(Some("k"), b"not json");
    assert_eq!(world.write(worker, reject.clone()).await, Written::Rejected);
    let mut accept = world.accept(worker);
    accept.message = "k".into();
    assert_eq!(world.write(worker, accept.clone()).await, Written::KeyConflict(None));
    accept.body_sha256 = reject.raw_sha256;
    assert_eq!(
        world.write(worker, accept.clone()).await,
        Written::KeyConflict(None),
        "what was no request has no answer to repeat"
    );
    // In one batch the request comes first, wherever it stands: the rejection is recorded beside it.
    let mut accept = world.accept(worker);
    accept.message = "l".into();
    let batch = [w(world.reject(Some("l"), b"other bytes")), w(accept.clone())];
    assert_eq!(world.store.commit(worker, &batch).await.unwrap(), [Written::Rejected, NEW]);
    let again = world.accept(worker);
    let again = mozhao::engine::ports::store::Accept { message: "l".into(), ..again };
    assert_eq!(world.write(worker, again).await, Written::Duplicate(accept.row.id));
}

pub(super) async fn a_rejection_is_recorded_once(world: &World) {
    let worker = world.worker().await;
    let with_event = |message: Option<&str>, raw: &[u8]| {
        let mut reject = world.reject(message, raw);
        reject.events = vec![world.event(None)];
        reject
    };
    let first = with_event(Some("k"), b"x");
    let batch = [w(first.clone()), w(with_event(Some("k"), b"x"))];
    assert_eq!(world.store.commit(worker, &batch).await.unwrap(), [Written::Rejected, Written::Rejected]);
    assert_eq!(world.write(worker, with_event(Some("k"), b"x")).await, Written::Rejected);
    let stored = world.store.rejected(None, 10).await.unwrap();
    let expected = mozhao::engine::ports::records::RejectedRow { events: vec![], ..first.clone() };
    assert_eq!(stored, [expected]);
    assert_eq!(world.store.unpublished(worker, 10).await.unwrap(), first.events, "answered once");
    // Other bytes under the same key are another message; without a key each is its own.
    world.write(worker, with_event(Some("k"), b"y")).await;
    world.write(worker, with_event(None, b"x")).await;
    world.write(worker, with_event(None, b"x")).await;
    assert_eq!(world.store.rejected(None, 10).await.unwrap().len(), 4);
    let balance = world.store.balance().await.unwrap();
    assert_eq!((balance.rejected, balance.accepted, balance.unpublished), (4, 0, 4));
}

pub(super) async fn a_limit_counts_what_is_accepted(world: &World) {
    let worker = world.worker().await;
    let limited = |key: &str| {
        let mut accept = world.accept(worker);
        accept.limit = Some(limit(key, 2));
        accept
    };
    let over = |over_limit| Written::Accepted { turn: true, over_limit };
    let first = limited("c-1");
    let mut duplicate = limited("c-1");
    duplicate.message.clone_from(&first.message);
    let batch = [w(first.clone()), w(duplicate), w(limited("c-1")), w(limited("c-2")), w(limited("c-1"))];
    let written = world.store.commit(worker, &batch).await.unwrap();
    assert_eq!(written, [over(false), Written::Duplicate(first.row.id), over(false), over(false), over(true)]);
    let fourth = limited("c-1");
    assert_eq!(world.write(worker, fourth.clone()).await, over(true));
    assert!(world.store.request(fourth.row.id).await.unwrap().over_limit);
    let mut tomorrow = limited("c-1");
    tomorrow.limit.as_mut().unwrap().window = LATER;
    assert_eq!(world.write(worker, tomorrow).await, over(false), "another window");
}

pub(super) async fn limits_hold_under_concurrency(world: &World) {
    let (one, two) = (world.worker().await, world.worker().await);
    let barrier = Arc::new(Barrier::new(10));
    let race = (0..10).map(|n| {
        let (store, worker) = if n % 2 == 0 { (world.store.clone(), one) } else { (world.other.clone(), two) };
        let mut pair = [world.accept(worker), world.accept(worker)];
        pair[0].limit = Some(limit("a", 7));
        pair[1].limit = Some(limit("b", 3));
        if n % 3 == 0 {
            pair.reverse();
        }
        let barrier = barrier.clone();
        tokio::spawn(async move {
            barrier.wait().await;
            let limits = pair.clone().map(|accept| accept.limit.unwrap().key);
            let written = store.commit(worker, &pair.map(w)).await.unwrap();
            limits.into_iter().zip(written).collect::<Vec<_>>()
        })
    });
    let mut within = Vec::new();
    for task in race.collect::<Vec<_>>() {
        for (key, written) in task.await.unwrap() {
            let Written::Accepted { over_limit, .. } = written else { panic!("{written:?}") };
            within.extend((!over_limit).then_some(key));
        }
    }
    assert_eq!(within.iter().filter(|key| *key == "a").count(), 7);
    assert_eq!(within.iter().filter(|key| *key == "b").count(), 3);
}

pub(super) async fn bad_data_refuses_the_whole_batch(world: &World) {
    let worker = world.worker().await;
    let running = world.running(worker).await;
    let good = world.accept(worker);
    let mut taken = world.accept(worker);
    taken.row.id = running;
    let batch = [w(good.clone()), w(step(running, 2)), w(world.reject(None, b"x")), w(taken)];
    let refused = world.store.commit(worker, &batch).await;
    assert!(matches!(refused, Err(StoreError::Data(_))), "{refused:?}");
    assert!(matches!(world.store.request(good.row.id).await, Err(StoreError::NotFound(_))));
    assert_eq!(world.store.request(running).await.unwrap().seq, 2);
    assert!(world.store.rejected(None, 10).await.unwrap().is_empty());
    assert_eq!(world.store.balance().await.unwrap().accepted, 1);
    // The good ones pass alone.
    let written = world.store.commit(worker, &batch[..3]).await.unwrap();
    assert_eq!(written, [NEW, Written::Advanced, Written::Rejected]);
}

pub(super) async fn text_with_nul_is_data_and_bytes_may_hold_anything(world: &World) {
    let worker = world.worker().await;
    let mut nul = world.accept(worker);
    nul.row.customer = "c\0".into();
    let mut answer = step(world.running(worker).await, 2);
    answer.summary.step = Some("\0".into());
    let mut reject = world.reject(None, b"x");
    reject.detail = "\0".into();
    for write in [w(nul), w(answer), w(reject)] {
        let refused = world.store.commit(worker, &[write]).await;
        assert!(matches!(refused, Err(StoreError::Data(_))), "{refused:?}");
    }
    let mut bytes = world.accept(worker);
    bytes.payload = br#"{"n":"\u0000","lone":"\ud800"}"#.as_slice().into();
    bytes.first.body = vec![0, 255, 254];
    assert_eq!(world.write(worker, bytes.clone()).await, NEW);
    let mut reject = world.reject(Some("raw"), &[0, 159, 146, 150]);
    reject.id = Uuid::max();
    world.write(worker, reject.clone()).await;
    let loaded = world.store.load(bytes.row.id).await.unwrap();
    assert_eq!((loaded.payload, &loaded.entries[0].body), (bytes.payload, &bytes.first.body));
    assert_eq!(world.store.rejected(None, 1).await.unwrap()[0].raw, reject.raw);
}
