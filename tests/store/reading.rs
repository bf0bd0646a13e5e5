//! How many rows a list reads: no more than it shows, however long the history is. Measured by what PostgreSQL counted, over enough
//! calls that it plans once for all arguments if it ever will.

use mozhao::domain::time::Time;
use mozhao::engine::ports::records::{RequestFilter, ReviewFilter};
use mozhao::engine::ports::store::Store;
use mozhao::store::postgres::PostgresStore;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::world::{T0, id_at};
use crate::harness::postgres::database;
use crate::harness::wait;

/// 20,000 requests, one a second, all ended; the first ten came from the desk and were refused. 20,000 reviews, of which the last
/// twenty are open.
const HISTORY: &str = "\
    INSERT INTO requests (id, process, version, customer, producer, message, channel, turn, over_limit, seq, head, state, reason,
        signalled, seen, deaths, person, accepted_at, updated_at, expires_at, ended_at)
    SELECT (lpad(to_hex(1700000000000 + n * 1000), 12, '0') || lpad(to_hex(n), 20, '0'))::UUID, 'card_unbind', 1,
        CASE WHEN n < 10 THEN 'c-1' ELSE 'c-' || n END, CASE WHEN n < 10 THEN 'desk' ELSE 'web' END, 'm-' || n, 'app', TRUE, FALSE, 1,
        sha256(''), CASE WHEN n < 10 THEN 'refused' ELSE 'done' END, CASE WHEN n < 10 THEN 'not_your_card' END,
        0, 0, 0, FALSE, at, at, at + 1, at + 1
    FROM (SELECT n, 1700000000000000 + n * 1000000 AS at FROM generate_series(0::BIGINT, 19999) AS n) AS all_of_them;
    INSERT INTO reviews (id, request, process, process_version, name, slot, customer, options, role, four_eyes, state, version,
        escalated, opened_at, due_at, closed_at)
    SELECT r.id, r.id, 'card_unbind', 1, 'face_uncertain', 'face', r.customer, '[]', 'identity', FALSE,
        CASE WHEN old THEN 'decided' ELSE 'open' END, 1, 0, r.accepted_at, r.accepted_at + 1, CASE WHEN old THEN r.accepted_at END
    FROM (SELECT *, accepted_at < 1700000000000000 + 19980 * 1000000::BIGINT AS old FROM requests) AS r;
    ANALYZE";
/// What this database's tables were asked for.
const READ: &str = "SELECT SUM(seq_tup_read + COALESCE(idx_tup_fetch, 0))::BIGINT FROM pg_stat_user_tables";
pub(super) const OTHERS: &str = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'";
/// More than it takes until PostgreSQL considers a plan for all arguments.
const CALLS: i64 = 10;

/// A database's URL, and how many rows were read of its tables by sessions that have ended.
async fn rows_read(url: &str) -> i64 {
    let conn = std::sync::Arc::new(tokio::sync::Mutex::new(PgConnection::connect(url).await.unwrap()));
    wait::until("the sessions to end", std::time::Duration::from_secs(20), || {
        let conn = conn.clone();
        async move { sqlx::query_scalar::<_, i64>(OTHERS).fetch_one(&mut *conn.lock().await).await.unwrap() == 0 }
    })
    .await;
    sqlx::query_scalar(READ).fetch_one(&mut *conn.lock().await).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_read_what_they_show() {
    let database = database().await;
    let url = database.url();
    let store = PostgresStore::open(url).await.unwrap();
    store.migrate().await.unwrap();
    drop(store);
    let mut conn = PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(HISTORY).execute(&mut conn).await.unwrap();
    drop(conn);
    let at = |n: i64| Time(T0.0 + n * 1_000_000);
    let all = RequestFilter::default;
    let cases = [
        ("the newest", all(), None, 20),
        ("a page in the middle", all(), Some(id_at(at(10_000))), 20),
        ("a customer's", RequestFilter { customer: Some("c-1".into()), ..all() }, None, 10),
        ("a producer's own", RequestFilter { producer: Some("desk".into()), ..all() }, None, 10),
        ("refused for a reason", RequestFilter { reason: Some("not_your_card".into()), ..all() }, None, 10),
        ("open ones", RequestFilter { states: vec!["running".into()], ..all() }, None, 0),
        ("parked ones", RequestFilter { parked: Some("dependency:face".into()), ..all() }, None, 0),
        // Two hours are looked at more than what was asked for, since ids are not exactly in order of time.
        ("of long ago", RequestFilter { before: Some(at(10)), ..all() }, None, 10),
        ("of a time", RequestFilter { after: Some(at(15_000)), states: vec!["refused".into()], ..all() }, None, 0),
    ];
    let mut last = rows_read(url).await;
    for (name, filter, before, expected) in cases {
        let store = PostgresStore::open(url).await.unwrap();
        for _ in 0..CALLS {
            assert_eq!(store.requests(&filter, before, 20).await.unwrap().len(), expected, "{name}");
        }
        drop(store);
        let read = rows_read(url).await;
        let bound = if filter.after.or(filter.before).is_some() { 10_000 } else { 40 };
        assert!((read - last) / CALLS <= bound, "{name}: {} rows were read for {expected}", (read - last) / CALLS);
        last = read;
    }
    let all = ReviewFilter::default;
    let middle = Some((at(10_000), Uuid::nil()));
    let one = id_at(at(7)).as_u128() | 7;
    let cases = [
        ("open reviews", all(), None, 20),
        ("open reviews for a role", ReviewFilter { roles: Some(vec!["identity".into()]), ..all() }, None, 20),
        ("decided reviews", ReviewFilter { states: vec!["decided".into()], ..all() }, middle, 20),
        (
            "reviews of a request",
            ReviewFilter { request: Some(Uuid::from_u128(one)), states: vec!["decided".into()], ..all() },
            None,
            1,
        ),
    ];
    for (name, filter, after, expected) in cases {
        let store = PostgresStore::open(url).await.unwrap();
        for _ in 0..CALLS {
            assert_eq!(store.reviews(&filter, after, 20).await.unwrap().len(), expected, "{name}");
        }
        drop(store);
        let read = rows_read(url).await;
        assert!((read - last) / CALLS <= 40, "{name}: {} rows were read for {expected}", (read - last) / CALLS);
        last = read;
    }
}
