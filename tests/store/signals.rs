//! What comes from outside, and how it meets the owner.

use std::sync::Arc;

use mozhao::domain::request::signal::Signal;
use mozhao::engine::ports::store::{Consumed, Sent, StoreError, Written};
use tokio::sync::Barrier;

use super::world::{LATER, T0, World, end, release, step, w};

fn withdraw() -> Signal {
    Signal::Withdraw { by: "c-1".into(), note: None }
}

pub(super) async fn a_signal_wakes_and_waits(world: &World) {
    let worker = world.worker().await;
    let id = world.resting(worker, Some(LATER)).await;
    let signal = Signal::Callback { name: "sms".into(), body: serde_json::json!({"code": "\u{0}", "n": 1.5}) };
    let sent = world.id();
    assert_eq!(world.store.signal(sent, id, &signal, T0).await.unwrap(), Sent::Stored(sent));
    let row = world.store.request(id).await.unwrap();
    assert_eq!((row.signalled, row.seen, row.owner), (1, 0, None));
    assert!(row.wake_at.unwrap() <= world.store.now().await.unwrap());
    assert_eq!(world.store.signals(id).await.unwrap(), [(sent, signal)]);
    assert_eq!(world.store.signal_answer(sent).await.unwrap(), None);
    assert_eq!(world.store.claim(worker, 9).await.unwrap().len(), 1);
}

pub(super) async fn the_same_id_is_stored_once(world: &World) {
    let worker = world.worker().await;
    let id = world.running(worker).await;
    let sent = world.id();
    for _ in 0..2 {
        assert_eq!(world.store.signal(sent, id, &withdraw(), T0).await.unwrap(), Sent::Stored(sent));
    }
    assert_eq!(world.store.request(id).await.unwrap().signalled, 1);
    assert_eq!(world.store.claim(worker, 9).await.unwrap().len(), 1);
    assert_eq!(world.store.signal(sent, id, &withdraw(), T0).await.unwrap(), Sent::Stored(sent));
    assert!(world.store.claim(worker, 9).await.unwrap().is_empty(), "no second wake");
    let mut last = end(id, 2, "withdrawn");
    (last.seen, last.consumed) = (1, vec![Consumed { signal: sent, answer: "applied".into() }]);
    assert_eq!(world.write(worker, last).await, Written::Advanced);
    assert_eq!(
        world.store.signal(sent, id, &withdraw(), T0).await.unwrap(),
        Sent::Stored(sent),
        "it can still ask for the answer"
    );
}

pub(super) async fn ended_and_unknown_requests_take_none(world: &World) {
    let worker = world.worker().await;
    let id = world.running(worker).await;
    world.write(worker, end(id, 2, "refused")).await;
    let sent = world.id();
    assert_eq!(world.store.signal(sent, id, &withdraw(), T0).await.unwrap(), Sent::Ended("refused"));
    assert!(matches!(world.store.signal_answer(sent).await, Err(StoreError::NotFound(_))));
    assert_eq!(world.store.request(id).await.unwrap().signalled, 0);
    let unknown = world.store.signal(sent, world.id(), &withdraw(), T0).await;
    assert!(matches!(unknown, Err(StoreError::NotFound(_))));
}

pub(super) async fn quiet_steps_see_signals_first(world: &World) {
    let worker = world.worker().await;
    let id = world.running(worker).await;
    world.store.signal(world.id(), id, &withdraw(), T0).await.unwrap();
    let mut intent = step(id, 2);
    intent.quiet = true;
    assert_eq!(world.write(worker, intent.clone()).await, Written::Signalled);
    assert_eq!(world.write(worker, end(id, 2, "done")).await, Written::Signalled);
    assert_eq!(world.store.request(id).await.unwrap().seq, 2);
    // Lost beats signalled: who owns nothing is told so.
    let stranger = world.worker().await;
    assert_eq!(world.write(stranger, intent.clone()).await, Written::Lost);
    let mut stale = step(id, 1);
    stale.quiet = true;
    assert_eq!(world.write(worker, stale).await, Written::Lost);
    assert_eq!(world.write(worker, step(id, 2)).await, Written::Advanced, "not quiet");
    let mut intent = step(id, 3);
    (intent.quiet, intent.seen) = (true, 1);
    assert_eq!(world.write(worker, intent).await, Written::Advanced, "all seen");
}

pub(super) async fn a_release_with_an_unseen_signal_is_due(world: &World) {
    let worker = world.worker().await;
    let id = world.running(worker).await;
    world.store.signal(world.id(), id, &withdraw(), T0).await.unwrap();
    assert_eq!(world.write(worker, release(id, 2, "waiting", Some(LATER))).await, Written::Advanced);
    let claimed = world.store.claim(worker, 9).await.unwrap();
    assert_eq!(claimed.iter().map(|claimed| (claimed.request, claimed.mine_already)).collect::<Vec<_>>(), [(id, false)]);
    let mut rest = release(id, 2, "waiting", None);
    rest.seen = 1;
    assert_eq!(world.write(worker, rest).await, Written::Advanced);
    assert_eq!(world.store.request(id).await.unwrap().wake_at, None);
}

pub(super) async fn answers_reach_the_sender(world: &World) {
    let worker = world.worker().await;
    let id = world.running(worker).await;
    let sent = world.id();
    world.store.signal(sent, id, &withdraw(), T0).await.unwrap();
    let mut answer = step(id, 2);
    (answer.seen, answer.consumed) = (1, vec![Consumed { signal: sent, answer: "too late".into() }]);
    world.write(worker, answer).await;
    assert_eq!(world.store.signal_answer(sent).await.unwrap().as_deref(), Some("too late"));
    assert!(world.store.signals(id).await.unwrap().is_empty());
    // The first answer stays.
    let mut again = step(id, 3);
    (again.seen, again.consumed) = (1, vec![Consumed { signal: sent, answer: "other".into() }]);
    world.write(worker, again).await;
    assert_eq!(world.store.signal_answer(sent).await.unwrap().as_deref(), Some("too late"));
}

pub(super) async fn a_pending_wake_survives_an_owned_step(world: &World) {
    let worker = world.worker().await;
    let id = world.running(worker).await;
    world.store.signal(world.id(), id, &withdraw(), T0).await.unwrap();
    assert_eq!(world.write(worker, step(id, 2)).await, Written::Advanced);
    assert_eq!(world.store.claim(worker, 9).await.unwrap().len(), 1, "the owner has not been told yet");
    assert_eq!(world.write(worker, step(id, 3)).await, Written::Advanced);
    assert!(world.store.claim(worker, 9).await.unwrap().is_empty(), "told once");
}

/// Either the intent is first and the withdrawal finds it, or the withdrawal is first and the intent is told. Never both, never none.
pub(super) async fn intent_and_withdrawal_race(world: &World) {
    let worker = world.worker().await;
    let mut outcomes = [0, 0];
    for _ in 0..40 {
        let id = world.running(worker).await;
        let mut intent = step(id, 2);
        intent.quiet = true;
        let (barrier, sent) = (Arc::new(Barrier::new(2)), world.id());
        let (store, gate) = (world.other.clone(), barrier.clone());
        let sender = tokio::spawn(async move {
            gate.wait().await;
            store.signal(sent, id, &withdraw(), T0).await.unwrap()
        });
        barrier.wait().await;
        let written = world.write(worker, intent).await;
        assert_eq!(sender.await.unwrap(), Sent::Stored(sent));
        let row = world.store.request(id).await.unwrap();
        match written {
            Written::Advanced => assert_eq!((row.seq, row.signalled), (3, 1)),
            Written::Signalled => assert_eq!((row.seq, row.signalled), (2, 1)),
            other => panic!("{other:?}"),
        }
        outcomes[usize::from(written == Written::Signalled)] += 1;
        assert!(world.store.claim(worker, 9).await.unwrap().iter().any(|claimed| claimed.request == id), "the owner hears of it");
    }
    assert_eq!(outcomes.iter().sum::<i32>(), 40);
}

/// However a release and a signal interleave, the request is due afterwards.
pub(super) async fn release_and_signal_race(world: &World) {
    let worker = world.worker().await;
    for _ in 0..40 {
        let id = world.running(worker).await;
        let (barrier, sent) = (Arc::new(Barrier::new(2)), world.id());
        let (store, gate) = (world.other.clone(), barrier.clone());
        let sender = tokio::spawn(async move {
            gate.wait().await;
            store.signal(sent, id, &withdraw(), T0).await.unwrap()
        });
        barrier.wait().await;
        assert_eq!(world.write(worker, release(id, 2, "waiting", Some(LATER))).await, Written::Advanced);
        sender.await.unwrap();
        let claimed = world.store.claim(worker, 9).await.unwrap();
        assert_eq!(claimed.iter().map(|claimed| (claimed.request, claimed.mine_already)).collect::<Vec<_>>(), [(id, false)]);
        let mut last = end(id, 2, "withdrawn");
        last.seen = 1;
        assert_eq!(world.store.commit(worker, &[w(last)]).await.unwrap(), [Written::Advanced]);
    }
}

pub(super) async fn the_same_signal_races_with_itself(world: &World) {
    let worker = world.worker().await;
    let id = world.running(worker).await;
    let (barrier, sent) = (Arc::new(Barrier::new(6)), world.id());
    let tasks: Vec<_> = (0..6)
        .map(|n| {
            let store = if n % 2 == 0 { world.store.clone() } else { world.other.clone() };
            let gate = barrier.clone();
            tokio::spawn(async move {
                gate.wait().await;
                store.signal(sent, id, &withdraw(), T0).await.unwrap()
            })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), Sent::Stored(sent));
    }
    assert_eq!(world.store.request(id).await.unwrap().signalled, 1);
    assert_eq!(world.store.signals(id).await.unwrap().len(), 1);
}
