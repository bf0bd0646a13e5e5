//! Migrations beside work that goes on, and decisions that were made before the columns that say by whom.

use mozhao::domain::request::signal::Decision;
use mozhao::domain::words::Choice;
use mozhao::engine::ports::records::{DecisionFilter, Retention};
use mozhao::engine::ports::store::Store;
use mozhao::store::Role;
use mozhao::store::postgres::PostgresStore;
use mozhao::store::sqlite::SqliteStore;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{Connection as _, PgConnection, SqlSafeStr as _, SqliteConnection};
use uuid::Uuid;

use super::only_postgres::{blocked, run};
use super::world::T0;
use crate::harness::postgres::database;

/// The first migrations, as another version of the program runs and records them.
fn migrations(files: &[&'static str]) -> Migrator {
    let one = |(at, sql): (usize, &&'static str)| {
        Migration::new(i64::try_from(at).unwrap() + 1, "before".into(), MigrationType::Simple, (*sql).into_sql_str(), false)
    };
    Migrator::with_migrations(files.iter().enumerate().map(one).collect())
}

/// Stored decisions, by several people with names of several kinds.
fn decisions_before() -> Vec<Vec<u8>> {
    let decision = |by: &str, first_by: Option<&str>| Decision {
        review: Uuid::nil(),
        choice: Choice::Approve,
        by: by.into(),
        first_by: first_by.map(Into::into),
        first_note: None,
        reason: None,
        note: "\u{0} \"by\":\"eve\"".into(),
        fields: [].into(),
    };
    let mut all: Vec<Vec<u8>> = (0..450).map(|_| serde_json::to_vec(&decision("ann", Some("bob"))).unwrap()).collect();
    all.push(serde_json::to_vec(&decision("o\"neil\\", Some("李"))).unwrap());
    all.push(serde_json::to_vec(&decision("bob", None)).unwrap());
    all
}

/// Each of them, as the only one, the second or the first.
async fn everybody_is_found(store: &dyn Store) {
    for (by, many) in [("ann", 450), ("bob", 451), ("o\"neil\\", 1), ("李", 1), ("eve", 0)] {
        let filter = DecisionFilter { by: Some(by.into()), ..DecisionFilter::default() };
        assert_eq!(store.decisions(&filter, None, 999).await.unwrap().len(), many, "{by}");
    }
}

/// As the versions before this one left a database: without the columns that say who decided. With reviews that were decided.
async fn before_it_was_known_who_decided(url: &str) {
    let files = [
        include_str!("../../migrations/postgres/0001_core.sql"),
        include_str!("../../migrations/postgres/0002_console.sql"),
        include_str!("../../migrations/postgres/0003_users.sql"),
        include_str!("../../migrations/postgres/0004_reviewing.sql"),
        include_str!("../../migrations/postgres/0005_batches.sql"),
    ];
    let mut conn = PgConnection::connect(url).await.unwrap();
    migrations(&files).run(&mut conn).await.unwrap();
    let request = Uuid::from_u128(1);
    let sql =
        "INSERT INTO requests (id, process, version, customer, producer, message, channel, turn, over_limit, seq, head, state,
        signalled, seen, deaths, person, accepted_at, updated_at, expires_at) VALUES ($1, 'p', 1,
        'c', 'web', 'm', 'app', TRUE, FALSE, 1, sha256('x'), 'running', 0, 0, 0, FALSE, 0, 0, 1)";
    sqlx::query(sql).bind(request).execute(&mut conn).await.unwrap();
    let sql = r#"INSERT INTO reviews (id, request, process, process_version, name, slot, customer, options, four_eyes, state, version,
        escalated, decision, opened_at, due_at, closed_at) VALUES ($1, $2, 'p', 1, 'r', 's', 'c', '["approve"]', TRUE, 'decided', 2, 0, $3, 0, 0, 1)"#;
    for (number, decision) in decisions_before().into_iter().enumerate() {
        let id = Uuid::from_u128(number as u128 + 1);
        sqlx::query(sql).bind(id).bind(request).bind(decision).execute(&mut conn).await.unwrap();
    }
}

/// A database that was filled before is brought up to date: `by=` finds everybody, and an attempt that broke off leaves nothing behind.
#[tokio::test(flavor = "multi_thread")]
async fn who_decided_before_is_found_after_a_migration() {
    let database = database().await;
    let url = database.url();
    before_it_was_known_who_decided(url).await;
    let mut conn = PgConnection::connect(url).await.unwrap();
    // What is left of an index whose building was broken off.
    run(
        &mut conn,
        "CREATE INDEX looks_by ON looks (id); UPDATE pg_index SET indisvalid = FALSE WHERE indexrelid = 'looks_by'::regclass",
    )
    .await;
    let store = PostgresStore::open(url).await.unwrap();
    store.migrate().await.unwrap();
    everybody_is_found(&store).await;
    let index: String = sqlx::query_scalar("SELECT pg_get_indexdef('looks_by'::regclass)").fetch_one(&mut conn).await.unwrap();
    assert!(index.contains("(seen_by, id)"), "{index}");
    let invalid: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM pg_index WHERE NOT indisvalid").fetch_one(&mut conn).await.unwrap();
    assert_eq!(invalid, 0);
    // And what an old worker decides beside the new ones.
    run(&mut conn, "UPDATE reviews SET decided_by = NULL, first_by = NULL").await;
    for _ in 0..3 {
        store.sweep(T0, &Retention::default(), 999).await.unwrap();
    }
    everybody_is_found(&store).await;
}

/// DDL that cannot have its table at once stops nobody for long: it lets go, and tries again.
#[tokio::test(flavor = "multi_thread")]
async fn a_migration_behind_a_long_transaction_stops_nobody() {
    let database = database().await;
    let url = database.url();
    before_it_was_known_who_decided(url).await;
    let mut long = PgConnection::connect(url).await.unwrap();
    run(&mut long, "BEGIN; SELECT COUNT(*) FROM reviews").await;
    let store = PostgresStore::open(url).await.unwrap();
    let migrating = tokio::spawn(async move { store.migrate().await.map(|()| store) });
    blocked(url, 1).await;
    let mut reader = PgConnection::connect(url).await.unwrap();
    run(&mut reader, "SET lock_timeout = '8s'; SELECT COUNT(*) FROM reviews").await;
    assert!(!migrating.is_finished());
    run(&mut long, "COMMIT").await;
    everybody_is_found(&migrating.await.unwrap().unwrap()).await;
}

#[tokio::test]
async fn who_decided_before_is_found_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mozhao.db");
    let mut conn = SqliteConnection::connect(&format!("sqlite://{}?mode=rwc", path.display())).await.unwrap();
    let files = [
        include_str!("../../migrations/sqlite/0001_core.sql"),
        include_str!("../../migrations/sqlite/0002_console.sql"),
        include_str!("../../migrations/sqlite/0003_users.sql"),
        include_str!("../../migrations/sqlite/0004_reviewing.sql"),
        include_str!("../../migrations/sqlite/0005_batches.sql"),
    ];
    migrations(&files).run(&mut conn).await.unwrap();
    let request = Uuid::from_u128(1);
    let sql =
        "INSERT INTO requests (id, process, version, customer, producer, message, channel, turn, over_limit, seq, head, state,
        signalled, seen, deaths, person, accepted_at, updated_at, expires_at) VALUES (?1, 'p', 1,
        'c', 'web', 'm', 'app', TRUE, FALSE, 1, zeroblob(32), 'running', 0, 0, 0, FALSE, 0, 0, 1)";
    sqlx::query(sql).bind(request).execute(&mut conn).await.unwrap();
    let sql = r#"INSERT INTO reviews (id, request, process, process_version, name, slot, customer, options, four_eyes, state, version,
        escalated, decision, opened_at, due_at, closed_at) VALUES (?1, ?2, 'p', 1, 'r', 's', 'c', '["approve"]', TRUE, 'decided', 2, 0, ?3, 0, 0, 1)"#;
    for (number, decision) in decisions_before().into_iter().enumerate() {
        let id = Uuid::from_u128(number as u128 + 1);
        sqlx::query(sql).bind(id).bind(request).bind(decision).execute(&mut conn).await.unwrap();
    }
    let store = SqliteStore::open(&path, Role::Worker).await.unwrap();
    store.migrate().await.unwrap();
    everybody_is_found(&store).await;
    sqlx::query("UPDATE reviews SET decided_by = NULL, first_by = NULL").execute(&mut conn).await.unwrap();
    for _ in 0..3 {
        store.sweep(T0, &Retention::default(), 999).await.unwrap();
    }
    everybody_is_found(&store).await;
}
