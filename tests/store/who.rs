//! Decisions that were made before the columns that say by whom.

use mozhao::domain::request::signal::Decision;
use mozhao::domain::words::Choice;
use mozhao::engine::ports::records::DecisionFilter;
use mozhao::engine::ports::store::Store;
use sqlx::SqlSafeStr as _;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use uuid::Uuid;

/// The first migrations, as another version of the program runs and records them.
pub(super) fn migrations(files: &[&'static str]) -> Migrator {
    let one = |(at, sql): (usize, &&'static str)| {
        Migration::new(i64::try_from(at).unwrap() + 1, "before".into(), MigrationType::Simple, (*sql).into_sql_str(), false)
    };
    Migrator::with_migrations(files.iter().enumerate().map(one).collect())
}

/// Stored decisions, by several people with names of several kinds.
pub(super) fn decisions_before() -> Vec<Vec<u8>> {
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
pub(super) async fn everybody_is_found(store: &dyn Store) {
    for (by, many) in [("ann", 450), ("bob", 451), ("o\"neil\\", 1), ("李", 1), ("eve", 0)] {
        let filter = DecisionFilter { by: Some(by.into()), ..DecisionFilter::default() };
        assert_eq!(store.decisions(&filter, None, 999).await.unwrap().len(), many, "{by}");
    }
}
