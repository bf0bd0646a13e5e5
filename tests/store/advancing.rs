//! The owner's steps and their guards.

use mozhao::domain::request::signal::Signal;
use mozhao::domain::time::Time;
use mozhao::domain::words::Choice;
use mozhao::engine::ports::store::{Consumed, ReviewChange, StoreError, Written};
use uuid::Uuid;

use super::world::{LATER, T0, World, defect, end, entry, release, step, w};

fn note() -> Signal {
    Signal::Note { by: "ann".into(), text: "hello".into() }
}

pub(super) async fn a_step_moves_the_head(world: &World) {
    let worker = world.worker().await;
    let id = world.running(worker).await;
    let mut advance = step(id, 2);
    advance.entries.push(entry(4));
    let summary = &mut advance.summary;
    (summary.seq, summary.head, summary.version, summary.state) = (4, entry(4).hash, 2, "waiting");
    (summary.step, summary.reason, summary.person) = (Some("sms".into()), Some("no_code".into()), true);
    (summary.wake_at, summary.at) = (Some(LATER), Time(T0.0 + 5));
    advance.payload = Some(b"{}".as_slice().into());
    assert_eq!(world.write(worker, advance).await, Written::Advanced);
    let loaded = world.store.load(id).await.unwrap();
    let row = loaded.row;
    assert_eq!((row.seq, row.head, row.version, row.state.as_str()), (4, entry(4).hash, 2, "waiting"));
    assert_eq!((row.step.as_deref(), row.reason.as_deref(), row.person), (Some("sms"), Some("no_code"), true));
    assert_eq!((row.owner, row.wake_at, row.updated_at, row.accepted_at), (Some(worker), Some(LATER), Time(T0.0 + 5), T0));
    assert_eq!(loaded.entries, [entry(1), entry(2), entry(3), entry(4)]);
    assert_eq!(&loaded.payload[..], b"{}");
    // Given up, with nothing new: due when it says.
    world.write(worker, release(id, 4, "waiting", Some(LATER))).await;
    let row = world.store.request(id).await.unwrap();
    assert_eq!((row.seq, row.owner, row.wake_at), (4, None, Some(LATER)));
}

pub(super) async fn a_stale_or_foreign_step_is_lost_and_the_rest_stands(world: &World) {
    let (worker, stranger) = (world.worker().await, world.worker().await);
    let (mine, theirs, resting) = (world.running(worker).await, world.running(stranger).await, world.resting(worker, None).await);
    let batch = [
        w(step(mine, 1)),
        w(step(mine, 3)),
        w(step(theirs, 2)),
        w(step(resting, 2)),
        w(step(Uuid::from_u128(999_999), 1)),
        w(world.accept(worker)),
    ];
    let written = world.store.commit(worker, &batch).await.unwrap();
    let accepted = Written::Accepted { turn: true, over_limit: false };
    assert_eq!(written, [Written::Lost, Written::Lost, Written::Lost, Written::Lost, Written::Lost, accepted]);
    for id in [mine, theirs, resting] {
        assert_eq!(world.store.load(id).await.unwrap().entries.len(), 2);
    }
    let written = world.store.commit(worker, &[w(step(theirs, 2)), w(step(mine, 2))]).await.unwrap();
    assert_eq!(written, [Written::Lost, Written::Advanced]);
}

pub(super) async fn a_second_step_in_a_batch_is_lost(world: &World) {
    let worker = world.worker().await;
    let id = world.running(worker).await;
    let written = world.store.commit(worker, &[w(step(id, 2)), w(step(id, 3)), w(step(id, 2))]).await.unwrap();
    assert_eq!(written, [Written::Advanced, Written::Lost, Written::Lost]);
    assert_eq!(world.store.request(id).await.unwrap().seq, 3);
}

pub(super) async fn wrong_numbering_is_data(world: &World) {
    let worker = world.worker().await;
    let id = world.running(worker).await;
    let mut gap = step(id, 2);
    gap.entries[0].seq = 4;
    let mut head = step(id, 2);
    head.summary.seq = 4;
    let mut owned_end = end(id, 2, "done");
    owned_end.summary.owned = true;
    let mut open_end = end(id, 2, "done");
    open_end.summary.ended_at = None;
    let mut first = world.accept(worker);
    first.first.seq = 2;
    for write in [w(gap), w(head), w(owned_end), w(open_end), w(first)] {
        let refused = world.store.commit(worker, &[write]).await;
        assert!(matches!(refused, Err(StoreError::Data(_))), "{refused:?}");
    }
    assert_eq!(world.store.request(id).await.unwrap().seq, 2);
}

pub(super) async fn a_worker_without_a_row_is_fenced(world: &World) {
    let worker = world.worker().await;
    let id = world.running(worker).await;
    world.store.deregister(worker).await.unwrap();
    let accept = world.accept(worker);
    for write in [w(accept.clone()), w(step(id, 2)), w(world.reject(None, b"x"))] {
        assert!(matches!(world.store.commit(worker, &[write]).await, Err(StoreError::Fenced)));
    }
    assert!(matches!(world.store.request(accept.row.id).await, Err(StoreError::NotFound(_))));
    assert_eq!(world.store.request(id).await.unwrap().seq, 2);
}

pub(super) async fn endings_are_counted(world: &World) {
    let worker = world.worker().await;
    for (outcome, person) in [("done", false), ("done", true), ("refused", false), ("withdrawn", true), ("expired", false)] {
        let id = world.running(worker).await;
        let mut last = end(id, 2, outcome);
        (last.summary.person, last.summary.wake_at) = (person, Some(T0));
        assert_eq!(world.write(worker, last).await, Written::Advanced);
        let row = world.store.request(id).await.unwrap();
        assert_eq!((row.state.as_str(), row.ended_at, row.owner, row.wake_at), (outcome, Some(T0), None, None));
        assert_eq!(world.write(worker, step(id, 3)).await, Written::Lost, "nobody owns what has ended");
    }
    world.running(worker).await;
    let balance = world.store.balance().await.unwrap();
    assert_eq!((balance.accepted, balance.done, balance.refused, balance.withdrawn, balance.expired), (6, 2, 1, 1, 1));
    assert_eq!((balance.automated, balance.running, balance.open()), (3, 1, 1));
    assert!(balance.holds());
}

pub(super) async fn everything_of_a_step_is_written(world: &World) {
    let worker = world.worker().await;
    let id = world.running(worker).await;
    let (signal, other) = (world.id(), world.id());
    world.store.signal(signal, id, &note(), T0).await.unwrap();
    world.store.signal(other, id, &note(), T0).await.unwrap();
    let mut advance = step(id, 2);
    advance.seen = 1;
    advance.consumed = vec![Consumed { signal, answer: "applied".into() }];
    advance.defect = Some(defect("f1", id, T0));
    advance.events = vec![world.event(Some(id)), world.event(Some(id))];
    assert_eq!(world.write(worker, advance.clone()).await, Written::Advanced);
    assert_eq!(world.store.signal_answer(signal).await.unwrap().as_deref(), Some("applied"));
    assert_eq!(world.store.signals(id).await.unwrap(), [(other, note())]);
    let row = world.store.request(id).await.unwrap();
    assert_eq!((row.signalled, row.seen), (2, 1));
    assert_eq!(world.store.defect("f1").await.unwrap().count, 1);
    assert_eq!(world.store.unpublished(worker, 9).await.unwrap(), advance.events);
    // Another request's signal is not this one's to answer.
    let stranger = world.running(worker).await;
    let mut foreign = step(stranger, 2);
    foreign.consumed = vec![Consumed { signal: other, answer: "wrong".into() }];
    world.write(worker, foreign).await;
    assert_eq!(world.store.signal_answer(other).await.unwrap(), None);
}

pub(super) async fn nothing_of_a_lost_step_is_written(world: &World) {
    let (worker, stranger) = (world.worker().await, world.worker().await);
    let (id, review) = world.in_review(stranger, false).await;
    let signal = world.id();
    world.store.signal(signal, id, &note(), T0).await.unwrap();
    let before = world.store.load(id).await.unwrap();
    let mut lost = step(id, 2);
    lost.seen = 1;
    lost.consumed = vec![Consumed { signal, answer: "applied".into() }];
    lost.review = Some(ReviewChange::Decided(review.id));
    lost.defect = Some(defect("f1", id, T0));
    lost.events = vec![world.event(Some(id))];
    lost.payload = Some(b"changed".as_slice().into());
    let mut ending = end(id, 2, "done");
    ending.seen = 1;
    for write in [w(lost.clone()), w(ending)] {
        assert_eq!(world.store.commit(worker, &[write]).await.unwrap(), [Written::Lost]);
    }
    let after = world.store.load(id).await.unwrap();
    assert_eq!((after.row, after.payload, after.entries), (before.row, before.payload, before.entries));
    assert_eq!(world.store.signal_answer(signal).await.unwrap(), None);
    assert_eq!(world.store.review(review.id).await.unwrap(), review);
    assert!(matches!(world.store.defect("f1").await, Err(StoreError::NotFound(_))));
    assert!(world.store.unpublished(worker, 9).await.unwrap().is_empty());
    assert_eq!(world.store.balance().await.unwrap().done, 0);
}

pub(super) async fn defects_are_counted_and_keep_their_first_example(world: &World) {
    let worker = world.worker().await;
    let ids = [world.running(worker).await, world.running(worker).await, world.running(worker).await];
    let failing = |n: usize, fingerprint: &str, at: i64, version: u32| {
        let mut advance = step(ids[n], 2);
        let mut row = defect(fingerprint, ids[n], Time(at));
        (row.version, row.detail) = (version, format!("example {n}"));
        advance.defect = Some(row);
        w(advance)
    };
    let batch = [failing(0, "b", 30, 1), failing(1, "b", 20, 2), failing(2, "a", 10, 1)];
    world.store.commit(worker, &batch).await.unwrap();
    let row = world.store.defect("b").await.unwrap();
    assert_eq!((row.count, row.version, row.detail.as_str(), row.sample), (2, 2, "example 0", ids[0]));
    assert_eq!((row.first_seen, row.last_seen), (Time(30), Time(30)));
    let mut again = step(ids[0], 3);
    again.defect = Some(defect("a", ids[0], Time(50)));
    world.write(worker, again).await;
    let listed: Vec<_> = world.store.defects(&[], 9).await.unwrap().into_iter().map(|row| (row.fingerprint, row.count)).collect();
    assert_eq!(listed, [("a".into(), 2), ("b".into(), 2)], "last seen first");
    assert_eq!(world.store.defects(&[], 1).await.unwrap().len(), 1);
    assert_eq!(world.store.defects(&["another".into(), "card_unbind".into()], 9).await.unwrap().len(), listed.len());
    assert!(world.store.defects(&["another".into()], 9).await.unwrap().is_empty());
    assert_eq!(world.store.defect("a").await.unwrap().sample, ids[2]);
}

pub(super) async fn a_review_opens_and_closes(world: &World) {
    let worker = world.worker().await;
    let (id, review) = world.in_review(worker, true).await;
    assert_eq!(world.store.review(review.id).await.unwrap(), review);
    assert_eq!(review.options, [Choice::Approve, Choice::Refuse, Choice::AskCustomer]);
    assert_eq!(world.store.request(id).await.unwrap().review, Some(review.id));
    world.store.signal(world.id(), id, &note(), T0).await.unwrap();
    assert_eq!(world.store.claim(worker, 9).await.unwrap().len(), 1);
    let mut cancel = step(id, 2);
    (cancel.seen, cancel.review, cancel.summary.at) = (1, Some(ReviewChange::Cancelled(review.id)), Time(77));
    assert_eq!(world.write(worker, cancel).await, Written::Advanced);
    let closed = world.store.review(review.id).await.unwrap();
    assert_eq!((closed.state.as_str(), closed.closed_at, closed.claimed_by.as_deref()), ("cancelled", Some(Time(77)), None));
    // Closed stays closed.
    let mut decided = step(id, 3);
    (decided.seen, decided.review) = (1, Some(ReviewChange::Decided(review.id)));
    assert_eq!(world.write(worker, decided).await, Written::Advanced);
    assert_eq!(world.store.review(review.id).await.unwrap(), closed);
}

pub(super) async fn an_owner_cannot_have_seen_more_than_was_sent(world: &World) {
    let worker = world.worker().await;
    let id = world.running(worker).await;
    let mut liar = step(id, 2);
    liar.seen = 1;
    let refused = world.store.commit(worker, &[w(liar)]).await;
    assert!(matches!(refused, Err(StoreError::Data(_))), "{refused:?}");
}
