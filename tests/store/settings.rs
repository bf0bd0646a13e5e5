//! Processes, tokens, settings, sweeping.

use std::sync::Arc;
use std::time::Duration;

use mozhao::domain::request::signal::Signal;
use mozhao::domain::time::Time;
use mozhao::engine::ports::records::{ProcessRow, TokenRow};
use mozhao::engine::ports::store::{Consumed, StoreError, Written};
use tokio::sync::Barrier;

use super::world::{T0, World, limit, step};

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
    let expected = [row("a", 10, "d3"), row("b", 1, "d0"), row("b", 2, "d1")];
    assert_eq!(world.store.processes().await.unwrap(), expected);
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
    assert_eq!(world.store.sweep(T0, 9).await.unwrap(), 0);

    // Limits after their window, answered signals after 30 days, keys after 400 days.
    assert_eq!(world.store.sweep(T0.plus(DAY * 2), 9).await.unwrap(), 1);
    let mut again = world.accept(worker);
    again.limit = Some(limit("c-1", 1));
    assert_eq!(world.write(worker, again).await, Written::Accepted { lane_no: None, turn: true, over_limit: false });
    assert_eq!(world.store.sweep(T0.plus(DAY * 31), 9).await.unwrap(), 3, "the new count, the signal, the published event");
    assert!(matches!(world.store.signal_answer(answered).await, Err(StoreError::NotFound(_))));
    assert_eq!(world.store.signal_answer(open).await.unwrap(), None);
    let much_later = T0.plus(DAY * 401);
    let now = world.store.now().await.unwrap();
    let mut removed = 0;
    if much_later < now {
        // One at a time.
        assert_eq!(world.store.sweep(much_later, 1).await.unwrap(), 1);
        removed += 1;
    }
    removed += world.store.sweep(much_later, 9).await.unwrap();
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
    assert_eq!(world.store.sweep(now.plus(DAY * 6), 9).await.unwrap(), 1, "the key again");
    assert_eq!(world.store.events(None, 9).await.unwrap(), first.events[1..], "what was not published stays");
}
