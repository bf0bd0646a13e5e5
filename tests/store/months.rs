//! PostgreSQL keeps what has ended by months: what goes with one, what keeps it, and who waits for whom meanwhile.

use std::sync::Arc;
use std::time::Duration;

use mozhao::domain::request::signal::Signal;
use mozhao::domain::time::Time;
use mozhao::engine::ports::records::{RequestFilter, Retention, ReviewRow};
use mozhao::engine::ports::store::{Accept, ReviewChange, Sent, Store, StoreError, WorkerId, Written};
use mozhao::store::Role;
use mozhao::store::open::open;
use mozhao::store::postgres::PostgresStore;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::only_postgres::{blocked, run};
use super::reading::OTHERS;
use super::world::{LATER, T0, World, end, id_at, step, w};
use crate::harness::postgres::database;
use crate::harness::wait;

const DAY: Duration = Duration::from_hours(24);
/// 2024-01-01.
const JANUARY: Time = Time(1_704_067_200_000_000);
/// The leaves of a month.
const TABLES: [&str; 3] = ["entries", "past_requests", "payloads"];

/// A world whose database has leaves from January 2024 to March, and its database's URL.
async fn world() -> (World, String) {
    let database = database().await;
    let url = database.url().to_owned();
    let world = World::on(&url, database).await;
    PostgresStore::open(&url).await.unwrap().make_months(JANUARY, 3).await.unwrap();
    (world, url)
}

fn keep(days: u32) -> Retention {
    Retention { requests: Some(DAY * days), ..Retention::default() }
}

/// A new request whose id was made so many days after the first of January.
fn made(world: &World, owner: WorkerId, day: u32) -> Accept {
    let mut accept = world.accept(owner);
    let at = JANUARY.plus(DAY * day);
    accept.row.id = Uuid::from_u128(id_at(at).as_u128() | u128::from(world.number()));
    (accept.row.accepted_at, accept.row.updated_at) = (at, at);
    accept
}

/// Such a request, accepted and, where that is said, ended so many days after the first of January: its id.
async fn stored(world: &World, worker: WorkerId, day: u32, ended: Option<u32>) -> Uuid {
    let accept = made(world, worker, day);
    let id = accept.row.id;
    assert!(matches!(world.write(worker, accept).await, Written::Accepted { .. }));
    if let Some(day) = ended {
        finish(world, worker, id, day).await;
    }
    id
}

async fn finish(world: &World, worker: WorkerId, id: Uuid, day: u32) {
    let mut last = end(id, 1, "done");
    last.summary.ended_at = Some(JANUARY.plus(DAY * day));
    assert_eq!(world.write(worker, last).await, Written::Advanced);
}

/// Which of the leaves of these months are there.
async fn leaves(url: &str, months: &[&str]) -> Vec<String> {
    let mut conn = PgConnection::connect(url).await.unwrap();
    let names: Vec<String> = months.iter().flat_map(|month| TABLES.map(|table| format!("{table}_{month}"))).collect();
    let sql = "SELECT name FROM unnest($1::TEXT[]) AS name WHERE to_regclass(name) IS NOT NULL ORDER BY name";
    sqlx::query_scalar(sql).bind(names).fetch_all(&mut conn).await.unwrap()
}

fn all_of(month: &str) -> Vec<String> {
    TABLES.map(|table| format!("{table}_{month}")).to_vec()
}

async fn count(url: &str, sql: &str) -> i64 {
    let mut conn = PgConnection::connect(url).await.unwrap();
    sqlx::query_scalar(AssertSqlSafe(format!("SELECT COUNT(*) FROM {sql}"))).fetch_one(&mut conn).await.unwrap()
}

/// Gone with everything that was there of it.
async fn gone(world: &World, url: &str, id: Uuid) {
    assert!(matches!(world.store.request(id).await, Err(StoreError::NotFound(_))));
    assert!(matches!(world.store.load(id).await, Err(StoreError::NotFound(_))));
    assert!(world.store.entries(id, 0, 9).await.unwrap().is_empty());
    let signal = world.store.signal(world.id(), id, &withdraw(), T0).await;
    assert!(matches!(signal, Err(StoreError::NotFound(_))), "{signal:?}");
    for table in
        ["requests WHERE id", "entries WHERE request", "payloads WHERE request", "signals WHERE request", "reviews WHERE request"]
    {
        assert_eq!(count(url, &format!("{table} = '{id}'")).await, 0, "{table}");
    }
}

fn withdraw() -> Signal {
    Signal::Withdraw { by: "c".into(), note: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_month_goes_whole_and_one_with_an_open_request_stays() {
    let (world, url) = world().await;
    let worker = world.worker().await;
    let (old, open) = (stored(&world, worker, 2, Some(3)).await, stored(&world, worker, 4, None).await);
    let asked = made(&world, worker, 35);
    let (february, again) = (asked.row.id, asked.clone());
    world.write(worker, asked).await;
    // A review of it, and a signal that it did not look at any more.
    let mut ask = step(february, 1);
    let review = world.id();
    ask.review =
        Some(ReviewChange::Open(Box::new(ReviewRow { id: review, request: february, ..world.in_review(worker, false).await.1 })));
    assert_eq!(world.write(worker, ask).await, Written::Advanced);
    let late = world.id();
    let lately = JANUARY.plus(DAY * 131);
    assert_eq!(world.store.signal(late, february, &withdraw(), lately).await.unwrap(), Sent::Stored(late));
    let mut last = end(february, 2, "done");
    (last.summary.ended_at, last.quiet) = (Some(JANUARY.plus(DAY * 100)), false);
    last.review = Some(ReviewChange::Cancelled(review));
    assert_eq!(world.write(worker, last).await, Written::Advanced);
    let march = stored(&world, worker, 65, Some(66)).await;

    let balance = world.store.balance().await.unwrap();
    assert_eq!((balance.removed, balance.kept()), (0, balance.accepted));
    // February is over for long, and one of its requests has ended lately; in March nothing is kept any more on the same day.
    let now = JANUARY.plus(DAY * 130);
    world.store.sweep(now, &Retention::default(), 9).await.unwrap();
    assert_eq!(leaves(&url, &["2024_03"]).await, all_of("2024_03"), "for ever where no window is set");
    assert_eq!(world.store.sweep(now, &keep(31), 9).await.unwrap(), 1);
    assert_eq!(leaves(&url, &["2024_01", "2024_02", "2024_03"]).await.len(), 6, "January and February");
    gone(&world, &url, march).await;
    // Later February goes, with what belongs to it; the open request keeps January.
    let now = JANUARY.plus(DAY * 132);
    world.store.sweep(now, &keep(31), 9).await.unwrap();
    assert_eq!(leaves(&url, &["2024_01", "2024_02", "2024_03"]).await, all_of("2024_01"));
    gone(&world, &url, february).await;
    assert!(matches!(world.store.review(review).await, Err(StoreError::NotFound(_))));
    assert_eq!(world.store.request(old).await.unwrap().state, "done");
    assert_eq!(world.store.load(old).await.unwrap().entries.len(), 2);
    assert_eq!(world.store.load(open).await.unwrap().row.state, "queued");
    // Its message is known for longer: the same again is no new request.
    assert_eq!(world.write(worker, again).await, Written::Duplicate(february));
    finish(&world, worker, open, 5).await;
    assert_eq!(world.store.sweep(now, &keep(31), 9).await.unwrap(), 2);
    assert_eq!(leaves(&url, &["2024_01"]).await, [""; 0]);
    gone(&world, &url, old).await;
    let balance = world.store.balance().await.unwrap();
    assert!(balance.holds());
    assert_eq!((balance.removed, balance.kept()), (4, balance.accepted - 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_several_sweeps_drops_and_the_others_pass_by() {
    let (world, url) = world().await;
    let worker = world.worker().await;
    stored(&world, worker, 2, Some(3)).await;
    let now = JANUARY.plus(DAY * 100);
    // Another worker is at it.
    let mut other = PgConnection::connect(&url).await.unwrap();
    run(&mut other, "BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('mozhao months', 0))").await;
    assert_eq!(world.store.sweep(now, &keep(31), 9).await.unwrap(), 0);
    assert_eq!(leaves(&url, &["2024_01"]).await, all_of("2024_01"));
    run(&mut other, "ROLLBACK").await;
    let keep = keep(31);
    let (one, two) = tokio::join!(world.store.sweep(now, &keep, 9), world.other.sweep(now, &keep, 9));
    assert_eq!(one.unwrap() + two.unwrap(), 1);
    assert_eq!(leaves(&url, &["2024_01"]).await, [""; 0]);
    assert_eq!(world.store.balance().await.unwrap().removed, 1);
}

/// Two sweeps pass each other: who waited for the rows that the other deleted was told of none, and there are more.
#[tokio::test(flavor = "multi_thread")]
async fn a_month_stays_while_something_of_it_is_left_beside_it() {
    let (world, url) = world().await;
    let worker = world.worker().await;
    let ids = [stored(&world, worker, 2, Some(3)).await, stored(&world, worker, 3, Some(4)).await];
    let template = world.in_review(worker, false).await.0;
    let mut other = PgConnection::connect(&url).await.unwrap();
    let columns =
        "process, process_version, name, slot, customer, options, four_eyes, state, version, escalated, opened_at, due_at";
    for id in ids {
        let review = world.id();
        let copy = format!("SELECT '{review}', '{id}', {columns} FROM reviews WHERE request = '{template}'");
        run(&mut other, &format!("INSERT INTO reviews (id, request, {columns}) {copy}")).await;
    }
    let now = JANUARY.plus(DAY * 100);
    run(&mut other, &format!("BEGIN; DELETE FROM reviews WHERE request = '{}'", ids[0])).await;
    let store = world.store.clone();
    let sweep = tokio::spawn(async move { store.sweep(now, &keep(31), 1).await });
    blocked(&url, 1).await;
    run(&mut other, "COMMIT").await;
    assert_eq!(sweep.await.unwrap().unwrap(), 0);
    assert_eq!(leaves(&url, &["2024_01"]).await, all_of("2024_01"), "one of its reviews is left");
    assert_eq!(world.store.sweep(now, &keep(31), 1).await.unwrap(), 1, "the other review");
    assert_eq!(world.store.sweep(now, &keep(31), 1).await.unwrap(), 2, "both requests");
    assert_eq!(leaves(&url, &["2024_01"]).await, [""; 0]);
    assert_eq!(count(&url, &format!("reviews WHERE request IN ('{}', '{}')", ids[0], ids[1])).await, 0);
}

/// A backup holds every table for hours.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_holds_a_table_for_long_is_asked_briefly_and_once() {
    let (world, url) = world().await;
    let worker = world.worker().await;
    let now = JANUARY.plus(DAY * 100);
    stored(&world, worker, 2, Some(3)).await;
    let mut backup = PgConnection::connect(&url).await.unwrap();
    run(&mut backup, "BEGIN; LOCK TABLE past_requests IN ACCESS SHARE MODE").await;
    // Whoever comes while it is tried waits no longer than that; a batch's own bound is four seconds.
    let keep = keep(31);
    let (swept, written) = tokio::join!(world.store.sweep(now, &keep, 9), world.write(worker, world.accept(worker)));
    assert_eq!(swept.unwrap(), 0);
    assert!(matches!(written, Written::Accepted { .. }), "{written:?}");
    assert_eq!(leaves(&url, &["2024_01"]).await, all_of("2024_01"));
    run(&mut backup, "ROLLBACK").await;
    assert_eq!(world.store.sweep(now, &keep, 9).await.unwrap(), 0, "not again for a while");
    assert_eq!(world.other.sweep(now, &keep, 9).await.unwrap(), 1, "another worker has not tried");
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_of_strange_times_are_kept_and_found() {
    let (world, url) = world().await;
    let worker = world.worker().await;
    let mut ids = Vec::new();
    for at in [Uuid::nil().as_u128(), id_at(JANUARY.plus(DAY * 366 * 100)).as_u128(), Uuid::max().as_u128() - 999] {
        let mut accept = world.accept(worker);
        accept.row.id = Uuid::from_u128(at + u128::from(world.number()));
        ids.push(accept.row.id);
        assert!(matches!(world.write(worker, accept).await, Written::Accepted { .. }));
    }
    for id in &ids {
        finish(&world, worker, *id, 1).await;
        assert_eq!(world.store.load(*id).await.unwrap().entries.len(), 2);
    }
    let mut listed = world.store.requests(&RequestFilter::default(), None, 9).await.unwrap().into_iter().map(|row| row.id);
    assert_eq!([listed.next_back(), listed.next_back(), listed.next_back()], [Some(ids[0]), Some(ids[1]), Some(ids[2])]);
    for table in TABLES {
        let rows = if table == "entries" { 6 } else { 3 };
        assert_eq!(count(&url, &format!("{table}_strays")).await, rows, "{table}");
    }
    // Made by a clock that was ahead: when the month comes, they are in it.
    PostgresStore::open(&url).await.unwrap().make_months(JANUARY.plus(DAY * 366 * 100), 1).await.unwrap();
    for table in TABLES {
        let rows = if table == "entries" { 4 } else { 2 };
        assert_eq!(count(&url, &format!("{table}_strays")).await, rows, "{table}");
    }
    assert_eq!(world.store.load(ids[1]).await.unwrap().entries.len(), 2);
    // One by one they go, as far as their times are over.
    assert_eq!(world.store.sweep(JANUARY.plus(DAY * 40), &keep(31), 9).await.unwrap(), 1);
    gone(&world, &url, ids[0]).await;
    assert_eq!(world.store.load(ids[2]).await.unwrap().entries.len(), 2);
}

/// The months that come have their tables before anybody works, and again when they are missing.
#[tokio::test(flavor = "multi_thread")]
async fn months_are_made_ahead() {
    let (world, url) = world().await;
    let sql = "SELECT to_char(date_trunc('month', now() AT TIME ZONE 'UTC') + n * INTERVAL '1 month', 'YYYY_MM') FROM generate_series(0, 2) AS n";
    let mut conn = PgConnection::connect(&url).await.unwrap();
    let months: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut conn).await.unwrap();
    let months: Vec<&str> = months.iter().map(String::as_str).collect();
    assert_eq!(leaves(&url, &months).await.len(), 9);
    let drop = TABLES.map(|table| format!("DROP TABLE {table}_{};", months[1])).concat();
    run(&mut conn, &drop).await;
    world.sweep(T0, 9).await;
    assert_eq!(leaves(&url, &months).await.len(), 9, "by a sweep");
    run(&mut conn, &drop).await;
    open(&url, Role::Worker).await.unwrap();
    assert_eq!(leaves(&url, &months).await.len(), 9, "by a start, though nothing is to be migrated");
    // A request of today is in them, and not among the strays.
    let worker = world.worker().await;
    let mut accept = world.accept(worker);
    accept.row.id = Uuid::now_v7();
    let id = accept.row.id;
    world.write(worker, accept).await;
    finish(&world, worker, id, 0).await;
    for table in TABLES {
        let rows = if table == "entries" { 2 } else { 1 };
        assert_eq!(count(&url, table).await - count(&url, &format!("{table}_strays")).await, rows, "{table}");
    }
}

/// The owner's end is under way when a signal comes: it waits, and its sender is then told.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_an_end_is_told() {
    let (world, url) = world().await;
    let worker = world.worker().await;
    let id = world.running(worker).await;
    // The owner's batch has taken the row out, and waits for its counter.
    let mut holder = PgConnection::connect(&url).await.unwrap();
    run(&mut holder, &format!("BEGIN; INSERT INTO tallies VALUES ('{worker}', 'done', 0)")).await;
    let store = world.store.clone();
    let ending = tokio::spawn(async move { store.commit(worker, &[w(end(id, 2, "done"))]).await.unwrap() });
    blocked(&url, 1).await;
    let (store, sent) = (world.store.clone(), world.id());
    let signal = tokio::spawn(async move { store.signal(sent, id, &withdraw(), T0).await.unwrap() });
    blocked(&url, 2).await;
    assert_eq!(world.store.request(id).await.unwrap().state, "running");
    assert_eq!(world.store.claim(worker, 9).await.unwrap(), [], "a claim passes by");
    run(&mut holder, "ROLLBACK").await;
    assert_eq!(ending.await.unwrap(), [Written::Advanced]);
    assert_eq!(signal.await.unwrap(), Sent::Ended("done"));
    assert_eq!(
        world.store.signal(world.id(), id, &withdraw(), T0).await.unwrap(),
        Sent::Ended("done"),
        "and whoever comes later"
    );
}

/// 10,000 that are open and 10,000 that have ended.
const MANY: &str = "\
    INSERT INTO requests (id, process, version, customer, producer, message, channel, turn, over_limit, seq, head, state,
        lane, lane_no, parked, signalled, seen, deaths, person, accepted_at, updated_at, expires_at, ended_at)
    SELECT (lpad(to_hex(1700000000000 + n * 1000), 12, '0') || lpad(to_hex(n), 20, '7'))::UUID, 'p', 1, 'c', 'web', 'm-' || n, 'app', TRUE,
        FALSE, 1, sha256(''), CASE WHEN n % 2 = 0 THEN 'done' ELSE 'parked' END, 'lane-' || n, 1,
        CASE WHEN n % 2 = 1 THEN 'defect:other' END, 0, 0, 0, FALSE, 0, 0, 1, CASE WHEN n % 2 = 0 THEN 1 END
    FROM generate_series(0::BIGINT, 19999) AS n";

/// What the engine asks is answered by the open requests alone, by an index, though it was planned while nothing was there.
#[tokio::test(flavor = "multi_thread")]
async fn the_engine_reads_no_history() {
    let database = database().await;
    let url = database.url().to_owned();
    drop(World::on(&url, ()).await);
    run(&mut PgConnection::connect(&url).await.unwrap(), "VACUUM ANALYZE").await;
    alone(&url).await;
    run(&mut PgConnection::connect(&url).await.unwrap(), "SELECT pg_stat_reset()").await;
    let store: Arc<dyn Store> = Arc::new(PostgresStore::open(&url).await.unwrap());
    let world = World::new(store.clone(), store, database);
    let worker = world.worker().await;
    everything(&world, worker).await;
    run(&mut PgConnection::connect(&url).await.unwrap(), MANY).await;
    everything(&world, worker).await;
    // Sessions tell what they read when they end.
    let World { keep: database, store, other, .. } = world;
    drop((store, other));
    alone(&url).await;
    let read = "SELECT SUM(seq_scan + COALESCE(idx_scan, 0)) FILTER (WHERE relname LIKE 'past%')::BIGINT,
            SUM(seq_tup_read + COALESCE(idx_tup_fetch, 0))::BIGINT,
            (SELECT SUM(idx_tup_read)::BIGINT FROM pg_stat_user_indexes WHERE relname = 'open_requests'),
            SUM(n_tup_ins) FILTER (WHERE relname LIKE 'past%')::BIGINT
        FROM pg_stat_user_tables WHERE relname LIKE '%requests%'";
    let mut conn = PgConnection::connect(&url).await.unwrap();
    let (past, rows, entries, ended): (i64, i64, i64, i64) = sqlx::query_as(read).fetch_one(&mut conn).await.unwrap();
    assert_eq!((past, ended), (0, 10_004), "past requests were looked for");
    assert!(rows <= 200 && entries <= 200, "of 10,000 open requests were read: {rows} rows, {entries} entries of indexes");
    drop(database);
}

/// What workers do with requests.
async fn everything(world: &World, worker: WorkerId) {
    let store = &world.store;
    let first = world.in_lane(worker, "l");
    let id = first.row.id;
    world.write(worker, first).await;
    let next = world.in_lane(worker, "l");
    let second = next.row.id;
    world.write(worker, next).await;
    let mut park = step(id, 1);
    (park.summary.owned, park.summary.state, park.summary.parked) = (false, "parked", Some("dependency:face".into()));
    assert_eq!(world.write(worker, park).await, Written::Advanced);
    let resumed = store.resume_some("dependency:face", &withdraw(), T0, LATER, Uuid::nil(), 9).await.unwrap();
    assert_eq!(resumed, [id]);
    store.signal(world.id(), id, &withdraw(), T0).await.unwrap();
    assert_eq!(store.claim(worker, 9).await.unwrap().len(), 1);
    assert_eq!(store.load(id).await.unwrap().signals.len(), 2);
    let mut last = end(id, 2, "done");
    last.quiet = false;
    assert_eq!(world.write(worker, last).await, Written::Advanced);
    assert_eq!(store.claim(worker, 9).await.unwrap()[0].request, second, "its turn");
    assert_eq!(world.write(worker, end(second, 1, "done")).await, Written::Advanced);
    store.parked_groups().await.unwrap();
}

/// Waits until nobody else is connected.
async fn alone(url: &str) {
    let conn = Arc::new(Mutex::new(PgConnection::connect(url).await.unwrap()));
    wait::until("the sessions to end", Duration::from_secs(20), || {
        let conn = conn.clone();
        async move { sqlx::query_scalar::<_, i64>(OTHERS).fetch_one(&mut *conn.lock().await).await.unwrap() == 0 }
    })
    .await;
}
