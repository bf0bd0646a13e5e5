//! What lanes are on PostgreSQL beside rows: locks by name, and one sequence.

use mozhao::engine::ports::store::Written;
use mozhao::store::postgres::PostgresStore;
use sqlx::{Connection as _, PgConnection};

use super::only_postgres::{blocked, run, world};
use super::world::{World, w};
use crate::harness::postgres::database;

/// The turn is looked up once the lane is ours: an end that was under way while we waited is seen.
#[tokio::test(flavor = "multi_thread")]
async fn an_accept_that_waits_for_an_end_gets_the_turn() {
    let (world, url) = world().await;
    accept_behind_an_end(&world, &url).await;
}

/// So it is where the database is set to another isolation.
#[tokio::test(flavor = "multi_thread")]
async fn lanes_hold_whatever_the_databases_isolation() {
    let database = database().await;
    let url = database.url().to_owned();
    let mut setting = PgConnection::connect(&url).await.unwrap();
    let name: String = sqlx::query_scalar("SELECT current_database()").fetch_one(&mut setting).await.unwrap();
    run(&mut setting, &format!("ALTER DATABASE \"{name}\" SET default_transaction_isolation = 'repeatable read'")).await;
    accept_behind_an_end(&World::on(&url, database).await, &url).await;
}

async fn accept_behind_an_end(world: &World, url: &str) {
    let (one, two) = (world.worker().await, world.worker().await);
    let first = world.in_lane(one, "l");
    let id = first.row.id;
    world.write(one, first).await;
    // Worker one's batch: it holds the lane and has ended the request, and then freezes.
    let mut batch = PgConnection::connect(url).await.unwrap();
    run(&mut batch, "BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('l', 0))").await;
    run(&mut batch, &format!("UPDATE requests SET state = 'done', ended_at = 1, owner = NULL WHERE id = '{id}'")).await;
    let (store, next) = (world.store.clone(), world.in_lane(two, "l"));
    let accepted = tokio::spawn(async move { store.commit(two, &[w(next)]).await });
    blocked(url, 1).await;
    run(&mut batch, "COMMIT").await;
    let accepted = accepted.await.unwrap().unwrap();
    assert_eq!(accepted, [Written::Accepted { turn: true, over_limit: false }]);
}

/// A copy of the rows without the sequence: a start sets the numbers on behind those that are there.
#[tokio::test(flavor = "multi_thread")]
async fn numbers_of_lanes_go_on_after_a_copy() {
    let (world, url) = world().await;
    let worker = world.worker().await;
    for _ in 0..3 {
        world.write(worker, world.in_lane(worker, "l")).await;
    }
    let mut copy = PgConnection::connect(&url).await.unwrap();
    run(&mut copy, "SELECT setval('lane_numbers', 1, false)").await;
    let again = PostgresStore::open(&url).await.unwrap();
    again.prepare().await.unwrap();
    again.prepare().await.unwrap();
    let last = world.in_lane(worker, "l");
    let id = last.row.id;
    assert_eq!(world.write(worker, last).await, Written::Accepted { turn: false, over_limit: false });
    assert_eq!(world.store.request(id).await.unwrap().lane_no, Some(4));
}
