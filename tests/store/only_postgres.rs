//! What only PostgreSQL can show: races held open at a chosen point by a second transaction, a server that goes away, an answer
//! that is cut.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mozhao::domain::request::signal::Signal;
use mozhao::domain::words::Choice;
use mozhao::engine::ports::records::DecisionFilter;
use mozhao::engine::ports::store::{ReviewPut, Sent, Store, StoreError, Written};
use mozhao::store::postgres::PostgresStore;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

use super::reviewing::decide;
use super::world::{LATER, T0, World, end, release, step, w};
use crate::harness::postgres::{Postgres, database};
use crate::harness::wait;

const LONG: Duration = Duration::from_secs(20);

/// A world, and its database's URL.
pub(super) async fn world() -> (World, String) {
    let database = database().await;
    let url = database.url().to_owned();
    (World::on(&url, database).await, url)
}

pub(super) async fn run(conn: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(conn).await.unwrap();
}

/// Waits until so many sessions of this database wait for a lock.
pub(super) async fn blocked(url: &str, n: i64) {
    let conn = Arc::new(tokio::sync::Mutex::new(PgConnection::connect(url).await.unwrap()));
    wait::until("a session that waits for a lock", LONG, || {
        let conn = conn.clone();
        async move {
            let sql = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
            let found: i64 = sqlx::query_scalar(sql).fetch_one(&mut *conn.lock().await).await.unwrap();
            found == n
        }
    })
    .await;
}

fn withdraw() -> Signal {
    Signal::Withdraw { by: "c".into(), note: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rescuer_waits_for_the_batch_in_flight() {
    let (world, url) = world().await;
    let (dead, living) = (world.worker().await, world.worker().await);
    let id = world.running(dead).await;
    // The dead worker's batch: it has passed the fence and written its row, and then freezes.
    let mut batch = PgConnection::connect(&url).await.unwrap();
    run(&mut batch, &format!("BEGIN; SELECT 1 FROM workers WHERE id = '{dead}' FOR KEY SHARE")).await;
    run(&mut batch, &format!("UPDATE requests SET updated_at = 4711 WHERE id = '{id}'")).await;
    let store = world.store.clone();
    let rescue = tokio::spawn(async move { store.rescue(living, Duration::ZERO).await });
    blocked(&url, 1).await;
    assert_eq!(world.store.request(id).await.unwrap().owner, Some(dead));
    run(&mut batch, "COMMIT").await;
    assert_eq!(rescue.await.unwrap().unwrap(), [dead]);
    let row = world.store.request(id).await.unwrap();
    assert_eq!((row.owner, row.updated_at.0, row.deaths), (None, 4711, 1), "what was committed stays, and is taken over");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_waits_for_the_rescuer_and_is_fenced() {
    let (world, url) = world().await;
    let worker = world.worker().await;
    let id = world.running(worker).await;
    let mut rescuer = PgConnection::connect(&url).await.unwrap();
    run(&mut rescuer, &format!("BEGIN; DELETE FROM workers WHERE id = '{worker}'")).await;
    let store = world.store.clone();
    let batch = tokio::spawn(async move { store.commit(worker, &[w(step(id, 2))]).await });
    blocked(&url, 1).await;
    run(&mut rescuer, "COMMIT").await;
    assert!(matches!(batch.await.unwrap(), Err(StoreError::Fenced)));
    assert_eq!(world.store.request(id).await.unwrap().seq, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rescuer_that_cannot_wait_longer_rescues_the_others() {
    let (world, url) = world().await;
    let (frozen, dead, living) = (world.worker().await, world.worker().await, world.worker().await);
    let (held, free) = (world.running(frozen).await, world.running(dead).await);
    let mut batch = PgConnection::connect(&url).await.unwrap();
    run(&mut batch, &format!("BEGIN; SELECT 1 FROM workers WHERE id = '{frozen}' FOR KEY SHARE")).await;
    assert_eq!(world.store.rescue(living, Duration::ZERO).await.unwrap(), [dead], "lock_timeout");
    assert_eq!(world.store.request(held).await.unwrap().owner, Some(frozen));
    assert_eq!(world.store.request(free).await.unwrap().owner, None);
    run(&mut batch, "ROLLBACK").await;
    assert_eq!(world.store.rescue(living, Duration::ZERO).await.unwrap(), [frozen]);
}

/// A signal's transaction is open when the owner writes: the owner waits, and then sees it.
#[tokio::test(flavor = "multi_thread")]
async fn steps_that_wait_for_a_signal_see_it() {
    let (world, url) = world().await;
    let worker = world.worker().await;
    let mut intent = step(world.running(worker).await, 2);
    intent.quiet = true;
    let rest = release(world.running(worker).await, 2, "waiting", Some(LATER));
    for (advance, expected) in [(intent, Written::Signalled), (rest, Written::Advanced)] {
        let id = advance.request;
        let mut sender = PgConnection::connect(&url).await.unwrap();
        let bump = "SET signalled = signalled + 1, wake_at = mozhao_now()";
        run(&mut sender, &format!("BEGIN; UPDATE requests {bump} WHERE id = '{id}'")).await;
        let store = world.store.clone();
        let step = tokio::spawn(async move { store.commit(worker, &[w(advance)]).await.unwrap() });
        blocked(&url, 1).await;
        run(&mut sender, "COMMIT").await;
        assert_eq!(step.await.unwrap(), [expected]);
        let claimed = world.store.claim(worker, 9).await.unwrap();
        assert_eq!(claimed.iter().map(|claimed| claimed.request).collect::<Vec<_>>(), [id], "due at once");
    }
}

/// A duplicate waits for the first of its key: if that one is rolled back, it is accepted itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_waits_for_the_first() {
    let (world, url) = world().await;
    let worker = world.worker().await;
    for (end, accepted) in [("ROLLBACK", true), ("COMMIT", false)] {
        let mut first = PgConnection::connect(&url).await.unwrap();
        let mut accept = world.accept(worker);
        accept.message = end.into();
        let other = Uuid::from_u128(4711);
        let hash = "07".repeat(32);
        run(&mut first, &format!("BEGIN; INSERT INTO inbox VALUES ('web', '{end}', '\\x{hash}', '{other}', 0)")).await;
        let store = world.store.clone();
        let second = tokio::spawn(async move { store.commit(worker, &[w(accept)]).await.unwrap() });
        blocked(&url, 1).await;
        run(&mut first, end).await;
        let written = second.await.unwrap().remove(0);
        assert_eq!(matches!(written, Written::Accepted { .. }), accepted, "{written:?}");
        assert!(accepted || written == Written::Duplicate(other));
    }
}

/// An end that waits for an accept hands the lane over to it.
#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_waits_for_an_accept_hands_over() {
    let (world, url) = world().await;
    let (one, two) = (world.worker().await, world.worker().await);
    let first = world.in_lane(one, "l");
    let id = first.row.id;
    world.write(one, first).await;
    let second = world.in_lane(two, "l");
    let next = second.row.id;
    // What keeps the second worker's batch open: somebody holds the row that it counts in.
    let mut holder = PgConnection::connect(&url).await.unwrap();
    run(&mut holder, "INSERT INTO limits VALUES ('k', 0, 0, 0)").await;
    run(&mut holder, "BEGIN; UPDATE limits SET n = n + 1").await;
    let mut second = second;
    second.limit = Some(super::world::limit("k", 9));
    second.limit.as_mut().unwrap().window = mozhao::domain::time::Time(0);
    let store = world.store.clone();
    let accepting = tokio::spawn(async move { store.commit(two, &[w(second)]).await });
    blocked(&url, 1).await;
    let store = world.store.clone();
    let ending = tokio::spawn(async move { store.commit(one, &[w(end(id, 1, "done"))]).await });
    blocked(&url, 2).await;
    run(&mut holder, "COMMIT").await;
    let accepted = accepting.await.unwrap().unwrap();
    assert_eq!(accepted, [Written::Accepted { turn: false, over_limit: false }]);
    assert_eq!(ending.await.unwrap().unwrap(), [Written::Advanced]);
    let row = world.store.request(next).await.unwrap();
    assert!(row.turn && row.wake_at.is_some());
}

/// A worker that was frozen past its lease and looks for events before it hears that it is dead.
#[tokio::test(flavor = "multi_thread")]
async fn the_dead_take_over_no_events() {
    let (world, _) = world().await;
    let (gone, zombie) = (world.worker().await, world.worker().await);
    let id = world.running(gone).await;
    let mut advance = step(id, 2);
    advance.events = vec![world.event(Some(id))];
    let events = advance.events.clone();
    world.write(gone, advance).await;
    world.store.deregister(gone).await.unwrap();
    world.store.deregister(zombie).await.unwrap();
    assert!(world.store.unpublished(zombie, 9).await.unwrap().is_empty());
    let living = world.worker().await;
    assert_eq!(world.store.unpublished(living, 9).await.unwrap(), events);
}

/// Marks of one batch's events may be made side by side: none takes another's back.
#[tokio::test(flavor = "multi_thread")]
async fn marks_of_one_row_wait_for_each_other() {
    let (world, url) = world().await;
    let worker = world.worker().await;
    let id = world.running(worker).await;
    let mut advance = step(id, 2);
    advance.events = (0..4).map(|_| world.event(Some(id))).collect();
    let events = advance.events.clone();
    world.write(worker, advance).await;
    let mut holder = PgConnection::connect(&url).await.unwrap();
    run(&mut holder, "BEGIN; SELECT 1 FROM unpublished FOR UPDATE").await;
    let mark = |ids: Vec<Uuid>| {
        let store = world.store.clone();
        tokio::spawn(async move { store.published(worker, &ids).await })
    };
    let marks = [mark(vec![events[0].id, events[3].id]), mark(vec![events[1].id])];
    blocked(&url, 2).await;
    run(&mut holder, "COMMIT").await;
    for done in marks {
        done.await.unwrap().unwrap();
    }
    assert_eq!(world.store.unpublished(worker, 9).await.unwrap(), events[2..3]);
    assert_eq!(world.store.balance().await.unwrap().unpublished, 1);
}

/// Somebody's decision is about to be written: another one's waits, and then finds the review decided.
#[tokio::test(flavor = "multi_thread")]
async fn a_decision_waits_for_whoever_decides() {
    let (world, url) = world().await;
    let worker = world.worker().await;
    let (request, review) = world.in_review(worker, false).await;
    let mut first = PgConnection::connect(&url).await.unwrap();
    run(&mut first, &format!("BEGIN; SELECT 1 FROM requests WHERE id = '{request}' FOR NO KEY UPDATE")).await;
    run(&mut first, &format!("UPDATE reviews SET state = 'deciding', version = 2 WHERE id = '{}'", review.id)).await;
    let (store, act, signal) = (world.store.clone(), decide(&review, "bob", 1, Choice::Approve), world.id());
    let second = tokio::spawn(async move { store.review_act(review.id, &act, signal, T0).await.unwrap() });
    blocked(&url, 1).await;
    run(&mut first, "COMMIT").await;
    let ReviewPut::Stale(row) = second.await.unwrap() else { panic!("two have decided") };
    assert_eq!((row.state.as_str(), row.version), ("deciding", 2));
    assert!(world.store.signals(request).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_passes_by_what_is_locked() {
    let (world, url) = world().await;
    let worker = world.worker().await;
    let (first, second) = (world.resting(worker, Some(T0)).await, world.resting(worker, Some(T0)).await);
    let mut other = PgConnection::connect(&url).await.unwrap();
    run(&mut other, &format!("BEGIN; SELECT 1 FROM requests WHERE id = '{first}' FOR NO KEY UPDATE")).await;
    let claimed = world.store.claim(worker, 9).await.unwrap();
    assert_eq!(claimed.iter().map(|claimed| claimed.request).collect::<Vec<_>>(), [second]);
    run(&mut other, "ROLLBACK").await;
    assert_eq!(world.store.claim(worker, 9).await.unwrap()[0].request, first);
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_only_the_server_refuses_are_data() {
    let (world, _) = world().await;
    let worker = world.worker().await;
    let mut large = world.accept(worker);
    // Too large for an index, even compressed.
    large.message = (0..400).map(|_| Uuid::now_v7().to_string()).collect();
    let refused = world.store.commit(worker, &[w(large)]).await;
    assert!(matches!(refused, Err(StoreError::Data(_))), "{refused:?}");
    let nul = world.store.signal(world.id(), world.running(worker).await, &withdraw(), T0).await;
    assert!(matches!(nul, Ok(Sent::Stored(_))));
    let named = world.store.defect("\0").await;
    assert!(matches!(named, Err(StoreError::Data(_))), "{named:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_is_transient_and_comes_back() {
    let mut server = Postgres::start().await;
    let url = server.create_database().await;
    let world = World::on(&url, ()).await;
    let worker = world.worker().await;
    let id = world.running(worker).await;
    server.kill();
    for _ in 0..3 {
        let lost = world.store.commit(worker, &[w(step(id, 2))]).await;
        assert!(matches!(lost, Err(StoreError::Transient(_))), "{lost:?}");
        let lost = world.store.request(id).await;
        assert!(matches!(lost, Err(StoreError::Transient(_))), "{lost:?}");
    }
    let nobody = PostgresStore::open(&url).await;
    assert!(matches!(nobody, Err(StoreError::Transient(_))));
    server.restart().await;
    assert_eq!(world.write(worker, step(id, 2)).await, Written::Advanced, "the first try, on a new connection");
    assert_eq!(world.store.request(id).await.unwrap().seq, 3);
}

/// The commit is done, and its reply does not arrive.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_without_a_reply_is_unknown() {
    let (world, url) = world().await;
    let worker = world.worker().await;
    let id = world.running(worker).await;
    let (address, cut) = proxy(&url).await;
    let mut through = sqlx_url(&url, &address);
    through.push_str("?sslmode=disable");
    let store = PostgresStore::open(&through).await.unwrap();
    assert_eq!(store.commit(worker, &[w(step(id, 2))]).await.unwrap(), [Written::Advanced]);
    cut.store(true, Ordering::SeqCst);
    let unknown = store.commit(worker, &[w(end(id, 3, "done"))]).await;
    assert!(matches!(unknown, Err(StoreError::Unknown(_))), "{unknown:?}");
    let row = world.store.request(id).await.unwrap();
    assert_eq!((row.seq, row.state.as_str()), (4, "done"), "this time it did happen");
    cut.store(false, Ordering::SeqCst);
    assert_eq!(store.commit(worker, &[w(end(id, 3, "done"))]).await.unwrap(), [Written::Lost], "written twice it is lost");
}

/// A caller that goes away in the middle leaves no transaction open and takes no connection with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_call_leaves_nothing_behind() {
    let (world, url) = world().await;
    let worker = world.worker().await;
    let id = world.running(worker).await;
    let mut other = PgConnection::connect(&url).await.unwrap();
    for _ in 0..20 {
        run(&mut other, &format!("BEGIN; SELECT 1 FROM requests WHERE id = '{id}' FOR UPDATE")).await;
        let store = world.store.clone();
        let call = tokio::spawn(async move { store.commit(worker, &[w(step(id, 2))]).await });
        blocked(&url, 1).await;
        call.abort();
        assert!(call.await.unwrap_err().is_cancelled());
        run(&mut other, "ROLLBACK").await;
        // The server notices when its statement ends; the row is free then, and unchanged.
        blocked(&url, 0).await;
        assert_eq!(world.store.request(id).await.unwrap().seq, 2);
    }
    assert_eq!(world.write(worker, step(id, 2)).await, Written::Advanced);
    let sql = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
    let open: i64 = sqlx::query_scalar(sql).fetch_one(&mut other).await.unwrap();
    assert_eq!(open, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn migrating_twice_at_once_and_meeting_a_newer_schema() {
    let database = database().await;
    let url = database.url();
    let store = PostgresStore::open(url).await.unwrap();
    let pending = store.pending_migrations().await.unwrap();
    assert_eq!((pending.len(), pending[0].as_str(), pending[5].as_str()), (17, "0001_core", "0006_who"));
    let early = store.workers().await;
    assert!(matches!(early, Err(StoreError::Broken(_))), "{early:?}");
    let other = PostgresStore::open(url).await.unwrap();
    let (one, two) = tokio::join!(store.migrate(), other.migrate());
    one.unwrap();
    two.unwrap();
    assert!(store.pending_migrations().await.unwrap().is_empty());
    store.migrate().await.unwrap();
    let mut conn = PgConnection::connect(url).await.unwrap();
    let newer =
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (99, 'x', TRUE, '', 0)";
    run(&mut conn, newer).await;
    let refused = PostgresStore::open(url).await.unwrap_err().to_string();
    assert!(refused.contains("the database's schema has version 99, and this program knows versions up to 17"), "{refused}");
}

/// However many were decided: who looks for one person's or one process's reads a page.
#[tokio::test(flavor = "multi_thread")]
async fn decisions_read_a_page_of_an_index() {
    let database = database().await;
    let url = database.url();
    let store = PostgresStore::open(url).await.unwrap();
    store.migrate().await.unwrap();
    let mut conn = PgConnection::connect(url).await.unwrap();
    // The decisions of a year; what is asked for is rare and old.
    let request = "INSERT INTO requests (id, process, version, customer, producer, message, channel, turn, over_limit, seq, head, state,
        signalled, seen, deaths, person, accepted_at, updated_at, expires_at) VALUES ('00000000-0000-7000-8000-000000000001', 'p', 1,
        'c', 'web', 'm', 'app', TRUE, FALSE, 1, sha256('x'), 'running', 0, 0, 0, FALSE, 0, 0, 1)";
    run(&mut conn, request).await;
    let fill = r#"INSERT INTO reviews (id, request, process, process_version, name, slot, customer, options, four_eyes, state, version,
            escalated, decision, opened_at, due_at, closed_at, decided_by, first_by)
        SELECT gen_random_uuid(), '00000000-0000-7000-8000-000000000001', CASE WHEN n < 5 THEN 'rare' ELSE 'p' END, 1, 'r', 's', 'c', '["approve"]',
            TRUE, 'decided', 2, 0, convert_to('{"review":"00000000-0000-7000-8000-000000000001","choice":"approve","by":"'
            || CASE WHEN n < 5 THEN 'eve' ELSE 'ann' END || '","first_by":"' || CASE WHEN n < 5 THEN 'mallory' ELSE 'bob' END
            || '","note":"\u0000"}', 'UTF8'), 0, 0, n, CASE WHEN n < 5 THEN 'eve' ELSE 'ann' END, CASE WHEN n < 5 THEN 'mallory' ELSE 'bob' END
        FROM generate_series(1, 20000) AS n"#;
    run(&mut conn, fill).await;
    run(&mut conn, "ANALYZE reviews").await;
    run(&mut conn, "SELECT pg_stat_reset()").await;
    let by = |name: &str| DecisionFilter { by: Some(name.into()), ..DecisionFilter::default() };
    let of = |name: &str| DecisionFilter { processes: vec![name.into(), "none".into()], by: None };
    for (filter, rows) in [(by("eve"), 4), (by("mallory"), 4), (of("rare"), 4), (by("nobody"), 0), (by("bob"), 50), (of("p"), 50)]
    {
        assert_eq!(store.decisions(&filter, None, 50).await.unwrap().len(), rows, "{filter:?}");
    }
    // What the store's connections read is counted when they close.
    drop(store);
    let seen = wait::until_some("statistics", LONG, || {
        let url = url.to_owned();
        async move {
            let mut conn = PgConnection::connect(&url).await.unwrap();
            let sql = "SELECT COALESCE(SUM(idx_scan), 0)::BIGINT, COALESCE(SUM(idx_tup_fetch), 0)::BIGINT,
                (SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'reviews')
                FROM pg_stat_user_indexes WHERE relname = 'reviews'";
            let (scans, read, whole): (i64, i64, i64) = sqlx::query_as(sql).fetch_one(&mut conn).await.unwrap();
            (scans >= 12).then_some((read, whole))
        }
    })
    .await;
    assert!(seen.0 <= 300 && seen.1 == 0, "index entries and rows of the whole table that were read: {seen:?}");
}

/// Steps of owned requests touch no index: their row versions stay on the page.
#[tokio::test(flavor = "multi_thread")]
async fn steps_of_owned_requests_are_heap_only() {
    let (world, url) = world().await;
    let worker = world.worker().await;
    let id = world.running(worker).await;
    for seq in 2..22 {
        assert_eq!(world.write(worker, step(id, seq)).await, Written::Advanced);
    }
    let mut conn = PgConnection::connect(&url).await.unwrap();
    wait::until("statistics", LONG, || {
        let url = url.clone();
        async move {
            let mut conn = PgConnection::connect(&url).await.unwrap();
            let sql = "SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 'open_requests'";
            sqlx::query_scalar::<_, i64>(sql).fetch_one(&mut conn).await.unwrap() == 21
        }
    })
    .await;
    let sql = "SELECT n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'open_requests'";
    let hot: i64 = sqlx::query_scalar(sql).fetch_one(&mut conn).await.unwrap();
    assert_eq!(hot, 21);
}

fn sqlx_url(url: &str, address: &str) -> String {
    let (_, database) = url.rsplit_once('/').unwrap();
    format!("postgres://postgres@{address}/{database}")
}

/// A proxy in front of the server. While `cut` is set it hands on a COMMIT, waits for the reply, and closes the client's connection
/// instead of passing the reply on.
async fn proxy(url: &str) -> (String, Arc<AtomicBool>) {
    let (server, _) = url.strip_prefix("postgres://postgres@").unwrap().split_once('/').unwrap();
    let (server, cut) = (server.to_owned(), Arc::new(AtomicBool::new(false)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let flag = cut.clone();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(&server).await.unwrap();
            tokio::spawn(pass(client, server, flag.clone()));
        }
    });
    (address, cut)
}

async fn pass(mut client: TcpStream, mut server: TcpStream, cut: Arc<AtomicBool>) {
    let (mut asked, mut answered) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let Ok(n @ 1..) = read else { return };
                if server.write_all(&asked[..n]).await.is_err() { return }
            }
            read = server.read(&mut answered) => {
                let Ok(n @ 1..) = read else { return };
                // The server says so when it has committed.
                let committed = answered[..n].windows(6).any(|window| window == b"COMMIT");
                if (committed && cut.load(Ordering::SeqCst)) || client.write_all(&answered[..n]).await.is_err() { return }
            }
        }
    }
}
