//! The migrations, compiled in. Both databases have the same numbers; what a number means is in its file's head.

use sqlx::SqlSafeStr as _;
use sqlx::migrate::{Migration, MigrationType, Migrator};

use crate::engine::ports::store::StoreError;

/// PostgreSQL's migrations: number, name, SQL.
pub(super) const POSTGRES: &[(i64, &str, &str)] = &[
    (1, "core", include_str!("../../migrations/postgres/0001_core.sql")),
    (2, "console", include_str!("../../migrations/postgres/0002_console.sql")),
    (3, "users", include_str!("../../migrations/postgres/0003_users.sql")),
    (4, "reviewing", include_str!("../../migrations/postgres/0004_reviewing.sql")),
    (5, "batches", include_str!("../../migrations/postgres/0005_batches.sql")),
    (6, "who", include_str!("../../migrations/postgres/0006_who.sql")),
    (7, "unsigned", include_str!("../../migrations/postgres/0007_unsigned.sql")),
    (8, "decided_by", include_str!("../../migrations/postgres/0008_decided_by.sql")),
    (9, "first_by", include_str!("../../migrations/postgres/0009_first_by.sql")),
    (10, "decided_of_process", include_str!("../../migrations/postgres/0010_decided_of_process.sql")),
    (11, "looks_by", include_str!("../../migrations/postgres/0011_looks_by.sql")),
    (12, "claimed", include_str!("../../migrations/postgres/0012_claimed.sql")),
    (13, "second", include_str!("../../migrations/postgres/0013_second.sql")),
    (14, "open_of_process", include_str!("../../migrations/postgres/0014_open_of_process.sql")),
    (15, "of_process", include_str!("../../migrations/postgres/0015_of_process.sql")),
    (16, "tried", include_str!("../../migrations/postgres/0016_tried.sql")),
    (17, "presences", include_str!("../../migrations/postgres/0017_presences.sql")),
];
/// SQLite's.
pub(super) const SQLITE: &[(i64, &str, &str)] = &[
    (1, "core", include_str!("../../migrations/sqlite/0001_core.sql")),
    (2, "console", include_str!("../../migrations/sqlite/0002_console.sql")),
    (3, "users", include_str!("../../migrations/sqlite/0003_users.sql")),
    (4, "reviewing", include_str!("../../migrations/sqlite/0004_reviewing.sql")),
    (5, "batches", include_str!("../../migrations/sqlite/0005_batches.sql")),
    (6, "who", include_str!("../../migrations/sqlite/0006_who.sql")),
    (7, "unsigned", include_str!("../../migrations/sqlite/0007_unsigned.sql")),
    (8, "decided_by", include_str!("../../migrations/sqlite/0008_decided_by.sql")),
    (9, "first_by", include_str!("../../migrations/sqlite/0009_first_by.sql")),
    (10, "decided_of_process", include_str!("../../migrations/sqlite/0010_decided_of_process.sql")),
    (11, "looks_by", include_str!("../../migrations/sqlite/0011_looks_by.sql")),
    (12, "claimed", include_str!("../../migrations/sqlite/0012_claimed.sql")),
    (13, "second", include_str!("../../migrations/sqlite/0013_second.sql")),
    (14, "open_of_process", include_str!("../../migrations/sqlite/0014_open_of_process.sql")),
    (15, "of_process", include_str!("../../migrations/sqlite/0015_of_process.sql")),
    (16, "tried", include_str!("../../migrations/sqlite/0016_tried.sql")),
    (17, "presences", include_str!("../../migrations/sqlite/0017_presences.sql")),
];

/// A number, a name, and its SQL.
pub(super) type File = (i64, &'static str, &'static str);

/// The first line of a file that holds one statement which PostgreSQL runs outside a transaction only.
const ALONE: &str = "-- no-transaction\n";

/// Does this file run without a transaction?
pub(super) fn alone(sql: &str) -> bool {
    sql.starts_with(ALONE)
}

/// What runs them, recorded with a checksum: each in a transaction, except for those that stand alone. Whoever runs it holds the
/// lock against others: sqlx's own is waited for inside a statement, and an index that is built beside everybody else's work waits
/// for all statements that began before it, so that each of two programs that migrate would wait for the other.
pub(super) fn migrator(list: &'static [File]) -> Migrator {
    let migration = |(number, name, sql): &File| {
        Migration::new(*number, (*name).into(), MigrationType::Simple, sql.into_sql_str(), alone(sql))
    };
    let mut migrator = Migrator::with_migrations(list.iter().map(migration).collect());
    migrator.set_locking(false);
    migrator
}

/// The index that a file which stands alone makes.
pub(super) fn index_of(sql: &'static str) -> Option<&'static str> {
    let (_, rest) = sql.split_once("\nCREATE INDEX CONCURRENTLY IF NOT EXISTS ")?;
    rest.split(' ').next()
}

/// The names of the migrations that a database with these numbers lacks.
///
/// # Errors
/// A number that this program does not know: a newer one has been here.
pub(super) fn pending(list: &[(i64, &str, &str)], applied: &[i64]) -> Result<Vec<String>, StoreError> {
    let known = list.last().map_or(0, |(number, ..)| *number);
    if let Some(newer) = applied.iter().max().filter(|number| **number > known) {
        return Err(StoreError::Broken(format!(
            "the database's schema has version {newer}, and this program knows versions up to {known}; run the program that migrated it, or a newer one"
        )));
    }
    let missing = list.iter().filter(|(number, ..)| !applied.contains(number));
    Ok(missing.map(|(number, name, _)| format!("{number:04}_{name}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_databases_have_the_same_migrations() {
        let numbers =
            |list: &[(i64, &'static str, &str)]| list.iter().map(|(number, name, _)| (*number, *name)).collect::<Vec<_>>();
        assert_eq!(numbers(POSTGRES), numbers(SQLITE));
    }

    #[test]
    fn a_file_that_stands_alone_makes_one_index() {
        for (number, name, sql) in POSTGRES.iter().filter(|(.., sql)| alone(sql)) {
            let lines = sql.lines().filter(|line| !line.starts_with("--")).collect::<String>();
            assert_eq!((lines.matches(';').count(), lines.ends_with(';')), (1, true), "{number} {name}");
            assert!(index_of(sql).is_some_and(|index| sql.contains(&format!("EXISTS {index} ON "))), "{number} {name}");
        }
        assert_eq!(POSTGRES.iter().filter(|(.., sql)| alone(sql)).count(), POSTGRES.len() - 9);
        for (number, name, sql) in POSTGRES.iter().chain(SQLITE).filter(|(.., sql)| !alone(sql)) {
            assert!(!sql.contains("CONCURRENTLY"), "{number} {name} begins with another line than {ALONE:?}");
        }
    }

    #[test]
    fn a_newer_schema_is_refused_and_missing_ones_are_named() {
        let list = [(1, "core", ""), (2, "more", "")];
        assert_eq!(pending(&list, &[1]).ok(), Some(vec!["0002_more".to_owned()]));
        let refused = pending(&list, &[1, 2, 3]).map_err(|error| error.to_string());
        assert_eq!(
            refused,
            Err("the database failed: the database's schema has version 3, and this program knows versions up to 2; run the \
                 program that migrated it, or a newer one"
                .to_owned())
        );
    }
}
