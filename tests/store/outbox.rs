//! Events.

use mozhao::engine::ports::records::Event;
use uuid::Uuid;

use super::world::{T0, World, step};

/// Writes so many events by a worker.
async fn send(world: &World, worker: Uuid, n: usize) -> Vec<Event> {
    let id = world.running(worker).await;
    let mut advance = step(id, 2);
    advance.events = (0..n).map(|_| world.event(Some(id))).collect();
    advance.events[0].reply_to = Some("replies".into());
    advance.events[0].correlation = Some("x-1".into());
    let sent = advance.events.clone();
    world.write(worker, advance).await;
    sent
}

pub(super) async fn events_wait_for_their_worker(world: &World) {
    let (one, two) = (world.worker().await, world.worker().await);
    let (first, second) = (send(world, one, 3).await, send(world, two, 1).await);
    assert_eq!(world.store.unpublished(one, 9).await.unwrap(), first);
    assert_eq!(world.store.unpublished(one, 2).await.unwrap(), first[..2]);
    assert_eq!(world.store.unpublished(two, 9).await.unwrap(), second);
    assert_eq!(world.store.balance().await.unwrap().unpublished, 4);
}

pub(super) async fn events_of_the_gone_are_adopted(world: &World) {
    let (gone, one, two) = (world.worker().await, world.worker().await, world.worker().await);
    let left = send(world, gone, 3).await;
    let own = send(world, one, 1).await;
    assert!(world.store.unpublished(two, 9).await.unwrap().is_empty());
    world.store.deregister(gone).await.unwrap();
    assert_eq!(world.store.unpublished(one, 2).await.unwrap(), left[..2], "oldest first, its own too");
    assert_eq!(world.store.unpublished(two, 9).await.unwrap(), left[2..], "each has one new publisher");
    assert_eq!(world.store.unpublished(one, 9).await.unwrap(), [&left[..2], &own[..]].concat());
}

pub(super) async fn published_ones_are_done(world: &World) {
    let worker = world.worker().await;
    let sent = send(world, worker, 3).await;
    world.store.published(worker, &[sent[1].id, sent[0].id]).await.unwrap();
    assert_eq!(world.store.unpublished(worker, 9).await.unwrap(), sent[2..]);
    world.store.published(worker, &[sent[1].id, world.id()]).await.unwrap();
    world.store.published(worker, &[]).await.unwrap();
    assert_eq!(world.store.balance().await.unwrap().unpublished, 1);
}

pub(super) async fn without_a_broker_none_waits(world: &World) {
    let (one, two) = (world.worker().await, world.worker().await);
    let sent = [send(world, one, 3).await, send(world, two, 1).await].concat();
    world.store.publish_none(one).await.unwrap();
    assert!(world.store.unpublished(one, 9).await.unwrap().is_empty());
    assert_eq!(world.store.unpublished(two, 9).await.unwrap(), sent[3..], "others may have a broker");
    assert_eq!(world.store.events(None, 9).await.unwrap(), sent, "they stay in the feed");
    let later = T0.plus(std::time::Duration::from_hours(24 * 365));
    assert_eq!(world.sweep(later, 9).await, 3, "until their window is over");
}

pub(super) async fn the_feed_has_a_cursor(world: &World) {
    let (one, two) = (world.worker().await, world.worker().await);
    let sent = [send(world, one, 2).await, send(world, two, 2).await].concat();
    world.store.published(one, &[sent[0].id]).await.unwrap();
    assert_eq!(world.store.events(None, 9).await.unwrap(), sent);
    assert_eq!(world.store.events(None, 3).await.unwrap(), sent[..3]);
    assert_eq!(world.store.events(Some(sent[2].id), 9).await.unwrap(), sent[3..]);
    assert!(world.store.events(Some(sent[3].id), 9).await.unwrap().is_empty());
}
