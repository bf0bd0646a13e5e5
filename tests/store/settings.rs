//! Processes, tokens, settings, sweeping.

use std::sync::Arc;
use std::time::Duration;

use mozhao::domain::request::signal::Signal;
use mozhao::domain::time::Time;
use mozhao::engine::ports::records::{ProcessRow, Retention, TokenRow, Version};
use mozhao::engine::ports::store::{Consumed, ReviewChange, StoreError, Written};
use tokio::sync::Barrier;

use super::world::{T0, World, end, limit, step};

const DAY: Duration = Duration::from_hours(24);

pub(super) async fn a_version_is_published_once(world: &World) {
    let row = |name: &str, version, digest: &str| ProcessRow {
        name: name.into(),
        version,
        digest: digest.into(),
        source: "process: x".into(),
        published_at: T0,
    };
    assert_eq!(world.store.publish_process(&row("b", 2, "d1")).await.unwrap(), "d1");
    assert_eq!(world.store.publish_process(&row("b", 2, "d2")).await.unwrap(), "d1");
    world.store.publish_process(&row("b", 1, "d0")).await.unwrap();
    world.store.publish_process(&row("a", 10, "d3")).await.unwrap();
    let version = |row: ProcessRow| Version { name: row.name, version: row.version, digest: row.digest };
    let expected = [row("a", 10, "d3"), row("b", 1, "d0"), row("b", 2, "d1")].map(version);
    assert_eq!(world.store.processes(9).await.unwrap(), expected);
    assert_eq!(world.store.processes(2).await.unwrap(), expected[..2]);
    assert_eq!(world.store.process("b", 2).await.unwrap(), row("b", 2, "d1"));
    assert!(matches!(world.store.process("b", 3).await, Err(StoreError::NotFound(_))));
    let nul = ProcessRow { source: "\0".into(), ..row("c", 1, "d") };
    assert!(matches!(world.store.publish_process(&nul).await, Err(StoreError::Data(_))));
}

pub(super) async fn tokens(world: &World) {
    let token = |name: &str, sha: u8| TokenRow {
        name: name.into(),
        sha256: [sha; 32],
        roles: vec!["reviewer".into(), "operator".into()],
        processes: vec!["card_unbind".into()],
        review_roles: vec![],
        created_at: T0,
        expires_at: Some(Time(5)),
        revoked_at: None,
    };
    world.store.add_token(&token("bob", 2)).await.unwrap();
    world.store.add_token(&token("ann", 1)).await.unwrap();
    for taken in [token("ann", 3), token("eve", 1)] {
        assert!(matches!(world.store.add_token(&taken).await, Err(StoreError::Data(_))));
    }
    assert_eq!(world.store.token(&[2; 32]).await.unwrap(), token("bob", 2));
    assert!(matches!(world.store.token(&[9; 32]).await, Err(StoreError::NotFound(_))));
    assert_eq!(world.store.tokens().await.unwrap(), [token("ann", 1), token("bob", 2)]);
    assert!(world.store.revoke_token("ann", Time(7)).await.unwrap());
    assert!(world.store.revoke_token("ann", Time(8)).await.unwrap());
    assert!(!world.store.revoke_token("eve", Time(7)).await.unwrap());
    assert_eq!(world.store.token(&[1; 32]).await.unwrap().revoked_at, Some(Time(7)), "since the first time");
}

pub(super) async fn a_setting_has_one_first_value(world: &World) {
    let barrier = Arc::new(Barrier::new(6));
    let tasks: Vec<_> = (0..6_u8)
        .map(|n| {
            let store = if n % 2 == 0 { world.store.clone() } else { world.other.clone() };
            let gate = barrier.clone();
            tokio::spawn(async move {
                gate.wait().await;
                store.setting("secret", &[n, 0, 255]).await.unwrap()
            })
        })
        .collect();
    let mut values = Vec::new();
    for task in tasks {
        values.push(task.await.unwrap());
    }
    values.dedup();
    assert_eq!(values.len(), 1);
    assert_eq!(world.store.setting("secret", b"later").await.unwrap(), values[0]);
    assert_eq!(world.store.setting("other", b"x").await.unwrap(), b"x");
}

pub(super) async fn sweeping_removes_what_is_past_its_window(world: &World) {
    let worker = world.worker().await;
    let mut first = world.accept(worker);
    first.limit = Some(limit("c-1", 1));
    first.events = vec![world.event(None), world.event(None)];
    let id = first.row.id;
    world.write(worker, first.clone()).await;
    let second = world.accept(worker);
    world.write(worker, second.clone()).await;
    let (answered, open) = (world.id(), world.id());
    for signal in [answered, open] {
        world.store.signal(signal, id, &Signal::RetryNow { by: "a".into() }, T0).await.unwrap();
    }
    let mut answer = step(id, 1);
    (answer.seen, answer.consumed) = (1, vec![Consumed { signal: answered, answer: "applied".into() }]);
    assert_eq!(world.write(worker, answer).await, Written::Advanced);
    world.store.published(worker, &[first.events[0].id]).await.unwrap();
    assert_eq!(world.sweep(T0, 9).await, 0);

    // Limits after their window, answered signals after 30 days, keys after 400 days.
    assert_eq!(world.sweep(T0.plus(DAY * 2), 9).await, 1);
    let mut again = world.accept(worker);
    again.limit = Some(limit("c-1", 1));
    assert_eq!(world.write(worker, again).await, Written::Accepted { turn: true, over_limit: false });
    assert_eq!(world.sweep(T0.plus(DAY * 31), 9).await, 3, "the new count, the signal, the published event");
    assert!(matches!(world.store.signal_answer(answered).await, Err(StoreError::NotFound(_))));
    assert_eq!(world.store.signal_answer(open).await.unwrap(), None);
    let much_later = T0.plus(DAY * 401);
    let now = world.store.now().await.unwrap();
    let mut removed = 0;
    if much_later < now {
        // One at a time.
        assert_eq!(world.sweep(much_later, 1).await, 1);
        removed += 1;
    }
    removed += world.sweep(much_later, 9).await;
    assert_eq!(removed, 3, "three keys");
    assert!(matches!(
        world
            .write(worker, {
                let mut same = second.clone();
                same.row.id = world.id();
                same
            })
            .await,
        Written::Accepted { .. }
    ));
    assert_eq!(world.sweep(now.plus(DAY * 6), 9).await, 1, "the key again");
    assert_eq!(world.store.events(None, 9).await.unwrap(), first.events[1..], "what was not published stays");
}

/// What is about people and serves nothing any more does not stay for ever.
pub(super) async fn sweeping_forgets_people(world: &World) {
    let worker = world.worker().await;
    let rejected = world.reject(Some("m"), b"call me at 555-0100");
    world.write(worker, rejected.clone()).await;
    // A signal that came too late: its request ended without having looked at it.
    let (ended, open, late, waiting) = (world.running(worker).await, world.running(worker).await, world.id(), world.id());
    for (signal, request) in [(late, ended), (waiting, open)] {
        world.store.signal(signal, request, &Signal::RetryNow { by: "a".into() }, T0).await.unwrap();
    }
    let mut last = end(ended, 2, "done");
    last.quiet = false;
    assert_eq!(world.write(worker, last).await, Written::Advanced);

    assert_eq!(world.sweep(T0.plus(DAY * 29), 9).await, 0);
    assert_eq!(world.sweep(T0.plus(DAY * 31), 9).await, 2, "the bytes, the late signal");
    let kept = world.store.rejected(None, 9).await.unwrap().remove(0);
    assert_eq!((kept.raw.len(), kept.raw_len, kept.raw_sha256), (0, 19, rejected.raw_sha256));
    assert!(matches!(world.store.signal_answer(late).await, Err(StoreError::NotFound(_))));
    assert_eq!(world.store.signal_answer(waiting).await.unwrap(), None);
    assert_eq!(world.sweep(T0.plus(DAY * 31), 9).await, 0);
    world.sweep(T0.plus(DAY * 401), 9).await;
    assert!(world.store.rejected(None, 9).await.unwrap().is_empty());
}

/// With everything that belongs to them, where a window is set; open ones, and the keys of messages, stay.
pub(super) async fn ended_requests_go_after_their_window(world: &World) {
    let worker = world.worker().await;
    let keep = |days: u32| Retention { requests: Some(DAY * days), ..Retention::default() };
    let (request, review) = world.in_review(worker, false).await;
    let sent = world.id();
    world.store.signal(sent, request, &Signal::RetryNow { by: "a".into() }, T0).await.unwrap();
    assert_eq!(world.store.claim(worker, 9).await.unwrap().len(), 1);
    let mut last = end(request, 2, "done");
    (last.quiet, last.review) = (false, Some(ReviewChange::Cancelled(review.id)));
    assert_eq!(world.write(worker, last).await, Written::Advanced);
    let accept = world.accept(worker);
    let (same, short) = (accept.clone(), accept.row.id);
    world.write(worker, accept).await;
    assert_eq!(world.write(worker, end(short, 1, "refused")).await, Written::Advanced);
    let (open, lately) = (world.running(worker).await, world.running(worker).await);
    let mut last = end(lately, 2, "done");
    last.summary.ended_at = Some(T0.plus(DAY * 20));
    assert_eq!(world.write(worker, last).await, Written::Advanced);

    let now = T0.plus(DAY * 40);
    assert_eq!(world.store.sweep(now, &keep(41), 9).await.unwrap(), 1, "the signal");
    assert_eq!(world.store.request(request).await.unwrap().state, "done");
    // One at a time.
    assert_eq!(world.store.sweep(now, &keep(31), 1).await.unwrap(), 1);
    assert!(matches!(world.store.request(request).await, Err(StoreError::NotFound(_))));
    assert!(world.store.request(short).await.is_ok());
    assert_eq!(world.store.sweep(now, &keep(31), 9).await.unwrap(), 1);
    assert_eq!(world.store.sweep(now, &keep(31), 9).await.unwrap(), 0);
    for gone in [request, short] {
        assert!(matches!(world.store.request(gone).await, Err(StoreError::NotFound(_))));
        assert!(matches!(world.store.load(gone).await, Err(StoreError::NotFound(_))));
        assert!(world.store.entries(gone, 0, 9).await.unwrap().is_empty());
        let late = world.store.signal(world.id(), gone, &Signal::RetryNow { by: "a".into() }, T0).await;
        assert!(matches!(late, Err(StoreError::NotFound(_))), "{late:?}");
    }
    assert!(matches!(world.store.review(review.id).await, Err(StoreError::NotFound(_))));
    assert_eq!(world.write(worker, same).await, Written::Duplicate(short), "its key is known for longer");
    assert_eq!(world.store.load(open).await.unwrap().entries.len(), 2);
    assert_eq!(world.store.load(lately).await.unwrap().entries.len(), 3);
    let balance = world.store.balance().await.unwrap();
    assert!(balance.holds(), "{balance:?}");
    assert_eq!((balance.accepted, balance.removed, balance.kept()), (4, 2, 2));
    assert_eq!(world.store.sweep(T0.plus(DAY * 52), &keep(31), 9).await.unwrap(), 1);
    assert!(matches!(world.store.request(lately).await, Err(StoreError::NotFound(_))));
    assert_eq!(world.store.balance().await.unwrap().removed, 3, "by one counter");
}
