//! One worker's new requests and steps are written side by side on PostgreSQL.

use std::sync::Arc;
use std::time::Duration;

use mozhao::engine::committer::Committer;
use mozhao::engine::ports::store::Written;
use sqlx::{Connection as _, PgConnection};
use tokio_util::sync::CancellationToken;

use super::only_postgres::{blocked, run, world};
use super::world::{WallClock, step, w};

#[tokio::test(flavor = "multi_thread")]
async fn new_requests_do_not_wait_for_steps() {
    let (world, url) = world().await;
    let worker = world.worker().await;
    let request = world.running(worker).await;
    let stop = CancellationToken::new();
    let committer = Committer::start(world.store.clone(), Arc::new(WallClock), worker, stop.clone(), None);
    assert_eq!(committer.in_hand(), None);
    // Somebody holds the request's row: its step waits.
    let mut holder = PgConnection::connect(&url).await.unwrap();
    run(&mut holder, &format!("BEGIN; SELECT 1 FROM open_requests WHERE id = '{request}' FOR UPDATE")).await;
    let steps = committer.clone();
    let stepping = tokio::spawn(async move { steps.write(w(step(request, 2))).await });
    blocked(&url, 1).await;
    let accepted = committer.write(w(world.accept(worker))).await;
    assert_eq!(accepted, Ok(Written::Accepted { turn: true, over_limit: false }));
    assert!(committer.in_hand().is_some_and(|held| held < Duration::from_mins(1)), "the step is in hand, the acceptance is not");
    run(&mut holder, "COMMIT").await;
    assert_eq!(stepping.await.unwrap(), Ok(Written::Advanced));
    assert_eq!(committer.in_hand(), None);
    stop.cancel();
}
