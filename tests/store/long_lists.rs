//! Lists of requests where there are very many of them: PostgreSQL looks at a bounded number for each page.

use mozhao::engine::ports::records::RequestFilter;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::world::{World, end};
use crate::harness::postgres::database;

/// What is rare is searched for in parts: a page says where the next part begins, and the pages together are the whole list.
#[tokio::test(flavor = "multi_thread")]
async fn a_walk_over_many_requests_is_bounded() {
    let database = database().await;
    let url = database.url().to_owned();
    let world = World::on(&url, database).await;
    let worker = world.worker().await;
    let mut accept = world.accept(worker);
    accept.row.process = "rare".into();
    let oldest = accept.row.id;
    world.write(worker, accept).await;
    world.write(worker, end(oldest, 1, "expired")).await;
    let mut conn = PgConnection::connect(&url).await.unwrap();
    let copies = "INSERT INTO requests SELECT (jsonb_populate_record(one, jsonb_build_object('id', ids.id, 'state', 'done', 'process', 'many'))).*
        FROM requests AS one, (SELECT ('ffffffff-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::UUID AS id FROM generate_series(1, 60000) AS n) AS ids";
    sqlx::raw_sql(copies).execute(&mut conn).await.unwrap();
    let copy = |n: u128| Uuid::from_u128(0xffff_ffff_0000_7000_8000_0000_0000_0000 + n);
    let store = &world.store;
    let list = async |filter: &RequestFilter, before| {
        let rows = store.requests(filter, before, 50).await.unwrap();
        let end = store.end_of_walk(filter, before).await.unwrap();
        (rows.into_iter().map(|row| row.id).collect::<Vec<_>>(), end)
    };
    let expired = RequestFilter { states: vec!["expired".into()], ..RequestFilter::default() };
    assert_eq!(list(&expired, None).await, (vec![], Some(copy(10_001))), "50,000 are looked at");
    assert_eq!(list(&expired, Some(copy(10_001))).await, (vec![oldest], None));
    // An index leads there at once.
    let rare = RequestFilter { processes: vec!["rare".into()], ..expired.clone() };
    assert_eq!(list(&rare, None).await, (vec![oldest], None));
    // And what an index gives is counted, not what the rest of the filter leaves of it.
    let many = RequestFilter { processes: vec!["many".into()], ..expired };
    assert_eq!(list(&many, None).await, (vec![], Some(copy(10_001))));
    assert_eq!(list(&many, Some(copy(10_001))).await, (vec![], None));
}
