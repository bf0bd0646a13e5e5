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
];
/// SQLite's.
pub(super) const SQLITE: &[(i64, &str, &str)] = &[
    (1, "core", include_str!("../../migrations/sqlite/0001_core.sql")),
    (2, "console", include_str!("../../migrations/sqlite/0002_console.sql")),
    (3, "users", include_str!("../../migrations/sqlite/0003_users.sql")),
    (4, "reviewing", include_str!("../../migrations/sqlite/0004_reviewing.sql")),
    (5, "batches", include_str!("../../migrations/sqlite/0005_batches.sql")),
    (6, "who", include_str!("../../migrations/sqlite/0006_who.sql")),
];

/// What runs them: each in a transaction, under a lock, recorded with a checksum.
pub(super) fn migrator(list: &'static [(i64, &'static str, &'static str)]) -> Migrator {
    let migration = |(number, name, sql): &(i64, &'static str, &'static str)| {
        Migration::new(*number, (*name).into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(list.iter().map(migration).collect())
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
